"""Made-up listeners: what is true of them, who meets what, and that it can be found out."""

import dataclasses
from functools import cache

import numpy as np
import pandas as pd
import pytest

from earmark.errors import FeedbackError, ParamsError
from earmark.feedback.simulation import truth
from earmark.feedback.simulation.people import group_sizes
from earmark.feedback.simulation.songs import made_up_tracks
from earmark.feedback.simulation.world import PART, World, set_scene, simulate
from earmark.params import Listeners, load_params
from scratch import CHECKOUT

DEFAULT = load_params(CHECKOUT / "params.yaml").listeners
SMALL = dataclasses.replace(DEFAULT, listeners=250, plays_per_listener=60.0, bots=2)
MANY = dataclasses.replace(DEFAULT, listeners=2000, plays_per_listener=60.0, bots=0)


def changed(params: Listeners = SMALL, **changes) -> Listeners:
    return dataclasses.replace(params, **changes)


@cache
def world(params: Listeners = SMALL, tracks: int = 150) -> World:
    return simulate(made_up_tracks(tracks), params)


def raw_share(of: World) -> pd.Series:
    """The share who like a song, among those who met it."""
    return of.met.groupby("song")["liked"].mean().reindex(of.songs.index)


class TestTruth:
    def test_appeal_is_the_share_that_many_draws_of_taste_against_chance_come_to(self):
        scene = set_scene(made_up_tracks(40), SMALL)
        random = np.random.default_rng(3)

        for number in (0, 17, 39):
            song = scene.songs.loc[number]
            listener = random.integers(SMALL.listeners, size=400_000)
            # Liking as a threshold: somebody likes what pleases more than a logistic variable.
            pleases = truth._BASE + scene.people.taste[listener, song["category"]] + song["quality"]
            drawn = np.mean(pleases > random.logistic(size=len(listener)))
            assert drawn == pytest.approx(song["appeal"], abs=0.004)

    def test_the_groups_appeals_weighted_by_their_sizes_make_up_the_appeal(self):
        songs, listeners = world().songs, world().listeners
        for prefix, column in (("group", "group"), ("age", "age_band"), ("country", "country")):
            sizes = listeners[~listeners["bot"]][column].value_counts()
            parts = sum(songs[f"appeal_{prefix}_{value}"] * size for value, size in sizes.items())
            np.testing.assert_allclose(parts / sizes.sum(), songs["appeal"])

    def test_it_is_a_matter_of_songs_and_listeners_and_not_of_what_they_hear(self):
        other = changed(exposure=0.0, plays_per_listener=20.0, love_share=0.5, bots=0, spotify_share=0.0)
        pd.testing.assert_frame_equal(world().songs, world(other).songs)

    def test_liking_among_those_who_met_follows_the_probability(self):
        scene, found = set_scene(made_up_tracks(150), SMALL), world()
        expected = scene.liking.probability(found.met["listener"].to_numpy(), found.met["song"].to_numpy())
        deviation = np.sqrt((expected * (1 - expected)).sum())
        assert abs(found.met["liked"].sum() - expected.sum()) < 3 * deviation

    def test_songs_that_grow_on_people_are_liked_by_more_at_the_end_than_at_the_beginning(self):
        drifting = world(changed(MANY, drift_per_year=4.0))
        met = drifting.met.assign(drift=drifting.songs["drift"].to_numpy()[drifting.met["song"]])
        late = met["at_us"] > met["at_us"].median()
        grows, fades = met["drift"] > 2, met["drift"] < -2
        gain = [met[late & which]["liked"].mean() - met[~late & which]["liked"].mean() for which in (grows, fades)]
        assert gain[0] > 0.1
        assert gain[1] < -0.1


class TestSongs:
    def test_categories_cross_the_genres_and_still_lean_on_them(self):
        songs = world(tracks=2000, params=changed(plays_per_listener=20.0)).songs.dropna(subset=["genre"])
        shares = pd.crosstab(songs["genre"], songs["category"], normalize="index")
        # The own category takes the linked songs and its part of the others.
        linked = SMALL.genre_link + (1 - SMALL.genre_link) / SMALL.categories
        assert shares.max(axis=1).to_numpy() == pytest.approx(linked, abs=0.1)
        assert (shares > 0).all(axis=None)
        assert set(shares.idxmax(axis=1)) == set(range(SMALL.categories))

    def test_popularity_has_a_heavy_tail_and_leans_on_quality(self):
        songs = world(tracks=2000, params=changed(plays_per_listener=20.0)).songs
        top = songs["popularity"].nlargest(len(songs) // 100).sum() / songs["popularity"].sum()
        assert 0.06 < top < 0.7  # of an exponential variable the top hundredth has 0.056
        assert 0.25 < songs["quality"].corr(songs["popularity"], method="spearman") < 0.5

    def test_songs_with_one_title_and_artist_are_marked_however_they_are_written(self):
        tracks = made_up_tracks(150)
        tracks.loc[[3, 5], "title"] = ["The Same Song", "the same song (Remastered 2009)"]
        tracks.loc[[3, 5], "artist"] = ["The Ensemble", "ensemble"]
        songs = simulate(tracks, SMALL).songs
        assert songs[songs["ambiguous"]]["track_id"].tolist() == tracks["track_id"][[3, 5]].tolist()

    def test_a_few_songs_are_in_no_catalogue(self):
        strangers = world().songs[world().songs["track_id"].isna()]
        assert 2 <= len(strangers) <= 10
        assert world().events["song"].isin(strangers.index).any()

    def test_tracks_without_names_are_left_out_for_no_service_could_name_them(self):
        tracks = made_up_tracks(150)
        tracks.loc[7, "title"] = None
        tracks.loc[8, "artist"] = None
        songs = simulate(tracks, SMALL).songs
        assert set(tracks["track_id"]) - set(songs["track_id"]) == set(tracks["track_id"][[7, 8]])

    def test_a_catalogue_without_any_names_is_an_error_that_says_so(self):
        with pytest.raises(FeedbackError, match="None of the 20 tracks has both a title and an artist"):
            simulate(made_up_tracks(20).assign(title=None), SMALL)


class TestListeners:
    def test_groups_have_the_sizes_that_are_told(self):
        humans = world().listeners[~world().listeners["bot"]]
        assert humans["group"].value_counts().sort_index().tolist() == group_sizes(SMALL).tolist()
        assert group_sizes(SMALL).sum() == SMALL.listeners
        assert (np.diff(group_sizes(SMALL)) < 0).all()

    def test_ages_and_countries_go_with_the_groups(self):
        humans = world().listeners[~world().listeners["bot"]]
        ages = humans.groupby("group")["age"].mean()
        assert (ages.diff().dropna() > 5).all()
        assert (humans.groupby("group")["country"].agg(lambda of: of.mode()[0])).nunique() == SMALL.groups
        assert (humans["age_band"] <= humans["age"]).all()
        assert (humans["age"] < humans["age_band"] + 10).all()

    def test_they_play_as_much_as_was_asked_for_on_average(self):
        humans = world(MANY).events.query("ms_played >= 0")
        assert len(humans) / MANY.listeners == pytest.approx(MANY.plays_per_listener, rel=0.03)

    def test_a_tenth_of_them_plays_more_than_a_third_of_all(self):
        plays = world(MANY).events.query("ms_played >= 0")["listener"].value_counts()
        assert plays.nlargest(MANY.listeners // 10).sum() > plays.sum() / 3

    def test_those_of_a_group_agree_more_than_those_of_two(self):
        found = world(changed(plays_per_listener=150.0))
        shape = (SMALL.listeners, len(found.songs))
        said = np.zeros(shape)
        said[found.met["listener"], found.met["song"]] = np.where(found.met["liked"], 1, -1)
        together, agreed = np.abs(said) @ np.abs(said).T, said @ said.T
        group = found.listeners["group"].to_numpy()[: SMALL.listeners]
        same = (group[:, None] == group[None, :]) & ~np.eye(SMALL.listeners, dtype=bool)
        other = group[:, None] != group[None, :]
        assert agreed[same].sum() / together[same].sum() > agreed[other].sum() / together[other].sum() + 0.15


class TestExposure:
    def test_without_it_the_raw_share_is_the_appeal_but_for_chance(self):
        even = world(changed(MANY, exposure=0.0))
        bias = (raw_share(even) - even.songs["appeal"]).mean()
        assert abs(bias) < 0.015

    def test_with_it_the_raw_share_is_too_high_and_most_so_for_what_divides_people(self):
        biased = world(MANY)
        bias = raw_share(biased) - biased.songs["appeal"]
        divides = biased.songs.filter(like="appeal_group_").std(axis=1)
        thirds = bias.groupby(pd.qcut(divides, 3, labels=False)).mean()
        assert bias.mean() > 0.05
        assert thirds[2] > thirds[0] + 0.04

    def test_in_proportion_it_is_too_high_most_of_all_for_what_few_like(self):
        biased = world(MANY)
        times = raw_share(biased) / biased.songs["appeal"]
        thirds = times.groupby(pd.qcut(biased.songs["appeal"], 3, labels=False)).mean()
        assert thirds[0] > thirds[1] > thirds[2] > 1

    def test_the_bias_grows_with_its_strength(self):
        biases = [
            (raw_share(found) - found.songs["appeal"]).mean()
            for found in (world(changed(MANY, exposure=strength)) for strength in (0.0, 0.5, 1.0))
        ]
        assert biases[0] + 0.02 < biases[1] < biases[2] - 0.02

    def test_weighting_by_the_true_propensity_takes_the_bias_away(self):
        scene, found = set_scene(made_up_tracks(150), MANY), world(MANY)
        rates = scene.exposure.rates(np.arange(MANY.listeners)).astype(float)
        propensity = -np.expm1(-rates * scene.exposure.days)
        met = found.met.assign(weight=1 / propensity[found.met["listener"], found.met["song"]])
        weighted = (met["liked"] * met["weight"]).groupby(met["song"]).sum() / met.groupby("song")["weight"].sum()
        raw = raw_share(found) - found.songs["appeal"]
        assert abs((weighted - found.songs["appeal"]).mean()) < 0.2 * raw.mean()

    def test_who_likes_what_is_the_same_whatever_is_met(self):
        both = world().met.merge(world(changed(exposure=0.0)).met, on=["listener", "song"])
        assert len(both) > 500
        assert (both["liked_x"] == both["liked_y"]).all()

    def test_the_most_popular_tenth_of_the_songs_draws_twice_its_part_of_the_attention(self):
        def top(of: World) -> float:
            counts = of.met["song"].value_counts()
            return counts.nlargest(len(of.songs) // 10).sum() / counts.sum()

        assert top(world(MANY)) > 0.2
        assert top(world(changed(MANY, exposure=0.0))) < 0.15

    def test_songs_that_are_there_for_longer_are_met_by_more(self):
        even = world(changed(MANY, exposure=0.0))
        met = even.met["song"].value_counts().reindex(even.songs.index, fill_value=0)
        start = pd.Timestamp("2022-06-01", tz="UTC")
        days = (start + pd.Timedelta(days=MANY.days) - even.songs["available_from"].clip(lower=start)).dt.days
        assert met.corr(days, method="spearman") > 0.7

    def test_nothing_is_heard_before_it_can_be(self):
        first = pd.to_datetime(world().events.groupby("song")["at_us"].min(), unit="us", utc=True)
        assert (first >= world().songs["available_from"].reindex(first.index)).all()

    def test_more_plays_than_the_songs_can_fill_are_an_error_that_says_so(self):
        with pytest.raises(FeedbackError, match=r"12 songs are too few for 60 plays"):
            simulate(made_up_tracks(10), SMALL)


class TestChance:
    def test_the_same_seed_gives_the_same_world(self):
        again = simulate(made_up_tracks(150), SMALL)
        pd.testing.assert_frame_equal(again.events, world().events)
        pd.testing.assert_frame_equal(again.songs, world().songs)
        pd.testing.assert_frame_equal(again.met, world().met)

    def test_another_seed_gives_another(self):
        other = world(changed(seed=2))
        assert not other.songs["appeal"].equals(world().songs["appeal"])
        assert len(other.met.merge(world().met, on=["listener", "song", "at_us"])) == 0

    def test_the_order_of_the_tracks_does_not_matter(self):
        shuffled = made_up_tracks(150).sample(frac=1, random_state=1)
        pd.testing.assert_frame_equal(simulate(shuffled, SMALL).events, world().events)

    def test_one_number_changed_leaves_what_it_does_not_concern(self):
        def plays(of: World) -> pd.DataFrame:
            return of.events.query("ms_played >= 0").reset_index(drop=True)

        pd.testing.assert_frame_equal(plays(world(changed(love_share=0.7))), plays(world()))
        longer = world(changed(own_taste=0.9)).songs[["category", "quality", "popularity", "available_from"]]
        pd.testing.assert_frame_equal(longer, world().songs[list(longer)])

    def test_what_one_part_of_the_listeners_likes_says_nothing_of_another(self):
        met = world(MANY).met

        def agreement(apart: int) -> float:
            both = met.merge(met.assign(listener=met["listener"] - apart), on=["listener", "song"])
            return (both["liked_x"] == both["liked_y"]).mean()

        assert agreement(PART) == pytest.approx(agreement(PART + 1), abs=0.03)

    def test_the_parts_of_a_large_world_are_the_world(self):
        params = changed(MANY, listeners=1100, bots=1)
        parts = list(set_scene(made_up_tracks(150), params).parts())
        whole = simulate(made_up_tracks(150), params)
        assert len(parts) == 4
        assert sum(len(part.events) for part in parts) == len(whole.events)
        assert sum(part.events["ms_played"].sum() for part in parts) == whole.events["ms_played"].sum()
        pd.testing.assert_frame_equal(pd.concat([part.met for part in parts], ignore_index=True), whole.met)


class TestChecks:
    @pytest.mark.parametrize(
        "change",
        [{"listeners": 0}, {"groups": 0}, {"seed": -1}, {"genre_link": 1.5}, {"exposure": -1.0}, {"groups": 300},
         {"plays_per_listener": 0.0}],
    )  # fmt: skip
    def test_an_impossible_number_is_named(self, change):
        with pytest.raises(ParamsError, match=f"listeners.{next(iter(change))} is "):
            simulate(made_up_tracks(150), changed(**change))

    @pytest.mark.parametrize("change", [{"bots": 0}, {"spotify_share": 0.0}, {"spotify_share": 1.0}, {"groups": 9}])
    def test_a_possible_one_is_not(self, change):
        assert len(world(changed(**change)).events) > 10_000
