"""How well tags are told of songs that no model has heard: by correlation, and for categories by the one that is said.

Pearson's r of a tag is weighted by how much is known of each song. Its ceiling is the noise ceiling of the tag's target
(`earmark.feedback.estimates.ceiling`), in which all songs count alike: where far more is known of some songs than of
most, r can come to lie above it. Categories exclude each other, so of them one is said.
"""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from earmark.model.metrics import accuracy, score
from earmark.params import Evaluation

CATEGORY = "category---"
_FEWEST = 10  # songs

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Told:
    """What is known of some songs, and what each model says.

    Attributes:
        names: Of the tags.
        known: Share and weight, shape ``(tracks, 2, tags)``.
        answers: By model, shares, shape ``(tracks, tags)``.
        groups: Of the songs, shape ``(tracks,)``.
        ceilings: By name of the tag, NaN where there is none.
    """

    names: tuple[str, ...]
    known: NDArray[np.float32]
    answers: dict[str, Floats]
    groups: NDArray[np.object_]
    ceilings: dict[str, float] = field(default_factory=dict)


def tag_table(told: Told) -> pd.DataFrame:
    """``model, tag, songs, r, ceiling``, one row for each model and each tag that is known of enough songs."""
    rows = []
    for column, tag in enumerate(told.names):
        share, weight = told.known[:, 0, column].astype(float), told.known[:, 1, column].astype(float)
        songs = int((weight > 0).sum())
        if songs < _FEWEST:
            continue
        for model, answers in told.answers.items():
            r = _r(share, answers[:, column], weight)
            ceiling = told.ceilings.get(tag, float("nan"))
            rows.append({"model": model, "tag": tag, "songs": songs, "r": r, "ceiling": ceiling})
    return pd.DataFrame(rows, columns=["model", "tag", "songs", "r", "ceiling"])


def category_scores(told: Told, commonest: int, how: Evaluation) -> dict[str, dict[str, float]]:
    """Accuracy of the category that each model says, with its interval; beside them the commonest one in training.

    Args:
        told: Of the test songs.
        commonest: Place of that one among the categories.
        how: Section ``evaluation`` of params.yaml.

    Returns:
        By model ``accuracy, accuracy_low, accuracy_high``, and ``songs``; nothing where too few songs have a category.
    """
    columns = [place for place, name in enumerate(told.names) if name.startswith(CATEGORY)]
    there = (told.known[:, 1][:, columns] > 0).all(axis=1) if columns else np.zeros(len(told.known), dtype=bool)
    if there.sum() < _FEWEST:
        return {}
    actual = told.known[there][:, 0][:, columns].argmax(axis=1).astype(np.int64)
    said = {name: answers[there][:, columns].argmax(axis=1) for name, answers in told.answers.items()}
    said["majority"] = np.full(len(actual), commonest)
    found = {
        name: score(accuracy, actual, answer, told.groups[there], how).flat("accuracy") for name, answer in said.items()
    }
    return {name: {**values, "songs": float(there.sum())} for name, values in found.items()}


def commonest_category(names: tuple[str, ...], known: NDArray[np.float32]) -> int:
    """Place, among the categories, of the one that most training songs belong to."""
    columns = [place for place, name in enumerate(names) if name.startswith(CATEGORY)]
    return int((known[:, 0] * known[:, 1])[:, columns].sum(axis=0).argmax()) if columns else 0


def _r(share: Floats, answer: Floats, weight: Floats) -> float:
    """Weighted Pearson correlation; 0 where one of them is always the same."""
    weight = weight / weight.sum()
    left, right = share - weight @ share, answer - weight @ answer
    spread = np.sqrt((weight @ left**2) * (weight @ right**2))
    return float(weight @ (left * right) / spread) if spread > 1e-12 else 0.0
