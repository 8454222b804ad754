"""Categories of songs that listening reveals: which songs, how sure, called what, and the same again next time."""

import dataclasses
from functools import cache
from itertools import permutations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import adjusted_rand_score

from earmark.feedback.estimates.categories import (
    NEVER,
    SURE,
    TOO_FEW,
    UNSURE,
    Clustering,
    _clusters,
    _numbered,
    apart,
    categorise,
)
from earmark.feedback.estimates.factors import directions, factorise
from estimate_tools import categories

PARAMS = categories(factors=4, count=3, redraws=10)
NOBODY_BEFORE = pd.DataFrame({"track": pd.Series(dtype="int64"), "category": pd.Series(dtype="int64")})
NO_WORDS = pd.DataFrame(
    {"track": pd.Series(dtype="int64"), "term": pd.Series(dtype=object), "count": pd.Series(dtype="int64")}
)


@cache
def crowds(songs: int = 45, listeners: int = 90, astray: float = 0.03, seed: int = 1) -> pd.DataFrame:
    """Who listens to what: three crowds, each with songs of its own; song ``n`` is of crowd ``n % 3``."""
    random = np.random.default_rng(seed)
    listener, track = np.divmod(np.arange(listeners * songs), songs)
    played = random.random(len(track)) < np.where(listener % 3 == track % 3, 0.6, astray)
    return pd.DataFrame({"track": track[played], "listener": listener[played] + 1, "plays": 1.0})


def found(pairs: pd.DataFrame | None = None, params=PARAMS, *, tracks: int = 45, **other) -> Clustering:
    pairs = crowds() if pairs is None else pairs
    of = {
        "factors": factorise(pairs, params),
        "listeners": np.bincount(pairs["track"], minlength=tracks),
        "terms": NO_WORDS,
        "titles": {number: f"Song {number}" for number in range(tracks)},
        "before": NOBODY_BEFORE,
        "highest": -1,
        **other,
    }
    return categorise(pairs=pairs, params=params, **of)


def sets(of: Clustering) -> dict[int, set[int]]:
    """Which songs each number means."""
    members = of.members[of.members["category"] >= 0]
    return {int(number): set(rows["track"]) for number, rows in members.groupby("category")}


def crowd(number: int, songs: int = 45) -> set[int]:
    return set(range(number, songs, 3))


class TestCategories:
    def test_are_the_songs_that_the_same_listeners_play(self):
        assert sorted(map(min, sets(found()).values())) == [0, 1, 2]
        assert all(songs == crowd(min(songs)) for songs in sets(found()).values())

    def test_are_as_many_as_tell_the_songs_apart_best_where_nobody_says_how_many(self):
        chosen = found(params=dataclasses.replace(PARAMS, count=0))
        assert sets(chosen) == sets(found())
        assert chosen.silhouette > 0.5

    def test_are_not_more_than_the_most(self):
        assert len(sets(found(params=dataclasses.replace(PARAMS, count=0, max_count=2)))) == 2

    def test_are_the_same_again(self):
        first, again = found(), found()
        pd.testing.assert_frame_equal(first.members, again.members)
        assert (first.categories, first.highest, first.silhouette) == (
            again.categories,
            again.highest,
            again.silhouette,
        )

    def test_have_each_song_of_the_catalogue_once_in_order(self):
        members = found(tracks=60).members
        assert members["track"].tolist() == list(range(60))
        assert members.columns.tolist() == ["track", "category", "confidence", "listeners", "status"]

    def test_can_be_one(self):
        one = found(params=dataclasses.replace(PARAMS, count=1))
        assert set(sets(one)) == {0}
        assert np.isnan(one.silhouette)

    @pytest.mark.parametrize("count", [0, 1, 3, 4, 5, 50])
    @pytest.mark.parametrize("enough", [0, 1, 3, 4, 5, 6])
    def test_of_few_songs_are_few_or_none_and_never_an_error(self, count, enough):
        # All factors are there, but so many songs only have enough listeners.
        listeners = np.where(np.arange(45) < enough, 30, 1)
        few = found(params=dataclasses.replace(PARAMS, count=count, redraws=2), listeners=listeners)
        assert len(few.categories) <= max(enough, 1)
        assert (few.members["status"] == TOO_FEW).sum() >= 45 - enough

    @pytest.mark.parametrize("odd", [0, 17, 4_321])
    def test_may_be_so_small_that_no_sampled_song_is_of_them(self, odd):
        placed = np.tile(np.eye(4, dtype=np.float32)[0], (6_000, 1))
        placed[odd] = np.eye(4, dtype=np.float32)[1]
        _, labels, silhouette = _clusters(placed, 0, dataclasses.replace(PARAMS, count=2))
        assert sorted(np.bincount(labels)) == [1, 5_999]
        assert 0 <= silhouette <= 1

    @pytest.mark.filterwarnings("ignore:Number of distinct clusters")
    @pytest.mark.parametrize("count", [0, 3])
    def test_of_songs_that_all_lie_in_one_place_are_one(self, count):
        factors = factorise(crowds(), PARAMS)
        alike = dataclasses.replace(factors, song_factors=np.ones_like(factors.song_factors))
        assert len(sets(found(params=dataclasses.replace(PARAMS, count=count), factors=alike))) == 1

    @pytest.mark.parametrize("apart, alone, after_three, after_four", [(0.6, 3, 3, 3), (0.7, 3, 3, 4), (0.8, 4, 4, 4)])
    def test_stay_as_many_as_they_were_unless_another_number_is_clearly_better(
        self, apart, alone, after_three, after_four
    ):
        middles = np.eye(4)[[0, 1, 2, 2]]
        middles[3] = [0, 0, np.cos(apart), np.sin(apart)]  # near the third
        around = np.random.default_rng(1).normal(0, 0.12, (100, 4))
        placed = directions((np.repeat(middles, 25, axis=0) + around).astype(np.float32))
        free = dataclasses.replace(PARAMS, count=0)
        counts = [len(_clusters(placed, known, free)[0]) for known in (0, 3, 4)]
        assert counts == [alone, after_three, after_four]


class TestMembership:
    def test_is_sure_where_the_listeners_leave_no_doubt(self):
        members = found().members
        assert (members["status"] == SURE).all()
        assert members["confidence"].between(0.9, 1.0).all()

    def test_is_unsure_of_a_song_that_all_crowds_play_alike(self):
        random = np.random.default_rng(5)
        everywhere = pd.DataFrame({"track": 45, "listener": random.permutation(90)[:9] + 1, "plays": 1.0})
        members = found(pd.concat([crowds(), everywhere]), tracks=46).members
        assert members["confidence"][45] < members["confidence"][:45].min()

    def test_is_unsure_below_the_least_confidence_and_sure_from_there_on(self):
        pairs = crowds(astray=0.35)
        for least in (0.0, 0.6, 1.0):
            members = found(pairs, dataclasses.replace(PARAMS, min_confidence=least)).members
            assert (members["status"] == np.where(members["confidence"] >= least, SURE, UNSURE)).all()
        assert set(members["status"]) == {SURE, UNSURE}

    def test_is_not_confirmed_by_a_draw_that_leaves_a_song_without_listeners(self):
        # One listener each, of another crowd; in 37 % of the draws he or she is not there.
        alone = pd.DataFrame({"track": [45, 46, 47], "listener": [1, 2, 3], "plays": 1.0})
        params = dataclasses.replace(PARAMS, min_listeners=1, redraws=200)
        members = found(pd.concat([crowds(), alone]), params, tracks=48).members
        assert sorted(members["category"][45:]) == [0, 1, 2]
        assert members["confidence"][45:].to_numpy() == pytest.approx([1 - np.exp(-1)] * 3, abs=0.1)

    def test_is_a_share_of_the_redraws(self):
        confidence = found(crowds(astray=0.35)).members["confidence"]
        np.testing.assert_allclose(confidence * 10, np.round(confidence * 10), atol=1e-9)

    def test_is_of_none_where_too_few_have_heard_the_song_and_says_so(self):
        pairs = crowds()
        pairs = pd.concat([pairs[pairs["track"] != 7], pairs[pairs["track"] == 7].head(4)])
        members = found(pairs, tracks=46).members.set_index("track")
        assert members.loc[7, ["category", "listeners", "status"]].tolist() == [-1, 4, TOO_FEW]
        assert members.loc[45, ["category", "listeners", "status"]].tolist() == [-1, 0, NEVER]
        assert members.loc[[7, 45], "confidence"].isna().all()

    def test_is_of_none_for_all_without_factors(self):
        nothing = found(factors=None, highest=6)
        assert (nothing.categories, nothing.highest) == ((), 6)
        assert np.isnan(nothing.silhouette)
        assert (nothing.members["category"] == -1).all()
        assert set(nothing.members["status"]) == {TOO_FEW}

    def test_of_songs_that_never_move_is_full(self):
        # Listeners drawn anew change nothing where each song has the very same ones.
        listener, track = np.divmod(np.arange(90 * 45), 45)
        own = listener % 3 == track % 3
        pairs = pd.DataFrame({"track": track[own], "listener": listener[own] + 1, "plays": 1.0})
        assert (found(pairs).members["confidence"] == 1).all()


class TestNumbers:
    def test_go_by_size_at_first_the_largest_first(self):
        pairs = crowds()
        pairs = pairs[~pairs["track"].isin([0, 3, 6, 9, 12, 1, 4])]
        sizes = [len(songs) for _, songs in sorted(sets(found(pairs)).items())]
        assert sizes == [15, 13, 10]

    def test_stay_when_the_categories_are_found_anew_from_other_listeners(self):
        first = found(crowds(seed=1))
        later = found(crowds(seed=9, listeners=150), before=first.members, highest=first.highest)
        assert sets(later) == sets(first)
        assert later.highest == first.highest

    @pytest.mark.parametrize("shift", [1, 2])
    def test_stay_whatever_the_order_in_which_clusters_are_found(self, shift):
        first = found()
        before = first.members.assign(category=first.members["category"].map(lambda n: (n + shift) % 3 + 10))
        renamed = found(before=before, highest=12)
        assert sets(renamed) == {(number + shift) % 3 + 10: songs for number, songs in sets(first).items()}
        assert renamed.highest == 12

    def test_stay_when_songs_come_and_go(self):
        first = found()
        now = crowds(songs=60)  # 45 to 59 are new, and of the old ones a third is heard no more
        gone = np.arange(0, 45, 4)
        now = now[~now["track"].isin(gone)]
        later = found(now, tracks=60, before=first.members, highest=2)
        for number, songs in sets(first).items():
            assert sets(later)[number] == (crowd(min(songs), 60) - set(gone))

    def test_go_to_the_part_that_has_more_of_the_songs_and_the_other_part_gets_a_new_one(self):
        before = pd.DataFrame({"track": np.arange(45), "category": np.where(np.arange(45) % 3 == 0, 4, 7)})
        both = crowd(1) | (crowd(2) - {2, 5, 8})
        before = before[before["track"].isin(crowd(0) | both)]
        split = sets(found(before=before, highest=8))
        assert split[4] == crowd(0)
        assert split[7] == crowd(1)
        assert split[9] == crowd(2)

    def test_stay_where_most_songs_do_also_beside_more_songs_of_a_category_that_dissolves(self):
        # Of the old 5 a third joins the old 7, and a third each of two others; to 7 it brings more songs than 7 has.
        was = np.repeat([5, 7, 8, 9], [300, 99, 500, 500])
        labels = np.concatenate([np.repeat([0, 1, 2], 100), np.repeat([0, 1, 2], [99, 500, 500])])
        numbers, highest = _numbered(
            np.arange(len(was)), labels, pd.DataFrame({"track": np.arange(len(was)), "category": was}), 9
        )
        assert (numbers.tolist(), highest) == ([7, 8, 9], 9)

    def test_of_categories_that_are_gone_are_never_used_again(self):
        # Number 5 was the highest ever, retired before the last version; 9 vanishes now.
        before = pd.DataFrame({"track": [0, 3, 6, 9, 12, 900, 901], "category": [3, 3, 3, 3, 3, 9, 9]})
        later = found(before=before, highest=14)
        assert sets(later)[3] == crowd(0)
        assert set(sets(later)) == {3, 15, 16}
        assert later.highest == 16

    def test_are_new_where_hardly_a_song_is_left_of_the_old_category(self):
        before = pd.DataFrame({"track": [0, 1, 2, 3, 4, 5], "category": [0, 0, 0, 0, 0, 0]})
        assert set(sets(found(before=before, highest=0))) == {1, 2, 3}

    def test_are_kept_apart_even_where_the_highest_was_forgotten(self):
        before = pd.DataFrame({"track": sorted(crowd(0)), "category": 6})
        later = found(before=before, highest=-1)
        assert set(sets(later)) == {6, 7, 8}

    def test_do_not_mind_songs_of_no_category(self):
        before = pd.DataFrame({"track": np.arange(45), "category": -1})
        assert set(sets(found(before=before, highest=-1))) == {0, 1, 2}

    @pytest.mark.parametrize("seed", range(8))
    def test_leave_as_many_songs_as_possible_where_they_were(self, seed):
        random = np.random.default_rng(seed)
        was = random.integers(0, 4, 80)
        labels = np.where(random.random(80) < 0.75, (was + 1) % 4, random.integers(0, 4, 80))  # most stay together
        before = pd.DataFrame({"track": np.arange(80), "category": was + 20})
        numbers, highest = _numbered(np.arange(80), labels, before, 23)

        def stay(order) -> int:
            return sum(np.sum((labels == new) & (was + 20 == number)) for new, number in enumerate(order))

        assert stay(numbers) == max(map(stay, permutations(range(20, 24))))
        assert highest == 23


def log_odds(counts: dict[str, tuple[int, int]], word: str, strength: float = 20.0) -> float:
    """z of Monroe, Colaresi & Quinn (2008), eqs. 16 to 22, written out."""
    own_all, rest_all = (sum(pair[side] for pair in counts.values()) for side in (0, 1))
    own, rest = counts[word]
    prior = strength * (own + rest) / (own_all + rest_all)
    odds = np.log((own + prior) / (own_all + strength - own - prior))
    others = np.log((rest + prior) / (rest_all + strength - rest - prior))
    return float((odds - others) / np.sqrt(1 / (own + prior) + 1 / (rest + prior)))


COUNTS = {"calm": (40, 12), "loud": (5, 60), "rock": (30, 35), "waltz": (9, 0), "piano": (30, 10), "choir": (25, 9)}


def counted() -> pd.DataFrame:
    """`COUNTS` in three categories: the first one, and the others of which the rest is made up."""
    rows = {word: {0: own, 1: rest // 2, 2: rest - rest // 2} for word, (own, rest) in COUNTS.items()}
    return pd.DataFrame.from_dict(rows, orient="index")


class TestNames:
    def test_are_the_three_words_that_set_it_apart_the_clearest_first(self):
        expected = {word: log_odds(COUNTS, word) for word in COUNTS}
        clearest = sorted((word for word in expected if expected[word] > 1.96), key=lambda word: -expected[word])[:3]
        assert apart(counted(), 0) == pytest.approx({word: expected[word] for word in clearest})
        assert list(apart(counted(), 0)) == clearest

    def test_of_words_alike_are_in_the_order_of_the_alphabet(self):
        counts = pd.DataFrame({0: [30, 30, 1], 1: [2, 2, 90]}, index=["zither", "accordion", "other"])
        assert list(apart(counts, 0)) == ["accordion", "zither"]

    def test_are_none_where_no_word_sets_it_apart(self):
        assert apart(pd.DataFrame({0: [5, 5], 1: [5, 5]}, index=["a", "b"]), 0) == {}
        assert apart(pd.DataFrame(), 0) == {}
        assert apart(pd.DataFrame({1: [5]}, index=["a"]), 0) == {}

    def test_of_a_word_that_all_have_is_none_even_if_it_is_the_only_one(self):
        for counts in ({0: [50], 1: [50]}, {0: [500], 1: [5]}, {0: [50]}):
            assert apart(pd.DataFrame(counts, index=["music"]), 0) == {}

    def test_tell_the_categories_apart(self):
        words = {0: "calm", 1: "loud", 2: "odd"}
        terms = pd.DataFrame(
            [(track, words[track % 3], 4) for track in range(45)] + [(track, "music", 6) for track in range(45)],
            columns=["track", "term", "count"],
        )
        named = {category.name: sets(found(terms=terms))[category.number] for category in found(terms=terms).categories}
        assert named == {word: crowd(number) for number, word in words.items()}

    def test_are_like_the_most_typical_song_where_no_word_tells(self):
        for category in found().categories:
            assert category.name == f"like “Song {category.typical[0]}”"
            assert category.words == {}

    def test_of_those_called_alike_have_further_words_that_set_them_apart_among_themselves(self):
        # Two of three are called the same; what else is said of them is also said of the third.
        terms = pd.DataFrame(
            [(track, ("quartet", "quartet", "song")[track % 3], 9) for track in range(45)]
            + [(track, ("calm", "fast", "calm")[track % 3], 3) for track in range(45)]
            + [(track, "fast", 3) for track in range(2, 45, 3)],
            columns=["track", "term", "count"],
        )
        of = found(terms=terms)
        named = {min(sets(of)[category.number]): category.name for category in of.categories}
        assert (named[0], named[1]) == ("quartet · calm", "quartet · fast")
        assert all(" · ".join(category.words) == category.name for category in of.categories)

    def test_of_those_called_alike_have_their_most_typical_song_where_no_word_sets_them_apart(self):
        terms = pd.DataFrame(
            [(track, ("quartet", "quartet", "song")[track % 3], 9) for track in range(45)],
            columns=["track", "term", "count"],
        )
        of = found(terms=terms)
        for category in of.categories:
            like = f"quartet, like “Song {category.typical[0]}”"
            assert category.name == ("song" if 2 in sets(of)[category.number] else like)

    def test_are_all_different_whatever_is_said(self):
        for seed in range(6):
            random = np.random.default_rng(seed)
            said = {"track": random.integers(0, 45, 60), "term": random.choice(["a", "b", "c"], 60), "count": 5}
            names = [category.name for category in found(terms=pd.DataFrame(said)).categories]
            assert len(set(names)) == len(names) == 3

    def test_words_of_songs_that_belong_nowhere_have_no_part(self):
        terms = pd.DataFrame({"track": [99] * 3, "term": ["lost"] * 3, "count": [500] * 3})
        assert all(not category.words for category in found(terms=terms).categories)

    def test_typical_songs_are_sure_ones_near_the_middle(self):
        everywhere = pd.DataFrame({"track": 45, "listener": np.arange(1, 90, 10), "plays": 1.0})
        pairs = pd.concat([crowds(), everywhere])
        of = found(pairs, tracks=46)
        for category in of.categories:
            assert 45 not in category.typical
            assert len(set(category.typical)) == 5
            assert set(category.typical) <= sets(of)[category.number]

    def test_count_the_songs_that_belong_to_each_with_confidence(self):
        of = found(crowds(astray=0.35), dataclasses.replace(PARAMS, min_confidence=0.8))
        sure = of.members[of.members["status"] == SURE]["category"].value_counts()
        assert {category.number: category.songs for category in of.categories} == {
            number: sure.get(number, 0) for number in sets(of)
        }
        assert [category.number for category in of.categories] == sorted(sets(of))


class TestRecovery:
    def test_is_better_than_chance_where_crowds_overlap_and_perfect_where_they_do_not(self):
        truth = np.arange(45) % 3
        clear, blurred = (found(crowds(astray=astray)).members["category"] for astray in (0.03, 0.35))
        assert adjusted_rand_score(truth, clear) == 1
        assert 0.1 < adjusted_rand_score(truth, blurred) <= 1
