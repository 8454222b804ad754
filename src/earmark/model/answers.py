"""What goes into a model and what comes out of it, for several recordings at once, before anything is made of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from earmark.audio.features import LogMelArray

Floats = NDArray[np.float64]
Excerpts = NDArray[np.float32]  # (n, mels, frames)


class ExcerptShape(NamedTuple):
    """How much is said of an excerpt: by so many networks of so many labels and tags, in so many dimensions."""

    networks: int
    labels: int
    tags: int
    dims: int


@dataclass(frozen=True, eq=False)
class ExcerptAnswers:
    """What networks say of excerpts, before anything is made of it; float32.

    Attributes:
        logits: Of the genres, shape ``(networks, n, labels)``.
        tags: Logits of the tags, shape ``(networks, n, tags)``.
        places: Embeddings, the first network's, shape ``(n, dims)``.
    """

    logits: NDArray[np.float32]
    tags: NDArray[np.float32]
    places: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, chosen: slice) -> "ExcerptAnswers":
        """Those of some excerpts."""
        return ExcerptAnswers(self.logits[:, chosen], self.tags[:, chosen], self.places[chosen])

    @property
    def shape(self) -> ExcerptShape:
        """What `unpack` needs."""
        networks, _, labels = self.logits.shape
        return ExcerptShape(networks, labels, self.tags.shape[2], self.places.shape[1])

    def packed(self) -> NDArray[np.float32]:
        """A row for each excerpt, shape ``(n, width)``: for what passes arrays on and cuts them by rows."""
        networks, labels, tags, _ = self.shape
        wide = self.logits.swapaxes(0, 1).reshape(len(self), networks * labels)
        return np.hstack([wide, self.tags.swapaxes(0, 1).reshape(len(self), networks * tags), self.places])

    @classmethod
    def unpack(cls, rows: NDArray[np.float32], shape: ExcerptShape) -> Self:
        """Back from `packed`.

        Raises:
            ValueError: The rows are of another width.
        """
        networks, labels, tags, dims = shape
        logits, told, places = np.split(rows, [networks * labels, networks * (labels + tags)], axis=1)
        if places.shape[1] != dims:
            raise ValueError(f"Rows of {rows.shape[1]} numbers are no answers of the shape {shape}.")
        return cls(
            logits.reshape(len(rows), networks, labels).swapaxes(0, 1),
            told.reshape(len(rows), networks, tags).swapaxes(0, 1),
            places,
        )

    @classmethod
    def joined(cls, parts: Sequence["ExcerptAnswers"]) -> Self:
        """Of all excerpts, one after the other; one part at least."""
        return cls(
            np.concatenate([part.logits for part in parts], axis=1),
            np.concatenate([part.tags for part in parts], axis=1),
            np.concatenate([part.places for part in parts]),
        )


@dataclass(frozen=True)
class Inputs:
    """One recording as the models hear it; what a model does not need may be missing.

    Attributes:
        log_mel: Shape ``(frames, mels)``.
        descriptors: Shape ``(descriptors,)``.
        encoded: What a frozen encoder hears, shape ``(dims,)``.
        seconds: How long the recording is; only `Predictor.tell` needs it.
        told: What the networks say of its excerpts, where somebody has asked them already: they are not asked again.
    """

    log_mel: LogMelArray | None = None
    descriptors: Floats | None = None
    encoded: NDArray[np.float32] | None = None
    seconds: float | None = None
    told: ExcerptAnswers | None = None


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
