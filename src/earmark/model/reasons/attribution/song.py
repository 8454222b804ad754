"""Why a song, or a whole class of songs, gets its label: its bands and its moments, on the song's own time line."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from earmark.audio.features import LogMelArray
from earmark.errors import ModelError
from earmark.model.metrics import resamples
from earmark.model.network.excerpts import excerpt, starts
from earmark.model.reasons.attribution.gradients import (
    STEPS,
    Function,
    answers_of,
    by_band,
    integrated_gradients,
    spread,
)
from earmark.params import Evaluation, Frontend

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
        picture: ``moments`` divided among the bands, shape ``(mels, moments)``.
        heard: Share of each moment that an excerpt covers, shape ``(moments,)``.
        difference: The answer minus that to the baseline, averaged over the excerpts.
        gap: How far the attributions miss this, on average over the excerpts: the error of the method's arithmetic.
    """

    label: str
    bands: NDArray[np.float64]
    band_hz: NDArray[np.float64]
    moments: NDArray[np.float64]
    moment_seconds: NDArray[np.float64]
    picture: NDArray[np.float64]
    heard: NDArray[np.float64]
    difference: float
    gap: float

    def to_dict(self) -> dict[str, Any]:
        """As plain values, fit for JSON."""
        return _plain(self)


@dataclass(frozen=True)
class ClassWhy:
    """What speaks for a label in many songs, on average.

    Attributes:
        label: What is explained.
        songs: How many.
        bands: Mean of the songs' ``bands``, shape ``(mels,)``.
        bands_low: Lower end of its interval.
        bands_high: Upper end.
        band_hz: Centre of each band, shape ``(mels,)``.
        moments: Mean of the songs' ``moments``, shape ``(moments,)``.
        moment_shares: Middle of each moment as a share of the song, shape ``(moments,)``.
        picture: Shape ``(mels, moments)``.
    """

    label: str
    songs: int
    bands: NDArray[np.float64]
    bands_low: NDArray[np.float64]
    bands_high: NDArray[np.float64]
    band_hz: NDArray[np.float64]
    moments: NDArray[np.float64]
    moment_shares: NDArray[np.float64]
    picture: NDArray[np.float64]

    def to_dict(self) -> dict[str, Any]:
        """As plain values, fit for JSON."""
        return _plain(self)


def band_centres_hz(frontend: Frontend) -> NDArray[np.float64]:
    """Where each mel band is highest, shape ``(mels,)``: HTK's scale, as in `earmark.audio.spectrogram`."""
    low, high = (2595 * np.log10(1 + hertz / 700) for hertz in (frontend.f_min_hz, frontend.f_max_hz))
    mels = np.linspace(low, high, frontend.mels + 2)[1:-1]
    return np.asarray(700 * (10 ** (mels / 2595) - 1))


def lay_back(
    attributions: NDArray[np.float64], first: Sequence[int], length: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Excerpts back where they come from, averaged where they overlap.

    Args:
        attributions: Shape ``(excerpts, mels, frames)``.
        first: Each excerpt's first frame in the song, as `earmark.model.network.excerpts.starts` gives them.
        length: Of the song, in frames; one shorter than an excerpt was repeated, and is folded up again.

    Returns:
        Shape ``(mels, length)``, 0 where nothing was heard; and how often each frame was heard, ``(length,)``.
    """
    frames = attributions.shape[2]
    total = np.zeros((length, attributions.shape[1]))
    times = np.zeros(length, dtype=np.int64)
    for own, start in zip(attributions, first, strict=True):
        place = (start + np.arange(frames)) % length
        np.add.at(total, place, own.T)
        np.add.at(times, place, 1)
    return (total / np.maximum(times, 1)[:, None]).T, times


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
    heard = np.stack([excerpt(log_mel, start, frames=frames) for start in first]).astype(np.float32)
    batch = torch.from_numpy(heard).transpose(1, 2).contiguous()
    found = integrated_gradients(function, batch, label, steps=steps, baseline=baseline)
    difference = answers_of(function, batch, label) - answers_of(function, spread(baseline, batch), label)
    frames_per_s = frontend.sample_rate_hz / frontend.hop
    song, times = lay_back(found.double().numpy(), first, len(log_mel))
    own = np.arange(len(log_mel)) * moments // len(log_mel)
    there = np.bincount(own, minlength=moments)
    covered = np.bincount(own, times > 0, minlength=moments)
    picture = np.stack([np.bincount(own, band, minlength=moments) for band in song]).astype(np.float64)
    picture = picture * (frames_per_s / np.maximum(covered, 1))
    return Why(
        label=name,
        bands=by_band(found.double()).numpy(),
        band_hz=band_centres_hz(frontend),
        moments=picture.sum(axis=0),
        moment_seconds=(np.arange(moments) + 0.5) / moments * len(log_mel) / frames_per_s,
        picture=picture,
        heard=covered / np.maximum(there, 1),
        difference=float(difference.mean()),
        gap=float((found.sum(dim=(1, 2)) - difference).abs().mean()),
    )


def why_class(whys: Sequence[Why], groups: NDArray[np.object_], how: Evaluation) -> ClassWhy:
    """What speaks for a label in many songs, on average; its interval is a bootstrap over groups.

    Args:
        whys: Of one label, from one front-end, with as many moments each.
        groups: Artists, shape ``(songs,)``.
        how: Section ``evaluation`` of params.yaml.

    Raises:
        ModelError: There is none, or they do not fit together.
    """
    if len({(one.label, one.picture.shape, tuple(one.band_hz)) for one in whys}) != 1 or len(groups) != len(whys):
        raise ModelError(
            f"{len(whys)} explanations of {sorted({one.label for one in whys})} and {len(groups)} groups; needed are "
            "explanations of one label by one front-end with as many moments each, and a group for each."
        )
    bands = np.stack([one.bands for one in whys])
    tail = (1 - how.confidence) / 2
    drawn = [np.average(bands, axis=0, weights=weights) for weights in resamples(groups, how)]
    low, high = np.quantile(drawn, [tail, 1 - tail], axis=0)
    heard = np.stack([one.heard for one in whys])
    total = heard.sum(axis=0)
    picture = np.einsum("st,smt->mt", heard, np.stack([one.picture for one in whys])) / np.where(total > 0, total, 1)
    moments = picture.shape[1]
    return ClassWhy(
        label=whys[0].label,
        songs=len(whys),
        bands=bands.mean(axis=0),
        bands_low=low,
        bands_high=high,
        band_hz=whys[0].band_hz,
        moments=picture.sum(axis=0),
        moment_shares=(np.arange(moments) + 0.5) / moments,
        picture=picture,
    )


def _plain(found: Why | ClassWhy) -> dict[str, Any]:
    return {key: value.tolist() if isinstance(value, np.ndarray) else value for key, value in vars(found).items()}
