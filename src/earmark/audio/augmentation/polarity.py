"""Polarity: the sign of a waveform, which loudspeaker leads and microphones swap and no ear hears."""

import torch
from torch import Generator, Tensor

from earmark.audio.augmentation.chance import uniform


def polarity(waveforms: Tensor, share: float, generator: Generator) -> Tensor:
    """The sign of a ``share`` of the waveforms ``(batch, time)`` changed, each by its own draw; 0 changes nothing.

    The networks here need no such training: their front-end takes power, which has no sign, so a waveform and its
    inverse give the same log-mel to the bit and the same answer. Hence params.yaml has no number for this; it is for
    models that listen to waveforms.
    """
    if not share:
        return waveforms
    return torch.where(uniform(waveforms, generator) < share, -waveforms, waveforms)
