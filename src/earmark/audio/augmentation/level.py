"""Level: louder or softer as a whole, or in some bands. On power ``(batch, mels, frames)``, so exact in decibels."""

import torch
from torch import Generator, Tensor

from earmark.audio.augmentation.chance import uniform

_KNOTS = 5  # of the curve: a turn in every quarter of the bands


def gain(power: Tensor, most_db: float, generator: Generator) -> Tensor:
    """Each excerpt louder or softer by up to ``most_db``, the same over all of it; 0 changes nothing."""
    if not most_db:
        return power
    decibels = uniform(power, generator, low=-most_db, high=most_db)
    return power * 10 ** (decibels / 10)[..., None]


def equaliser(power: Tensor, most_db: float, generator: Generator) -> Tensor:
    """Each excerpt through a filter of its own: a smooth curve over the bands, within ``most_db`` up and down.

    What another microphone, pressing or mastering does. Five points, evenly spread over the mel axis, are drawn;
    between them the curve is a cubic that is level in each. 0 changes nothing.
    """
    if not most_db:
        return power
    knots = uniform(power, generator, low=-most_db, high=most_db, each=_KNOTS)
    place = torch.linspace(0, _KNOTS - 1, power.shape[1], device=power.device)
    below = place.long().clamp(max=_KNOTS - 2)
    share = place - below
    curve = torch.lerp(knots[:, below], knots[:, below + 1], share**2 * (3 - 2 * share))
    return power * 10 ** (curve / 10)[..., None]
