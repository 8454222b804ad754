"""The feature cache: each recording's log-mel and descriptors, computed once and found again by content."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from earmark.audio.accepted import waveform_of
from earmark.audio.array_cache import ArrayCache
from earmark.audio.descriptors import DESCRIPTORS_VERSION, descriptor_names
from earmark.audio.shared_cache import SharedCache
from earmark.audio.spectrogram import LogMel, frontend_hash
from earmark.params import Frontend

LogMelArray = NDArray[np.float16]
Audio = Callable[[], Path | bytes]  # asked only where the audio is needed: bringing it may take a while


class Extractor:
    """Waveforms to log-mel arrays. Everybody takes this door, so that training and serving hear the same numbers.

    Args:
        frontend: How.
        device: Where the spectrograms are computed.
    """

    def __init__(self, frontend: Frontend, device: str = "cpu") -> None:
        self.frontend = frontend
        self.device = device
        self._log_mel = LogMel(frontend).to(device)

    def log_mel(self, waveform: Tensor) -> LogMelArray:
        """Log-mel of a mono waveform ``(time,)`` at the front-end's rate, shape ``(frames, mels)``.

        Raises:
            AudioError: The waveform is shorter than one window.
        """
        return self.log_mels([waveform])[0]

    def log_mels(self, waveforms: Sequence[Tensor]) -> list[LogMelArray]:
        """As `log_mel`, of several at once; they should be of similar length, as the shorter are padded.

        Raises:
            AudioError: A waveform is shorter than one window.
        """
        with torch.inference_mode():
            log_mels = self._log_mel.batch([waveform.to(self.device) for waveform in waveforms])
            return [np.asarray(log_mel.to(torch.float16).cpu().numpy()) for log_mel in log_mels]


class DescriptorCache(ArrayCache):
    """Descriptors on disk, shape ``(descriptors,)`` an entry."""

    def __init__(self, folder: Path, sample_rate_hz: int, shared: SharedCache | None = None) -> None:
        key = f"descriptors-{DESCRIPTORS_VERSION}-{sample_rate_hz}"
        super().__init__(folder, key, np.float64, (len(descriptor_names()),), shared)


class FeatureCache(ArrayCache):
    """Log-mel arrays on disk, shape ``(frames, mels)`` an entry."""

    def __init__(self, folder: Path, frontend: Frontend, shared: SharedCache | None = None) -> None:
        super().__init__(folder, frontend_hash(frontend), np.float16, (None, frontend.mels), shared)
        self.frontend = frontend
        self._extractor: Extractor | None = None

    def get(self, content_hash: str, audio: Audio) -> LogMelArray:
        """The entry; computed from ``audio`` and stored where it is missing or damaged.

        Raises:
            AudioError: It has to be computed and ``audio`` cannot be decoded.
        """
        found = self.open(content_hash)
        if found is None and (found := self.fetch(content_hash)) is None:
            self._extractor = self._extractor or Extractor(self.frontend)
            found = self._extractor.log_mel(waveform_of(audio(), self.frontend.sample_rate_hz))
            self.store(content_hash, found)
        return found
