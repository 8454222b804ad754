"""Tags from the table to the answer: read, learnt by a head of the network and by a forest, kept, and told."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import expit, log_softmax
from sklearn.ensemble import RandomForestClassifier

from earmark.audio.augment import mixup
from earmark.audio.descriptors import describe, descriptor_names
from earmark.model.examples import Examples, ExcerptDataset
from earmark.model.forest import fit_tag_forest
from earmark.model.material import Material
from earmark.model.network import GenreNetwork
from earmark.model.predictor import ForestPredictor, NetworkPredictor, load_predictor
from earmark.model.tags import Tags, load_tags
from earmark.model.training import Settings, _Fit, fit
from earmark.params import Augmentation, Forest, Frontend, Network, Training

SETTINGS = Settings(
    Frontend(sample_rate_hz=8_000, n_fft=256, hop=128, mels=16, f_min_hz=30.0, f_max_hz=4000.0),
    Network(channels=4, blocks=2, dropout=0.3, excerpt_seconds=0.512, excerpts=3),
    Training(
        seed=3,
        epochs=2,
        batch_size=8,
        excerpts_per_epoch=2,
        learning_rate=0.01,
        weight_decay=0.01,
        label_smoothing=0.1,
        warmup_share=0.2,
        tag_share=0.5,
        averaging=0.8,
    ),
    Augmentation(mixup_alpha=0.3, frequency_mask=3, time_mask=6, gain_db=3.0, equaliser=0.1),
)
NAMES = ("feeling---calmness", "word---study")
HOW = Forest(seed=1, trees=60, max_features="sqrt", min_samples_leaf=1)


def table(*rows: tuple[str, str, float, float]) -> pd.DataFrame:
    """Of (track, tag, share, weight)."""
    return pd.DataFrame(rows, columns=["track_id", "tag", "share", "weight"]).assign(ceiling=0.5)


def songs(seed: int, tracks: int = 30, *, tags: bool = True) -> Examples:
    """Three genres, each loud in its own third of the bands; and two tags.

    The first is given by nine in ten listeners where all is loud, else by one in ten, whatever the genre. The second is
    a matter of chance. What is known of a song weighs between a half and all.
    """
    rng = np.random.default_rng(seed)
    labels, loud = np.arange(tracks) % 3, rng.random(tracks) < 0.5
    log_mels = []
    for label, high in zip(labels, loud, strict=True):
        values = rng.random((rng.integers(40, 90), 16)) + 0.8 * high
        values[:, label * 5 : label * 5 + 5] += 0.7
        log_mels.append(values.astype(np.float16))
    shares = np.stack([np.where(loud, 0.9, 0.1), np.where(rng.random(tracks) < 0.5, 0.9, 0.1)], axis=1)
    known = np.stack([shares, rng.uniform(0.5, 1, shares.shape)], axis=1).astype(np.float32)
    return Examples(log_mels, labels.astype(np.int64), known if tags else None)


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def taught(examples: Examples, settings: Settings = SETTINGS, **how) -> GenreNetwork:
    return fit(examples, None, settings, classes=3, tags=0 if examples.tags is None else 2, **how)[0]


def training(settings: Settings = SETTINGS, **changed) -> Settings:
    return replace(settings, training=replace(settings.training, **changed))


class TestTags:
    KNOWN = Tags(NAMES, table(("a", NAMES[0], 0.25, 0.5), ("a", NAMES[1], 1.0, 1.0), ("c", NAMES[1], 0.75, 0.125)))

    def test_each_track_has_the_share_and_the_weight_of_each_tag_in_the_order_asked_for(self):
        found = self.KNOWN.of(pd.Series(["c", "a"]))
        assert found.shape == (2, 2, 2) and found.dtype == np.float32
        assert found[0].tolist() == [[0.0, 0.75], [0.0, 0.125]]
        assert found[1].tolist() == [[0.25, 1.0], [0.5, 1.0]]

    def test_a_track_of_which_nothing_is_known_weighs_nothing(self):
        assert self.KNOWN.of(pd.Series(["b", "d"]))[:, 1].tolist() == [[0.0, 0.0]] * 2

    def test_however_the_table_and_the_tracks_are_numbered(self):
        shuffled = Tags(NAMES, self.KNOWN.table.iloc[[2, 0, 1]].set_axis([7, 7, 9]))
        tracks = pd.Series(["b", "a", "c"], index=[40, 2, 2])
        np.testing.assert_array_equal(shuffled.of(tracks), self.KNOWN.of(pd.Series(["b", "a", "c"])))

    def test_without_tags_there_is_room_for_none(self):
        assert Tags().of(pd.Series(["a", "b"])).shape == (2, 2, 0)
        assert Tags().ceilings == {}

    def test_the_vocabulary_that_was_written_is_read_in_alphabetical_order(self, tmp_path):
        (tmp_path / "data").mkdir()
        self.KNOWN.table.iloc[::-1].to_parquet(tmp_path / "data/tags.parquet")
        loaded = load_tags(tmp_path)
        assert loaded.names == NAMES
        assert loaded.ceilings == dict.fromkeys(NAMES, 0.5)
        np.testing.assert_array_equal(loaded.of(pd.Series(["a"])), self.KNOWN.of(pd.Series(["a"])))

    def test_where_the_stage_has_not_run_there_are_none(self, tmp_path):
        assert load_tags(tmp_path).names == ()


class TestMaterial:
    @staticmethod
    def material(tags: Tags = TestTags.KNOWN) -> Material:
        """Training track `a`, test track `c`."""
        rows = [("a", "1" * 64, "train", "jig"), ("b", "2" * 64, "train", "reel"), ("c", "3" * 64, "test", "jig")]
        tracks = pd.DataFrame(rows, columns=["track_id", "content_hash", "split", "genre"]).assign(path="x", group="g")
        return Material(tracks, Path("nowhere"), SETTINGS.frontend, tags)

    def test_examples_carry_the_tags_and_those_chosen_of_them_theirs(self):
        material = self.material()
        examples = material.examples(material.tracks)
        np.testing.assert_array_equal(examples.tags, TestTags.KNOWN.of(pd.Series(["a", "b", "c"])))
        np.testing.assert_array_equal(examples[[2, 0]].tags, TestTags.KNOWN.of(pd.Series(["c", "a"])))

    def test_examples_without_tags_have_none_at_all(self):
        material = self.material(Tags())
        examples = material.examples(material.tracks)
        assert examples.tags is None and examples[[1]].tags is None

    def test_what_training_tracks_are_told_to_be_is_part_of_the_datas_name_and_the_order_is_not(self):
        before = self.material().data_hash
        changed = TestTags.KNOWN.table.copy()
        changed.loc[0, "share"] = 0.26
        assert self.material(Tags(NAMES, changed)).data_hash != before
        assert self.material(Tags(NAMES, TestTags.KNOWN.table.iloc[::-1])).data_hash == before

    def test_what_test_tracks_are_told_to_be_is_not(self):
        changed = TestTags.KNOWN.table.copy()
        changed.loc[2, "share"] = 0.1
        assert self.material(Tags(NAMES, changed)).data_hash == self.material().data_hash


def test_an_excerpt_comes_with_the_share_and_weight_of_each_tag():
    examples = songs(1)
    excerpt, label, tags = ExcerptDataset(examples, frames=32)[(4, 0.5)]
    assert excerpt.shape == (16, 32) and label == 1
    np.testing.assert_array_equal(tags, examples.tags[4])


class TestTheHead:
    def test_each_excerpt_gets_a_logit_a_tag_and_the_genres_do_not_know(self):
        torch.manual_seed(0)
        network = GenreNetwork(SETTINGS.network, mels=16, classes=3, tags=5).eval()
        excerpts = torch.rand(4, 16, 32)
        genres, tags = network.heads(excerpts)
        assert (genres.shape, tags.shape) == ((4, 3), (4, 5))
        torch.testing.assert_close(network(excerpts), genres)

    def test_without_tags_there_is_none_of_it(self):
        network = GenreNetwork(SETTINGS.network, mels=16, classes=3)
        assert not [name for name in network.state_dict() if name.startswith("tags")]
        assert network.heads(torch.rand(4, 16, 32))[1].shape == (4, 0)

    def test_without_tags_the_network_is_what_it_was_before_there_were_any_whatever_their_share_of_the_loss(self):
        plain = taught(songs(1, tags=False)).state_dict()
        assert same(taught(songs(1, tags=False), training(tag_share=0.9)).state_dict(), plain)
        # Tags that have no part in the loss leave trunk and genres as they are, to the bit.
        beside = taught(songs(1), training(tag_share=0.0)).state_dict()
        assert same({name: value for name, value in beside.items() if not name.startswith("tags")}, plain)

    def test_tags_that_count_do_change_what_the_trunk_listens_for(self):
        plain, told = taught(songs(1, tags=False)).state_dict(), taught(songs(1)).state_dict()
        assert not torch.equal(plain["stem.0.weight"], told["stem.0.weight"])

    def test_it_learns_the_tag_that_is_heard_and_not_the_one_of_chance(self):
        network = taught(songs(1, tracks=60), training(epochs=10))
        held_out = songs(2, tracks=90)
        with torch.inference_mode():
            heard = torch.stack([torch.from_numpy(x[:32].astype(np.float32).T) for x in held_out.log_mels])
            shares = network.heads(heard)[1].sigmoid().numpy()
        actual = held_out.tags[:, 0]
        assert np.corrcoef(shares[:, 0], actual[:, 0])[0, 1] > 0.85
        assert abs(np.corrcoef(shares[:, 1], actual[:, 1])[0, 1]) < 0.3
        assert shares[actual[:, 0] > 0.5, 0].mean() > 0.6 > 0.3 > shares[actual[:, 0] < 0.5, 0].mean()

    def test_what_is_said_of_a_song_without_weight_makes_no_difference_also_when_songs_are_mixed(self):
        examples, others = songs(1), songs(1)
        for each in (examples, others):
            each.tags[::2, 1] = 0.0
        others.tags[::2, 0] = 1 - others.tags[::2, 0]
        assert same(taught(examples).state_dict(), taught(others).state_dict())
        others.tags[1, 0] = 0.5  # of a song that counts
        assert not same(taught(examples).state_dict(), taught(others).state_dict())

    def test_where_nothing_is_known_of_any_song_nothing_goes_wrong(self):
        examples = songs(1)
        examples.tags[:, 1] = 0.0
        assert all(value.isfinite().all() for value in taught(examples).state_dict().values())

    def test_a_mixed_song_has_the_shares_of_its_parts_by_how_much_is_known_of_each(self):
        """The loss of one step, by numpy: the mixture is read off from how an identity matrix is mixed."""
        augmentation = Augmentation(mixup_alpha=0.7, frequency_mask=0, time_mask=0, gain_db=0.0, equaliser=0.0)
        settings = replace(training(tag_share=0.3), augmentation=augmentation)
        settings = replace(settings, network=replace(settings.network, dropout=0.0))
        examples = songs(4, tracks=8)
        examples.tags[:, 1] = np.random.default_rng(0).choice([0.0, 0.2, 1.0], (8, 2))
        items = [ExcerptDataset(examples, frames=32)[(track, 0.5)] for track in range(8)]
        excerpts, labels, tags = (torch.stack([torch.as_tensor(each[part]) for each in items]) for part in range(3))
        torch.manual_seed(5)
        module = _Fit(settings, classes=3, tags=2, steps=1, on_epoch=None)
        module.chance.manual_seed(11)
        _, mixture = mixup(excerpts, torch.eye(8), 0.7, torch.Generator().manual_seed(11))
        assert not torch.equal(mixture, torch.eye(8))
        loss = module.training_step((excerpts, labels, tags), 0).item()

        with torch.no_grad():
            genres, told = (
                each.numpy() for each in module.network.heads(torch.einsum("ij,jmf->imf", mixture, excerpts))
            )
        mixture, share, weight = mixture.numpy(), tags[:, 0].numpy(), tags[:, 1].numpy()
        target = 0.9 * (mixture @ np.eye(3)[labels]) + 0.1 / 3
        of_genres = -(target * log_softmax(genres, axis=1)).sum(axis=1).mean()
        known = mixture @ weight
        yes = (mixture @ (share * weight)) / np.maximum(known, 1e-6)
        of_tags = -(known * (yes * np.log(expit(told)) + (1 - yes) * np.log(expit(-told)))).sum() / known.sum()
        assert loss == pytest.approx(0.7 * of_genres + 0.3 * of_tags, rel=1e-4)

    def test_stopped_and_carried_on_it_ends_at_the_same_to_the_bit(self, tmp_path):
        class Killed(Exception):
            pass

        def kill(epoch):
            if epoch.epoch == 2:
                raise Killed

        settings, checkpoints = training(epochs=4), tmp_path / "checkpoints"
        with pytest.raises(Killed):
            taught(songs(1), settings, checkpoints=checkpoints, on_epoch=kill)
        assert (checkpoints / "last.ckpt").is_file()
        resumed = taught(songs(1), settings, checkpoints=checkpoints).state_dict()
        assert same(resumed, taught(songs(1), settings).state_dict())


class TestTheForest:
    @staticmethod
    def descriptors(rows: int) -> np.ndarray:
        return np.random.default_rng(rows).normal(size=(rows, 4))

    def told(self, descriptors: np.ndarray, *, weight: float = 1.0) -> np.ndarray:
        """A tag that follows the first descriptor, and one of chance."""
        chance = np.random.default_rng(7).random(len(descriptors))
        shares = np.stack([np.where(descriptors[:, 0] > 0, 0.8, 0.2), chance], axis=1)
        return np.stack([shares, np.full(shares.shape, weight)], axis=1).astype(np.float32)

    def test_it_learns_the_tag_that_follows_the_sound_and_not_the_one_of_chance(self):
        train, test = self.descriptors(120), self.descriptors(121)
        answers = fit_tag_forest(train, self.told(train), HOW).predict(test)
        actual = self.told(test)[:, 0]
        assert np.corrcoef(answers[:, 0], actual[:, 0])[0, 1] > 0.85
        assert abs(np.corrcoef(answers[:, 1], actual[:, 1])[0, 1]) < 0.3

    def test_what_is_said_of_a_song_without_weight_makes_no_difference(self):
        train = self.descriptors(60)
        one, other = self.told(train), self.told(train)
        one[::2, 1] = other[::2, 1] = 0.0
        other[::2, 0] = 1 - other[::2, 0]
        first, second = (fit_tag_forest(train, known, HOW).predict(train) for known in (one, other))
        np.testing.assert_array_equal(first, second)

    def test_where_no_descriptor_helps_it_says_the_mean_by_what_is_known(self):
        blind = np.zeros((200, 4))
        known = self.told(self.descriptors(200))
        known[:, 1] = np.random.default_rng(3).random((200, 2))
        expected = [np.average(known[:, 0, tag], weights=known[:, 1, tag]) for tag in (0, 1)]
        np.testing.assert_allclose(fit_tag_forest(blind, known, HOW).predict(blind[:1])[0], expected, atol=0.02)

    def test_without_tags_there_is_none(self):
        assert fit_tag_forest(self.descriptors(9), np.zeros((9, 2, 0), dtype=np.float32), HOW) is None

    def test_one_tag_alone_is_no_trouble(self):
        train = self.descriptors(40)
        forest = fit_tag_forest(train, self.told(train)[:, :, :1], HOW)
        assert predictor_of(forest, NAMES[:1]).shares_of_descriptors(train).shape == (40, 1)


COMMON = {"labels": ("a", "b"), "frontend": SETTINGS.frontend, "trained_on": frozenset(), "data_hash": "d"}


def predictor_of(tag_forest, names: tuple[str, ...]) -> ForestPredictor:
    """A forest whose genres do not matter, and ``tag_forest``."""
    noise = np.random.default_rng(0).normal(size=(20, len(descriptor_names())))
    genres = RandomForestClassifier(10, random_state=0).fit(noise, np.arange(20) % 2)
    return ForestPredictor(**COMMON, tags=names, forest=genres, tag_forest=tag_forest)


ALL = ("category---sea", *NAMES)


@pytest.fixture
def network() -> NetworkPredictor:
    torch.manual_seed(2)
    network = GenreNetwork(SETTINGS.network, mels=16, classes=2, tags=3)
    with torch.no_grad():
        network.tags.weight.mul_(20)  # so that shares differ
    return NetworkPredictor(**COMMON, tags=ALL, network=network.eval(), size=SETTINGS.network)


@pytest.fixture
def forest() -> ForestPredictor:
    noise = np.random.default_rng(1).normal(size=(30, len(descriptor_names())))
    shares = np.random.default_rng(2).random((30, 1, 3)).repeat(2, axis=1).astype(np.float32)
    return predictor_of(fit_tag_forest(noise, shares, HOW), ALL)


@pytest.fixture(params=["network", "forest"])
def predictor(request):
    return request.getfixturevalue(request.param)


def noise(seconds: float, seed: int = 0) -> torch.Tensor:
    return 0.1 * torch.randn(int(seconds * 8_000), generator=torch.Generator().manual_seed(seed))


class TestAnswers:
    def test_every_tag_is_named_the_largest_share_first(self, predictor):
        answer = predictor.predict(noise(3))
        shares = [each.share for each in answer.tags]
        assert sorted(each.tag for each in answer.tags) == sorted(predictor.tags)
        assert shares == sorted(shares, reverse=True) and len(set(shares)) == 3
        assert all(0 <= share <= 1 for share in shares)
        assert list(answer.to_dict()["tags"]) == [{"tag": each.tag, "share": each.share} for each in answer.tags]

    def test_the_networks_are_means_over_its_excerpts(self, network):
        waveform = noise(3)
        log_mel = torch.from_numpy(network.extractor.log_mel(waveform)).float()
        last = len(log_mel) - 32
        excerpts = torch.stack([log_mel[start : start + 32].T for start in (0, round(last / 2), last)])
        with torch.inference_mode():
            shares = expit(network.network.tags(network.network.embedding(excerpts)).numpy())
        told = {each.tag: each.share for each in network.predict(waveform).tags}
        np.testing.assert_allclose([told[name] for name in ALL], shares.mean(axis=0), rtol=1e-4)

    def test_the_forests_follow_the_descriptors(self, forest):
        waveform = noise(2)
        expected = forest.tag_forest.predict(describe(waveform, 8_000)[None])[0]
        told = {each.tag: each.share for each in forest.predict(waveform).tags}
        assert [told[name] for name in ALL] == expected.tolist()

    def test_what_is_loaded_answers_to_the_bit_as_what_was_saved(self, predictor, tmp_path):
        predictor.save(tmp_path)
        loaded = load_predictor(tmp_path)
        assert loaded.tags == predictor.tags
        for seed in range(3):
            assert loaded.predict(noise(2, seed)) == predictor.predict(noise(2, seed))

    @pytest.mark.parametrize("kind", ["network", "forest"])
    def test_a_folder_of_an_earmark_that_knew_no_tags_is_read_and_answers_without(self, kind, tmp_path):
        network = GenreNetwork(SETTINGS.network, mels=16, classes=2).eval()
        old = {
            "network": NetworkPredictor(**COMMON, network=network, size=SETTINGS.network),
            "forest": predictor_of(None, ()),
        }[kind]
        old.save(tmp_path)
        about = json.loads((tmp_path / "predictor.json").read_text())
        assert about.pop("tags") == []
        (tmp_path / "predictor.json").write_text(json.dumps(about))
        loaded = load_predictor(tmp_path)
        assert loaded.tags == () and loaded.predict(noise(2)).tags == ()
        assert loaded.predict(noise(2)) == old.predict(noise(2))
