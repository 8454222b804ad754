"""What two models promise of their own answers, and how each keeps it on the same tracks.

A set of genres promises to hold the true one, an interval the listeners' share, each as often as its coverage says; a
model that abstains promises nothing of a track. Nothing here is better for being higher alone: sets of all genres hold
every truth. So the size of the sets stands beside, and what was promised.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from earmark.model.answers import Floats
from earmark.model.comparing.groups import by_group
from earmark.model.metrics import Score

PROMISES = ("set_coverage", "set_size", "interval_coverage", "abstention")


@dataclass(frozen=True)
class Promised:
    """What a calibrated model promises of some tracks.

    Attributes:
        sets: Which genres each track may be, shape ``(tracks, labels)``.
        abstains: Where it would rather not answer, shape ``(tracks,)``.
        low: Of each share, shape ``(tracks, tags)``; NaN where nothing is promised.
        high: The same.
        set_coverage: How often a set is to hold the true genre.
        interval_coverage: How often an interval is to hold the share; None where there are no intervals.
    """

    sets: NDArray[np.bool_]
    abstains: NDArray[np.bool_]
    low: Floats
    high: Floats
    set_coverage: float
    interval_coverage: float | None = None


@dataclass(frozen=True)
class Promise:
    """One thing promised, and what came of it; None where a model does not promise it.

    Attributes:
        name: Of `PROMISES`: share of the sets that hold the true genre; genres in a set; share of the intervals that
            hold the listeners' share; share of the tracks that are not answered.
        ours: Of the first model.
        theirs: Of the other.
        difference: Ours minus theirs.
        promised: By the first and by the other.
    """

    name: str
    ours: Score | None
    theirs: Score | None
    difference: Score | None
    promised: tuple[float | None, float | None]


@dataclass(frozen=True)
class Kept:
    """One model's sums over each group, shape ``(groups, 6)``: truths in their set, genres in sets, shares in their
    interval, shares with one, tracks not answered, tracks."""

    sums: Floats
    promised: tuple[float | None, ...]

    @classmethod
    def of(cls, said: Promised | None, true: NDArray[np.int64], told: Floats, group: NDArray[np.int64]) -> "Kept":
        """Sum up.

        Args:
            said: None where the model is not calibrated: it promises nothing.
            true: The true genre among the model's own, -1 where it does not know that one, shape ``(tracks,)``.
            told: Share and weight of the model's own tags (0 where nothing is known), shape ``(tracks, 2, tags)``.
            group: The number of each track's group, shape ``(tracks,)``.
        """
        if said is None:
            return cls(np.full((int(group.max()) + 1, 6), np.nan), (None,) * len(PROMISES))
        held = (true >= 0) & said.sets[np.arange(len(true)), true]
        there = (told[:, 1] > 0) & ~np.isnan(said.low)
        inside = there & (said.low <= told[:, 0]) & (told[:, 0] <= said.high)
        columns = (
            held,
            said.sets.sum(axis=1),
            inside.sum(axis=1),
            there.sum(axis=1),
            said.abstains,
            np.ones(len(true)),
        )
        sums = by_group(np.stack(columns, axis=1).astype(np.float64), group)
        return cls(sums, (said.set_coverage, None, said.interval_coverage, None))

    def shares(self, counts: Floats) -> Floats:
        """`PROMISES` of each draw, shape ``(draws, 4)``, of counts ``(draws, groups)``; NaN where there are none."""
        held, size, inside, there, silent, tracks = (counts @ self.sums).T
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.stack([held / tracks, size / tracks, inside / there, silent / tracks], axis=1)


def promises(scores: list[tuple[Score, Score, Score]], ours: Kept, theirs: Kept) -> tuple[Promise, ...]:
    """What at least one of the two promises, from scores of ours, theirs and the difference, as `PROMISES` has them."""
    told = []
    for name, found, mine, other in zip(PROMISES, scores, ours.promised, theirs.promised, strict=True):
        one, another, difference = (None if np.isnan(score.value) else score for score in found)
        if one is not None or another is not None:
            told.append(Promise(name, one, another, difference, promised=(mine, other)))
    return tuple(told)
