"""Comparing: what is measured agrees with the other rooms' scores, and intervals are those of drawing groups."""

import json
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from earmark.errors import ModelError
from earmark.model import metrics
from earmark.model.calibration.reliability import bins_for, expected_calibration_error, log_loss
from earmark.model.comparing.comparison import Comparison, Said, Truth, always, compare
from earmark.model.comparing.promises import Promised
from earmark.params import Evaluation

HOW = Evaluation(seed=1, resamples=500, confidence=0.95)
LABELS = ("jig", "polka", "reel")
TAGS = ("word---glad", "word---sad")


def made(seed: int, tracks: int = 60, groups: int = 20) -> tuple[Said, Said, Truth]:
    """Two models that know something and a truth, at random."""
    rng = np.random.default_rng(seed)
    actual = rng.integers(len(LABELS), size=tracks)
    told = rng.uniform(size=(tracks, 2, len(TAGS)))
    told[:, 1] *= rng.uniform(size=told[:, 1].shape) > 0.3  # nothing is known of some

    def said(skill: float) -> Said:
        logits = rng.normal(size=(tracks, len(LABELS)))
        logits[np.arange(tracks), actual] += skill
        genres = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        shares = skill * told[:, 0] + rng.uniform(size=(tracks, len(TAGS)))
        return Said(LABELS, genres, TAGS, shares)

    names = tuple(f"artist {number}" for number in rng.integers(groups, size=tracks))
    return said(1.5), said(0.5), Truth(tuple(LABELS[label] for label in actual), names, TAGS, told)


def one_hot(answers: str, labels: tuple[str, ...] = LABELS) -> Said:
    """Sure answers, by the labels' first letters: ``"jjr"``."""
    places = [[label[0] for label in labels].index(letter) for letter in answers]
    return Said(labels, np.eye(len(labels))[places], (), np.zeros((len(answers), 0)))


def truth(genres: str, groups: str | None = None) -> Truth:
    """By the labels' first letters; each track a group of its own, unless ``groups`` names them."""
    names = {label[0]: label for label in LABELS}
    own = tuple(groups) if groups else tuple(str(number) for number in range(len(genres)))
    return Truth(tuple(names[letter] for letter in genres), own, (), np.zeros((len(genres), 2, 0)))


class TestScores:
    @pytest.mark.parametrize("seed", [1, 2])
    def test_values_and_intervals_are_those_of_the_evaluation(self, seed: int) -> None:
        ours, theirs, told = made(seed)
        found = compare(ours, theirs, told, HOW)
        actual = np.array([LABELS.index(genre) for genre in told.genres])
        answers = [said.genres.argmax(axis=1) for said in (ours, theirs)]
        groups = np.array(told.groups, dtype=object)
        for name, measure in (("accuracy", metrics.accuracy), ("f1_macro", metrics.f1_macro)):
            mine = getattr(found, name)
            expected = [metrics.score(measure, actual, answer, groups, HOW) for answer in answers]
            expected.append(metrics.difference(measure, actual, *answers, groups, HOW))
            for score, other in zip((mine.ours, mine.theirs, mine.difference), expected, strict=True):
                assert (score.value, score.low, score.high) == pytest.approx((other.value, other.low, other.high))

    def test_log_loss_and_calibration_error_are_those_of_the_calibration(self) -> None:
        ours, theirs, told = made(3)
        found = compare(ours, theirs, told, HOW)
        actual = np.array([LABELS.index(genre) for genre in told.genres])
        for mine, said in (("ours", ours), ("theirs", theirs)):
            assert getattr(found.log_loss, mine).value == pytest.approx(log_loss(said.genres, actual))
            expected = expected_calibration_error(said.genres, actual, bins_for(len(actual)))
            assert getattr(found.ece, mine).value == pytest.approx(expected)

    def test_an_impossible_answer_costs_much_and_not_everything(self) -> None:
        found = compare(one_hot("jr"), one_hot("jj"), truth("jr"), HOW)
        assert found.log_loss.ours.value == pytest.approx(0.0)
        assert 1.0 < found.log_loss.theirs.value < 100.0

    def test_a_calibrated_models_interval_reaches_down_to_no_error_though_its_value_is_above(self) -> None:
        rng = np.random.default_rng(1)
        sure = rng.uniform(0.5, 1.0, size=100)
        genres = np.stack([sure, 1 - sure], axis=1)
        actual = "".join("j" if hit else "p" for hit in rng.uniform(size=100) < sure)
        said = Said(LABELS[:2], genres, (), np.zeros((100, 0)))
        error = compare(said, said, truth(actual), HOW).ece.ours
        assert error.value > 0.02 and error.low < 0.02


class TestIntervals:
    def test_are_those_of_all_possible_draws_of_groups(self) -> None:
        ours, theirs, told = one_hot("jjjjpj"), one_hot("jppppj"), truth("jjjjjj", "aabcdd")
        gains, sizes = np.array([1, 1, 1, 0]), np.array([2, 1, 1, 2])
        every = [gains[list(draw)].sum() / sizes[list(draw)].sum() for draw in product(range(4), repeat=4)]
        found = compare(ours, theirs, told, Evaluation(seed=1, resamples=20_000, confidence=0.8))
        gain = found.accuracy.difference
        assert (gain.low, gain.high) == pytest.approx(tuple(np.quantile(every, [0.1, 0.9])), abs=0.03)

    def test_many_tracks_of_one_group_count_as_one_piece_of_evidence(self) -> None:
        ours, theirs = one_hot("j" * 30 + "pp"), one_hot("p" * 30 + "jj")
        by_group = compare(ours, theirs, truth("j" * 32, "a" * 30 + "bc"), HOW).accuracy.difference
        by_track = compare(ours, theirs, truth("j" * 32), HOW).accuracy.difference
        assert by_track.low > 0 > by_group.low

    def test_what_both_get_wrong_does_not_widen_a_paired_interval(self) -> None:
        same = one_hot("j" * 20 + "p" * 40)
        gain = compare(same, same, truth("j" * 60), HOW).accuracy.difference
        assert (gain.low, gain.value, gain.high) == (0, 0, 0)


class TestGenres:
    def test_recall_and_f1_are_told_of_each_genre_that_occurs(self) -> None:
        found = compare(one_hot("jjpj"), one_hot("jppp"), truth("jjpp"), HOW)
        assert [each.genre for each in found.classes] == ["jig", "polka"]  # there is no reel
        jig, polka = found.classes
        assert (jig.recall.ours.value, jig.recall.theirs.value) == (2 / 2, 1 / 2)
        assert (jig.f1.ours.value, jig.f1.theirs.value) == pytest.approx((2 * 2 / (2 + 3), 2 * 1 / (2 + 1)))
        assert (polka.recall.difference.value, polka.tracks) == (1 / 2 - 1, 2)

    def test_the_interval_of_a_fall_is_wider_for_there_are_several_genres(self) -> None:
        ours, theirs, told = made(5)
        for each in compare(ours, theirs, told, HOW).classes:
            assert each.fall.value == each.recall.difference.value
            assert each.fall.low <= each.recall.difference.low < each.recall.difference.high <= each.fall.high

    def test_groups_that_differ_are_counted_not_tracks(self) -> None:
        found = compare(one_hot("jjjppj"), one_hot("ppjppj"), truth("jjjjjj", "aabbcd"), HOW)
        jig = found.classes[0]
        assert (jig.tracks, jig.groups, jig.differing) == (6, 4, 1)

    def test_a_genre_that_one_does_not_know_counts_as_wrong_and_is_named(self) -> None:
        found = compare(one_hot("jr"), one_hot("jj", LABELS[:2]), truth("jr"), HOW)
        assert (found.unknown_to_ours, found.unknown_to_theirs) == ((), ("reel",))
        assert (found.accuracy.ours.value, found.accuracy.theirs.value) == (1.0, 0.5)

    def test_models_that_order_their_genres_differently_are_compared_by_name(self) -> None:
        found = compare(one_hot("jrp"), one_hot("jrp", ("reel", "jig", "polka")), truth("jrp"), HOW)
        assert found.accuracy.theirs.value == 1.0


class TestTags:
    def test_r_is_the_weighted_correlation(self) -> None:
        ours, theirs, told = made(7)
        found = compare(ours, theirs, told, HOW)
        assert [each.tag for each in found.tags] == list(TAGS)
        for at, each in enumerate(found.tags):
            share, weight = told.told[:, 0, at], told.told[:, 1, at]
            covariance = np.cov(share, ours.shares[:, at], aweights=weight)
            expected = covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1])
            assert each.r.ours.value == pytest.approx(expected)
            assert each.r.tracks == (weight > 0).sum()
            assert each.r.difference.low < each.r.ours.value - each.r.theirs.value < each.r.difference.high

    def test_only_what_both_know_and_listeners_tell_of_enough_tracks_is_compared(self) -> None:
        ours, theirs, told = made(7)
        one = Said(LABELS, ours.genres, ("word---sad", "word---odd"), ours.shares)
        assert [each.tag for each in compare(one, theirs, told, HOW).tags] == ["word---sad"]
        told.told[9:, 1] = 0
        assert compare(ours, theirs, told, HOW).tags == ()

    def test_who_says_the_same_of_everything_has_no_correlation(self) -> None:
        ours, theirs, told = made(7)
        flat = Said(LABELS, ours.genres, TAGS, np.full_like(ours.shares, 0.4))
        assert compare(flat, theirs, told, HOW).tags[0].r.ours.value == 0.0


class TestPromises:
    def promised(self, sets: str, silent: str, **more: object) -> Promised:
        """``"jp r"``: a set for each track, of the labels' first letters; ``silent`` has an x where it abstains."""
        within = [[label[0] in letters for label in LABELS] for letters in sets.split()]
        empty = np.full((len(within), 0), np.nan)
        shares = {"low": empty, "high": empty, "interval_coverage": None} | more
        return Promised(np.array(within), np.array([letter == "x" for letter in silent]), set_coverage=0.9, **shares)

    def test_sets_are_told_by_how_often_they_hold_the_genre_and_how_large_they_are(self) -> None:
        ours = replace(one_hot("jjpr"), promised=self.promised("j jp jpr jp", "---x"))
        theirs = replace(one_hot("jjpr"), promised=self.promised("p j p r", "xx--"))
        found = {each.name: each for each in compare(ours, theirs, truth("jjpr"), HOW).promises}
        assert set(found) == {"set_coverage", "set_size", "abstention"}  # no tags, no intervals
        assert (found["set_coverage"].ours.value, found["set_coverage"].theirs.value) == (3 / 4, 3 / 4)
        assert (found["set_size"].ours.value, found["set_size"].theirs.value) == (8 / 4, 1.0)
        assert (found["abstention"].ours.value, found["abstention"].difference.value) == (1 / 4, 1 / 4 - 2 / 4)
        assert found["set_coverage"].promised == (0.9, 0.9) and found["abstention"].promised == (None, None)

    def test_intervals_are_counted_where_something_is_promised_and_known(self) -> None:
        ours, theirs, told = made(7)
        low, high = ours.shares - 0.7, ours.shares + 0.1
        low[:30, 1] = high[:30, 1] = np.nan
        sets = " ".join("j" * len(ours.shares))
        promised = self.promised(sets, "-" * len(ours.shares), low=low, high=high, interval_coverage=0.8)
        found = compare(replace(ours, promised=promised), theirs, told, HOW).promises[2]
        kept = [
            low[at, tag] <= told.told[at, 0, tag] <= high[at, tag]
            for at in range(len(low))
            for tag in range(len(TAGS))
            if told.told[at, 1, tag] > 0 and not (at < 30 and tag == 1)
        ]
        assert found.name == "interval_coverage" and found.ours.value == pytest.approx(np.mean(kept))
        assert 0 < found.ours.low < found.ours.value < found.ours.high < 1

    def test_a_set_cannot_hold_a_genre_that_the_model_does_not_know(self) -> None:
        ours = replace(one_hot("jp", LABELS[:2]), promised=self.promised("jp jp", "--"))
        two = replace(ours.promised, sets=ours.promised.sets[:, :2])
        assert compare(replace(ours, promised=two), one_hot("jr"), truth("jr"), HOW).promises[0].ours.value == 1 / 2

    def test_who_is_not_calibrated_promises_nothing(self) -> None:
        ours = replace(one_hot("jp"), promised=self.promised("j p", "--"))
        found = compare(ours, one_hot("jp"), truth("jp"), HOW)
        assert [(each.theirs, each.difference) for each in found.promises] == [(None, None)] * 3
        assert compare(one_hot("jp"), one_hot("jp"), truth("jp"), HOW).promises == ()
        assert "NaN" not in json.dumps(found.to_dict())


class TestAlways:
    def test_it_is_right_as_often_as_the_majority_class_and_as_sure_as_that_was_frequent(self) -> None:
        said = always(["reel"] * 3 + ["jig"], tracks=5)
        found = compare(said, said, truth("rrrjj"), HOW)
        assert found.accuracy.ours.value == 3 / 5
        assert said.genres.max() == 0.75
        assert found.ece.ours.value == pytest.approx(0.75 - 0.6)  # all in one bin


class TestCompare:
    def test_it_is_the_same_for_any_order_of_the_tracks(self) -> None:
        ours, theirs, told = made(9)
        order = np.random.default_rng(1).permutation(len(told.genres))

        def mixed(said: Said) -> Said:
            return Said(said.labels, said.genres[order], said.tags, said.shares[order])

        other = Truth(
            tuple(told.genres[at] for at in order), tuple(told.groups[at] for at in order), TAGS, told.told[order]
        )
        first, second = compare(ours, theirs, told, HOW), compare(mixed(ours), mixed(theirs), other, HOW)
        assert flat(first) == pytest.approx(flat(second))

    def test_the_other_way_round_every_difference_has_the_other_sign(self) -> None:
        ours, theirs, told = made(11)
        one, other = compare(ours, theirs, told, HOW), compare(theirs, ours, told, HOW)
        for name in ("accuracy", "f1_macro", "log_loss", "ece"):
            gain, loss = getattr(one, name).difference, getattr(other, name).difference
            assert (gain.value, gain.low, gain.high) == pytest.approx((-loss.value, -loss.high, -loss.low))

    @pytest.mark.parametrize("groups", ["aaa", None])
    def test_one_group_is_too_few(self, groups: str | None) -> None:
        letters = "jjj" if groups else "j"
        with pytest.raises(ModelError, match="at least 2"):
            compare(one_hot(letters), one_hot(letters), truth(letters, groups), HOW)

    def test_answers_of_another_length_are_refused(self) -> None:
        with pytest.raises(ModelError, match="one each a track"):
            compare(one_hot("jj"), one_hot("jjj"), truth("jj"), HOW)

    def test_the_result_is_fit_for_json(self) -> None:
        told = json.loads(json.dumps(compare(*made(1), HOW).to_dict()))
        assert told["accuracy"]["difference"].keys() == {"value", "low", "high"} and len(told["tags"]) == 2


def flat(found: Comparison) -> list[float]:
    """Every number in a comparison, in its order."""

    def numbers(thing: object) -> list[float]:
        if isinstance(thing, dict):
            return [number for value in thing.values() for number in numbers(value)]
        if isinstance(thing, list | tuple):
            return [number for value in thing for number in numbers(value)]
        return [float(thing)] if isinstance(thing, int | float) else []

    return numbers(found.to_dict())
