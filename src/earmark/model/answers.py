"""What goes into a model and what comes out of it, for several recordings at once, before anything is made of it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from earmark.audio.features import LogMelArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Inputs:
    """One recording as the models hear it; what a model does not need may be missing.

    Attributes:
        log_mel: Shape ``(frames, mels)``.
        descriptors: Shape ``(descriptors,)``.
        encoded: What a frozen encoder hears, shape ``(dims,)``.
    """

    log_mel: LogMelArray | None = None
    descriptors: Floats | None = None
    encoded: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class Answers:
    """A model's answers.

    Attributes:
        genres: Probabilities, shape ``(tracks, labels)``; each row sums to 1.
        shares: Shares of listeners, shape ``(tracks, tags)``.
        embeddings: Where each recording lies among the others, shape ``(tracks, dims)``.
    """

    genres: Floats
    shares: Floats
    embeddings: Floats

    def __len__(self) -> int:
        return len(self.genres)

    def __getitem__(self, chosen: NDArray[np.bool_] | NDArray[np.int64]) -> "Answers":
        """Those of the chosen recordings."""
        return Answers(self.genres[chosen], self.shares[chosen], self.embeddings[chosen])


def joined(parts: Sequence[Answers]) -> Answers:
    """Answers one after the other."""
    return Answers(
        np.concatenate([part.genres for part in parts]),
        np.concatenate([part.shares for part in parts]),
        np.concatenate([part.embeddings for part in parts]),
    )
