"""Listener factors: who plays what together lies together."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from earmark.feedback.estimates.factors import FEWEST, Factors, directions, factorise, meeting_factors, redraws
from estimate_tools import categories

PARAMS = categories(factors=4, redraws=30)


def two_crowds(listeners: int = 80, songs: int = 40, seed: int = 1) -> pd.DataFrame:
    """Even listeners play even songs, odd ones odd songs; one play in twenty goes astray."""
    random = np.random.default_rng(seed)
    listener, track = np.divmod(np.arange(listeners * songs), songs)
    own = listener % 2 == track % 2
    played = random.random(len(own)) < np.where(own, 0.5, 0.025)
    plays = random.integers(1, 6, played.sum()).astype(np.float64)
    return pd.DataFrame({"track": track[played], "listener": listener[played] * 11 + 5, "plays": plays})


def likeness(of: np.ndarray) -> np.ndarray:
    return directions(of) @ directions(of).T


class TestFactors:
    def test_of_songs_that_the_same_listeners_play_point_the_same_way(self):
        factors = factorise(two_crowds(), PARAMS)
        alike, crowd = likeness(factors.song_factors), factors.tracks % 2
        same = crowd[:, None] == crowd[None, :]
        assert alike[same].mean() > 0.6 > 0.2 > alike[~same].mean()

    def test_of_listeners_do_too(self):
        factors = factorise(two_crowds(), PARAMS)
        alike, crowd = likeness(factors.listener_factors), (factors.listeners - 5) // 11 % 2
        same = crowd[:, None] == crowd[None, :]
        assert alike[same].mean() > 0.6 > 0.2 > alike[~same].mean()

    def test_multiplied_tell_who_played_what(self):
        pairs = two_crowds()
        factors = factorise(pairs, PARAMS)
        scores = factors.listener_factors @ factors.song_factors.T
        rows = np.searchsorted(factors.listeners, pairs["listener"]), np.searchsorted(factors.tracks, pairs["track"])
        played = np.zeros(scores.shape, dtype=bool)
        played[rows] = True
        assert scores[played].mean() > scores[~played].mean() + 0.4

    def test_are_those_of_who_was_heard_and_who_listened_in_order(self):
        pairs = two_crowds()
        answered_only = pd.DataFrame({"track": [777], "listener": [3], "plays": [0.0]})
        factors = factorise(pd.concat([pairs, answered_only]), PARAMS)
        assert factors.tracks.tolist() == sorted(set(pairs["track"]))
        assert factors.listeners.tolist() == sorted(set(pairs["listener"]))
        assert factors.song_factors.shape == (len(factors.tracks), 4)
        assert factors.listener_factors.shape == (len(factors.listeners), 4)

    def test_are_the_same_to_the_bit_when_found_again_and_in_whatever_order_of_rows(self):
        pairs = two_crowds()
        first, shuffled = factorise(pairs, PARAMS), factorise(pairs.sample(frac=1, random_state=3), PARAMS)
        np.testing.assert_array_equal(first.song_factors, factorise(pairs, PARAMS).song_factors)
        np.testing.assert_allclose(first.song_factors, shuffled.song_factors, atol=1e-5)

    def test_begin_elsewhere_with_another_seed(self):
        pairs = two_crowds()
        other = factorise(pairs, dataclasses.replace(PARAMS, seed=2))
        assert not np.array_equal(factorise(pairs, PARAMS).song_factors, other.song_factors)
        # But songs lie to each other as before.
        before = likeness(factorise(pairs, PARAMS).song_factors).ravel()
        assert np.corrcoef(before, likeness(other.song_factors).ravel())[0, 1] > 0.8

    @pytest.mark.parametrize(("listeners", "songs"), [(FEWEST - 1, 40), (80, FEWEST - 1), (0, 0)])
    def test_of_too_few_there_are_none(self, listeners, songs):
        everything = pd.DataFrame(
            {
                "track": np.tile(np.arange(songs), listeners),
                "listener": np.repeat(np.arange(listeners), songs),
                "plays": 1.0,
            }
        )
        assert factorise(everything, PARAMS) is None

    def test_of_a_song_played_a_million_times_are_finite(self):
        pairs = two_crowds()
        pairs.loc[0, "plays"] = 1e6
        assert np.isfinite(factorise(pairs, PARAMS).song_factors).all()


class TestListenersDrawnAnew:
    def test_leave_songs_that_many_play_where_they_are_and_move_those_that_few_play(self):
        pairs = two_crowds(listeners=200)
        rare = pairs["track"].isin([4, 5])
        pairs = pd.concat([pairs[~rare], pairs[rare].groupby("track").head(3)])
        factors = factorise(pairs, PARAMS)
        drawn = np.stack([directions(song) for song in redraws(factors, pairs, PARAMS)])
        moved = 1 - (drawn * directions(factors.song_factors)).sum(axis=2).mean(axis=0)
        few = np.isin(factors.tracks, [4, 5])
        assert moved[few].min() > 3 * np.median(moved[~few])

    def test_are_as_many_as_asked_for_and_the_same_again(self):
        pairs = two_crowds()
        factors = factorise(pairs, PARAMS)
        first, again = list(redraws(factors, pairs, PARAMS)), list(redraws(factors, pairs, PARAMS))
        assert len(first) == PARAMS.redraws
        np.testing.assert_array_equal(first, again)
        assert not np.array_equal(first[0], first[1])

    def test_do_not_change_the_factors(self):
        pairs = two_crowds()
        factors = factorise(pairs, PARAMS)
        before = factors.song_factors.copy(), factors.listener_factors.copy()
        list(redraws(factors, pairs, PARAMS))
        np.testing.assert_array_equal(factors.song_factors, before[0])
        np.testing.assert_array_equal(factors.listener_factors, before[1])

    def test_a_draw_is_the_song_that_least_squares_finds_for_the_listeners_as_often_as_drawn(self):
        pairs = two_crowds()
        factors, params = factorise(pairs, PARAMS), dataclasses.replace(PARAMS, redraws=1)
        (drawn,) = redraws(factors, pairs, params)
        often = np.random.default_rng(params.seed).poisson(1.0, len(factors.listeners))
        theirs = factors.listener_factors.astype(np.float64)
        for song in (0, 7):
            of = pairs[pairs["track"] == factors.tracks[song]]
            confidence = np.zeros(len(theirs))
            confidence[np.searchsorted(factors.listeners, of["listener"])] = np.log2(1 + of["plays"])
            confidence *= often
            # Hu, Koren & Volinsky (2008): all pairs count 1, those of whom something is known the confidence.
            weights = np.maximum(confidence, 1)
            left = theirs.T @ (weights[:, None] * theirs) + params.regularisation * np.eye(4)
            right = theirs.T @ confidence
            np.testing.assert_allclose(drawn[song], np.linalg.solve(left, right), atol=0.02)


class TestDirections:
    def test_have_length_one_but_for_what_has_none(self):
        found = directions(np.array([[3.0, 4.0], [0.0, 0.0], [-2e-3, 0.0]], dtype=np.float32))
        np.testing.assert_allclose(found, [[0.6, 0.8], [0, 0], [-1, 0]], atol=1e-6)


class TestWhoMetWhat:
    def test_has_factors_for_all_even_who_met_nothing(self):
        from scipy.sparse import csr_matrix

        pairs = two_crowds()
        met = csr_matrix((np.ones(len(pairs)), ((pairs["listener"] - 5) // 11, pairs["track"])), shape=(90, 44))
        ours, theirs = meeting_factors(met.astype(np.float32), 4, seed=1)
        assert (ours.shape, theirs.shape) == ((90, 4), (44, 4))
        assert not ours[80:].any()
        assert isinstance(factorise(pairs, PARAMS), Factors)
