"""What others' weights are worth to a new catalogue: 20 songs a class, a new set of labels, two cores.

Of Emotify, each draw takes 20 songs of every genre, artist by artist, for training; what is tested are the songs of all
other artists. The pipeline's own stages are run: `train_machine` on descriptors and on what the encoder in WEIGHTS
hears (all choices on inner folds of the 80 songs), the same on descriptors alone, and `train`, the network of
params.yaml from scratch. Every test song is asked of models that never heard its artist.

``seconds_20_per_class`` is what a user waits for: from 80 audio files, nothing cached, to a saved predictor (stages
`features` and `train_machine`). For accuracies, features come from the cache.

    make bench-transfer DATA=path/to/emotify WEIGHTS=weights/musicnn

A run that was killed carries on: finished draws are kept under .earmark/bench/.
"""

import argparse
import dataclasses
import hashlib
import json
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from earmark.files import read_json, write_json
from earmark.model.encoders.loading import load_encoder
from earmark.model.material import load_material
from earmark.model.metrics import accuracy, difference, score
from earmark.model.predictor import load_predictor
from earmark.model.scoring import answers_of
from earmark.params import Params, load_params, to_dict
from earmark.stages import features, train, train_machine
from earmark.workspace import (
    CATALOGUE,
    COLLECTIONS,
    DESCRIPTORS,
    FEATURE_CACHE,
    FEATURES,
    MACHINE,
    NETWORK,
    PARAMS,
    SPLITS,
)
from emotify_folds import Songs, prepare
from harness import write_result

ROOT = Path(__file__).parent.parent
PER_CLASS = 20
WAYS: dict[str, tuple[Callable[[Params, Path], None], Path]] = {
    "transfer": (train_machine.run, MACHINE),
    "descriptors": (train_machine.run, MACHINE),
    "from_scratch": (train.run, NETWORK),
}
SECTIONS = ("frontend", "network", "training", "augmentation", "machine", "evaluation")


def main() -> None:
    """Run, or carry on, and write bench/results/transfer.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="the folder that holds data.csv and emotifymusic/")
    parser.add_argument("weights", type=Path, help="the encoder's folder")
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--timed", type=int, default=3, help="draws that are timed from the audio on")
    arguments = parser.parse_args()
    params = load_params(ROOT / PARAMS)
    params = dataclasses.replace(params, calibration=dataclasses.replace(params.calibration, folds=0))
    workspace = ROOT / ".earmark" / "bench" / "emotify"
    figures = measure(arguments.data, arguments.weights.resolve(), workspace, params, arguments.draws, arguments.timed)
    encoder = load_encoder(arguments.weights)
    settings = {name: to_dict(getattr(params, name)) for name in SECTIONS}
    settings["machine"]["encoder"] = arguments.weights.name
    about = {"kind": encoder.kind, "digest": encoder.digest}
    path = write_result("transfer", figures, params=settings, encoder=about)
    for name in ("seconds_20_per_class", "accuracy_20_per_class", "accuracy_descriptors", "accuracy_from_scratch"):
        print(f"{name:24s} {figures[name]:.3f}")
    print(f"written: {path.relative_to(ROOT)}")


def measure(data: Path, weights: Path, workspace: Path, params: Params, draws: int, timed: int) -> dict[str, float]:
    """All figures."""
    songs = prepare(data, workspace, params)
    told: dict[str, list[Any]] = {name: [] for name in (*WAYS, "actual", "groups")}
    seconds, by_draw = [], []
    for seed in range(1, draws + 1):
        splits = draw(songs, seed)
        if seed <= timed:
            seconds.append(seconds_from_audio(songs, splits, weights, workspace, params))
        found = answer(splits, seed, weights, workspace, params)
        for name, values in found.items():
            told[name] += values
        by_draw.append(float(np.mean(np.array(found["transfer"]) == np.array(found["actual"]))))
        print(f"draw {seed} of {draws}: {_shown(found)}", flush=True)
    actual, groups = np.array(told["actual"]), np.array(told["groups"], dtype=object)
    answers = {name: np.array(told[name]) for name in WAYS}
    names = {"transfer": "accuracy_20_per_class"} | {name: f"accuracy_{name}" for name in WAYS if name != "transfer"}
    figures: dict[str, float] = {
        "seconds_20_per_class": float(np.median(seconds)),
        "seconds_20_per_class_max": max(seconds),
    }
    for name, figure in names.items():
        figures |= score(accuracy, actual, answers[name], groups, params.evaluation).flat(figure)
    for other in ("descriptors", "from_scratch"):
        gain = difference(accuracy, actual, answers["transfer"], answers[other], groups, params.evaluation)
        figures |= gain.flat(f"transfer_minus_{other}")
    figures |= {"accuracy_20_per_class_lowest_draw": min(by_draw), "draws": draws, "timed": timed}
    figures |= {"songs": PER_CLASS * songs.tracks["genre"].nunique(), "tested": len(actual) / draws}
    return figures


def draw(songs: Songs, seed: int) -> pd.DataFrame:
    """Who is for training and who for testing: ``track_id, split, group, genre``.

    The songs that are left of an artist when a class is full are neither.
    """
    random = np.random.default_rng(seed)
    tracks = songs.tracks
    chosen: list[int] = []
    for genre in sorted(tracks["genre"].unique()):
        own = tracks.index[tracks["genre"] == genre]
        artists = random.permutation(sorted(tracks.loc[own, "group"].unique()))
        place = {artist: number for number, artist in enumerate(artists)}
        order = sorted(random.permutation(own), key=lambda row: place[tracks.loc[row, "group"]])
        chosen += [int(row) for row in order[:PER_CLASS]]
    heard = tracks.index.isin(chosen)
    strange = ~tracks["group"].isin(tracks.loc[heard, "group"]).to_numpy()
    splits = tracks[["track_id", "group", "genre"]].assign(split=np.where(heard, "train", "test"))
    return splits[heard | strange]


def seconds_from_audio(songs: Songs, splits: pd.DataFrame, weights: Path, workspace: Path, params: Params) -> float:
    """From the audio of the training songs, with empty caches, to a saved predictor."""
    mine = songs.tracks["track_id"].isin(splits.loc[splits["split"] == "train", "track_id"])
    catalogue = pd.read_parquet(workspace / CATALOGUE)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / COLLECTIONS).parent.mkdir(parents=True)
        (root / COLLECTIONS).symlink_to((workspace / COLLECTIONS).resolve())
        few = catalogue[catalogue["track_id"].isin(songs.tracks.loc[mine, "track_id"])]
        few.to_parquet(root / CATALOGUE, index=False)
        splits[splits["split"] == "train"].to_parquet(root / SPLITS, index=False)
        start = time.perf_counter()
        features.run(params, root)
        train_machine.run(_with(params, weights), root)
        return time.perf_counter() - start


def answer(splits: pd.DataFrame, seed: int, weights: Path, workspace: Path, params: Params) -> dict[str, list[Any]]:
    """By way, the predicted labels of the test songs; and ``actual`` and ``groups``. Kept on disk."""
    used = {section: to_dict(getattr(params, section)) for section in SECTIONS}
    key = json.dumps([used, load_encoder(weights).digest, splits.to_csv(index=False)], sort_keys=True)
    root = workspace / "draws" / f"{seed}-{hashlib.sha256(key.encode()).hexdigest()[:12]}"
    if (root / "answers.json").exists():
        kept: dict[str, list[Any]] = read_json(root / "answers.json")
        return kept
    shutil.rmtree(root / "data", ignore_errors=True)
    (root / FEATURE_CACHE).parent.mkdir(parents=True, exist_ok=True)
    (root / SPLITS).parent.mkdir(parents=True, exist_ok=True)
    for path in (COLLECTIONS, CATALOGUE, FEATURES, DESCRIPTORS, FEATURE_CACHE):
        if not (root / path).exists():
            (root / path).symlink_to((workspace / path).resolve())
    splits.to_parquet(root / SPLITS, index=False)
    material = load_material(root, params.frontend)
    test = material.part("test")
    found: dict[str, list[Any]] = {
        "actual": [int(label) for label in material.indices(test)],
        "groups": [str(group) for group in test["group"]],
    }
    for name, (stage, model) in WAYS.items():
        stage(_with(params, weights if name == "transfer" else None), root)
        genres = answers_of(load_predictor(root / model), test, root).genres
        found[name] = [int(label) for label in genres.argmax(axis=1)]
    write_json(root / "answers.json", found)
    return found


def _with(params: Params, weights: Path | None) -> Params:
    return dataclasses.replace(params, machine=dataclasses.replace(params.machine, encoder=str(weights or "")))


def _shown(found: dict[str, list[Any]]) -> str:
    actual = np.array(found["actual"])
    return ", ".join(f"{name} {np.mean(np.array(found[name]) == actual):.3f}" for name in WAYS)


if __name__ == "__main__":
    main()
