"""Predictor: the one object that turns a waveform into a `Prediction`.

Evaluation, comparison, the command line and the service all call it, and its folder carries all it needs (front-end
settings, labels, weights, what it was trained on), so that training and serving cannot disagree.

A predictor's folder holds ``predictor.json`` and the weights: ``network.pt`` or ``forest.joblib``.
"""

import io
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
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
from earmark.model.prediction import GenreProbability, Prediction, TagShare
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
        tags: The tags it was taught, in the order of their shares.
    """

    labels: tuple[str, ...]
    frontend: Frontend
    trained_on: frozenset[str]
    data_hash: str
    tags: tuple[str, ...] = field(default=(), kw_only=True)

    kind: ClassVar[str]
    minimum_seconds: ClassVar[float] = 1.0  # less than this says nothing about a piece of music

    def predict(self, waveform: Tensor) -> Prediction:
        """The answer for one mono waveform, shape ``(time,)``, at ``frontend.sample_rate_hz``.

        Raises:
            AudioError: It is shorter than ``minimum_seconds``.
        """
        self._check(waveform)
        probabilities, shares = self._answer(waveform)
        order = np.argsort(-probabilities, kind="stable")
        return Prediction(
            genres=tuple(GenreProbability(self.labels[i], float(probabilities[i])) for i in order),
            heard_seconds=self.heard_seconds(waveform),
            tags=tuple(TagShare(self.tags[i], float(shares[i])) for i in np.argsort(-shares, kind="stable")),
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
        return np.stack([self._answer(waveform)[0] for waveform in waveforms])

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
                "tags": list(self.tags),
                **self._settings(),
                "trained_on": sorted(self.trained_on),
            },
        )

    @abstractmethod
    def _answer(self, waveform: Tensor) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Genre probabilities, shape ``(labels,)``, and shares of the tags, shape ``(tags,)``."""

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
        """Genre probabilities, shape ``(labels,)``, of one recording's log-mel, shape ``(frames, mels)``."""
        return self.answer_of_log_mel(log_mel)[0]

    def answer_of_log_mel(self, log_mel: LogMelArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Genre probabilities ``(labels,)`` and shares of the tags ``(tags,)`` of one log-mel ``(frames, mels)``.

        The excerpts' answers are combined as the geometric mean of their probabilities, normalised; of the tags as the
        mean of their shares.
        """
        frames = frames_of(self.size.excerpt_seconds, self.frontend)
        excerpts = torch.from_numpy(spread(log_mel, frames=frames, count=self.size.excerpts)).transpose(1, 2)
        with torch.inference_mode():
            logits, tags = self.network.heads(excerpts.float())
            answer = logits.log_softmax(dim=1).mean(dim=0).double().softmax(dim=0)
            shares = tags.sigmoid().mean(dim=0).double()
        return np.asarray(answer.numpy(), dtype=np.float64), np.asarray(shares.numpy(), dtype=np.float64)

    def heard_seconds(self, waveform: Tensor) -> float:
        """How much of the waveform the excerpts cover; where they overlap it counts once."""
        return min(self._seconds(waveform), self.size.excerpts * self.size.excerpt_seconds)

    def _answer(self, waveform: Tensor) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return self.answer_of_log_mel(self.extractor.log_mel(waveform))

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
    tag_forest: Any = None  # sklearn.ensemble.RandomForestRegressor, an output for each tag

    kind = "forest"

    def probabilities_of_descriptors(self, descriptors: NDArray[np.float64]) -> NDArray[np.float64]:
        """Genre probabilities, shape ``(tracks, labels)``, of descriptors, shape ``(tracks, descriptors)``."""
        return np.asarray(self.forest.predict_proba(descriptors), dtype=np.float64)

    def shares_of_descriptors(self, descriptors: NDArray[np.float64]) -> NDArray[np.float64]:
        """Shares of the tags, shape ``(tracks, tags)``, of descriptors, shape ``(tracks, descriptors)``."""
        if self.tag_forest is None:
            return np.zeros((len(descriptors), 0))
        return np.asarray(self.tag_forest.predict(descriptors), dtype=np.float64).reshape(len(descriptors), -1)

    def _answer(self, waveform: Tensor) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        descriptors = describe(waveform, self.frontend.sample_rate_hz)[np.newaxis]
        return self.probabilities_of_descriptors(descriptors)[0], self.shares_of_descriptors(descriptors)[0]

    def _settings(self) -> dict[str, Any]:
        return {}

    def _save_weights(self, folder: Path) -> None:
        import joblib

        with replacing(folder / "forest.joblib") as part:
            joblib.dump((self.forest, self.tag_forest) if self.tags else self.forest, part, compress=3)


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
        "tags": tuple(about.get("tags", ())),
    }
    try:
        if about["kind"] == "network":
            size = from_dict(Network, about["network"], where=f"{folder}/predictor.json: network")
            network = GenreNetwork(
                size, mels=common["frontend"].mels, classes=len(common["labels"]), tags=len(common["tags"])
            )
            network.load_state_dict(torch.load(folder / "network.pt", weights_only=True, map_location="cpu"))
            return NetworkPredictor(**common, network=network.eval(), size=size)
        import joblib

        forest = joblib.load(folder / "forest.joblib")
        forest, tag_forest = forest if common["tags"] else (forest, None)
        return ForestPredictor(**common, forest=forest, tag_forest=tag_forest)
    except (FileNotFoundError, RuntimeError, EOFError) as error:
        raise ModelError(
            f"The weights in {folder} cannot be read: {error}. `dvc checkout` or training mends it."
        ) from error
