"""What the forest listens to, and what it would lose or gain by listening to less, on artists that it has not heard.

Training and validation part together are divided by group, as for `earmark.model.held_out`, and each part is kept from
a forest of its own, fitted as the pipeline's is. A validation part alone often has too few artists of a genre to say
what matters for it. Test songs have no part in any choice.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from earmark.audio.descriptors import descriptor_names
from earmark.model.held_out import Part
from earmark.model.material import Material
from earmark.model.metrics import Labels, accuracy, difference, score, some_groups
from earmark.model.reasons.importance import Answer, Importance, Table, pooled_importance
from earmark.model.reasons.importance import Part as Asked
from earmark.model.trees.predictor import ForestPredictor, columns
from earmark.params import Evaluation

REPEATS = 5
MOST_TRACKS = 2_000  # of a larger catalogue, whole groups are drawn until there are as many


@dataclass(frozen=True)
class Crossed:
    """Forests and the songs that each was kept from."""

    forests: Sequence[ForestPredictor]
    parts: Sequence[Part]


def importance_of(crossed: Crossed, material: Material, how: Evaluation, seed: int) -> Importance:
    """Importance of each descriptor and family; see `earmark.model.reasons.importance`.

    Raises:
        ModelError: A part has fewer than two songs.
    """
    tracks = pd.concat([part.held for part in crossed.parts])
    own = np.repeat(np.arange(len(crossed.parts)), [len(part.held) for part in crossed.parts])
    some = some_groups(tracks["group"].to_numpy(object), MOST_TRACKS, seed)
    tracks, own = tracks.iloc[some], own[some]
    asked = [
        Asked(answer_of(forest), np.flatnonzero(own == number))
        for number, forest in enumerate(crossed.forests)
        if (own == number).sum() > 1
    ]
    return pooled_importance(
        asked,
        material.descriptors(tracks),
        material.indices(tracks),
        tracks["group"].to_numpy(object),
        descriptor_names(),
        material.labels,
        how,
        repeats=REPEATS,
        seed=seed,
    )


def answer_of(forest: ForestPredictor) -> Answer:
    """From all descriptors ``(tracks, descriptors)`` to probabilities ``(tracks, labels)``; tags are not asked for."""

    def answer(rows: Table) -> NDArray[np.float64]:
        found = np.zeros((len(rows), len(forest.labels)))
        found[:, forest.forest.classes_] = forest.forest.predict_proba(columns(rows, forest.chosen))
        return found

    return answer


def predicted(crossed: Crossed, material: Material) -> Labels:
    """What each held-out song is said to be, in the order of the parts, shape ``(tracks,)``."""
    return np.concatenate(
        [
            answer_of(forest)(material.descriptors(part.held)).argmax(axis=1)
            for forest, part in zip(crossed.forests, crossed.parts, strict=True)
        ]
    )


def side_by_side(
    material: Material, tracks: pd.DataFrame, whole: Labels, selected: Labels, how: Evaluation
) -> dict[str, Any]:
    """Accuracy of forests on ``all`` and on ``selected`` descriptors, and the latter's gain, paired, with intervals.

    Args:
        material: Where labels come from.
        tracks: The songs, rows of `Material.tracks`.
        whole: What those on all descriptors say, shape ``(tracks,)``.
        selected: What those on the selected ones say.
        how: Section ``evaluation`` of params.yaml.
    """
    actual, groups = material.indices(tracks), tracks["group"].to_numpy(object)
    return {
        "all": score(accuracy, actual, whole, groups, how).flat("accuracy"),
        "selected": score(accuracy, actual, selected, groups, how).flat("accuracy"),
        "difference": difference(accuracy, actual, selected, whole, groups, how).flat("accuracy"),
        "tracks": len(tracks),
        "groups": len(set(groups)),
    }
