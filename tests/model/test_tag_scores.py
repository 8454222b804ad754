"""Scores of tags: correlations by numpy, what is left out, and of categories the one that is said."""

import numpy as np
import pandas as pd
import pytest

from earmark.model.evaluation.tag_scores import Told, category_scores, commonest_category, tag_table
from earmark.params import Evaluation

HOW = Evaluation(seed=1, resamples=400, confidence=0.9)
NAMES = ("category---dance", "category---sea", "category---sleep", "feeling---calmness")
SONGS = 40


def told(
    names: tuple[str, ...] = NAMES[3:], *, share=None, weight=None, answers=None, groups=None, **other: object
) -> Told:
    """Of songs by chance, one artist each, a model called `ear` and one called `other`."""
    rng = np.random.default_rng(3)
    share = rng.random((SONGS, len(names))) if share is None else share
    weight = np.ones_like(share) if weight is None else weight
    if answers is None:
        answers = {"ear": 0.6 * share + 0.4 * rng.random(share.shape), "other": rng.random(share.shape)}
    groups = np.arange(len(share)).astype(object) if groups is None else groups
    return Told(names, np.stack([share, weight], axis=1).astype(np.float32), answers, groups, **other)


def r_of(table: pd.DataFrame, model: str = "ear") -> float:
    (row,) = table[table["model"] == model].to_dict("records")
    return row["r"]


class TestTagTable:
    def test_it_has_the_correlation_of_each_model_with_each_tag(self):
        known = told(NAMES)
        table = tag_table(known)
        assert list(zip(table["model"], table["tag"], strict=True)) == [
            (model, tag) for tag in NAMES for model in ("ear", "other")
        ]
        expected = [
            np.corrcoef(known.known[:, 0, place], known.answers[model][:, place])[0, 1]
            for place in range(4)
            for model in ("ear", "other")
        ]
        np.testing.assert_allclose(table["r"], expected, rtol=1e-6)
        assert set(table["songs"]) == {SONGS}

    def test_a_song_counts_by_how_much_is_known_of_it(self):
        """As often as it says, if its weight is a whole number."""
        times = np.random.default_rng(0).integers(1, 5, SONGS)
        known = told(weight=times[:, None])
        repeated = np.repeat(np.arange(SONGS), times)
        expected = np.corrcoef(known.known[repeated, 0, 0], known.answers["ear"][repeated, 0])[0, 1]
        assert r_of(tag_table(known)) == pytest.approx(expected, rel=1e-6)

    def test_a_song_of_which_nothing_is_known_counts_for_nothing(self):
        weight = np.ones((SONGS, 1))
        weight[::3] = 0
        known = told(weight=weight)
        rest = np.arange(SONGS) % 3 > 0
        expected = np.corrcoef(known.known[rest, 0, 0], known.answers["ear"][rest, 0])[0, 1]
        (row,) = tag_table(known).query("model == 'ear'").to_dict("records")
        assert (row["songs"], row["r"]) == (rest.sum(), pytest.approx(expected, rel=1e-6))

    @pytest.mark.parametrize(("songs", "rows"), [(9, 0), (10, 2)])
    def test_a_tag_needs_ten_songs(self, songs, rows):
        weight = np.zeros((SONGS, 1))
        weight[:songs] = 0.01
        table = tag_table(told(weight=weight))
        assert len(table) == rows
        assert list(table.columns) == ["model", "tag", "songs", "r", "ceiling"]

    def test_who_always_says_the_same_knows_nothing(self):
        assert r_of(tag_table(told(answers={"ear": np.full((SONGS, 1), 0.4)}))) == 0.0

    def test_a_tag_that_is_the_same_of_all_songs_cannot_be_told(self):
        assert r_of(tag_table(told(share=np.full((SONGS, 1), 0.7), answers={"ear": np.eye(SONGS)[:, :1]}))) == 0.0

    @pytest.mark.parametrize(("factor", "sign"), [(0.001, 1), (-2.0, -1)])
    def test_it_is_about_order_and_not_about_scale(self, factor, sign):
        known = told()
        scaled = told(answers={"ear": known.answers["ear"] * factor + 3})
        assert r_of(tag_table(scaled)) == pytest.approx(sign * r_of(tag_table(known)), rel=1e-6)

    def test_the_noise_ceiling_stands_beside_it_where_there_is_one(self):
        table = tag_table(told(NAMES, ceilings={NAMES[3]: 0.6, NAMES[0]: float("nan")}))
        ceilings = table.drop_duplicates("tag").set_index("tag")["ceiling"]
        assert ceilings[NAMES[3]] == 0.6
        assert ceilings[list(NAMES[:3])].isna().all()

    def test_without_tags_it_is_empty(self):
        assert tag_table(told((), answers={"ear": np.zeros((SONGS, 0))})).empty


def belonging(to: np.ndarray, *, sure: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Shares and weights of songs that belong to these categories (−1: to none) and feel of chance."""
    share = np.concatenate([np.eye(4)[to][:, :3], np.random.default_rng(9).random((len(to), 1))], axis=1)
    weight = np.where(to[:, None] >= 0, sure, 0.0).repeat(4, axis=1)
    weight[:, 3] = 1.0
    return share, weight


class TestCategoryScores:
    ACTUAL = np.arange(SONGS) % 3

    def scored(self, to: np.ndarray, said: np.ndarray, *, commonest: int = 1, feeling: float = 0.0, groups=None):
        share, weight = belonging(to)
        answers = np.concatenate([np.eye(3)[said] * 0.4 + 0.1, np.full((len(to), 1), feeling)], axis=1)
        known = told(NAMES, share=share, weight=weight, answers={"ear": answers}, groups=groups)
        return category_scores(known, commonest, HOW)

    def test_it_is_how_often_the_said_category_is_the_songs_own(self):
        said = np.where(np.arange(SONGS) < 30, self.ACTUAL, (self.ACTUAL + 1) % 3)
        found = self.scored(self.ACTUAL, said)["ear"]
        assert found["accuracy"] == pytest.approx(30 / SONGS)
        assert found["accuracy_low"] < 30 / SONGS < found["accuracy_high"]
        assert found["songs"] == SONGS

    def test_beside_it_stands_the_commonest_one_in_training(self):
        found = self.scored(self.ACTUAL, self.ACTUAL, commonest=2)
        assert set(found) == {"ear", "majority"}
        assert found["majority"]["accuracy"] == pytest.approx(np.mean(self.ACTUAL == 2))

    def test_a_feeling_however_strong_is_no_category(self):
        assert self.scored(self.ACTUAL, self.ACTUAL, feeling=0.99)["ear"]["accuracy"] == 1.0

    def test_songs_that_belong_to_none_are_not_asked_about(self):
        actual = np.where(np.arange(SONGS) % 2, self.ACTUAL, -1)
        found = self.scored(actual, self.ACTUAL)["ear"]
        assert (found["accuracy"], found["songs"]) == (1.0, SONGS / 2)

    def test_an_artists_songs_stand_or_fall_together(self):
        said = np.where(np.arange(SONGS) % 20 < 15, self.ACTUAL, (self.ACTUAL + 1) % 3)
        alone = self.scored(self.ACTUAL, said)["ear"]
        blocks = (np.arange(SONGS) % 20 // 5).astype(object)  # three artists all right, one all wrong
        together = self.scored(self.ACTUAL, said, groups=blocks)["ear"]
        width = alone["accuracy_high"] - alone["accuracy_low"]
        assert together["accuracy_high"] - together["accuracy_low"] > 1.8 * width

    @pytest.mark.parametrize(("songs", "models"), [(9, set()), (10, {"ear", "majority"})])
    def test_ten_songs_are_needed(self, songs, models):
        actual = np.where(np.arange(SONGS) < songs, self.ACTUAL, -1)
        assert set(self.scored(actual, self.ACTUAL)) == models

    def test_without_categories_there_is_nothing_to_say(self):
        assert category_scores(told(), 0, HOW) == {}
        assert category_scores(told((), answers={"ear": np.zeros((SONGS, 0))}), 0, HOW) == {}


class TestCommonestCategory:
    @staticmethod
    def known(to: list[int], sure: list[float]) -> np.ndarray:
        share, weight = belonging(np.array(to))
        weight[:, :3] = np.array(sure)[:, None]
        return np.stack([share, weight], axis=1).astype(np.float32)

    def test_it_is_that_of_most_songs_by_how_sure_their_place_is(self):
        assert commonest_category(NAMES, self.known([0, 0, 2, 2, 2], [1, 1, 1, 1, 1])) == 2
        assert commonest_category(NAMES, self.known([0, 0, 2, 2, 2], [1, 1, 0.6, 0.6, 0.6])) == 0

    def test_its_place_is_counted_among_the_categories_alone(self):
        names = ("appeal---first", *NAMES[:3])
        known = np.roll(self.known([1, 1, 0], [1, 1, 1]), 1, axis=2)
        assert commonest_category(names, known) == 1

    def test_without_categories_it_is_any(self):
        assert commonest_category(NAMES[3:], np.ones((5, 2, 1), dtype=np.float32)) == 0
