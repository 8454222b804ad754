"""Similar songs and ranks of appeal, against distances that scipy computes and shares that are counted by hand."""

import json
import threading
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import cdist

from earmark.errors import ModelError
from earmark.model import neighbours
from earmark.model.neighbours import ABOUT, EMBEDDINGS, SCHEMA, SONGS, Neighbours
from earmark.model.prediction import Share, TagShare

RANDOM = np.random.default_rng(0)
SCALES = np.array([1.0, 1e-3, 200.0, 5.0, 1.0, 1e4, 1.0, 1.0])
PLACES = RANDOM.normal(size=(300, 8)) * SCALES + 3 * SCALES  # all lean to one side, and the units differ


def table(count: int = 300, **columns: Any) -> pd.DataFrame:
    known: dict[str, Any] = dict.fromkeys(SCHEMA.names)
    known |= {
        "track_id": [f"{n:05d}" for n in range(count)],
        "content_hash": [f"{n % 290:064x}" for n in range(count)],  # the last ones are copies of the first
        "appeal": np.linspace(0, 1, count),
    }
    return pd.DataFrame({**known, **columns}, index=range(count))


def brute_force(places: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Cosines with each song, once all is standardised."""
    mean, scale = places.mean(axis=0), places.std(axis=0)
    return 1 - cdist([(asked - mean) / scale], (places - mean) / scale, "cosine")[0]


@pytest.fixture(scope="module")
def catalogue() -> Neighbours:
    return Neighbours.of(table(), PLACES)


class TestWhichTrack:
    def test_a_file_of_the_catalogue_is_known_by_its_hash_and_of_copies_the_first(self, catalogue):
        assert catalogue.track_of(f"{7:064x}") == "00007"
        assert catalogue.track_of(f"{289:064x}") == "00289"
        assert catalogue.track_of("f" * 64) is None


class TestNearest:
    def test_songs_come_in_the_order_of_the_cosine_of_standardised_embeddings(self, catalogue):
        for asked in RANDOM.normal(size=(20, 8)) * SCALES + 3 * SCALES:
            cosines = brute_force(PLACES, asked)
            found = catalogue.nearest(asked, 10)
            assert [int(each.track_id) for each in found] == np.argsort(-cosines)[:10].tolist()
            np.testing.assert_allclose([each.similarity for each in found], np.sort(cosines)[::-1][:10], atol=1e-5)

    def test_the_units_of_the_dimensions_make_no_difference(self, catalogue):
        other = Neighbours.of(table(), PLACES * 1000 / SCALES - 7)
        for row in range(20):
            ours, theirs = catalogue.nearest(PLACES[row], 8), other.nearest(PLACES[row] * 1000 / SCALES - 7, 8)
            assert [each.track_id for each in ours] == [each.track_id for each in theirs]

    def test_a_recording_of_the_catalogue_comes_first_with_a_similarity_of_1(self, catalogue):
        for row in range(0, 300, 17):
            first = catalogue.nearest(PLACES[row], 3)[0]
            assert (first.track_id, first.similarity) == (f"{row:05d}", 1.0)

    def test_of_copies_the_first_in_the_catalogue_comes_first(self):
        places = np.concatenate([PLACES, PLACES[[5, 9]]])
        found = Neighbours.of(table(302), places).nearest(places[5], 3)
        assert [each.track_id for each in found[:2]] == ["00005", "00300"]
        assert [each.similarity for each in found[:2]] == [1.0, 1.0] and found[2].similarity < 1.0

    def test_of_what_nothing_is_known_nothing_is_common(self, catalogue):
        assert [each.similarity for each in catalogue.nearest(np.full(8, np.nan), 5)] == [0.0] * 5

    @pytest.mark.parametrize(("asked", "come"), [(0, 0), (-1, 0), (1, 1), (300, 300), (1000, 300)])
    def test_as_many_come_as_are_asked_for_or_there_are(self, catalogue, asked, come):
        found = catalogue.nearest(PLACES[3], asked)
        assert len(found) == len({each.track_id for each in found}) == come

    def test_a_large_catalogue_is_searched_by_the_graph_and_hardly_anything_is_missed(self, monkeypatch):
        places = RANDOM.normal(size=(3000, 24))
        catalogue = Neighbours.of(table(3000), places)
        monkeypatch.setattr(neighbours, "EXACT_UP_TO", 100)
        hits = []
        for row in range(0, 3000, 60):
            found = [int(each.track_id) for each in catalogue.nearest(places[row], 10)]
            assert found[0] == row
            hits.append(len(set(found) & set(np.argsort(-brute_force(places, places[row]))[:10].tolist())))
        assert np.mean(hits) > 9.8

    def test_what_is_not_finite_counts_as_the_mean(self):
        places = PLACES.copy()
        places[7, 2], places[8, 0] = np.nan, np.inf
        filled = places.copy()
        filled[7, 2] = np.delete(places[:, 2], 7).mean()
        found = Neighbours.of(table(), places)
        assert found.nearest(places[7], 1)[0].track_id == "00007"
        told = found.nearest(filled[7], 2)
        assert told[0].track_id == "00007" and told[0].similarity == 1.0

    def test_a_dimension_in_which_no_song_differs_tells_nothing(self):
        flat = np.concatenate([PLACES, np.full((300, 1), 0.1)], axis=1)
        ours, theirs = Neighbours.of(table(), flat), Neighbours.of(table(), PLACES)
        asked = np.append(PLACES[4], 0.1)
        assert ours.nearest(asked, 6) == theirs.nearest(PLACES[4], 6)

    def test_an_embedding_of_another_model_is_refused(self, catalogue):
        with pytest.raises(ModelError, match=r"shape \(8,\).*\(9,\).*another model"):
            catalogue.nearest(np.zeros(9), 3)

    def test_threads_that_ask_at_once_get_what_they_would_get_one_by_one(self, catalogue):
        alone = [catalogue.nearest(place, 5) for place in PLACES]
        told: dict[int, list[Any]] = {}

        def ask(first: int) -> None:
            told.update({row: catalogue.nearest(PLACES[row], 5) for row in range(first, 300, 4)})

        threads = [threading.Thread(target=ask, args=(first,)) for first in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [told[row] for row in range(300)] == alone


class TestWhatIsTold:
    def test_names_part_and_what_listeners_did_come_with_the_song(self):
        said = [{"tag": "feeling---calmness", "share": 0.6}, {"tag": "word---study", "share": 0.2}]
        songs = table(
            3,
            title=["A Song", None, None],
            artist=["Ann", None, None],
            genre=["reel", None, None],
            part=["test", None, None],
            listeners=[12, None, None],
            liked=[0.5, None, None],
            liked_low=[0.3, None, None],
            liked_high=[0.7, None, None],
            tags=[said, [], None],
        )
        first, second, third = sorted(Neighbours.of(songs, PLACES[:3]).nearest(PLACES[0], 3), key=lambda x: x.track_id)
        assert (first.title, first.artist, first.genre, first.part) == ("A Song", "Ann", "reel", "test")
        assert (first.listeners, first.liked) == (12, Share(0.5, 0.3, 0.7))
        assert first.tags == (TagShare(0.6, tag="feeling---calmness"), TagShare(0.2, tag="word---study"))
        for nameless in (second, third):
            assert (nameless.title, nameless.artist, nameless.genre, nameless.part) == (None,) * 4
            assert (nameless.listeners, nameless.liked, nameless.tags) == (None, None, ())


class TestRank:
    def test_it_is_the_share_of_songs_that_less_is_expected_of_and_ties_count_half(self):
        appeals = [0.2, 0.4, 0.4, 0.4, 0.9]
        found = Neighbours.of(table(5, appeal=appeals), PLACES[:5])
        for share in (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.9, 1.0):
            counted = sum((each < share) + 0.5 * (each == share) for each in appeals) / 5
            assert found.rank(share) == pytest.approx(counted)

    def test_a_song_in_the_middle_of_the_catalogue_ranks_in_the_middle(self, catalogue):
        assert catalogue.rank(0.5) == pytest.approx(0.5)

    def test_a_model_that_was_taught_no_liking_ranks_nothing(self):
        assert Neighbours.of(table(appeal=None), PLACES).rank(0.5) is None


class TestFolder:
    @pytest.fixture
    def folder(self, catalogue, tmp_path):
        catalogue.save(tmp_path / "neighbours")
        return tmp_path / "neighbours"

    def test_what_is_read_answers_as_what_was_written(self, catalogue, folder):
        read = Neighbours.load(folder)
        assert len(read) == len(catalogue) == 300
        for place in PLACES[:20]:
            assert read.nearest(place, 7) == catalogue.nearest(place, 7)
        assert read.rank(0.3) == catalogue.rank(0.3)

    def test_by_the_graph_too(self, catalogue, folder, monkeypatch):
        monkeypatch.setattr(neighbours, "EXACT_UP_TO", 0)
        assert Neighbours.load(folder).nearest(PLACES[0], 7) == catalogue.nearest(PLACES[0], 7)

    def test_the_same_songs_make_the_same_bytes(self, folder, tmp_path):
        Neighbours.of(table(), PLACES).save(tmp_path / "again")
        for name in (ABOUT, SONGS, EMBEDDINGS):
            assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes()

    def test_where_there_is_none_the_remedy_is_named(self, tmp_path):
        with pytest.raises(ModelError, match=r"holds no neighbours.*dvc repro neighbours"):
            Neighbours.load(tmp_path)

    @pytest.mark.parametrize("name", [SONGS, EMBEDDINGS])
    @pytest.mark.parametrize(
        "damage",
        [lambda content: b"", lambda content: content[:-20], lambda content: content[:90] + b"?" + content[91:]],
    )
    def test_a_damaged_file_is_named(self, folder, name, damage):
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(damage(content))
        with pytest.raises(ModelError, match=f"damaged: {name} is not what was written.*promoting again"):
            Neighbours.load(folder)

    @pytest.mark.parametrize("name", [SONGS, EMBEDDINGS])
    def test_a_missing_file_is_named(self, folder, name):
        (folder / name).unlink()
        with pytest.raises(ModelError, match=f"damaged: .*{name}"):
            Neighbours.load(folder)

    @pytest.mark.parametrize("content", ["{", "[]", '{"format": 1}', '{"format": 1, "files": {}, "mean": [0.0]}'])
    def test_so_is_a_damaged_list_of_contents(self, folder, content):
        (folder / ABOUT).write_text(content)
        with pytest.raises(ModelError, match=r"damaged|format None"):
            Neighbours.load(folder)

    @pytest.mark.parametrize("change", [{"songs": 299}, {"mean": [0.0] * 7}, {"scale": [1.0]}])
    def test_numbers_that_do_not_fit_each_other_are_found(self, folder, change):
        about = json.loads((folder / ABOUT).read_text())
        (folder / ABOUT).write_text(json.dumps({**about, **change}))
        with pytest.raises(ModelError, match="damaged"):
            Neighbours.load(folder)

    def test_another_version_is_told_from_damage(self, folder):
        about = json.loads((folder / ABOUT).read_text())
        (folder / ABOUT).write_text(json.dumps({**about, "format": 99}))
        with pytest.raises(ModelError, match="has format 99; this earmark reads 1"):
            Neighbours.load(folder)


class TestOf:
    @pytest.mark.parametrize("places", [np.zeros((0, 8)), np.zeros((3, 0)), np.zeros(3), np.zeros((4, 8))])
    def test_an_embedding_of_each_of_one_song_at_least_is_needed(self, places):
        with pytest.raises(ModelError, match="at least one song and an embedding of each"):
            Neighbours.of(table(3 if len(places) else 0), places)
