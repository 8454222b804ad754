"""Held-out songs: each is answered once, by a model that has heard nothing of its group."""

import hashlib
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from predictor_tools import made_predictor

from earmark.errors import CatalogueError
from earmark.model import held_out as module
from earmark.model.answers import Answers
from earmark.model.held_out import HeldOut, Part, calibration_of, held_out, parts_of
from earmark.model.material import Material
from earmark.model.tags import Tags
from earmark.params import Calibration
from model_tools import FRONTEND

GENRES = ("calm", "loud", "odd")
TAGS = ("appeal---like", "category---sea", "feeling---calmness")
HOW = Calibration(folds=0, repeats=1, coverage=0.8, by_class=False, least_accuracy=0.0)


def material(*, artists: int = 6, songs: int = 4, root=None) -> Material:
    """Of each genre so many artists with so many songs: of each six artists four train, one validates, one tests."""
    rows = []
    for genre in GENRES:
        for artist in range(artists):
            part = {4: "validation", 5: "test"}.get(artist % 6, "train")
            rows += [{"genre": genre, "group": f"{genre} {artist}", "split": part, "path": "x"} for _ in range(songs)]
    tracks = pd.DataFrame(rows).sample(frac=1, random_state=0).reset_index(drop=True)  # in no order by group
    tracks = tracks.assign(track_id=[f"{i:03d}" for i in range(len(tracks))])
    tracks["content_hash"] = [f"{i:064d}" for i in range(len(tracks))]
    return Material(tracks, root, FRONTEND)


def ids(*tables: pd.DataFrame) -> list[str]:
    return sorted(track for table in tables for track in table["track_id"])


class TestPartsOf:
    def test_without_folds_it_is_the_validation_part_that_is_held_out(self):
        made = material()
        (part,) = parts_of(made, 0, seed=1)
        assert ids(part.fitted) == ids(made.part("train")) and ids(part.held) == ids(made.part("validation"))

    @pytest.mark.parametrize("folds", [2, 3, 5])
    def test_every_track_but_the_test_parts_is_held_out_exactly_once(self, folds):
        made = material()
        parts = parts_of(made, folds, seed=1)
        assert len(parts) == folds
        assert ids(*(part.held for part in parts)) == ids(made.part("train"), made.part("validation"))
        for part in parts:
            assert ids(part.fitted, part.held) == ids(made.part("train"), made.part("validation"))

    @pytest.mark.parametrize("folds", [0, 2, 5])
    def test_no_group_stands_on_both_sides(self, folds):
        for part in parts_of(material(), folds, seed=1):
            assert not set(part.fitted["group"]) & set(part.held["group"])

    def test_every_part_has_every_genre_on_both_sides(self):
        for part in parts_of(material(), 5, seed=1):
            assert set(part.fitted["genre"]) == set(part.held["genre"]) == set(GENRES)

    def test_the_seed_decides(self):
        one, same, other = (parts_of(material(), 3, seed=seed) for seed in (1, 1, 2))
        assert [ids(part.held) for part in one] == [ids(part.held) for part in same]
        assert [ids(part.held) for part in one] != [ids(part.held) for part in other]

    @pytest.mark.parametrize("folds", [1, 6])
    def test_so_many_folds_as_a_genre_has_no_artists_for_are_refused(self, folds):
        with pytest.raises(CatalogueError, match=rf"folds is {folds}, but a genre has 5 groups.*0, or to 2 … 5"):
            parts_of(material(), folds, seed=1)


class Asked:
    """A predictor that answers with its number and the song's."""

    def __init__(self, number: int) -> None:
        self.number = number


@pytest.fixture
def asked(monkeypatch):
    """`answers_of`, without audio: probabilities name the model, the embedding the song."""

    def answers(predictor, tracks, root, *, raw=False):
        assert raw
        songs = tracks["track_id"].astype(int).to_numpy(np.float64)
        genres = np.tile([predictor.number, 0.5, 0.25], (len(tracks), 1))
        return Answers(genres, songs[:, None] / 1_000, songs[:, None])

    monkeypatch.setattr(module, "answers_of", answers)


class TestRepeats:
    def test_each_repeat_divides_all_anew(self):
        parts = parts_of(material(), 3, seed=1, repeats=2)
        held = [frozenset(part.held["track_id"]) for part in parts]
        assert len(parts) == 6 and len(set(held)) > 3
        for some in (held[:3], held[3:]):
            assert sorted(track for each in some for track in each) == ids(
                material().part("train"), material().part("validation")
            )


class TestHeldOut:
    def test_each_song_is_answered_by_the_model_that_was_kept_from_it(self, asked, tmp_path):
        made = material()
        parts = parts_of(made, 3, seed=1)
        held = held_out(((Asked(number), part) for number, part in enumerate(parts)), tmp_path)
        assert list(held.tracks["track_id"]) == ids(made.part("train"), made.part("validation"))
        for row, (track, number) in enumerate(zip(held.tracks["track_id"], held.tracks["part"], strict=True)):
            assert track in set(parts[number].held["track_id"])
            assert held.answers.genres[row, 0] == number and held.answers.embeddings[row, 0] == int(track)

    def test_a_song_that_was_kept_from_several_is_answered_by_them_together(self, monkeypatch, tmp_path):
        made = material()
        parts = parts_of(made, 3, seed=1, repeats=2)
        rng = np.random.default_rng(0)
        told: dict[str, list[np.ndarray]] = {}

        def answer(predictor, tracks, root, *, raw):
            genres = rng.dirichlet([1.0, 1.0, 1.0], len(tracks))
            for track, row in zip(tracks["track_id"], genres, strict=True):
                told.setdefault(track, []).append(row)
            return Answers(genres, genres[:, :2], genres + predictor)

        monkeypatch.setattr(module, "answers_of", answer)
        held = held_out(((number, part) for number, part in enumerate(parts)), tmp_path)
        assert list(held.tracks["track_id"]) == ids(made.part("train"), made.part("validation"))
        assert set(held.tracks["part"]) == {0, 1, 2}  # of the first division
        for row, track in enumerate(held.tracks["track_id"]):
            one, other = told[track]
            product = np.sqrt(one * other)
            np.testing.assert_allclose(held.answers.genres[row], product / product.sum())
            np.testing.assert_allclose(held.answers.shares[row], (one + other)[:2] / 2)
            np.testing.assert_allclose(held.answers.embeddings[row], one + held.tracks["part"][row])

    def test_what_was_saved_is_read_to_the_bit(self, asked, tmp_path):
        made = material()
        held = held_out(((Asked(number), part) for number, part in enumerate(parts_of(made, 2, seed=1))), tmp_path)
        rng = np.random.default_rng(0)
        held = replace(held, answers=Answers(*(rng.random((len(held.tracks), width)) for width in (3, 12, 2))))
        held.save(tmp_path)
        loaded = HeldOut.load(tmp_path, made)
        pd.testing.assert_frame_equal(loaded.tracks, held.tracks, check_dtype=False)
        for name in ("genres", "shares", "embeddings"):
            np.testing.assert_array_equal(getattr(loaded.answers, name), getattr(held.answers, name))

    def test_saving_twice_gives_the_same_bytes(self, asked, tmp_path):
        held = held_out(((Asked(0), part) for part in parts_of(material(), 0, seed=1)), tmp_path)
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            held.save(tmp_path / name)
        assert (tmp_path / "one" / module.FILE).read_bytes() == (tmp_path / "two" / module.FILE).read_bytes()

    def test_where_nothing_is_held_out_there_is_nothing(self, asked, tmp_path):
        made = material()
        made = replace(made, tracks=made.tracks[made.tracks["split"] != "validation"])
        held = held_out(((Asked(0), part) for part in parts_of(made, 0, seed=1)), tmp_path)
        assert len(held.tracks) == len(held.answers) == 0
        held.save(tmp_path)
        loaded = HeldOut.load(tmp_path, made)
        assert len(loaded.tracks) == len(loaded.answers) == 0


class TestCalibrationOf:
    @pytest.fixture
    def told(self, tmp_path):
        """Two parts, of models that are too sure of themselves, and whose embeddings have nothing in common."""
        made = material(artists=24, root=tmp_path)
        rng = np.random.default_rng(1)
        parts = parts_of(made, 2, seed=1)
        tracks = pd.concat([part.held.assign(part=n) for n, part in enumerate(parts)]).sort_values("track_id")
        tracks = tracks.reset_index(drop=True)
        logits = 1.5 * np.eye(3)[made.indices(tracks)] + 1.5 * rng.normal(size=(len(tracks), 3))
        odds = np.exp(3 * logits)
        embeddings = rng.normal(size=(len(tracks), 2)) + 1_000 * tracks["part"].to_numpy()[:, None]
        answers = Answers(odds / odds.sum(axis=1, keepdims=True), rng.random((len(tracks), 3)), embeddings)
        rows = [(track, tag, 0.3, 1.0, 0.5) for track in tracks["track_id"] for tag in TAGS]
        table = pd.DataFrame(rows, columns=["track_id", "tag", "share", "weight", "ceiling"])
        return HeldOut(tracks, answers), replace(made, tags=Tags(TAGS, table))

    def test_answers_that_were_too_sure_are_tempered_and_sets_hold_the_truth_as_often_as_asked(self, told):
        held, made = told
        sure = calibration_of(held, np.random.default_rng(2).normal(size=(60, 2)), made, HOW)
        assert sure.temperature > 1.5 and sure.tracks == len(held.tracks)
        inside = sure.genre_sets(held.answers.genres)[np.arange(len(held.tracks)), made.indices(held.tracks)]
        assert 0.75 < inside.mean() < 0.95
        low, high = sure.share_intervals(held.answers.shares)
        assert ((low <= 0.3) & (high >= 0.3)).all() and (high - low).max() < 0.5

    @pytest.mark.parametrize("by_class", [False, True])
    def test_sets_have_a_threshold_for_each_genre_where_params_say_so(self, told, by_class):
        held, made = told
        sure = calibration_of(held, np.zeros((9, 2)), made, replace(HOW, by_class=by_class))
        assert len({*sure.sets.thresholds}) == len(sure.sets.thresholds) == (len(GENRES) if by_class else 1)

    @pytest.mark.parametrize("least", [0.0, 0.7])
    def test_what_is_answered_is_right_as_often_as_params_say_and_without_that_all_is_answered(self, told, least):
        held, made = told
        right = held.answers.genres.argmax(axis=1) == made.indices(held.tracks)
        sure = calibration_of(held, np.zeros((9, 2)), made, replace(HOW, least_accuracy=least))
        answered = sure.sure(held.answers.genres)
        assert right.mean() < 0.7
        assert answered.all() if least == 0 else 0.1 < answered.mean() < 0.9 and right[answered].mean() >= least

    @pytest.mark.parametrize("coverage", [0.6, 0.95])
    def test_sets_hold_the_truth_as_often_as_params_say(self, told, coverage):
        held, made = told
        sure = calibration_of(held, np.zeros((9, 2)), made, replace(HOW, coverage=coverage))
        inside = sure.genre_sets(held.answers.genres)[np.arange(len(held.tracks)), made.indices(held.tracks)]
        assert inside.mean() == pytest.approx(coverage, abs=0.06)

    def test_embeddings_are_held_against_those_of_the_same_model_alone(self, told):
        held, made = told
        sure = calibration_of(held, np.random.default_rng(2).normal(size=(60, 2)), made, HOW)
        first = held.answers.embeddings[(held.tracks["part"] == 0).to_numpy()]
        assert len(sure.familiar.distances) == len(first)
        assert sure.familiar.p_value(first).min() > 0.005
        assert sure.familiar.p_value(first + 1_000).max() < 0.05


def test_a_real_predictor_is_asked_for_what_it_says_before_calibration(tmp_path, encode):
    content = encode("wav", seconds=2.0, tone_hz=330.0)
    (tmp_path / "song.wav").write_bytes(content)
    row = {"track_id": "a", "content_hash": hashlib.sha256(content).hexdigest(), "path": "song.wav"}
    tracks = pd.DataFrame([row | {"split": "validation", "group": "g", "genre": "calm"}])
    forest = made_predictor("forest")
    held = held_out(iter([(forest, Part(tracks.iloc[:0], tracks))]), tmp_path)
    assert held.answers.genres.shape == (1, 3) and held.answers.shares.shape == (1, 3)
    assert list(held.tracks["part"]) == [0]
