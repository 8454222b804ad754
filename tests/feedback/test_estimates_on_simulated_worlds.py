"""Estimates against the truth in made-up worlds: one where taste decides what is heard, one where it does not."""

from functools import cache, cached_property

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

from earmark.feedback.estimates.categories import SURE, Clustering, categorise
from earmark.feedback.estimates.evidence import calibrate
from earmark.feedback.estimates.factors import factorise
from earmark.feedback.estimates.targets import Report, make_targets
from earmark.feedback.estimates.words import vocabulary
from earmark.feedback.simulation.saying import WORDS
from earmark.feedback.simulation.world import World
from estimate_tools import categories, evidence, pairs_in, people, targets, world

SONGS, LISTENERS = 150, 700


class Seen:
    """A made-up world, and what can be seen of it."""

    def __init__(self, **changes) -> None:
        self.changes = changes

    @cached_property
    def world(self) -> World:
        return world(SONGS, listeners=LISTENERS, **self.changes)

    @cached_property
    def songs(self) -> pd.DataFrame:
        return self.world.songs

    @cached_property
    def pairs(self) -> pd.DataFrame:
        return pairs_in(self.world)

    @cached_property
    def raw_share(self) -> pd.Series:
        """Of those who said what they think of a song, the share who like it."""
        return self.pairs.groupby("track")["answer"].mean().dropna()

    @cached_property
    def tags(self) -> pd.DataFrame:
        said = self.world.events[self.world.events["kind"] == "tag"].rename(columns={"song": "track"})
        return said[["track", "listener"]].assign(word=said["word"].astype(object), kind="tag")


BY_TASTE, AT_RANDOM = Seen(), Seen(exposure=0.0)
WORLDS = pytest.mark.parametrize("of", [BY_TASTE, AT_RANDOM], ids=["by taste", "at random"])


@cache
def made(of: Seen, segments: tuple[str, ...] = (), correct: bool = True) -> tuple[pd.DataFrame, Report]:
    attributes = people(of.world.listeners.index, age=of.world.listeners["age_band"].astype(str))
    params = targets(segments=list(segments), correct_exposure=correct)
    now_us = float(of.world.events["at_us"].max())
    return make_targets(evidence(len(of.songs), of.pairs, attributes=attributes, now_us=now_us), params, 5)


def told(of: Seen, target: str = "appeal", segment: str = "all", **how) -> pd.DataFrame:
    table, _ = made(of, **how)
    return table[(table["target"] == target) & (table["segment"] == segment)].set_index("track")


def rms(errors: pd.Series) -> float:
    return float(np.sqrt((errors**2).mean()))


class TestAppeal:
    @WORLDS
    def test_errs_less_than_the_raw_share_at_every_level_of_evidence(self, of):
        truth, found, raw = of.songs["appeal"], told(of), of.raw_share
        level = pd.qcut(found["listeners"], 5, labels=False)
        for number in range(5):
            here = found.index[level == number].intersection(raw.index)
            assert len(here) > 10
            assert rms(found["estimate"][here] - truth[here]) < 0.6 * rms(raw[here] - truth[here])

    def test_errs_less_than_the_share_that_was_not_skipped(self):
        truth, found = AT_RANDOM.songs["appeal"], told(AT_RANDOM)
        heard = AT_RANDOM.pairs.dropna(subset="skipped")
        listened = (heard["skipped"] == 0).groupby(heard["track"]).mean()
        assert rms(found["estimate"] - truth[found.index]) < 0.75 * rms(listened - truth[listened.index])

    @WORLDS
    def test_ranks_the_songs_better_than_the_raw_share(self, of):
        truth, found, raw = of.songs["appeal"], told(of)["estimate"], of.raw_share
        assert spearmanr(found[raw.index], truth[raw.index])[0] > spearmanr(raw, truth[raw.index])[0] + 0.2

    def test_errs_less_the_more_listeners_a_song_has(self):
        truth, found = AT_RANDOM.songs["appeal"], told(AT_RANDOM)
        level = pd.qcut(found["listeners"], 3, labels=False)
        errors = [rms((found["estimate"] - truth[found.index])[level == number]) for number in range(3)]
        assert errors[0] > errors[2]

    def test_the_interval_holds_the_truth_nearly_as_often_as_it_says_where_songs_are_met_at_random(self):
        truth, found = AT_RANDOM.songs["appeal"], told(AT_RANDOM)
        held = (found["low"] <= truth[found.index]) & (truth[found.index] <= found["high"])
        assert 0.8 < held.mean() <= 1
        assert (found["high"] - found["low"]).mean() < 0.5

    def test_the_noise_ceiling_is_told(self):
        assert 0.5 < made(BY_TASTE)[1].ceilings["appeal"] < 1


class TestExposure:
    def test_correcting_it_takes_away_a_part_of_the_bias_where_taste_decides_what_is_heard(self):
        truth = BY_TASTE.songs["appeal"]
        corrected, plain = ((told(BY_TASTE, correct=correct)["estimate"] - truth).dropna() for correct in (True, False))
        assert plain.mean() > 0.025
        assert abs(corrected.mean()) < 0.8 * plain.mean()
        assert rms(corrected) < rms(plain)

    def test_correcting_it_does_no_harm_where_it_does_not(self):
        corrected, plain = (told(AT_RANDOM, correct=correct)["estimate"] for correct in (True, False))
        assert made(AT_RANDOM)[1].exposure < 0.1
        assert (corrected - plain).abs().max() < 0.02


class TestWhatDoingsMean:
    @WORLDS
    def test_is_what_they_do_mean_to_those_who_did_not_answer(self, of):
        unsaid = of.pairs[lambda rows: rows["answer"].isna() & rows["heard"].notna()]
        met = of.world.met.rename(columns={"song": "track"})
        liked = unsaid.merge(met, on=["track", "listener"])["liked"].to_numpy()
        ratios = calibrate(of.pairs, targets()).log_ratio(unsaid)
        share = liked.mean()
        chance = 1 / (1 + (1 - share) / share * np.exp(-ratios))
        assert chance.mean() == pytest.approx(share, abs=0.05)
        for group in np.array_split(np.argsort(chance), 4):
            assert liked[group].mean() == pytest.approx(chance[group].mean(), abs=0.1)


class TestSegments:
    def test_are_nearer_their_own_truth_than_their_raw_share(self):
        attributes = BY_TASTE.world.listeners["age_band"]
        for age in (20, 50):
            truth = BY_TASTE.songs[f"appeal_age_{age}"]
            found = told(BY_TASTE, segment=f"age:{age}", segments=("age",))["estimate"]
            own = BY_TASTE.pairs[lambda rows, age=age: rows["listener"].map(attributes) == age]
            raw = own.groupby("track")["answer"].mean().dropna()
            both = found.index.intersection(raw.index)
            assert rms(found[both] - truth[both]) < 0.6 * rms(raw[both] - truth[both])

    def test_are_corrected_to_their_own_average_listener(self):
        held = []
        for age in (20, 30, 40, 50):
            truth = BY_TASTE.songs[f"appeal_age_{age}"]
            found = told(BY_TASTE, segment=f"age:{age}", segments=("age",))
            here = truth[found.index]
            held.append((found["low"] <= here) & (here <= found["high"]))
        assert pd.concat(held).mean() > 0.8

    def test_that_like_other_things_are_told_apart(self):
        old, young = (told(BY_TASTE, segment=f"age:{age}", segments=("age",))["estimate"] for age in (20, 50))
        songs = old.index.intersection(young.index)
        really = BY_TASTE.songs["appeal_age_20"] - BY_TASTE.songs["appeal_age_50"]
        assert np.corrcoef((old - young)[songs], really[songs])[0, 1] > 0.4


class TestPopularity:
    def test_is_what_draws_listeners_and_not_for_how_long_a_song_was_there(self):
        found = told(AT_RANDOM, "popularity")
        since = AT_RANDOM.songs["available_from"][found.index].astype("int64")
        assert abs(spearmanr(found["listeners"], since)[0]) > abs(spearmanr(found["estimate"], since)[0]) + 0.1


@cache
def found() -> Clustering:
    heard, params, words = BY_TASTE.pairs, categories(), BY_TASTE.tags
    words = words.assign(term=words["word"].map(kept_words())).dropna(subset="term")
    words = words.drop_duplicates(["track", "listener", "term"]).groupby(["track", "term"]).size()
    nobody = pd.DataFrame({"track": pd.Series(dtype="int64"), "category": pd.Series(dtype="int64")})
    return categorise(
        factorise(heard, params),
        heard,
        np.bincount(heard["track"], minlength=len(BY_TASTE.songs)),
        words.reset_index(name="count"),
        {number: str(number) for number in BY_TASTE.songs.index},
        nobody,
        -1,
        params,
    )


@cache
def kept_words() -> dict[str, str]:
    return dict(vocabulary(BY_TASTE.tags, BY_TASTE.tags["track"].nunique(), min_listeners=3, max_share=0.5))


class TestCategories:
    def test_are_the_true_ones_better_than_by_k_means_on_raw_counts(self):
        members = found().members
        members = members[members["category"] >= 0]
        truth = BY_TASTE.songs["category"].to_numpy()[members["track"]]
        heard = BY_TASTE.pairs
        counts = np.zeros((len(BY_TASTE.songs), LISTENERS))
        counts[heard["track"], heard["listener"]] = heard["plays"]
        by_counts = KMeans(BY_TASTE.world.params.categories, n_init=10, random_state=1).fit(counts[members["track"]])
        score = adjusted_rand_score(truth, members["category"])
        assert score > 0.55
        assert score > adjusted_rand_score(truth, by_counts.labels_) + 0.25

    def test_are_nearly_as_many_as_there_are(self):
        assert abs(len(found().categories) - BY_TASTE.world.params.categories) <= 2

    def test_are_sure_for_nearly_all_songs_and_nearly_all_of_these_are_right(self):
        sure = found().members[lambda rows: rows["status"] == SURE]
        truth = BY_TASTE.songs["category"].to_numpy()[sure["track"]]
        right = pd.crosstab(sure["category"], truth).max(axis=1).sum()
        assert len(sure) > 0.8 * len(BY_TASTE.songs)
        assert right > 0.75 * len(sure)

    def test_are_named_by_the_words_that_their_songs_are_called(self):
        members = found().members[lambda rows: rows["category"] >= 0]
        truth = BY_TASTE.songs["category"].to_numpy()
        expected = BY_TASTE.world.words
        right = [
            expected.loc[np.bincount(truth[members[members["category"] == each.number]["track"]]).argmax(), word] > 0.1
            for each in found().categories
            for word in each.words
        ]
        assert len(right) >= 6
        assert np.mean(right) > 0.85

    def test_the_vocabulary_is_the_one_that_was_spoken(self):
        assert set(kept_words().values()) == set(WORDS)
