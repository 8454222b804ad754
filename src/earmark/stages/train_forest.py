"""Stage `train_forest`: trees on descriptors, the honest baseline.

Each forest is fitted to descriptors of its own choice (``forest.features``), made within the songs that it hears.
"""

import dataclasses
import sys
from pathlib import Path

import pandas as pd

from earmark.audio.descriptors import descriptor_names
from earmark.model.held_out import calibration_of, held_out, parts_of
from earmark.model.material import load_material
from earmark.model.trees.fitting import fitted
from earmark.params import Params
from earmark.workspace import FOREST


def run(params: Params, root: Path) -> None:
    """Write models/forest.

    Raises:
        CatalogueError: A genre has too few groups to be divided so often.
        ModelError: ``forest.features`` asks for more descriptors than there are.
    """
    material = load_material(root, params.frontend)
    parts = parts_of(material, params.calibration.folds, params.training.seed)
    own = [fitted(part.fitted, material, params.forest) for part in parts]
    held = held_out(zip(own, parts, strict=True), root)
    heard = pd.concat([parts[0].fitted, parts[0].held])
    # Of several parts each was only kept from one forest; the one that answers is fitted to all of them.
    forest = own[0] if len(parts) == 1 else fitted(heard, material, params.forest)
    if len(held.tracks):
        table = material.descriptors(parts[0].fitted)
        embeddings = forest.of_descriptors(table).embeddings
        forest = dataclasses.replace(forest, calibration=calibration_of(held, embeddings, material, params.calibration))
    forest = dataclasses.replace(forest, trained_on=material.hashes(heard))
    forest.save(root / FOREST)
    held.save(root / FOREST)
    if params.forest.features != "all":
        print(f"forest: {len(forest.chosen) or len(descriptor_names())} descriptors chosen", file=sys.stderr)
