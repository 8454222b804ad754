"""Which parts of a recording are listened to: all of a short one, an evenly spread selection of a long one.

So a symphony costs no more than a song of a minute, twice over.
"""

import torch
from torch import Tensor

WHOLE_SECONDS = 60.0  # up to here all is heard; of more, as much
LOUDEST = 1e6  # 120 dB over full scale: beyond are no recordings, but numbers whose squares overflow


def stretches(waveform: Tensor, sample_rate_hz: int, *, count: int) -> Tensor:
    """Parts of one length, evenly spread: each from the middle of its share of the recording.

    Args:
        waveform: Shape ``(time,)``.
        sample_rate_hz: Of the waveform.
        count: How many parts a recording of more than `WHOLE_SECONDS` is heard in; a shorter one is one part.

    Returns:
        Shape ``(parts, time)``, float32; samples that are no number are 0.
    """
    whole = round(WHOLE_SECONDS * sample_rate_hz)
    time = waveform.shape[-1]
    if time <= whole:
        parts = waveform[None]
    else:
        length = whole // count
        starts = [int((part + 0.5) * time / count - length / 2) for part in range(count)]
        parts = torch.stack([waveform[start : start + length] for start in starts])
    parts = parts.to(torch.float32)
    if not parts.numel():
        return parts
    lowest, highest = parts.aminmax()
    if float(lowest) >= -LOUDEST and float(highest) <= LOUDEST:  # false for no number, too
        return parts
    return parts.nan_to_num(0.0, LOUDEST, -LOUDEST).clamp(-LOUDEST, LOUDEST)
