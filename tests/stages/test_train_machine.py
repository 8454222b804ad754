"""The stage `train_machine`, and the blend that takes its machine, on tones whose styles differ in pitch."""

import dataclasses
import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from earmark.errors import ModelError
from earmark.model.encoders.network_encoder import NetworkEncoder
from earmark.model.held_out import HeldOut
from earmark.model.machine.predictor import MachinePredictor
from earmark.model.material import load_material
from earmark.model.network.network import MusicNetwork
from earmark.model.predictor import load_predictor
from earmark.model.scoring import answers_of
from earmark.params import Frontend, Network, Params, load_params
from earmark.stages import blend, features, train_forest, train_machine
from earmark.workspace import BLEND, CATALOGUE, MACHINE, MODELS, NETWORK, SPLITS
from made_audio import encode_tone
from scratch import CHECKOUT

STYLES = {"high": 1600.0, "low": 200.0, "middle": 600.0}
PER_STYLE = 10
FRONTEND = Frontend(sample_rate_hz=8_000, n_fft=256, hop=128, mels=16, f_min_hz=30.0, f_max_hz=4000.0)
NETWORK_HOW = Network("tiny", pooling="mean_max", dropout=0.0, embedding="none", excerpt_seconds=0.512, excerpts=2)


def params(encoder: Path | str, *, folds: int = 0) -> Params:
    found = load_params(CHECKOUT / "params.yaml")
    return dataclasses.replace(
        found,
        frontend=FRONTEND,
        machine=dataclasses.replace(found.machine, encoder=str(encoder)),
        forest=dataclasses.replace(found.forest, trees=10),
        calibration=dataclasses.replace(found.calibration, folds=folds),
    )


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("project")
    rows = []
    for style, hertz in STYLES.items():
        for number in range(PER_STYLE):
            content = encode_tone("wav", 1.5, rate_hz=8_000, channels=1, tone_hz=hertz * (1 + number / 100))
            (root / f"{style}-{number}.wav").write_bytes(content)
            side = "test" if number in (3, 6) else "validation" if number in (1, 5, 8) else "train"
            rows.append(
                (f"{style}/{number}", hashlib.sha256(content).hexdigest(), f"{style}-{number}.wav", style, side)
            )
    table = pd.DataFrame(rows, columns=["track_id", "content_hash", "path", "genre", "split"])
    (root / CATALOGUE).parent.mkdir(parents=True)
    table.drop(columns="split").to_parquet(root / CATALOGUE, index=False)
    table.assign(group=table["track_id"])[["track_id", "split", "group", "genre"]].to_parquet(
        root / SPLITS, index=False
    )
    features.run(params("none"), root)
    return root


def encoder(trained_on: frozenset[str] = frozenset()) -> NetworkEncoder:
    torch.manual_seed(1)
    return NetworkEncoder(trained_on, MusicNetwork(NETWORK_HOW, mels=16, classes=1).eval(), NETWORK_HOW, FRONTEND)


@pytest.fixture(params=["descriptors", "encoder"])
def folder(request, tmp_path) -> Path:
    if request.param == "descriptors":
        return CHECKOUT / "weights" / "none"
    encoder().save(tmp_path / "weights")
    return tmp_path / "weights"


def trained(root: Path, how: Params) -> MachinePredictor:
    train_machine.run(how, root)
    found = load_predictor(root / MACHINE)
    assert isinstance(found, MachinePredictor)
    return found


class TestTrainMachine:
    @pytest.mark.parametrize("folds", [0, 2])
    def test_it_learns_and_knows_how_sure_it_is(self, catalogue, folder, folds):
        machine = trained(catalogue, params(folder, folds=folds))
        material = load_material(catalogue, FRONTEND)
        test = material.part("test")
        answers = answers_of(machine, test, catalogue)
        assert np.mean(answers.genres.argmax(axis=1) == material.indices(test)) > 0.8
        heard = "train" if folds == 0 else "train|validation"
        assert material.hashes(material.tracks[material.tracks["split"].str.fullmatch(heard)]) <= machine.trained_on
        assert not material.hashes(test) & machine.trained_on
        assert machine.calibration is not None and machine.calibration.familiar is not None
        assert machine.needs_encoded == (folder.name != "none")

    def test_its_held_out_songs_are_there_for_the_blend(self, catalogue, folder):
        machine = trained(catalogue, params(folder, folds=2))
        held = HeldOut.load(catalogue / MACHINE, load_material(catalogue, FRONTEND))
        assert len(held.tracks) == len(STYLES) * (PER_STYLE - 2)
        assert held.answers.embeddings.shape[1] == answers_of(machine, held.tracks, catalogue).embeddings.shape[1]

    def test_no_song_that_is_held_out_decides_anything(self, catalogue, folder):
        first = trained(catalogue, params(folder))
        splits = pd.read_parquet(catalogue / SPLITS)
        fewer = splits.drop(splits[splits["split"] != "train"].index[::2])
        try:
            fewer.to_parquet(catalogue / SPLITS, index=False)
            second = trained(catalogue, params(folder))
        finally:
            splits.to_parquet(catalogue / SPLITS, index=False)
        assert first.machine.settings == second.machine.settings and first.machine.losses == second.machine.losses

    @pytest.mark.parametrize("side", ["test", "validation"])
    def test_an_encoder_that_has_heard_a_held_out_song_is_refused(self, catalogue, tmp_path, side):
        material = load_material(catalogue, FRONTEND)
        encoder(frozenset(list(material.hashes(material.part(side)))[:2])).save(tmp_path)
        with pytest.raises(ModelError, match=r"trained on 2 of the songs .* held out"):
            train_machine.run(params(tmp_path), catalogue)

    def test_one_that_only_listened_to_songs_of_validation_is_taken(self, catalogue, tmp_path):
        material = load_material(catalogue, FRONTEND)
        listened = material.hashes(material.part("validation"))
        dataclasses.replace(encoder(listened), labelled=False).save(tmp_path)
        assert listened <= trained(catalogue, params(tmp_path)).trained_on

    def test_but_not_one_that_listened_to_songs_for_testing(self, catalogue, tmp_path):
        material = load_material(catalogue, FRONTEND)
        dataclasses.replace(encoder(material.hashes(material.part("test"))), labelled=False).save(tmp_path)
        with pytest.raises(ModelError, match="held out"):
            train_machine.run(params(tmp_path), catalogue)

    def test_what_the_encoder_has_heard_the_machine_has_heard(self, catalogue, tmp_path):
        encoder(frozenset({"elsewhere"})).save(tmp_path)
        assert "elsewhere" in trained(catalogue, params(tmp_path)).trained_on

    def test_no_encoder_where_one_is_named_is_an_error(self, catalogue, tmp_path):
        with pytest.raises(ModelError, match="holds no encoder"):
            train_machine.run(params(tmp_path), catalogue)


class TestBlend:
    def test_network_forest_and_machine_become_one(self, catalogue, folder):
        """A machine stands in for the network here: what matters is that every part is asked and carried along."""
        how = params(folder)
        train_forest.run(how, catalogue)
        machine = trained(catalogue, how)
        material = load_material(catalogue, FRONTEND)
        held = HeldOut.load(catalogue / MACHINE, material)
        (catalogue / NETWORK).parent.mkdir(exist_ok=True)
        plain = trained(catalogue, params(CHECKOUT / "weights" / "none"))
        plain.save(catalogue / NETWORK)
        HeldOut.load(catalogue / MACHINE, material).save(catalogue / NETWORK)
        machine.save(catalogue / MACHINE)
        held.save(catalogue / MACHINE)
        blend.run(how, catalogue)
        found = load_predictor(catalogue / BLEND)
        assert list(found.parts) == [name for name, at in MODELS.items() if at != BLEND]
        assert "machine" in found.parts and found.needs_encoded == machine.needs_encoded
        assert len(list((catalogue / BLEND).rglob("encoder.json"))) == int(machine.needs_encoded)
        test = material.part("test")
        answers = answers_of(found, test, catalogue)
        assert np.mean(answers.genres.argmax(axis=1) == material.indices(test)) > 0.8
