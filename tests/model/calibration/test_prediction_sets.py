"""Sets of genres: they hold the right one as often as promised, are never empty, and small where the model is sure."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated_answers import answers, artists_answers

from earmark.errors import ModelError
from earmark.model.calibration.prediction_sets import SetRule, fit_sets, set_coverage

COVERAGE = 0.9


def mean_coverage(draws: int, *, held_out: int = 200, by_class: bool = False, **how: float) -> tuple[float, np.ndarray]:
    """Over many draws: coverage of new tracks, and by label; its standard error is about 0.02 / √draws."""
    found, by_label = [], []
    for seed in range(draws):
        rule = fit_sets(*answers(seed, held_out, **how), coverage=COVERAGE, by_class=by_class)
        new, truth = answers(10_000 + seed, 500, **how)
        told = set_coverage(rule.sets(new), truth)
        found.append(told.coverage)
        by_label.append(told.by_class)
    return float(np.mean(found)), np.mean(by_label, axis=0)


class TestCoverage:
    @pytest.mark.parametrize("distortion", [0.4, 1.0, 3.0])
    def test_it_is_as_promised_however_wrong_the_probabilities_are(self, distortion):
        assert mean_coverage(60, distortion=distortion)[0] == pytest.approx(COVERAGE, abs=0.015)

    def test_it_is_as_promised_for_each_genre(self):
        def one_genre_is_hard(seed, tracks):
            probabilities, actual = answers(seed, tracks, 3, spread=2)
            doubted = actual == 2
            probabilities[doubted] = probabilities[doubted][:, [2, 1, 0]]  # mostly taken for the first
            return probabilities, actual

        by_label = {True: [], False: []}
        for seed in range(40):
            held_out, new = one_genre_is_hard(seed, 400), one_genre_is_hard(5_000 + seed, 600)
            for by_class, found in by_label.items():
                rule = fit_sets(*held_out, coverage=COVERAGE, by_class=by_class)
                found.append(set_coverage(rule.sets(new[0]), new[1]).by_class)
        np.testing.assert_allclose(np.mean(by_label[True], axis=0), COVERAGE, atol=0.02)
        assert np.mean(by_label[False], axis=0)[2] < COVERAGE - 0.05  # the common threshold lets it pay

    def test_songs_that_an_artist_repeats_count_once(self):
        grouped, alone = [], []
        for seed in range(150):
            probabilities, actual, groups = artists_answers(seed, 25, 8)
            new, truth = answers(7_000 + seed, 400)
            for found, known in ((grouped, groups), (alone, None)):
                rule = fit_sets(probabilities, actual, coverage=COVERAGE, by_class=False, groups=known)
                found.append(set_coverage(rule.sets(new), truth).coverage)
        assert COVERAGE - 0.01 < np.mean(grouped) < COVERAGE + 2 / 26 + 0.01
        assert np.mean(alone) < COVERAGE - 0.005

    def test_a_genre_of_few_artists_takes_the_common_threshold(self):
        probabilities, actual = answers(3, 300, 3)
        rare = np.append(np.flatnonzero(actual != 1), np.flatnonzero(actual == 1)[:19])
        rule = fit_sets(probabilities[rare], actual[rare], coverage=COVERAGE, by_class=True)
        common = fit_sets(probabilities[rare], actual[rare], coverage=COVERAGE, by_class=False)
        assert rule.thresholds[1] == common.thresholds[0]
        assert len({*rule.thresholds}) == 3


class TestSets:
    def test_a_surer_model_has_smaller_sets(self):
        sizes = []
        for spread in (1.0, 2.0, 4.0):
            rule = fit_sets(*answers(1, 500, spread=spread), coverage=COVERAGE, by_class=False)
            new, truth = answers(2, 500, spread=spread)
            sizes.append(set_coverage(rule.sets(new), truth).mean_size)
        assert sizes[0] > sizes[1] + 0.5 and sizes[1] > sizes[2] + 0.5

    @given(
        seed=st.integers(0, 1_000),
        tracks=st.integers(0, 40),
        labels=st.integers(1, 6),
        coverage=st.floats(0, 1),
        by_class=st.booleans(),
    )
    @settings(deadline=None, max_examples=60)
    def test_the_most_probable_is_in_and_more_probable_ones_come_first(self, seed, tracks, labels, coverage, by_class):
        rule = fit_sets(*answers(seed, tracks, labels), coverage=coverage, by_class=by_class)
        new, _ = answers(seed + 1, 20, labels)
        sets = rule.sets(new)
        assert sets[np.arange(20), new.argmax(axis=1)].all()
        if not by_class:
            for held, row in zip(sets, new, strict=True):
                assert row[held].min() >= max(row[~held], default=0)
        again = SetRule.from_dict(json.loads(json.dumps(rule.to_dict(), allow_nan=False)))
        assert again == rule

    def test_where_nothing_is_known_every_genre_is_in(self):
        rule = fit_sets(np.zeros((0, 3)), np.zeros(0, dtype=int), coverage=COVERAGE, by_class=True)
        assert rule.sets(np.array([[1.0, 0.0, 0.0]])).all()

    def test_a_model_that_is_always_right_names_one_genre(self):
        probabilities = np.tile(np.array([[0.4, 0.35, 0.25]]), (30, 1))
        rule = fit_sets(probabilities, np.zeros(30, dtype=int), coverage=COVERAGE, by_class=False)
        assert rule.sets(probabilities).sum(axis=1).tolist() == [1] * 30

    def test_labels_of_another_model_are_refused(self):
        with pytest.raises(ModelError, match="another model"):
            SetRule(0.9, (0.5, 0.5)).sets(np.ones((1, 3)) / 3)


class TestSetCoverage:
    def test_it_counts(self):
        sets = np.array([[1, 1, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0]], dtype=bool)
        told = set_coverage(sets, np.array([0, 0, 0, 1]))
        assert (told.tracks, told.coverage, told.mean_size) == (4, 0.75, 1.5)
        assert told.by_class == (pytest.approx(2 / 3), 1.0, None)

    def test_no_track_is_no_nan(self):
        told = set_coverage(np.zeros((0, 2), dtype=bool), np.zeros(0, dtype=int))
        assert (told.coverage, told.by_class, told.mean_size) == (None, (None, None), None)
