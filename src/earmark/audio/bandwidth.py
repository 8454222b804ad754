"""Up to which frequency a recording holds anything: a lossy source betrays itself even in a lossless file.

An encoder spends no bits on the highest treble: an mp3 ends near 11 kHz at 64 kbit/s, near 16.5 kHz at 128 and near
19 kHz at 192, and what lies above stays empty whatever it is converted to. The measure is the edge of the long-term
average spectrum.
"""

import functools

import numpy as np
import numpy.typing as npt

_EVERY = 3  # of the hops: enough of them, at a third of the price
# Noise of one 16-bit step RMS. That of dithering to 16 bits is half of it, what a lossy decoder leaves is far below.
_FLOOR = 2.0**-30
_CUT = 1 - 2 / 2**15  # a sample at full scale may be a cut one, and a cut splashes over all frequencies
_ENOUGH_BLOCKS = 20  # of 25 to 50 ms
_SMOOTHED_HZ = 500.0  # lines narrower than half of it (a whistling screen, a pilot tone) are no treble


class Spectrum:
    """The average power spectrum of what has one sample rate, collected piece by piece."""

    def __init__(self, rate_hz: int, hop: int) -> None:
        """For blocks within hops of ``hop`` samples (100 ms), at ``rate_hz``."""
        self._rate_hz, self._hop = rate_hz, hop
        self._length = 1 << (hop.bit_length() - 2)  # two blocks a hop, that fewer hold a cut sample
        self._power = np.zeros((2, self._length // 2 + 1))  # of blocks: free of cut samples, others
        self._blocks = np.zeros(2, int)

    def add(self, samples: npt.NDArray[np.float32]) -> None:
        """The next piece, shape ``(channels, time)``; less than a hop counts only where there is nothing else."""
        hops = samples.shape[1] // self._hop
        if hops:
            blocks = samples[:, : hops * self._hop].reshape(len(samples), hops, self._hop)
            blocks = blocks[:, ::_EVERY, : 2 * self._length].reshape(len(samples), -1, self._length)
        elif not self._blocks.any():
            blocks = samples[:, None, : self._length]
        else:
            return
        cut = np.maximum(blocks.max(axis=(0, 2)), -blocks.min(axis=(0, 2))) >= _CUT
        power = self._powers(blocks)
        for kind, chosen in enumerate((~cut, cut)):
            self._power[kind] += power[chosen].sum(axis=0)
            self._blocks[kind] += chosen.sum()

    def edge_hz(self) -> float:
        """The highest frequency with anything but noise; 0 where there is none."""
        if self._blocks[0] >= _ENOUGH_BLOCKS:
            power = self._power[0] / self._blocks[0]
        else:
            power = self._power.sum(axis=0) / max(1, self._blocks.sum())
        reach = max(1, round(_SMOOTHED_HZ / 2 * self._length / self._rate_hz))
        around = np.lib.stride_tricks.sliding_window_view(np.pad(power, reach, mode="reflect"), 2 * reach + 1)
        above = np.flatnonzero(np.median(around, axis=1) > _FLOOR)
        return min(self._rate_hz / 2, (float(above[-1]) + 0.5) * self._rate_hz / self._length) if len(above) else 0.0

    def _powers(self, blocks: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Mean over the channels, shape ``(blocks, frequencies)``; white noise has its mean square everywhere."""
        from scipy.fft import rfft

        spectra = rfft(blocks * _window(blocks.shape[-1]), n=self._length, axis=-1)
        power: npt.NDArray[np.float32] = (np.square(spectra.real) + np.square(spectra.imag)).mean(axis=0)
        return power


@functools.cache
def _window(length: int) -> npt.NDArray[np.float32]:
    """Hann's, of unit energy."""
    window = np.hanning(length + 2)[1:-1]
    return np.asarray(window / np.sqrt(np.square(window).sum()), dtype=np.float32)
