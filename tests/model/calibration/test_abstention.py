"""Saying nothing: what is answered is right as often as asked, and the curve counts as one would by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest
from simulated_answers import answers, artists_answers

from earmark.errors import ModelError
from earmark.model.calibration.abstention import (
    NEVER,
    accuracy_at,
    area_under_risk_coverage,
    confidence,
    fit_threshold,
    risk_coverage,
)

SURE = np.array([0.9, 0.8, 0.8, 0.6])
FOUR = np.stack([SURE, 1 - SURE], axis=1)
TRUTH = np.array([0, 0, 1, 1])  # right, right, wrong, wrong


def among_answered(threshold, seed, **how):
    new, truth = answers(seed, 20_000, **how)
    answered = confidence(new) >= threshold
    return (new.argmax(axis=1) == truth)[answered].mean() if answered.any() else 1.0, answered.mean()


class TestRiskCoverage:
    def test_the_equally_sure_are_answered_together(self):
        rows = [(row.threshold, row.coverage, row.accuracy, row.risk) for row in risk_coverage(FOUR, TRUTH)]
        assert rows == [(0.9, 0.25, 1, 0), (0.8, 0.75, pytest.approx(2 / 3), pytest.approx(1 / 3)), (0.6, 1, 0.5, 0.5)]

    def test_its_area_is_the_mean_risk_over_the_tracks(self):
        assert area_under_risk_coverage(FOUR, TRUTH) == pytest.approx((0 + 1 / 3 + 1 / 3 + 1 / 2) / 4)

    @given(seed=st.integers(0, 999))
    @settings(deadline=None, max_examples=20)
    def test_the_order_of_the_tracks_does_not_matter(self, seed):
        probabilities, actual = answers(seed, 50)
        probabilities = probabilities.round(1)  # many are equally sure
        order = np.random.default_rng(seed).permutation(50)
        assert risk_coverage(probabilities[order], actual[order]) == risk_coverage(probabilities, actual)

    def test_its_area_is_smaller_where_the_sure_are_right(self):
        probabilities, actual = answers(1, 2_000)
        mistaken = probabilities.argmax(axis=1) != actual
        shuffled = np.random.default_rng(0).permutation(2_000)
        sure = confidence(probabilities)[shuffled]
        blind = np.where(mistaken[:, None], [[1.0, 0.0]], [[0.0, 1.0]]) * sure[:, None]
        blind_area = area_under_risk_coverage(blind + 1e-9, np.ones(2_000, dtype=int))
        assert area_under_risk_coverage(probabilities, actual) < 0.7 * blind_area
        assert blind_area == pytest.approx(mistaken.mean(), abs=0.05)

    def test_accuracy_at_a_coverage_is_that_of_the_surest(self):
        assert [accuracy_at(FOUR, TRUTH, part) for part in (0.0, 0.25, 0.5, 0.75, 1.0)] == [
            1,
            1,
            pytest.approx(2 / 3),
            pytest.approx(2 / 3),
            0.5,
        ]

    def test_no_track_has_no_area(self):
        assert risk_coverage(np.zeros((0, 2)), np.zeros(0, dtype=int)) == ()
        with pytest.raises(ModelError, match="no track"):
            area_under_risk_coverage(np.zeros((0, 2)), np.zeros(0, dtype=int))
        with pytest.raises(ModelError, match="no track"):
            accuracy_at(np.zeros((0, 2)), np.zeros(0, dtype=int), 0.5)


class TestFitThreshold:
    def test_what_is_answered_is_right_as_often_as_asked(self):
        broken = [
            among_answered(fit_threshold(*answers(seed, 300), least_accuracy=0.8, certainty=0.9), 50_000 + seed)[0]
            < 0.8
            for seed in range(100)
        ]
        assert binomtest(sum(broken), 100, 0.1, alternative="greater").pvalue > 0.01

    def test_more_held_out_tracks_let_more_be_answered(self):
        few, some, many = (
            np.mean([among_answered(fit_threshold(*answers(s, n), least_accuracy=0.8), 99)[1] for s in range(20)])
            for n in (60, 600, 6_000)
        )
        assert few < some < many
        accuracy, _ = among_answered(fit_threshold(*answers(1, 6_000), least_accuracy=0.8), 2)
        assert accuracy == pytest.approx(0.82, abs=0.02)  # and little is given away

    def test_a_model_that_is_good_enough_answers_everything(self):
        probabilities, actual = answers(1, 500, spread=4)
        assert (probabilities.argmax(axis=1) == actual).mean() > 0.75
        assert fit_threshold(probabilities, actual, least_accuracy=0.6) == 0.0
        assert fit_threshold(probabilities, actual, least_accuracy=0.0) == 0.0

    def test_a_promise_that_cannot_be_kept_silences_it(self):
        probabilities, _ = answers(1, 500)
        wrong = (probabilities.argmax(axis=1) + 1) % 5
        found = fit_threshold(probabilities, wrong, least_accuracy=0.5)
        assert found == NEVER and not (np.ones(3) >= found).any()

    @pytest.mark.parametrize("tracks", [0, 1, 3])
    def test_a_handful_of_right_answers_promises_nothing(self, tracks):
        probabilities = np.tile([[0.9, 0.1]], (tracks, 1))
        assert fit_threshold(probabilities, np.zeros(tracks, dtype=int), least_accuracy=0.9) == NEVER

    def test_all_right_needs_as_many_tracks_as_the_exact_bound_says(self):
        # 0.9 ** 22 < 0.1 < 0.9 ** 21; equally sure, so that there is one threshold to try
        for tracks, expected in ((22, 0.0), (21, NEVER)):
            probabilities = np.tile([[0.9, 0.1]], (tracks, 1))
            assert fit_threshold(probabilities, np.zeros(tracks, dtype=int), least_accuracy=0.9) == expected

    def test_songs_that_an_artist_repeats_count_once(self):
        once, truth, names = artists_answers(3, 60, 1, spread=4)
        often, truths, many = artists_answers(3, 60, 20, spread=4)
        asked = np.linspace(0.3, 0.9, 25)
        alone = [fit_threshold(once, truth, least_accuracy=each, groups=names) for each in asked]
        assert alone == [fit_threshold(often, truths, least_accuracy=each, groups=many) for each in asked]
        assert len({*alone}) > 4
        taken_for_others = [fit_threshold(often, truths, least_accuracy=each) for each in asked]
        assert np.mean(taken_for_others) < np.mean(alone) - 0.2

    @given(seed=st.integers(0, 999), tracks=st.integers(1, 60), asked=st.floats(0.05, 1), grouped=st.booleans())
    @settings(deadline=None, max_examples=50)
    def test_what_was_held_out_keeps_the_promise_itself(self, seed, tracks, asked, grouped):
        probabilities, actual = answers(seed, tracks, 3)
        groups = np.arange(tracks) // 3 if grouped else None
        found = fit_threshold(probabilities, actual, least_accuracy=asked, groups=groups)
        answered = confidence(probabilities) >= found
        assert found == NEVER or (probabilities.argmax(axis=1) == actual)[answered].mean() >= asked
