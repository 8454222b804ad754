"""From the front-end's log-mels to the power behind them, and back: what filters and noise do, they do to power."""

import math

import torch
from torch import Tensor


def to_power(excerpts: Tensor) -> Tensor:
    """The power in each band and frame, times 10⁴: `LogMel`'s ``log10(1 + 10⁴ · power)`` undone."""
    return (excerpts * math.log(10)).expm1_()


def to_log_mel(power: Tensor) -> Tensor:
    """Power, times 10⁴, compressed again."""
    return torch.log1p(power).mul_(1 / math.log(10))
