"""Pitch: an excerpt as if all of it were played higher or lower, at the same tempo."""

import torch
from torch import Generator, Tensor

from earmark.audio.augmentation.chance import uniform
from earmark.params import Frontend


def pitch(excerpts: Tensor, most_semitones: float, frontend: Frontend, generator: Generator) -> Tensor:
    """Each excerpt transposed by up to ``most_semitones`` up or down; 0 changes nothing."""
    if not most_semitones:
        return excerpts
    semitones = uniform(excerpts, generator, low=-most_semitones, high=most_semitones)
    return transposed(excerpts, semitones[:, 0], frontend)


def transposed(excerpts: Tensor, semitones: Tensor, frontend: Frontend) -> Tensor:
    """Excerpts ``(batch, mels, frames)`` moved along the mel axis by ``semitones``, shape ``(batch,)``.

    Each band takes what lay at its centre's frequency divided by the shift's factor, interpolated between the two
    bands nearest. What would come from beyond the lowest or the highest band is taken from that band: a hole there
    would tell the network of the shift.
    """
    bands = torch.arange(frontend.mels, device=excerpts.device)
    lowest, highest = _mel(torch.tensor([frontend.f_min_hz, frontend.f_max_hz], device=excerpts.device))
    step = (highest - lowest) / (frontend.mels + 1)  # the lowest band's centre lies one step above the lowest frequency
    centres = _hertz(lowest + step * (bands + 1))
    sources = (_mel(centres / 2 ** (semitones[:, None] / 12)) - lowest) / step - 1
    sources = sources.clamp(0, frontend.mels - 1)  # (batch, mels), in bands
    below = sources.long().clamp(max=max(0, frontend.mels - 2))
    above = (below + 1).clamp(max=frontend.mels - 1)
    each = torch.arange(len(excerpts), device=excerpts.device)[:, None]
    share = (sources - below)[..., None].to(excerpts.dtype)
    return excerpts[each, below].lerp_(excerpts[each, above], share)


def _mel(hertz: Tensor) -> Tensor:
    """The mel scale of HTK, on which the front-end's bands are evenly spaced."""
    return 2595 * torch.log10(1 + hertz / 700)


def _hertz(mel: Tensor) -> Tensor:
    return 700 * (10 ** (mel / 2595) - 1)
