"""Stage `blend`: network, forest and machine as one, weighted by how they answered songs that they had not heard."""

import shutil
import sys
from pathlib import Path

from earmark.errors import ModelError
from earmark.model.blend import BlendPredictor, blended, fit_weights
from earmark.model.held_out import FILE, HeldOut, calibration_of
from earmark.model.material import load_material
from earmark.model.predictor import load_predictor
from earmark.model.scoring import answers_of
from earmark.params import Params
from earmark.workspace import BLEND, MODELS


def run(params: Params, root: Path) -> None:
    """Write models/blend.

    Raises:
        ModelError: A model is missing, or was made of other songs than the others.
    """
    material = load_material(root, params.frontend)
    folders = {name: folder for name, folder in MODELS.items() if folder != BLEND}
    parts = {name: load_predictor(root / folder) for name, folder in folders.items()}
    held = [HeldOut.load(root / folder, material) for folder in folders.values()]
    tracks = held[0].tracks
    if not all(each.tracks["track_id"].equals(tracks["track_id"]) for each in held):
        raise ModelError(
            f"Of the models {', '.join(folders)} not the same songs were held out, so nobody can tell which of them "
            "answers better. Probably the catalogue has changed since one was trained: `dvc repro` trains it again."
        )
    answers = [each.answers for each in held]
    weights = fit_weights(answers, material.indices(tracks), material.tags.of(tracks["track_id"]))
    network = parts["network"]
    told = HeldOut(tracks, blended(answers, weights))
    fitted = material.tracks[material.tracks["content_hash"].isin(network.trained_on)]
    fitted = fitted[~fitted["track_id"].isin(tracks.loc[tracks["part"] == 0, "track_id"])]
    embeddings = answers_of(network, fitted, root, raw=True).embeddings
    BlendPredictor(
        labels=material.labels,
        frontend=params.frontend,
        trained_on=frozenset().union(*(part.trained_on for part in parts.values())),
        data_hash=material.data_hash,
        tags=material.tags.names,
        parts=parts,
        weights=weights,
        calibration=calibration_of(told, embeddings, material, params.calibration),
    ).save(root / BLEND)
    # As they are: trees that were read and are written again differ in bytes that mean nothing.
    for name, folder in folders.items():
        without = shutil.ignore_patterns(FILE)
        shutil.copytree(root / folder, root / BLEND / name, dirs_exist_ok=True, ignore=without)
    told.save(root / BLEND)
    shown = ", ".join(f"{name} {weight:.2f}" for name, weight in zip(parts, weights.genres, strict=True))
    print(f"blend: exponents of the probabilities: {shown}", file=sys.stderr)
