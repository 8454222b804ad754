"""Material: what stages hand to models, read without computing more than is asked for; and the names of it."""

import hashlib
import resource
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from earmark.audio.features import FeatureCache
from earmark.errors import CatalogueError
from earmark.model.material import Material, hear
from earmark.model.network.examples import UNLABELLED, ExcerptDataset
from earmark.model.tags import Tags
from earmark.workspace import EVIDENCE, FEATURE_CACHE
from model_tools import FRONTEND


def material(root, tracks: list[tuple[str, str]]) -> Material:
    """Of (content hash, path), in two genres, all for training."""
    rows = [
        {"track_id": f"{i:05d}", "content_hash": name, "path": path, "split": "train", "group": f"g{i}"}
        for i, (name, path) in enumerate(tracks)
    ]
    return Material(pd.DataFrame(rows).assign(genre=["a", "b"] * (len(rows) // 2)), root, FRONTEND)


@pytest.fixture
def cached(tmp_path):
    """400 recordings whose log-mels are in the cache; their audio is nowhere. Value = number of the recording."""
    cache = FeatureCache(tmp_path / FEATURE_CACHE, FRONTEND)
    names = [hashlib.sha256(str(i).encode()).hexdigest() for i in range(400)]
    for i, name in enumerate(names):
        cache.store(name, np.full((12, 16), i, np.float16))
    return material(tmp_path, [(name, f"{i}.wav") for i, name in enumerate(names)])


@pytest.fixture
def two_songs(tmp_path, encode):
    """Two recordings with their audio, nothing in the cache."""
    tracks = []
    for hertz in (220.0, 440.0):
        content = encode("wav", seconds=2.0, tone_hz=hertz)
        (tmp_path / f"{hertz}.wav").write_bytes(content)
        tracks.append((hashlib.sha256(content).hexdigest(), f"{hertz}.wav"))
    return material(tmp_path, tracks)


class TestExamples:
    def test_many_more_recordings_than_files_may_be_open_are_no_trouble(self, cached):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        examples = cached.examples(cached.tracks)
        few = len(list(Path("/proc/self/fd").iterdir())) + 80
        resource.setrlimit(resource.RLIMIT_NOFILE, (few, hard))
        try:
            dataset = ExcerptDataset(examples, frames=4)
            heard = [dataset[track, 0.5] for track in [*range(400), *range(400)]]
            kept = [examples.log_mels[track] for track in range(400)]  # what somebody holds on to is still right
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert [float(excerpt.mean()) for excerpt, *_ in heard] == [*map(float, range(400))] * 2
        assert [int(labels) for *_, labels in heard[:4]] == [0, 1, 0, 1]
        assert [float(log_mel[0, 0]) for log_mel in kept] == [*map(float, range(400))]

    def test_some_of_them_are_the_chosen_ones(self, cached):
        some = cached.examples(cached.tracks)[[7, 3, 399]]
        assert [float(log_mel[0, 0]) for log_mel in some.log_mels] == [7.0, 3.0, 399.0]
        assert [float(log_mel[0, 0]) for log_mel in some[[2]].log_mels] == [399.0]
        assert some.labels.tolist() == [1, 1, 1]

    def test_nothing_is_computed_before_it_is_asked_for(self, two_songs):
        examples = two_songs.examples(two_songs.tracks)
        assert not (two_songs.root / FEATURE_CACHE).exists()
        assert examples.log_mels[1].shape == (126, 16)

    def test_an_entry_that_was_damaged_is_made_again_from_the_audio(self, two_songs):
        whole = np.array(two_songs.examples(two_songs.tracks).log_mels[0])
        entry = FeatureCache(two_songs.root / FEATURE_CACHE, FRONTEND).path(two_songs.tracks["content_hash"][0])
        content = bytearray(entry.read_bytes())
        content[len(content) // 2] ^= 1
        entry.write_bytes(content)
        np.testing.assert_array_equal(two_songs.examples(two_songs.tracks).log_mels[0], whole)

    def test_other_audio_under_the_old_name_is_not_learnt_from(self, two_songs, encode):
        (two_songs.root / "440.0.wav").write_bytes(encode("wav", seconds=2.0, tone_hz=500.0))
        with pytest.raises(CatalogueError, match="not what was imported"):
            _ = two_songs.examples(two_songs.tracks).log_mels[1]

    def test_a_track_without_a_genre_is_of_none_and_has_what_else_is_known(self, cached):
        told = pd.DataFrame([("00001", "word---sad", 0.7, 0.5, 0.9)], columns=Tags().table.columns)
        tracks = cached.tracks.iloc[:3].assign(genre=["a", None, "a"])
        examples = replace(cached, tags=Tags(("word---sad",), told)).examples(tracks)
        assert examples.labels.tolist() == [0, UNLABELLED, 0]
        assert examples.genres.tolist() == [[1, 0], [0, 0], [1, 0]]
        np.testing.assert_allclose(examples.tags[:, :, 0], [[0, 0], [0.7, 0.5], [0, 0]])


class TestHear:
    def test_afterwards_log_mels_are_there_without_the_audio(self, two_songs):
        hear(two_songs.tracks, two_songs.root, FRONTEND)
        for path in two_songs.tracks["path"]:
            (two_songs.root / path).unlink()
        assert [len(log_mel) for log_mel in two_songs.examples(two_songs.tracks).log_mels] == [126, 126]
        hear(two_songs.tracks, two_songs.root, FRONTEND)


class TestTold:
    def test_of_a_track_something_is_told_where_a_tag_has_weight_or_listeners_put_it_somewhere(self, tmp_path):
        made = replace(material(tmp_path, [(str(i) * 64, f"{i}.wav") for i in range(4)]), towards_listeners=True)
        (tmp_path / EVIDENCE).mkdir(parents=True)
        placed = pd.DataFrame({"track_id": ["00002"], "factors": [[1.0, 2.0]]})
        placed.to_parquet(tmp_path / EVIDENCE / "song_factors.parquet")
        rows = [("00000", "one", 0.0, 0.1, 0.5), ("00001", "one", 0.9, 0.0, 0.5), ("00001", "other", 0.9, 0.0, 0.5)]
        made = replace(made, tags=Tags(("one", "other"), pd.DataFrame(rows, columns=Tags().table.columns)))
        ids = made.tracks["track_id"]
        assert made.told(ids).tolist() == [True, False, True, False]
        assert made.told(ids, places=False).tolist() == [True, False, False, False]
        assert made.told(ids, tags=False).tolist() == [False, False, True, False]

    def test_where_there_are_no_tags_and_no_places_nothing_is(self, tmp_path):
        made = material(tmp_path, [("a", "x"), ("b", "y")])
        assert not made.told(made.tracks["track_id"]).any()


class TestDataHash:
    """Names what models learn from and are calibrated on."""

    @pytest.fixture
    def made(self, tmp_path):
        """Two tracks for each side."""
        whole = material(tmp_path, [(str(i) * 64, f"{i}.wav") for i in range(6)])
        sides = ["train", "train", "validation", "validation", "test", "test"]
        return replace(whole, tracks=whole.tracks.assign(split=sides))

    @staticmethod
    def relabelled(made: Material, row: int) -> Material:
        tracks = made.tracks.copy()
        tracks.loc[row, "genre"] = "a" if tracks.loc[row, "genre"] == "b" else "b"
        return replace(made, tracks=tracks)

    @pytest.mark.parametrize(("row", "part"), [(1, True), (2, True), (3, True), (4, False), (5, False)])
    def test_labels_for_training_and_validation_are_part_of_it_those_of_the_test_are_not(self, made, row, part):
        assert (self.relabelled(made, row).data_hash != made.data_hash) == part

    def test_it_is_that_of_these_tracks_in_whatever_order_and_however_often(self, made):
        tracks = made.tracks.iloc[[3, 1, 0, 2, 1]]
        assert made.hash_of(tracks) == made.data_hash
        assert len({made.hash_of(made.tracks.iloc[:number]) for number in range(7)}) == 7

    def test_a_track_without_a_genre_has_a_name_of_its_own(self, made):
        without = made.tracks.assign(genre=made.tracks["genre"].where(made.tracks["track_id"] != "00001"))
        assert made.hash_of(without) != made.hash_of(made.tracks)

    def test_what_listeners_told_of_other_tracks_is_no_part_of_it(self, made):
        def told(track_id: str, share: float) -> Material:
            rows = [(track_id, "one", share, 1.0, 0.5)]
            return replace(made, tags=Tags(("one",), pd.DataFrame(rows, columns=Tags().table.columns)))

        first = made.tracks.iloc[:3]
        assert told("00002", 0.1).hash_of(first) != told("00002", 0.2).hash_of(first)
        assert told("00003", 0.1).hash_of(first) == told("00003", 0.2).hash_of(first)


class TestPlaces:
    @pytest.fixture
    def factors(self, tmp_path):
        """Of three of four songs, one of them of no length at all."""
        (tmp_path / EVIDENCE).mkdir(parents=True)
        rows = {"track_id": ["00003", "00000", "00002"], "factors": [[3.0, 4.0], [0.0, -2.0], [0.0, 0.0]]}
        pd.DataFrame(rows).to_parquet(tmp_path / EVIDENCE / "song_factors.parquet")
        return material(tmp_path, [(str(i) * 64, f"{i}.wav") for i in range(4)])

    def test_songs_lie_where_listeners_put_them_at_length_1_and_the_others_nowhere(self, factors):
        towards = replace(factors, towards_listeners=True)
        places = towards.examples(towards.tracks).places
        assert places.dtype == np.float32
        np.testing.assert_allclose(places, [[0, -1], [np.nan, np.nan], [0, 0], [0.6, 0.8]], rtol=1e-6)

    def test_where_no_embedding_is_trained_towards_them_there_are_none(self, factors):
        assert factors.examples(factors.tracks).places.shape == (4, 0)

    def test_where_nobody_listens_there_are_none(self, tmp_path):
        alone = replace(material(tmp_path, [("a", "x"), ("b", "y")]), towards_listeners=True)
        assert alone.examples(alone.tracks).places.shape == (2, 0)

    def test_they_are_part_of_the_datas_name(self, factors):
        assert replace(factors, towards_listeners=True).data_hash != factors.data_hash
