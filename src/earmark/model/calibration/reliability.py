"""Whether a model is as right as it is sure: scores of probabilities, and a table for the reliability plot.

Bins of equal mass (the default: equally many tracks each; Nixon et al., "Measuring calibration in deep learning", CVPR
workshops 2019) are all known equally well; bins of equal width (Naeini, Cooper and Hauskrecht, AAAI 2015; Guo et al.,
ICML 2017) are what most papers report. Confidence is the largest probability. Every score is lower the better.
"""

from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np

from earmark.errors import ModelError
from earmark.model.calibration.abstention import confidence
from earmark.model.calibration.arrays import Floats, Labels, validate
from earmark.model.calibration.temperature import FLOOR

Binning = Literal["equal_mass", "equal_width"]


@dataclass(frozen=True)
class Bin:
    """Tracks that are about equally sure.

    Attributes:
        bin: Its number, from 0; bins without a track are left out.
        confidence: Mean of the tracks'.
        accuracy: Share of right answers.
        count: Of the tracks.
        low: End of the accuracy's Wilson interval, as if each track were of an artist of its own.
        high: The other end.
    """

    bin: int
    confidence: float
    accuracy: float
    count: int
    low: float
    high: float


def reliability_table(
    probabilities: Floats, actual: Labels, bins: int = 10, *, binning: Binning = "equal_mass", certainty: float = 0.95
) -> tuple[Bin, ...]:
    """Accuracy by confidence, the least sure first.

    Equally sure tracks share a bin, so that bins of equal mass can be fewer than asked for.

    Raises:
        ModelError: There is no track, or the arrays do not fit together.
    """
    _check(probabilities, actual)
    sure = confidence(probabilities)
    right = np.argmax(probabilities, axis=1) == actual
    inner = np.arange(1, bins) / bins
    edges = np.quantile(sure, inner, method="inverted_cdf") if binning == "equal_mass" else inner
    place = np.searchsorted(edges, sure, side="left")  # a bin reaches up to its edge, and holds it
    rows = []
    for number in np.unique(place):
        its = place == number
        low, high = wilson(int(right[its].sum()), int(its.sum()), certainty)
        rows.append(Bin(int(number), float(sure[its].mean()), float(right[its].mean()), int(its.sum()), low, high))
    return tuple(rows)


def bins_for(tracks: int) -> int:
    """Ten, or so few that each holds about fifteen songs: with fewer, chance alone looks like miscalibration."""
    return int(np.clip(tracks // 15, 1, 10))


def expected_calibration_error(
    probabilities: Floats, actual: Labels, bins: int = 10, *, binning: Binning = "equal_mass"
) -> float:
    """Mean distance between confidence and accuracy, over bins weighted by their tracks, in [0, 1].

    Even a perfectly calibrated model scores more than 0 on few tracks: compare models on the same ones.

    Raises:
        ModelError: There is no track, or the arrays do not fit together.
    """
    rows = reliability_table(probabilities, actual, bins, binning=binning)
    return sum(row.count * abs(row.confidence - row.accuracy) for row in rows) / len(actual)


def brier(probabilities: Floats, actual: Labels) -> float:
    """Mean squared error, summed over the labels, in [0, 2] (Brier, Monthly Weather Review 78, 1950).

    Raises:
        ModelError: There is no track, or the arrays do not fit together.
    """
    _check(probabilities, actual)
    truth = np.eye(probabilities.shape[1])[actual]
    return float(((probabilities - truth) ** 2).sum(axis=1).mean())


def log_loss(probabilities: Floats, actual: Labels) -> float:
    """Mean of −log of the right label's probability, in nats; probabilities below `temperature.FLOOR` count as that.

    Raises:
        ModelError: There is no track, or the arrays do not fit together.
    """
    _check(probabilities, actual)
    return float(-np.log(np.maximum(probabilities[np.arange(len(actual)), actual], FLOOR)).mean())


def wilson(hits: int, count: int, certainty: float = 0.95) -> tuple[float, float]:
    """Interval of a share (Wilson, JASA 22, 1927); (0, 1) where ``count`` is 0."""
    if not count:
        return 0.0, 1.0
    z = NormalDist().inv_cdf((1 + certainty) / 2)
    share, weight = hits / count, z**2 / count
    centre = (share + weight / 2) / (1 + weight)
    reach = z * np.sqrt(share * (1 - share) / count + weight / (4 * count)) / (1 + weight)
    return float(max(0.0, centre - reach)), float(min(1.0, centre + reach))


def _check(probabilities: Floats, actual: Labels) -> None:
    validate(probabilities, actual)
    if not len(actual):
        raise ModelError("There is no track to score. The split left this part empty; see reports/split.json.")
