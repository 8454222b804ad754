"""Conformal thresholds: by counting, with artists of one song; and with artists of many."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from earmark.model.calibration.conformal import enough, threshold, weights_of


class TestThreshold:
    @given(count=st.integers(1, 300), percent=st.integers(1, 99))
    def test_without_groups_it_is_the_nth_smallest_score(self, count, percent):
        scores = np.random.default_rng(count).permutation(count).astype(float)
        place = math.ceil((count + 1) * Fraction(percent, 100))
        expected = sorted(scores)[place - 1] if place <= count else math.inf
        assert threshold(scores, percent / 100) == expected

    def test_groups_of_one_track_change_nothing(self):
        scores = np.random.default_rng(0).random(57)
        names = np.array([f"artist {number}" for number in range(57)], dtype=object)
        assert threshold(scores, 0.8, names) == threshold(scores, 0.8)

    def test_an_artist_with_many_songs_weighs_as_much_as_one_with_one(self):
        scores = np.array([0.9] * 50 + [0.1, 0.2, 0.3])
        groups = np.array(["a"] * 50 + ["b", "c", "d"])
        assert threshold(scores, 0.6, groups) == 0.3
        assert threshold(scores, 0.6) == 0.9

    def test_too_few_tracks_have_none(self):
        assert threshold(np.zeros(8), 0.9) == math.inf
        assert threshold(np.zeros(9), 0.9) == 0
        assert threshold(np.zeros(0), 0.9) == math.inf

    def test_a_new_artists_song_lies_below_it_as_often_as_promised(self):
        rng, covered = np.random.default_rng(1), []
        for _ in range(4_000):
            of_artist = rng.normal(size=31)
            songs = rng.integers(1, 12, size=30)
            each = np.repeat(np.arange(30), songs)
            scores = of_artist[each] + 0.3 * rng.normal(size=len(each))
            covered.append(of_artist[30] + 0.3 * rng.normal() <= threshold(scores, 0.8, each))
        # promised is 0.8 to 0.8 + 2/31
        assert 0.8 - 0.02 < np.mean(covered) < 0.8 + 2 / 31 + 0.02


class TestWeights:
    @given(groups=st.lists(st.sampled_from("abcdef"), min_size=1, max_size=40))
    def test_each_group_has_the_weight_of_the_one_to_come(self, groups):
        weights, names = weights_of(np.array(groups), len(groups)), set(groups)
        for name in names:
            assert weights[np.array(groups) == name].sum() == pytest.approx(1 / (len(names) + 1))


class TestEnough:
    def test_it_counts_groups_and_not_tracks(self):
        assert enough(None, 20, 0.9)
        assert not enough(None, 19, 0.9)
        assert not enough(np.repeat(np.arange(19), 10), 190, 0.9)

    def test_a_higher_promise_needs_more(self):
        assert not enough(None, 98, 0.99)
        assert enough(None, 99, 0.99)
