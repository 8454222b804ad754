"""Tempo: the rate at which onsets repeat.

1. Onset strength: how much the mel bands rise from frame to frame (Ellis, "Beat tracking by dynamic programming",
   2007).
2. Two views of its periods: the autocorrelation, at the beat's period and whole multiples of it, is high at the tempo
   and at its fractions; the spectrum is high at the tempo and its multiples. Their product, with Ellis's preference for
   tempi near 120, leaves one metre (Peeters, "Template-based estimation of time-varying tempo", 2007).
3. Which of its levels is tapped, the beat, its half, third, double or triple, is asked again, mostly of the
   autocorrelation: it tells levels apart better than metres.
4. A parabola through the highest point and its neighbours, on a grid of half a per cent.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from earmark.audio.facts.confidence import LEAST, probability
from earmark.audio.facts.spectra import spectra

SLOWEST_BPM, FASTEST_BPM, GRID = 30.0, 300.0, 0.005
LEAST_SECONDS = 4.0
WINDOW_SECONDS, HOP_SECONDS = 0.032, 0.016
MELS, LOWEST_HZ, HIGHEST_HZ = 40, 30.0, 8000.0
COMPRESSION = 1000.0  # of power relative to its mean: what is 30 dB below it still counts
TEETH = (1.0, 1 / 2, 1 / 3, 1 / 4)  # weights of the autocorrelation at 1, 2, 3, 4 periods
METRE_POWER, LEVEL_POWER = 0.5, 0.1  # of the spectrum, in steps 2 and 3; chosen on the side ``fit``
PREFERRED_BPM, PREFERENCE_OCTAVES = 120.0, 0.9
LEVELS = (1 / 3, 1 / 2, 1.0, 2.0, 3.0)
RELATED = (1 / 4, 1 / 3, 1 / 2, 2 / 3, 1.0, 3 / 2, 2.0, 3.0, 4.0)  # tempi of one metre

# Intercept, then one for each of the signs: fitted by bench/facts.py --fit, see `confidence`.
WEIGHTS = (4.71, 3.28, -4.13)

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Tempo:
    """Beats a minute, and how often such a tempo is right, to 4 % and but for a factor of 2 or 3."""

    bpm: float
    confidence: float


@dataclass(frozen=True)
class Beat:
    """The best tempo, and the signs of its being right.

    Attributes:
        bpm: Beats a minute.
        strength: Autocorrelation of the onsets at its period and multiples, in decades: 0 for strict repetition.
        rival: Score of the best tempo that is of another metre, as a share of the best.
    """

    bpm: float
    strength: float
    rival: float

    @property
    def signs(self) -> tuple[float, ...]:
        """For `WEIGHTS`."""
        return self.strength, self.rival


def tempo_of(parts: Tensor, sample_rate_hz: int) -> Tempo | None:
    """The tempo of parts of one recording, shape ``(parts, time)``; None where there is no beat to be told."""
    beat = beat_of(parts, sample_rate_hz)
    if beat is None:
        return None
    confidence = probability(WEIGHTS, beat.signs)
    return Tempo(beat.bpm, confidence) if confidence >= LEAST else None


def beat_of(parts: Tensor, sample_rate_hz: int) -> Beat | None:
    """What `tempo_of` goes by; None for silence, and for less than `LEAST_SECONDS`."""
    if parts.shape[1] < LEAST_SECONDS * sample_rate_hz:
        return None
    onsets, frames_per_s = onset_strength(parts, sample_rate_hz)
    if not float(onsets.amax()) > 1e-6:
        return None
    onsets = onsets - onsets.mean(dim=1, keepdim=True)
    frames = onsets.shape[1]
    size = 2 ** math.ceil(math.log2(4 * frames))
    power = torch.fft.rfft(onsets.double(), size).abs().square().sum(dim=0)
    correlation = (torch.fft.irfft(power, size)[:frames] / torch.arange(frames, 0, -1)).numpy()
    if not correlation[0] > 1e-12:
        return None
    repeats = _comb(correlation / correlation[0], frames_per_s)
    tempi = _tempi()
    spectrum = np.interp(tempi / 60, np.arange(size // 2 + 1) * frames_per_s / size, power.sqrt().numpy())
    wanted = np.maximum(repeats, 0) * _preference()
    score = wanted * spectrum**METRE_POWER
    metre = int(score.argmax())
    if not score[metre] > 0:
        return None
    level = wanted * spectrum**LEVEL_POWER
    best = int(np.where(_near(LEVELS, metre), level, 0).argmax())
    return Beat(
        bpm=float(tempi[0] * math.exp(GRID * (best + _vertex(level, best)))),
        strength=math.log10(max(repeats[best], 1e-3)),
        rival=float(score[~_near(RELATED, metre)].max() / score[metre]),
    )


def onset_strength(parts: Tensor, sample_rate_hz: int) -> tuple[Tensor, float]:
    """Mean rise of the mel bands' logarithms, shape ``(parts, frames)``, and frames a second."""
    window = 2 ** round(math.log2(WINDOW_SECONDS * sample_rate_hz))
    hop = round(HOP_SECONDS * sample_rate_hz)
    bank = _mel_bank(sample_rate_hz, window)
    heard = spectra(parts, window, hop)
    mel = torch.cat([(block.real.square() + block.imag.square()) @ bank for block in heard], dim=1)
    level = torch.log10(1 + COMPRESSION * mel / mel.mean().clamp(min=1e-20))
    return level.diff(dim=1).clamp(min=0).mean(dim=2), sample_rate_hz / hop


def _comb(correlation: Floats, frames_per_s: float) -> Floats:
    """Weighted mean of the autocorrelation at the periods of all tempi and multiples; 0 where none is within reach."""
    periods = 60 * frames_per_s / _tempi()
    reach = 0.8 * len(correlation)  # beyond, too little overlaps
    total, weights = np.zeros(len(periods)), np.zeros(len(periods))
    lags = np.arange(len(correlation))
    for times, weight in enumerate(TEETH, start=1):
        heard = weight * (times * periods <= reach)
        total += heard * np.interp(times * periods, lags, correlation)
        weights += heard
    return total / np.maximum(weights, TEETH[0])


def _near(factors: Sequence[float], metre: int) -> NDArray[np.bool_]:
    """Which tempi are within 5 % of one of ``factors`` times the tempo numbered ``metre``."""
    tempi = _tempi()
    away = np.abs(np.log(tempi[:, None] / tempi[metre] / np.array(factors)))
    return np.asarray((away < 0.05).any(axis=1))


def _vertex(score: Floats, best: int) -> float:
    """Where, in steps from ``best``, the parabola through it and its neighbours is highest."""
    if not 0 < best < len(score) - 1:
        return 0.0
    before, at, after = score[best - 1 : best + 2]
    bend = before - 2 * at + after
    return float(0.5 * (before - after) / bend) if bend < 0 else 0.0


@cache
def _tempi() -> Floats:
    """The grid, in beats a minute."""
    return np.asarray(np.exp(np.arange(math.log(SLOWEST_BPM), math.log(FASTEST_BPM), GRID)))


@cache
def _preference() -> Floats:
    """Of listeners, for each tempo of the grid."""
    return np.asarray(np.exp(-0.5 * (np.log2(_tempi() / PREFERRED_BPM) / PREFERENCE_OCTAVES) ** 2))


@cache
def _mel_bank(sample_rate_hz: int, window: int) -> Tensor:
    from torchaudio.functional import melscale_fbanks

    highest = min(HIGHEST_HZ, sample_rate_hz / 2)
    bank: Tensor = melscale_fbanks(window // 2 + 1, LOWEST_HZ, highest, MELS, sample_rate_hz)
    return bank
