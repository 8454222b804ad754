"""Wrong labels that the test itself planted: how many are found, and how many of those found are wrong."""

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict

from earmark.errors import ModelError
from earmark.model.evaluation.label_issues import label_issues

CLASSES = 4


def world(
    *, wrong_share: float, apart: float, seed: int = 0, tracks: int = 600
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """True labels, given labels, and held-out probabilities of a model that learnt from the given ones."""
    random = np.random.default_rng(seed)
    true = random.integers(CLASSES, size=tracks)
    heard = random.normal(size=(tracks, CLASSES)) + apart * np.eye(CLASSES)[true]
    wrong = random.permutation(tracks) < round(wrong_share * tracks)
    given = np.where(wrong, (true + random.integers(1, CLASSES, size=tracks)) % CLASSES, true)
    model = LogisticRegression(max_iter=1000)
    return true, given, cross_val_predict(model, heard, given, cv=5, method="predict_proba")


class TestWhatIsListed:
    @pytest.mark.parametrize("seed", range(3))
    def test_of_one_label_in_ten_that_is_wrong_nearly_all_are_found_and_hardly_another(self, seed):
        true, given, probabilities = world(wrong_share=0.1, apart=5.0, seed=seed)
        wrong = set(np.flatnonzero(true != given))
        assert len(wrong) == 60
        listed = set(label_issues(given, probabilities).listed)
        assert len(listed & wrong) / len(listed) > 0.95
        assert len(listed & wrong) / len(wrong) > 0.85

    def test_where_all_are_right_next_to_nothing_is(self):
        _, given, probabilities = world(wrong_share=0.0, apart=5.0)
        assert len(label_issues(given, probabilities).listed) <= 2

    def test_what_a_wrong_label_should_be_is_suggested(self):
        true, given, probabilities = world(wrong_share=0.1, apart=5.0)
        found = label_issues(given, probabilities)
        assert np.mean(found.suggested[found.listed] == true[found.listed]) > 0.95
        assert not (found.suggested[found.listed] == given[found.listed]).any()

    def test_the_worst_come_first_and_a_score_is_the_margin_over_the_best_other(self):
        _, given, probabilities = world(wrong_share=0.1, apart=3.0)
        found = label_issues(given, probabilities)
        assert (np.diff(found.score[found.listed]) >= 0).all()
        for row in (0, int(found.listed[0])):
            own = probabilities[row, given[row]]
            other = max(p for label, p in enumerate(probabilities[row]) if label != given[row])
            assert found.score[row] == pytest.approx((1 + own - other) / 2)

    def test_the_order_of_the_songs_does_not_matter(self):
        _, given, probabilities = world(wrong_share=0.1, apart=3.0)
        order = np.random.default_rng(5).permutation(len(given))
        listed = label_issues(given, probabilities).listed
        assert set(order[label_issues(given[order], probabilities[order]).listed]) == set(listed)


class TestShareOfWrongLabels:
    @pytest.mark.parametrize("share", [0.0, 0.05, 0.2])
    def test_is_near_the_truth_where_genres_are_well_apart(self, share):
        _, given, probabilities = world(wrong_share=share, apart=5.0)
        assert label_issues(given, probabilities).wrong_of_all == pytest.approx(share, abs=0.02)

    def test_is_told_for_each_label(self):
        true, given, probabilities = world(wrong_share=0.0, apart=6.0)
        given[np.flatnonzero(true == 0)[:40]] = 2  # only label 2 is given wrongly
        wrong = label_issues(given, probabilities).wrong
        assert wrong[2] == pytest.approx(40 / (given == 2).sum(), abs=0.05)
        assert (wrong[[0, 1, 3]] < 0.02).all()

    def test_of_all_is_the_mean_over_the_songs(self):
        _, given, probabilities = world(wrong_share=0.2, apart=3.0)
        found = label_issues(given, probabilities)
        assert found.wrong_of_all == pytest.approx(np.mean(found.wrong[given]), abs=0.01)

    def test_is_overrated_by_a_weak_model_as_the_docs_say(self):
        true, given, probabilities = world(wrong_share=0.0, apart=2.0)
        assert 0.7 < np.mean(probabilities.argmax(axis=1) == true) < 0.85
        assert label_issues(given, probabilities).wrong_of_all > 0.03


class TestEdges:
    def test_no_song_at_all_gives_an_empty_list(self):
        found = label_issues(np.zeros(0, np.int64), np.zeros((0, 3)))
        assert len(found.listed) == 0 and np.isnan(found.wrong_of_all) and found.wrong.shape == (3,)

    def test_a_label_that_no_song_has_has_no_share(self, recwarn):
        given = np.array([0, 0, 1, 1])
        found = label_issues(given, np.array([[0.8, 0.1, 0.1]] * 2 + [[0.1, 0.8, 0.1]] * 2))
        assert len(found.listed) == 0 and np.isnan(found.wrong[2]) and not np.isnan(found.wrong[:2]).any()
        assert not recwarn.list

    def test_arrays_that_do_not_fit_together_are_refused(self):
        with pytest.raises(ModelError, match=r"3 labels .* \(2, 4\)"):
            label_issues(np.zeros(3, np.int64), np.full((2, 4), 0.25))
