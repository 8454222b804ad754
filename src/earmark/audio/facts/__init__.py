"""Facts: what is measured of a recording, not learnt: tempo, key and loudness, each with an honest confidence.

Read in this order: `stretches` (what is listened to), `tempo`, `key`, `loudness`, and `confidence` (how sure).
Measured in bench/results/facts.json, by bench/facts.py.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from earmark.audio.facts.key import Key, key_of
from earmark.audio.facts.loudness import Loudness, loudness_of
from earmark.audio.facts.stretches import stretches
from earmark.audio.facts.tempo import Tempo, tempo_of
from earmark.errors import AudioError

__all__ = ["Facts", "Key", "Loudness", "Tempo", "facts_of"]

LOWEST_RATE_HZ = 8_000
FAINTEST = 1e-6  # RMS: below -120 dBFS there is nothing to hear
MUSIC_PARTS, LOUDNESS_PARTS = 4, 20  # of a long recording: tempo needs parts of many beats, loudness many moments


@dataclass(frozen=True)
class Facts:
    """What is measured; None where it cannot be told, as the key of a drum."""

    tempo: Tempo | None
    key: Key | None
    loudness: Loudness | None


def facts_of(waveform: Tensor, sample_rate_hz: int, *, loudness_lufs: float | None) -> Facts:
    """Tempo, key and loudness of a recording.

    Args:
        waveform: Mono, samples in [-1, 1], shape ``(time,)``. Samples that are no number are taken as 0.
        sample_rate_hz: Of the waveform, 8,000 at least.
        loudness_lufs: Of the file at its own rate and with all channels (`earmark.audio.metering`); None where it is
            not known: then it is reckoned from the waveform, and less sure.

    Returns:
        Whatever the level is, tempo and key are the same.

    Raises:
        AudioError: The waveform is not mono, or its rate too low.
    """
    if waveform.ndim != 1 or sample_rate_hz < LOWEST_RATE_HZ:
        raise AudioError(
            f"Facts are measured of a mono waveform, shape (time,), at {LOWEST_RATE_HZ:,} Hz or more; "
            f"found: shape {tuple(waveform.shape)} at {sample_rate_hz:,} Hz. "
            "Take the mean of the channels, or decode at a higher rate."
        )
    with torch.inference_mode():
        parts = stretches(waveform, sample_rate_hz, count=MUSIC_PARTS)
        moments = parts if loudness_lufs is not None else stretches(waveform, sample_rate_hz, count=LOUDNESS_PARTS)
        loudness = loudness_of(moments, sample_rate_hz, loudness_lufs)
        level = float(torch.linalg.vector_norm(parts)) / math.sqrt(max(1, parts.numel()))
        if not level > FAINTEST:
            return Facts(None, None, loudness)
        parts = parts / level
        return Facts(tempo_of(parts, sample_rate_hz), key_of(parts, sample_rate_hz), loudness)
