"""What earmark says about one recording."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class GenreProbability:
    """One genre and how probable it is, in [0, 1]."""

    genre: str
    probability: float


@dataclass(frozen=True)
class Prediction:
    """The answer for one recording.

    Attributes:
        genres: Every genre the model knows, the most probable first; the probabilities sum to 1.
        heard_seconds: How much of the recording the model listened to.
    """

    genres: tuple[GenreProbability, ...]
    heard_seconds: float

    @property
    def genre(self) -> str:
        """The most probable genre."""
        return self.genres[0].genre

    def to_dict(self) -> dict[str, Any]:
        """As plain values, fit for JSON."""
        return asdict(self)
