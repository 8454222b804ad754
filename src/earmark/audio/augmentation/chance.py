"""Draws for each excerpt of a batch: made where the generator lives, brought to where the excerpts lie."""

import torch
from torch import Generator, Tensor


def uniform(excerpts: Tensor, generator: Generator, *, low: float = 0.0, high: float = 1.0, each: int = 1) -> Tensor:
    """``each`` numbers from ``low`` to ``high`` for each excerpt, shape ``(batch, each)``, on the excerpts' device."""
    draws = torch.rand(len(excerpts), each, generator=generator, device=generator.device).to(excerpts.device)
    return low + (high - low) * draws


def whole(excerpts: Tensor, most: int, generator: Generator) -> Tensor:
    """A whole number from 0 to ``most`` for each excerpt, shape ``(batch, 1)``, on the excerpts' device."""
    draws = torch.randint(0, most + 1, (len(excerpts), 1), generator=generator, device=generator.device)
    return draws.to(excerpts.device)


def normal(excerpts: Tensor, generator: Generator) -> Tensor:
    """A draw of the standard normal distribution for each value of ``excerpts``, on their device."""
    return torch.randn(excerpts.shape, generator=generator, device=generator.device).to(excerpts.device)


def order(excerpts: Tensor, generator: Generator) -> Tensor:
    """The excerpts' numbers in random order, shape ``(batch,)``, on their device."""
    return torch.randperm(len(excerpts), generator=generator, device=generator.device).to(excerpts.device)
