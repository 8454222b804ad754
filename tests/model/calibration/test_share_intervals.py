"""Intervals of shares: they hold what is observed of a new track, are wider in the middle, and admit ignorance."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated_answers import shares

from earmark.errors import ModelError
from earmark.model.calibration.share_intervals import IntervalRule, fit_intervals


def within(rule, predicted, observed):
    low, high = rule.of(predicted)
    return (low <= observed) & (observed <= high)


class TestCoverage:
    @pytest.mark.parametrize("coverage", [0.7, 0.9])
    @pytest.mark.parametrize("over", [1.0, 2.0])
    def test_it_is_as_promised_for_each_tag(self, coverage, over):
        found = []
        for seed in range(80):
            rule = fit_intervals(*shares(seed, 150, over=over), coverage=coverage)
            predicted, observed, _ = shares(9_000 + seed, 400, over=over)
            found.append(within(rule, predicted, observed).mean(axis=0))
        np.testing.assert_allclose(np.mean(found, axis=0), coverage, atol=0.02)

    def test_it_holds_near_0_and_in_the_middle_alike(self):
        def by_listeners_alone(seed):
            rng = np.random.default_rng(seed)
            true = rng.choice([0.1, 0.5], size=(2_000, 1))
            return true, rng.binomial(200, true) / 200, np.ones_like(true)

        rule = fit_intervals(*by_listeners_alone(1), coverage=0.8)
        true, observed, _ = by_listeners_alone(2)
        inside = within(rule, true, observed)
        for share in (0.1, 0.5):
            assert inside[true == share].mean() == pytest.approx(0.8, abs=0.05)
        assert 1 / rule.noise == pytest.approx(200, rel=0.2)

    def test_an_artist_who_repeats_a_song_counts_once(self):
        grouped, alone = [], []
        for seed in range(150):
            each = np.repeat(np.arange(25), 8)
            held_out = [array[each] for array in shares(seed, 25, 1)]
            predicted, observed, _ = shares(9_000 + seed, 300, 1)
            for found, groups in ((grouped, each), (alone, None)):
                rule = fit_intervals(*held_out, coverage=0.9, groups=groups)
                found.append(within(rule, predicted, observed).mean())
        assert 0.89 < np.mean(grouped) < 0.9 + 2 / 26 + 0.01
        assert np.mean(alone) < 0.895


class TestIntervals:
    def test_a_tag_of_too_few_tracks_may_be_anything(self):
        predicted, observed, weight = shares(1, 100)
        weight[19:, 1] = 0
        rule = fit_intervals(predicted, observed, weight, coverage=0.9)
        low, high = rule.of(predicted)
        assert (low[:, 1] == 0).all() and (high[:, 1] == 1).all()
        assert ((high - low)[:, 0] < 1).all()

    def test_what_stands_where_nothing_is_known_does_not_matter(self):
        predicted, observed, weight = shares(1, 100)
        weight[::3] = 0
        rule = fit_intervals(predicted, observed, weight, coverage=0.9)
        observed[::3] = np.nan
        assert fit_intervals(predicted, observed, weight, coverage=0.9) == rule

    @given(
        seed=st.integers(0, 1_000),
        tracks=st.integers(0, 60),
        tags=st.integers(0, 3),
        coverage=st.floats(0.05, 0.99),
        constant=st.booleans(),
    )
    @settings(deadline=None, max_examples=60)
    def test_they_lie_in_0_to_1_around_the_share(self, seed, tracks, tags, coverage, constant):
        predicted, observed, weight = shares(seed, tracks, tags)
        if constant:
            predicted, observed = np.zeros_like(predicted), np.zeros_like(observed)
        rule = fit_intervals(predicted, observed, weight, coverage=coverage)
        new = np.random.default_rng(seed).random((30, tags))
        low, high = rule.of(new)
        assert low.shape == high.shape == new.shape
        assert ((low >= 0) & (low <= new) & (new <= high) & (high <= 1)).all()
        assert IntervalRule.from_dict(json.loads(json.dumps(rule.to_dict(), allow_nan=False))) == rule

    def test_they_are_widest_in_the_middle(self):
        rule = fit_intervals(*shares(1, 500, 1, over=2.0, error=0.0), coverage=0.5)
        low, high = rule.of(np.array([[0.2], [0.5], [0.8]]))
        assert (high - low)[1] > 1.05 * (high - low)[0] == pytest.approx(1.05 * (high - low)[2])

    def test_tags_of_another_model_are_refused(self):
        with pytest.raises(ModelError, match="another model"):
            IntervalRule(0.9, 0.1, 0.1, (1.0,)).of(np.ones((2, 2)))

    def test_shapes_that_differ_are_refused(self):
        with pytest.raises(ModelError, match=r"\(tracks, tags\)"):
            fit_intervals(np.ones((2, 2)), np.ones((2, 2)), np.ones((2, 1)), coverage=0.9)
