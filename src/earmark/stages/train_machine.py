"""Stage `train_machine`: kernel machines on descriptors, and on what a frozen encoder hears, where one is set."""

import dataclasses
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from earmark.errors import ModelError
from earmark.model.answers import Floats
from earmark.model.encoders.encoder import Encoder
from earmark.model.encoders.hearing import encodings_of
from earmark.model.encoders.loading import encoder_at
from earmark.model.held_out import HeldOut, Part, calibration_of, held_out, parts_of
from earmark.model.machine.machine import fit_machine
from earmark.model.machine.predictor import MachinePredictor, blocks_of
from earmark.model.material import Material, load_material
from earmark.params import Params
from earmark.workspace import MACHINE


def run(params: Params, root: Path) -> None:
    """Write models/machine.

    Raises:
        CatalogueError: A genre has too few groups to be divided so often.
        ModelError: There is no encoder where ``machine.encoder`` says, or it has heard songs that are held out.
    """
    material = load_material(root, params.frontend)
    encoder = encoder_at(root, params.machine.encoder)
    parts = parts_of(material, params.calibration.folds, params.training.seed)
    heard = pd.concat([parts[0].fitted, parts[0].held])
    if encoder is not None:
        _check_unheard(encoder, material, parts)
    songs = _Songs(heard, material, encoder)
    own = [_fitted(part.fitted, songs, material, params) for part in parts]
    held = held_out(zip(own, parts, strict=True), root)
    machine = own[0] if len(parts) == 1 else _fitted(heard, songs, material, params)
    if len(held.tracks):
        # Each part's machine has a scale of its own; what is unlike all songs is told by that of the one that answers.
        embeddings = machine.machine(songs.blocks(held.tracks)).embeddings
        held = HeldOut(held.tracks, dataclasses.replace(held.answers, embeddings=embeddings))
        embeddings = machine.machine(songs.blocks(parts[0].fitted)).embeddings
        calibration = calibration_of(held, embeddings, material, params.calibration)
        machine = dataclasses.replace(machine, calibration=calibration)
    known = frozenset() if encoder is None else encoder.trained_on
    machine = dataclasses.replace(machine, trained_on=material.hashes(heard) | known)
    machine.save(root / MACHINE)
    held.save(root / MACHINE)
    for learner, setting in machine.machine.settings.items():
        chosen = ", ".join(f"{name} {value}" for name, value in setting.items())
        print(f"machine: {learner}: {chosen or 'nothing to learn'}", file=sys.stderr)


class _Songs:
    """What is known of each song, looked up once for all fits."""

    def __init__(self, tracks: pd.DataFrame, material: Material, encoder: Encoder | None) -> None:
        self.encoder = encoder
        self._rows = {track_id: row for row, track_id in enumerate(tracks["track_id"])}
        encoded: NDArray[np.float32] | None = None
        if encoder is not None:
            encoded = encodings_of(encoder, tracks, material.root, material.frontend.sample_rate_hz)
        self._blocks = blocks_of(material.descriptors(tracks), encoded)

    def blocks(self, tracks: pd.DataFrame) -> list[Floats]:
        """Those of ``tracks``, in their order, shape ``(tracks, columns)`` each."""
        chosen = [self._rows[track_id] for track_id in tracks["track_id"]]
        return [block[chosen] for block in self._blocks]


def _fitted(tracks: pd.DataFrame, songs: _Songs, material: Material, params: Params) -> MachinePredictor:
    """Machines fitted to ``tracks``, not yet calibrated."""
    return MachinePredictor(
        labels=material.labels,
        frontend=params.frontend,
        trained_on=material.hashes(tracks),
        data_hash=material.data_hash,
        tags=material.tags.names,
        machine=fit_machine(
            songs.blocks(tracks),
            material.indices(tracks),
            tracks["group"].to_numpy(object),
            material.tags.of(tracks["track_id"]),
            params.machine,
        ),
        encoder=songs.encoder,
    )


def _check_unheard(encoder: Encoder, material: Material, parts: list[Part]) -> None:
    """An encoder that was fitted to a song knows it, so that nothing said of that song would be a test.

    Raises:
        ModelError: It was fitted to a song that is for testing, or, by its label, to one that is held out.
    """
    held = pd.concat([material.part("test"), *(part.held for part in parts if encoder.labelled)])
    if known := material.hashes(held) & encoder.trained_on:
        raise ModelError(
            f"The encoder in machine.encoder was trained on {len(known)} of the songs that are held out here, for "
            "testing or calibration: scores would be of songs that it knows. Take an encoder from another "
            "catalogue, or published weights (`earmark weights import`)."
        )
