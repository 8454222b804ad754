"""Encoder: a frozen model that turns a waveform into one vector, and carries its own front-end.

What others learnt from a million songs is worth more to a catalogue of a few hundred than anything that these could
teach: on the vectors, a small model is fitted within seconds (Hamel et al., "Transfer learning in MIR: sharing learned
latent representations for music audio classification and similarity", ISMIR 2013).

An encoder's folder holds ``encoder.json`` and ``weights.pt``, a plain dictionary of tensors.
"""

import hashlib
import io
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from earmark.audio.encoding import Encoding
from earmark.errors import ModelError
from earmark.files import replacing, write_json

FORMAT = 1
ABOUT, WEIGHTS = "encoder.json", "weights.pt"


@dataclass(frozen=True, eq=False)
class Encoder(ABC):
    """What every encoder can do.

    Attributes:
        trained_on: Content hashes of the recordings that it was fitted to, as far as they are known: what it has heard
            is no fair test of what stands on it.
        labelled: Whether it was told their labels. One that only listened to them still hears them much as any others,
            which is good enough for calibration, but not for a test.
    """

    trained_on: frozenset[str]
    labelled: bool = field(default=True, kw_only=True)

    kind: ClassVar[str]
    version: ClassVar[int]  # raised when the arithmetic changes, so that old cache entries are not taken for new ones

    @property
    @abstractmethod
    def sample_rate_hz(self) -> int:
        """Of the waveforms that `encode` takes."""

    @property
    @abstractmethod
    def dims(self) -> int:
        """Length of the vectors."""

    @abstractmethod
    def encode(self, waveform: Tensor) -> NDArray[np.float32]:
        """The vector of a mono waveform ``(time,)`` at `sample_rate_hz`, shape ``(dims,)``."""

    @cached_property
    def digest(self) -> str:
        """Names weights and arithmetic: equal digests, equal vectors."""
        told = hashlib.sha256(json.dumps([self.kind, self.version, self._settings()], sort_keys=True).encode())
        for name, values in sorted(self._weights().items()):
            told.update(f"{name} {tuple(values.shape)} {values.dtype}".encode())
            told.update(values.detach().cpu().contiguous().numpy().tobytes())
        return told.hexdigest()[:16]

    def encoding(self, sample_rate_hz: int) -> Encoding:
        """This encoder, as the cache knows it, for waveforms of any rate; those of another are resampled first."""
        return Encoding(self.digest, self.dims, sample_rate_hz, partial(self._resampled, sample_rate_hz=sample_rate_hz))

    def _resampled(self, waveform: Tensor, *, sample_rate_hz: int) -> NDArray[np.float32]:
        from torchaudio.functional import resample

        if sample_rate_hz != self.sample_rate_hz:
            waveform = resample(waveform, sample_rate_hz, self.sample_rate_hz)
        return self.encode(waveform)

    def save(self, folder: Path) -> None:
        """Write the encoder's folder, weights first: a folder with an ``encoder.json`` is whole."""
        content = io.BytesIO()  # given a path, torch writes the file's name into it, and the bytes would differ
        torch.save({name: value.detach().cpu().contiguous() for name, value in self._weights().items()}, content)
        with replacing(folder / WEIGHTS) as part:
            part.write_bytes(content.getvalue())
        about = {"format": FORMAT, "kind": self.kind, "digest": self.digest, **self._settings()}
        write_json(folder / ABOUT, {**about, "labelled": self.labelled, "trained_on": sorted(self.trained_on)})

    @abstractmethod
    def _settings(self) -> dict[str, Any]:
        """What it needs besides its weights, as plain values."""

    @abstractmethod
    def _weights(self) -> Mapping[str, Tensor]: ...

    @classmethod
    @abstractmethod
    def load(cls, about: dict[str, Any], weights: dict[str, Tensor]) -> Self:
        """Of what `save` wrote; called by `earmark.model.encoders.loading.load_encoder`."""


def read_weights(file: Path) -> Any:
    """What `torch.save` wrote, as long as it is tensors in plain containers.

    Raises:
        ModelError: It is missing, or damaged, or holds anything else.
    """
    try:
        return torch.load(file, weights_only=True, map_location="cpu")
    except Exception as error:  # torch meets rubbish with many kinds: IndexError, KeyError, UnpicklingError …
        said = str(error).partition("\n")[0] or type(error).__name__
        raise ModelError(
            f"{file} cannot be read as weights: {said}. It is missing, cut off, or another file: bring it again."
        ) from error


def fill(module: torch.nn.Module, weights: Mapping[str, Tensor], *, where: str) -> None:
    """Give ``module`` exactly these weights, for good: in evaluation mode, and without gradients.

    Raises:
        ModelError: One is missing, is too many, or has another shape.
    """
    own = module.state_dict()
    wrong = sorted(own.keys() ^ weights.keys())
    wrong += [
        f"{name} {tuple(weights[name].shape)} for {tuple(own[name].shape)}"
        for name in own.keys() & weights.keys()
        if own[name].shape != weights[name].shape
    ]
    if wrong:
        raise ModelError(
            f"The weights in {where} are not those of this encoder: {', '.join(wrong[:5])}"
            f"{', …' if len(wrong) > 5 else ''}. The file is of another version, or damaged: bring it again."
        )
    module.load_state_dict(dict(weights))
    module.eval().requires_grad_(False)
