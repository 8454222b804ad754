"""Loudness: as it was measured while the file was decoded, or else as well as a mono waveform can tell it.

EBU R 128 adds up the channels. Whoever has only their mean cannot know how many there were: a stereo recording is 3 LU
louder than its mean where both sides are alike, 6 LU where they have nothing in common. The waveform is taken as it
is, as one channel, and the confidence says how often that is right of recordings half of which are stereo.
"""

import math
from dataclasses import dataclass

from torch import Tensor

from earmark.audio.loudness import KWeighting, integrated_lufs

# How often it is right to 1 LU, by bench/facts.py on 400 songs: what was measured, against torchaudio's meter; what is
# reckoned from mono, of the files as they are, mono (399 of 400), and of the same made stereo (none), half and half.
MEASURED, FROM_MONO = 0.997, 0.499

_HOPS_A_SECOND = 10


@dataclass(frozen=True)
class Loudness:
    """Integrated loudness by EBU R 128, and how often such a loudness is right, to 1 LU."""

    lufs: float
    confidence: float


def loudness_of(parts: Tensor, sample_rate_hz: int, measured_lufs: float | None) -> Loudness | None:
    """The loudness.

    Args:
        parts: Of the mono waveform, shape ``(parts, time)``; looked at only where nothing was measured.
        sample_rate_hz: Of the waveform.
        measured_lufs: Of the whole file, all channels, at its own rate; None where it is not known.

    Returns:
        None where all is silent, or lasts less than 0.4 s.
    """
    if measured_lufs is not None and math.isfinite(measured_lufs):
        return Loudness(measured_lufs, MEASURED)
    hop = round(sample_rate_hz / _HOPS_A_SECOND)
    weighting = KWeighting(sample_rate_hz, ("FC",))
    lufs = integrated_lufs([weighting.energies(parts.reshape(1, -1).numpy(), hop)])
    return None if lufs is None else Loudness(lufs, FROM_MONO)
