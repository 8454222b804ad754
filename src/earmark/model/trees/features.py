"""Which descriptors the forest is fitted to: what ``forest.features`` of params.yaml asks for.

They are chosen by their importance on artists that inner forests were kept from, all of it within the songs that the
forest itself is fitted to (`earmark.model.reasons.selection`). So whoever holds songs out before may score it on them.

The inner forests are random forests, also where the model is gradient boosting, and of fewer trees: they only have to
tell what matters from what does not.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from earmark.audio.descriptors import descriptor_names
from earmark.errors import ModelError
from earmark.model.metrics import Labels, some_groups
from earmark.model.reasons.importance import Answer, Table
from earmark.model.reasons.selection import importance_of_training, select
from earmark.model.trees.forest import fit_forest
from earmark.params import Evaluation, Forest

FOLDS = 5
TREES = 100  # of each inner forest
REPEATS = 5
RESAMPLES, CONFIDENCE = 500, 0.95  # of what is surely important
MOST_TRACKS = 2_000  # of a larger catalogue, whole groups are drawn until there are as many


def chosen_features(
    table: Table, actual: Labels, groups: NDArray[np.object_], labels: Sequence[str], how: Forest
) -> tuple[str, ...]:
    """Names of the descriptors to fit a forest to, in the table's order; none named: all of them.

    Args:
        table: All descriptors of the songs that the forest will be fitted to, and of no others, shape
            ``(tracks, descriptors)``.
        actual: Index of each song's label, shape ``(tracks,)``.
        groups: Artists, shape ``(tracks,)``.
        labels: Of the classes.
        how: Section ``forest`` of params.yaml.

    Raises:
        ModelError: More descriptors are asked for than there are, or there are fewer than two groups or classes.
    """
    names = descriptor_names()
    if how.features == "all":
        return ()
    if isinstance(how.features, int) and how.features > len(names):
        raise ModelError(
            f"forest.features is {how.features}, but there are {len(names)} descriptors. Set it to all, to sure, or to "
            f"a number from 1 to {len(names)}."
        )
    some = some_groups(groups, MOST_TRACKS, how.seed)
    inner = dataclasses.replace(how, kind="random_forest", trees=min(how.trees, TREES))

    def fit(own: Table, own_actual: Labels) -> Answer:
        answer: Answer = fit_forest(own, own_actual, inner).predict_proba
        return answer

    found = importance_of_training(
        table[some],
        actual[some],
        groups[some],
        names,
        labels,
        fit,
        Evaluation(seed=how.seed, resamples=RESAMPLES, confidence=CONFIDENCE),
        folds=FOLDS,
        repeats=REPEATS,
        seed=how.seed,
    )
    chosen = select(found, how.features)
    return () if len(chosen) == len(names) else chosen
