"""The stages `train_forest` and `importance` on descriptors that the test made up: what is chosen, and what is told."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import StratifiedGroupKFold

from earmark.audio.descriptors import descriptor_names
from earmark.audio.features import DescriptorCache
from earmark.errors import ModelError
from earmark.model.answers import Inputs
from earmark.model.metrics import some_groups
from earmark.model.predictor import load_predictor
from earmark.model.trees import features as forest_features
from earmark.model.trees.features import chosen_features
from earmark.model.trees.predictor import ForestPredictor
from earmark.params import Params, load_params
from earmark.stages import importance, train_forest
from earmark.workspace import (
    DESCRIPTORS,
    FAMILY_IMPORTANCE,
    FEATURE_CACHE,
    FEATURES,
    FOREST,
    IMPORTANCE,
    SELECTION,
    SPLITS,
    TAGS,
)
from scratch import CHECKOUT

PARAMS = load_params(CHECKOUT / "params.yaml")
NAMES = descriptor_names()
GENRES = ("calm", "odd", "wild")
TELLS_CALM, TELLS_ODD, LEAK = "tempo_bpm", "onset_rate_hz", "contrast_3_mean"
SONGS = 108  # two of each artist
SIDES = ("train", "train", "train", "train", "validation", "test")


def params(*, folds: int = 0, **forest: object) -> Params:
    """Those of this checkout, but for few trees and draws, and what is named."""
    return replace(
        PARAMS,
        forest=replace(PARAMS.forest, **{"trees": 20, **forest}),
        calibration=replace(PARAMS.calibration, folds=folds),
        evaluation=replace(PARAMS.evaluation, resamples=100),
    )


class Project:
    """Songs of three genres, of which two descriptors tell; the others are noise."""

    def __init__(self, root: Path) -> None:
        self.root = root
        artist = np.arange(SONGS) // 2
        self.genre = artist % 3
        self.tracks = pd.DataFrame(
            {
                "track_id": [f"{n:03d}" for n in range(SONGS)],
                "content_hash": [hashlib.sha256(str(n).encode()).hexdigest() for n in range(SONGS)],
                "path": "nowhere.wav",
                "split": [SIDES[n // 3 % len(SIDES)] for n in artist],
                "group": [f"artist {n:02d}" for n in artist],
                "genre": [GENRES[n] for n in self.genre],
            }
        )
        self.table = pd.DataFrame(np.random.default_rng(5).normal(size=(SONGS, len(NAMES))), columns=list(NAMES))
        self.table[TELLS_CALM] += 4.0 * (self.genre == 0)
        self.table[TELLS_ODD] += 4.0 * (self.genre == 1)
        self.write()

    def rows(self, *splits: str) -> np.ndarray:
        return self.tracks["split"].isin(splits).to_numpy()

    def leak(self, where: np.ndarray) -> None:
        """A descriptor tells the genre of these songs, and of no others."""
        self.table.loc[where, LEAK] = 100.0 * self.genre[where]
        self.write()

    def write(self) -> None:
        for path in (FEATURES, SPLITS):
            (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        self.tracks[["track_id", "content_hash", "path"]].to_parquet(self.root / FEATURES)
        self.tracks[["track_id", "split", "group", "genre"]].to_parquet(self.root / SPLITS)
        self.table.assign(track_id=self.tracks["track_id"])[["track_id", *NAMES]].to_parquet(self.root / DESCRIPTORS)
        cache = DescriptorCache(self.root / FEATURE_CACHE, PARAMS.frontend.sample_rate_hz)
        for name, values in zip(self.tracks["content_hash"], self.table.to_numpy(np.float64), strict=True):
            cache.store(name, values)

    def tell(self) -> None:
        """Two tags: one that goes with the genre, one of which nothing is known but of few."""
        rows = pd.DataFrame({"track_id": self.tracks["track_id"], "tag": "feeling---calmness", "weight": 1.0})
        rows["share"] = np.where(self.genre == 0, 0.9, 0.2)
        few = rows.iloc[:9].assign(tag="word---study", weight=0.5)
        pd.concat([rows, few]).assign(ceiling=0.8).to_parquet(self.root / TAGS)

    def train(self, how: Params) -> ForestPredictor:
        train_forest.run(how, self.root)
        forest = load_predictor(self.root / FOREST)
        assert isinstance(forest, ForestPredictor)
        return forest

    def told(self, how: Params) -> tuple[pd.DataFrame, pd.DataFrame, dict]:
        importance.run(how, self.root)
        tables = [pd.read_csv(self.root / path, keep_default_na=False) for path in (IMPORTANCE, FAMILY_IMPORTANCE)]
        return tables[0], tables[1], json.loads((self.root / SELECTION).read_text())

    def digests(self) -> dict[str, str]:
        files = [*(self.root / FOREST).iterdir(), *(self.root / path for path in (IMPORTANCE, FAMILY_IMPORTANCE))]
        files.append(self.root / SELECTION)
        return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """What tells songs apart is plain here: few forests and exchanges are enough to find it."""
    for name, value in {"FOLDS": 3, "REPEATS": 2, "RESAMPLES": 100}.items():
        monkeypatch.setattr(forest_features, name, value)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


class TestWhatTheForestIsFittedTo:
    def test_all_descriptors_unless_asked_otherwise(self, project):
        forest = project.train(params())
        assert forest.chosen == () and forest.forest.n_features_in_ == len(NAMES)

    def test_those_that_tell_are_surely_important_and_few_others_are(self, project):
        forest = project.train(params(features="sure"))
        assert {TELLS_CALM, TELLS_ODD} <= set(forest.chosen)
        assert len(forest.chosen) == forest.forest.n_features_in_ < len(NAMES) / 4
        assert list(forest.chosen) == [name for name in NAMES if name in forest.chosen]

    def test_so_many_as_are_asked_for_and_it_answers_by_them_alone(self, project):
        forest = project.train(params(features=2))
        assert set(forest.chosen) == {TELLS_CALM, TELLS_ODD}
        table = project.table.to_numpy(np.float64)
        own = project.table[list(forest.chosen)].to_numpy(np.float64)
        np.testing.assert_allclose(forest.of_descriptors(table).genres, forest.forest.predict_proba(own))
        moved = project.table.assign(**{LEAK: 1e6}).to_numpy(np.float64)
        np.testing.assert_array_equal(forest.of_descriptors(moved).genres, forest.of_descriptors(table).genres)

    def test_more_than_there_are_cannot_be_had(self, project):
        with pytest.raises(ModelError, match=r"forest.features is 134, but there are 133"):
            project.train(params(features=134))

    @pytest.mark.parametrize("features", ["sure", 5])
    def test_what_tells_only_held_out_songs_apart_changes_no_choice(self, project, features):
        before = project.train(params(features=features)).chosen
        project.leak(project.rows("validation", "test"))
        assert project.train(params(features=features)).chosen == before

    @pytest.mark.parametrize("features", ["sure", 5])
    def test_what_tells_the_training_songs_apart_is_chosen(self, project, features):
        project.leak(project.rows("train"))  # what makes the test above one that can fail
        assert LEAK in project.train(params(features=features)).chosen

    def test_of_several_parts_each_chooses_without_the_songs_that_are_kept_from_it(self, project, monkeypatch):
        calls = []

        def watched(tracks, material, how):
            forest = fitted(tracks, material, how)
            calls.append((set(tracks["track_id"]), forest.chosen))
            return forest

        fitted = train_forest.fitted
        monkeypatch.setattr(train_forest, "fitted", watched)
        how = params(folds=3, features=3)
        project.train(how)
        *parts, (whole, _) = calls
        assert len(parts) == 3 and whole == set(project.tracks["track_id"][project.rows("train", "validation")])
        kept, before = whole - parts[0][0], [chosen for _, chosen in calls]
        calls.clear()
        project.leak(project.tracks["track_id"].isin(kept).to_numpy())
        project.train(how)
        assert calls[0][1] == before[0]
        assert [chosen for _, chosen in calls[1:]] != before[1:]  # they do hear them
        pd.testing.assert_series_equal(
            pd.read_parquet(project.root / FOREST / "held_out.parquet")["track_id"], pd.Series(sorted(whole)),
            check_names=False,
        )  # fmt: skip

    def test_what_is_new_to_it_is_told_by_all_descriptors_whatever_its_parts_have_chosen(self, project):
        forest = project.train(params(features=2, folds=2))
        ordinary, strange = (
            project.table.to_numpy(np.float64)[0],
            project.table.assign(**{LEAK: 99.0}).to_numpy()[0],
        )
        answers = forest.answers([Inputs(descriptors=each) for each in (ordinary, strange)])
        assert forest.calibration is not None and forest.calibration.familiar is not None
        usual, unlike = forest.calibration.familiar.p_value(answers.embeddings)
        assert unlike < 0.1 and unlike < usual

    def test_of_a_large_catalogue_whole_groups_take_part_in_the_choice(self):
        groups = np.repeat(np.arange(300), 10).astype(object)
        some = some_groups(groups, 500, seed=1)
        assert 500 <= len(some) < 520
        assert set(np.unique(groups[some].astype(int), return_counts=True)[1]) == {10}
        np.testing.assert_array_equal(some_groups(groups, 3000, seed=1), np.arange(3000))

    def test_where_nothing_matters_all_stay(self):
        silent, actual, groups = np.zeros((40, len(NAMES))), np.arange(40) % 2, np.arange(40).astype(object)
        how = replace(PARAMS.forest, trees=5, features="sure")
        assert chosen_features(silent, actual, groups, ("a", "b"), how) == ()


class TestGradientBoosting:
    @pytest.mark.parametrize("features", ["all", "sure"])
    def test_it_learns_genres_and_tags(self, project, features):
        project.tell()
        forest = project.train(params(kind="gradient_boosting", trees=8, learning_rate=0.3, features=features))
        tests = project.rows("test")
        answers = forest.of_descriptors(project.table[tests].to_numpy(np.float64))
        np.testing.assert_allclose(answers.genres.sum(axis=1), 1.0)
        assert (answers.genres.argmax(axis=1) == project.genre[tests]).mean() > 0.7
        assert forest.tags == ("feeling---calmness", "word---study")
        calm = answers.shares[:, 0]
        assert calm[project.genre[tests] == 0].mean() > 0.3 + calm[project.genre[tests] != 0].mean()
        assert (answers.shares >= 0).all() and (answers.shares <= 1).all()
        assert type(forest.forest).__name__ == "HistGradientBoostingClassifier"

    def test_what_it_listens_to_is_told_like_that_of_a_forest(self, project):
        how = params(kind="gradient_boosting", trees=5, learning_rate=0.3, features=2)
        project.train(how)
        features, _, selection = project.told(how)
        assert top(features, "calm") == TELLS_CALM
        assert selection["all"]["features"] == len(NAMES)


def top(features: pd.DataFrame, genre: str) -> str:
    rows = features[features["class"] == genre]
    return str(rows.loc[rows["importance"].idxmax(), "feature"])


class TestImportance:
    @pytest.fixture
    def built(self, project) -> tuple[Project, Params]:
        how = params(features="sure")
        project.train(how)
        return project, how

    def test_the_files_have_their_columns_and_a_row_for_each_class_and_feature(self, built):
        project, how = built
        features, families, _ = project.told(how)
        assert list(features.columns) == ["class", "feature", "family", "importance", "low", "high"]
        assert list(families.columns) == ["class", "family", "importance", "low", "high"]
        classes = [*GENRES, "all"]
        assert [*features["class"].unique()] == [*families["class"].unique()] == classes
        for name in classes:
            assert features.loc[features["class"] == name, "feature"].tolist() == list(NAMES)
        assert set(families["family"]) == set(features["family"])

    def test_each_genre_rests_on_what_tells_it(self, built):
        project, how = built
        features, families, _ = project.told(how)
        assert (top(features, "calm"), top(features, "odd")) == (TELLS_CALM, TELLS_ODD)
        overall = families[families["class"] == "all"].set_index("family")
        assert (overall.loc[["tempo", "onset"], "low"] > 0).all()
        assert (overall["low"] <= overall["importance"]).all() and (overall["importance"] <= overall["high"]).all()

    def test_what_the_forest_does_not_hear_has_no_importance(self, project):
        how = params(features=2)
        project.train(how)
        features, _, _ = project.told(how)
        silent = ~features["feature"].isin([TELLS_CALM, TELLS_ODD])
        assert (features.loc[silent, ["importance", "low", "high"]] == 0).all(axis=None)

    def test_both_scores_are_those_of_forests_that_had_not_heard_the_songs(self, built):
        project, how = built
        _, _, selection = project.told(how)
        heard = project.rows("train", "validation")
        table, genre = project.table[heard].to_numpy(np.float64), project.genre[heard]
        groups = project.tracks["group"][heard].to_numpy(object)
        right = np.zeros(len(genre))
        splitter = StratifiedGroupKFold(5, shuffle=True, random_state=how.training.seed)
        for fitted, held in splitter.split(table, genre, groups):
            forest = RandomForestClassifier(
                20,
                max_features="sqrt",
                min_samples_leaf=how.forest.min_samples_leaf,
                class_weight="balanced",
                random_state=how.forest.seed,
            ).fit(table[fitted], genre[fitted])
            right[held] = forest.predict(table[held]) == genre[held]
        assert selection["all"]["accuracy"] == pytest.approx(right.mean())
        assert selection["all"]["features"] == len(NAMES) and selection["tracks"] == heard.sum()
        gain = selection["difference"]
        assert gain["accuracy"] == pytest.approx(selection["selected"]["accuracy"] - selection["all"]["accuracy"])
        assert gain["accuracy_low"] <= gain["accuracy"] <= gain["accuracy_high"]

    def test_held_out_songs_are_asked_of_smaller_forests_and_test_songs_of_whole_ones(self, project, monkeypatch):
        sizes = []

        def watched(tracks, material, how, **rest):
            sizes.append((set(tracks["split"]), how.trees))
            return fitted(tracks, material, how, **rest)

        fitted = importance.fitted
        monkeypatch.setattr(importance, "fitted", watched)
        monkeypatch.setattr(importance, "TREES", 15)
        how = params()
        project.train(how)
        project.told(how)
        assert [trees for splits, trees in sizes if splits == {"train", "validation"}] == [15] * 10
        assert [trees for splits, trees in sizes if splits == {"train"}] == [20]

    def test_rounds_of_boosting_are_never_fewer(self):
        how = params(kind="gradient_boosting", trees=300).forest
        assert importance._smaller(how) == how

    def test_of_the_test_songs_the_forest_that_is_shipped_is_scored_and_they_choose_nothing(self, built):
        project, how = built
        forest = load_predictor(project.root / FOREST)
        assert isinstance(forest, ForestPredictor)
        tests = project.rows("test")
        said = forest.of_descriptors(project.table[tests].to_numpy(np.float64)).genres.argmax(axis=1)
        _, _, before = project.told(how)
        assert before["test"]["selected"]["accuracy"] == pytest.approx((said == project.genre[tests]).mean())
        assert before["selected"]["names"] == list(forest.chosen)
        assert before["selected"]["features"] == len(forest.chosen)
        project.leak(tests)
        _, _, after = project.told(how)
        assert {name: after[name] for name in ("all", "selected", "difference")} == {
            name: before[name] for name in ("all", "selected", "difference")
        }

    def test_what_selecting_would_do_is_told_whatever_the_forest_hears(self, project):
        told = []
        for features in ("all", "sure", 3):
            how = params(features=features)
            project.train(how)
            told.append(project.told(how)[2])
        assert told[0] == told[1] == told[2]

    def test_the_same_again_is_the_same_bytes(self, built):
        project, how = built
        digests = []
        for _ in range(2):
            project.train(how)
            project.told(how)
            digests.append(project.digests())
        assert digests[0] == digests[1]

    def test_with_several_parts_these_are_the_ones(self, project):
        how = params(folds=2)
        project.train(how)
        assert project.told(how)[2]["parts"] == 2

    def test_a_genre_of_one_artist_cannot_be_held_out_and_nothing_is_told(self, project):
        project.tracks.loc[project.genre == 2, ["group", "split"]] = ["the only one", "train"]
        project.write()
        project.train(params())
        features, families, selection = project.told(params())
        assert list(features.columns) == ["class", "feature", "family", "importance", "low", "high"]
        assert features.empty and families.empty and selection == {}

    def test_a_missing_forest_is_named_with_the_remedy(self, project):
        with pytest.raises(ModelError, match=r"models/forest holds no predictor.*dvc repro"):
            importance.run(params(), project.root)
