"""A forest as a predictor, from the songs that it is fitted to: descriptors are chosen, then trees are fitted."""

import dataclasses

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from earmark.model.material import Material
from earmark.model.trees.features import chosen_features
from earmark.model.trees.forest import fit_forest, fit_tag_forest
from earmark.model.trees.predictor import ForestPredictor, columns
from earmark.params import Forest


def fitted(tracks: pd.DataFrame, material: Material, how: Forest, *, tags: bool = True) -> ForestPredictor:
    """Trees fitted to ``tracks``, not yet calibrated.

    Args:
        tracks: Rows of `Material.tracks`; no other song has any part in it, neither in the choice of descriptors.
        material: Where descriptors, labels and tags come from.
        how: Section ``forest`` of params.yaml.
        tags: Whether tags are learnt, too.

    Raises:
        ModelError: The descriptors that ``forest.features`` asks for cannot be chosen.
    """
    table, actual = material.descriptors(tracks), material.indices(tracks)
    chosen = chosen_features(table, actual, tracks["group"].to_numpy(object), material.labels, how)
    heard = columns(table, chosen)
    return ForestPredictor(
        labels=material.labels,
        frontend=material.frontend,
        trained_on=material.hashes(tracks),
        data_hash=material.data_hash,
        tags=material.tags.names if tags else (),
        forest=fit_forest(heard, actual, how),
        tag_forest=fit_tag_forest(heard, material.tags.of(tracks["track_id"]), how) if tags else None,
        chosen=chosen,
    )


def cross_fitted(tracks: pd.DataFrame, material: Material, seed: int) -> NDArray[np.float64]:
    """What a plain random forest says of each of ``tracks`` that was fitted without its group.

    Returns:
        Genre probabilities, shape ``(tracks, labels)``; NaN where a genre has too few groups for it to be asked.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    table, actual = material.descriptors(tracks), material.indices(tracks)
    groups = tracks["group"].to_numpy(object)
    told = np.full((len(tracks), len(material.labels)), np.nan)
    fewest = min(len(set(groups[actual == label])) for label in np.unique(actual))
    if fewest < 2:
        return told
    how = dataclasses.replace(_PLAIN, seed=seed)
    for rest, held in StratifiedGroupKFold(min(5, fewest), shuffle=True, random_state=seed).split(
        table, actual, groups
    ):
        forest = fit_forest(table[rest], actual[rest], how)
        told[np.ix_(held, forest.classes_)] = forest.predict_proba(table[held])
    return np.where(np.isnan(told).all(axis=1, keepdims=True), np.nan, np.nan_to_num(told))


_PLAIN = Forest(
    seed=1,
    kind="random_forest",
    trees=200,
    max_features="sqrt",
    min_samples_leaf=2,
    learning_rate=0.05,
    features="all",
)
