"""Mixing excerpts of one batch: any two with their targets (mixup), or stretches of two that have the same label."""

import torch
from torch import Generator, Tensor

from earmark.audio.augmentation.chance import order, uniform


def mixup(excerpts: Tensor, targets: Tensor, alpha: float, generator: Generator) -> tuple[Tensor, Tensor]:
    """Each excerpt, and its target, mixed with another of the batch (Zhang et al., ICLR 2018).

    Args:
        excerpts: Shape ``(batch, mels, frames)``.
        targets: Shape ``(batch, classes)``, rows summing to 1.
        alpha: Of the symmetric Beta distribution from which the batch's share is drawn; 0 changes nothing.
        generator: Source of chance.
    """
    if not alpha:
        return excerpts, targets
    share = _beta(alpha, generator)
    other = order(excerpts, generator)
    return share * excerpts + (1 - share) * excerpts[other], share * targets + (1 - share) * targets[other]


def segment_mixing(excerpts: Tensor, labels: Tensor, share: float, generator: Generator) -> Tensor:
    """A stretch of some excerpts replaced by the same stretch of another one of the same label: the labels stay true.

    Cutting and pasting as CutMix does (Yun et al., ICCV 2019), but in time alone and within a class. The stretch is at
    most half of the excerpt, so that what else is known of a song, its tags, stays mostly true as well. An excerpt
    whose label no other of the batch has is left as it is.

    Args:
        excerpts: Shape ``(batch, mels, frames)``.
        labels: Shape ``(batch,)``.
        share: Of the excerpts, those that are changed: each by its own draw; 0 changes nothing.
        generator: Source of chance.
    """
    if not share:
        return excerpts
    batch, _, frames = excerpts.shape
    drawn = uniform(excerpts, generator, each=3)
    labels = labels.to(excerpts.device)
    alike = labels[:, None] == labels
    alike.fill_diagonal_(False)
    donors = uniform(excerpts, generator, each=batch).masked_fill(~alike, -1.0).argmax(dim=1)
    width = 1 + (drawn[:, 1:2] * (frames // 2)).long().clamp(max=max(0, frames // 2 - 1))
    start = (drawn[:, 2:3] * (frames - width + 1)).long()
    position = torch.arange(frames, device=excerpts.device)
    replaced = (position >= start) & (position < start + width)  # (batch, frames)
    replaced &= (drawn[:, :1] < share) & alike.any(dim=1, keepdim=True)
    return torch.where(replaced[:, None, :], excerpts[donors], excerpts)


def _beta(alpha: float, generator: Generator) -> float:
    """One draw from Beta(alpha, alpha), by Jöhnk's method: torch's own takes no generator.

    Of about 4**alpha pairs of draws one is taken: few for the small alphas that mixup is used with.
    """
    while True:
        first, second = (
            float(torch.rand((), generator=generator, device=generator.device, dtype=torch.float64)) ** (1 / alpha)
            for _ in range(2)
        )
        if 0 < first + second <= 1:
            return float(first / (first + second))
