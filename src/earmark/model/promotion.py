"""The gate: whether the challenger is really better than the champion, on the same test tracks, by more than chance.

Paired bootstrap over groups (Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, ch. 16; Koehn,
"Statistical significance tests for machine translation evaluation", EMNLP 2004): whole groups (artists) are drawn with
replacement, because tracks of one artist are not independent, and both models are scored on the same draw, because what
is hard for one is mostly hard for the other. The challenger passes when the whole interval lies above zero.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earmark.model import metrics
from earmark.model.metrics import Score
from earmark.params import Evaluation

Answers = NDArray[np.bool_]


@dataclass(frozen=True)
class Verdict:
    """What the gate decided, and on what grounds.

    Attributes:
        promote: Whether the challenger should become the champion.
        reason: The decision in one or two sentences.
        challenger: Its version in the registry.
        champion: The version it was compared with; None where there is no champion yet.
        accuracy: The challenger's, on the tracks of the comparison; None where there was none.
        opponent: ``champion``, or ``majority class`` where there is no champion yet.
        opponent_accuracy: The opponent's, on the same tracks.
        difference: Challenger minus opponent, with ``low`` and ``high`` at ``confidence``.
        tracks: How many tracks were compared.
        groups: To how many groups (artists) they belong.
        left_out: How many test tracks were left out because one of the two was trained on them.
        unanswerable: Genres among the tracks that the champion does not know; its answers there count as wrong.
    """

    promote: bool
    reason: str
    challenger: str
    champion: str | None = None
    opponent: str = "champion"
    accuracy: float | None = None
    opponent_accuracy: float | None = None
    difference: Score | None = None
    confidence: float | None = None
    tracks: int = 0
    groups: int = 0
    left_out: int = 0
    unanswerable: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As plain values, fit for JSON."""
        return asdict(self)


def right(probabilities: NDArray[np.float64], labels: Sequence[str], genres: Sequence[str]) -> Answers:
    """Whether the most probable label is the true genre, shape ``(tracks,)``.

    Args:
        probabilities: Shape ``(tracks, labels)``.
        labels: What the columns stand for.
        genres: The true genre of each track; one that is not among ``labels`` is never answered rightly.
    """
    answers = np.asarray(labels, dtype=object)[probabilities.argmax(axis=1)]
    return np.asarray(answers == np.asarray(genres, dtype=object), dtype=np.bool_)


def difference_of(one: Answers, other: Answers, groups: Sequence[str], evaluation: Evaluation) -> Score:
    """Accuracy of ``one`` minus that of ``other`` on the same tracks, with its interval.

    The two may know different genres, so what is compared is only whether each was right.

    Args:
        one: Whether it was right, shape ``(tracks,)``.
        other: The same of the other.
        groups: The group of each track.
        evaluation: Seed, number of resamples, confidence.
    """
    always = np.ones(len(one), dtype=np.int64)
    ours, theirs = one.astype(np.int64), other.astype(np.int64)
    return metrics.difference(metrics.accuracy, always, ours, theirs, np.asarray(groups, dtype=object), evaluation)


def judge(
    challenger: Answers,
    opponent: Answers,
    groups: Sequence[str],
    evaluation: Evaluation,
    *,
    version: str,
    champion: str | None,
    left_out: int = 0,
    unanswerable: Sequence[str] = (),
) -> Verdict:
    """Decide. ``challenger`` and ``opponent`` say for each track, shape ``(tracks,)``, whether it was right.

    Args:
        challenger: The challenger's answers.
        opponent: The champion's; the majority class's where ``champion`` is None.
        groups: The group of each track.
        evaluation: Seed, number of resamples, confidence.
        version: The challenger's version.
        champion: The champion's version, or None.
        left_out: How many test tracks could not be used.
        unanswerable: Genres that the champion does not know.
    """
    name = f"version {champion}" if champion else "the majority class"
    aside = f" {left_out} test tracks were left out, for one of the two was trained on them." if left_out else ""
    if unanswerable:
        aside += f" Version {champion} does not know {', '.join(unanswerable)}; there its answers count as wrong."
    common: dict[str, Any] = {
        "challenger": version,
        "champion": champion,
        "opponent": "champion" if champion else "majority class",
        "tracks": len(challenger),
        "groups": len(set(groups)),
        "left_out": left_out,
        "unanswerable": tuple(unanswerable),
    }
    if common["groups"] < 2:
        return Verdict(
            promote=False,
            reason=f"Version {version} cannot be compared with {name}: {len(challenger)} test tracks of "
            f"{common['groups']} groups are left, and at least 2 groups are needed.{aside} "
            "Add tracks that neither has heard.",
            **common,
        )
    difference = difference_of(challenger, opponent, groups, evaluation)
    better = difference.low > 0
    verb = "is better than" if better else "is not shown to be better than"
    return Verdict(
        promote=better,
        reason=f"Version {version} {verb} {name}: accuracy {challenger.mean():.3f} against {opponent.mean():.3f}, "
        f"difference {difference.value:+.3f} [{difference.low:+.3f}, {difference.high:+.3f}] at "
        f"{evaluation.confidence:.0%} on {len(challenger)} tracks of {common['groups']} groups.{aside}",
        accuracy=float(challenger.mean()),
        opponent_accuracy=float(opponent.mean()),
        difference=difference,
        confidence=evaluation.confidence,
        **common,
    )
