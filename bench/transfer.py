"""What that which was learnt elsewhere is worth to a new catalogue: 20 songs a class, a new set of labels, two cores.

Of Emotify, each draw takes 20 songs of every genre, artist by artist, for training; what is tested are the songs of all
other artists. The ways, each by the pipeline's own stages, with the numbers of params.yaml:

- ``transfer``: kernel machines on descriptors and on what the encoder in WEIGHTS hears, all choices on inner folds of
  the 80 songs (stage `train_machine`); ``descriptors``: the same without the encoder.
- ``fine_tuned``: the network, trained on from one that knows other labels (stage `train`, ``training.start_from``):
  that of --start, such as a version that `earmark weights fetch` brought, or else one that the bench itself trains on
  the songbook's eight styles. ``fine_tuned_pretrained``, if --pretrained names what `earmark pretrain` made: from that.
- ``from_scratch``: the same network from random weights.

What the figures mean. ``seconds_20_per_class`` and ``accuracy_20_per_class`` are those of ``transfer``, which is what
docs/weights.md advises for so few songs; ``fine_tuned_seconds`` and ``fine_tuned_accuracy`` those of ``fine_tuned``;
``accuracy_from_scratch`` and ``accuracy_descriptors`` are to compare with. Seconds are what a user waits for: from 80
audio files, nothing cached, to a saved predictor (stage `features` and the training; the median of the timed draws).
For accuracies, features come from the cache. Every test song is asked of models that never heard its artist.

    make bench-transfer DATA=path/to/emotify WEIGHTS=weights/musicnn

A run that was killed carries on: finished draws are kept under .earmark/bench/. No draw is begun that would end after
--minutes; the same command again does more of them.
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

from earmark.catalogue.splits import arrange
from earmark.catalogue.track import read_tracks
from earmark.files import read_json, write_json
from earmark.model.encoders.loading import load_encoder
from earmark.model.material import load_material
from earmark.model.metrics import accuracy, difference, score
from earmark.model.network.starting import read_start
from earmark.model.predictor import load_predictor
from earmark.model.scoring import answers_of
from earmark.params import Params, load_params, to_dict
from earmark.stages import features, songbook, train, train_machine
from earmark.workspace import (
    CATALOGUE,
    COLLECTIONS,
    DESCRIPTORS,
    FEATURE_CACHE,
    FEATURES,
    MACHINE,
    NETWORK,
    PARAMS,
    SONGBOOK,
    SPLITS,
    TRACKS,
)
from emotify_folds import Songs, prepare
from harness import write_result

ROOT = Path(__file__).parent.parent
PER_CLASS = 20
SECTIONS = ("frontend", "network", "training", "augmentation", "machine", "evaluation")
MADE_OF = ("songbook", "split", "frontend", "network", "training", "augmentation")  # the network that knows it


@dataclasses.dataclass(frozen=True)
class Way:
    """How a model comes about.

    Attributes:
        encoder: For kernel machines to stand on.
        start: For the network to start from; None: kernel machines. The empty path: at random.
        digest: Names these weights.
    """

    encoder: Path | None = None
    start: Path | None = None
    digest: str = ""

    @property
    def stage(self) -> tuple[Callable[[Params, Path], None], Path]:
        """What trains it, and where the model lies then."""
        return (train_machine.run, MACHINE) if self.start is None else (train.run, NETWORK)

    def params(self, params: Params) -> Params:
        """With these weights, and no others."""
        start = "" if self.start in (None, Path()) else str(self.start)
        return dataclasses.replace(
            params,
            machine=dataclasses.replace(params.machine, encoder=str(self.encoder or "")),
            training=dataclasses.replace(params.training, start_from=start),
        )


Ways = dict[str, Way]


def main() -> None:
    """Run, or carry on, and write bench/results/transfer.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="the folder that holds data.csv and emotifymusic/")
    parser.add_argument("weights", type=Path, help="the encoder's folder")
    parser.add_argument("--start", type=Path, help="a network's folder or file [default: one trained on the songbook]")
    parser.add_argument("--pretrained", type=Path, help="the folder of a trunk that `earmark pretrain` made")
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--timed", type=int, default=1, help="draws that are timed from the audio on")
    parser.add_argument("--minutes", type=float, default=11.5, help="no draw is begun that would take longer")
    arguments = parser.parse_args()
    began = time.perf_counter()
    params = load_params(ROOT / PARAMS)
    params = dataclasses.replace(params, calibration=dataclasses.replace(params.calibration, folds=0))
    workspace = ROOT / ".earmark" / "bench"
    start = arguments.start or songbook_network(params, workspace / "songbook")
    ways = ways_of(arguments.weights, start, arguments.pretrained)
    until = began + 60 * arguments.minutes
    figures = measure(
        arguments.data, workspace / "emotify", params, ways, draws=arguments.draws, timed=arguments.timed, until=until
    )
    encoder = load_encoder(arguments.weights)
    settings = {name: to_dict(getattr(params, name)) for name in SECTIONS}
    settings["machine"]["encoder"] = arguments.weights.name
    about = {"kind": encoder.kind, "digest": encoder.digest}
    began_with = arguments.start.name if arguments.start else "the bench's own, of the songbook"
    path = write_result("transfer", figures, params=settings, encoder=about, start=began_with)
    for name, value in figures.items():
        if not name.endswith(("_low", "_high")):
            print(f"{name:44s} {value:.3f}")
    print(f"written: {path.relative_to(ROOT)}")


def ways_of(weights: Path, start: Path, pretrained: Path | None) -> Ways:
    """By name, the one with others' weights first."""
    ways = {
        "transfer": Way(encoder=weights.resolve(), digest=load_encoder(weights).digest),
        "descriptors": Way(),
        "fine_tuned": Way(start=start.resolve(), digest=read_start(start).digest),
        "from_scratch": Way(start=Path()),
    }
    if pretrained is not None:
        ways["fine_tuned_pretrained"] = Way(start=pretrained.resolve(), digest=read_start(pretrained).digest)
    return ways


def songbook_network(params: Params, workspace: Path) -> Path:
    """The folder of a network that knows the songbook's styles; made once for the same numbers of params.yaml."""
    used = json.dumps({section: to_dict(getattr(params, section)) for section in MADE_OF}, sort_keys=True)
    root = workspace / hashlib.sha256(used.encode()).hexdigest()[:12]
    if (root / NETWORK / "predictor.json").exists():
        return root / NETWORK
    songbook.run(params, root)
    tracks = read_tracks(root / COLLECTIONS / SONGBOOK / TRACKS).sort_values("track_id", ignore_index=True)
    tracks.to_parquet(root / CATALOGUE, index=False)
    arrangement = arrange(tracks, params.split)
    sides = tracks[["track_id", "genre"]].assign(group=arrangement.groups, split=arrangement.sides)
    sides.to_parquet(root / SPLITS, index=False)
    features.run(params, root)
    train.run(Way(start=Path()).params(params), root)
    return root / NETWORK


def measure(
    data: Path, workspace: Path, params: Params, ways: Ways, *, draws: int, timed: int, until: float = float("inf")
) -> dict[str, float]:
    """All figures; ``until`` by `time.perf_counter`."""
    songs = prepare(data, workspace, params)
    told: dict[str, list[Any]] = {name: [] for name in (*ways, "actual", "groups")}
    seconds: dict[str, list[float]] = {"transfer": [], "fine_tuned": []}
    by_draw: list[float] = []
    longest = 0.0
    for seed in range(1, draws + 1):
        began = time.perf_counter()
        if by_draw and began + longest > until:
            print(f"time is over: {len(by_draw)} draws of {draws}", flush=True)
            break
        splits = draw(songs, seed)
        if seed <= timed:
            for name, waited in seconds.items():
                waited.append(seconds_from_audio(songs, splits, ways[name], workspace, params))
        found = answer(splits, seed, ways, workspace, params)
        for name, values in found.items():
            told[name] += values
        by_draw.append(float(np.mean(np.array(found["transfer"]) == np.array(found["actual"]))))
        longest = max(longest, time.perf_counter() - began)
        print(f"draw {seed} of {draws}: {_shown(found)}", flush=True)
    actual, groups = np.array(told["actual"]), np.array(told["groups"], dtype=object)
    answers = {name: np.array(told[name]) for name in ways}
    figures: dict[str, float] = {
        "seconds_20_per_class": float(np.median(seconds["transfer"])),
        "seconds_20_per_class_max": max(seconds["transfer"]),
        "fine_tuned_seconds": float(np.median(seconds["fine_tuned"])),
        "fine_tuned_seconds_max": max(seconds["fine_tuned"]),
    }
    for name in ways:
        figures |= score(accuracy, actual, answers[name], groups, params.evaluation).flat(_figure(name))
    for name, others in {
        "transfer": ("descriptors", "from_scratch", "fine_tuned"),
        "fine_tuned": ("from_scratch",),
    }.items():
        for other in others:
            gain = difference(accuracy, actual, answers[name], answers[other], groups, params.evaluation)
            figures |= gain.flat(f"{name}_minus_{other}")
    figures |= {"accuracy_20_per_class_lowest_draw": min(by_draw), "draws": len(by_draw), "timed": timed}
    figures |= {"songs": PER_CLASS * songs.tracks["genre"].nunique(), "tested": len(actual) / len(by_draw)}
    return figures


def _figure(way: str) -> str:
    if way.startswith("fine_tuned"):
        return f"{way}_accuracy"
    return "accuracy_20_per_class" if way == "transfer" else f"accuracy_{way}"


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


def seconds_from_audio(songs: Songs, splits: pd.DataFrame, way: Way, workspace: Path, params: Params) -> float:
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
        way.stage[0](way.params(params), root)
        return time.perf_counter() - start


def answer(splits: pd.DataFrame, seed: int, ways: Ways, workspace: Path, params: Params) -> dict[str, list[Any]]:
    """By way, the predicted labels of the test songs; and ``actual`` and ``groups``. Kept on disk."""
    used = {section: to_dict(getattr(params, section)) for section in SECTIONS}
    key = json.dumps(
        [used, {name: way.digest for name, way in ways.items()}, splits.to_csv(index=False)], sort_keys=True
    )
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
    for name, way in ways.items():
        stage, model = way.stage
        stage(way.params(params), root)
        genres = answers_of(load_predictor(root / model), test, root).genres
        found[name] = [int(label) for label in genres.argmax(axis=1)]
    write_json(root / "answers.json", found)
    return found


def _shown(found: dict[str, list[Any]]) -> str:
    actual = np.array(found["actual"])
    ways = [name for name in found if name not in ("actual", "groups")]
    return ", ".join(f"{name} {np.mean(np.array(found[name]) == actual):.3f}" for name in ways)


if __name__ == "__main__":
    main()
