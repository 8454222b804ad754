"""The stage `train` with weights to start from: what they may know, and what the network knows afterwards."""

import dataclasses
import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from earmark.audio.features import FeatureCache
from earmark.errors import ModelError
from earmark.model.encoders.network_encoder import NetworkEncoder
from earmark.model.material import load_material
from earmark.model.network.network import MusicNetwork
from earmark.model.network.predictor import NetworkPredictor
from earmark.model.predictor import load_predictor
from earmark.params import Augmentation, Frontend, Network, Params, load_params
from earmark.stages import train
from earmark.workspace import FEATURE_CACHE, FEATURES, NETWORK, SPLITS
from scratch import CHECKOUT

FRONTEND = Frontend(sample_rate_hz=8_000, n_fft=256, hop=128, mels=16, f_min_hz=30.0, f_max_hz=4000.0)
HOW = Network("tiny", pooling="mean_max", dropout=0.0, embedding="none", excerpt_seconds=0.512, excerpts=2)
SIDES = ("train", "train", "train", "validation", "test")


def params(start: Path | str, *, folds: int = 0) -> Params:
    found = load_params(CHECKOUT / "params.yaml")
    few = {"epochs": 1, "batch_size": 4, "precision": "32", "devices": 1, "start_from": str(start)}
    return dataclasses.replace(
        found,
        frontend=FRONTEND,
        network=HOW,
        training=dataclasses.replace(found.training, **few),
        augmentation=Augmentation(),
        calibration=dataclasses.replace(found.calibration, folds=folds),
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Twenty songs of two genres, whose log-mels are in the cache; their audio is nowhere."""
    folder = tmp_path / "project"
    cache, random = FeatureCache(folder / FEATURE_CACHE, FRONTEND), np.random.default_rng(0)
    rows = []
    for number in range(20):
        genre, name = ("calm", "loud")[number % 2], hashlib.sha256(str(number).encode()).hexdigest()
        cache.store(name, (random.random((40, 16)) + (genre == "loud")).astype(np.float16))
        side = SIDES[number // 2 % len(SIDES)]
        rows.append((f"{number:02d}", name, f"{number}.wav", side, f"artist {number}", genre))
    table = pd.DataFrame(rows, columns=["track_id", "content_hash", "path", "split", "group", "genre"])
    (folder / "data").mkdir()
    table[["track_id", "content_hash", "path"]].to_parquet(folder / FEATURES, index=False)
    table[["track_id", "split", "group", "genre"]].to_parquet(folder / SPLITS, index=False)
    return folder


def model(folder: Path, heard: frozenset[str]) -> Path:
    """A network that was fitted to those recordings."""
    torch.manual_seed(1)
    network = MusicNetwork(HOW, mels=16, classes=3).eval()
    NetworkPredictor(("x", "y", "z"), FRONTEND, heard, "d", (network,), HOW).save(folder)
    return folder


def trunk(folder: Path, heard: frozenset[str]) -> Path:
    """One that only listened to them."""
    torch.manual_seed(1)
    NetworkEncoder(heard, MusicNetwork(HOW, mels=16, classes=1).eval(), HOW, FRONTEND, labelled=False).save(folder)
    return folder


def songs(root: Path, side: str) -> frozenset[str]:
    material = load_material(root, FRONTEND)
    return material.hashes(material.part(side))


class TestStartingFromAModel:
    @pytest.mark.parametrize(
        ("side", "folds"), [("test", 0), ("validation", 0), ("test", 2), ("validation", 2), ("train", 2)]
    )
    @pytest.mark.parametrize("file", ["", "network.pt"])
    def test_that_knows_songs_which_are_held_out_is_refused(self, root, tmp_path, side, folds, file):
        start = model(tmp_path / "champion", frozenset(sorted(songs(root, side))[:2])) / file
        with pytest.raises(ModelError, match="2 of the songs that are held out here"):
            train.run(params(start, folds=folds), root)
        assert not (root / NETWORK).exists()

    def test_that_knows_songs_for_training_is_taken_and_all_that_it_knows_is_known_then(self, root, tmp_path):
        known = songs(root, "train") | {"elsewhere"}
        train.run(params(model(tmp_path / "before", known)), root)
        assert load_predictor(root / NETWORK).trained_on == known | songs(root, "validation")


class TestStartingFromATrunkThatWasToldNoLabels:
    @pytest.mark.parametrize("folds", [0, 2])
    def test_it_may_have_heard_all_but_the_songs_for_testing(self, root, tmp_path, folds):
        heard = songs(root, "train") | songs(root, "validation")
        train.run(params(trunk(tmp_path / "pretrained", heard), folds=folds), root)
        assert load_predictor(root / NETWORK).trained_on == heard

    def test_but_none_of_those(self, root, tmp_path):
        with pytest.raises(ModelError, match="4 of them for testing"):
            train.run(params(trunk(tmp_path / "pretrained", songs(root, "test"))), root)


class TestStartingFromAFile:
    def test_of_which_nothing_is_known_says_so(self, root, tmp_path, capsys):
        loose = tmp_path / "loose.pt"
        model(tmp_path / "before", songs(root, "test"))
        (tmp_path / "before" / "network.pt").rename(loose)
        train.run(params(loose), root)
        assert "Nothing is known of what the weights in training.start_from have heard" in capsys.readouterr().err

    def test_with_its_description_beside_it_there_is_nothing_to_say(self, root, tmp_path, capsys):
        train.run(params(model(tmp_path / "before", frozenset({"elsewhere"})) / "network.pt"), root)
        assert "Nothing is known" not in capsys.readouterr().err
        assert "elsewhere" in load_predictor(root / NETWORK).trained_on
