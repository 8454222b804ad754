"""Augmentations of log-mel excerpts: chance changes that leave the label true. Each takes its own random generator."""

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from earmark.params import Augmentation


def augment(excerpts: Tensor, how: Augmentation, generator: Generator) -> Tensor:
    """All the changes that ``how`` turns on, for excerpts of shape ``(batch, mels, frames)``."""
    if how.gain_db:
        excerpts = gain(excerpts, how.gain_db, generator)
    if how.equaliser:
        excerpts = equaliser(excerpts, how.equaliser, generator)
    if how.frequency_mask:
        excerpts = mask(excerpts, how.frequency_mask, generator, dim=1)
    if how.time_mask:
        excerpts = mask(excerpts, how.time_mask, generator, dim=2)
    return excerpts


def gain(excerpts: Tensor, most_db: float, generator: Generator) -> Tensor:
    """Louder or softer by up to ``most_db``, the same over the whole of each excerpt.

    Exact for this front-end: ``log10(1 + 10⁴ p)`` is undone, the power ``p`` scaled, and compressed again.
    """
    decibels = most_db * (2 * torch.rand(len(excerpts), 1, 1, generator=generator) - 1)
    return torch.log10(1 + 10 ** (decibels / 10) * (10**excerpts - 1))


def equaliser(excerpts: Tensor, depth: float, generator: Generator) -> Tensor:
    """A smooth random curve over the bands: each excerpt's values times ``1 + depth · curve``, of unit deviation."""
    curve = torch.randn(len(excerpts), 1, 5, generator=generator)
    curve = F.interpolate(curve, size=excerpts.shape[1], mode="linear", align_corners=True)
    return excerpts * (1 + depth * curve.transpose(1, 2)).clamp(min=0)


def mask(excerpts: Tensor, most: int, generator: Generator, *, dim: int, times: int = 2) -> Tensor:
    """SpecAugment (Park et al., Interspeech 2019): ``times`` stretches of at most ``most`` bands (dim 1) or frames (2).

    What is masked takes the excerpt's mean, so that the mask itself is no loud or silent event.
    """
    size = excerpts.shape[dim]
    position = torch.arange(size)
    hidden = torch.zeros(len(excerpts), size, dtype=torch.bool)
    for _ in range(times):
        width = torch.randint(0, min(most, size) + 1, (len(excerpts), 1), generator=generator)
        start = (torch.rand(len(excerpts), 1, generator=generator) * (size - width + 1)).long()
        hidden |= (position >= start) & (position < start + width)
    hidden = hidden.unsqueeze(2 if dim == 1 else 1)
    return torch.where(hidden, excerpts.mean(dim=(1, 2), keepdim=True), excerpts)


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
    other = torch.randperm(len(excerpts), generator=generator)
    return share * excerpts + (1 - share) * excerpts[other], share * targets + (1 - share) * targets[other]


def _beta(alpha: float, generator: Generator) -> float:
    """One draw from Beta(alpha, alpha), by Jöhnk's method: torch's own takes no generator."""
    while True:
        first, second = (
            float(torch.rand((), generator=generator, dtype=torch.float64)) ** (1 / alpha) for _ in range(2)
        )
        if 0 < first + second <= 1:
            return float(first / (first + second))
