"""Scores of all models on the same songs, their differences, and each genre for itself."""

import numpy as np
import pytest
from sklearn.metrics import f1_score, precision_score, recall_score
from tested_songs import HOW, LABELS, answers, asked, calibrated, said

from earmark.model.evaluation.per_class import per_class
from earmark.model.evaluation.scores import differences, scores

ACTUAL = np.array([0, 1, 2] * 12)
HALF = np.where(np.arange(36) % 2, ACTUAL, (ACTUAL + 1) % 3)


class TestScores:
    def test_beside_the_models_stands_what_one_can_say_without_listening(self):
        found = scores(asked(ACTUAL, {"ear": said(ACTUAL)}), HOW)
        assert set(found) == {"ear", "majority"}
        assert found["ear"]["accuracy"] == 1.0
        assert found["majority"]["accuracy"] == pytest.approx(1 / 3)  # always jazz, the commonest in training

    def test_a_difference_is_of_the_first_to_the_second(self):
        found = differences(asked(ACTUAL, {"ear": said(ACTUAL), "half": said(HALF)}), HOW)
        assert set(found) == {"ear - half", "ear - majority", "half - majority"}
        gain = found["ear - half"]
        assert gain["accuracy"] == pytest.approx(0.5)
        assert 0 < gain["accuracy_low"] <= 0.5 <= gain["accuracy_high"]

    def test_a_model_does_not_differ_from_itself_in_any_draw(self):
        gain = differences(asked(ACTUAL, {"one": said(HALF), "two": said(HALF, 0.5)}), HOW)["one - two"]
        assert set(gain.values()) == {0.0}


class TestPerClass:
    def test_precision_recall_and_f1_are_those_of_scikit_learn(self):
        rng = np.random.default_rng(4)
        actual, guessed = rng.integers(0, 3, 80), rng.integers(0, 3, 80)
        table = per_class(asked(actual, {"ear": said(guessed)}), HOW).set_index("genre")
        for name, measure in (("precision", precision_score), ("recall", recall_score), ("f1", f1_score)):
            np.testing.assert_allclose(table.loc[list(LABELS), name], measure(actual, guessed, average=None))
            assert (table[f"{name}_low"] <= table[name]).all()
            assert (table[name] <= table[f"{name}_high"]).all()

    def test_it_says_of_how_many_songs_and_artists(self):
        groups = np.where(ACTUAL == 0, 7, np.arange(36))
        table = per_class(asked(ACTUAL, {"ear": said(ACTUAL)}, groups), HOW).set_index("genre")
        assert list(table.loc["folk", ["support", "groups"]]) == [12, 1]
        assert list(table.loc["rock", ["support", "groups"]]) == [12, 12]

    def test_a_genre_that_is_never_said_has_no_precision_to_speak_of(self):
        table = per_class(asked(ACTUAL, {"ear": said(np.ones(36, dtype=int))}), HOW).set_index("genre")
        assert list(table.loc["folk", ["precision", "recall", "f1"]]) == [0.0, 0.0, 0.0]

    def test_of_a_genre_without_a_song_there_is_no_number(self):
        table = per_class(asked(ACTUAL[ACTUAL < 2], {"ear": said(ACTUAL[ACTUAL < 2])}), HOW).set_index("genre")
        assert table.loc["rock", ["recall", "f1", "f1_low"]].isna().all()

    def test_the_sets_of_each_genre_are_looked_at_alone(self):
        told, actual, _, calibration = calibrated()
        table = per_class(asked(actual, {"ear": told}, calibrations={"ear": calibration}), HOW).set_index("genre")
        sets = calibration.sets.sets(told.genres)
        for label, genre in enumerate(LABELS):
            its = sets[actual == label]
            assert table.loc[genre, "set_coverage"] == pytest.approx(its[:, label].mean())
            assert table.loc[genre, "set_size"] == pytest.approx(its.sum(axis=1).mean())

    def test_without_calibration_nothing_is_said_of_sets(self):
        table = per_class(asked(ACTUAL, {"ear": answers(np.eye(3)[ACTUAL])}), HOW)
        assert "set_coverage" not in table
