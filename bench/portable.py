"""Whether the exported files answer as the network does, on real songs and from the waveform on, and how fast.

A network goes through `earmark.model.portable` into ONNX and into a program of torch.export. Each song of the Emotify
set is decoded once; then the predictor, the program (by torch) and the ONNX file (by ONNX Runtime) answer.

* ``max_difference_onnx``, ``max_difference_export``: of any probability, of any song, from the predictor's; with
  ``…_shares`` and ``…_embedding`` (distance, as a share of its length) beside it;
* ``changed_genres_onnx``, ``changed_genres_export``: songs whose most probable genre is another one;
* ``latency_ms_predictor``, ``latency_ms_export``, ``latency_ms_onnx``: the median a song, decoding left out, each way
  in as many threads; the three are asked in turn.

The network is trained briefly on these very songs (its answers are then far from even; how good they are is not asked
here) and calibrated on them, or taken from a folder.

    make bench-portable DATA=path/to/emotify
"""

import argparse
import dataclasses
import statistics
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from earmark.audio.accepted import waveform_of
from earmark.audio.features import Extractor
from earmark.model.answers import Inputs
from earmark.model.calibration.calibration import calibrate
from earmark.model.network.examples import Examples
from earmark.model.network.network import MusicNetwork
from earmark.model.network.predictor import NetworkPredictor
from earmark.model.network.training import Settings, fit
from earmark.model.portable.agreement import TOLERANCE, Answering, Difference, by_onnx, by_program
from earmark.model.portable.files import ONNX, PROGRAM, export_all, exportable
from earmark.model.predictor import load_predictor
from earmark.params import Params, load_params
from earmark.workspace import PARAMS
from harness import write_result

ROOT = Path(__file__).parent.parent
FILES = {"onnx": ONNX, "export": PROGRAM}
FEELINGS = (
    "amazement", "solemnity", "tenderness", "nostalgia", "calmness", "power", "joyful_activation", "tension", "sadness",
)  # fmt: skip


def main() -> None:
    """Compare, and write bench/results/portable.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="the folder that holds data.csv and emotifymusic/")
    parser.add_argument("--model", type=Path, help="a network's folder; otherwise one is trained")
    parser.add_argument("--epochs", type=int, default=8, help="of the training; 0: weights stay random")
    parser.add_argument("--songs", type=int, default=0, help="how many; 0: all")
    arguments = parser.parse_args()
    params = load_params(ROOT / PARAMS)
    paths = sorted((arguments.data / "emotifymusic").rglob("*.mp3"))
    if not paths:
        raise SystemExit(f"{arguments.data} holds no emotifymusic/*/*.mp3.")
    if arguments.songs:
        paths = paths[:: max(1, len(paths) // arguments.songs)][: arguments.songs]
    if arguments.model:
        predictor = exportable(load_predictor(arguments.model))
        trained = "taken from a folder"
    else:
        predictor = made(arguments.data, paths, params, arguments.epochs)
        trained = f"{arguments.epochs} epochs on the same songs"
    with tempfile.TemporaryDirectory(prefix="earmark-portable-") as folder:
        export_all(predictor, Path(folder))
        sizes = {f"mib_{name}": (Path(folder) / file).stat().st_size / 2**20 for name, file in FILES.items()}
        figures = compare(predictor, Path(folder), _waveforms(paths, predictor.frontend.sample_rate_hz))
    figures |= {"songs": len(paths), "threads": torch.get_num_threads(), "tolerance": TOLERANCE, **sizes}
    runtimes = {name: version(name) for name in ("onnx", "onnxscript", "onnxruntime")}
    path = write_result("portable", figures, network=trained, runtimes=runtimes)
    for name, value in figures.items():
        print(f"{name:32s} {value:.3g}")
    print(f"written: {path.relative_to(ROOT)}")


def made(data: Path, paths: list[Path], params: Params, epochs: int) -> NetworkPredictor:
    """A network of params.yaml's size, trained for so many epochs on genres and feelings of these songs; calibrated."""
    genres = [path.parent.name for path in paths]
    labels = tuple(sorted(set(genres)))
    actual = np.array([labels.index(genre) for genre in genres], dtype=np.int64)
    shares = _feelings(data, paths)
    known = np.stack([shares, np.ones_like(shares)], axis=1)  # share and weight: (songs, 2, feelings)
    extractor = Extractor(params.frontend)
    log_mels = [extractor.log_mel(waveform) for waveform in _waveforms(paths, params.frontend.sample_rate_hz)]
    torch.manual_seed(params.training.seed)
    network = MusicNetwork(
        params.network, mels=params.frontend.mels, classes=len(labels), tags=len(FEELINGS), places=0
    ).eval()
    if epochs:
        how = dataclasses.replace(params.training, epochs=epochs)
        settings = Settings(params.frontend, params.network, how, params.augmentation)
        network, _ = fit(Examples.of(log_mels, actual, classes=len(labels), tags=known), None, settings)
    predictor = NetworkPredictor(
        labels=labels,
        frontend=params.frontend,
        trained_on=frozenset(),
        data_hash="emotify",
        tags=FEELINGS,
        networks=(network,),
        how=params.network,
    )
    told = predictor.raw([Inputs(log_mel=log_mel) for log_mel in log_mels])
    calibration = calibrate(
        probabilities=told.genres,
        actual=actual,
        shares=told.shares,
        known=known,
        coverage=params.calibration.coverage,
        by_class=False,
        least_accuracy=0.0,
        seed=0,
    )
    return dataclasses.replace(predictor, calibration=calibration)


def _feelings(data: Path, paths: list[Path]) -> NDArray[np.float32]:
    """The share of its listeners that felt each of `FEELINGS`, shape ``(songs, feelings)``."""
    told = pd.read_csv(data / "data.csv", skipinitialspace=True).rename(columns=str.strip)
    # The ids run on through the genres, the files are numbered within each.
    song = told["genre"].str.strip() + "/" + ((told["track id"] - 1) % 100 + 1).astype(str)
    means = told.groupby(song)[list(FEELINGS)].mean()
    return means.loc[[f"{path.parent.name}/{path.stem}" for path in paths]].to_numpy(np.float32)


def compare(predictor: NetworkPredictor, folder: Path, waveforms: Iterator[Tensor]) -> dict[str, float]:
    """Differences and latencies over all songs."""
    threads = torch.get_num_threads()
    ways: dict[str, Answering] = {
        "predictor": lambda waveform: predictor.answers([predictor.inputs(waveform)]),
        "export": by_program(folder / PROGRAM),
        "onnx": by_onnx(folder / ONNX, threads),
    }
    others = [name for name in ways if name != "predictor"]
    found = dict.fromkeys(others, Difference())
    changed = dict.fromkeys(others, 0)
    took: dict[str, list[float]] = {name: [] for name in ways}
    for number, waveform in enumerate(waveforms):
        answers = {}
        for name, way in ways.items():
            if not number:
                way(waveform)  # the first time, each makes its buffers
            began = time.perf_counter()
            answers[name] = way(waveform)
            took[name].append(time.perf_counter() - began)
        ours = answers["predictor"]
        for name in others:
            found[name] = found[name].or_larger(ours, answers[name])
            changed[name] += int(ours.genres.argmax() != answers[name].genres.argmax())
    figures: dict[str, float] = {}
    for name, difference in found.items():
        figures |= {
            f"max_difference_{name}": difference.probabilities,
            f"max_difference_{name}_shares": difference.shares,
            f"max_difference_{name}_embedding": difference.embedding,
            f"changed_genres_{name}": changed[name],
        }
    return figures | {f"latency_ms_{name}": 1000 * statistics.median(seconds) for name, seconds in took.items()}


def _waveforms(paths: list[Path], sample_rate_hz: int) -> Iterator[Tensor]:
    for path in paths:
        yield waveform_of(path, sample_rate_hz)


if __name__ == "__main__":
    main()
