"""Loudness of a recording as its sound goes by, in the pieces that the decoder has anyway."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from earmark.audio.loudness import KWeighting, channel_weights, integrated_lufs
from earmark.audio.samples import Samples

_HOPS_A_SECOND = 10
_HIGHEST = 1e6  # 120 dB over full scale: beyond are no recordings, but numbers whose squares overflow


class Loudness:
    """EBU R 128 over pieces of any length; `earmark.audio.metering` says the same of pieces of whole hops."""

    def __init__(self) -> None:
        self._stretch: tuple[int, tuple[str, ...]] = (0, ())
        self._weighting: KWeighting | None = None
        self._weights: NDArray[np.float64] = np.zeros(0)
        self._hop = 0  # samples
        self._begun: NDArray[np.float64] = np.zeros(0)  # energy of each channel in a hop that is not whole yet
        self._begun_samples = 0
        self._energies: list[NDArray[np.float64]] = []

    def add(self, samples: Samples, frame: Any) -> None:
        """The next piece.

        Args:
            samples: Shape ``(channels, time)``, as stored.
            frame: FFmpeg's, which knows the rate and the channels' names.
        """
        stretch = (int(frame.sample_rate), tuple(channel.name for channel in frame.layout.channels))
        if self._weighting is None or stretch != self._stretch:
            self._begin(*stretch)
        assert self._weighting
        if not np.vdot(samples, samples) < _HIGHEST**2:  # one look at all; true where one is not a number, too
            samples = np.clip(np.nan_to_num(samples, posinf=1.0, neginf=-1.0), -_HIGHEST, _HIGHEST)
        weighted = self._weighting.weighted(samples)
        missing = min(self._hop - self._begun_samples, weighted.shape[1])
        self._collect(weighted[:, :missing])
        rest = weighted[:, missing:]
        hops = rest.shape[1] // self._hop
        whole = rest[:, : hops * self._hop].reshape(len(rest), hops, self._hop)
        self._energies.append(self._weights @ np.einsum("cht,cht->ch", whole, whole) / self._hop)
        self._collect(rest[:, hops * self._hop :])

    def lufs(self) -> float | None:
        """Integrated loudness of all so far; None as `earmark.audio.loudness.integrated_lufs` says."""
        return integrated_lufs(self._energies)

    def _begin(self, rate_hz: int, channels: tuple[str, ...]) -> None:
        self._weighting, self._stretch = KWeighting(rate_hz, channels), (rate_hz, channels)
        self._weights, self._hop = channel_weights(channels), round(rate_hz / _HOPS_A_SECOND)
        self._begun, self._begun_samples = np.zeros(len(channels)), 0

    def _collect(self, weighted: Samples) -> None:
        """Part of one hop."""
        self._begun += np.einsum("ct,ct->c", weighted, weighted)
        self._begun_samples += weighted.shape[1]
        if self._begun_samples == self._hop:
            self._energies.append(np.atleast_1d(self._weights @ self._begun / self._hop))
            self._begun, self._begun_samples = np.zeros_like(self._begun), 0
