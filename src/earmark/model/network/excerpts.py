"""Excerpts: the stretches of a recording that the network hears."""

import numpy as np

from earmark.audio.features import LogMelArray


def excerpt(log_mel: LogMelArray, start: int, *, frames: int) -> LogMelArray:
    """``frames`` frames from ``start``, shape ``(frames, mels)``; a shorter recording is repeated to fill them."""
    if len(log_mel) >= frames:
        return log_mel[start : start + frames]
    repeats = -(-frames // len(log_mel))
    return np.tile(log_mel, (repeats, 1))[:frames]


def starts(length: int, *, frames: int, count: int) -> list[int]:
    """First frames of ``count`` excerpts spread evenly over ``length`` frames, from the very start to the very end.

    Fewer than ``count`` where the recording is so short that they would fall together.
    """
    room = length - frames
    if room <= 0:
        return [0]
    return sorted({round(room * i / max(count - 1, 1)) for i in range(count)})


def spread(log_mel: LogMelArray, *, frames: int, count: int) -> LogMelArray:
    """Excerpts spread evenly over a recording ``(length, mels)``, shape ``(count, frames, mels)``."""
    chosen = starts(len(log_mel), frames=frames, count=count)
    return np.stack([excerpt(log_mel, start, frames=frames) for start in chosen])
