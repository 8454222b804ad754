"""Masking: stretches of time or of bands are hidden (SpecAugment)."""

import torch
from torch import Generator, Tensor

from earmark.audio.augmentation.chance import uniform, whole


def mask(excerpts: Tensor, most: int, generator: Generator, *, dim: int, times: int = 2) -> Tensor:
    """SpecAugment (Park et al., Interspeech 2019): ``times`` stretches of at most ``most`` bands (dim 1) or frames (2).

    What is masked takes the excerpt's mean, so that the mask itself is no loud or silent event. A ``most`` of 0 changes
    nothing.
    """
    if not most:
        return excerpts
    size = excerpts.shape[dim]
    position = torch.arange(size, device=excerpts.device)
    hidden = torch.zeros(len(excerpts), size, dtype=torch.bool, device=excerpts.device)
    for _ in range(times):
        width = whole(excerpts, min(most, size), generator)
        start = (uniform(excerpts, generator) * (size - width + 1)).long()
        hidden |= (position >= start) & (position < start + width)
    hidden = hidden.unsqueeze(2 if dim == 1 else 1)
    return torch.where(hidden, excerpts.mean(dim=(1, 2), keepdim=True), excerpts)
