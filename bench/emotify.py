"""How well is genre learnt from 400 real songs? Network, forest, SVM and majority class on the same folds, in one run.

The Emotify set (see README: it is published by its authors, not carried here) goes through the project's own doors: the
importer, the feature stage, the network's `fit`, the forest's `fit_forest`. Five folds by artist, for each of several
seeds with another arrangement of the folds; every track is tested once a seed, by models that never heard its artist.

Nothing is tuned here on a test fold: network and forest take params.yaml as it is; the SVM has scikit-learn's defaults,
and a second one chooses its C on inner folds of each training part, again by artist.

    make bench-emotify DATA=path/to/emotify

A run that was killed carries on: finished folds are kept under .earmark/bench/.
"""

import argparse
import dataclasses
import hashlib
import json
import os
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from earmark.catalogue.imports.importing import import_collection
from earmark.catalogue.sources.emotify import EmotifySource
from earmark.files import read_json, write_json
from earmark.model.forest import fit_forest
from earmark.model.material import Material, load_material
from earmark.model.metrics import accuracy, difference, f1_macro, score
from earmark.model.predictor import NetworkPredictor
from earmark.model.training import Settings, fit
from earmark.params import Params, load_params, to_dict
from earmark.stages import features
from earmark.workspace import CATALOGUE, COLLECTIONS, PARAMS, SPLITS, TRACKS
from harness import write_result

ROOT = Path(__file__).parent.parent
FOLDS = 5
MODELS = ("cnn", "forest", "svm", "svm_tuned", "majority")


@dataclass(frozen=True)
class Fold:
    """One training: which seed, which fold, which tracks are for training and which are tested."""

    seed: int
    number: int
    train: NDArray[np.int64]
    test: NDArray[np.int64]


def main() -> None:
    """Run, or carry on, and write bench/results/emotify.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="the folder that holds data.csv and emotifymusic/")
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    params = load_params(ROOT / PARAMS)
    workspace = ROOT / ".earmark" / "bench" / "emotify"
    material = prepare(arguments.data, workspace, params)
    folds = [fold for seed in range(1, arguments.seeds + 1) for fold in arrange(material, seed)]
    answers = answer_all(folds, workspace, params)

    actual = np.tile(material.indices(material.tracks), arguments.seeds)
    groups = np.tile(material.tracks["group"].to_numpy(object), arguments.seeds)
    figures: dict[str, float] = {}
    for model in MODELS:
        predicted = answers[model]
        figures |= score(accuracy, actual, predicted, groups, params.evaluation).flat(f"genre_accuracy_{model}")
        figures |= score(f1_macro, actual, predicted, groups, params.evaluation).flat(f"genre_f1_{model}")
    for other in ("svm", "svm_tuned", "forest"):
        gain = difference(accuracy, actual, answers["cnn"], answers[other], groups, params.evaluation)
        figures |= gain.flat(f"genre_accuracy_cnn_minus_{other}")
    by_seed = np.split(actual == answers["cnn"], arguments.seeds)
    figures |= {f"genre_accuracy_cnn_seed_{i}": float(right.mean()) for i, right in enumerate(by_seed, start=1)}
    figures |= {"seeds": arguments.seeds, "tracks": len(material.tracks), "artists": len(set(groups))}
    path = write_result("emotify", figures, params={k: to_dict(v) for k, v in _settings(params).items()})
    for model in MODELS:
        low, high = figures[f"genre_accuracy_{model}_low"], figures[f"genre_accuracy_{model}_high"]
        print(f"{model:10s} accuracy {figures[f'genre_accuracy_{model}']:.3f} [{low:.3f}, {high:.3f}]")
    print(f"written: {path.relative_to(ROOT)}")


def prepare(data: Path, workspace: Path, params: Params) -> Material:
    """Emotify imported and its features extracted, in a workspace of the bench's own; a second time it is only read."""
    if not (workspace / COLLECTIONS / "emotify" / TRACKS).exists():
        print(import_collection(EmotifySource(data), workspace, params, name="emotify").summary())
    tracks = pd.read_parquet(workspace / COLLECTIONS / "emotify" / TRACKS)
    write_tracks_for_stages(tracks, workspace)
    features.run(params, workspace)
    return load_material(workspace, params.frontend)


def write_tracks_for_stages(tracks: pd.DataFrame, workspace: Path) -> None:
    """The catalogue, and a split file whose sides the folds replace: all of it stands for training."""
    (workspace / CATALOGUE).parent.mkdir(parents=True, exist_ok=True)
    tracks.to_parquet(workspace / CATALOGUE, index=False)
    tracks[["track_id", "group", "genre"]].assign(split="train").to_parquet(workspace / SPLITS, index=False)


def arrange(material: Material, seed: int) -> list[Fold]:
    """Five folds by artist, stratified by genre."""
    from sklearn.model_selection import StratifiedGroupKFold

    splitter = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
    labels, groups = material.indices(material.tracks), material.tracks["group"].to_numpy(object)
    return [
        Fold(seed, number, train, test) for number, (train, test) in enumerate(splitter.split(labels, labels, groups))
    ]


def answer_all(folds: list[Fold], workspace: Path, params: Params) -> dict[str, NDArray[np.int64]]:
    """By model, the predicted label of every track for every seed, shape ``(seeds · tracks,)``."""
    tracks = sum(len(fold.test) for fold in folds if fold.seed == folds[0].seed)
    answers = {model: np.full(tracks * (max(fold.seed for fold in folds)), -1, dtype=np.int64) for model in MODELS}
    with ProcessPoolExecutor(os.cpu_count() or 1, mp_context=get_context("spawn")) as pool:
        running = {pool.submit(answer, fold, workspace, params): fold for fold in folds}
        for done, future in enumerate(as_completed(running), start=1):
            fold = running[future]
            for model, predicted in future.result().items():
                answers[model][(fold.seed - 1) * tracks + fold.test] = predicted
            print(f"{done}/{len(folds)} folds", flush=True)
    return answers


def answer(fold: Fold, workspace: Path, params: Params) -> dict[str, list[int]]:
    """Train every model on one fold's training part and answer its test part."""
    import torch

    torch.set_num_threads(1)  # a process per core, a thread per process: the fastest way to many small trainings
    material = load_material(workspace, params.frontend)
    train, test = material.tracks.iloc[fold.train], material.tracks.iloc[fold.test]
    labels = material.indices(train)
    described = material.descriptors(train), material.descriptors(test)
    forest = fit_forest(described[0], labels, dataclasses.replace(params.forest, seed=fold.seed))
    answers: dict[str, Any] = {
        "majority": np.full(len(test), np.bincount(labels).argmax()),
        "forest": forest.predict(described[1]),
        **_machines(described, labels, train["group"].to_numpy(object)),
        "cnn": _network_once(fold, workspace, material, train, test, params),
    }
    return {model: [int(label) for label in predicted] for model, predicted in answers.items()}


def _network_once(fold: Fold, workspace: Path, material: Material, train: Any, test: Any, params: Params) -> list[int]:
    """The network's answers, kept on disk: they take minutes, and a killed bench should carry on."""
    settings = {name: to_dict(getattr(params, name)) for name in ("frontend", "network", "training", "augmentation")}
    key = json.dumps([settings, train["content_hash"].tolist(), train["genre"].tolist()], sort_keys=True)
    kept = workspace / "folds" / f"{fold.seed}-{fold.number}-{hashlib.sha256(key.encode()).hexdigest()[:12]}.json"
    if not kept.exists():
        write_json(kept, [int(label) for label in _network(fold, material, train, test, params)])
    found: list[int] = read_json(kept)
    return found


def _network(fold: Fold, material: Material, train: Any, test: Any, params: Params) -> NDArray[np.int64]:
    training = dataclasses.replace(params.training, seed=fold.seed)
    settings = Settings(params.frontend, params.network, training, params.augmentation)
    network, _ = fit(material.examples(train), None, settings, classes=len(material.labels))
    predictor = NetworkPredictor(
        labels=material.labels,
        frontend=params.frontend,
        trained_on=material.hashes(train),
        data_hash=material.data_hash,
        network=network,
        size=params.network,
    )
    answers = [predictor.probabilities_of_log_mel(material.log_mel(row)) for row in test.itertuples()]
    return np.asarray(np.stack(answers).argmax(axis=1))


def _machines(
    described: tuple[NDArray[np.float64], NDArray[np.float64]], labels: NDArray[np.int64], groups: NDArray[Any]
) -> dict[str, NDArray[np.int64]]:
    """Support vector machines: with scikit-learn's defaults, and with C chosen on inner folds by artist."""
    from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    plain = make_pipeline(StandardScaler(), SVC()).fit(described[0], labels)
    inner = StratifiedGroupKFold(4, shuffle=True, random_state=0)
    search = GridSearchCV(make_pipeline(StandardScaler(), SVC()), {"svc__C": [0.3, 1, 3, 10]}, cv=inner)
    search.fit(described[0], labels, groups=groups)
    return {"svm": plain.predict(described[1]), "svm_tuned": search.predict(described[1])}


def _settings(params: Params) -> dict[str, Any]:
    names = ("frontend", "network", "training", "augmentation", "forest", "evaluation")
    return {name: getattr(params, name) for name in names}


if __name__ == "__main__":
    main()
