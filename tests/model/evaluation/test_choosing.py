"""By what a challenger is chosen: held-out songs alone, each kind against each other."""

import numpy as np
import pandas as pd
import pytest
from tested_songs import HOW, said

from earmark.errors import ModelError
from earmark.model.evaluation.choosing import held_out_differences, held_out_scores

ACTUAL = np.array([0, 1, 2] * 10)
TRACKS = pd.DataFrame({"group": [f"artist {place // 2}" for place in range(30)]})
GOOD, BAD = said(ACTUAL, 0.9).genres, said((ACTUAL + 1) % 3, 0.6).genres


class TestHeldOutScores:
    def test_each_kind_has_its_accuracy_and_log_loss_with_intervals(self):
        mixed = np.where((np.arange(30) % 3 == 0)[:, None], BAD, GOOD)
        found = held_out_scores({"mixed": mixed, "good": GOOD}, ACTUAL, TRACKS, HOW)
        assert found["mixed"]["accuracy"] == pytest.approx(2 / 3)
        assert found["mixed"]["accuracy_low"] < 2 / 3 < found["mixed"]["accuracy_high"]
        assert found["good"]["log_loss"] == pytest.approx(-np.log(0.9))
        assert found["good"]["tracks"] == 30

    def test_where_none_was_held_out_nothing_is_said(self):
        none = {"good": np.zeros((0, 3))}
        assert held_out_scores(none, ACTUAL[:0], TRACKS[:0], HOW) == {}
        assert held_out_differences(none, ACTUAL[:0], TRACKS[:0], HOW) == {}

    def test_kinds_that_answered_other_songs_cannot_be_compared(self):
        with pytest.raises(ModelError, match="train them again"):
            held_out_scores({"good": GOOD, "bad": BAD[:20]}, ACTUAL, TRACKS, HOW)


class TestHeldOutDifferences:
    def test_each_kind_is_held_against_each_other(self):
        found = held_out_differences({"good": GOOD, "bad": BAD, "third": GOOD}, ACTUAL, TRACKS, HOW)
        assert {ours: set(theirs) for ours, theirs in found.items()} == {
            "good": {"bad", "third"},
            "bad": {"good", "third"},
            "third": {"good", "bad"},
        }

    def test_it_is_ours_minus_theirs_and_the_other_way_round_the_opposite(self):
        found = held_out_differences({"good": GOOD, "bad": BAD}, ACTUAL, TRACKS, HOW)
        ahead, behind = found["good"]["bad"], found["bad"]["good"]
        assert ahead["accuracy"] == 1.0
        assert ahead["log_loss"] == pytest.approx(-np.log(0.9) + np.log(0.2))
        for name in ("accuracy", "log_loss"):
            assert behind[f"{name}_low"] == pytest.approx(-ahead[f"{name}_high"])

    def test_what_is_right_together_and_wrong_together_differs_in_no_draw(self):
        found = held_out_differences({"one": GOOD, "two": said(ACTUAL, 0.5).genres}, ACTUAL, TRACKS, HOW)
        gain = found["one"]["two"]
        assert (gain["accuracy_low"], gain["accuracy_high"]) == (0.0, 0.0)
        assert gain["log_loss_high"] < 0
