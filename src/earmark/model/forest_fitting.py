"""A forest as a predictor, from the songs that it is fitted to: descriptors are chosen, then trees are fitted."""

import pandas as pd

from earmark.model.forest import fit_forest, fit_tag_forest
from earmark.model.forest_features import chosen_features
from earmark.model.forest_predictor import ForestPredictor, columns
from earmark.model.material import Material
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
