"""What is taught: each head where something is known of a song, mixed songs by their parts, places by listeners."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.spatial.distance import cosine
from scipy.special import expit, log_softmax

from earmark.audio.augmentation.mixing import mixup
from earmark.model.network import learning
from earmark.model.network.examples import UNLABELLED, Examples, ExcerptDataset
from earmark.model.network.learning import Heads, Learning, Settings
from earmark.model.network.losses import place_loss, tag_loss
from earmark.model.network.training import fit
from earmark.params import Augmentation
from model_tools import FRAMES, SETTINGS, heard, made_network, same, songs, training

MIXED = replace(SETTINGS, augmentation=Augmentation(mixup_alpha=0.7))
PLAIN = replace(SETTINGS, augmentation=Augmentation())


def learning_step(examples: Examples, settings: Settings) -> tuple[Learning, float]:
    """One step on the middles of all songs, without dropout; its gradients stand in the module."""
    tags, places = examples.tags.shape[2], examples.places.shape[1]
    network = made_network(tags=tags, places=places, dropout=0.0).train()
    heads = Heads(3, tags, places, examples.all_labelled)
    module = Learning(network, settings, heads, steps=1, on_epoch=None)
    module.chance.manual_seed(11)
    kept, *known = ExcerptDataset(examples, frames=FRAMES).__getitems__([(i, 0.5) for i in range(len(examples))])
    loss = module.training_step((kept.transpose(1, 2).float(), *known), 0)
    loss.backward()
    return module, loss.item()


def without_genre(examples: Examples, *rows: int) -> Examples:
    """The same songs, but nobody knows the genre of these."""
    labels, genres = examples.labels.copy(), examples.genres.copy()
    labels[list(rows)], genres[list(rows)] = UNLABELLED, 0.0
    return replace(examples, labels=labels, genres=genres)


def gradient(module: Learning, head: str) -> torch.Tensor:
    return getattr(module.network, head).weight.grad


class TestHeads:
    def test_a_tag_of_which_nothing_is_known_teaches_its_head_nothing(self):
        examples = songs(1, 12, tags=True)
        examples.tags[:, 1, 1] = 0.0
        module, _ = learning_step(examples, MIXED)
        assert gradient(module, "tags")[0].any() and not gradient(module, "tags")[1].any()

    def test_a_song_without_a_place_among_listeners_teaches_the_embedding_nothing(self):
        known, none = songs(1, 12, places=True), songs(1, 12, places=True)
        none.places[:] = np.nan
        assert gradient(learning_step(known, MIXED)[0], "place").any()
        module, loss = learning_step(none, MIXED)
        assert not gradient(module, "place").any() and np.isfinite(loss)

    def test_where_some_have_no_place_the_others_alone_count(self):
        some = songs(1, 12, places=True)
        some.places[::3] = np.nan
        module, loss = learning_step(some, training(PLAIN, embedding_share=1.0))
        kept, *_ = ExcerptDataset(some, frames=FRAMES).__getitems__([(i, 0.5) for i in range(12)])
        with torch.no_grad():
            told = made_network(places=2, dropout=0.0).train()(kept.transpose(1, 2).float())[2].numpy()
        expected = np.mean([cosine(told[i], some.places[i]) for i in range(12) if i % 3])
        assert loss == pytest.approx(expected, rel=1e-4)
        assert not gradient(module, "genre").any()

    def test_a_share_of_the_loss_of_0_teaches_a_head_nothing_and_the_trunk_nothing_of_it(self):
        told = songs(1, tags=True, places=True)
        bare = Examples.of(told.log_mels, told.labels, classes=3)
        plain, _ = fit(bare, None, SETTINGS)
        beside, _ = fit(told, None, training(tag_share=0.0, embedding_share=0.0))
        kept = {k: v for k, v in beside.state_dict().items() if not k.startswith(("tags", "place"))}
        # Where nothing else is learnt, heads that are initialised later change no draw of what comes before them.
        assert same(kept, plain.state_dict())

    def test_shares_of_the_loss_make_a_difference(self):
        told = songs(1, tags=True, places=True)
        first = fit(told, None, SETTINGS)[0].state_dict()
        for changed in ({"tag_share": 0.2}, {"embedding_share": 0.1}):
            assert not torch.equal(
                fit(told, None, training(**changed))[0].state_dict()["stem.0.weight"], first["stem.0.weight"]
            )


class TestMixing:
    def test_a_mixed_song_is_its_parts_by_how_much_is_known_of_each(self):
        """The loss of one step, by numpy: the mixture is read off from how an identity matrix is mixed."""
        settings = training(MIXED, tag_share=0.3, embedding_share=0.2)
        examples = songs(4, tracks=8, tags=True, places=True)
        rng = np.random.default_rng(0)
        examples.tags[:, 1] = rng.choice([0.0, 0.2, 1.0], (8, 2))
        examples.places[3] = np.nan
        examples.genres[5] = [0.2, 0.5, 0.3]  # a doubtful label
        _, loss = learning_step(examples, settings)

        _, mixture = mixup(torch.zeros(8, 1, 1), torch.eye(8), 0.7, torch.Generator().manual_seed(11))
        assert not torch.equal(mixture, torch.eye(8))
        kept, *_ = ExcerptDataset(examples, frames=FRAMES).__getitems__([(i, 0.5) for i in range(8)])
        excerpts = torch.einsum("ij,jmf->imf", mixture, kept.transpose(1, 2).float())
        network = made_network(tags=2, places=2, dropout=0.0).train()
        with torch.no_grad():
            genres, tags, places = (each.numpy() for each in network(excerpts))
        mixture = mixture.numpy()
        target = 0.9 * (mixture @ examples.genres) + 0.1 / 3
        of_genres = -(target * log_softmax(genres, axis=1)).sum(axis=1).mean()
        share, weight = examples.tags[:, 0], examples.tags[:, 1]
        known = mixture @ weight
        yes = (mixture @ (share * weight)) / np.maximum(known, 1e-6)
        of_tags = -(known * (yes * np.log(expit(tags)) + (1 - yes) * np.log(expit(-tags)))).sum() / known.sum()
        placed = mixture @ (np.arange(8) != 3)
        there = mixture @ np.nan_to_num(examples.places)
        put = placed > 0
        apart = [cosine(a, b) for a, b in zip(places[put], there[put], strict=True)]
        of_places = np.average(apart, weights=placed[put])
        expected = 0.8 * (0.7 * of_genres + 0.3 * of_tags) + 0.2 * of_places
        assert loss == pytest.approx(expected, rel=1e-4)

    def test_what_is_said_of_a_song_without_weight_makes_no_difference(self):
        examples, others = songs(1, tags=True), songs(1, tags=True)
        for each in (examples, others):
            each.tags[::2, 1] = 0.0
        others.tags[::2, 0] = 1 - others.tags[::2, 0]
        assert same(fit(examples, None, SETTINGS)[0].state_dict(), fit(others, None, SETTINGS)[0].state_dict())
        others.tags[1, 0] = 0.5  # of a song that counts
        assert not same(fit(examples, None, SETTINGS)[0].state_dict(), fit(others, None, SETTINGS)[0].state_dict())

    def test_where_nothing_is_known_of_any_song_nothing_goes_wrong(self):
        examples = songs(1, tags=True, places=True)
        examples.tags[:, 1] = 0.0
        examples.places[:] = np.nan
        network, history = fit(examples, None, SETTINGS)
        assert all(value.isfinite().all() for value in network.state_dict().values())
        assert np.isfinite(history[-1].training_loss)


class TestWithoutGenre:
    def test_songs_without_a_genre_teach_the_genres_nothing_and_the_tags_what_is_known_of_them(self):
        unknown = without_genre(songs(1, 12, tags=True, places=True), *range(12))
        module, loss = learning_step(unknown, MIXED)
        assert not gradient(module, "genre").any() and np.isfinite(loss)
        assert gradient(module, "tags").any() and gradient(module, "place").any()

    @pytest.mark.parametrize("smoothing", [0.0, 0.3])
    def test_what_others_are_taught_of_genres_is_what_their_own_labels_say(self, smoothing):
        """The genre's part of the loss is the mean over those that have one; all were heard, for the norms."""
        some = without_genre(songs(1, 12), 0, 5, 6, 11)
        module, loss = learning_step(some, training(PLAIN, label_smoothing=smoothing))
        kept, *_ = ExcerptDataset(some, frames=FRAMES).__getitems__([(i, 0.5) for i in range(12)])
        with torch.no_grad():
            told = made_network(dropout=0.0).train()(kept.transpose(1, 2).float())[0]
        known = some.labels >= 0
        labels = torch.from_numpy(some.labels)[known]
        assert loss == pytest.approx(float(F.cross_entropy(told[known], labels, label_smoothing=smoothing)), rel=1e-5)
        right = (told[known].argmax(dim=1) == labels).sum()
        assert module.sums["training"].tolist() == pytest.approx([loss * 8, float(right), 8.0], rel=1e-5)

    def test_in_a_mixture_a_genre_counts_by_how_much_of_it_is_known(self):
        settings = training(MIXED, label_smoothing=0.2)
        some = without_genre(songs(4, tracks=8), 1, 2, 6)
        module, loss = learning_step(some, settings)
        _, mixture = mixup(torch.zeros(8, 1, 1), torch.eye(8), 0.7, torch.Generator().manual_seed(11))
        kept, *_ = ExcerptDataset(some, frames=FRAMES).__getitems__([(i, 0.5) for i in range(8)])
        with torch.no_grad():
            excerpts = torch.einsum("ij,jmf->imf", mixture, kept.transpose(1, 2).float())
            told = made_network(dropout=0.0).train()(excerpts)[0].numpy()
        mixture, known = mixture.numpy(), some.labels >= 0
        weight = mixture @ known
        assert {0 < each < 1 for each in weight.round(6)} == {True, False}
        each_own = np.stack([log_softmax(told, axis=1)[:, label] for label in some.labels[known]], axis=1)
        own = -(mixture[:, known] * each_own).sum(axis=1)
        evenly = -log_softmax(told, axis=1).mean(axis=1) * weight
        assert loss == pytest.approx((0.8 * own + 0.2 * evenly).sum() / weight.sum(), rel=1e-4)
        assert float(module.sums["training"][2]) == pytest.approx(weight.sum(), rel=1e-5)

    def test_they_are_never_cut_together_as_if_they_were_of_one_genre(self, monkeypatch):
        handed, as_ever = [], learning.augment
        monkeypatch.setattr(learning, "augment", lambda *given: [as_ever(*given), handed.append(given[3].tolist())][0])
        cut = replace(SETTINGS, augmentation=Augmentation(segment_mixing=1.0))
        fit(without_genre(songs(1, 16), *range(9)), None, training(cut, epochs=1))
        told = [label for labels in handed for label in labels]
        assert sum(label < 0 for label in told) == 9 * 2
        for labels in handed:
            alone = [label for label in labels if label < 0]
            assert len(set(alone)) == len(alone)
        assert sorted(label for label in told if label >= 0) == sorted(2 * songs(1, 16).labels[9:].tolist())

    def test_a_tag_is_learnt_from_them_alone_and_the_genre_from_the_others(self):
        told = songs(1, 60, tags=True)
        told.tags[:30, 1] = 0.0  # the first half has a genre, the second half has listeners
        network, history = fit(without_genre(told, *range(30, 60)), None, training(epochs=14))
        unheard = songs(9, 60, tags=True)
        genres, tags, _ = heard(network, unheard)
        assert np.mean(genres.argmax(axis=1) == unheard.labels) > 0.8 and history[-1].training_accuracy > 0.6
        assert np.mean((tags[:, 0] > 0.5) == (unheard.tags[:, 0, 0] > 0.5)) > 0.8

    def test_where_every_song_has_a_genre_it_is_the_plain_formula_to_the_bit(self, monkeypatch):
        """So that nothing changes for whoever has labelled all: weights after a fit, with mixtures and smoothing."""
        examples, settings = songs(1, 20, tags=True, places=True), training(epochs=2, balance=0.5)
        network, _ = fit(examples, None, settings)

        def plain(module: Learning, batch, _) -> torch.Tensor:
            excerpts, genres, tags, places, _ = batch
            how, known = module.settings.training, (~places.isnan().any(dim=1, keepdim=True)).float()
            share, weight = tags.unbind(dim=1)
            parts = torch.cat([genres, share * weight, weight, places.nan_to_num(), known], dim=1)
            excerpts, parts = mixup(excerpts, parts, module.settings.augmentation.mixup_alpha, module.chance)
            genres, shares, weight, places, known = parts.split_with_sizes([3, 2, 2, 2, 1], dim=1)
            logits, tag_logits, embeddings = module.network(excerpts)
            loss = F.cross_entropy(logits, genres, label_smoothing=how.label_smoothing)
            loss = torch.lerp(loss, tag_loss(tag_logits, shares, weight), how.tag_share)
            return torch.lerp(loss, place_loss(embeddings, places, known), how.embedding_share)

        monkeypatch.setattr(Learning, "training_step", plain)
        assert same(network.state_dict(), fit(examples, None, settings)[0].state_dict())


class TestEmbeddingTowardsListeners:
    def test_of_songs_that_nobody_has_heard_the_nearest_are_those_that_listeners_will_put_together(self):
        known = songs(1, 90, places=True)
        known.places[::5] = np.nan  # not every song has been listened to
        network, _ = fit(known, None, training(epochs=12, embedding_share=0.7))
        unheard = songs(9, 60, places=True)

        def agreement(embeddings: np.ndarray) -> float:
            """Mean cosine between a song's place and those of its five nearest by embedding."""
            unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
            near = unit @ unit.T - 2 * np.eye(len(unit))
            nearest = np.argsort(-near, axis=1)[:, :5]
            return float(np.einsum("nd,nkd->nk", unheard.places, unheard.places[nearest]).mean())

        chance = [agreement(np.random.default_rng(seed).normal(size=(60, 2))) for seed in range(50)]
        assert agreement(heard(network, unheard)[2]) > max(chance) + 0.15

    def test_without_it_the_embedding_is_what_the_trunk_hears(self):
        network = made_network()
        excerpts = torch.rand(4, 16, 32)
        torch.testing.assert_close(network(excerpts)[2], network.heard(excerpts))


class TestBatches:
    def test_the_sums_of_an_epoch_are_counted_by_excerpt(self):
        """Two batches of different size: the mean is over excerpts, not over batches."""
        module, _ = learning_step(songs(1, 6), PLAIN)
        both = copy.deepcopy(module)
        kept, *known = ExcerptDataset(songs(2, 3), frames=FRAMES).__getitems__([(i, 0.5) for i in range(3)])
        batch = (kept.transpose(1, 2).float(), *known)
        module._start_sums()
        module.training_step(batch, 0)
        before = both.sums["training"].clone()
        both.training_step(batch, 1)
        torch.testing.assert_close(both.sums["training"], before + module.sums["training"])
        assert float(before[2]) == 6 and float(module.sums["training"][2]) == 3
