"""What earmark says about one recording."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class GenreProbability:
    """One genre and how probable it is, in [0, 1]."""

    genre: str
    probability: float


@dataclass(frozen=True)
class TagShare:
    """A tag, and the share of listeners that would give it, in [0, 1]."""

    tag: str
    share: float


@dataclass(frozen=True)
class Prediction:
    """The answer for one recording.

    Attributes:
        genres: Every genre the model knows, the most probable first; the probabilities sum to 1.
        heard_seconds: How much of the recording the model listened to.
        tags: Every tag the model knows, the largest share first: ``feeling---calmness``, ``word---study``,
            ``category---…``; none where it was taught none.
    """

    genres: tuple[GenreProbability, ...]
    heard_seconds: float
    tags: tuple[TagShare, ...] = ()

    @property
    def genre(self) -> str:
        """The most probable genre."""
        return self.genres[0].genre

    def to_dict(self) -> dict[str, Any]:
        """As plain values, fit for JSON."""
        return asdict(self)
