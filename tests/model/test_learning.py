"""What is taught: each head where something is known of a song, mixed songs by their parts, places by listeners."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from model_tools import FRAMES, SETTINGS, heard, made_network, same, songs, training
from scipy.spatial.distance import cosine
from scipy.special import expit, log_softmax

from earmark.audio.augmentation.mixing import mixup
from earmark.model.network.examples import Examples, ExcerptDataset
from earmark.model.network.learning import Heads, Learning, Settings
from earmark.model.network.training import fit
from earmark.params import Augmentation

MIXED = replace(SETTINGS, augmentation=Augmentation(mixup_alpha=0.7))
PLAIN = replace(SETTINGS, augmentation=Augmentation())


def learning_step(examples: Examples, settings: Settings) -> tuple[Learning, float]:
    """One step on the middles of all songs, without dropout; its gradients stand in the module."""
    tags, places = examples.tags.shape[2], examples.places.shape[1]
    network = made_network(tags=tags, places=places, dropout=0.0).train()
    module = Learning(network, settings, Heads(3, tags, places), steps=1, on_epoch=None)
    module.chance.manual_seed(11)
    kept, *known = ExcerptDataset(examples, frames=FRAMES).__getitems__([(i, 0.5) for i in range(len(examples))])
    loss = module.training_step((kept.transpose(1, 2).float(), *known), 0)
    loss.backward()
    return module, loss.item()


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
