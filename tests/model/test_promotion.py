"""The gates: who passes, by how much, and what the verdict says."""

import json
from dataclasses import replace

import numpy as np
import pytest

from earmark.model.comparing.comparison import Comparison, Said, Truth, compare
from earmark.model.comparing.cost import Cost
from earmark.model.comparing.promotion import Gate, Verdict, identical, incomparable, judge, unreadable
from earmark.params import Evaluation, Gates

HOW = Evaluation(seed=1, resamples=2000, confidence=0.95)
GATES = Gates(
    min_gain=0.0,
    equal_margin=0.02,
    cheaper=0.25,
    max_class_drop=0.1,
    class_drop_shown=True,
    max_ece=0.3,
    max_latency_ms=500.0,
    max_size_mib=20.0,
    max_looks=10,
    rounds=1,
)
COST = Cost(median_ms=100.0, p95_ms=120.0, mib=10.0, parameters=1000)
LABELS = ("jig", "reel")


def said(answers: str, sure: float = 1.0) -> Said:
    """``"jr"``, each with the probability ``sure``."""
    genres = np.array([[sure, 1 - sure] if letter == "j" else [1 - sure, sure] for letter in answers])
    return Said(LABELS, genres, (), np.zeros((len(answers), 0)))


def compared(ours: str, theirs: str, genres: str | None = None, sure: float = 1.0) -> Comparison:
    """Each track of a group of its own; all are jigs unless ``genres`` says otherwise."""
    names = {"j": "jig", "r": "reel"}
    genres = genres or "j" * len(ours)
    groups = tuple(str(number) for number in range(len(genres)))
    told = Truth(tuple(names[letter] for letter in genres), groups, (), np.zeros((len(genres), 2, 0)))
    found = compare(said(ours, sure), said(theirs, sure), told, HOW)
    return replace(found, our_cost=COST, their_cost=COST)


def right(count: int, of: int = 40) -> str:
    """Answers for jigs, the first ``count`` of them right."""
    return "j" * count + "r" * (of - count)


def verdict(found: Comparison, gates: Gates = GATES, champion: str | None = "3") -> Verdict:
    return judge(found, gates, version="7", champion=champion)


def gate(told: Verdict, name: str) -> Gate:
    return next(each for each in told.gates if each.name == name)


def with_cost(found: Comparison, *, latency: float = 1.0, size: float = 1.0) -> Comparison:
    """Ours costs so many times theirs."""
    return replace(found, our_cost=replace(COST, median_ms=COST.median_ms * latency, mib=COST.mib * size))


BETTER = compared(right(36), right(20))
EQUAL = compared(right(30), right(30))


class TestGain:
    def test_a_challenger_that_is_better_beyond_chance_passes(self) -> None:
        told = verdict(BETTER)
        assert told.promote and told.failed == ()
        assert told.reason.startswith("Version 7 is better than version 3: accuracy 0.900 against 0.500")

    def test_a_challenger_that_is_a_little_better_by_chance_does_not(self) -> None:
        told = verdict(compared(right(31), right(30)))
        assert not told.promote and [each.name for each in told.failed] == ["gain"]
        assert told.difference is not None and told.difference.value > 0 >= told.difference.low
        assert "is not shown to be better than version 3" in told.reason

    def test_an_equal_challenger_does_not(self) -> None:
        assert not verdict(EQUAL).promote

    def test_a_gain_has_to_be_above_what_is_asked_for_with_its_whole_interval(self) -> None:
        low = BETTER.accuracy.difference.low
        assert verdict(BETTER, replace(GATES, min_gain=low - 0.001)).promote
        assert not verdict(BETTER, replace(GATES, min_gain=low)).promote

    def test_without_a_champion_the_majority_class_is_the_opponent(self) -> None:
        told = verdict(replace(BETTER, their_cost=None), champion=None)
        assert told.promote and told.opponent == "majority class" and "the majority class" in told.reason


class TestCheaper:
    @pytest.mark.parametrize("cost", [{"latency": 0.75}, {"size": 0.75}, {"latency": 0.5, "size": 1.2}])
    def test_an_equal_challenger_that_is_clearly_cheaper_passes(self, cost: dict[str, float]) -> None:
        told = verdict(with_cost(EQUAL, **cost))
        assert told.promote and "is as good as, and cheaper than, version 3" in told.reason

    @pytest.mark.parametrize("cost", [{"latency": 0.8}, {"size": 0.8}, {"latency": 0.5, "size": 1.25}])
    def test_one_that_is_hardly_cheaper_or_dearer_elsewhere_does_not(self, cost: dict[str, float]) -> None:
        told = verdict(with_cost(EQUAL, **cost))
        assert not told.promote and "not clearly cheaper" in gate(told, "gain").why

    def test_a_cheaper_one_that_may_be_worse_by_more_than_the_margin_does_not(self) -> None:
        told = verdict(with_cost(compared("r" + "j" * 29 + "r" * 10, right(30)), latency=0.1))
        assert not told.promote and "a loss of more than 0.02 is not ruled out" in gate(told, "gain").why

    def test_two_equally_good_models_never_take_each_others_place_in_turn(self) -> None:
        ratios = np.linspace(0.3, 3.0, 28)
        for latency in ratios:
            for size in ratios:
                there = verdict(with_cost(EQUAL, latency=latency, size=size))
                back = verdict(with_cost(EQUAL, latency=1 / latency, size=1 / size))
                assert not (there.promote and back.promote)


class TestClassDrop:
    def drop(self, falls: int, rises: int = 0, of: int = 20, *, shown: bool = True) -> Verdict:
        """Much better on 60 reels, and ``falls`` of ``of`` jigs are lost, ``rises`` won."""
        ours = "r" * falls + "j" * (of - falls) + "r" * 60
        theirs = "j" * falls + "r" * rises + "j" * (of - falls - rises) + "j" * 60
        return verdict(compared(ours, theirs, "j" * of + "r" * 60), replace(GATES, class_drop_shown=shown))

    def test_a_genre_that_falls_beyond_chance_blocks_what_is_better_on_the_whole(self) -> None:
        told = self.drop(falls=10)
        assert [each.name for each in told.failed] == ["class_drop"]
        assert "jig -0.500" in gate(told, "class_drop").why and "fails the gate class_drop" in told.reason

    def test_a_small_fall_is_allowed_however_sure_it_is(self) -> None:
        told = self.drop(falls=9, of=100)
        assert told.promote and gate(told, "class_drop").found.startswith("jig -0.090")

    def test_a_fall_that_may_be_chance_does_not_block(self) -> None:
        told = self.drop(falls=8, rises=5)
        assert told.promote and "may be chance" in gate(told, "class_drop").why

    def test_a_handful_of_groups_does_not_block_even_if_all_of_them_fall(self) -> None:
        assert self.drop(falls=5, of=5).promote
        assert not self.drop(falls=6, of=6).promote

    @pytest.mark.parametrize("case", [{"falls": 8, "rises": 5}, {"falls": 5, "of": 5}])
    def test_where_any_fall_counts_chance_is_no_excuse(self, case: dict[str, int]) -> None:
        told = self.drop(**case, shown=False)
        assert [each.name for each in told.failed] == ["class_drop"]
        assert gate(told, "class_drop").needed == "no fall of more than 0.1"

    def test_where_any_fall_counts_the_margin_still_does(self) -> None:
        assert self.drop(falls=2, shown=False).promote  # 2 of 20 is 0.1, and no more
        assert not self.drop(falls=3, shown=False).promote

    def test_the_verdict_tells_each_fall_beyond_the_margin_and_whether_it_is_shown(self) -> None:
        passed, failed = self.drop(falls=8, rises=5), self.drop(falls=10)
        assert passed.promote and "Recall fell by more than 0.1: jig -0.150 [" in passed.reason
        assert "13 groups differ, not shown to be more than chance." in passed.reason
        assert "class_drop (found jig -0.500 [" in failed.reason
        assert gate(failed, "class_drop").found.endswith("], shown to be more than chance")
        assert "Recall fell" not in self.drop(falls=1).reason

    def test_without_a_champion_there_is_nothing_to_fall_from(self) -> None:
        found = compared("r" * 30 + "r" * 10, "j" * 40, "j" * 10 + "r" * 30)
        assert gate(verdict(found, champion=None), "class_drop").passed


class TestAbsoluteGates:
    def test_a_model_that_is_sure_and_often_wrong_is_stopped(self) -> None:
        told = verdict(compared(right(20), right(2)))  # sure, and right in 20 of 40: off by 0.5
        assert [each.name for each in told.failed] == ["ece"]

    def test_a_calibration_error_that_is_not_shown_to_be_too_large_passes(self) -> None:
        found = compared(right(27), right(4))  # off by 0.325 +- 0.15
        assert found.ece.ours.value > GATES.max_ece > found.ece.ours.low
        assert verdict(found).promote

    @pytest.mark.parametrize(("name", "cost"), [("latency", {"latency": 5.1}), ("size", {"size": 2.1})])
    def test_one_that_costs_too_much_is_stopped(self, name: str, cost: dict[str, float]) -> None:
        told = verdict(with_cost(BETTER, **cost))
        assert not told.promote and [each.name for each in told.failed] == [name]
        assert "is better than" in told.reason and f"It fails the gate {name}" in told.reason

    def test_exactly_as_much_as_allowed_is_allowed(self) -> None:
        assert verdict(with_cost(BETTER, latency=5.0, size=2.0)).promote

    def test_one_that_was_rolled_back_is_not_promoted_again_by_itself(self) -> None:
        told = judge(BETTER, GATES, version="7", champion="3", rolled_back="at noon: it hums")
        assert [each.name for each in told.failed] == ["standing"] and "it hums" in gate(told, "standing").why

    def test_all_failed_gates_are_named(self) -> None:
        told = verdict(with_cost(BETTER, latency=9.0, size=9.0))
        assert "It fails the gates latency (found 900 ms, needed at most 500 ms); size (" in told.reason


class TestVerdict:
    def test_every_gate_says_what_it_found_and_what_it_needs(self) -> None:
        told = verdict(BETTER)
        assert [each.name for each in told.gates] == [
            *("comparable", "gain", "class_drop", "ece", "latency", "size", "standing")
        ]
        assert all(each.found and each.needed and each.why for each in told.gates)

    @pytest.mark.parametrize(("count", "groups"), [(0, 0), (3, 1)])
    def test_with_fewer_than_two_groups_nothing_is_decided_and_the_reason_says_so(
        self, count: int, groups: int
    ) -> None:
        told = incomparable(version="7", champion="3", tracks=count, groups=groups, left_out=12)
        assert not told.promote and told.difference is None and [each.name for each in told.failed] == ["comparable"]
        assert "cannot be compared" in told.reason and "12 test tracks were left out" in told.reason

    def test_worn_tracks_decide_nothing_where_only_the_champions_training_keeps_fresh_ones_out(self) -> None:
        def failed(**how: int) -> list[str]:
            return [each.name for each in judge(BETTER, GATES, version="7", champion="3", **how).failed]

        assert failed(worn=21, left_out=41) == ["comparable"]  # of 40 that were compared
        assert failed(worn=20, left_out=41) == failed(worn=40, left_out=40) == []  # mostly fresh; the old split still
        told = judge(BETTER, GATES, version="7", champion="3", worn=21, left_out=41)
        assert "21 of them worn" in told.reason and "--because" in gate(told, "comparable").why

    def test_two_versions_of_one_model_change_nothing(self) -> None:
        told = identical(version="7", champion="3")
        assert not told.promote and "are the same model" in told.reason and told.failed[0].name == "comparable"

    def test_a_champion_that_cannot_be_read_is_nobodys_automatic_decision(self) -> None:
        told = unreadable(version="7", champion="3", why="It has format 1.")
        assert not told.promote and "format 1" in told.reason and "--because" in told.reason

    def test_what_was_left_out_and_what_cannot_be_answered_is_said(self) -> None:
        found = replace(BETTER, unknown_to_theirs=("polka", "waltz"), unknown_to_ours=("air",))
        told = judge(found, GATES, version="7", champion="3", left_out=5, warnings=["worn"])
        assert "5 test tracks were left out" in told.reason
        assert "Version 3 does not know polka, waltz" in told.reason and "Version 7 does not know air" in told.reason
        assert told.unanswerable == ("polka", "waltz") and told.warnings == ("worn",) and told.promote

    def test_the_verdict_is_fit_for_json(self) -> None:
        told = json.loads(json.dumps(verdict(BETTER).to_dict()))
        assert told["promote"] is True and told["difference"]["value"] == pytest.approx(0.4) and told["tracks"] == 40
        assert told["gates"][1]["name"] == "gain" and told["comparison"]["our_cost"]["parameters"] == 1000
