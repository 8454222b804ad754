"""The gate: who passes, by how much, and what the verdict says."""

import json
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from earmark.model.promotion import difference_of, judge, right
from earmark.params import Evaluation

HOW = Evaluation(seed=1, resamples=2000, confidence=0.95)


def answers(text: str) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """``"x."`` → right, wrong."""
    return np.array([letter == "x" for letter in text], dtype=np.bool_)


class TestRight:
    def test_the_most_probable_label_has_to_be_the_genre(self) -> None:
        probabilities = np.array([[0.6, 0.4], [0.6, 0.4], [0.1, 0.9]])
        assert list(right(probabilities, ["jig", "reel"], ["jig", "reel", "reel"])) == [True, False, True]

    def test_a_genre_without_a_column_is_never_answered_rightly(self) -> None:
        assert list(right(np.array([[0.6, 0.4]]), ["jig", "reel"], ["polka"])) == [False]


class TestDifference:
    def test_the_value_is_the_difference_of_the_shares(self) -> None:
        found = difference_of(answers("xxx."), answers("x..."), ["a", "b", "c", "d"], HOW)
        assert found.value == pytest.approx(3 / 4 - 1 / 4)

    def test_the_interval_is_that_of_all_possible_draws_of_groups(self) -> None:
        one, other, groups = answers("xxxx.x"), answers("x....x"), ["a", "a", "b", "c", "d", "d"]
        gains, sizes = np.array([1, 1, 1, 0]), np.array([2, 1, 1, 2])
        every = [gains[list(draw)].sum() / sizes[list(draw)].sum() for draw in product(range(4), repeat=4)]
        found = difference_of(one, other, groups, Evaluation(seed=1, resamples=20_000, confidence=0.8))
        assert (found.low, found.high) == pytest.approx(tuple(np.quantile(every, [0.1, 0.9])), abs=0.03)

    def test_many_tracks_of_one_group_count_as_one_piece_of_evidence(self) -> None:
        one, other = answers("x" * 30 + "." * 2), answers("." * 30 + "x" * 2)
        by_group = difference_of(one, other, ["a"] * 30 + ["b", "c"], HOW)
        by_track = difference_of(one, other, [str(n) for n in range(32)], HOW)
        assert by_track.low > 0 > by_group.low

    def test_what_both_get_wrong_does_not_widen_a_paired_interval(self) -> None:
        groups = [str(n) for n in range(60)]
        one, other = answers("x" * 20 + "." * 40), answers("x" * 20 + "." * 40)
        found = difference_of(one, other, groups, HOW)
        assert (found.low, found.value, found.high) == (0, 0, 0)


class TestVerdict:
    GROUPS = [str(n) for n in range(40)]  # noqa: RUF012

    def test_a_challenger_that_is_better_beyond_chance_passes(self) -> None:
        verdict = judge(
            answers("x" * 36 + "...."), answers("x" * 20 + "." * 20), self.GROUPS, HOW, version="7", champion="3"
        )
        assert verdict.promote
        assert verdict.reason.startswith("Version 7 is better than version 3: accuracy 0.900 against 0.500")

    def test_a_challenger_that_is_a_little_better_by_chance_does_not(self) -> None:
        verdict = judge(
            answers("x" * 21 + "." * 19), answers("x" * 20 + "." * 20), self.GROUPS, HOW, version="7", champion="3"
        )
        assert not verdict.promote
        assert verdict.difference is not None and verdict.difference.value > 0 >= verdict.difference.low
        assert "is not shown to be better than version 3" in verdict.reason

    def test_an_equal_challenger_does_not(self) -> None:
        same = answers("x" * 30 + "." * 10)
        assert not judge(same, same, self.GROUPS, HOW, version="7", champion="3").promote

    def test_without_a_champion_the_majority_class_is_the_opponent(self) -> None:
        verdict = judge(answers("x" * 40), answers("x" * 20 + "." * 20), self.GROUPS, HOW, version="1", champion=None)
        assert verdict.promote and verdict.opponent == "majority class"
        assert "the majority class" in verdict.reason

    @pytest.mark.parametrize(("count", "groups"), [(0, []), (3, ["a", "a", "a"])])
    def test_with_fewer_than_two_groups_nothing_is_decided_and_the_reason_says_so(
        self, count: int, groups: list[str]
    ) -> None:
        good, bad = answers("x" * count), answers("." * count)
        verdict = judge(good, bad, groups, HOW, version="7", champion="3", left_out=12)
        assert not verdict.promote and verdict.difference is None
        assert "cannot be compared" in verdict.reason and "12 test tracks were left out" in verdict.reason

    def test_what_was_left_out_and_what_cannot_be_answered_is_said(self) -> None:
        verdict = judge(
            answers("x" * 40), answers("." * 40), self.GROUPS, HOW,
            version="7", champion="3", left_out=5, unanswerable=["polka", "waltz"],
        )  # fmt: skip
        assert "5 test tracks were left out" in verdict.reason
        assert "Version 3 does not know polka, waltz" in verdict.reason

    def test_the_verdict_is_fit_for_json(self, tmp_path: Path) -> None:
        verdict = judge(answers("x" * 40), answers("." * 40), self.GROUPS, HOW, version="7", champion="3")
        told = json.loads(json.dumps(verdict.to_dict()))
        assert told["promote"] is True and told["difference"]["value"] == 1.0 and told["tracks"] == 40
