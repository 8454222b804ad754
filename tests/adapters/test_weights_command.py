"""`earmark weights fetch`, for real: a registered version of one project is what training starts from in another."""

import hashlib
import shutil
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from click.testing import CliRunner
from sklearn.dummy import DummyClassifier

from earmark.adapters.packing import log_model
from earmark.adapters.recording import _experiment
from earmark.adapters.tracking import reaching
from earmark.audio.descriptors import descriptor_names
from earmark.audio.features import FeatureCache
from earmark.cli import main
from earmark.errors import ModelError, RegistryError
from earmark.model.network.network import MusicNetwork
from earmark.model.network.predictor import NetworkPredictor
from earmark.model.predictor import load_predictor
from earmark.model.trees.predictor import ForestPredictor
from earmark.params import Params, load_params
from earmark.workspace import FEATURE_CACHE, FEATURES, NETWORK, SPLITS
from scratch import CHECKOUT

HEARD = frozenset({"a song", "another"})
SIDES = ("train", "train", "validation", "test")


def write_params(root: Path) -> Params:
    content = yaml.safe_load((CHECKOUT / "params.yaml").read_text())
    content["network"] |= {"size": "tiny", "excerpt_seconds": 0.512, "excerpts": 2}
    # So little is learnt that one can see where the network began.
    content["training"] |= {"epochs": 1, "batch_size": 4, "learning_rate": 1e-6, "devices": 1, "precision": "32"}
    root.mkdir(exist_ok=True)
    (root / "params.yaml").write_text(yaml.safe_dump(content))
    shutil.copytree(CHECKOUT / "weights" / "none", root / "weights" / "none")
    return load_params(root / "params.yaml")


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose registry has two versions: a forest, and a network, which is champion; and a run of it."""
    root = tmp_path_factory.mktemp("elsewhere") / "project"
    params = write_params(root)
    torch.manual_seed(7)
    network = MusicNetwork(params.network, mels=params.frontend.mels, classes=3).eval()
    common: dict[str, Any] = {"frontend": params.frontend, "trained_on": HEARD, "data_hash": "d"}
    NetworkPredictor(("ballad", "march", "waltz"), **common, networks=(network,), how=params.network).save(
        root / NETWORK
    )
    table = np.zeros((2, len(descriptor_names())))
    forest = DummyClassifier(strategy="constant", constant=1).fit(table, [0, 1])
    ForestPredictor(("high", "low"), **common, forest=forest).save(root / "models" / "forest")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        with reaching(root) as client:
            experiment = _experiment(client, params, root)
            client.create_registered_model(params.registry.model)
            for kind in ("forest", "network"):
                with mlflow.start_run(experiment_id=experiment, run_name=f"a {kind}", tags={"kind": kind}) as run:
                    info = log_model(root / "models" / kind)
                client.create_model_version(
                    params.registry.model,
                    source=f"models:/{info.model_id}",
                    run_id=run.info.run_id,
                    model_id=info.model_id,
                    await_creation_for=0,
                )
            client.set_registered_model_alias(params.registry.model, "champion", "2")
    return root


@pytest.fixture
def here(elsewhere: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with another catalogue and other labels, whose MLflow is the other project's."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{elsewhere}/mlflow.db")
    root = tmp_path / "project"
    params = write_params(root)
    cache, random = FeatureCache(root / FEATURE_CACHE, params.frontend), np.random.default_rng(0)
    rows = []
    for number in range(16):
        name = hashlib.sha256(str(number).encode()).hexdigest()
        cache.store(name, random.random((80, params.frontend.mels)).astype(np.float16))
        rows.append((f"{number:02d}", name, f"{number}.wav", SIDES[number // 2 % 4], f"artist {number}", number % 2))
    table = pd.DataFrame(rows, columns=["track_id", "content_hash", "path", "split", "group", "genre"])
    table["genre"] = table["genre"].map({0: "calm", 1: "loud"})
    (root / "data").mkdir()
    table[["track_id", "content_hash", "path"]].to_parquet(root / FEATURES, index=False)
    table[["track_id", "split", "group", "genre"]].to_parquet(root / SPLITS, index=False)
    return root


def earmark(root: Path, *arguments: str) -> Any:
    return CliRunner().invoke(main, ["--root", str(root), *arguments], catch_exceptions=False)


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_version_of_another_project_is_where_training_on_another_catalogue_begins(here, elsewhere):
    said = earmark(here, "weights", "fetch", "champion", "--to", "weights/before")
    assert said.exit_code == 0, said.output
    assert "version 2 (champion), a network, is in weights/before" in said.stdout
    assert "trained on 2 recordings" in said.stdout and "training.start_from: weights/before" in said.stdout
    assert "fetching version 2 (champion)" in said.stderr

    text = (here / "params.yaml").read_text()
    (here / "params.yaml").write_text(text.replace("start_from: weights/none", "start_from: weights/before"))
    assert earmark(here, "stage", "train").exit_code == 0
    learnt, before = load_predictor(here / NETWORK), load_predictor(elsewhere / NETWORK)
    assert learnt.labels == ("calm", "loud") and before.labels == ("ballad", "march", "waltz")
    assert learnt.trained_on > HEARD
    ours, theirs = (model.networks[0].state_dict()["stem.0.weight"] for model in (learnt, before))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-4)

    (here / "params.yaml").write_text(text)
    earmark(here, "stage", "train")
    at_random = load_predictor(here / NETWORK).networks[0].state_dict()["stem.0.weight"]
    assert (at_random - theirs).abs().max() > 0.01


class TestFetch:
    @pytest.mark.parametrize("name", ["2", "@champion", "a network"])
    def test_it_takes_the_names_that_compare_takes(self, here, elsewhere, name):
        assert earmark(here, "weights", "fetch", name, "--to", "weights/x").exit_code == 0
        assert files(here / "weights" / "x") == files(elsewhere / NETWORK)

    def test_a_folder_too(self, here, elsewhere):
        assert earmark(here, "weights", "fetch", str(elsewhere / NETWORK), "--to", "weights/x").exit_code == 0
        assert files(here / "weights" / "x") == files(elsewhere / NETWORK)

    def test_what_was_fetched_before_is_replaced(self, here, elsewhere):
        old = here / "weights" / "x"
        shutil.copytree(elsewhere / NETWORK, old)
        (old / "calibration.json").write_text("of before")
        assert earmark(here, "weights", "fetch", "2", "--to", "weights/x").exit_code == 0
        assert files(old) == files(elsewhere / NETWORK)

    def test_what_travels_beside_a_model_stays_there(self, here, elsewhere, tmp_path):
        champion = Path(shutil.copytree(elsewhere / NETWORK, tmp_path / "champion"))
        for name in ("champion.json", "neighbours/songs.parquet", "examples/examples.json"):
            (champion / name).parent.mkdir(exist_ok=True)
            (champion / name).write_text("of another catalogue")
        assert earmark(here, "weights", "fetch", str(champion), "--to", "weights/x").exit_code == 0
        assert files(here / "weights" / "x") == files(elsewhere / NETWORK)
        assert (champion / "champion.json").is_file()

    def test_an_unknown_name_tells_what_there_is(self, here):
        said = earmark(here, "weights", "fetch", "7", "--to", "weights/x")
        assert said.exit_code == RegistryError.exit_code
        assert "no model '7'" in said.output and "2 (champion), 1" in said.output
        assert not (here / "weights" / "x").exists()

    def test_a_forest_has_nothing_to_build_on(self, here):
        said = earmark(here, "weights", "fetch", "1", "--to", "weights/x")
        assert said.exit_code == ModelError.exit_code and "neither network nor encoder" in said.output
        assert [path.name for path in (here / "weights").iterdir()] == ["none"]

    @pytest.mark.parametrize(
        "folder", ["models/network", "models/champion", "models/neighbours/network", "models/pretrained/deeper"]
    )
    def test_what_the_pipeline_writes_is_no_place_for_it(self, here, folder):
        said = earmark(here, "weights", "fetch", "2", "--to", folder)
        assert said.exit_code == ModelError.exit_code and "by this project's own pipeline" in said.output
        assert not (here / "models").exists()

    def test_nor_is_a_folder_with_something_else(self, here):
        before = files(here / "weights" / "none")
        said = earmark(here, "weights", "fetch", "2", "--to", "weights/none")
        assert said.exit_code == ModelError.exit_code and "holds something else" in said.output
        assert files(here / "weights" / "none") == before
