"""Trees that are walked down together say what scikit-learn says of them one after the other."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from predictor_tools import made_predictor
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier, RandomForestRegressor

from earmark.audio.descriptors import descriptor_names
from earmark.model.trees.walking import FEW, Walk, suits, walked


def songs(rng: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    """Numbers of all sizes, some of which occur often, so that a song may lie on the very edge between two nodes."""
    table = rng.normal(size=(rows, columns)) * 10.0 ** rng.integers(-3, 4, columns)
    return np.where(rng.random(table.shape) < 0.3, np.round(table), table)


forests = given(
    seed=st.integers(0, 2**31),
    rows=st.integers(2, 80),
    columns=st.integers(1, 9),
    depth=st.sampled_from([None, 1, 3]),
    leaf=st.integers(1, 9),
    outputs=st.integers(1, 5),
)
few = settings(max_examples=25, deadline=None)


class TestWalk:
    @few
    @forests
    def test_of_a_classifier_it_says_the_same_probabilities(self, seed, rows, columns, depth, leaf, outputs):
        rng = np.random.default_rng(seed)
        table, labels = songs(rng, rows, columns), rng.integers(0, outputs, rows)
        how = {"max_depth": depth, "min_samples_leaf": leaf, "class_weight": "balanced", "random_state": seed}
        forest = RandomForestClassifier(7, **how).fit(table, labels)
        asked = np.concatenate([table[:20], songs(rng, 12, columns)])
        found = Walk(forest)(asked)
        np.testing.assert_allclose(found, forest.predict_proba(asked), atol=1e-12, rtol=0)
        np.testing.assert_allclose(found.sum(axis=1), 1)

    @few
    @forests
    def test_of_a_regressor_it_says_the_same_shares(self, seed, rows, columns, depth, leaf, outputs):
        rng = np.random.default_rng(seed)
        table, shares = songs(rng, rows, columns), rng.random((rows, outputs))
        forest = RandomForestRegressor(7, max_depth=depth, min_samples_leaf=leaf, random_state=seed)
        forest.fit(table, shares if outputs > 1 else shares.ravel())
        asked = np.concatenate([table[:20], songs(rng, 12, columns)])
        np.testing.assert_allclose(
            Walk(forest)(asked), forest.predict(asked).reshape(len(asked), -1), atol=1e-12, rtol=0
        )

    def test_one_song_alone_is_told_what_it_is_told_among_others(self):
        rng = np.random.default_rng(0)
        table = songs(rng, 90, 6)
        walk = Walk(RandomForestClassifier(30, random_state=0).fit(table, np.arange(90) % 4))
        together = walk(table)
        assert len(np.unique(together, axis=0)) > 20
        np.testing.assert_array_equal(np.concatenate([walk(song[None]) for song in table]), together)

    def test_trees_of_one_leaf_each_say_what_they_have_to_say(self):
        table = np.zeros((5, 3))
        forest = RandomForestRegressor(4, random_state=0).fit(table, np.arange(5.0))
        np.testing.assert_allclose(Walk(forest)(table)[:, 0], forest.predict(table), atol=1e-12)

    def test_other_models_are_none_of_its_business(self):
        boosted = HistGradientBoostingClassifier(max_iter=2).fit(np.random.default_rng(0).random((40, 2)), [0, 1] * 20)
        assert walked(boosted) is None and walked(None) is None

    def test_it_suits_few_songs_of_finite_numbers(self):
        table = np.zeros((FEW, 3))
        assert suits(table) and not suits(np.zeros((FEW + 1, 3))) and not suits(table[:0])
        table[2, 1] = np.nan
        assert not suits(table)


class TestForestPredictor:
    @pytest.mark.parametrize("rows", [1, 3, FEW, FEW + 1])
    def test_few_songs_and_many_are_told_the_same_to_the_bit(self, rows):
        forest = made_predictor("forest")
        table = np.random.default_rng(1).normal(size=(rows, len(descriptor_names())))
        told = forest.of_descriptors(table)
        np.testing.assert_array_equal(told.genres, forest.forest.predict_proba(table))
        np.testing.assert_array_equal(told.shares, forest.tag_forest.predict(table).clip(0, 1))

    def test_a_single_song_is_not_asked_of_scikit_learn(self, monkeypatch):
        forest = made_predictor("forest")
        table = np.random.default_rng(1).normal(size=(1, len(descriptor_names())))
        expected = forest.of_descriptors(table)
        for one in (forest.forest, forest.tag_forest):
            monkeypatch.setattr(type(one), "predict_proba", None, raising=False)
            monkeypatch.setattr(type(one), "predict", None)
        np.testing.assert_array_equal(forest.of_descriptors(table).genres, expected.genres)

    def test_without_tags_and_with_one_there_are_as_many_shares(self):
        table = np.random.default_rng(1).normal(size=(2, len(descriptor_names())))
        assert made_predictor("forest", tags=()).of_descriptors(table).shares.shape == (2, 0)
        assert made_predictor("forest", tags=("word---sea",)).of_descriptors(table).shares.shape == (2, 1)

    def test_boosted_trees_are_asked_as_ever(self):
        boosted = made_predictor("boosting")
        table = np.random.default_rng(1).normal(size=(2, len(descriptor_names())))
        np.testing.assert_array_equal(boosted.of_descriptors(table).genres, boosted.forest.predict_proba(table))

    def test_what_is_no_number_is_refused_as_scikit_learn_refuses_it(self):
        boosted = made_predictor("forest")
        table = np.full((1, len(descriptor_names())), np.inf)
        with pytest.raises(ValueError, match="infinity"):
            replace(boosted).of_descriptors(table)
