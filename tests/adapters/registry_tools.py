"""A small project whose models are known: tones to tell apart, and forests that do, or only guess, in a real MLflow."""

import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow import MlflowClient
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from tones import COLLECTION, described, genres_of, learnt, tones

from earmark.adapters.packing import log_model
from earmark.adapters.recording import _experiment
from earmark.adapters.tracking import reaching, unless_there
from earmark.catalogue.track import Track
from earmark.model.predictor import load_predictor
from earmark.model.scoring import answers_of
from earmark.model.trees.predictor import ForestPredictor
from earmark.params import Params, load_params
from scratch import CHECKOUT

PARTS = {"train": 16, "test": 24}
TAG = "word---shrill"  # what listeners say of high tones

# The runs, by name. `guess` says "low" of everything; `many` is `good` with more trees; `rarely` was never registered.
REGISTERED = ("guess", "good", "many")
VERSION = {name: str(number) for number, name in enumerate(REGISTERED, start=1)}


@cache
def _params() -> Params:
    return load_params(CHECKOUT / "params.yaml")


def params_of(**gates: Any) -> Params:
    """The project's, with few draws and rounds, and without what depends on the machine's speed."""
    params = _params()
    return replace(
        params,
        catalogue=replace(params.catalogue, collection=COLLECTION),
        evaluation=replace(params.evaluation, resamples=200),
        gates=replace(params.gates, **{"rounds": 1, "max_ece": 0.5, "max_latency_ms": 60_000.0, **gates}),
    )


def write_params(root: Path, **gates: Any) -> None:
    """The same as a file, for the command."""
    import yaml

    content = yaml.safe_load((CHECKOUT / "params.yaml").read_text())
    content["catalogue"]["collection"] = COLLECTION
    content["evaluation"]["resamples"] = 200
    content["gates"] |= {"rounds": 1, "max_ece": 0.5, "max_latency_ms": 60_000.0, **gates}
    (root / "params.yaml").write_text(yaml.safe_dump(content))


def build(root: Path) -> Path:
    """Tones, their splits and tags, three registered models without an alias, and one that is only a run."""
    params = params_of()
    root.mkdir()
    write_params(root)
    tracks = tones(root, PARTS)
    tags = []
    for number, track in enumerate(tracks):
        share = (0.8 if track.genre == "high" else 0.1) + 0.01 * (number % 5)
        tags.append({"track_id": track.track_id, "tag": TAG, "share": share, "weight": 0.9, "ceiling": 0.9})
    pd.DataFrame(tags).to_parquet(root / "data/tags.parquet")
    write_models(root, [track for track in tracks if track.track_id.startswith("train")], params)
    # Heard once for all: copies find the descriptors in their cache.
    answers_of(load_predictor(root / "models/good"), pd.read_parquet(root / "data/catalogue.parquet"), root)
    register(root, REGISTERED)
    register(root, ("rarely",), versions=False)
    return root


def register(root: Path, names: Sequence[str], *, versions: bool = True) -> list[str]:
    """Log the models in models/ as runs of these names, and register each; returns their versions."""
    params, made = params_of(), []
    with reaching(root) as client:
        experiment = _experiment(client, params, root)
        with unless_there():
            client.create_registered_model(params.registry.model)
        for name in names:
            with mlflow.start_run(experiment_id=experiment, run_name=name, tags={"kind": "forest"}) as run:
                info = log_model(root / "models" / name)
            if versions:
                found = client.create_model_version(
                    params.registry.model,
                    source=f"models:/{info.model_id}",
                    run_id=run.info.run_id,
                    model_id=info.model_id,
                    tags={"kind": "forest", "accuracy": "0.7500"},
                    await_creation_for=0,
                )
                made.append(str(found.version))
    return made


def write_models(root: Path, known: Sequence[Track], params: Params) -> None:
    """models/guess, models/good, models/many, models/rarely, all of them trained on ``known``."""
    table, genres = described(root, known), genres_of(known)
    shares = np.where(genres == 0, 0.8, 0.1)[:, None] + 0.01 * np.arange(len(known))[:, None] / len(known)
    common = {**learnt(known, params), "tags": (TAG,)}
    forests = {
        "guess": DummyClassifier(strategy="constant", constant=1).fit(table, genres),
        "good": RandomForestClassifier(10, random_state=1).fit(table, genres),
        "many": RandomForestClassifier(400, random_state=1).fit(table, genres),
        "rarely": RandomForestClassifier(5, random_state=2).fit(table, genres),
    }
    tag_forest = RandomForestRegressor(5, random_state=1).fit(table, shares.ravel())
    for name, forest in forests.items():
        ForestPredictor(**common, forest=forest, tag_forest=tag_forest).save(root / "models" / name)


def copy(project: Path, folder: Path) -> Path:
    """A copy to do anything with."""
    return Path(shutil.copytree(project, folder / "project"))


def asking(root: Path) -> MlflowClient:
    """MLflow, without earmark between."""
    uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{root}/mlflow.db"
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def alias(root: Path, **versions: str) -> None:
    """``alias(root, champion="good")``: give aliases to the versions of that name."""
    for name, model in versions.items():
        asking(root).set_registered_model_alias("earmark", name, VERSION[model])


def aliases(root: Path) -> dict[str, str]:
    """Which version each alias is borne by."""
    return {name: str(version) for name, version in asking(root).get_registered_model("earmark").aliases.items()}


def tags_of(root: Path, model: str) -> dict[str, str]:
    return dict(asking(root).get_model_version("earmark", VERSION[model]).tags)


def change_splits(root: Path, change: Any) -> None:
    """Apply ``change`` to the table data/splits.parquet."""
    splits = pd.read_parquet(root / "data/splits.parquet")
    change(splits)
    splits.to_parquet(root / "data/splits.parquet")
