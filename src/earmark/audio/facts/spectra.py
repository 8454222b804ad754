"""Short-time spectra, block by block: a block stays in the processor's cache from its window to what is made of it."""

from collections.abc import Iterator
from functools import cache

import torch
from torch import Tensor

_BLOCK_SAMPLES = 1 << 17


def spectra(parts: Tensor, window: int, hop: int) -> Iterator[Tensor]:
    """Spectra of Hann windows, in order of time.

    Args:
        parts: Shape ``(parts, time)``; one window at least.
        window: In samples.
        hop: In samples.

    Yields:
        Complex, shape ``(parts, windows, window // 2 + 1)``; all together have as many windows as fit into a part.
    """
    windows = parts.unfold(1, window, hop)
    at_once = max(1, _BLOCK_SAMPLES // (window * len(parts)))
    for first in range(0, windows.shape[1], at_once):
        yield torch.fft.rfft(windows[:, first : first + at_once] * _hann(window))


@cache
def _hann(window: int) -> Tensor:
    return torch.hann_window(window)
