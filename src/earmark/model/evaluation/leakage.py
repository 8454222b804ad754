"""How much a careless split would flatter: the same forest, cross-validated by group and at random.

Two recordings of one artist (or of one piece) resemble each other in ways that have nothing to do with genre. Where a
random split puts one into training and one into test, the score rewards recognising the artist; Flexer ("A closer look
on artist filters for musical genre classification", ISMIR 2007) calls the difference the artist effect. Here it is
measured on the catalogue at hand, paired: every track is answered once by a forest that never heard its group, and once
by one that may have. No choice rests on it.
"""

import dataclasses

import numpy as np
from numpy.typing import NDArray

from earmark.model.metrics import Labels, accuracy, difference, score, some_groups
from earmark.model.trees.forest import fit_forest
from earmark.params import Evaluation, Forest

FOLDS = 5
TREES = 100  # enough for a difference, and ten forests are fitted
MOST_TRACKS = 5_000  # of a larger catalogue, whole groups are drawn until there are as many


def leakage(
    descriptors: NDArray[np.float64], labels: Labels, groups: NDArray[np.object_], forest: Forest, how: Evaluation
) -> dict[str, float]:
    """Accuracy by group (honest) and at random, and random minus honest, each with its interval.

    Args:
        descriptors: Shape ``(tracks, descriptors)``.
        labels: Index of each track's genre, shape ``(tracks,)``.
        groups: What must stay together, shape ``(tracks,)``.
        forest: Section ``forest`` of params.yaml; it gets `TREES` trees.
        how: Section ``evaluation`` of params.yaml.

    Returns:
        ``honest_accuracy``, ``random_accuracy``, ``random_minus_honest``, each also with ``_low`` and ``_high``,
        ``tracks`` and ``folds``; nothing where a genre has fewer than two groups.
    """
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    chosen = some_groups(groups, MOST_TRACKS, how.seed)
    descriptors, labels, groups = descriptors[chosen], labels[chosen], groups[chosen]
    folds = min(FOLDS, min(len(set(groups[labels == label])) for label in np.unique(labels)))
    if folds < 2:
        return {}
    forest = dataclasses.replace(forest, trees=TREES)
    answers = []
    for splitter in (StratifiedGroupKFold, StratifiedKFold):
        predicted = np.full(len(labels), -1, dtype=np.int64)
        together = groups if splitter is StratifiedGroupKFold else None
        parts = splitter(folds, shuffle=True, random_state=how.seed).split(descriptors, labels, together)
        for train, test in parts:
            predicted[test] = fit_forest(descriptors[train], labels[train], forest).predict(descriptors[test])
        answers.append(predicted)
    honest, random = answers
    return {
        **score(accuracy, labels, honest, groups, how).flat("honest_accuracy"),
        **score(accuracy, labels, random, groups, how).flat("random_accuracy"),
        **difference(accuracy, labels, random, honest, groups, how).flat("random_minus_honest"),
        "tracks": len(labels),
        "folds": folds,
    }
