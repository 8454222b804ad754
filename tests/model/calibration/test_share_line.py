"""Straightened shares: lines by numpy's own fit, what they are good for, and how few tracks move them little."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated_answers import shares

from earmark.errors import ModelError
from earmark.model.calibration.share_line import ShareLine, fit_lines, straightened


class TestFitLines:
    def test_with_many_tracks_they_are_least_squares(self):
        predicted, observed, _ = shares(1, 5_000, over=1.5)
        weight = np.random.default_rng(0).random(predicted.shape) + 0.5
        lines = fit_lines(predicted, observed, weight)
        for tag in range(2):
            slope, intercept = np.polyfit(predicted[:, tag], observed[:, tag], 1, w=np.sqrt(weight[:, tag]))
            assert lines.slopes[tag] == pytest.approx(slope, abs=0.005)
            assert lines.intercepts[tag] == pytest.approx(intercept, abs=0.005)

    def test_few_tracks_count_beside_ten_that_say_leave_them(self):
        predicted, observed, weight = shares(1, 30, 1, over=1.5)
        # ridge regression of what is missing from the shares: ten tracks of variance 0.01 say that nothing is
        away = predicted[:, 0] - predicted.mean()
        rows, missing = np.append(away, np.sqrt(10 * 0.01)), np.append(observed[:, 0] - observed.mean() - away, 0)
        slope = 1 + np.linalg.lstsq(rows[:, np.newaxis], missing, rcond=None)[0][0]
        lines = fit_lines(predicted, observed, weight)
        assert lines.slopes[0] == pytest.approx(slope) != 1
        middle = predicted.mean()
        expected = middle + (observed.mean() - middle) * 30 / 40
        assert lines.of(np.array([[middle]]))[0, 0] == pytest.approx(expected)

    def test_shares_too_far_apart_come_closer_to_those_of_new_tracks(self):
        predicted, observed, weight = shares(1, 100, over=1.8)
        new, truth, _ = shares(2, 2_000, over=1.8)
        lines = fit_lines(predicted, observed, weight)
        assert max(lines.slopes) < 0.8
        assert ((lines.of(new) - truth) ** 2).mean() < 0.85 * ((new - truth) ** 2).mean()

    def test_shares_that_are_right_stay(self):
        rng = np.random.default_rng(0)
        right = rng.random((500, 1))
        lines = fit_lines(right, rng.binomial(30, right) / 30, np.ones_like(right))
        new = np.linspace(0, 1, 20)[:, np.newaxis]
        np.testing.assert_allclose(lines.of(new), new, atol=0.02)

    def test_a_tag_is_never_turned_around_nor_blown_up(self):
        predicted = np.linspace(0.4, 0.6, 200)[:, np.newaxis]
        ones = np.ones_like(predicted)
        assert fit_lines(predicted, 1 - predicted, ones).slopes == (0.0,)
        assert fit_lines(predicted, (predicted > 0.5).astype(float), ones).slopes == (1.5,)

    def test_unknown_tracks_count_nothing(self):
        predicted, observed, weight = shares(1, 100)
        weight[50:], observed[50:] = 0, np.nan
        assert fit_lines(predicted, observed, weight) == fit_lines(predicted[:50], observed[:50], weight[:50])

    @given(seed=st.integers(0, 999), tracks=st.integers(0, 3), same=st.booleans())
    @settings(deadline=None)
    def test_few_tracks_move_little(self, seed, tracks, same):
        predicted, observed, weight = shares(seed, tracks, 1)
        lines = fit_lines(np.full_like(predicted, 0.3) if same else predicted, observed, weight)
        assert np.isfinite(lines.slopes + lines.intercepts).all()
        # at most three of thirteen say that all is off by one; and no three turn a tag off
        middle = predicted.mean() if tracks and not same else 0.3
        assert abs(lines.of(np.array([[middle]]))[0, 0] - middle) <= 3 / 13
        assert 0.1 <= lines.slopes[0] <= 1.5

    def test_nothing_known_leaves_the_shares_as_they_are(self):
        assert fit_lines(np.ones((0, 2)), np.ones((0, 2)), np.ones((0, 2))) == ShareLine((1.0, 1.0), (0.0, 0.0))


class TestOf:
    def test_shares_stay_shares(self):
        assert ShareLine((1.5, 1.0), (0.0, -0.5)).of(np.array([[0.9, 0.1]])).tolist() == [[1.0, 0.0]]

    def test_tags_of_another_model_are_refused(self):
        with pytest.raises(ModelError, match="another model"):
            ShareLine((1.0,), (0.0,)).of(np.ones((2, 2)))


class TestStraightened:
    def test_no_track_is_straightened_by_a_track_of_its_artist(self):
        predicted, observed, weight = shares(1, 60, 1)
        groups = np.repeat(np.arange(20), 3)
        before = straightened(predicted, observed, weight, groups=groups, seed=1)
        observed[groups == 7] = 1 - observed[groups == 7]
        changed = (straightened(predicted, observed, weight, groups=groups, seed=1) != before)[:, 0]
        assert not changed[groups == 7].any() and changed[groups != 7].mean() > 0.7

    def test_a_single_artist_leaves_them_as_they_are(self):
        predicted, observed, weight = shares(1, 10, 2)
        found = straightened(predicted, observed, weight, groups=np.zeros(10, dtype=int), seed=1)
        np.testing.assert_array_equal(found, predicted)
