"""Tags from the table to the answer: read, learnt by a head of the network and by a forest, kept, and told."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from predictor_tools import made_predictor
from scipy.special import expit

from earmark.audio.descriptors import describe
from earmark.model.material import Material
from earmark.model.network.training import fit
from earmark.model.predictor import load_predictor
from earmark.model.tags import Tags, load_tags
from earmark.model.trees.forest import fit_forest, fit_tag_forest
from earmark.model.trees.predictor import ForestPredictor
from model_tools import COMMON, FOREST, SETTINGS, heard, noise, same, songs, training

NAMES = ("feeling---calmness", "word---study")


def table(*rows: tuple[str, str, float, float]) -> pd.DataFrame:
    """Of (track, tag, share, weight)."""
    return pd.DataFrame(rows, columns=["track_id", "tag", "share", "weight"]).assign(ceiling=0.5)


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

    def test_examples_without_tags_have_room_for_none(self):
        material = self.material(Tags())
        examples = material.examples(material.tracks)
        assert examples.tags.shape == (3, 2, 0) and examples[[1]].tags.shape == (1, 2, 0)

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


class TestTheHead:
    def test_without_tags_the_network_is_the_same_whatever_their_share_of_the_loss(self):
        plain, told = (fit(songs(1), None, training(tag_share=share))[0].state_dict() for share in (0.5, 0.9))
        assert same(plain, told) and not [name for name in plain if name.startswith("tags")]

    def test_tags_that_count_do_change_what_the_trunk_listens_for(self):
        plain, told = (fit(songs(1, tags=tags), None, SETTINGS)[0].state_dict() for tags in (False, True))
        assert not torch.equal(plain["stem.0.weight"], told["stem.0.weight"])

    def test_it_learns_the_tag_that_is_heard_and_not_the_one_of_chance(self):
        network, _ = fit(songs(1, tracks=60, tags=True), None, training(epochs=12))
        held_out = songs(2, tracks=90, tags=True)
        shares, actual = heard(network, held_out)[1], held_out.tags[:, 0]
        assert np.corrcoef(shares[:, 0], actual[:, 0])[0, 1] > 0.85
        assert abs(np.corrcoef(shares[:, 1], actual[:, 1])[0, 1]) < 0.3
        assert shares[actual[:, 0] > 0.5, 0].mean() > 0.6 > 0.35 > shares[actual[:, 0] < 0.5, 0].mean()


class TestTheForest:
    @staticmethod
    def descriptors(rows: int) -> np.ndarray:
        return np.random.default_rng(rows).normal(size=(rows, 4))

    def told(self, descriptors: np.ndarray, *, weight: float = 1.0) -> np.ndarray:
        """A tag that follows the first descriptor, and one of chance."""
        chance = np.random.default_rng(7).random(len(descriptors))
        shares = np.stack([np.where(descriptors[:, 0] > 0, 0.8, 0.2), chance], axis=1)
        return np.stack([shares, np.full(shares.shape, weight)], axis=1).astype(np.float32)

    @pytest.mark.parametrize("kind", ["random_forest", "gradient_boosting"])
    def test_it_learns_the_tag_that_follows_the_sound_and_not_the_one_of_chance(self, kind):
        train, test = self.descriptors(120), self.descriptors(121)
        answers = fit_tag_forest(train, self.told(train), replace(FOREST, kind=kind)).predict(test)
        actual = self.told(test)[:, 0]
        assert np.corrcoef(answers[:, 0], actual[:, 0])[0, 1] > 0.85
        assert abs(np.corrcoef(answers[:, 1], actual[:, 1])[0, 1]) < 0.3

    def test_what_is_said_of_a_song_without_weight_makes_no_difference(self):
        train = self.descriptors(60)
        one, other = self.told(train), self.told(train)
        one[::2, 1] = other[::2, 1] = 0.0
        other[::2, 0] = 1 - other[::2, 0]
        first, second = (fit_tag_forest(train, known, FOREST).predict(train) for known in (one, other))
        np.testing.assert_array_equal(first, second)

    def test_where_no_descriptor_helps_it_says_the_mean_by_what_is_known(self):
        blind = np.zeros((200, 4))
        known = self.told(self.descriptors(200))
        known[:, 1] = np.random.default_rng(3).random((200, 2))
        expected = [np.average(known[:, 0, tag], weights=known[:, 1, tag]) for tag in (0, 1)]
        np.testing.assert_allclose(fit_tag_forest(blind, known, FOREST).predict(blind[:1])[0], expected, atol=0.02)

    def test_without_tags_there_is_none(self):
        assert fit_tag_forest(self.descriptors(9), np.zeros((9, 2, 0), dtype=np.float32), FOREST) is None

    def test_one_tag_alone_is_no_trouble(self):
        train = self.descriptors(40)
        forest = fit_tag_forest(train, self.told(train)[:, :, :1], FOREST)
        common = COMMON | {"tags": NAMES[:1]}
        genres = fit_forest(train, np.arange(40) % 3, FOREST)
        assert ForestPredictor(**common, forest=genres, tag_forest=forest).of_descriptors(train).shares.shape == (40, 1)


class TestAnswers:
    @pytest.fixture(params=["network", "forest", "blend"])
    def predictor(self, request):
        return made_predictor(request.param)

    def test_every_tag_is_named_the_largest_share_first(self, predictor):
        answer = predictor.predict(noise(3))
        shares = [each.share for each in answer.tags]
        assert sorted(each.tag for each in answer.tags) == sorted(predictor.tags)
        assert shares == sorted(shares, reverse=True) and len(set(shares)) == 3
        assert all(0 <= share <= 1 for share in shares)

    def test_the_networks_are_means_over_its_excerpts(self):
        network = made_predictor("network")
        log_mel = torch.from_numpy(network.extractor.log_mel(noise(3))).float()
        last = len(log_mel) - 32
        excerpts = torch.stack([log_mel[start : start + 32].T for start in (0, round(last / 2), last)])
        with torch.inference_mode():
            shares = expit(network.networks[0](excerpts)[1].numpy())
        told = {each.tag: each.share for each in network.predict(noise(3)).tags}
        np.testing.assert_allclose([told[name] for name in network.tags], shares.mean(axis=0), rtol=1e-4)

    def test_the_forests_follow_the_descriptors(self):
        forest = made_predictor("forest")
        expected = forest.tag_forest.predict(describe(noise(2), 8_000)[None])[0]
        told = {each.tag: each.share for each in forest.predict(noise(2)).tags}
        assert [told[name] for name in forest.tags] == expected.tolist()

    def test_without_tags_there_are_none_and_so_after_loading(self, tmp_path):
        for kind in ("network", "forest", "blend"):
            bare = made_predictor(kind, tags=())
            bare.save(tmp_path / kind)
            loaded = load_predictor(tmp_path / kind)
            assert loaded.tags == () and loaded.predict(noise(2)).tags == ()
            assert loaded.predict(noise(2)) == bare.predict(noise(2))
