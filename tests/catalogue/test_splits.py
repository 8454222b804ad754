"""Splits: by group, stable for good, every genre on every side."""

from collections import Counter
from dataclasses import replace

import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from earmark.catalogue.splits import SIDES, arrange, place, united
from earmark.errors import CatalogueError, ParamsError
from earmark.params import Split

SPLIT = Split(seed=1, validation_share=0.15, test_share=0.2, official="whole")


def shares(seed: int, validation: float = 0.15, test: float = 0.2) -> Split:
    return replace(SPLIT, seed=seed, validation_share=validation, test_share=test)


def assign_splits(tracks: pd.DataFrame, split: Split) -> pd.Series:
    return arrange(tracks, split).sides


def catalogue(rows: list[tuple[str, str | None]], official: list[str | None] | None = None) -> pd.DataFrame:
    """One track for each (group, genre)."""
    return pd.DataFrame(
        {
            "track_id": [f"{number:05d}" for number in range(len(rows))],
            "group": [group for group, _ in rows],
            "artist": [None] * len(rows),
            "genre": [genre for _, genre in rows],
            "split": official or [None] * len(rows),
        }
    )


def many(groups: int, genre: str = "jazz") -> list[tuple[str, str | None]]:
    return [(f"{genre} artist {number}", genre) for number in range(groups)]


# Twelve groups a genre at least, so that repairs are rare; any group may hold several tracks and genres.
catalogues = st.builds(
    lambda extra: catalogue([*many(12, "jazz"), *many(12, "rock"), *extra]),
    st.lists(st.tuples(st.text(min_size=1, max_size=4), st.sampled_from(["jazz", "rock", None])), max_size=40),
)
seeds = st.integers(0, 2**31)


class TestGroups:
    @settings(max_examples=30, deadline=None)
    @given(catalogues, seeds)
    def test_no_group_stands_on_two_sides(self, tracks, seed):
        sides = assign_splits(tracks, shares(seed))
        assert (sides.groupby(tracks["group"]).nunique() == 1).all()
        assert set(sides) <= set(SIDES)
        assert list(sides.index) == list(tracks.index)

    @settings(max_examples=30, deadline=None)
    @given(catalogues, seeds)
    def test_every_genre_stands_on_every_side(self, tracks, seed):
        sides = assign_splits(tracks, shares(seed))
        for _, rows in tracks.groupby("genre"):
            assert set(sides[rows.index]) == set(SIDES)


class TestStability:
    @settings(max_examples=30, deadline=None)
    @given(catalogues, seeds, st.randoms(use_true_random=False))
    def test_order_changes_nothing(self, tracks, seed, random):
        order = list(tracks.index)
        random.shuffle(order)
        split = shares(seed)
        pd.testing.assert_series_equal(
            assign_splits(tracks.loc[order], split).sort_index(), assign_splits(tracks, split).sort_index()
        )

    @settings(max_examples=30, deadline=None)
    @given(catalogues, seeds, st.data())
    def test_growing_and_shrinking_moves_no_group_that_stood_where_its_hash_says(self, tracks, seed, data):
        split = shares(seed)
        removed = data.draw(st.sets(st.sampled_from(list(tracks.index)), max_size=10))
        try:
            fewer = arrange(tracks.drop(index=list(removed)), split)
        except CatalogueError as error:
            assume("has no group for" not in str(error))
            raise
        more = arrange(tracks, split)
        repaired = {*fewer.moved, *more.moved}
        stayed = [index for index in fewer.sides.index if tracks["group"][index] not in repaired]
        assert (fewer.sides[stayed] == more.sides[stayed]).all()

    def test_a_large_catalogue_needs_no_repair_and_so_never_moves_anything(self):
        small, large = catalogue(many(300)), catalogue(many(3_000))
        assert arrange(small, SPLIT).moved == arrange(large, SPLIT).moved == ()
        assert (assign_splits(small, SPLIT) == assign_splits(large, SPLIT)[:300]).all()

    def test_the_place_of_a_group_is_fixed_for_ever(self):
        # Written down once: if this changes, every user's test tracks leak into training.
        assert [round(place(group, 1), 6) for group in ("", "miles davis", "音楽")] == [0.904759, 0.497753, 0.238613]

    def test_another_seed_gives_another_split(self):
        tracks = catalogue(many(100))
        assert (assign_splits(tracks, SPLIT) != assign_splits(tracks, shares(2))).any()


class TestShares:
    def test_shares_hold_within_what_chance_allows(self):
        counts = Counter(assign_splits(catalogue(many(4_000)), SPLIT))
        for side, share in (("test", 0.2), ("validation", 0.15), ("train", 0.65)):
            deviation = (4_000 * share * (1 - share)) ** 0.5
            assert abs(counts[side] - 4_000 * share) < 4 * deviation

    @pytest.mark.parametrize(("validation", "test"), [(0.0, 0.2), (0.2, 0.0), (0.5, 0.5), (0.9, 0.2), (-0.1, 0.2)])
    def test_shares_that_leave_a_side_nothing_are_refused(self, validation, test):
        with pytest.raises(ParamsError, match="test_share"):
            assign_splits(catalogue(many(10)), shares(1, validation, test))


class TestRepair:
    @settings(max_examples=30, deadline=None)
    @given(seeds)
    def test_three_groups_are_one_for_each_side(self, seed):
        assert sorted(assign_splits(catalogue(many(3)), shares(seed))) == sorted(SIDES)

    @settings(max_examples=30, deadline=None)
    @given(seeds)
    def test_moves_no_more_than_the_empty_sides_need(self, seed):
        tracks, split = catalogue(many(5)), shares(seed)
        places = [place(group, seed) for group in tracks["group"]]
        by_hash = {"test" if at < 0.2 else "validation" if at < 0.35 else "train" for at in places}
        assert len(arrange(tracks, split).moved) == 3 - len(by_hash)

    def test_two_groups_are_too_few_and_the_error_says_what_helps(self):
        with pytest.raises(CatalogueError, match=r"'jazz'.*2 groups.*Bring more artists"):
            assign_splits(catalogue([*many(2), *many(50, "rock")]), SPLIT)


class TestOfficialSplits:
    def test_are_honoured(self):
        rows = many(30)
        official = [SIDES[number % 3] for number in range(30)]
        assert list(assign_splits(catalogue(rows, official), SPLIT)) == official

    def test_a_group_that_they_tear_apart_goes_whole_to_the_most_protected_side(self):
        rows = [("torn", "jazz"), ("torn", "jazz"), ("torn", "jazz"), *many(30)]
        arrangement = arrange(catalogue(rows, ["train", "test", None, *[None] * 30]), SPLIT)
        assert list(arrangement.sides[:3]) == ["test"] * 3
        assert arrangement.torn == ("torn",)

    def test_do_not_take_a_group_out_of_test_whose_other_tracks_stand_there(self):
        tracks = catalogue([*many(300), ("newcomer", "jazz")])
        before = assign_splits(tracks[:300], SPLIT)
        in_test = int(before.index[before == "test"][0])
        tracks.loc[300, ["group", "split"]] = [tracks["group"][in_test], "train"]
        after = arrange(tracks, SPLIT)
        assert (after.sides[:300] == before).all() and after.sides[300] == "test"
        assert after.torn == (tracks["group"][in_test],)

    def test_exactly_as_published_two_torn_groups_are_enough_for_three_sides(self):
        rows = [("one", "jazz"), ("one", "jazz"), ("other", "jazz"), ("other", "jazz"), *many(30, "rock")]
        official = ["train", "test", "validation", "test", *[None] * 30]
        arrangement = arrange(catalogue(rows, official), replace(SPLIT, official="exact"))
        assert list(arrangement.sides[:4]) == official[:4] and arrangement.moved == ()
        with pytest.raises(CatalogueError, match="'jazz' has no group for validation"):
            arrange(catalogue(rows, official), SPLIT)

    def test_an_unknown_side_is_refused_by_name(self):
        with pytest.raises(CatalogueError, match="'dev'"):
            assign_splits(catalogue(many(3), ["dev", None, None]), SPLIT)

    def test_exactly_as_published_they_may_tear_groups_and_the_report_says_which(self):
        rows = [("torn", "jazz"), ("torn", "jazz"), ("torn", "jazz"), *many(30)]
        official = ["train", "test", None, *[None] * 30]
        arrangement = arrange(catalogue(rows, official), replace(SPLIT, official="exact"))
        assert list(arrangement.sides[:3]) == ["train", "test", "test"]
        assert arrangement.torn == ("torn",)

    def test_ignored_they_change_nothing(self):
        official = [SIDES[number % 3] for number in range(300)]
        with_them = arrange(catalogue(many(300), official), replace(SPLIT, official="ignore"))
        assert (with_them.sides == assign_splits(catalogue(many(300)), SPLIT)).all()

    def test_any_other_wish_is_refused_by_name(self):
        with pytest.raises(ParamsError, match=r"'maybe'.*whole, exact, ignore"):
            arrange(catalogue(many(30)), replace(SPLIT, official="maybe"))


class TestDuplicates:
    @staticmethod
    def same(*pairs: tuple[int, int]) -> pd.DataFrame:
        rows = [(f"{index:05d}", f"d{number}") for number, pair in enumerate(pairs) for index in pair]
        return pd.DataFrame(rows, columns=["track_id", "duplicate_group"])

    def test_join_the_groups_that_hold_them_also_in_a_chain(self):
        groups = united(catalogue(many(6)), self.same((0, 3), (3, 5)))
        assert groups[0] == groups[3] == groups[5] == "jazz artist 0"
        assert len(set(groups)) == 4

    @settings(max_examples=30, deadline=None)
    @given(catalogues, seeds, st.data())
    def test_never_stand_on_two_sides(self, tracks, seed, data):
        numbers = st.integers(0, len(tracks) - 1)
        pairs = data.draw(st.lists(st.tuples(numbers, numbers), max_size=6))
        try:
            sides = arrange(tracks, shares(seed), self.same(*pairs)).sides
        except CatalogueError as error:  # so much is joined that a genre has too few groups left
            assume("has no group for" not in str(error))
            raise
        for one, other in pairs:
            assert sides[one] == sides[other]

    @settings(max_examples=30, deadline=None)
    @given(seeds, st.integers(0, 299), st.integers(0, 299))
    def test_a_newcomer_that_joins_two_groups_takes_no_track_out_of_test(self, seed, one, other):
        tracks = catalogue([*many(300), ("newcomer", "jazz")])
        before = arrange(tracks[:300], shares(seed)).sides
        after = arrange(tracks, shares(seed), self.same((one, 300), (other, 300))).sides
        assert (after[:300][before == "test"] == "test").all()
        changed = {tracks["group"][index] for index in before.index if before[index] != after[index]}
        assert changed <= {f"jazz artist {one}", f"jazz artist {other}"}


class TestArtistsOfOneName:
    """Two collections, or one with a slip, number their artists each in its own way."""

    @staticmethod
    def tracks(*rows: tuple[str, str | None]) -> pd.DataFrame:
        return catalogue([(group, "jazz") for group, _ in rows]).assign(artist=[artist for _, artist in rows])

    def test_stand_together_however_the_name_is_written(self):
        rows = self.tracks(("artist:fma:7", "Miles Davis"), ("artist:miles davis", "MILES  DAVIS"), ("artist:x", "X"))
        assert list(united(rows, None)) == ["artist:fma:7", "artist:fma:7", "artist:x"]

    def test_nobody_is_no_one_and_what_a_source_groups_otherwise_stays_apart(self):
        groups = ["artist:fma:1", "artist:fma:2", "artist:fma:3", "bwv 1", "bwv 2"]
        rows = self.tracks(*zip(groups, ["Unknown", "unknown", None, "Bach", "Bach"], strict=True))
        assert list(united(rows, None)) == groups

    @settings(max_examples=30, deadline=None)
    @given(seeds, st.integers(1, 299))
    def test_a_newcomer_of_the_same_name_takes_no_track_out_of_test(self, seed, of):
        rows = [(f"artist:fma:{number}", f"Artist {number}") for number in range(300)]
        tracks = self.tracks(*rows, ("artist:newcomer", f"artist {of}"))
        before, after = assign_splits(tracks[:300], shares(seed)), arrange(tracks, shares(seed))
        assert (after.sides[:300][before == "test"] == "test").all()
        assert after.sides[300] == after.sides[of] and after.joined == (f"artist:fma:{of}",)
