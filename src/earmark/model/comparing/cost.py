"""What an answer costs: seconds for a song on this machine, and the size of the predictor."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from earmark.model.beside import files_of_predictor

SONG_SECONDS = 30.0
_SONGS = 2  # different ones, so that nothing is remembered from the one before


@dataclass(frozen=True)
class Cost:
    """What one model costs.

    Attributes:
        median_ms: For a song of 30 s that is decoded already, warm, on the machine that asked.
        p95_ms: The time that 95 % of the answers stay below.
        mib: Of the predictor's folder.
        parameters: Weights of its networks and nodes of its trees.
    """

    median_ms: float
    p95_ms: float
    mib: float
    parameters: int


def costs_of(
    predictors: Sequence[Any], folders: Sequence[Path], *, rounds: int, clock: Callable[[], float] = time.perf_counter
) -> list[Cost]:
    """What each of ``predictors`` costs; they are asked in turn, so that what else the machine does slows all alike.

    Args:
        predictors: As `earmark.model.predictor.load_predictor` reads them.
        folders: Where each of them lies.
        rounds: How often all are asked about each song; one more round, at first, only warms them up.
        clock: Seconds; another one for tests.
    """
    took: list[list[float]] = [[] for _ in predictors]
    songs = [[made_song(number, each.frontend.sample_rate_hz) for number in range(_SONGS)] for each in predictors]
    for turn in range(rounds + 1):
        for number in range(_SONGS):
            for times, predictor, own in zip(took, predictors, songs, strict=True):
                start = clock()
                predictor.predict(own[number])
                times += [clock() - start] if turn else []
    return [
        Cost(
            median_ms=float(np.median(times)) * 1e3,
            p95_ms=float(np.quantile(times, 0.95)) * 1e3,
            mib=size_mib(folder),
            parameters=parameters_of(predictor),
        )
        for times, predictor, folder in zip(took, predictors, folders, strict=True)
    ]


def made_song(number: int, rate_hz: int, seconds: float = SONG_SECONDS) -> Tensor:
    """A made waveform, shape ``(time,)``: a chord that beats twice a second, and some noise; always the same."""
    times = np.arange(round(seconds * rate_hz)) / rate_hz
    root = 110.0 * 2 ** (number / 12)
    chord = sum(np.sin(2 * np.pi * root * ratio * times) / ratio for ratio in (1.0, 1.25, 1.5, 2.0, 3.0))
    noise = np.random.default_rng(number).normal(0.0, 0.02, len(times))
    samples = 0.15 * chord * np.exp(-4 * (times % 0.5)) + noise
    return torch.from_numpy(samples.astype(np.float32))


def size_mib(folder: Path) -> float:
    """Of all files in a predictor's folder that it consists of; what travels with it is left out."""
    return sum(path.stat().st_size for path in files_of_predictor(folder)) / 2**20


def parameters_of(model: Any) -> int:
    """Weights of the networks in ``model``, and nodes of its trees; 0 where it holds neither."""
    return _counted(model, set())


def _counted(thing: Any, seen: set[int]) -> int:
    if id(thing) in seen:
        return 0
    seen.add(id(thing))
    if isinstance(thing, torch.nn.Module):
        return sum(weights.numel() for weights in thing.parameters())
    if hasattr(thing, "tree_"):
        return int(thing.tree_.node_count)
    if hasattr(thing, "_predictors"):  # gradient boosting by histograms; scikit-learn has no public name for its trees
        return sum(len(tree.nodes) for turn in thing._predictors for tree in turn)
    if hasattr(thing, "estimators_"):
        return sum(_counted(each, seen) for each in np.ravel(np.asarray(thing.estimators_, dtype=object)))
    if isinstance(thing, list | tuple):
        return sum(_counted(each, seen) for each in thing)
    if isinstance(thing, Mapping):  # a blend's parts
        return sum(_counted(each, seen) for each in thing.values())
    if type(thing).__module__.startswith("earmark."):
        return sum(_counted(each, seen) for each in getattr(thing, "__dict__", {}).values())
    return 0
