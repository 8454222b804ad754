"""Whether each model is as right as it is sure, whether its promises are kept, and what it may leave unanswered.

The error of calibration depends on how many songs there are: a model that says what it should misses by chance, too.
So beside it stands what such a model would be expected to show on as many songs (compare Bröcker and Smith,
"Increasing the reliability of reliability diagrams", Weather and Forecasting 22, 2007).
"""

import numpy as np
import pandas as pd

from earmark.model.answers import Answers, Floats
from earmark.model.calibration.abstention import (
    accuracy_at,
    area_under_risk_coverage,
    confidence,
    risk_coverage,
)
from earmark.model.calibration.calibration import Calibration
from earmark.model.calibration.reliability import (
    bins_for,
    brier,
    expected_calibration_error,
    log_loss,
    reliability_table,
)
from earmark.model.calibration.temperature import FLOOR
from earmark.model.evaluation.draws import Draws
from earmark.model.evaluation.tested import MAJORITY, Tested
from earmark.model.metrics import Labels
from earmark.model.predictor import UNLIKE
from earmark.params import Evaluation

COVERAGE = 0.8  # of the songs, the surest: how often are these right?
_CHANCES = 1_000  # models that are right exactly as often as they say
_POINTS = 200  # of a curve


def sureness(tested: Tested, how: Evaluation) -> dict[str, dict[str, float]]:
    """By model, the one that has heard nothing among them.

    Returns:
        ``log_loss``, ``brier`` and ``ece`` with intervals (that of ``ece`` leans upwards: it takes distances, and each
        draw adds to them), ``ece_by_chance`` and ``ece_by_chance_high``, ``accuracy_at_80_coverage`` and
        ``area_under_risk_coverage``. Where the model is calibrated also ``set_nominal``, ``set_coverage`` and
        ``set_size`` with intervals, ``abstained``, ``unlike`` (the share of songs that the predictor warns of) and
        ``unlike_nominal`` (of songs like those of training it warns of so many at most), and where it has tags
        ``interval_nominal``, ``interval_coverage`` with its interval and ``interval_width``.
    """
    draws = Draws(tested.groups, how)
    found = {}
    for kind, told in tested.probabilities.items():
        found[kind] = _of_probabilities(told, tested, draws, how)
        calibration = tested.calibrations.get(kind)
        if kind != MAJORITY and calibration is not None:
            found[kind] |= _of_promises(tested.answers[kind], calibration, tested, draws)
    return found


def reliability(tested: Tested) -> pd.DataFrame:
    """``model, confidence, accuracy, low, high, count``: songs about equally sure, and how many of them were right."""
    rows = [
        {
            "model": kind,
            "confidence": row.confidence,
            "accuracy": row.accuracy,
            "low": row.low,
            "high": row.high,
            "count": row.count,
        }
        for kind, answers in tested.answers.items()
        for row in reliability_table(answers.genres, tested.actual, bins_for(len(tested.actual)))
    ]
    return pd.DataFrame(rows)


def risk_coverage_curves(tested: Tested) -> pd.DataFrame:
    """``model, threshold, coverage, accuracy, risk``, the surest first; a long curve has every so manieth point."""
    rows = []
    for kind, answers in tested.answers.items():
        curve = risk_coverage(answers.genres, tested.actual)
        chosen = np.unique(np.linspace(0, len(curve) - 1, min(len(curve), _POINTS)).round().astype(int))
        rows += [{"model": kind, **vars(curve[place])} for place in chosen]
    return pd.DataFrame(rows)


def _of_probabilities(told: Floats, tested: Tested, draws: Draws, how: Evaluation) -> dict[str, float]:
    actual, bins = tested.actual, bins_for(len(tested.actual))
    right = np.maximum(told[np.arange(len(actual)), actual], FLOOR)
    squares = np.square(told - np.eye(told.shape[1])[actual]).sum(axis=1)
    ece = expected_calibration_error(told, actual, bins)
    return {
        **_named("log_loss", draws, -np.log(right), log_loss(told, actual)),
        **_named("brier", draws, squares, brier(told, actual)),
        "ece": ece,
        **{f"ece_{end}": value for end, value in _ece_interval(told, actual, bins, draws).items()},
        **ece_by_chance(told, bins, how),
        "accuracy_at_80_coverage": accuracy_at(told, actual, COVERAGE),
        "area_under_risk_coverage": area_under_risk_coverage(told, actual),
    }


def _of_promises(answers: Answers, calibration: Calibration, tested: Tested, draws: Draws) -> dict[str, float]:
    tracks = np.arange(len(tested.actual))
    sets = calibration.sets.sets(answers.genres)
    found = {
        "set_nominal": calibration.sets.coverage,
        **draws.mean(sets[tracks, tested.actual].astype(float)).flat("set_coverage"),
        **draws.mean(sets.sum(axis=1).astype(float)).flat("set_size"),
        "abstained": float(np.mean(confidence(answers.genres) < calibration.threshold)),
    }
    if calibration.familiar is not None:
        familiar = calibration.familiar
        found["unlike"] = float(np.mean(familiar.unlike(answers.embeddings, UNLIKE)))
        found["unlike_nominal"] = max(UNLIKE, float(1.0 - familiar.weights.sum()))  # the weight of one more artist
    if calibration.intervals is not None and tested.tags:
        low, high = calibration.intervals.of(answers.shares)
        there = (tested.known[:, 1] > 0) & np.array([each is not None for each in calibration.intervals.multiples])
        if there.any():
            share = tested.known[:, 0].astype(float)
            kept = ((low <= share) & (share <= high) & there).sum(axis=1)
            count = there.sum(axis=1).astype(float)
            per_song = np.divide(kept, count, out=np.zeros(len(count)), where=count > 0)
            found["interval_nominal"] = calibration.intervals.coverage
            found |= draws.mean(per_song, count).flat("interval_coverage")
            found["interval_width"] = float((high - low)[there].mean())
    return found


def _named(name: str, draws: Draws, values: Floats, value: float) -> dict[str, float]:
    """A mean over songs with its interval, whose value is computed where it belongs."""
    return {**draws.mean(values).flat(name), name: value}


def _ece_interval(told: Floats, actual: Labels, bins: int, draws: Draws) -> dict[str, float]:
    """Of the error in the bins as they are."""
    place = _places(told, bins)
    miss = confidence(told) - (told.argmax(axis=1) == actual)
    table = np.zeros((len(actual), place.max() + 2))
    table[np.arange(len(actual)), place] = miss
    table[:, -1] = 1.0
    (found,) = draws.scores(lambda sums: np.abs(sums[..., :-1]).sum(axis=-1, keepdims=True) / sums[..., -1:], table)
    return {"low": found.low, "high": found.high}


def ece_by_chance(told: Floats, bins: int, how: Evaluation, repeats: int = 1) -> dict[str, float]:
    """What a model that is right exactly as often as it says misses by on as many songs: on average, and at most.

    Args:
        told: Probabilities, shape ``(repeats × songs, classes)``: all songs, then all of them again.
        bins: Of equal mass.
        how: Section ``evaluation`` of params.yaml.
        repeats: How often each song is answered; its genre is the same each time.
    """
    rng = np.random.default_rng(how.seed)
    sure, place = confidence(told), _places(told, bins)
    errors = []
    for _ in range(_CHANCES):
        miss = sure - (np.tile(rng.random(len(sure) // repeats), repeats) < sure)
        errors.append(np.abs(np.bincount(place, miss)).sum() / len(sure))
    return {
        "ece_by_chance": float(np.mean(errors)),
        "ece_by_chance_high": float(np.quantile(errors, how.confidence)),
    }


def _places(told: Floats, bins: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Bins of equal mass, as `earmark.model.calibration.reliability.reliability_table` makes them."""
    sure = confidence(told)
    edges = np.quantile(sure, np.arange(1, bins) / bins, method="inverted_cdf")
    return np.searchsorted(edges, sure, side="left").astype(np.int64)
