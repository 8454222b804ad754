"""Why a song gets its label: its bands and its moments, on the song's own time line."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from earmark.audio.features import LogMelArray
from earmark.errors import ModelError
from earmark.model.network.excerpts import excerpt, starts
from earmark.model.reasons.attribution.gradients import (
    STEPS,
    Function,
    answers_of,
    by_band,
    integrated_gradients,
    spread,
)
from earmark.params import Frontend

MOMENTS = 60  # pieces of a song


@dataclass(frozen=True)
class Why:
    """What in one song speaks for a label, and with a minus sign, what speaks against it.

    Attributes:
        label: What is explained.
        bands: What each band adds to the answer, shape ``(mels,)``; they sum to ``difference`` but for ``gap``.
        band_hz: Centre of each band, shape ``(mels,)``.
        moments: What each moment adds, per second of music heard, shape ``(moments,)``; 0 where none was heard.
        moment_seconds: Middle of each moment from the song's start, shape ``(moments,)``.
        heard: Share of each moment that an excerpt covers, shape ``(moments,)``.
        difference: The answer minus that to the baseline, averaged over the excerpts.
        gap: How far the attributions miss this, on average over the excerpts: the error of the method's arithmetic.
    """

    label: str
    bands: NDArray[np.float64]
    band_hz: NDArray[np.float64]
    moments: NDArray[np.float64]
    moment_seconds: NDArray[np.float64]
    heard: NDArray[np.float64]
    difference: float
    gap: float


def band_centres_hz(frontend: Frontend) -> NDArray[np.float64]:
    """Where each mel band is highest, shape ``(mels,)``: HTK's scale, as in `earmark.audio.spectrogram`."""
    low, high = (2595 * np.log10(1 + hertz / 700) for hertz in (frontend.f_min_hz, frontend.f_max_hz))
    mels = np.linspace(low, high, frontend.mels + 2)[1:-1]
    return np.asarray(700 * (10 ** (mels / 2595) - 1))


def lay_back(
    adds: NDArray[np.float64], first: Sequence[int], length: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Excerpts back where they come from, averaged where they overlap.

    Args:
        adds: What each frame of each excerpt adds, shape ``(excerpts, frames)``.
        first: Each excerpt's first frame in the song, as `earmark.model.network.excerpts.starts` gives them.
        length: Of the song, in frames; one shorter than an excerpt was repeated, and is folded up again.

    Returns:
        What each frame of the song adds, 0 where nothing was heard; and how often it was heard; ``(length,)`` each.
    """
    total, times = np.zeros(length), np.zeros(length, dtype=np.int64)
    for own, start in zip(adds, first, strict=True):
        place = (start + np.arange(len(own))) % length
        np.add.at(total, place, own)
        np.add.at(times, place, 1)
    return total / np.maximum(times, 1), times


def by_moment(
    attributions: NDArray[np.float64], first: Sequence[int], length: int, moments: int, *, frames_per_s: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What each of ``moments`` equal pieces of a song adds.

    Args:
        attributions: Of its excerpts, shape ``(excerpts, mels, frames)``.
        first: See `lay_back`.
        length: See `lay_back`.
        moments: How many.
        frames_per_s: Of the log-mel.

    Returns:
        What each adds per second of music heard, 0 where none was; and the share of each that was heard; ``(moments,)``
        each.
    """
    song, times = lay_back(attributions.sum(axis=1), first, length)
    own = np.arange(length) * moments // length
    there, covered = np.bincount(own, minlength=moments), np.bincount(own, times > 0, minlength=moments)
    adds = np.bincount(own, song, minlength=moments) * frames_per_s / np.maximum(covered, 1)
    return adds, covered / np.maximum(there, 1)


def why(
    function: Function,
    log_mel: LogMelArray,
    label: int,
    *,
    name: str,
    frontend: Frontend,
    frames: int,
    excerpts: int,
    moments: int = MOMENTS,
    steps: int = STEPS,
    baseline: Tensor | None = None,
) -> Why:
    """What in one song speaks for a label.

    Args:
        function: See `earmark.model.reasons.attribution`; on the processor.
        log_mel: Of the whole song, shape ``(length, mels)``.
        label: Which answer; ``name`` is what it is called.
        name: Of the label.
        frontend: What ``log_mel`` was made by.
        frames: Of an excerpt.
        excerpts: How many are heard, evenly spread over the song.
        moments: Into how many equal pieces the song is cut.
        steps: See `integrated_gradients`.
        baseline: See `integrated_gradients`.

    Raises:
        ModelError: As `integrated_gradients`; or the log-mel is empty or of other bands than the front-end has.
    """
    if log_mel.ndim != 2 or not len(log_mel) or log_mel.shape[1] != frontend.mels:
        raise ModelError(
            f"The log-mel has the shape {log_mel.shape}; needed is (frames, {frontend.mels}), with one frame at least. "
            "Make it with the model's own front-end."
        )
    first = starts(len(log_mel), frames=frames, count=excerpts)
    batch = batch_of([excerpt(log_mel, start, frames=frames) for start in first])
    found = integrated_gradients(function, batch, label, steps=steps, baseline=baseline)
    difference = answers_of(function, batch, label) - answers_of(function, spread(baseline, batch), label)
    frames_per_s = frontend.sample_rate_hz / frontend.hop
    adds, heard = by_moment(found.double().numpy(), first, len(log_mel), moments, frames_per_s=frames_per_s)
    return Why(
        label=name,
        bands=by_band(found.double()).numpy(),
        band_hz=band_centres_hz(frontend),
        moments=adds,
        moment_seconds=(np.arange(moments) + 0.5) / moments * len(log_mel) / frames_per_s,
        heard=heard,
        difference=float(difference.mean()),
        gap=float((found.sum(dim=(1, 2)) - difference).abs().mean()),
    )


def batch_of(excerpts: Sequence[LogMelArray]) -> Tensor:
    """Excerpts ``(frames, mels)`` each, as the networks hear them: ``(batch, mels, frames)``."""
    return torch.from_numpy(np.stack(excerpts).astype(np.float32)).transpose(1, 2).contiguous()
