"""Predictor: the one object that turns a waveform into a `Prediction`.

Evaluation, comparison, the command line and the service all call it, and its folder carries all it needs (front-end
settings, labels, weights, what it was trained on), so that training and serving cannot disagree.

A predictor's folder holds ``predictor.json`` and the weights: ``network.pt`` or ``forest.joblib``.
"""

import io
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from earmark.audio.descriptors import describe
from earmark.audio.features import Extractor, LogMelArray
from earmark.audio.spectrogram import frames_of
from earmark.errors import AudioError, ModelError
from earmark.files import read_json, replacing, write_json
from earmark.model.excerpts import spread
from earmark.model.network import GenreNetwork
from earmark.model.prediction import GenreProbability, Prediction
from earmark.params import Frontend, Network, from_dict, to_dict

FORMAT = 1


@dataclass(frozen=True)
class Predictor(ABC):
    """What a trained model of any kind can do.

    Attributes:
        labels: The genres, in the order of the probabilities.
        frontend: How waveforms become spectrograms; waveforms are expected at ``frontend.sample_rate_hz``.
        trained_on: Content hashes of the recordings it was fitted to.
        data_hash: Names the data it was fitted to: the training part's tracks and labels.
    """

    labels: tuple[str, ...]
    frontend: Frontend
    trained_on: frozenset[str]
    data_hash: str

    kind: ClassVar[str]
    minimum_seconds: ClassVar[float] = 1.0  # less than this says nothing about a piece of music

    def predict(self, waveform: Tensor) -> Prediction:
        """The answer for one mono waveform, shape ``(time,)``, at ``frontend.sample_rate_hz``.

        Raises:
            AudioError: It is shorter than ``minimum_seconds``.
        """
        probabilities = self.probabilities([waveform])[0]
        order = np.argsort(-probabilities, kind="stable")
        return Prediction(
            genres=tuple(GenreProbability(self.labels[i], float(probabilities[i])) for i in order),
            heard_seconds=self.heard_seconds(waveform),
        )

    @cached_property
    def extractor(self) -> Extractor:
        """Waveforms to spectrograms, with this model's front-end."""
        return Extractor(self.frontend)

    def probabilities(self, waveforms: Sequence[Tensor]) -> NDArray[np.float64]:
        """Genre probabilities of mono waveforms ``(time,)``, shape ``(tracks, labels)``; each row sums to 1.

        Raises:
            AudioError: One is shorter than ``minimum_seconds``.
        """
        for waveform in waveforms:
            self._check(waveform)
        return np.stack([self._probabilities(waveform) for waveform in waveforms])

    def heard_seconds(self, waveform: Tensor) -> float:
        """How much of the waveform is listened to."""
        return self._seconds(waveform)

    def save(self, folder: Path) -> None:
        """Write the predictor's folder, weights first: a folder with a ``predictor.json`` is whole."""
        self._save_weights(folder)
        write_json(
            folder / "predictor.json",
            {
                "format": FORMAT,
                "kind": self.kind,
                "labels": list(self.labels),
                "frontend": to_dict(self.frontend),
                "data_hash": self.data_hash,
                **self._settings(),
                "trained_on": sorted(self.trained_on),
            },
        )

    @abstractmethod
    def _probabilities(self, waveform: Tensor) -> NDArray[np.float64]:
        """Shape ``(labels,)``."""

    @abstractmethod
    def _settings(self) -> dict[str, Any]:
        """What this kind needs besides, as plain values."""

    @abstractmethod
    def _save_weights(self, folder: Path) -> None: ...

    def _seconds(self, waveform: Tensor) -> float:
        return waveform.shape[-1] / self.frontend.sample_rate_hz

    def _check(self, waveform: Tensor) -> None:
        if waveform.ndim != 1:
            raise ModelError(
                f"A waveform of shape (time,) is needed, mono; this one has shape {tuple(waveform.shape)}."
            )
        if self._seconds(waveform) < self.minimum_seconds:
            raise AudioError(
                f"The recording lasts {self._seconds(waveform):.2f} s; the model needs at least "
                f"{self.minimum_seconds:.2f} s. Send a longer excerpt, or check that the file is not cut off."
            )


@dataclass(frozen=True)
class NetworkPredictor(Predictor):
    """The convolutional network, heard in ``size.excerpts`` excerpts spread evenly over the recording."""

    network: GenreNetwork
    size: Network

    kind = "network"

    def probabilities_of_log_mel(self, log_mel: LogMelArray) -> NDArray[np.float64]:
        """Genre probabilities, shape ``(labels,)``, of one recording's log-mel, shape ``(frames, mels)``.

        The excerpts' answers are combined as the geometric mean of their probabilities, normalised.
        """
        frames = frames_of(self.size.excerpt_seconds, self.frontend)
        excerpts = torch.from_numpy(spread(log_mel, frames=frames, count=self.size.excerpts)).transpose(1, 2)
        with torch.inference_mode():
            logits = self.network(excerpts.float())
            answer = logits.log_softmax(dim=1).mean(dim=0).double().softmax(dim=0)
        return np.asarray(answer.numpy(), dtype=np.float64)

    def heard_seconds(self, waveform: Tensor) -> float:
        """How much of the waveform the excerpts cover; where they overlap it counts once."""
        return min(self._seconds(waveform), self.size.excerpts * self.size.excerpt_seconds)

    def _probabilities(self, waveform: Tensor) -> NDArray[np.float64]:
        return self.probabilities_of_log_mel(self.extractor.log_mel(waveform))

    def _settings(self) -> dict[str, Any]:
        return {"network": to_dict(self.size)}

    def _save_weights(self, folder: Path) -> None:
        # By way of memory: given a path, torch writes the file's name into it, and equal weights would differ in bytes.
        content = io.BytesIO()
        torch.save(self.network.state_dict(), content)
        with replacing(folder / "network.pt") as part:
            part.write_bytes(content.getvalue())


@dataclass(frozen=True)
class ForestPredictor(Predictor):
    """The random forest on descriptors of the whole recording."""

    forest: Any  # sklearn.ensemble.RandomForestClassifier, classes 0 … len(labels) − 1

    kind = "forest"

    def probabilities_of_descriptors(self, descriptors: NDArray[np.float64]) -> NDArray[np.float64]:
        """Genre probabilities, shape ``(tracks, labels)``, of descriptors, shape ``(tracks, descriptors)``."""
        return np.asarray(self.forest.predict_proba(descriptors), dtype=np.float64)

    def _probabilities(self, waveform: Tensor) -> NDArray[np.float64]:
        descriptors = describe(waveform, self.frontend.sample_rate_hz)
        return np.asarray(self.probabilities_of_descriptors(descriptors[np.newaxis])[0])

    def _settings(self) -> dict[str, Any]:
        return {}

    def _save_weights(self, folder: Path) -> None:
        import joblib

        with replacing(folder / "forest.joblib") as part:
            joblib.dump(self.forest, part, compress=3)


def load_predictor(folder: Path) -> NetworkPredictor | ForestPredictor:
    """Read a predictor's folder. Only load what your own team wrote: a forest's file is a pickle.

    Raises:
        ModelError: The folder is missing or incomplete, or was written by another version.
    """
    try:
        about = read_json(folder / "predictor.json")
    except FileNotFoundError:
        raise ModelError(
            f"{folder} holds no predictor (no predictor.json). `dvc repro` or `dvc pull` makes one."
        ) from None
    if about.get("format") != FORMAT:
        raise ModelError(f"{folder} has format {about.get('format')}; this earmark reads {FORMAT}. Train it again.")
    common: dict[str, Any] = {
        "labels": tuple(about["labels"]),
        "frontend": from_dict(Frontend, about["frontend"], where=f"{folder}/predictor.json: frontend"),
        "trained_on": frozenset(about["trained_on"]),
        "data_hash": about["data_hash"],
    }
    try:
        if about["kind"] == "network":
            size = from_dict(Network, about["network"], where=f"{folder}/predictor.json: network")
            network = GenreNetwork(size, mels=common["frontend"].mels, classes=len(common["labels"]))
            network.load_state_dict(torch.load(folder / "network.pt", weights_only=True, map_location="cpu"))
            return NetworkPredictor(**common, network=network.eval(), size=size)
        import joblib

        return ForestPredictor(**common, forest=joblib.load(folder / "forest.joblib"))
    except (FileNotFoundError, RuntimeError, EOFError) as error:
        raise ModelError(
            f"The weights in {folder} cannot be read: {error}. `dvc checkout` or training mends it."
        ) from error
