import numpy as np
import pytest
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score

from earmark.errors import ModelError
from earmark.model.metrics import accuracy, confusion, difference, f1_macro, resamples, score
from earmark.params import Evaluation

HOW = Evaluation(seed=1, resamples=2000, confidence=0.95)


@pytest.fixture
def answers():
    rng = np.random.default_rng(4)
    actual = rng.integers(0, 4, 300)
    predicted = np.where(rng.random(300) < 0.6, actual, rng.integers(0, 4, 300))
    return actual, predicted, np.arange(300).astype(object)


class TestMeasures:
    def test_they_agree_with_scikit_learn(self, answers):
        actual, predicted, _ = answers
        ones = np.ones(len(actual))
        assert accuracy(actual, predicted, ones) == pytest.approx(accuracy_score(actual, predicted))
        assert f1_macro(actual, predicted, ones) == pytest.approx(f1_score(actual, predicted, average="macro"))
        np.testing.assert_array_equal(confusion(actual, predicted, 4), confusion_matrix(actual, predicted))

    def test_weights_count_a_track_as_often_as_they_say(self, answers):
        actual, predicted, _ = answers
        weights = np.random.default_rng(0).integers(0, 3, 300)
        repeated = np.repeat(np.arange(300), weights)
        expected = f1_score(actual[repeated], predicted[repeated], average="macro")
        assert f1_macro(actual, predicted, weights.astype(float)) == pytest.approx(expected)


class TestScore:
    def test_with_single_tracks_as_groups_the_interval_is_the_binomial_one(self, answers):
        actual, predicted, groups = answers
        found = score(accuracy, actual, predicted, groups, HOW)
        half = 1.96 * np.sqrt(found.value * (1 - found.value) / 300)
        assert found.low == pytest.approx(found.value - half, abs=0.012)
        assert found.high == pytest.approx(found.value + half, abs=0.012)

    def test_tracks_that_stand_or_fall_together_widen_it(self):
        right = np.repeat(np.arange(30) % 3 > 0, 10)  # thirty artists of ten tracks, each all right or all wrong
        actual, predicted = np.zeros(300, dtype=int), np.where(right, 0, 1)
        alone = score(accuracy, actual, predicted, np.arange(300).astype(object), HOW)
        together = score(accuracy, actual, predicted, np.repeat(np.arange(30), 10).astype(object), HOW)
        assert together.high - together.low > 2.5 * (alone.high - alone.low)

    def test_it_covers_the_truth_as_often_as_it_says(self):
        rng = np.random.default_rng(5)
        how = Evaluation(seed=1, resamples=400, confidence=0.9)
        covered = 0
        for _ in range(200):
            skill = rng.beta(6, 3, 40)  # each artist's own chance of a right answer; 2/3 on average
            right = rng.random((40, 5)) < skill[:, None]
            groups = np.repeat(np.arange(40), 5).astype(object)
            found = score(accuracy, np.zeros(200, dtype=int), np.where(right.ravel(), 0, 1), groups, how)
            covered += found.low <= 2 / 3 <= found.high
        assert 0.83 <= covered / 200 <= 0.96

    def test_nothing_to_score_is_an_error(self):
        empty = np.array([], dtype=int)
        with pytest.raises(ModelError, match="no track"):
            score(accuracy, empty, empty, empty.astype(object), HOW)

    def test_arrays_of_different_length_are_an_error(self, answers):
        actual, predicted, groups = answers
        with pytest.raises(ModelError, match="299"):
            score(accuracy, actual, predicted[1:], groups, HOW)


class TestDifference:
    def test_two_equal_models_differ_by_exactly_nothing(self, answers):
        actual, predicted, groups = answers
        found = difference(accuracy, actual, predicted, predicted, groups, HOW)
        assert (found.value, found.low, found.high) == (0, 0, 0)

    def test_pairing_makes_it_narrower_than_the_scores_are(self, answers):
        actual, predicted, groups = answers
        better = predicted.copy()
        wrong = np.flatnonzero(actual != predicted)[:15]
        better[wrong] = actual[wrong]
        found = difference(accuracy, actual, better, predicted, groups, HOW)
        alone = score(accuracy, actual, predicted, groups, HOW)
        assert found.value == pytest.approx(0.05) and found.low > 0
        assert found.high - found.low < 0.6 * (alone.high - alone.low)


class TestResamples:
    def test_a_group_is_drawn_whole(self):
        groups = np.array(["a", "a", "b", "b", "b", "c"], dtype=object)
        for weights in resamples(groups, HOW)[:50]:
            assert weights[0] == weights[1] and weights[2] == weights[3] == weights[4]
            assert weights[0] + weights[2] + weights[5] == 3
