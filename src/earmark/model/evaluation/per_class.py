"""Each genre for itself: how often what is said is true, how often what is true is said, and how often it is held."""

import numpy as np
import pandas as pd

from earmark.model.answers import Floats
from earmark.model.evaluation.draws import Draws
from earmark.model.evaluation.tested import Tested
from earmark.params import Evaluation

_MEASURES = ("precision", "recall", "f1")


def per_class(tested: Tested, how: Evaluation) -> pd.DataFrame:
    """One row a model and genre.

    Returns:
        ``model, genre, precision, recall, f1``, each with ``_low`` and ``_high``; ``support`` and ``groups``, how many
        test songs there are of how many groups; ``set_coverage`` (with its interval) and ``set_size``, of the sets of
        the genre's songs. 0 where a genre was never said, and no number where there is no song of it.
    """
    draws = Draws(tested.groups, how)
    count = len(tested.labels)
    actual = np.eye(count)[tested.actual]
    groups = [len(set(tested.groups[tested.actual == label])) for label in range(count)]
    rows = []
    for kind, answers in tested.answers.items():
        said = np.eye(count)[answers.genres.argmax(axis=1)]
        found = draws.scores(_measures, np.concatenate([actual * said, actual, said], axis=1))
        calibration = tested.calibrations[kind]
        sets = None if calibration is None else calibration.sets.sets(answers.genres)
        for label, genre in enumerate(tested.labels):
            row: dict[str, object] = {"model": kind, "genre": genre}
            for place, name in enumerate(_MEASURES):
                row |= found[place * count + label].flat(name)
            row |= {"support": int(actual[:, label].sum()), "groups": groups[label]}
            if sets is not None:
                row |= draws.mean(sets[:, label].astype(float), actual[:, label]).flat("set_coverage")
                row |= {"set_size": draws.mean(sets.sum(axis=1).astype(float), actual[:, label]).value}
            rows.append(row)
    return pd.DataFrame(rows)


def _measures(sums: Floats) -> Floats:
    """Precision, recall and F1 of each genre, ``(…, 3 · labels)``, from hits, actual and said ones, side by side."""
    hit, there, said = np.split(sums, 3, axis=-1)
    recall = hit / there
    f1 = np.where(there > 0, 2 * hit / (there + said), np.nan)
    return np.concatenate([np.where(said > 0, hit / said, 0.0), recall, f1], axis=-1)
