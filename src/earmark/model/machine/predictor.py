"""Kernel machines as a predictor: on descriptors, and on what a frozen encoder hears, which its folder carries."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np

from earmark.errors import ModelError
from earmark.files import replacing
from earmark.model.answers import Answers, Floats, Inputs
from earmark.model.encoders.encoder import Encoder
from earmark.model.encoders.loading import load_encoder
from earmark.model.machine.machine import KernelMachine
from earmark.model.predictor import Predictor

_ENCODER = "encoder"


@dataclass(frozen=True)
class MachinePredictor(Predictor):
    """Kernel machines; the embedding is the standardised encoding, or descriptors where there is none.

    Attributes:
        machine: Fitted to descriptors, and to encodings where there is an encoder.
        encoder: None: descriptors alone.
    """

    machine: KernelMachine
    encoder: Encoder | None = field(default=None, kw_only=True)

    kind = "machine"
    needs_descriptors = True

    def raw(self, inputs: Sequence[Inputs]) -> Answers:
        """As `Predictor.raw`, of descriptors, and of encodings where there is an encoder."""
        descriptors = [each.descriptors for each in inputs if each.descriptors is not None]
        encoded = [each.encoded for each in inputs if each.encoded is not None]
        if len(descriptors) < len(inputs) or (self.encoder is not None and len(encoded) < len(inputs)):
            needed = "descriptors" + (" and an encoding" if self.encoder is not None else "")
            raise ModelError(f"This machine answers by {needed}; a recording comes without.")
        return self.machine(blocks_of(np.stack(descriptors), np.stack(encoded) if self.encoder is not None else None))

    def _settings(self) -> dict[str, Any]:
        digest = None if self.encoder is None else self.encoder.digest
        return {"encoder": digest, "chosen": self.machine.settings, "losses": self.machine.losses}

    def _save_weights(self, folder: Path) -> None:
        import joblib

        shutil.rmtree(folder / _ENCODER, ignore_errors=True)
        if self.encoder is not None:
            self.encoder.save(folder / _ENCODER)
        with replacing(folder / "machine.joblib") as part:
            joblib.dump(self.machine.plain(), part, compress=3)

    @classmethod
    def load(cls, folder: Path, about: dict[str, Any], common: dict[str, Any], device: str) -> Self:
        """From a folder; called by `earmark.model.predictor.load_predictor`."""
        import joblib

        encoder = None if about["encoder"] is None else load_encoder(folder / _ENCODER)
        return cls(**common, machine=KernelMachine.of(joblib.load(folder / "machine.joblib")), encoder=encoder)


def blocks_of(descriptors: Floats, encoded: Any) -> list[Floats]:
    """What a machine is fitted to and asked by, in its order; ``encoded`` of shape ``(tracks, dims)``, or None."""
    return [descriptors] if encoded is None else [descriptors, np.asarray(encoded, dtype=np.float64)]
