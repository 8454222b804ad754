"""When to say nothing: the model answers where it is sure enough, so that its answers are right as often as asked.

Confidence is the largest (tempered) probability; a song is answered where it reaches a threshold. Selective
classification: Geifman and El-Yaniv, "Selective classification for deep neural networks", NeurIPS 2017; the area under
the risk-coverage curve: Geifman, Uziel and El-Yaniv, ICLR 2019.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from earmark.errors import ModelError
from earmark.model.calibration.arrays import Floats, Groups, Labels, codes, validate

NEVER = 2.0  # a threshold above any probability: nothing is answered


@dataclass(frozen=True)
class RiskAt:
    """What is answered at one threshold.

    Attributes:
        threshold: Answered is what has this confidence at least.
        coverage: Share of the tracks that are answered.
        accuracy: Share of the answers that are right.
        risk: Share that are wrong.
    """

    threshold: float
    coverage: float
    accuracy: float
    risk: float


def confidence(probabilities: Floats) -> Floats:
    """The largest probability of each track, shape ``(tracks,)``."""
    return np.asarray(np.max(probabilities, axis=1, initial=0.0), dtype=np.float64)


def risk_coverage(probabilities: Floats, actual: Labels) -> tuple[RiskAt, ...]:
    """A row for each confidence that occurs, the highest first; tracks equally sure are answered together.

    Raises:
        ModelError: The arrays do not fit together.
    """
    validate(probabilities, actual)
    sure, count, right = _answered(probabilities, actual)
    return tuple(
        RiskAt(float(at), float(n / len(actual)), float(k / n), float(1 - k / n))
        for at, n, k in zip(sure, count, right, strict=True)
    )


def area_under_risk_coverage(probabilities: Floats, actual: Labels) -> float:
    """Mean, over the tracks, of the risk of answering all that are at least as sure; 0 is best.

    Raises:
        ModelError: There is no track, or the arrays do not fit together.
    """
    _some(actual)
    rows = risk_coverage(probabilities, actual)
    steps = np.diff([0.0, *(row.coverage for row in rows)])
    return float(steps @ np.array([row.risk for row in rows]))


def accuracy_at(probabilities: Floats, actual: Labels, coverage: float) -> float:
    """Share of right answers among the surest tracks, ``coverage`` of all at least (more where some are equally sure).

    Raises:
        ModelError: There is no track, or the arrays do not fit together.
    """
    _some(actual)
    rows = risk_coverage(probabilities, actual)
    return next((row.accuracy for row in rows if row.coverage >= coverage - 1e-12), rows[-1].accuracy)


def fit_threshold(
    probabilities: Floats,
    actual: Labels,
    *,
    least_accuracy: float,
    groups: Groups | None = None,
    certainty: float = 0.9,
) -> float:
    """The confidence from which on answers are right often enough.

    Selection with guaranteed risk (Geifman and El-Yaniv, 2017, algorithm 1): a binary search for the lowest threshold
    at which the one-sided Clopper-Pearson bound of the accuracy reaches ``least_accuracy``, with the error probability
    divided among the steps. Answering everything is tried first. Songs of one artist tell less than as many songs of
    different artists: counts are divided by Kish's design effect, which makes the guarantee an approximate one.

    Args:
        probabilities: Of held-out tracks, shape ``(tracks, labels)``, tempered if they will be later.
        actual: Shape ``(tracks,)``.
        least_accuracy: Share of the answers that must be right, in [0, 1].
        groups: Shape ``(tracks,)``.
        certainty: Probability that the promise holds, over draws of the held-out tracks.

    Returns:
        A track is answered where its confidence is at least this. 0.0: every track is. `NEVER` (2.0): none is, for no
        threshold is known to keep the promise; the model is too weak, or the held-out tracks are too few.

    Raises:
        ModelError: The arrays do not fit together.
    """
    validate(probabilities, actual, groups)
    if least_accuracy <= 0:
        return 0.0
    sure, count, right = _answered(probabilities, actual)
    if not len(sure):
        return NEVER
    steps = int(np.ceil(np.log2(len(sure)))) if len(sure) > 1 else 0
    allowed = (1.0 - certainty) / (1 + steps)
    size = count / _design_effects(probabilities, actual, groups)

    def holds(place: int) -> bool:
        return _accuracy_bound(right[place] / count[place], size[place], allowed) >= least_accuracy

    if holds(len(sure) - 1):
        return 0.0
    best, low, high = NEVER, 0, len(sure) - 2
    while low <= high:
        middle = (low + high + 1) // 2
        if holds(middle):
            best, low = float(sure[middle]), middle + 1
        else:
            high = middle - 1
    return best


def _answered(probabilities: Floats, actual: Labels) -> tuple[Floats, Labels, Labels]:
    """Confidences that occur, falling; how many tracks are that sure at least; how many of these are right."""
    sure = confidence(probabilities)
    levels, level = np.unique(-sure, return_inverse=True)
    count = np.cumsum(np.bincount(level, minlength=len(levels)))
    right = np.cumsum(np.bincount(level, weights=_right(probabilities, actual), minlength=len(levels)))
    return -levels, count.astype(np.int64), right.astype(np.int64)


def _right(probabilities: Floats, actual: Labels) -> NDArray[np.bool_]:
    return np.asarray(np.argmax(probabilities, axis=1) == actual)


def _accuracy_bound(accuracy: float, tracks: float, allowed: float) -> float:
    """Clopper-Pearson: the lowest accuracy at which as many right answers or more have the probability ``allowed``."""
    from scipy.stats import beta

    hits = accuracy * tracks
    return float(beta.ppf(allowed, hits, tracks - hits + 1)) if hits > 0 else 0.0


def _design_effects(probabilities: Floats, actual: Labels, groups: Groups | None) -> Floats:
    """For each confidence that occurs, falling: how many of the tracks as sure tell as much as one would alone.

    1 + (m − 1) · r, with m songs of a track's group and r the correlation of being right within a group (all tracks);
    r is taken for 1 where every answer is right or every one wrong, since nothing is known of it.
    """
    code = codes(groups, len(actual))
    error = _right(probabilities, actual) - _right(probabilities, actual).mean()
    sizes, sums = np.bincount(code), np.bincount(code, weights=error)
    squares = float(error @ error)
    pairs = float((sizes * (sizes - 1.0)).sum())
    alike = 1.0
    if squares > 0 and pairs > 0:
        alike = float(np.clip((sums @ sums - squares) / pairs / (squares / len(actual)), 0.0, 1.0))
    sure = confidence(probabilities)
    order = np.argsort(-sure, kind="stable")
    last = np.append(np.diff(sure[order]) != 0, True)
    seen, before = np.zeros(len(sizes)), np.zeros(len(order))
    for place, group in enumerate(code[order]):
        before[place] = seen[group]
        seen[group] += 1
    squared_sizes = np.cumsum(2 * before + 1)  # (n + 1)² − n²
    mates = squared_sizes / np.arange(1, len(order) + 1)
    return np.asarray((1 + (mates - 1) * alike)[last], dtype=np.float64)


def _some(actual: Labels) -> None:
    if not len(actual):
        raise ModelError("There is no track to score. The split left this part empty; see reports/split.json.")
