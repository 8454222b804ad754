"""What earmark says about one recording."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class GenreProbability:
    """One genre and how probable it is, in [0, 1]."""

    genre: str
    probability: float


@dataclass(frozen=True)
class Share:
    """A share of listeners in [0, 1], and the interval in which theirs will lie; no interval: None."""

    share: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class TagShare(Share):
    """A tag, and the share of listeners that would give it."""

    tag: str = ""


@dataclass(frozen=True)
class Moment:
    """What the networks hear in one excerpt by itself, before calibration.

    Attributes:
        start_s: Of the excerpt, from the recording's start.
        end_s: As ``start_s``.
        genres: Every genre, the most probable first; the probabilities sum to 1.
        tags: Every tag, the largest share first, without intervals: those are known of whole recordings alone.
    """

    start_s: float
    end_s: float
    genres: tuple[GenreProbability, ...]
    tags: tuple[TagShare, ...]


@dataclass(frozen=True)
class Prediction:
    """The answer for one recording.

    Attributes:
        genres: Every genre the model knows, the most probable first; the probabilities sum to 1.
        heard_seconds: How much of the recording the model listened to.
        tags: Every tag the model knows, the largest share first: ``feeling---calmness``, ``word---study``,
            ``category---…``; none where it was taught none.
        appeal: The share of listeners that will like it; None where the model was taught no liking.
        genre_set: The genres among which the true one is found as often as ``coverage`` says, the most probable first;
            empty where the model does not know how sure it is.
        coverage: Of the set and of all intervals; None as above.
        abstains: Whether it had better not be asked: less sure than it has to be for the accuracy that was demanded.
        unlike: How rarely a recording lies so far from everything in training, as a p-value; None as above.
        warnings: What to mind, as sentences.
        moments: What is heard when, in order of time; empty where the model has no network, or was not asked by
            `Predictor.tell` or `Predictor.predict`.
    """

    genres: tuple[GenreProbability, ...]
    heard_seconds: float
    tags: tuple[TagShare, ...] = ()
    appeal: Share | None = None
    genre_set: tuple[str, ...] = ()
    coverage: float | None = None
    abstains: bool = False
    unlike: float | None = None
    warnings: tuple[str, ...] = ()
    moments: tuple[Moment, ...] = ()

    @property
    def genre(self) -> str:
        """The most probable genre."""
        return self.genres[0].genre

    def to_dict(self) -> dict[str, Any]:
        """As plain values, fit for JSON."""
        return asdict(self)
