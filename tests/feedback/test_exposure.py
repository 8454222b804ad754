"""Correcting for exposure: affinities to which no pair contributes, and how much liking goes with them."""

from functools import cache, cached_property

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from earmark.feedback.estimates import exposure
from earmark.feedback.estimates.exposure import Exposed, exposed
from earmark.feedback.estimates.shares import count, fit_prior, posterior

OUTRIGHT = 6.0


class Met:
    """Listeners who meet songs, the likelier the more they are drawn to them; and who like those they are drawn to."""

    def __init__(self, pull: float, likes: float, *, listeners=500, songs=120, base=-1.5, seed=1):
        random = np.random.default_rng(seed)
        tastes, kinds = random.standard_normal((listeners, 2)), random.standard_normal((songs, 2))
        drawn = tastes @ (kinds / np.linalg.norm(kinds, axis=1, keepdims=True)).T
        would = expit(random.normal(-0.5, 0.7, songs) + likes * drawn)
        there = random.random(drawn.shape) < expit(base + random.normal(0, 0.7, songs) + pull * drawn)
        listener, track = np.nonzero(there)
        liked = random.random(drawn.shape) < would
        self.truth = would.mean(axis=0)  # of everybody
        self.pairs = pd.DataFrame({"track": track, "listener": listener})
        self.tastes, self.kinds = tastes, kinds
        self.drawn, self.likes = drawn[there], liked[there]
        self.ratios = np.where(self.likes, OUTRIGHT, -OUTRIGHT)

    @cached_property
    def exposed(self) -> Exposed:
        return exposed(self.pairs, self.ratios, 1)

    def bias(self, slope: float | None = None) -> float:
        """Of the estimates, over all songs: the mean of estimate less truth."""
        found = self.exposed
        known = count(
            self.pairs["track"].to_numpy(), self.likes.astype(np.float64), len(self.truth),
            affinity=found.affinity, slope=found.slope if slope is None else slope,
        )  # fmt: skip
        return float((posterior(known, fit_prior(known), 0.9).mean - self.truth).mean())


met_with = cache(Met)


class TestTheSlope:
    @pytest.mark.parametrize("seed", [1, 2])
    def test_is_nothing_where_songs_are_met_at_random(self, seed):
        met = met_with(pull=0.0, likes=1.0, seed=seed)
        assert met.exposed.slope < 0.06
        assert met.bias() == pytest.approx(met.bias(slope=0.0), abs=0.005)

    @pytest.mark.parametrize("seed", [1, 2])
    def test_is_nothing_where_liking_has_nothing_to_do_with_what_is_met(self, seed):
        # What draws the listeners shows in who met what; were a pair's own meeting in its affinity, it would leak.
        met = met_with(pull=1.5, likes=0.0, seed=seed)
        assert met.exposed.slope < 0.06
        assert abs(met.bias()) < 0.01

    def test_grows_with_how_much_more_those_who_meet_a_song_like_it(self):
        slopes = [met_with(pull=1.5, likes=likes).exposed.slope for likes in (0.3, 0.7, 1.2)]
        assert slopes[0] > 0.1
        assert (np.diff(slopes) > 0.1).all()

    def test_is_never_negative(self):
        met = met_with(pull=1.5, likes=-0.8)
        assert met.exposed.slope == 0.0
        assert not met.exposed.affinity.any()

    def test_is_found_from_soft_evidence_too(self):
        met = met_with(pull=1.5, likes=1.0)
        played = np.random.default_rng(5).random(len(met.likes)) < np.where(met.likes, 0.8, 0.3)
        soft = np.where(played, np.log(0.8 / 0.3), np.log(0.2 / 0.7))
        assert exposed(met.pairs, soft, 1).slope == pytest.approx(met.exposed.slope, abs=0.15)

    def test_is_nothing_where_evidence_tells_nothing(self):
        met = met_with(pull=1.5, likes=1.0)
        assert exposed(met.pairs, np.zeros(len(met.pairs)), 1).slope == pytest.approx(0.0, abs=1e-6)


class TestTheCorrection:
    @pytest.mark.parametrize("likes", [0.7, 1.2])
    @pytest.mark.parametrize("base", [-2.5, -0.5])
    def test_takes_away_a_good_part_of_the_bias(self, likes, base):
        met = met_with(pull=1.5, likes=likes, base=base)
        assert met.bias(slope=0.0) > 0.06
        assert -0.02 < met.bias() < 0.65 * met.bias(slope=0.0)


class TestAffinity:
    def test_owes_nothing_to_the_pair_itself(self):
        # Met at random, a song's listeners look like all others; unless that they met it is what they are known by.
        met = met_with(pull=0.0, likes=1.0)
        track, listener = met.pairs["track"].to_numpy(), met.pairs["listener"].to_numpy()
        affinity, _ = exposure._affinities(track, listener, 120, 500, seed=1)
        assert affinity.mean() == pytest.approx(0, abs=0.05)
        assert affinity.std() == pytest.approx(1, abs=0.15)

    def test_is_higher_for_who_is_drawn_to_the_song(self):
        met = met_with(pull=1.5, likes=1.0, base=-1.0)
        affinity = met.exposed.affinity
        assert np.corrcoef(affinity, met.drawn)[0, 1] > 0.45
        assert np.abs(affinity).max() <= 3

    def test_of_a_segment_is_as_much_higher_as_its_listeners_are_drawn_to_the_song(self):
        met = met_with(pull=1.5, likes=1.0)
        one, other = (np.flatnonzero(side) for side in (met.tastes[:, 0] > 0, met.tastes[:, 0] <= 0))
        found = exposed(met.pairs, met.ratios, 1, {"one": one, "other": other, "nobody": np.empty(0, dtype=np.int64)})
        drawn = met.kinds[:, 0] / np.linalg.norm(met.kinds, axis=1)
        assert np.corrcoef(found.levels["one"], drawn)[0, 1] > 0.85
        assert np.corrcoef(found.levels["other"], drawn)[0, 1] < -0.85
        assert not found.levels["nobody"].any()
        np.testing.assert_array_equal(found.affinity, met.exposed.affinity)

    def test_of_a_segment_of_everybody_is_that_of_all(self):
        met = met_with(pull=1.5, likes=1.0)
        found = exposed(met.pairs, met.ratios, 1, {"all": np.arange(500)})
        assert np.abs(found.levels["all"]).mean() < 0.06

    def test_of_a_listener_of_whom_nothing_else_is_known_is_nothing(self):
        met = met_with(pull=1.5, likes=1.0)
        strangers = pd.DataFrame({"track": np.arange(120), "listener": 10_000 + np.arange(120)})
        pairs = pd.concat([met.pairs, strangers], ignore_index=True)
        found = exposed(pairs, np.append(met.ratios, np.tile([OUTRIGHT, -OUTRIGHT], 60)), 1)
        assert found.slope > 0
        assert not found.affinity[-120:].any()

    def test_where_each_answer_is_a_listener_of_its_own_there_is_none(self):
        random = np.random.default_rng(3)
        pairs = pd.DataFrame({"track": random.integers(0, 200, 4_000), "listener": np.arange(4_000)})
        found = exposed(pairs, random.choice([OUTRIGHT, -OUTRIGHT], 4_000), 1)
        assert found.slope == 0.0
        assert not found.affinity.any()

    def test_of_songs_that_everybody_met_is_finite(self):
        everybody = pd.DataFrame({"track": np.tile(np.arange(90), 90), "listener": np.repeat(np.arange(90), 90)})
        ratios = np.random.default_rng(2).choice([OUTRIGHT, -OUTRIGHT], 8_100)
        found = exposed(everybody, ratios, 1)
        assert np.isfinite(found.affinity).all()
        assert found.slope < 0.1

    @pytest.mark.parametrize(("tracks", "listeners"), [(79, 300), (300, 79), (0, 0)])
    def test_is_not_asked_for_among_few(self, tracks, listeners):
        pairs = pd.DataFrame(
            {"track": np.repeat(np.arange(tracks), listeners), "listener": np.tile(np.arange(listeners), tracks)}
        )
        found = exposed(pairs, np.full(len(pairs), OUTRIGHT), 1)
        assert (found.slope, len(found.affinity), found.affinity.any()) == (0.0, tracks * listeners, False)

    def test_is_the_same_again(self):
        met, again = met_with(pull=1.5, likes=1.0), Met(pull=1.5, likes=1.0)
        np.testing.assert_array_equal(met.exposed.affinity, again.exposed.affinity)
        assert met.exposed.slope == again.exposed.slope

    def test_does_not_depend_on_the_numbers_of_tracks_and_listeners(self):
        met = met_with(pull=1.5, likes=1.0)
        renamed = met.pairs.assign(track=met.pairs["track"] * 7 + 3, listener=met.pairs["listener"] + 2**50)
        np.testing.assert_array_equal(exposed(renamed, met.ratios, 1).affinity, met.exposed.affinity)
