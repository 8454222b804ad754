"""Stage `train_forest`: the random forest on descriptors, the honest baseline."""

from pathlib import Path

from earmark.model.forest import fit_forest, fit_tag_forest
from earmark.model.material import load_material
from earmark.model.predictor import ForestPredictor
from earmark.params import Params
from earmark.workspace import FOREST


def run(params: Params, root: Path) -> None:
    """Write models/forest."""
    material = load_material(root, params.frontend)
    training = material.part("train")
    ForestPredictor(
        labels=material.labels,
        frontend=params.frontend,
        trained_on=material.hashes(training),
        data_hash=material.data_hash,
        tags=material.tags.names,
        tag_forest=fit_tag_forest(
            material.descriptors(training), material.tags.of(training["track_id"]), params.forest
        ),
        forest=fit_forest(material.descriptors(training), material.indices(training), params.forest),
    ).save(root / FOREST)
