"""Key: that one of 24 whose pitch classes are heard, as often as its music has them.

1. The mean spectrum from 60 to 2,000 Hz, of windows long enough to tell semitones apart; each window counts alike.
2. Tuning: where between the semitones of A = 440 Hz the energy lies, as a circular mean (Dressler and Streich,
   "Tuning frequency estimation using circular statistics", ISMIR 2007).
3. Chroma: energy by pitch class, where a partial also counts, less and less, for the notes whose second, third and
   fourth partial it may be (Gómez, "Tonal description of polyphonic audio for music content processing", 2006).
4. The key whose profile correlates best (Krumhansl, "Cognitive foundations of musical pitch", 1990). The profiles are
   Albrecht and Shanahan's ("The use of large corpora to train a new type of key-finding algorithm", 2013), which did
   better on the side ``fit`` of `bench/facts_music.py` than those of Krumhansl and Kessler, Temperley, and Bellman and
   Budge.
"""

import math
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from earmark.audio.facts.confidence import LEAST, probability
from earmark.audio.facts.spectra import spectra

TONICS = ("C", "C♯", "D", "E♭", "E", "F", "F♯", "G", "A♭", "A", "B♭", "B")
WINDOW_SECONDS, HOP_SECONDS = 0.256, 0.128
LOWEST_HZ, HIGHEST_HZ = 60.0, 2000.0
TUNED_FROM_HZ = 250.0  # below, a semitone is no wider than a bin or three
PARTIALS, PARTIAL_WEIGHT = 4, 0.7
SPREAD_SEMITONES = 0.4
MAJOR = (0.238, 0.006, 0.111, 0.006, 0.137, 0.094, 0.016, 0.214, 0.009, 0.080, 0.008, 0.081)
MINOR = (0.220, 0.006, 0.104, 0.123, 0.019, 0.103, 0.012, 0.214, 0.062, 0.022, 0.061, 0.052)

# Intercept, then likeness and margin: fitted by bench/facts.py --fit, see `confidence`.
WEIGHTS = (-6.59, 7.17, 13.69)

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Key:
    """Tonic and mode, and how often such a key is right."""

    tonic: str
    mode: Literal["major", "minor"]
    confidence: float


@dataclass(frozen=True)
class Tonality:
    """The best key, and the signs of its being right.

    Attributes:
        tonic: 0 is C.
        minor: Whether the mode is minor.
        likeness: Correlation of the chroma with the key's profile.
        margin: By how much it exceeds that of the next key.
    """

    tonic: int
    minor: bool
    likeness: float
    margin: float

    @property
    def signs(self) -> tuple[float, ...]:
        """For `WEIGHTS`."""
        return self.likeness, self.margin


def key_of(parts: Tensor, sample_rate_hz: int) -> Key | None:
    """The key of parts of one recording, shape ``(parts, time)``; None where there is no pitch to be told."""
    tonality = tonality_of(parts, sample_rate_hz)
    if tonality is None:
        return None
    confidence = probability(WEIGHTS, tonality.signs)
    if confidence < LEAST:
        return None
    return Key(TONICS[tonality.tonic], "minor" if tonality.minor else "major", confidence)


def tonality_of(parts: Tensor, sample_rate_hz: int) -> Tonality | None:
    """What `key_of` goes by; None for silence, and for less than two windows."""
    chroma = chroma_of(parts, sample_rate_hz)
    if chroma is None:
        return None
    centred = chroma - chroma.mean()
    length = float(np.linalg.norm(centred))
    if not length > 1e-6 * float(chroma.sum()):
        return None
    likeness = _profiles() @ (centred / length)
    order = likeness.argsort()
    best = int(order[-1])
    return Tonality(best % 12, best >= 12, float(likeness[best]), float(likeness[best] - likeness[order[-2]]))


def chroma_of(parts: Tensor, sample_rate_hz: int) -> Floats | None:
    """Energy by pitch class, C first, in the recording's own tuning, shape ``(12,)``; None as `tonality_of`."""
    heard = _spectrum(parts, sample_rate_hz)
    if heard is None:
        return None
    spectrum, pitch = heard
    return np.asarray(spectrum @ _bank(pitch - _tuning(spectrum, pitch)))


def tuning_of(parts: Tensor, sample_rate_hz: int) -> float | None:
    """How far the notes lie above those of A = 440 Hz, in semitones: -0.5 to 0.5; None as `tonality_of`."""
    heard = _spectrum(parts, sample_rate_hz)
    return None if heard is None else _tuning(*heard)


def _spectrum(parts: Tensor, sample_rate_hz: int) -> tuple[Floats, Floats] | None:
    """Mean magnitudes from `LOWEST_HZ` to `HIGHEST_HZ`, and the MIDI pitch of each, both of shape ``(bins,)``."""
    window = 2 ** round(math.log2(WINDOW_SECONDS * sample_rate_hz))
    hop = round(HOP_SECONDS * sample_rate_hz)
    if parts.shape[1] < window + hop:
        return None
    low, high = (round(hz * window / sample_rate_hz) for hz in (LOWEST_HZ, HIGHEST_HZ))
    bins = (block[..., low : high + 1] for block in spectra(parts, window, hop))
    heard = torch.cat([(each.real.square() + each.imag.square()).sqrt() for each in bins], dim=1)
    levels = heard.sum(dim=2, keepdim=True)  # (parts, windows, 1)
    mean_level = levels.mean()
    if not float(mean_level) > 1e-6:
        return None
    # Each window counts alike, but for those that are nearly silent.
    spectrum = (heard / (levels + 1e-3 * mean_level)).mean(dim=(0, 1)).double().numpy()
    hertz = np.arange(low, low + len(spectrum)) * sample_rate_hz / window
    return spectrum, 69 + 12 * np.log2(hertz / 440)


def _tuning(spectrum: Floats, pitch: Floats) -> float:
    heard = pitch > 69 + 12 * math.log2(TUNED_FROM_HZ / 440)
    turn = (spectrum[heard] * np.exp(2j * np.pi * pitch[heard])).sum()
    return float(np.angle(turn) / (2 * np.pi))


def _bank(pitch: Floats) -> Floats:
    """How much each bin counts for each pitch class, shape ``(bins, 12)``."""
    bank = np.zeros((len(pitch), 12))
    for partial in range(1, PARTIALS + 1):
        away = (pitch[:, None] - 12 * math.log2(partial) - np.arange(12) + 6) % 12 - 6
        bank += PARTIAL_WEIGHT ** (partial - 1) * np.exp(-0.5 * (away / SPREAD_SEMITONES) ** 2)
    return bank


@cache
def _profiles() -> Floats:
    """Of 12 major and 12 minor keys, each centred and of length 1, shape ``(24, 12)``."""
    profiles = np.array([np.roll(profile, tonic) for profile in (MAJOR, MINOR) for tonic in range(12)])
    profiles = profiles - profiles.mean(axis=1, keepdims=True)
    return np.asarray(profiles / np.linalg.norm(profiles, axis=1, keepdims=True))
