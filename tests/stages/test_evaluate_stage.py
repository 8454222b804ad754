"""What the stage `evaluate` says of held-out songs, by which a challenger is chosen, and of each song's answer."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from earmark.errors import ModelError
from earmark.model.answers import Answers
from earmark.model.calibration.calibration import calibrate
from earmark.model.evaluation import tested as songs
from earmark.model.held_out import HeldOut
from earmark.model.material import Material
from earmark.params import Evaluation, load_params
from earmark.stages import evaluate
from scratch import CHECKOUT

HOW = Evaluation(seed=1, resamples=100, confidence=0.95)
GENRES = ("folk", "jazz")


def material(tmp_path) -> Material:
    """Forty songs to learn, thirty of them jazz; twenty held out; ten for the test."""
    rows = [("train", "jazz" if place % 4 else "folk") for place in range(40)]
    rows += [("validation", GENRES[place % 2]) for place in range(20)] + [
        ("test", GENRES[place % 2]) for place in range(10)
    ]
    tracks = pd.DataFrame(rows, columns=["split", "genre"])
    names = [f"{place:02d}" for place in range(len(tracks))]
    tracks = tracks.assign(track_id=names, content_hash=names, path=names, group=names)
    return Material(tracks, tmp_path, load_params(CHECKOUT / "params.yaml").frontend)


def answers(of: Material, split: str, right: int, sure: float = 0.9) -> Answers:
    """To the songs of a part, the first ``right`` of them rightly."""
    actual = of.indices(of.part(split))
    said = np.where(np.arange(len(actual)) < right, actual, 1 - actual)
    genres = np.where(np.eye(2)[said] == 1, sure, 1 - sure)
    return Answers(genres, np.zeros((len(actual), 0)), np.zeros((len(actual), 1)))


def held(of: Material, right: int) -> HeldOut:
    return HeldOut(of.part("validation").assign(part=0).reset_index(drop=True), answers(of, "validation", right))


class TestHeldOut:
    def test_each_kind_stands_beside_the_commonest_genre_and_against_the_others(self, tmp_path):
        of = material(tmp_path)
        found = evaluate._of_held_out(of, {"network": held(of, 18), "forest": held(of, 14)}, HOW)
        assert {kind: each["accuracy"] for kind, each in found["held_out"].items()} == pytest.approx(
            {"network": 0.9, "forest": 0.7, "majority": 0.5}
        )
        assert found["held_out_difference"]["forest"]["network"]["accuracy"] == pytest.approx(-0.2)
        assert found["validation_difference"] == {
            name: found["held_out_difference"]["network"]["forest"][name]
            for name in ("accuracy", "accuracy_low", "accuracy_high")
        }

    def test_kinds_that_were_held_out_from_different_songs_are_refused(self, tmp_path):
        of = material(tmp_path)
        whole = held(of, 18)
        fewer = HeldOut(whole.tracks[1:], whole.answers[np.arange(1, 20)])
        with pytest.raises(ModelError, match="different songs"):
            evaluate._of_held_out(of, {"network": whole, "forest": fewer}, HOW)

    def test_answers_are_as_sure_as_each_model_has_learnt_to_be(self, tmp_path):
        of = material(tmp_path)
        raw = held(of, 12)  # right in 60 of 100, and 90 % sure
        actual = of.indices(raw.tracks)
        calibration = calibrate(
            probabilities=raw.answers.genres, actual=actual, coverage=0.9, by_class=False, least_accuracy=0.0, seed=0
        )

        @dataclasses.dataclass
        class Sure:
            calibration: object

        found = evaluate._tempered({"a": raw, "b": raw}, {"a": Sure(calibration), "b": Sure(None)})
        assert found["a"].answers.genres.max() < 0.8
        np.testing.assert_array_equal(found["b"].answers.genres, raw.answers.genres)


class TestPredictions:
    def test_held_out_songs_are_marked_and_answered_by_models_that_were_kept_from_them(self, tmp_path):
        of = material(tmp_path)
        test = of.part("test")
        told = {"network": answers(of, "test", 10)}
        given = songs.Tested(
            GENRES, of.indices(test), test["group"].to_numpy(object), told, {"network": None}, np.array([10, 30])
        )
        table = evaluate._predictions(of, test, given, {"network": held(of, 5)})
        assert dict(table.groupby("split")["held_out"].mean()) == {"test": 0.0, "validation": 1.0}
        right = (table["predicted"] == table["genre"]).groupby(table["split"]).sum()
        assert dict(right) == {"test": 10, "validation": 5}
        np.testing.assert_allclose(table[["p_folk", "p_jazz"]].sum(axis=1), 1.0)
