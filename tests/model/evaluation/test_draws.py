"""Intervals from sums: the same as drawing the songs themselves, and wide where songs stand or fall together."""

import numpy as np
import pytest
from tested_songs import HOW

from earmark.model.evaluation.draws import Draws
from earmark.model.metrics import accuracy, resamples, score


class TestMean:
    def test_it_is_the_score_that_drawing_songs_one_by_one_gives(self):
        rng = np.random.default_rng(0)
        actual, predicted = rng.integers(0, 3, 60), rng.integers(0, 3, 60)
        groups = rng.integers(0, 20, 60).astype(object)
        expected = score(accuracy, actual, predicted, groups, HOW)
        found = Draws(groups, HOW).mean((actual == predicted).astype(float))
        assert (found.value, found.low, found.high) == pytest.approx((expected.value, expected.low, expected.high))

    def test_weights_count_a_song_as_often_as_they_say(self):
        values, weights = np.array([1.0, 0.0, 1.0]), np.array([1.0, 2.0, 5.0])
        found = Draws(np.arange(3).astype(object), HOW).mean(values, weights)
        assert found.value == pytest.approx(6 / 8)

    def test_songs_that_stand_or_fall_together_make_it_wide(self):
        right = np.tile([1.0, 1.0, 1.0, 1.0, 0.0], 20)
        alone = Draws(np.arange(100).astype(object), HOW).mean(right)
        together = Draws((np.arange(100) % 5).astype(object), HOW).mean(right)
        assert together.high - together.low > 3 * (alone.high - alone.low)

    def test_of_nothing_there_is_no_number(self):
        found = Draws(np.arange(4).astype(object), HOW).mean(np.ones(4), np.zeros(4))
        assert all(np.isnan([found.value, found.low, found.high]))

    def test_draws_without_any_such_song_are_left_out(self):
        only = np.array([1.0, 0.0, 0.0, 0.0])
        found = Draws(np.arange(4).astype(object), HOW).mean(np.array([0.5, 9.0, 9.0, 9.0]), only)
        assert (found.value, found.low, found.high) == (0.5, 0.5, 0.5)


class TestScores:
    def test_a_measure_is_taken_of_each_draw(self):
        groups, values = np.array(list("aabbcd"), dtype=object), np.arange(6.0)
        (found,) = Draws(groups, HOW).scores(lambda sums: sums[..., :1] ** 2, values[:, None])
        drawn = [(weights @ values) ** 2 for weights in resamples(groups, HOW)]
        low, high = np.quantile(drawn, [0.05, 0.95])
        assert (found.value, found.low, found.high) == pytest.approx((15.0**2, low, high))
