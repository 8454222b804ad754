"""Labels softened by what a forest that had not heard the song says of it; and that the network learns from those."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from earmark.errors import ModelError
from earmark.model.material import Material
from earmark.model.network.examples import Examples
from earmark.model.network.relabelling import relabelled
from earmark.model.trees.fitting import cross_fitted
from earmark.params import load_params
from earmark.stages import train
from earmark.workspace import DESCRIPTORS
from model_tools import FRONTEND
from scratch import CHECKOUT

LABELS = np.eye(3)[[0, 2, 1]]
TOLD = np.array([[0.9, 0.1, 0.0], [0.7, 0.1, 0.2], [0.0, 1.0, 0.0]])


class TestRelabelled:
    def test_a_label_is_mixed_with_what_was_told_of_it(self):
        targets = relabelled(LABELS, TOLD, 0.4)
        np.testing.assert_allclose(targets, [[0.96, 0.04, 0.0], [0.28, 0.04, 0.68], [0.0, 1.0, 0.0]])

    def test_the_loss_is_the_mixture_of_the_losses(self):
        """Cross-entropy is linear in its target: β says how far to listen to the model instead of the label."""
        logs = np.log(np.random.default_rng(0).dirichlet(np.ones(3), 3))
        mixed = -(relabelled(LABELS, TOLD, 0.3) * logs).sum()
        assert mixed == pytest.approx(-0.7 * logs[[0, 1, 2], [0, 2, 1]].sum() - 0.3 * (TOLD * logs).sum())

    def test_0_keeps_the_labels_and_1_takes_what_was_told(self):
        np.testing.assert_array_equal(relabelled(LABELS, TOLD, 0.0), LABELS)
        np.testing.assert_array_equal(relabelled(LABELS, TOLD, 1.0), TOLD)

    def test_targets_are_distributions_of_a_kind(self):
        targets = relabelled(LABELS, TOLD.astype(np.float32), 0.5)
        np.testing.assert_allclose(targets.sum(axis=1), 1, atol=1e-6)
        assert targets.min() >= 0 and targets.dtype == np.float64

    def test_a_doubt_of_less_than_half_weight_never_turns_a_label_over(self):
        told = np.random.default_rng(1).dirichlet(np.ones(3), 300)
        labels = np.arange(300) % 3
        assert (relabelled(np.eye(3)[labels], told, 0.49).argmax(axis=1) == labels).all()

    def test_a_track_of_which_nothing_was_told_keeps_its_label(self):
        told = TOLD.copy()
        told[1] = np.nan
        np.testing.assert_array_equal(relabelled(LABELS, told, 0.5)[1], LABELS[1])

    def test_other_tracks_or_genres_are_refused(self):
        with pytest.raises(ModelError, match=r"\(3, 3\).*\(2, 3\)"):
            relabelled(LABELS, TOLD[:2], 0.5)

    @pytest.mark.parametrize("told", [[0.5, 0.1, 0.1], [-0.5, 0.5, 1.0]])
    def test_what_is_no_probability_is_refused(self, told):
        with pytest.raises(ModelError, match="negative somewhere or does not sum to 1"):
            relabelled(LABELS, np.array([*TOLD[:2], told]), 0.5)


class HandedOver(Exception):
    """With the examples that were to be fitted to."""


def handed_over(examples: Examples):
    raise HandedOver(examples)


class TestStage:
    """What the stage `train` hands to the fit, of 36 songs by 12 artists whose descriptors tell the genre."""

    @pytest.fixture
    def material(self, tmp_path) -> Material:
        genre = np.arange(36) % 2
        names = [f"{number:02d}" for number in range(36)]
        heard = pd.DataFrame({"one": genre + 0.1 * np.random.default_rng(0).random(36), "other": 0.0})
        path = tmp_path / DESCRIPTORS
        path.parent.mkdir(parents=True, exist_ok=True)
        heard.assign(track_id=names).to_parquet(path)
        genre[7] = 0  # a wrong label
        tracks = pd.DataFrame({"track_id": names, "content_hash": names, "path": "x", "split": "train"})
        groups = [f"artist {number // 3}" for number in range(36)]
        return Material(tracks.assign(genre=np.array(["a", "b"])[genre], group=groups), tmp_path, FRONTEND)

    @staticmethod
    def targets(material: Material, monkeypatch, *, relabelling: float) -> np.ndarray:
        """Of the network, shape ``(songs, genres)``."""
        params = load_params(CHECKOUT / "params.yaml")
        how = replace(params.training, seed=5, relabelling=relabelling, start_from="")
        monkeypatch.setattr(train, "load_material", lambda *_, **__: material)
        monkeypatch.setattr(train, "fit", lambda examples, *_, **__: handed_over(examples))
        with pytest.raises(HandedOver) as found:
            train.run(replace(params, training=how), material.root)
        (examples,) = found.value.args
        assert examples.genres.dtype == np.float32
        return examples.genres

    def test_doubt_reaches_the_targets_in_the_share_that_params_say(self, material, monkeypatch):
        labels = np.eye(2)[material.indices(material.tracks)]
        doubt = cross_fitted(material.tracks, material, seed=5)
        targets = self.targets(material, monkeypatch, relabelling=0.4)
        np.testing.assert_allclose(targets, 0.6 * labels + 0.4 * doubt, atol=1e-6)
        assert targets[7, 1] > 0.3 and np.delete(targets, 7, axis=0)[labels[np.arange(36) != 7] == 1].min() > 0.9

    def test_without_it_labels_are_targets_and_no_forest_is_fitted(self, material, monkeypatch):
        monkeypatch.setattr(train, "cross_fitted", None)
        labels = np.eye(2)[material.indices(material.tracks)]
        np.testing.assert_array_equal(self.targets(material, monkeypatch, relabelling=0.0), labels)
