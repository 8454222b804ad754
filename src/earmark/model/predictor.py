"""Predictor: the one object that turns a waveform into a `Prediction`.

Evaluation, comparison, the command line and the service all call it, and its folder carries all it needs (front-end
settings, labels, weights, calibration, what it was trained on), so that training and serving cannot disagree.

A predictor's folder holds ``predictor.json``, the weights, and ``calibration.json`` where it knows how sure it is.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from earmark.audio.descriptors import describe
from earmark.audio.encoding import Encoding
from earmark.audio.features import Extractor
from earmark.errors import AudioError, ModelError
from earmark.files import read_json, write_json
from earmark.model.answers import Answers, Floats, Inputs
from earmark.model.calibration.calibration import Calibration, load
from earmark.model.encoders.encoder import Encoder
from earmark.model.prediction import GenreProbability, Prediction, TagShare
from earmark.params import Frontend, from_dict, to_dict

if TYPE_CHECKING:
    from earmark.model.network.predictor import NetworkPredictor

FORMAT = 2
LIKED, DISLIKED = "appeal---like", "appeal---dislike"  # tags: the share of listeners that like it, that do not
UNLIKE = 0.01  # below this p-value a recording is called unlike anything in training


@dataclass(frozen=True, eq=False)
class Told:
    """What is said of one recording, and where it lies among the others.

    Attributes:
        prediction: The answer.
        embedding: Shape ``(dims,)``.
    """

    prediction: Prediction
    embedding: Floats


@dataclass(frozen=True)
class Predictor(ABC):
    """What a trained model of any kind can do.

    Attributes:
        labels: The genres, in the order of the probabilities.
        frontend: How waveforms become spectrograms; waveforms are expected at ``frontend.sample_rate_hz``.
        trained_on: Content hashes of the recordings it was fitted to, those included that it was calibrated on.
        data_hash: Names the data it was fitted to and held against: tracks, labels, tags.
        tags: The tags it was taught, in the order of their shares.
        calibration: How sure it is; None before it has been calibrated.
    """

    labels: tuple[str, ...]
    frontend: Frontend
    trained_on: frozenset[str]
    data_hash: str
    tags: tuple[str, ...] = field(default=(), kw_only=True)
    calibration: Calibration | None = field(default=None, kw_only=True)

    kind: ClassVar[str]
    needs_log_mel: ClassVar[bool] = False
    needs_descriptors: ClassVar[bool] = False
    minimum_seconds: ClassVar[float] = 1.0  # less than this says nothing about a piece of music

    @property
    def encoder(self) -> Encoder | None:
        """The frozen model that it stands on; None where it hears all by itself."""
        return None

    @property
    def needs_encoded(self) -> bool:
        """Whether it answers by what an encoder hears."""
        return self.encoder is not None

    @property
    def encoding(self) -> Encoding | None:
        """Its encoder, as the feature cache knows it."""
        return None if self.encoder is None else self.encoder.encoding(self.frontend.sample_rate_hz)

    @property
    def network(self) -> "NetworkPredictor | None":
        """The networks that it asks: itself, or a part of it; None where it asks none."""
        return None

    def predict(self, waveform: Tensor) -> Prediction:
        """The answer for one mono waveform, shape ``(time,)``, at ``frontend.sample_rate_hz``.

        Raises:
            AudioError: It is shorter than ``minimum_seconds``.
        """
        return self.tell(self.inputs(waveform)).prediction

    def tell(self, inputs: Inputs) -> Told:
        """The answer for one recording, by its `inputs`; what is told already is not computed again.

        Raises:
            ModelError: The inputs lack something.
        """
        return self.tell_all([inputs])[0]

    def tell_all(self, inputs: Sequence[Inputs]) -> list[Told]:
        """As `tell`, of several recordings at once, which costs less than one after the other."""
        if not inputs:
            return []
        if any(each.seconds is None for each in inputs):
            raise ModelError("How long a recording is has to be among its inputs; `Predictor.inputs` puts it there.")
        seconds = [float(each.seconds or 0.0) for each in inputs]
        network = self.network
        asked = inputs if network is None else network.asked(inputs)
        answers = self.answers(asked)
        predictions = self.predictions(answers, [self.heard_of(each) for each in seconds])
        if network is not None:
            moments = map(network.moments, asked)
            predictions = [replace(each, moments=own) for each, own in zip(predictions, moments, strict=True)]
        return [Told(*told) for told in zip(predictions, answers.embeddings, strict=True)]

    def predictions(self, answers: Answers, heard_seconds: Sequence[float]) -> list[Prediction]:
        """What is said of recordings, by their `answers` and how much of each was heard."""
        sure = None if self.calibration is None else _Sure(self.calibration, answers)
        return [self._prediction(answers, row, seconds, sure) for row, seconds in enumerate(heard_seconds)]

    def inputs(self, waveform: Tensor) -> Inputs:
        """What this model needs of a mono waveform, shape ``(time,)``.

        Raises:
            AudioError: It is shorter than ``minimum_seconds``.
        """
        self._check(waveform)
        return Inputs(
            log_mel=self.extractor.log_mel(waveform) if self.needs_log_mel else None,
            descriptors=describe(waveform, self.frontend.sample_rate_hz) if self.needs_descriptors else None,
            encoded=None if self.encoding is None else self.encoding.encode(waveform),
            seconds=self._seconds(waveform),
        )

    def answers(self, inputs: Sequence[Inputs]) -> Answers:
        """Calibrated answers: probabilities that come true as often as they say, and shares without a slant."""
        raw, sure = self.raw(inputs), self.calibration
        return (
            raw if sure is None else replace(raw, genres=sure.probabilities(raw.genres), shares=sure.shares(raw.shares))
        )

    @abstractmethod
    def raw(self, inputs: Sequence[Inputs]) -> Answers:
        """Answers before calibration."""

    @cached_property
    def extractor(self) -> Extractor:
        """Waveforms to spectrograms, with this model's front-end."""
        return Extractor(self.frontend)

    def probabilities(self, waveforms: Sequence[Tensor]) -> NDArray[np.float64]:
        """Genre probabilities of mono waveforms ``(time,)``, shape ``(tracks, labels)``; each row sums to 1.

        Raises:
            AudioError: One is shorter than ``minimum_seconds``.
        """
        return self.answers([self.inputs(waveform) for waveform in waveforms]).genres

    def heard_seconds(self, waveform: Tensor) -> float:
        """How much of the waveform is listened to."""
        return self.heard_of(self._seconds(waveform))

    def heard_of(self, seconds: float) -> float:
        """How much is listened to of a recording that lasts so long."""
        return seconds

    def save(self, folder: Path) -> None:
        """Write the predictor's folder, weights first: a folder with a ``predictor.json`` is whole."""
        folder.mkdir(parents=True, exist_ok=True)
        self._save_weights(folder)
        if self.calibration is not None:
            self.calibration.save(folder)
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
    def _settings(self) -> dict[str, Any]:
        """What this kind needs besides, as plain values."""

    @abstractmethod
    def _save_weights(self, folder: Path) -> None: ...

    def _prediction(self, answers: Answers, row: int, heard_seconds: float, sure: "_Sure | None") -> Prediction:
        probabilities, shares = answers.genres[row], answers.shares[row]
        tags = tuple(
            TagShare(float(shares[i]), *(sure.interval(row, i) if sure else (None, None)), tag=self.tags[i])
            for i in np.argsort(-shares, kind="stable")
        )
        order = np.argsort(-probabilities, kind="stable")
        told = Prediction(
            genres=tuple(GenreProbability(self.labels[i], float(probabilities[i])) for i in order),
            heard_seconds=heard_seconds,
            tags=tags,
            appeal=next((tag for tag in tags if tag.tag == LIKED), None),
        )
        if sure is None:
            return told
        warnings = []
        if sure.unfamiliar is not None and sure.unfamiliar[row]:
            warnings.append("This recording is unlike anything that the model was trained on; its answer is a guess.")
        if sure.abstains[row]:
            warnings.append(
                f"The model is too unsure to say what this is: {probabilities.max():.0%} for its best guess."
            )
        return replace(
            told,
            genre_set=tuple(self.labels[i] for i in order if sure.sets[row, i]),
            coverage=sure.coverage,
            abstains=bool(sure.abstains[row]),
            unlike=None if sure.unlike is None else float(sure.unlike[row]),
            warnings=tuple(warnings),
        )

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


class _Sure:
    """How sure the calibrated answers to some recordings are."""

    def __init__(self, calibration: Calibration, answers: Answers) -> None:
        self.coverage = calibration.sets.coverage
        self.sets = calibration.sets.sets(answers.genres)
        self.abstains = answers.genres.max(axis=1) < calibration.threshold
        familiar = calibration.familiar
        self.unlike = None if familiar is None else familiar.p_value(answers.embeddings)
        self.unfamiliar = None if familiar is None else familiar.unlike(answers.embeddings, UNLIKE)
        self.intervals = None if calibration.intervals is None else calibration.intervals.of(answers.shares)

    def interval(self, row: int, tag: int) -> tuple[float | None, float | None]:
        if self.intervals is None:
            return None, None
        return float(self.intervals[0][row, tag]), float(self.intervals[1][row, tag])


def load_predictor(folder: Path, *, device: str = "cpu") -> Predictor:
    """Read a predictor's folder. Only load what your own team wrote: a forest's file is a pickle.

    Args:
        folder: As `Predictor.save` writes it.
        device: Where a network computes: ``cpu``, ``cuda``, or ``auto`` for a GPU if there is one.

    Raises:
        ModelError: The folder is missing or incomplete, or was written by another version.
    """
    from earmark.model.kinds import KINDS

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
        "tags": tuple(about["tags"]),
    }
    kind = KINDS.get(about["kind"])
    if kind is None:
        raise ModelError(f"{folder} holds a predictor of the kind {about['kind']!r}; known here: {', '.join(KINDS)}.")
    try:
        return kind.load(folder, about, {**common, "calibration": load(folder)}, device)
    # A pickle names the module of each class: after an update of earmark or scikit-learn it may be elsewhere.
    except (FileNotFoundError, RuntimeError, EOFError, AttributeError, ImportError) as error:
        raise ModelError(
            f"The weights in {folder} cannot be read: {error}. `dvc checkout` or training mends it."
        ) from error
