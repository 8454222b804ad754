import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression

from earmark.audio.descriptors import descriptor_names
from earmark.errors import ModelError
from earmark.model.reasons.importance import ALL, MOST_SURE, Part, family_of, matrix, pooled_importance
from earmark.params import Evaluation

HOW = Evaluation(seed=1, resamples=300, confidence=0.95)
NAMES = ("mfcc_0_mean", "mfcc_1_mean", "rms_mean", "tempo_bpm")
LABELS = ("folk", "jazz")


def importance(answer, table, *others, **how):
    """Of one model, which has learnt from none of the tracks."""
    return pooled_importance([Part(answer, np.arange(len(table)))], table, *others, **{"repeats": 10, "seed": 1, **how})


def wide(rows, columns="feature"):
    found = rows.pivot(index="class", columns=columns, values="importance")
    return found.loc[rows["class"].unique(), rows[columns].unique()]


def sigmoid_of(*columns):
    """A model of two classes that hears the sum of some columns."""

    def answer(table):
        second = 1 / (1 + np.exp(-2 * table[:, list(columns)].sum(axis=1)))
        return np.stack([1 - second, second], axis=1)

    return answer


def songs(number=60, *, artists=20, seed=0, features=4):
    rng = np.random.default_rng(seed)
    actual = np.arange(number) % 2
    table = rng.normal(size=(number, features))
    table[:, 0] += 2 * actual - 1
    return table, actual, np.array([f"artist {i % artists}" for i in range(number)], dtype=object)


def value(found, label, feature, column="importance"):
    rows = found.features
    return float(rows[(rows["class"] == label) & (rows["feature"] == feature)][column].iloc[0])


class TestFamilies:
    def test_each_descriptor_has_one_of_the_known_families(self):
        known = {"mfcc", "contrast", "chroma", "interval", "brightness", "rms", "tempogram", "tempo", "onset"}
        assert {family_of(name) for name in descriptor_names()} >= known
        assert family_of("zero_crossings_std") == family_of("rolloff_hz_mean") == "brightness"
        assert family_of("tempogram_120") == "tempogram" and family_of("onset_rate_hz") == "onset"

    def test_features_that_hide_each_other_are_found_together(self):
        table, actual, groups = songs(200, features=4)
        table[:, 1] = table[:, 0] + 0.01 * np.random.default_rng(1).normal(size=200)
        forest = RandomForestClassifier(60, min_samples_leaf=2, random_state=0).fit(table[:100], actual[:100])
        found = importance(forest.predict_proba, table[100:], actual[100:], groups[100:], NAMES, LABELS, HOW)
        whole = wide(found.families, "family").loc[ALL, "mfcc"]
        assert whole > 1.5 * (value(found, ALL, NAMES[0]) + value(found, ALL, NAMES[1]))

    def test_they_can_be_given(self):
        table, actual, groups = songs()
        family = dict.fromkeys(NAMES[:3], "one") | {NAMES[3]: "two"}
        found = importance(sigmoid_of(0), table, actual, groups, NAMES, LABELS, HOW, families=family)
        assert list(wide(found.families, "family").columns) == ["one", "two"]

    def test_one_of_a_single_feature_loses_what_the_feature_does(self):
        table, actual, groups = songs()
        family = dict(zip(NAMES, ("a", "b", "b", "c"), strict=True))
        found = importance(sigmoid_of(0, 3), table, actual, groups, NAMES, LABELS, HOW, families=family)
        alone = found.features[found.features["feature"].isin([NAMES[0], NAMES[3]])].drop(columns="feature")
        pd.testing.assert_frame_equal(
            found.families[found.families["family"] != "b"].reset_index(drop=True), alone.reset_index(drop=True)
        )


class TestMatrix:
    ROWS = (
        ("jazz", "a_1", "a", 0.10, 0.01),
        ("jazz", "b_1", "b", 0.50, 0.20),
        ("jazz", "a_2", "a", 0.00, -0.1),
        ("jazz", "b_2", "b", 0.05, 0.00),
        (ALL, "a_1", "a", 0.20, 0.10),
        (ALL, "b_1", "b", 0.10, -0.1),
        (ALL, "a_2", "a", 0.30, 0.20),
        (ALL, "b_2", "b", 0.07, 0.01),
        ("folk", "a_1", "a", -0.1, -0.2),
        ("folk", "b_1", "b", 0.00, -0.1),
        ("folk", "a_2", "a", 0.01, 0.00),
        ("folk", "b_2", "b", 0.02, -0.1),
    )

    @pytest.fixture
    def table(self):
        return pd.DataFrame(self.ROWS, columns=["class", "feature", "family", "importance", "low"])

    def test_those_that_matter_most_for_any_class_stand_in_it_family_by_family(self, table):
        found = matrix(table, 3)
        assert list(found.values.index) == ["b_1", "a_2", "a_1"] and found.families == ["b", "a", "a"]
        assert list(found.values.columns) == ["jazz", "folk", ALL]
        assert found.values.loc["a_2"].tolist() == [0.0, 0.01, 0.3]

    def test_it_marks_where_the_whole_interval_lies_above_0(self, table):
        found = matrix(table, 3)
        assert found.sure.loc["b_1"].tolist() == [True, False, False]
        assert found.sure.loc["a_2"].tolist() == [False, False, True]

    def test_the_others_are_added_up(self, table):
        found = matrix(table, 2)
        assert found.others == 2
        assert found.rest.to_dict() == pytest.approx({"jazz": 0.15, "folk": -0.08, ALL: 0.27})

    def test_where_there_are_not_so_many_none_is_left_out(self, table):
        found = matrix(table, 30)
        assert len(found.values) == 4 and found.others == 0 and (found.rest == 0).all()


class TestImportance:
    def test_it_is_the_mean_loss_over_all_pairs_of_songs(self):
        table, actual, groups = songs(6)
        answer = sigmoid_of(0, 2)
        found = importance(answer, table, actual, groups, NAMES, LABELS, HOW, repeats=4000)
        # Every song with the value of every other one (the switch of Fisher et al.), song by song.
        losses = []
        for i in range(6):
            before = np.log(MOST_SURE * answer(table[[i]])[0, actual[i]] + (1 - MOST_SURE) / 2)
            for j in set(range(6)) - {i}:
                row = table[[i]].copy()
                row[0, 2] = table[j, 2]
                losses.append(before - np.log(MOST_SURE * answer(row)[0, actual[i]] + (1 - MOST_SURE) / 2))
        assert value(found, ALL, "rms_mean") == pytest.approx(np.mean(losses), rel=0.05)

    def test_it_ranks_as_scikit_learn_does(self):
        table, actual, groups = songs(300)
        table[:, 2] += 0.5 * (2 * actual - 1)
        model = LogisticRegression().fit(table[:150], actual[:150])
        found = importance(model.predict_proba, table[150:], actual[150:], groups[150:], NAMES, LABELS, HOW, repeats=30)
        theirs = permutation_importance(
            model, table[150:], actual[150:], scoring="neg_log_loss", n_repeats=30, random_state=0
        ).importances_mean
        np.testing.assert_allclose(wide(found.features).loc[ALL], theirs, rtol=0.12, atol=0.02)

    def test_what_the_model_does_not_hear_has_exactly_none(self):
        table, actual, groups = songs()
        found = importance(sigmoid_of(0), table, actual, groups, NAMES, LABELS, HOW)
        deaf = found.features[found.features["feature"] != NAMES[0]]
        assert (deaf[["importance", "low", "high"]] == 0).all(axis=None)
        assert value(found, ALL, NAMES[0], "low") > 0

    def test_a_feature_belongs_to_the_class_that_it_tells_from_the_rest(self):
        rng = np.random.default_rng(3)
        actual = np.arange(240) % 3
        table = rng.normal(size=(240, 4))
        table[:, 1] += 3 * (actual == 1)
        table[:, 2] += 3 * (actual == 2) - 3 * (actual == 0)
        model = LogisticRegression().fit(table[:120], actual[:120])
        groups = np.array([f"artist {i % 30}" for i in range(120)], dtype=object)
        found = importance(model.predict_proba, table[120:], actual[120:], groups, NAMES, ("a", "b", "c"), HOW)
        table = wide(found.features)
        assert table.shape == (4, 4) and list(table.index) == ["a", "b", "c", ALL]
        assert table[NAMES[1]].drop(ALL).idxmax() == "b"
        assert table.loc["a"].idxmax() == table.loc["c"].idxmax() == NAMES[2]

    def test_the_tables_are_tidy(self):
        table, actual, groups = songs()
        found = importance(sigmoid_of(0), table, actual, groups, NAMES, LABELS, HOW)
        assert list(found.features.columns) == ["class", "feature", "family", "importance", "low", "high"]
        assert list(found.families.columns) == ["class", "family", "importance", "low", "high"]
        assert len(found.features) == 3 * 4 and len(found.families) == 3 * 3
        assert (found.features["low"] <= found.features["high"]).all()

    def test_a_seed_makes_it_the_same_again(self):
        table, actual, groups = songs()
        first, again, other = (
            importance(sigmoid_of(0, 1), table, actual, groups, NAMES, LABELS, HOW, seed=seed) for seed in (5, 5, 6)
        )
        assert first.features.equals(again.features) and first.families.equals(again.families)
        assert not first.features.equals(other.features)

    def test_asked_in_many_pieces_it_is_the_same(self, monkeypatch):
        table, actual, groups = songs()
        whole = importance(sigmoid_of(0, 1), table, actual, groups, NAMES, LABELS, HOW)
        monkeypatch.setattr("earmark.model.reasons.importance._ROWS_AT_ONCE", 1)
        pieces = importance(sigmoid_of(0, 1), table, actual, groups, NAMES, LABELS, HOW)
        np.testing.assert_allclose(wide(pieces.features), wide(whole.features), rtol=1e-9)

    def test_tracks_that_are_in_no_part_are_left_out(self):
        table, actual, groups = songs()
        part = Part(sigmoid_of(0), np.arange(20, 60))
        found = pooled_importance([part], table, actual, groups, NAMES, LABELS, HOW)
        alone = importance(sigmoid_of(0), table[20:], actual[20:], groups[20:], NAMES, LABELS, HOW)
        assert found.features.equals(alone.features)


class TestInterval:
    def test_it_covers_the_truth_about_as_often_as_it_says(self):
        answer = sigmoid_of(0)
        how = Evaluation(seed=1, resamples=300, confidence=0.9)

        def draw(artists, seed):
            """Four songs an artist that resemble each other."""
            rng = np.random.default_rng(seed)
            actual = np.repeat(np.arange(artists) % 2, 4)
            table = (2 * actual - 1)[:, None] + np.repeat(rng.normal(size=(artists, 1)), 4, axis=0)
            table += 0.5 * rng.normal(size=table.shape)
            return table, actual, np.repeat(np.arange(artists), 4).astype(object)

        truth = value(importance(answer, *draw(3000, 999), ("x",), LABELS, how, repeats=3), ALL, "x")
        covered = 0
        for seed in range(150):
            found = importance(answer, *draw(40, seed), ("x",), LABELS, how, repeats=5)
            covered += value(found, ALL, "x", "low") <= truth <= value(found, ALL, "x", "high")
        assert 0.82 <= covered / 150 <= 0.97

    def test_songs_that_stand_or_fall_together_widen_it(self):
        table, actual, _ = songs(120)
        table = np.repeat(table[:30], 4, axis=0)
        actual = np.repeat(actual[:30], 4)
        widths = []
        for groups in (np.arange(120), np.repeat(np.arange(30), 4)):
            found = importance(sigmoid_of(0), table, actual, groups.astype(object), NAMES, LABELS, HOW)
            widths.append(value(found, ALL, NAMES[0], "high") - value(found, ALL, NAMES[0], "low"))
        assert widths[1] > 1.4 * widths[0]


class TestLittleMaterial:
    @pytest.mark.parametrize(
        ("number", "label"), [(2, [0, 1]), (2, [0, 0]), (3, [0, 0, 1])], ids=["one each", "one class", "two and one"]
    )
    def test_a_few_songs_end_without_nan(self, number, label):
        table = np.random.default_rng(0).normal(size=(number, 4))
        groups = np.arange(number).astype(object)
        found = importance(sigmoid_of(0), table, np.array(label), groups, NAMES, LABELS, HOW)
        assert np.isfinite(found.features[["importance", "low", "high"]]).all(axis=None)
        assert set(found.features["class"]) == {LABELS[one] for one in label} | {ALL}

    def test_one_artist_ends_without_nan(self):
        table, actual, _ = songs()
        groups = np.full(60, "only", dtype=object)
        found = importance(sigmoid_of(0), table, actual, groups, NAMES, LABELS, HOW)
        assert np.isfinite(found.families[["importance", "low", "high"]]).all(axis=None)

    def test_a_feature_that_never_changes_has_none(self):
        table, actual, groups = songs()
        table[:, 0] = 3.0
        found = importance(sigmoid_of(0), table, actual, groups, NAMES, LABELS, HOW)
        assert value(found, ALL, NAMES[0]) == value(found, ALL, NAMES[0], "high") == 0

    def test_a_model_that_is_all_too_sure_costs_no_infinity(self):
        table, actual, groups = songs()
        found = importance(
            lambda rows: np.eye(2)[(rows[:, 0] > 0).astype(int)], table, actual, groups, NAMES, LABELS, HOW
        )
        assert 0 < value(found, ALL, NAMES[0]) < -np.log((1 - MOST_SURE) / 2)


class TestErrors:
    def test_one_song_cannot_exchange_values(self):
        table, actual, groups = songs()
        with pytest.raises(ModelError, match="at least 2"):
            importance(sigmoid_of(0), table[:1], actual[:1], groups[:1], NAMES, LABELS, HOW)

    def test_a_value_that_is_no_number_is_named(self):
        table, actual, groups = songs()
        table[3, 2] = np.nan
        with pytest.raises(ModelError, match="rms_mean"):
            importance(sigmoid_of(0), table, actual, groups, NAMES, LABELS, HOW)

    def test_logits_are_no_probabilities(self):
        table, actual, groups = songs()
        with pytest.raises(ModelError, match="not logits"):
            importance(lambda rows: rows[:, :2], table, actual, groups, NAMES, LABELS, HOW)

    def test_a_choice_is_no_probability(self):
        table, actual, groups = songs()
        with pytest.raises(ModelError, match=r"\(60, 2\)"):
            importance(lambda rows: rows[:, 0] > 0, table, actual, groups, NAMES, LABELS, HOW)

    def test_names_must_fit(self):
        table, actual, groups = songs()
        with pytest.raises(ModelError, match="3 names"):
            importance(sigmoid_of(0), table, actual, groups, NAMES[:3], LABELS, HOW)
