"""The stage `explain` on log-mels that the test made up, of a network with random weights."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from earmark.audio.features import FeatureCache
from earmark.audio.spectrogram import frames_of
from earmark.errors import ModelError
from earmark.model.network.predictor import NetworkPredictor
from earmark.model.reasons.attribution import band_centres_hz
from earmark.model.reasons.explaining import Odds
from earmark.params import load_params
from earmark.stages import explain
from earmark.workspace import (
    ATTRIBUTION,
    ATTRIBUTION_MOMENTS,
    ATTRIBUTION_SUMMARY,
    FEATURE_CACHE,
    FEATURES,
    NETWORK,
    SPLITS,
)
from model_tools import COMMON, FRONTEND, made_network
from model_tools import NETWORK as HEARS
from scratch import CHECKOUT

PARAMS = load_params(CHECKOUT / "params.yaml")
PARAMS = replace(
    PARAMS,
    frontend=FRONTEND,
    explanation=replace(PARAMS.explanation, songs_per_class=3, excerpts=2, steps=8, randoms=3),
    evaluation=replace(PARAMS.evaluation, resamples=100),
)
GENRES = COMMON["labels"]
SIDES = ("train", "train", "validation", "test")


class Project:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.tracks = pd.DataFrame({"track_id": [f"{n:02d}" for n in range(48)], "path": "nowhere.wav"})
        self.tracks["content_hash"] = [hashlib.sha256(each.encode()).hexdigest() for each in self.tracks["track_id"]]
        self.tracks["split"] = [SIDES[n // 3 % 4] for n in range(48)]
        self.tracks["genre"] = [GENRES[n % 3] for n in range(48)]
        self.tracks["group"] = [f"artist {n // 24}-{n % 12}" for n in range(48)]
        cache = FeatureCache(root / FEATURE_CACHE, FRONTEND)
        for n, name in enumerate(self.tracks["content_hash"]):
            values = np.random.default_rng(n).random((60 + n, FRONTEND.mels))
            values[:, n % 3 * 5] += 1.0
            cache.store(name, values.astype(np.float16))
        self.write()

    def write(self) -> None:
        for path in (FEATURES, SPLITS):
            (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        self.tracks[["track_id", "content_hash", "path"]].to_parquet(self.root / FEATURES)
        self.tracks[["track_id", "split", "group", "genre"]].to_parquet(self.root / SPLITS)

    def network(self) -> NetworkPredictor:
        networks = (made_network(seed=1), made_network(seed=2))
        predictor = NetworkPredictor(**COMMON, networks=networks, how=HEARS)
        predictor.save(self.root / NETWORK)
        return predictor

    def told(self, **how: int) -> tuple[pd.DataFrame, dict]:
        explain.run(replace(PARAMS, explanation=replace(PARAMS.explanation, **how)), self.root)
        return pd.read_csv(self.root / ATTRIBUTION), json.loads((self.root / ATTRIBUTION_SUMMARY).read_text())


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


class TestExplain:
    def test_the_table_has_a_row_for_each_class_and_band(self, project):
        project.network()
        table, _ = project.told()
        assert list(table.columns) == ["class", "band_hz", "importance", "low", "high"]
        assert table["class"].tolist() == [name for name in GENRES for _ in range(FRONTEND.mels)]
        for _, rows in table.groupby("class"):
            np.testing.assert_allclose(rows["band_hz"], band_centres_hz(FRONTEND), atol=0.1)
        assert (table["low"] <= table["importance"]).all() and (table["importance"] <= table["high"]).all()

    def test_the_summary_says_the_same_and_whether_it_is_true(self, project):
        project.network()
        table, summary = project.told()
        assert summary["part"] == "validation" and summary["songs"] == 9
        assert summary["baseline"] in ("silence", "mean spectrum")
        assert summary["gain_low"] <= summary["gain"] <= summary["gain_high"]
        for name, rows in table.groupby("class"):
            own = summary["classes"][name]
            assert own["bands"] == rows.drop(columns="class").to_dict("list")
            assert own["songs"] == 3 and own["gain_low"] <= own["gain"] <= own["gain_high"]
            assert own["artists"] == 2 and own["passes"] == (own["gain_low"] > 0)
        gains = [own["gain"] for own in summary["classes"].values()]
        assert summary["gain"] == pytest.approx(np.mean(gains), abs=1e-5)  # each class has as many excerpts

    def test_moments_are_told_for_each_class_and_tenth_of_a_song(self, project):
        project.network()
        _, summary = project.told()
        table = pd.read_csv(project.root / ATTRIBUTION_MOMENTS)
        assert list(table.columns) == ["class", "moment", "importance", "low", "high"]
        assert list(dict.fromkeys(table["class"])) == list(GENRES)
        for name, rows in table.groupby("class"):
            np.testing.assert_allclose(rows["moment"], np.arange(10) / 10 + 0.05)
            assert (rows["low"] <= rows["importance"]).all() and (rows["importance"] <= rows["high"]).all()
            assert rows["importance"].abs().min() > 0  # something was heard everywhere
            assert summary["classes"][name]["moments"] == rows.drop(columns="class").to_dict("list")

    def test_one_artist_bears_nothing_out(self, project):
        project.network()
        project.tracks.loc[project.tracks["genre"] == "calm", "group"] = "the only one"
        project.write()
        _, summary = project.told()
        assert summary["classes"]["calm"]["artists"] == 1 and not summary["classes"]["calm"]["passes"]

    def test_bands_add_up_to_what_the_answers_differ_from_those_to_the_baseline(self, project):
        predictor = project.network()
        table, summary = project.told(songs_per_class=99, steps=64)
        baseline = torch.tensor(summary["baseline_spectrum"])[:, None]
        odds = Odds(predictor)
        cache = FeatureCache(project.root / FEATURE_CACHE, FRONTEND)
        for index, name in enumerate(GENRES):
            rows = project.tracks[(project.tracks["split"] == "validation") & (project.tracks["genre"] == name)]
            differences = []
            for content_hash in rows["content_hash"]:
                log_mel = cache.open(content_hash)
                # Two at least, or as many as it takes to hear the whole song: these are shorter than ten excerpts.
                count = max(2, -(-len(log_mel) // frames_of(HEARS.excerpt_seconds, FRONTEND)))
                heard = torch.from_numpy(replace(predictor, how=replace(HEARS, excerpts=count)).excerpts(log_mel))
                with torch.no_grad():
                    answer, nothing = odds(heard), odds(baseline.expand_as(heard))
                differences.append(float((answer - nothing)[:, index].mean()))
            found = table.loc[table["class"] == name, "importance"].sum()
            assert found == pytest.approx(np.mean(differences), abs=summary["classes"][name]["gap"] + 1e-3)

    def test_the_same_again_is_the_same_bytes(self, project):
        project.network()
        contents = []
        for _ in range(2):
            project.told()
            paths = (ATTRIBUTION, ATTRIBUTION_MOMENTS, ATTRIBUTION_SUMMARY)
            contents.append([(project.root / path).read_bytes() for path in paths])
        assert contents[0] == contents[1]

    def test_as_many_artists_as_can_be_are_heard(self, project):
        rows = project.tracks[project.tracks["genre"] == "calm"].assign(group=["a"] * 14 + ["b", "c"])
        some = explain._some(rows, "calm", PARAMS.explanation)
        assert sorted(some["group"]) == ["a", "b", "c"]

    def test_songs_of_the_test_part_are_not_needed(self, project):
        project.network()
        before = project.told()
        tests = project.tracks["split"] == "test"
        for content_hash in project.tracks.loc[tests, "content_hash"]:
            FeatureCache(project.root / FEATURE_CACHE, FRONTEND).path(content_hash).unlink()
        after = project.told()
        pd.testing.assert_frame_equal(after[0], before[0])

    def test_where_the_split_left_no_validation_part_training_songs_are_explained(self, project):
        project.network()
        project.tracks["split"] = project.tracks["split"].replace("validation", "train")
        project.write()
        assert project.told()[1]["part"] == "train"

    def test_a_missing_network_is_named_with_the_remedy(self, project):
        with pytest.raises(ModelError, match=r"models/network holds no predictor.*dvc repro"):
            project.told()
