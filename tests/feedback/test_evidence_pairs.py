"""From events to evidence: what each listener's doings with each track are worth, and what they mean."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earmark.feedback.estimates.evidence import DOINGS, Meaning, calibrate, redrawn
from estimate_tools import did, doings, pair_of, pairs_of, pairs_with, targets

HALF_LIFE = targets().half_life_days
ASSUMED = Meaning(0.0, targets().odds_heard, targets().odds_skipped, targets().odds_returned, 0)


def speaks(*events, **changes) -> float:
    """What the doings say together, as is assumed where nothing teaches it."""
    return float(ASSUMED.log_ratio(pairs_of(*events, **changes))[0])


def plays_worth(pair) -> float:
    """Whole plays, by undoing the logarithm."""
    return float(2 ** pair["heard"] - 1)


def skips_worth(pair) -> float:
    return float(2 ** pair["skipped"] - 1)


class TestAPlay:
    def test_counts_by_who_chose_it(self):
        chosen, unknown, continued = (
            plays_worth(pair_of(did("play", share=1.0, chosen=who))) for who in (1, np.nan, 0)
        )
        assert chosen > unknown > continued > 0
        assert (chosen, unknown, continued) == pytest.approx(
            (targets().chosen, targets().unknown, targets().continued)
        )  # fmt: skip

    def test_counts_by_how_much_of_the_track_was_heard(self):
        worth = [plays_worth(pair_of(did("play", share=share, chosen=1))) for share in (0, 0.2, 0.5, 0.8)]
        assert worth == pytest.approx([0, 0.2, 0.5, 0.8])

    def test_that_leaves_out_the_silence_at_the_end_was_whole(self):
        assert plays_worth(pair_of(did("play", share=0.96, chosen=1))) == pytest.approx(1)

    def test_of_a_track_whose_length_nobody_knows_was_whole(self):
        assert plays_worth(pair_of(did("play", chosen=1))) == pytest.approx(1)

    def test_that_failed_is_none(self):
        assert pairs_of(did("play", share=0.01, chosen=1, failed=True)).empty
        both = pair_of(did("play", share=1.0, chosen=1), did("play", share=0.0, chosen=1, failed=True))
        assert both["plays"] == 1
        assert plays_worth(both) == pytest.approx(1)

    def test_that_broke_off_speaks_against_it_less_than_a_skip_there_would(self):
        skip = skips_worth(pair_of(did("skip", share=0.2)))
        broken = skips_worth(pair_of(did("play", share=0.2, open=True)))
        assert 0 < broken < skip
        assert broken == pytest.approx(targets().broken_off * 0.8)

    def test_that_was_stopped_says_only_how_much_was_heard(self):
        pair = pair_of(did("play", share=0.2, chosen=1))
        assert skips_worth(pair) == 0
        assert plays_worth(pair) == pytest.approx(0.2)

    def test_without_a_length_did_not_break_off(self):
        assert skips_worth(pair_of(did("play", open=True))) == 0

    def test_again_counts_less_each_time(self):
        spoken = [speaks(*[did("play", share=1.0, chosen=1)] * times) for times in (1, 2, 3, 4, 5)]
        assert (np.diff(spoken) > 0).all()
        assert (np.diff(np.diff(spoken)) < 0).all()

    def test_told_as_a_count_is_worth_what_single_ones_are(self):
        single, counted = pair_of(*[did("play", share=0.7)] * 5), pair_of(did("play", share=0.7, times=5))
        for column in (*DOINGS, "plays"):
            assert counted[column] == pytest.approx(single[column])


def pieces(*shares: float, apart_min: float = 10.0, last: str = "play", **how) -> list:
    """Pieces of a track that one listener heard one after the other, the last one to its end or to a skip."""
    told = [did("play", share=share, **{"stopped": True, **how}) for share in shares[:-1]]
    told.append(did(last, share=shares[-1]))
    return [event | {"days_ago": (len(told) - place) * apart_min / 1440} for place, event in enumerate(told)]


class TestAListeningInPieces:
    @pytest.mark.parametrize("how", [{"stopped": True}, {"stopped": False, "open": True}], ids=["paused", "broke off"])
    @pytest.mark.parametrize("shares", [(0.4, 0.6), (0.2, 0.3, 0.5), (0.1, 0.93)])
    def test_is_one_whole_play(self, how, shares):
        found, whole = pair_of(*pieces(*shares, **how)), pair_of(did("play", share=1.0))
        assert found["plays"] == 1
        for column in DOINGS:
            assert found[column] == pytest.approx(whole[column], abs=1e-4)

    def test_is_as_much_as_its_pieces_and_began_as_the_first_and_ended_as_the_last(self):
        first, last = did("play", share=0.25, stopped=True, chosen=1, days_ago=0.01), did("play", share=0.5, chosen=0)
        assert plays_worth(pair_of(first, last)) == pytest.approx(0.75, abs=1e-4)
        assert skips_worth(pair_of(first, last | {"open": True})) == pytest.approx(0.25 * targets().broken_off)

    def test_may_end_in_a_skip_that_came_as_late_as_all_pieces_tell(self):
        pair = pair_of(*pieces(0.3, 0.3, 0.2, last="skip"))
        assert (pair["plays"], plays_worth(pair)) == (1, 0)
        assert skips_worth(pair) == pytest.approx(0.2, abs=1e-4)

    def test_is_told_in_whatever_order(self):
        events = [*pieces(0.2, 0.3, 0.5), did("play", share=0.5, track=1), did("play", share=0.5, listener=2)]
        for order in (events, events[::-1], events[1:] + events[:1]):
            assert pairs_of(*order)["plays"].tolist() == [1, 1, 1]

    @pytest.mark.parametrize(("apart_min", "plays"), [(29.0, 1), (31.0, 2)])
    def test_goes_on_within_half_an_hour(self, apart_min, plays):
        assert pair_of(*pieces(0.4, 0.6, apart_min=apart_min))["plays"] == plays

    @pytest.mark.parametrize(
        "former",
        [
            {"share": 0.4},  # of which it is known that it ended there, and not why it did
            {"share": 0.4, "stopped": True, "failed": True},
            {"kind": "skip", "share": 0.4},
            {"share": 0.97, "open": True},  # whole
            {"share": 0.6, "stopped": True},  # more than a track together: heard again from its beginning
            {"open": True},  # of unknown length, as a scrobble is
            {"share": 0.4, "stopped": True, "times": 3},
            {"share": 0.4, "stopped": True, "listener": 2},
            {"share": 0.4, "stopped": True, "track": 2},
        ],
        ids=str,
    )
    def test_is_nothing_else(self, former):
        near, apart = (
            pairs_of(did(**{"kind": "play", "days_ago": days, **former}), did("play", share=0.6), half_life_days=0.0)
            for days in (0.01, 1.0)
        )
        pd.testing.assert_frame_equal(near.drop(columns="first_us"), apart.drop(columns="first_us"))

    def test_has_no_pieces_whose_time_is_unknown(self):
        undated = did("play", share=0.4, stopped=True, days_ago=np.nan)
        for events in ([undated, did("play", share=0.6)], [undated, undated | {"share": 0.2, "stopped": False}]):
            assert plays_worth(pair_of(*events)) == pytest.approx(0.3)

    def test_of_scrobbles_on_repeat_is_each_of_them(self):
        repeated = [did("play", open=True, days_ago=place * 3 / 1440) for place in range(8)]
        assert pair_of(*repeated)["plays"] == 8

    def test_leaves_answers_and_the_first_time_as_they_are(self):
        pair = pair_of(*pieces(0.4, 0.6), did("like", value=1.0), did("play", share=1.0, days_ago=9.0))
        assert (pair["answer"], pair["plays"]) == (1, 2)
        assert pair["first_us"] == doings(did("play", days_ago=9.0)).at_us[0]


class TestASkip:
    @settings(deadline=None)
    @given(st.lists(st.floats(0, 0.94), min_size=2, max_size=6, unique=True))
    def test_speaks_against_the_track_the_more_the_earlier_it_came(self, shares):
        ordered = sorted(shares)
        against = [skips_worth(pair_of(did("skip", share=share))) for share in ordered]
        assert (np.diff(against) <= 0).all()
        assert against == pytest.approx([1 - share for share in ordered])

    def test_just_before_the_end_says_nothing(self):
        assert skips_worth(pair_of(did("skip", share=0.97))) == 0

    def test_never_speaks_for_it(self):
        assert plays_worth(pair_of(did("skip", share=0.9, chosen=1))) == 0
        assert speaks(did("skip", share=0.0)) < 0

    def test_again_counts_less_each_time(self):
        against = [pair_of(*[did("skip", share=0.1)] * times)["skipped"] for times in (1, 2, 3, 4, 5)]
        assert (np.diff(against) > 0).all()
        assert (np.diff(np.diff(against)) < 0).all()

    def test_whose_moment_nobody_knows_came_in_the_middle(self):
        assert skips_worth(pair_of(did("skip"))) == pytest.approx(0.5)

    def test_counts_less_than_a_play_and_a_skip_count_apart(self):
        assert speaks(did("skip", share=0.0)) < speaks(did("play", share=1.0), did("skip", share=0.0)) < speaks(
            did("play", share=1.0, chosen=1)
        )  # fmt: skip


class TestTime:
    @pytest.mark.parametrize("ago", [1.0, 2.0, 0.5])
    def test_takes_half_of_a_plays_worth_in_a_half_life(self, ago):
        old = pair_of(did("play", share=1.0, chosen=1, days_ago=ago * HALF_LIFE))
        assert plays_worth(old) == pytest.approx(0.5**ago)

    def test_takes_as_much_of_a_skip_and_of_an_answer(self):
        old = did("skip", share=0.0, days_ago=HALF_LIFE), did("like", value=1.0, days_ago=2 * HALF_LIFE)
        pair = pair_of(*old)
        assert skips_worth(pair) == pytest.approx(0.5)
        assert pair["weight"] == pytest.approx(0.25)

    def test_takes_as_much_of_coming_back(self):
        old = [did("play", share=1.0, days_ago=HALF_LIFE)] * 8
        assert pair_of(*old)["returned"] == pytest.approx(np.log2(4))
        assert pair_of(*old)["plays"] == 8

    def test_takes_nothing_where_there_is_no_half_life(self):
        old = [did("play", share=1.0, chosen=1, days_ago=9_999.0), did("like", value=1.0, days_ago=9_999.0)]
        pair = pair_of(*old, half_life_days=0.0)
        assert plays_worth(pair) == pytest.approx(1)
        assert pair["weight"] == 1

    def test_that_nobody_told_takes_nothing(self):
        assert plays_worth(pair_of(did("play", share=1.0, chosen=1, days_ago=np.nan))) == pytest.approx(1)

    def test_to_come_counts_as_now(self):
        ahead = pair_of(did("play", share=1.0, chosen=1, days_ago=-30.0), did("like", value=1.0, days_ago=-30.0))
        assert plays_worth(ahead) == pytest.approx(1)
        assert ahead["weight"] == 1

    def test_is_that_of_the_first_time_it_was_heard(self):
        plays = [did("play", days_ago=days) for days in (3.0, 8.0, np.nan)]
        pair = pair_of(*plays, did("like", days_ago=99.0))
        assert pair["first_us"] == doings(did("play", days_ago=8.0)).at_us[0]
        assert np.isnan(pair_of(did("play", days_ago=np.nan))["first_us"])


class TestCountsWithoutATime:
    def test_and_plays_with_one_are_not_added_up(self):
        dated = [did("play", share=1.0, chosen=1, days_ago=0.0)] * 3
        count = did("play", share=1.0, chosen=1, days_ago=np.nan, times=40)
        assert pair_of(*dated, count)["plays"] == 40
        assert pair_of(*dated, did("play", share=1.0, chosen=1, days_ago=np.nan, times=2))["plays"] == 3
        assert plays_worth(pair_of(*dated, count)) == pytest.approx(40)

    def test_of_skips_leave_dated_plays_as_they_are(self):
        pair = pair_of(did("play", share=1.0, chosen=1), did("skip", share=0.0, days_ago=np.nan, times=3))
        assert (plays_worth(pair), skips_worth(pair)) == pytest.approx((1, 3))


class TestAnAnswer:
    def test_that_came_last_counts(self):
        told = (
            did("like", value=1.0, days_ago=5.0),
            did("like", value=0.0, days_ago=2.0),
            did("rating", value=0.8, days_ago=9.0),
        )
        for order in ([0, 1, 2], [2, 1, 0], [1, 0, 2]):
            pair = pair_of(*(told[place] for place in order))
            assert pair["answer"] == 0
            assert pair["weight"] == pytest.approx(0.5 ** (2 / HALF_LIFE))

    def test_taken_back_leaves_none(self):
        pair = pair_of(did("like", value=1.0, days_ago=5.0), did("like", days_ago=2.0), did("play", share=1.0))
        assert np.isnan(pair["answer"])
        assert pair["weight"] == 0
        assert pairs_of(did("like", value=1.0, days_ago=5.0), did("like", days_ago=2.0)).empty

    def test_given_again_after_that_counts_again(self):
        told = did("like", value=1.0, days_ago=5.0), did("like", days_ago=3.0), did("like", value=0.0, days_ago=1.0)
        assert pair_of(*told)["answer"] == 0

    def test_of_dislike_is_no_like(self):
        pair = pair_of(did("dislike", value=1.0))
        assert (pair["answer"], pair["disliked"]) == (0, 1)

    def test_of_dislike_taken_back_leaves_neither(self):
        assert pairs_of(did("dislike", value=1.0, days_ago=4.0), did("dislike", days_ago=1.0)).empty

    def test_of_no_dislike_says_nothing_about_liking(self):
        pair = pair_of(did("dislike", value=0.0))
        assert np.isnan(pair["answer"])
        assert pair["disliked"] == 0
        assert pair_of(did("like", value=1.0, days_ago=3.0), did("dislike", value=0.0))["answer"] == 1

    def test_may_be_neither_like_nor_dislike(self):
        pair = pair_of(did("like", value=0.0), did("dislike", value=0.0))
        assert (pair["answer"], pair["disliked"]) == (0, 0)

    def test_with_a_time_is_newer_than_one_without(self):
        assert pair_of(did("like", value=0.0, days_ago=9.0), did("like", value=1.0, days_ago=np.nan))["answer"] == 0

    def test_of_a_rating_is_as_much_of_a_yes(self):
        assert pair_of(did("rating", value=0.75))["answer"] == 0.75

    def test_is_no_listening(self):
        pair = pair_of(did("like", value=1.0))
        assert pair["plays"] == 0
        assert pair[list(DOINGS)].isna().all()


class TestPairs:
    def test_are_one_for_each_listener_and_track_in_order(self):
        events = [did("play", track=track, listener=who) for track, who in [(2, 7), (0, 9), (0, 7), (2, 7), (0, 2**62)]]
        found = pairs_of(*events)
        assert list(zip(found["track"], found["listener"], strict=True)) == [(0, 7), (0, 9), (0, 2**62), (2, 7)]
        assert found["plays"].tolist() == [1, 1, 1, 2]

    def test_do_not_depend_on_the_order_of_events_at_different_times(self):
        random = np.random.default_rng(4)
        kinds = ("play", "skip", "like", "dislike", "rating")
        events = [
            did(
                kinds[random.integers(5)], track=int(random.integers(4)), listener=int(random.integers(1, 5)),
                days_ago=float(day), share=random.random(), value=float(random.integers(2)),
            )
            for day in range(120)
        ]  # fmt: skip
        shuffled = [events[place] for place in random.permutation(len(events))]
        np.testing.assert_allclose(pairs_of(*shuffled).to_numpy(), pairs_of(*events).to_numpy())

    def test_are_none_where_nothing_happened(self):
        found = pairs_of()
        assert found.empty
        assert found["track"].dtype.kind == found["listener"].dtype.kind == "i"

    def test_have_no_use_for_words(self):
        assert pairs_of(did("tag"), did("feeling", value=1.0), did("comment")).empty

    def test_of_a_million_plays_are_finite(self):
        pair = pair_of(did("play", share=1.0, chosen=1, times=1e6), did("skip", share=0.0, times=1e6))
        assert np.isfinite(pair[[*DOINGS, "plays"]].to_numpy(dtype=np.float64)).all()


def taught(heard: float, skipped: float, returned: float, *, pairs: int = 20_000, share: float = 0.7, seed: int = 1):
    """Answers of listeners who do each of two things or not, with likelihood ratios that are known.

    Likers do as ``exp(±slope / 2)`` times the others, so that log λ is linear in what they do.
    """
    random = np.random.default_rng(seed)
    likes = random.random(pairs) < share
    columns = {}
    for name, slope in (("heard", heard), ("skipped", -skipped), ("returned", returned)):
        odds = np.where(likes, slope / 2, -slope / 2)
        columns[name] = (random.random(pairs) < 1 / (1 + np.exp(-odds))).astype(np.float64)
    return pairs_with(np.arange(pairs), 1, answer=likes.astype(np.float64), plays=1.0, **columns)


class TestCalibration:
    def test_learns_the_likelihood_ratios_of_a_world_that_has_them(self):
        found = calibrate(taught(0.8, 1.6, 0.4), targets())
        assert (found.heard, found.skipped, found.returned) == pytest.approx((0.8, 1.6, 0.4), abs=0.1)
        # P(nothing done | liked) / P(nothing done | not) = e^(-sum of signed slopes / 2)
        assert found.intercept == pytest.approx(-(0.8 - 1.6 + 0.4) / 2, abs=0.1)
        assert found.learnt_from == 20_000

    @pytest.mark.parametrize("share", [0.1, 0.9])
    def test_it_does_not_matter_how_many_of_those_who_answered_liked(self, share):
        found = calibrate(taught(0.8, 1.6, 0.4, share=share, pairs=60_000), targets())
        assert (found.heard, found.skipped, found.returned) == pytest.approx((0.8, 1.6, 0.4), abs=0.12)
        assert found.intercept == pytest.approx(0.2, abs=0.1)

    def test_a_ratio_is_one_on_average_over_those_who_do_not_like(self):
        pairs = taught(0.8, 1.6, 0.4)
        ratios = np.exp(calibrate(pairs, targets()).log_ratio(pairs))
        likes = pairs["answer"] == 1
        assert ratios[~likes].mean() == pytest.approx(1, abs=0.03)
        assert (1 / ratios[likes]).mean() == pytest.approx(1, abs=0.03)

    def test_doings_that_have_nothing_to_do_with_liking_say_nothing(self):
        pairs = taught(0.0, 0.0, 0.0, pairs=4_000)
        np.testing.assert_allclose(calibrate(pairs, targets()).log_ratio(pairs), 0, atol=0.2)

    @pytest.mark.parametrize("slopes", [(-1.0, -1.0, -1.0), (-1.0, 1.0, -0.5)])
    def test_doings_that_would_mean_the_opposite_of_what_they_are_say_nothing(self, slopes):
        pairs = taught(*slopes)
        found = calibrate(pairs, targets())
        for name, slope in zip(DOINGS, slopes, strict=True):
            assert getattr(found, name) == (0 if slope < 0 else pytest.approx(slope, abs=0.15))
        # And nobody speaks for or against all songs alike.
        ratios = np.exp(found.log_ratio(pairs))
        assert ratios[pairs["answer"] == 0].mean() == pytest.approx(1, abs=0.05)

    @pytest.mark.parametrize(("likes", "others"), [(29, 5_000), (5_000, 29)])
    def test_of_fewer_than_thirty_answers_of_either_kind_nothing_is_learnt(self, likes, others):
        pairs = taught(0.8, 1.6, 0.4, pairs=20_000)
        few = [pairs[pairs["answer"] == 1].head(likes), pairs[pairs["answer"] == 0].head(others)]
        found = calibrate(pd.concat(few, ignore_index=True), targets())
        assert found.learnt_from == 0
        assert (found.heard, found.skipped, found.returned) == (
            targets().odds_heard, targets().odds_skipped, targets().odds_returned,
        )  # fmt: skip

    @pytest.mark.parametrize("like_share", [0.2, 0.5, 0.9])
    def test_then_the_assumed_share_of_all_that_is_heard_is_liked(self, like_share):
        random = np.random.default_rng(8)
        done = {name: random.random(500) for name in DOINGS}
        pairs = pairs_with(np.arange(500), 1, plays=1.0, **done)
        found = calibrate(pairs, targets(like_share=like_share))
        odds = like_share / (1 - like_share) * np.exp(found.log_ratio(pairs))
        assert (odds / (1 + odds)).mean() == pytest.approx(like_share, abs=1e-6)

    def test_so_it_is_however_often_all_was_heard(self):
        pairs = pairs_with(np.arange(40), 1, plays=1e7, heard=24.0, skipped=0.0, returned=24.0)
        odds = np.exp(calibrate(pairs, targets(like_share=0.5)).log_ratio(pairs))
        assert (odds / (1 + odds)).mean() == pytest.approx(0.5, abs=1e-6)

    def test_of_answers_so_old_that_nothing_is_left_of_them_nothing_is_learnt(self):
        for weight in (0.0, 1e-300):
            found = calibrate(taught(0.8, 1.6, 0.4).assign(weight=weight), targets())
            assert found.learnt_from == 0
            assert np.isfinite(found.intercept)

    def test_of_those_who_only_answered_nothing_is_learnt(self):
        pairs = pairs_with(np.arange(200), 1, answer=np.arange(200) % 2 * 1.0)
        assert calibrate(pairs, targets()).learnt_from == 0

    def test_of_nobody_nothing_is_learnt(self):
        assert calibrate(pairs_of(), targets()) == ASSUMED

    def test_where_nothing_was_heard_there_is_no_ratio(self):
        assert np.isnan(ASSUMED.log_ratio(pairs_of(did("like", value=1.0)))).all()


class TestRedrawing:
    def test_what_few_listeners_taught_might_as_well_be_something_else(self):
        rng = np.random.default_rng(1)

        def spread(listeners: int) -> float:
            skipped = rng.random(listeners) * 2
            answer = (rng.random(listeners) < 1 / (1 + np.exp(2 * skipped - 2))).astype(float)
            pairs = pd.DataFrame(
                {"track": 0, "listener": np.arange(listeners), "answer": answer, "weight": 1.0}
                | {"heard": rng.random(listeners), "skipped": skipped, "returned": 0.0}
            )
            learnt = calibrate(pairs, targets())
            drawn = redrawn(pairs, learnt, targets())
            assert len(drawn) == 10
            return float(np.std([meaning.skipped for meaning in drawn]))

        assert spread(200) > 2 * spread(5_000) > 0

    def test_what_was_assumed_stays_assumed(self):
        assert redrawn(pd.DataFrame(), Meaning(0.0, 0.5, 1.2, 0.7, 0), targets()) == ()
