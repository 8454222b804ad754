"""Each head's loss, computed another way; what is not known has no part in it."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cosine
from scipy.special import expit, log_softmax

from earmark.model.network.losses import genre_loss, place_loss, tag_loss


def draws(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape))


class TestGenreLoss:
    LOGITS = draws(6, 3)
    GENRES = torch.tensor([[1, 0, 0], [0, 0, 0], [0, 1, 0], [0.3, 0.0, 0.2], [0.1, 0.6, 0.3], [0, 0, 0]]).double()
    WEIGHT = (1.0, 0.0, 1.0, 0.5, 1.0, 0.0)

    @pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.7])
    def test_it_is_the_mean_cross_entropy_by_how_much_of_the_genre_is_known(self, smoothing):
        known = [0, 2, 3, 4]
        labels = self.GENRES.numpy()[known] / np.array(self.WEIGHT)[known, None]
        targets = (1 - smoothing) * labels + smoothing / 3
        each = -(targets * log_softmax(self.LOGITS.numpy()[known], axis=1)).sum(axis=1)
        expected = np.average(each, weights=np.array(self.WEIGHT)[known])
        assert float(genre_loss(self.LOGITS, self.GENRES, smoothing)) == pytest.approx(expected)

    @pytest.mark.parametrize("smoothing", [0.0, 0.1])
    def test_where_every_genre_is_known_it_is_torchs_own(self, smoothing):
        genres = draws(6, 3, seed=1).softmax(dim=1)
        own = torch.nn.functional.cross_entropy(self.LOGITS, genres, label_smoothing=smoothing)
        assert float(genre_loss(self.LOGITS, genres, smoothing)) == pytest.approx(float(own))

    def test_smoothing_makes_no_label_where_there_is_none(self):
        logits = self.LOGITS.clone().requires_grad_()
        genre_loss(logits, self.GENRES, 0.3).backward()
        assert logits.grad.any(dim=1).tolist() == [weight > 0 for weight in self.WEIGHT]

    def test_where_no_genre_is_known_it_is_0_and_finite(self):
        logits = self.LOGITS.clone().requires_grad_()
        loss = genre_loss(logits, torch.zeros(6, 3), 0.1)
        loss.backward()
        assert loss.item() == 0 and not logits.grad.any()


class TestTagLoss:
    LOGITS, SHARE = draws(5, 3), draws(5, 3, seed=1).sigmoid()
    WEIGHT = torch.tensor(np.random.default_rng(2).choice([0.0, 0.3, 1.0], (5, 3)))

    def test_it_is_the_mean_cross_entropy_by_how_much_is_known(self):
        told, share = expit(self.LOGITS.numpy()), self.SHARE.numpy()
        each = -(share * np.log(told) + (1 - share) * np.log(1 - told))
        expected = np.average(each, weights=self.WEIGHT.numpy())
        assert float(tag_loss(self.LOGITS, self.SHARE * self.WEIGHT, self.WEIGHT)) == pytest.approx(expected)

    def test_what_weighs_nothing_moves_nothing(self):
        logits = self.LOGITS.clone().requires_grad_()
        tag_loss(logits, self.SHARE * self.WEIGHT, self.WEIGHT).backward()
        assert torch.equal(logits.grad != 0, self.WEIGHT > 0)

    def test_where_nothing_is_known_it_is_0_and_finite(self):
        logits = self.LOGITS.clone().requires_grad_()
        loss = tag_loss(logits, torch.zeros(5, 3), torch.zeros(5, 3))
        loss.backward()
        assert loss.item() == 0 and not logits.grad.any()


class TestPlaceLoss:
    EMBEDDINGS, PLACES = draws(5, 4), draws(5, 4, seed=1)
    PLACED = torch.tensor([[1.0], [0.0], [0.5], [1.0], [0.0]], dtype=torch.float64)

    def test_it_is_the_mean_cosine_distance_by_how_much_is_known(self):
        each = [cosine(one, other) for one, other in zip(self.EMBEDDINGS.numpy(), self.PLACES.numpy(), strict=True)]
        expected = np.average(each, weights=self.PLACED[:, 0].numpy())
        assert float(place_loss(self.EMBEDDINGS, self.PLACES, self.PLACED)) == pytest.approx(expected)

    def test_what_is_not_placed_moves_nothing(self):
        embeddings = self.EMBEDDINGS.clone().requires_grad_()
        place_loss(embeddings, self.PLACES, self.PLACED).backward()
        assert torch.equal(embeddings.grad.any(dim=1), self.PLACED[:, 0] > 0)

    def test_how_long_an_embedding_is_does_not_matter(self):
        one, other = (place_loss(self.EMBEDDINGS * by, self.PLACES, self.PLACED) for by in (1, 7))
        assert float(one) == pytest.approx(float(other))

    def test_where_nobody_listens_it_is_0_and_finite(self):
        embeddings = self.EMBEDDINGS.clone().requires_grad_()
        loss = place_loss(embeddings, torch.zeros(5, 4), torch.zeros(5, 1))
        loss.backward()
        assert loss.item() == 0 and embeddings.grad.isfinite().all()
