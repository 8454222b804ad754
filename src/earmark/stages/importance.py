"""Stage `importance`: what the forest listens to for each genre, and what selecting features by it would change.

Nothing rests on it: the forest has made its own choice before, or none. All descriptors and those that are surely
important are held against each other whatever ``forest.features`` says, so that the reader can decide.

Held-out songs are asked of forests as small as those that choose descriptors: more trees would change a score by less
than other artists do. Test songs are asked of forests as large as params.yaml says.
"""

import dataclasses
import sys
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from earmark.audio.descriptors import descriptor_names
from earmark.errors import ModelError
from earmark.files import replacing, write_json
from earmark.model.held_out import parts_of
from earmark.model.material import Material, load_material
from earmark.model.predictor import load_predictor
from earmark.model.reasons.forest_importance import Crossed, answer_of, importance_of, predicted, side_by_side
from earmark.model.reasons.importance import Importance
from earmark.model.trees.features import TREES
from earmark.model.trees.fitting import fitted
from earmark.model.trees.predictor import ForestPredictor
from earmark.params import Forest, Params
from earmark.workspace import FAMILY_IMPORTANCE, FOREST, IMPORTANCE, SELECTION

FOLDS = 5  # where calibration.folds is 0; fewer where a genre has fewer groups

Features = Literal["all", "sure"] | int
_BOTH: tuple[Literal["all"], Literal["sure"]] = ("all", "sure")
_NONE = pd.DataFrame(columns=["class", "feature", "family", "importance", "low", "high"])


def run(params: Params, root: Path) -> None:
    """Write reports/importance.csv, importance_families.csv and selection.json.

    Where a genre has a single group, nothing can be held out of it: the tables are empty then.

    Raises:
        ModelError: The forest is missing.
        CatalogueError: A genre has too few groups to be divided so often.
    """
    material = load_material(root, params.frontend)
    shipped = load_predictor(root / FOREST)
    if not isinstance(shipped, ForestPredictor):
        raise ModelError(f"{FOREST} holds a {shipped.kind}, not a forest. `dvc repro train_forest` makes one.")
    heard = material.tracks[material.tracks["split"].isin(["train", "validation"])]
    fewest = int(heard.groupby("genre")["group"].nunique().min())
    folds = params.calibration.folds or min(FOLDS, fewest)
    if folds < 2:
        print("importance: a genre has one group only, so none can be held out; nothing is told", file=sys.stderr)
        _write(root, Importance(_NONE, _NONE.drop(columns="feature")), {})
        return
    parts = parts_of(material, folds, params.training.seed)
    crossed: dict[Features, Crossed] = {}
    for features in _BOTH if params.forest.features in _BOTH else (*_BOTH, params.forest.features):
        how = dataclasses.replace(_smaller(params.forest), features=features)
        crossed[features] = Crossed([fitted(part.fitted, material, how, tags=False) for part in parts], parts)
    found = importance_of(crossed[params.forest.features], material, params.evaluation, params.forest.seed)
    selection = _selection(crossed["all"], crossed["sure"], shipped, material, params)
    _write(root, found, selection)
    _tell(found, selection)


def _smaller(how: Forest) -> Forest:
    """Boosting keeps its rounds: fewer would be another model."""
    return dataclasses.replace(how, trees=min(how.trees, TREES)) if how.kind == "random_forest" else how


def _selection(
    whole: Crossed, selected: Crossed, shipped: ForestPredictor, material: Material, params: Params
) -> dict[str, Any]:
    """As reports/selection.json holds it: on held-out songs, and under ``test`` on test songs."""
    held = pd.concat([part.held for part in whole.parts])
    told = side_by_side(material, held, predicted(whole, material), predicted(selected, material), params.evaluation)
    heard = material.part("train")
    if params.calibration.folds:
        heard = pd.concat([heard, material.part("validation")]).sort_values("track_id")
    forests = {}
    for features in _BOTH:
        how = dataclasses.replace(params.forest, features=features)
        ours = params.forest.features == features
        forests[features] = shipped if ours else fitted(heard, material, how, tags=False)
    chosen = forests["sure"].chosen or descriptor_names()
    told["all"]["features"] = len(descriptor_names())
    told["selected"] |= {"features": len(chosen), "names": list(chosen)}
    told["selected"]["features_of_each_part"] = [
        len(forest.chosen or descriptor_names()) for forest in selected.forests
    ]
    tests = material.part("test")
    if len(tests):
        table = material.descriptors(tests)
        answers = {features: answer_of(forest)(table).argmax(axis=1) for features, forest in forests.items()}
        told["test"] = side_by_side(material, tests, answers["all"], answers["sure"], params.evaluation)
    return {"parts": len(whole.parts), **told}


def _write(root: Path, found: Importance, selection: dict[str, Any]) -> None:
    for path, table in ((IMPORTANCE, found.features), (FAMILY_IMPORTANCE, found.families)):
        with replacing(root / path) as part:
            table.to_csv(part, index=False, float_format="%.6g", lineterminator="\n")
    write_json(root / SELECTION, selection)


def _tell(found: Importance, selection: dict[str, Any]) -> None:
    families = found.families[found.families["class"] == "all"].sort_values("importance", ascending=False)
    sure = families[families["low"] > 0]
    shown = ", ".join(f"{row.family} {row.importance:.3f}" for row in sure.itertuples())
    print(f"importance: in nats, of what is sure: {shown or 'nothing'}", file=sys.stderr)
    gain, selected = selection["difference"], selection["selected"]
    print(
        f"selection: {selected['features']} of {len(descriptor_names())} descriptors, accuracy "
        f"{selected['accuracy']:.3f} after {selection['all']['accuracy']:.3f}: {gain['accuracy']:+.3f} "
        f"[{gain['accuracy_low']:+.3f}, {gain['accuracy_high']:+.3f}] on held-out songs",
        file=sys.stderr,
    )
