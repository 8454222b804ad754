"""The feature cache: each recording's log-mel and descriptors, computed once and found again by content.

An entry is a ``.npy`` file under ``<hash of the settings>/<content hash>``. It is a cache, not data: what is missing or
damaged is computed again, and an entry appears in one step, so that a killed process or a second one beside it does no
harm.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from earmark.audio.decode import decode
from earmark.audio.descriptors import DESCRIPTORS_VERSION, descriptor_names
from earmark.audio.spectrogram import LogMel, frontend_hash
from earmark.files import replacing
from earmark.params import Frontend

LogMelArray = NDArray[np.float16]


class Extractor:
    """Recordings to log-mel arrays. Everybody takes this door, so that training and serving hear the same numbers."""

    def __init__(self, frontend: Frontend) -> None:
        self.frontend = frontend
        self._log_mel = LogMel(frontend)

    def waveform(self, source: Path | bytes) -> Tensor:
        """Decoded, mixed to mono and resampled to the front-end's rate: shape ``(time,)``.

        Raises:
            AudioError: The source cannot be decoded.
        """
        return decode(source, sample_rate_hz=self.frontend.sample_rate_hz, mono=True).waveform[0]

    def log_mel(self, waveform: Tensor) -> LogMelArray:
        """Log-mel of a mono waveform ``(time,)`` at the front-end's rate, shape ``(frames, mels)``.

        Raises:
            AudioError: The waveform is shorter than one window.
        """
        with torch.inference_mode():
            values = self._log_mel(waveform).T.contiguous().to(torch.float16)
        return np.asarray(values.numpy())


class _ArrayCache:
    """Arrays on disk, by content hash, under one key."""

    def __init__(self, folder: Path, key: str) -> None:
        self.key = key
        self.folder = folder / key

    def path(self, content_hash: str) -> Path:
        """Where the entry of this recording lies, or will lie."""
        return self.folder / content_hash[:2] / f"{content_hash}.npy"

    def _load(self, content_hash: str, dtype: type, shape: tuple[int | None, ...]) -> NDArray[Any] | None:
        """The entry, mapped into memory; None where it is missing, damaged, or not of this type and shape."""
        try:
            entry = np.load(self.path(content_hash), mmap_mode="r")
        except (OSError, ValueError, EOFError):
            return None
        fits = len(entry.shape) == len(shape) and all(
            want in (None, have) for want, have in zip(shape, entry.shape, strict=True)
        )
        return entry if fits and entry.dtype == dtype and entry.size else None

    def _store(self, content_hash: str, entry: NDArray[Any]) -> None:
        with replacing(self.path(content_hash)) as part, part.open("wb") as file:
            np.save(file, entry)


class DescriptorCache(_ArrayCache):
    """Descriptors on disk, shape ``(descriptors,)`` an entry."""

    def __init__(self, folder: Path, sample_rate_hz: int) -> None:
        super().__init__(folder, f"descriptors-{DESCRIPTORS_VERSION}-{sample_rate_hz}")

    def open(self, content_hash: str) -> NDArray[np.float64] | None:
        """The entry; None where it is missing or damaged."""
        return self._load(content_hash, np.float64, (len(descriptor_names()),))

    def store(self, content_hash: str, descriptors: NDArray[np.float64]) -> None:
        """Keep an entry, in one step."""
        self._store(content_hash, descriptors)


class FeatureCache(_ArrayCache):
    """Log-mel arrays on disk, shape ``(frames, mels)`` an entry."""

    def __init__(self, folder: Path, frontend: Frontend) -> None:
        super().__init__(folder, frontend_hash(frontend))
        self.frontend = frontend
        self._extractor: Extractor | None = None

    def open(self, content_hash: str) -> LogMelArray | None:
        """The entry, mapped into memory; None where it is missing or damaged."""
        return self._load(content_hash, np.float16, (None, self.frontend.mels))

    def store(self, content_hash: str, log_mel: LogMelArray) -> None:
        """Keep an entry, in one step."""
        self._store(content_hash, log_mel)

    def get(self, content_hash: str, audio: Path) -> LogMelArray:
        """The entry; computed from ``audio`` and stored where it is missing or damaged.

        Raises:
            AudioError: It has to be computed and ``audio`` cannot be decoded.
        """
        if (found := self.open(content_hash)) is not None:
            return found
        self._extractor = self._extractor or Extractor(self.frontend)
        log_mel = self._extractor.log_mel(self._extractor.waveform(audio))
        self.store(content_hash, log_mel)
        return log_mel
