import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr
from sklearn.ensemble import RandomForestClassifier

from earmark.errors import ModelError
from earmark.model.reasons.importance import ALL, Importance
from earmark.model.reasons.selection import correlated, importance_of_training, select
from earmark.params import Evaluation

HOW = Evaluation(seed=1, resamples=300, confidence=0.95)
LABELS = ("a", "b", "c")


def forest(table, actual):
    return RandomForestClassifier(40, min_samples_leaf=2, random_state=0, n_jobs=1).fit(table, actual).predict_proba


def songs(artists=36, each=4, noise=8, seed=0):
    """Three classes: two features that say nearly the same tell the first, one the second, the others are noise."""
    rng = np.random.default_rng(seed)
    actual = np.repeat(np.arange(artists) % 3, each)
    table = rng.normal(size=(artists * each, 3 + noise))
    table[:, 0] += 3 * (actual == 0)
    table[:, 1] = -(table[:, 0] ** 3) + 0.1 * rng.normal(size=len(table))
    table[:, 2] += 3 * (actual == 1)
    return table, actual, np.repeat(np.arange(artists), each).astype(object), [f"f{i}" for i in range(3 + noise)]


def told(**features):
    """An importance as it could be: feature=(family, importance, low), a family as important as its best."""
    rows = pd.DataFrame(
        [
            {"class": ALL, "feature": name, "family": f, "importance": i, "low": low}
            for name, (f, i, low) in features.items()
        ]
    )
    families = rows.groupby(["class", "family"], sort=False)[["importance", "low"]].max().reset_index()
    return Importance(rows, families)


def wide(rows, columns="feature"):
    return rows.pivot(index="class", columns=columns, values="importance")


class TestCorrelated:
    def test_any_two_of_a_group_say_the_same(self):
        rng = np.random.default_rng(2)
        sources = rng.normal(size=(80, 4))
        table = np.exp(sources[:, rng.integers(0, 4, 20)] * 2 + 0.8 * rng.normal(size=(80, 20)))
        own = correlated(table)
        rank = np.abs(spearmanr(table).statistic)
        assert 1 < len(set(own)) < 20
        for one in set(own):
            inside = np.flatnonzero(own == one)
            assert inside.min() == one and rank[np.ix_(inside, inside)].min() >= 0.7 - 1e-9

    def test_rank_counts_of_either_sign_and_the_first_names_the_group(self):
        table, _, _, _ = songs()
        own = correlated(table)
        assert own[0] == own[1] == 0 and len(set(own)) == table.shape[1] - 1

    def test_a_bent_relation_counts_like_a_straight_one(self):
        straight = np.random.default_rng(0).normal(size=100)
        table = np.stack([straight, np.exp(5 * straight)], axis=1)
        assert abs(np.corrcoef(table.T)[0, 1]) < 0.7 and list(correlated(table)) == [0, 0]

    def test_the_ends_of_a_chain_are_apart(self):
        steps = np.random.default_rng(0).normal(size=(200, 14))
        table = np.stack([steps[:, start : start + 6].sum(axis=1) for start in range(9)], axis=1)
        rank = spearmanr(table).statistic
        assert (np.diag(rank, 1) > 0.7).all() and abs(rank[0, -1]) < 0.3
        assert len(set(correlated(table))) > 2

    def test_features_that_never_change_are_alone(self):
        table = np.ones((10, 3))
        table[:, 1] = np.arange(10)
        assert list(correlated(table)) == [0, 1, 2]

    def test_one_feature_is_a_group(self):
        assert list(correlated(np.ones((5, 1)))) == [0]


class TestImportanceOfTraining:
    def test_it_finds_what_tells_the_classes_apart(self):
        table, actual, groups, names = songs()
        found = importance_of_training(table, actual, groups, names, LABELS, forest, HOW, repeats=5)
        whole = wide(found.families, "family")
        assert set(whole.loc[ALL].nlargest(2).index) == {"f0", "f2"}
        assert whole.loc["a"].idxmax() == "f0" and whole.loc["b"].idxmax() == "f2"

    def test_a_feature_that_only_betrays_the_artist_is_worth_nothing(self):
        # Every song of an artist has the same number, which tells nothing of an artist not heard before.
        rng = np.random.default_rng(1)
        actual = np.repeat(np.arange(40) % 2, 5)
        table = np.stack([np.repeat(rng.permutation(40), 5), rng.normal(size=200)], axis=1).astype(float)
        artists, alone = np.repeat(np.arange(40), 5).astype(object), np.arange(200).astype(object)
        honest, careless = (
            wide(
                importance_of_training(
                    table, actual, groups, ("number", "noise"), ("a", "b"), forest, HOW, repeats=5
                ).features
            ).loc[ALL, "number"]
            for groups in (artists, alone)
        )
        assert careless > 0.3 and honest < 0.1

    def test_no_model_is_asked_about_an_artist_that_it_has_heard(self):
        table, actual, groups, names = songs(noise=1)
        table = np.column_stack([table, groups.astype(float)])
        seen = []

        def fit(rows, labels):
            heard = set(rows[:, -1])

            def answer(asked):
                seen.append(len(heard & set(asked[:, -1])))
                return np.full((len(asked), len(set(labels))), 1 / len(set(labels)))

            return answer

        importance_of_training(table, actual, groups, [*names, "artist"], LABELS, fit, HOW, folds=3, repeats=2)
        assert len(seen) >= 6 and set(seen) == {0}

    def test_a_class_of_one_artist_does_no_harm_to_the_others(self):
        table, actual, groups, names = songs(artists=13)
        actual = np.where(groups == 12, 0, 1 + groups.astype(int) % 2)
        table[:, 2] = np.random.default_rng(1).normal(size=len(table)) + 3 * (actual == 1)
        found = importance_of_training(table, actual, groups, names, LABELS, forest, HOW, repeats=5)
        assert np.isfinite(found.features[["importance", "low", "high"]]).all(axis=None)
        assert (wide(found.features).loc[["b", "c"], "f2"] > 0.3).all()

    def test_one_class_or_one_group_is_an_error(self):
        table, actual, groups, names = songs(artists=6)
        with pytest.raises(ModelError, match="1 class"):
            importance_of_training(table, np.zeros_like(actual), groups, names, LABELS, forest, HOW)
        with pytest.raises(ModelError, match="1 group"):
            importance_of_training(table, actual, np.zeros_like(groups), names, LABELS, forest, HOW)


class TestSelect:
    def test_of_features_that_say_the_same_the_best_stays(self):
        found = told(x=("x", 0.1, 0.02), y=("x", 0.3, 0.1), z=("z", 0.2, -0.1), w=("w", 0.05, 0.01))
        assert select(found, "sure") == ("y", "w")

    def test_features_that_hide_each_other_count_by_their_family(self):
        found = told(x=("x", 0.01, -0.1), y=("x", 0.02, -0.1), z=("z", 0.2, 0.1))
        found.families.loc[found.families["family"] == "x", "low"] = 0.3
        assert select(found, "sure") == ("y", "z")

    def test_a_number_takes_the_best_of_each_family_first_and_idle_ones_last(self):
        found = told(x=("x", 0.4, 0), y=("x", 0.3, 0), z=("z", 0.2, 0), w=("w", -0.1, 0), v=("v", 0.1, 0))
        assert [select(found, keep) for keep in (1, 2, 3)] == [("x",), ("x", "z"), ("x", "z", "v")]
        assert select(found, 4) == ("x", "y", "z", "v") and select(found, 5) == ("x", "y", "z", "w", "v")

    def test_where_nothing_is_sure_all_stay(self):
        assert select(told(x=("x", 0.4, -0.1), y=("y", 0.3, 0.0)), "sure") == ("x", "y")

    @pytest.mark.parametrize("keep", [0, 3, "all", 1.0, True])
    def test_what_cannot_be_kept_is_an_error(self, keep):
        with pytest.raises(ModelError, match="from 1 to 2"):
            select(told(x=("x", 0.4, 0.1), y=("y", 0.3, 0.0)), keep)

    def test_what_is_sure_is_rarely_noise_and_the_model_does_not_suffer(self):
        kept, before, after = [], [], []
        for seed in range(4):
            table, actual, groups, names = songs(noise=30, seed=seed)
            found = importance_of_training(table, actual, groups, names, LABELS, forest, HOW, repeats=3)
            chosen = [names.index(name) for name in select(found, "sure")]
            kept.append(chosen)
            new, answers, _, _ = songs(noise=30, seed=100 + seed)
            before.append((forest(table, actual)(new).argmax(axis=1) == answers).mean())
            after.append((forest(table[:, chosen], actual)(new[:, chosen]).argmax(axis=1) == answers).mean())
        assert all(2 in chosen and len({0, 1} & set(chosen)) == 1 for chosen in kept)
        assert np.mean([len(chosen) - 2 for chosen in kept]) <= 3  # of thirty; one in forty would be 0.75
        assert np.mean(after) >= np.mean(before)
