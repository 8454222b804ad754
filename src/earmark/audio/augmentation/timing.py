"""Timing: an excerpt begun elsewhere, or played faster or slower, at the same pitch."""

import torch
from torch import Generator, Tensor

from earmark.audio.augmentation.chance import uniform, whole


def rotation(excerpts: Tensor, generator: Generator) -> Tensor:
    """Each excerpt ``(mels, frames)`` begun at a random frame; what was before it follows at the end."""
    frames = excerpts.shape[2]
    return _at(
        excerpts, (torch.arange(frames, device=excerpts.device) + whole(excerpts, frames - 1, generator)) % frames
    )


def tempo(excerpts: Tensor, share: float, generator: Generator) -> Tensor:
    """Each excerpt faster or slower by up to ``share`` of its tempo; 0 changes nothing."""
    if not share:
        return excerpts
    return at_rate(excerpts, uniform(excerpts, generator, low=1 - share, high=1 + share)[:, 0])


def at_rate(excerpts: Tensor, rate: Tensor) -> Tensor:
    """Excerpts ``(batch, mels, frames)`` played ``rate`` times as fast, shape ``(batch,)``, for as many frames.

    Between two frames lies their linear interpolation. A slower excerpt is cut off at the end; a faster one is over too
    early and begins again.
    """
    frames = excerpts.shape[2]
    place = torch.arange(frames, device=excerpts.device) * rate[:, None]  # (batch, frames), in frames
    before = place.long()
    share = (place - before).to(excerpts.dtype)[:, None, :]
    return _at(excerpts, before % frames).lerp_(_at(excerpts, (before + 1) % frames), share)


def _at(excerpts: Tensor, frames: Tensor) -> Tensor:
    """Of each excerpt, the frames of these numbers, shape ``(batch, frames)``."""
    return excerpts.gather(2, frames[:, None, :].expand(-1, excerpts.shape[1], -1))
