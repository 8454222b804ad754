"""A penalty on large weights: the Lp norm's p-th power, added to the loss."""

from collections.abc import Iterable

import torch
from torch import Tensor

from earmark.errors import ParamsError

POWERS = (1, 2, 3, 4)


def lp_penalty(named_parameters: Iterable[tuple[str, Tensor]], p: int) -> Tensor:
    """Σ|w|^p over the weights: 1 makes many of them exactly useless (lasso), 2 all small (ridge), 3 and 4 the largest.

    Weights are what has more than one dimension. Biases and the scales of norms are left out: shrinking them
    regularises nothing. It is a sum, not a mean, so that the pull on a weight, p · |w|^(p−1), does not depend on how
    many others there are, and one strength suits networks of every size. AdamW's decay is something else: it bypasses
    the division by the gradient's scale, through which this penalty, being part of the loss, goes.

    Args:
        named_parameters: As a network's ``named_parameters()``.
        p: 1, 2, 3 or 4.

    Returns:
        One number, without a shape; 0 where there are no weights.

    Raises:
        ParamsError: Another p.
    """
    if p not in POWERS:
        raise ParamsError(
            f"training: penalty_p is {p!r}; the penalty on weights knows 1, 2, 3 and 4. Choose one of them."
        )
    terms = [_power(weight, p).sum() for _, weight in named_parameters if weight.ndim > 1]
    return torch.stack(terms).sum() if terms else torch.zeros(())


def _power(weight: Tensor, p: int) -> Tensor:
    # An odd power needs the absolute value, whose gradient at 0 is 0.
    return weight**p if p % 2 == 0 else weight.abs() ** p
