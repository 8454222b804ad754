"""Intervals of many measures at once: groups drawn with replacement, and sums of what the songs of each add up to.

The draws are those of `earmark.model.metrics.resamples`, so that intervals of all scores rest on the same ones, and
differences are paired.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from earmark.model.answers import Floats
from earmark.model.metrics import Score, resamples
from earmark.params import Evaluation


class Draws:
    """Draws of groups with replacement.

    Args:
        groups: Of each track, shape ``(tracks,)``.
        how: Section ``evaluation`` of params.yaml.
    """

    def __init__(self, groups: NDArray[np.object_], how: Evaluation) -> None:
        _, first, self._own = np.unique(groups.astype(str), return_index=True, return_inverse=True)
        # Tracks of one group are drawn equally often: one of each is enough.
        self._counts = np.stack([weights[first] for weights in resamples(groups, how)])  # (draws, groups)
        self._confidence = how.confidence

    def scores(self, measure: Callable[[Floats], Floats], values: Floats) -> list[Score]:
        """Measures of sums over tracks, each with its interval.

        Args:
            measure: From sums ``(…, k)`` to measures ``(…, m)``; NaN where there is none, as of no track.
            values: What each track adds, shape ``(tracks, k)``.
        """
        sums = np.zeros((self._counts.shape[1], values.shape[1]))
        np.add.at(sums, self._own, values)
        with np.errstate(invalid="ignore", divide="ignore"):
            found, drawn = measure(sums.sum(axis=0)), measure(self._counts @ sums)
        rows = []
        for place, value in enumerate(found):
            there = drawn[:, place][np.isfinite(drawn[:, place])]
            rows.append(Score.of(value, there if len(there) else [np.nan], self._confidence))
        return rows

    def mean(self, values: Floats, weights: Floats | None = None) -> Score:
        """Weighted mean of ``values``, shape ``(tracks,)``."""
        weights = np.ones(len(values)) if weights is None else weights
        table = np.stack([values * weights, weights], axis=1).astype(np.float64)
        (found,) = self.scores(lambda sums: sums[..., :1] / sums[..., 1:], table)
        return found
