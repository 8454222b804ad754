"""What made-up listeners do: plays, skips, sessions, reactions, tags, and bots."""

import dataclasses
from functools import cache

import numpy as np
import pandas as pd
import pytest

from earmark.feedback.event import KINDS
from earmark.feedback.simulation.saying import NOISE, WORDS
from earmark.feedback.simulation.songs import made_up_tracks
from earmark.feedback.simulation.world import World, simulate
from earmark.params import load_params
from scratch import CHECKOUT

DURATION_MS = 200_000
PARAMS = dataclasses.replace(load_params(CHECKOUT / "params.yaml").listeners, listeners=600, bots=3)


@cache
def world(**changes) -> World:
    return simulate(made_up_tracks(200, duration_s=DURATION_MS / 1000), dataclasses.replace(PARAMS, **changes))


def plays() -> pd.DataFrame:
    """The plays of all who are no bots, in order of listener and time, and whether they like what they hear."""
    found = world()
    events = found.events[found.events["ms_played"] >= 0]
    events = events[~found.listeners["bot"].to_numpy()[events["listener"]]]
    events = events.merge(found.met[["listener", "song", "liked"]], on=["listener", "song"], validate="many_to_one")
    return events.sort_values(["listener", "at_us"], ignore_index=True)


class TestPlays:
    def test_a_skip_is_what_was_ended_by_skipping(self):
        events = world().events
        assert ((events["kind"] == "skip") == (events["ended"] == "skipped")).all()
        assert tuple(events["kind"].cat.categories) == KINDS

    def test_complete_plays_last_as_long_as_the_song_and_others_less(self):
        by = plays().groupby("ended", observed=True)["ms_played"]
        assert by.get_group("complete").eq(DURATION_MS).all()
        for ended in ("skipped", "stopped", "failed"):
            assert by.get_group(ended).between(1, DURATION_MS - 1).all()

    def test_everybody_who_met_a_song_has_played_it_and_nobody_else(self):
        assert len(plays().drop_duplicates(["listener", "song"])) == len(world().met)

    def test_what_is_liked_is_skipped_less_and_heard_again_more(self):
        by = plays().groupby("liked")
        skipped, again = (
            by["kind"].agg(lambda kind: (kind == "skip").mean()),
            by.size() / world().met["liked"].value_counts(),
        )
        assert skipped[False] > skipped[True] + 0.25
        assert skipped[True] > 0.1
        assert again[True] > 2 * again[False]

    def test_about_a_quarter_is_over_within_5_seconds_and_less_than_half_is_broken_off(self):
        """As measured on Spotify by Lamere, 2014."""
        broken = plays()["ended"] != "complete"
        assert 0.1 < (broken & (plays()["ms_played"] < 5000)).mean() < 0.3
        assert 0.25 < broken.mean() < 0.5

    def test_what_was_chosen_is_skipped_less_and_liked_more(self):
        by = plays().groupby("started", observed=True)
        assert by["liked"].mean()["chosen"] > by["liked"].mean()["continued"] + 0.05
        unliked = plays().query("not liked").groupby("started", observed=True)["kind"]
        skipped = unliked.agg(lambda kind: (kind == "skip").mean())
        assert skipped["chosen"] < skipped["continued"] - 0.1

    def test_skips_come_together_in_sessions_whatever_is_liked(self):
        of = plays().assign(skipped=lambda of: (of["kind"] == "skip").astype(float))
        session = of.groupby(["listener", "session"])
        before = (session["skipped"].cumsum() - of["skipped"]) / session.cumcount()
        # Sessions in which nothing is skipped are another matter; what is liked and not chosen is alike otherwise.
        alike = (before > 0) & (session.cumcount() >= 3) & of["liked"] & (of["started"] == "continued")
        calm, restless = (of["skipped"][alike & which].mean() for which in (before < 0.4, before > 0.6))
        assert restless > calm + 0.05

    def test_in_some_long_sessions_nothing_is_skipped(self):
        sessions = plays().groupby(["listener", "session"])["kind"].agg(["size", lambda kind: (kind == "skip").sum()])
        long = sessions[sessions["size"] >= 12]
        # By chance alone nearly no session of a dozen plays would be without a skip.
        rate = (plays()["kind"] == "skip").mean()
        assert (long.iloc[:, 1] == 0).mean() > 5 * (1 - rate) ** 12


class TestTime:
    def test_nobody_hears_two_songs_at_once(self):
        of = plays()
        begin = of["at_us"] - of["ms_played"].astype(np.int64) * 1000
        gap = (begin - of["at_us"].shift())[of["listener"].diff().eq(0)]
        assert gap.min() > -1_000_000  # plays end in whole seconds

    def test_plays_end_in_whole_seconds_and_never_two_in_one(self):
        assert (plays()["at_us"] % 1_000_000 == 0).all()
        assert not world().events.query("ms_played >= 0").duplicated(["listener", "at_us"]).any()

    def test_songs_of_a_session_follow_each_other(self):
        of = plays()
        begin = of["at_us"] - of["ms_played"].astype(np.int64) * 1000
        within = of["listener"].diff().eq(0) & of["session"].diff().eq(0)
        assert (begin - of["at_us"].shift())[within].max() < 6_000_000
        assert 5 < len(of) / len(of.drop_duplicates(["listener", "session"])) < 10

    def test_it_lasts_as_many_days_as_asked_give_or_take_the_last_evening(self):
        at = pd.to_datetime(plays()["at_us"], unit="us")
        assert at.min() >= pd.Timestamp("2022-06-01")
        assert at.max() < pd.Timestamp("2022-06-01") + pd.Timedelta(days=PARAMS.days + 2)

    def test_people_listen_in_the_evening_of_where_they_are(self):
        of = plays().merge(world().listeners["country"], left_on="listener", right_index=True)
        hours = pd.to_datetime(of["at_us"], unit="us").dt.hour
        # Eight in the evening and four in the morning, summer time, in Berlin and in Tokyo.
        for country, evening, night in (("DE", 18, 2), ("JP", 11, 19)):
            counts = hours[of["country"] == country].value_counts()
            around = [sum(counts.get((hour + step) % 24, 0) for step in (-1, 0, 1)) for hour in (evening, night)]
            assert around[0] > 2 * around[1]


class TestReactions:
    def test_only_listeners_of_listenbrainz_say_anything(self):
        said = world().events[world().events["ms_played"] < 0]
        assert set(world().listeners["service"].to_numpy()[said["listener"]]) == {"listenbrainz"}
        assert set(said["kind"].astype(str)) == {"like", "dislike", "tag"}

    def test_lovers_say_so_more_often_than_others(self):
        met = world().met[(world().listeners["service"] == "listenbrainz").to_numpy()[world().met["listener"]]]
        said = world().events.query("value == 1")
        loved, hated = ((said["kind"] == kind).sum() for kind in ("like", "dislike"))
        liked = met["liked"].sum()
        assert loved / liked == pytest.approx(PARAMS.love_share, rel=0.35)  # a few talkative listeners say most of it
        assert hated / (len(met) - liked) < loved / liked / 2

    def test_if_all_said_all_the_likes_would_be_the_raw_share(self):
        talkative = world(love_share=1.0, hate_share=1.0, spotify_share=0.0)
        said = talkative.events.query("value == 1").astype({"kind": str})
        share = (said["kind"] == "like").mean()
        assert share == pytest.approx(talkative.met["liked"].mean(), abs=0.02)

    def test_some_is_taken_back_after_it_was_said(self):
        reactions = world(love_share=0.6).events
        reactions = reactions[reactions["kind"].isin(["like", "dislike"])]
        back = reactions[reactions["value"].isna()]
        pairs = back.merge(reactions[reactions["value"] == 1], on=["listener", "song"])
        assert len(pairs) == len(back) > 10
        assert (pairs["at_us_x"] > pairs["at_us_y"]).all()

    def test_reactions_follow_the_first_hearing(self):
        said = world().events.query("value == 1").merge(world().met, on=["listener", "song"])
        assert (said["at_us_x"] - said["at_us_y"]).between(1, 60_000_000).all()


class TestTags:
    def test_few_listeners_give_them(self):
        tagged = world().events.query("kind == 'tag'")["listener"].nunique()
        ours = (world().listeners["service"] == "listenbrainz").sum()
        assert 0.05 < tagged / ours < 0.3

    def test_one_word_is_spelled_in_several_ways(self):
        words = set(world().events["word"].dropna())
        assert {"hip hop", "Hip-Hop", "chill!", "Chill"} <= words
        assert words & set(NOISE)

    def test_the_words_tell_the_category(self):
        tags = world().events.query("kind == 'tag'")
        plain = tags["word"].astype(str).str.lower().str.strip("#!").str.replace("-", " ").str.removesuffix("s")
        known = plain.isin([word.removesuffix("s") for word in WORDS])
        category = world().songs["category"].to_numpy()[tags["song"]]
        place = plain.map({word.removesuffix("s"): number for number, word in enumerate(WORDS)})
        own = (place % PARAMS.categories == category)[known].mean()
        assert own > 0.7
        shares = world().words.to_numpy()
        expected = np.mean([shares[c, c :: PARAMS.categories].sum() for c in range(PARAMS.categories)])
        assert own == pytest.approx(expected, abs=0.05)
        np.testing.assert_allclose(shares.sum(axis=1), 1)

    def test_a_listener_gives_a_song_no_word_twice(self):
        assert not world().events.query("kind == 'tag'").duplicated(["listener", "song", "word"]).any()

    def test_each_belongs_to_a_play(self):
        events = world().events
        on = ["listener", "song", "at_us"]
        assert len(events.query("kind == 'tag'").merge(events.query("ms_played >= 0"), on=on)) == len(
            events.query("kind == 'tag'")
        )


class TestBots:
    def test_they_do_what_no_human_being_does(self):
        events, bot = world().events, world().listeners["bot"].to_numpy()
        at = pd.to_datetime(events["at_us"], unit="us")
        hour, day = at.dt.floor("h"), at.dt.floor("D")
        hourly = events.groupby([events["listener"], hour]).size().groupby("listener").max()
        repeats = events.groupby([events["listener"], day, events["song"]]).size().groupby("listener").max()
        hours_awake = hour.groupby([events["listener"], day]).nunique().groupby("listener").max()
        bots = np.flatnonzero(bot)
        assert len(bots) == 3
        assert hourly[bots].max() > 600 > hourly.drop(bots).max()
        assert repeats[bots].min() > 300 > repeats.drop(bots).max()
        assert hours_awake[bots].max() == 24

    def test_they_are_on_several_days_and_push_few_songs(self):
        for bot in np.flatnonzero(world().listeners["bot"]):
            events = world().events[world().events["listener"] == bot]
            assert (events["at_us"] // 86_400_000_000).nunique() >= 4
            assert events["song"].nunique() <= 3
            assert events["ms_played"].max() < 32_000

    def test_they_have_no_part_in_the_truth(self):
        assert world(bots=0).songs["appeal"].equals(world().songs["appeal"])
        assert world().met["listener"].max() < PARAMS.listeners
