"""Sets of genres that hold the right one as often as promised: "rock or pop, in 90 of 100 songs".

Split conformal prediction with the least ambiguous sets (Sadinle, Lei and Wasserman, JASA 114, 2019): a label is in
where its probability reaches a threshold. The most probable label is always in, and the score says so (it is 0 there),
so that being never empty costs no coverage and no size. Where the probabilities are right, no other sets that hold the
most probable label are smaller on average; on simulated songs APS (Romano, Sesia and Candès, NeurIPS 2020) and RAPS
(Angelopoulos et al., ICLR 2021) without their random part covered as often, with sets up to a fifth larger.

With a threshold for each label (class-conditional, "Mondrian": Vovk, 2012) the promise holds for the songs of each
genre.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earmark.errors import ModelError
from earmark.model.calibration.arrays import Floats, Groups, Labels, validate
from earmark.model.calibration.conformal import enough, threshold


@dataclass(frozen=True)
class SetRule:
    """How probabilities become sets.

    Attributes:
        coverage: How often the right label is to be in.
        thresholds: Largest score of a label that is in: one for all, or one a label; 1 lets every label in.
    """

    coverage: float
    thresholds: tuple[float, ...]

    def sets(self, probabilities: Floats) -> NDArray[np.bool_]:
        """Which labels are in, shape ``(tracks, labels)``; the most probable one always is.

        Raises:
            ModelError: There are not as many labels as thresholds.
        """
        labels = np.shape(probabilities)[-1]
        if len(self.thresholds) not in (1, labels):
            raise ModelError(
                f"The sets were fitted to {len(self.thresholds)} labels; these probabilities are of {labels}. "
                "The calibration belongs to another model: calibrate this one."
            )
        return np.asarray(_scores(probabilities) <= np.array(self.thresholds))

    def to_dict(self) -> dict[str, Any]:
        """As plain values, fit for JSON."""
        return {"coverage": self.coverage, "thresholds": list(self.thresholds)}

    @classmethod
    def from_dict(cls, about: dict[str, Any]) -> "SetRule":
        """Back from `to_dict`."""
        return cls(float(about["coverage"]), tuple(float(each) for each in about["thresholds"]))


@dataclass(frozen=True)
class SetCoverage:
    """How sets did on tracks whose label is known.

    Attributes:
        tracks: How many.
        coverage: Share of the tracks whose set holds the right label; None without tracks.
        by_class: The same for the tracks of each label; None where there are none.
        mean_size: Labels in a set, on average; None without tracks.
    """

    tracks: int
    coverage: float | None
    by_class: tuple[float | None, ...]
    mean_size: float | None


def fit_sets(
    probabilities: Floats, actual: Labels, *, coverage: float, by_class: bool, groups: Groups | None = None
) -> SetRule:
    """The rule whose sets hold the right label of a new track with probability ``coverage`` at least.

    Args:
        probabilities: Of held-out tracks, shape ``(tracks, labels)``, tempered or not, as they will be later.
        actual: Shape ``(tracks,)``.
        coverage: In [0, 1].
        by_class: A threshold for each label, so that no genre pays for another. A label with held-out tracks of too few
            groups takes the common one, and has no promise of its own.
        groups: Shape ``(tracks,)``; see `earmark.model.calibration.conformal`.

    Raises:
        ModelError: The arrays do not fit together.
    """
    validate(probabilities, actual, groups)
    scores = _scores(probabilities)[np.arange(len(actual)), actual]

    def among(chosen: NDArray[np.bool_]) -> float:
        return min(1.0, threshold(scores[chosen], coverage, None if groups is None else groups[chosen]))

    common = among(np.ones(len(actual), dtype=bool))
    if not by_class:
        return SetRule(coverage, (common,))
    thresholds = []
    for label in range(probabilities.shape[1]):
        its = actual == label
        known = enough(None if groups is None else groups[its], int(its.sum()), coverage)
        thresholds.append(among(its) if known else common)
    return SetRule(coverage, tuple(thresholds))


def set_coverage(sets: NDArray[np.bool_], actual: Labels) -> SetCoverage:
    """How often ``sets (tracks, labels)`` hold ``actual (tracks,)``, overall and by label, and how large they are."""
    held = sets[np.arange(len(actual)), actual]
    by_class = [held[actual == label] for label in range(sets.shape[1])]
    return SetCoverage(
        tracks=len(actual),
        coverage=float(held.mean()) if len(held) else None,
        by_class=tuple(float(each.mean()) if len(each) else None for each in by_class),
        mean_size=float(sets.sum(axis=1).mean()) if len(held) else None,
    )


def _scores(probabilities: Floats) -> Floats:
    """How strange each label would be, shape ``(tracks, labels)``: 1 − p, and 0 for the most probable (the first)."""
    scores = 1.0 - np.asarray(probabilities, dtype=np.float64)
    np.put_along_axis(scores, np.argmin(scores, axis=1)[:, np.newaxis], 0.0, axis=1)
    return scores
