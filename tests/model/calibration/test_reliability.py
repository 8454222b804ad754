"""Reliability: scores as scikit-learn and scipy have them, bins by hand, and a model whose faults are known."""

from itertools import pairwise

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest
from simulated_answers import answers

from earmark.errors import ModelError
from earmark.model.calibration.reliability import (
    brier,
    expected_calibration_error,
    log_loss,
    reliability_table,
    wilson,
)

SURE = np.array([0.55, 0.6, 0.8, 0.9])
FOUR = np.stack([SURE, 1 - SURE], axis=1)
TRUTH = np.array([1, 0, 0, 0])  # wrong, right, right, right


class TestExpectedCalibrationError:
    def test_bins_of_equal_mass_hold_equally_many(self):
        rows = reliability_table(FOUR, TRUTH, 2)
        assert [row.count for row in rows] == [2, 2]
        assert expected_calibration_error(FOUR, TRUTH, 2) == pytest.approx((abs(0.575 - 0.5) + abs(0.85 - 1)) / 2)

    def test_bins_of_equal_width_lie_between_equal_edges(self):
        rows = reliability_table(FOUR, TRUTH, 4, binning="equal_width")  # edges 0.25, 0.5, 0.75
        assert [(row.bin, row.count) for row in rows] == [(2, 2), (3, 2)]
        rows = reliability_table(FOUR, TRUTH, 5, binning="equal_width")  # an edge belongs to the bin below
        assert [(row.bin, row.count) for row in rows] == [(2, 2), (3, 1), (4, 1)]

    @pytest.mark.parametrize("binning", ["equal_mass", "equal_width"])
    def test_it_finds_a_known_overconfidence(self, binning):
        sure, rng = np.random.default_rng(1).uniform(0.7, 1, 20_000), np.random.default_rng(2)
        actual = (rng.random(20_000) > sure - 0.15).astype(int)
        found = expected_calibration_error(np.stack([sure, 1 - sure], axis=1), actual, binning=binning)
        assert found == pytest.approx(0.15, abs=0.015)

    @pytest.mark.parametrize("binning", ["equal_mass", "equal_width"])
    def test_a_perfect_model_has_almost_none(self, binning):
        assert expected_calibration_error(*answers(1, 20_000), binning=binning) < 0.015


class TestReliabilityTable:
    @given(seed=st.integers(0, 99), tracks=st.integers(1, 60), bins=st.integers(1, 20), digits=st.integers(1, 6))
    @settings(deadline=None)
    def test_every_track_is_in_one_bin_and_the_bins_rise(self, seed, tracks, bins, digits):
        probabilities, actual = answers(seed, tracks)
        rows = reliability_table(probabilities.round(digits), actual, bins)
        assert sum(row.count for row in rows) == tracks and len(rows) <= bins
        assert all(one.confidence < other.confidence for one, other in pairwise(rows))
        right = (probabilities.round(digits).argmax(axis=1) == actual).sum()
        assert sum(row.count * row.accuracy for row in rows) == pytest.approx(right)

    def test_the_equally_sure_share_a_bin(self):
        rows = reliability_table(np.tile([[0.7, 0.3]], (20, 1)), np.arange(20) % 2)
        assert [(row.confidence, row.accuracy, row.count) for row in rows] == [(pytest.approx(0.7), 0.5, 20)]

    @pytest.mark.parametrize(("hits", "count"), [(0, 1), (1, 1), (3, 10), (57, 60)])
    def test_its_intervals_are_wilsons(self, hits, count):
        expected = binomtest(hits, count).proportion_ci(0.95, method="wilson")
        assert wilson(hits, count) == pytest.approx((expected.low, expected.high), abs=1e-12)

    def test_of_nothing_anything_may_be(self):
        assert wilson(0, 0) == (0, 1)


class TestScores:
    def test_the_brier_score_is_the_mean_squared_distance_from_the_truth(self):
        assert brier(FOUR, TRUTH) == pytest.approx(2 * (0.55**2 + 0.4**2 + 0.2**2 + 0.1**2) / 4)

    def test_the_log_loss_is_that_of_scikit_learn(self):
        probabilities, actual = answers(1, 300, spread=1)
        assert log_loss(probabilities, actual) == pytest.approx(sklearn.metrics.log_loss(actual, probabilities))

    def test_an_impossible_truth_is_a_large_loss_and_no_infinite_one(self):
        assert log_loss(np.array([[1.0, 0.0]]), np.array([1])) == pytest.approx(6 * np.log(10))

    def test_one_track_and_one_label_have_scores(self):
        one = np.ones((1, 1)), np.zeros(1, dtype=int)
        assert (brier(*one), log_loss(*one), expected_calibration_error(*one)) == (0, 0, 0)

    @pytest.mark.parametrize("score", [brier, log_loss, expected_calibration_error])
    def test_no_track_has_none(self, score):
        with pytest.raises(ModelError, match="no track"):
            score(np.zeros((0, 2)), np.zeros(0, dtype=int))
