"""Intervals for shares of listeners: "61 % will feel calmness, between 48 and 74 %, in 90 of 100 songs".

Split conformal prediction on normalised residuals (Lei et al., "Distribution-free predictive inference for regression",
JASA 113, 2018). The scale of a residual is s(p) = sqrt(noise · p(1 − p) + floor): what answers of a limited number of
listeners vary by, 1 / noise of them, and what the model does not know. What is covered is the share as it will be
observed of an unheard track, by about as many listeners as the held-out tracks had; not a true share behind it.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from earmark.errors import ModelError
from earmark.model.calibration.arrays import Floats, Groups
from earmark.model.calibration.conformal import enough, threshold

_LEAST_FLOOR = 1e-6  # a thousandth of a share, so that nothing is divided by 0


@dataclass(frozen=True)
class IntervalRule:
    """How predicted shares become intervals.

    Attributes:
        coverage: How often the observed share is to lie within.
        noise: Of the scale; common to all tags.
        floor: Of the scale, in squared shares.
        multiples: By tag, how many scales the interval reaches to each side; None where too little is known.
    """

    coverage: float
    noise: float
    floor: float
    multiples: tuple[float | None, ...]

    def of(self, predicted: Floats) -> tuple[Floats, Floats]:
        """Low and high ends, each of shape ``(tracks, tags)``, in [0, 1]; (0, 1) where too little is known of a tag.

        Raises:
            ModelError: There are not as many tags as in the rule.
        """
        predicted = np.asarray(predicted, dtype=np.float64)
        if predicted.ndim != 2 or predicted.shape[1] != len(self.multiples):
            raise ModelError(
                f"The intervals were fitted to {len(self.multiples)} tags; these shares have shape {predicted.shape}. "
                "The calibration belongs to another model: calibrate this one."
            )
        known = np.array([multiple is not None for multiple in self.multiples], dtype=bool)
        reach = _scale(predicted, self.noise, self.floor) * np.array([multiple or 0.0 for multiple in self.multiples])
        low = np.where(known, np.clip(predicted - reach, 0.0, 1.0), 0.0)
        return low, np.where(known, np.clip(predicted + reach, 0.0, 1.0), 1.0)

    def to_dict(self) -> dict[str, Any]:
        """As plain values, fit for JSON."""
        return {
            "coverage": self.coverage,
            "noise": self.noise,
            "floor": self.floor,
            "multiples": list(self.multiples),
        }

    @classmethod
    def from_dict(cls, about: dict[str, Any]) -> "IntervalRule":
        """Back from `to_dict`."""
        multiples = tuple(None if each is None else float(each) for each in about["multiples"])
        return cls(float(about["coverage"]), float(about["noise"]), float(about["floor"]), multiples)


def fit_intervals(
    predicted: Floats, observed: Floats, weight: Floats, *, coverage: float, groups: Groups | None = None
) -> IntervalRule:
    """The rule whose intervals hold the share observed of a new track with probability ``coverage`` at least.

    Args:
        predicted: Shares of held-out tracks, shape ``(tracks, tags)``.
        observed: The same shape.
        weight: The same shape; 0 where nothing is known, whatever stands in ``observed``.
        coverage: In [0, 1].
        groups: Shape ``(tracks,)``; see `earmark.model.calibration.conformal`.

    Raises:
        ModelError: The shapes differ.
    """
    if np.ndim(predicted) != 2 or not np.shape(predicted) == np.shape(observed) == np.shape(weight):
        raise ModelError(
            f"Shares of shape {np.shape(predicted)} and {np.shape(observed)} and weights of shape {np.shape(weight)}: "
            "all must be (tracks, tags), of the same tracks and tags."
        )
    known = np.asarray(weight) > 0
    residual = np.where(known, np.abs(np.asarray(observed, dtype=np.float64) - predicted), 0.0)
    noise, floor = _fit_scale(predicted[known], residual[known])
    score = residual / _scale(predicted, noise, floor)
    multiples: list[float | None] = []
    for tag in range(predicted.shape[1]):
        its = known[:, tag]
        groups_of_it = None if groups is None else groups[its]
        able = enough(groups_of_it, int(its.sum()), coverage)
        multiples.append(threshold(score[its, tag], coverage, groups_of_it) if able else None)
    return IntervalRule(coverage, noise, floor, tuple(multiples))


def _scale(predicted: Floats, noise: float, floor: float) -> Floats:
    share = np.clip(predicted, 0.0, 1.0)
    return np.asarray(np.sqrt(noise * share * (1.0 - share) + floor), dtype=np.float64)


def _fit_scale(predicted: Floats, residual: Floats) -> tuple[float, float]:
    """``noise`` and ``floor`` by non-negative least squares of squared residuals, all tags together."""
    from scipy.optimize import nnls

    if not len(predicted):
        return 1.0, _LEAST_FLOOR
    share = np.clip(predicted, 0.0, 1.0)
    noise, floor = nnls(np.stack([share * (1.0 - share), np.ones(len(share))], axis=1), residual**2)[0]
    return float(noise), max(float(floor), _LEAST_FLOOR)
