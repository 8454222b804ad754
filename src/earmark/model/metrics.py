"""Scores of classifications, each with an interval.

Intervals are percentile bootstraps over groups (artists, pieces): songs of one artist stand or fall together, so
drawing single songs would make every interval too narrow (cluster bootstrap; Field and Welsh, JRSS B 69, 2007).

Conventions: ``actual`` and ``predicted`` are arrays of label indices, shape ``(tracks,)``; ``groups`` names each
track's group, shape ``(tracks,)``.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from earmark.errors import ModelError
from earmark.params import Evaluation

Labels = NDArray[np.int64]
Weights = NDArray[np.float64]


@dataclass(frozen=True)
class Score:
    """A value with the ends of its interval."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, value: float, drawn: Sequence[float] | NDArray[np.float64], confidence: float) -> "Score":
        """Of what was found in draws, shape ``(draws,)``: the interval leaves as much out below as above."""
        tail = (1 - confidence) / 2
        low, high = np.quantile(drawn, [tail, 1 - tail])
        return cls(float(value), float(low), float(high))

    def flat(self, name: str) -> dict[str, float]:
        """``{name: value, name_low: …, name_high: …}``."""
        return {name: self.value, f"{name}_low": self.low, f"{name}_high": self.high}


def accuracy(actual: Labels, predicted: Labels, weights: Weights) -> float:
    """Weighted share of right answers; ``weights`` has shape ``(tracks,)``."""
    return float(np.average(actual == predicted, weights=weights))


def f1_macro(actual: Labels, predicted: Labels, weights: Weights) -> float:
    """Mean F1 over the labels that occur among the actual ones; a label never guessed right scores 0."""
    heavy = weights > 0
    labels = np.unique(actual[heavy])
    hit = np.bincount(actual, weights * (actual == predicted), minlength=_size(actual, predicted))
    there = np.bincount(actual, weights, minlength=len(hit))
    said = np.bincount(predicted, weights, minlength=len(hit))
    return float(np.mean(2 * hit[labels] / (there[labels] + said[labels])))


def score(
    measure: Callable[[Labels, Labels, Weights], float],
    actual: Labels,
    predicted: Labels,
    groups: NDArray[np.object_],
    how: Evaluation,
) -> Score:
    """``measure`` with its interval at ``how.confidence``.

    Raises:
        ModelError: There is no track, or the arrays differ in length.
    """
    _validate(actual, predicted, groups)
    return Score.of(
        measure(actual, predicted, np.ones(len(actual))),
        [measure(actual, predicted, weights) for weights in resamples(groups, how)],
        how.confidence,
    )


def difference(
    measure: Callable[[Labels, Labels, Weights], float],
    actual: Labels,
    ours: Labels,
    theirs: Labels,
    groups: NDArray[np.object_],
    how: Evaluation,
) -> Score:
    """``measure`` of ``ours`` minus that of ``theirs``, paired: both are resampled with the same groups.

    Raises:
        ModelError: There is no track, or the arrays differ in length.
    """
    _validate(actual, ours, groups)
    _validate(actual, theirs, groups)

    def gain(weights: Weights) -> float:
        return measure(actual, ours, weights) - measure(actual, theirs, weights)

    return Score.of(gain(np.ones(len(actual))), [gain(weights) for weights in resamples(groups, how)], how.confidence)


def resamples(groups: NDArray[np.object_], how: Evaluation) -> list[Weights]:
    """How often each track stands in each draw of the groups with replacement: ``how.resamples`` of ``(tracks,)``."""
    rng = np.random.default_rng(how.seed)
    names, index = np.unique(groups.astype(str), return_inverse=True)
    drawn = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=how.resamples)
    return [counts[index].astype(np.float64) for counts in drawn]


def some_groups(groups: NDArray[np.object_], most: int, seed: int) -> NDArray[np.int64]:
    """Positions of about ``most`` tracks, of all where there are not more: whole groups, drawn at random."""
    if len(groups) <= most:
        return np.arange(len(groups))
    names, own = np.unique(groups.astype(str), return_inverse=True)
    order = np.random.default_rng(seed).permutation(len(names))
    sizes = np.bincount(own)[order].cumsum()
    return np.flatnonzero(np.isin(own, order[: int(np.searchsorted(sizes, most)) + 1]))


def confusion(actual: Labels, predicted: Labels, labels: int) -> NDArray[np.int64]:
    """Counts, shape ``(labels, labels)``: row = actual, column = predicted."""
    matrix = np.zeros((labels, labels), dtype=np.int64)
    np.add.at(matrix, (actual, predicted), 1)
    return matrix


def _size(*arrays: Labels) -> int:
    return 1 + max(int(array.max()) for array in arrays)


def _validate(actual: Labels, predicted: Labels, groups: NDArray[np.object_]) -> None:
    if not len(actual) == len(predicted) == len(groups):
        raise ModelError(
            f"{len(actual)} labels, {len(predicted)} answers and {len(groups)} groups: they must be one each a track."
        )
    if not len(actual):
        raise ModelError("There is no track to score. The split left this part empty; see reports/split.json.")
