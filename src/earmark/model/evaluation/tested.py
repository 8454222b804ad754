"""What is known of the test songs, and what each model says of them: all that is scored, in memory."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from earmark.model.answers import Answers, Floats
from earmark.model.calibration.calibration import Calibration
from earmark.model.metrics import Labels

MAJORITY = "majority"


@dataclass(frozen=True)
class Tested:
    """Test songs and the answers to them.

    Attributes:
        labels: The genres.
        actual: Index of each song's genre, shape ``(tracks,)``.
        groups: Of the songs, shape ``(tracks,)``.
        answers: By kind of model, calibrated.
        calibrations: By kind of model; without one a model does not know how sure it is.
        training: How many training songs each genre has, shape ``(labels,)``.
        tags: The tags' names.
        known: Share and weight of each tag, shape ``(tracks, 2, tags)``.
    """

    labels: tuple[str, ...]
    actual: Labels
    groups: NDArray[np.object_]
    answers: Mapping[str, Answers]
    calibrations: Mapping[str, Calibration | None]
    training: NDArray[np.int64]
    tags: tuple[str, ...] = ()
    known: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 2, 0), np.float32))

    @property
    def prior(self) -> Floats:
        """What one can say without listening: the genres' shares of the training songs, shape ``(tracks, labels)``."""
        return np.tile(self.training / self.training.sum(), (len(self.actual), 1))

    @property
    def probabilities(self) -> dict[str, Floats]:
        """Of each model, and of `MAJORITY`, which has heard nothing; shape ``(tracks, labels)`` each."""
        return {**{kind: answers.genres for kind, answers in self.answers.items()}, MAJORITY: self.prior}
