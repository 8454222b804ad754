"""Stage `train`: the convolutional network, from cached log-mels and the split."""

import csv
import dataclasses
import hashlib
import json
import shutil
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from earmark.errors import ModelError
from earmark.files import replacing
from earmark.model.encoders.loading import is_none
from earmark.model.held_out import Part, calibration_of, held_out, parts_of
from earmark.model.material import Material, load_material
from earmark.model.network.network import MusicNetwork
from earmark.model.network.predictor import NetworkPredictor
from earmark.model.network.relabelling import relabelled
from earmark.model.network.starting import Start, read_start
from earmark.model.network.training import Epoch, Settings, fit, is_first_process
from earmark.model.scoring import answers_of
from earmark.model.trees.fitting import cross_fitted
from earmark.params import Params, to_dict
from earmark.workspace import CHECKPOINTS, LEARNING_CURVE, NETWORK


def run(params: Params, root: Path) -> None:
    """Write models/network and reports/learning_curve.csv.

    A training that was killed is carried on after its last whole epoch: its checkpoints lie outside of DVC's outputs,
    under a name that follows from the data and the settings. Of several networks those that are fitted are kept there.

    Raises:
        CatalogueError: The training part has fewer than two genres, or too few groups to be divided so often.
        ModelError: The weights to start from are missing, do not fit, or have heard songs of the test.
    """
    material = load_material(root, params.frontend, towards_listeners=params.network.embedding == "listeners")
    start = _start(root, params.training.start_from, material)
    training = dataclasses.replace(params.training, start_from=str(root / params.training.start_from) if start else "")
    settings = Settings(params.frontend, params.network, training, params.augmentation)
    parts = parts_of(material, params.calibration.folds, params.training.seed, repeats=params.calibration.repeats)
    networks, histories = [], []
    finished = root / CHECKPOINTS / "finished"
    for number, part in enumerate(parts):
        settings = dataclasses.replace(settings, training=dataclasses.replace(training, seed=training.seed + number))
        key = _key(part, material, settings, start)
        kept = finished / f"{key}.pt"
        if not kept.is_file():
            if len(parts) > 1:
                print(f"network {number + 1} of {len(parts)}", file=sys.stderr)
            found = _fitted(part, material, settings, root / CHECKPOINTS / key)
            if is_first_process():
                _keep(found, kept)
        network, history = torch.load(kept, weights_only=False) if kept.is_file() else found
        networks.append(network)
        histories.append(history)
    if not is_first_process():
        return  # of several that train together, one writes
    predictor = _predictor(tuple(networks), material, parts, params)
    if start:
        predictor = dataclasses.replace(predictor, trained_on=predictor.trained_on | start.trained_on)
    own = [dataclasses.replace(predictor, networks=(network,)) for network in networks]
    held = held_out(zip(own, parts, strict=True), root)
    if len(held.tracks):
        fitted = answers_of(own[0], parts[0].fitted, root, raw=True).embeddings
        predictor = dataclasses.replace(
            predictor, calibration=calibration_of(held, fitted, material, params.calibration)
        )
    predictor.save(root / NETWORK)
    held.save(root / NETWORK)
    _write(histories, root / LEARNING_CURVE)
    shutil.rmtree(finished, ignore_errors=True)


def _fitted(part: Part, material: Material, settings: Settings, checkpoints: Path) -> tuple[MusicNetwork, list[Epoch]]:
    examples = material.examples(part.fitted)
    if settings.training.relabelling:
        doubt = cross_fitted(part.fitted, material, settings.training.seed)
        genres = relabelled(examples.genres, doubt, settings.training.relabelling)
        examples = dataclasses.replace(examples, genres=genres.astype(np.float32))
    return fit(
        examples,
        material.examples(part.held) if len(part.held) else None,
        settings,
        labels=material.labels,
        tags=material.tags.names,
        checkpoints=checkpoints,
        on_epoch=_Teller(settings.training.epochs),
    )


def _keep(found: tuple[MusicNetwork, list[Epoch]], path: Path) -> None:
    """A network that is done, until all are: killed among several, only the one that was being trained is lost."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as part:
        torch.save(found, part)


def _start(root: Path, folder: str, material: Material) -> Start | None:
    """The weights that training starts from, or None where ``training.start_from`` names none.

    Raises:
        ModelError: They are not there, or were fitted to songs that are for testing.
    """
    if not folder or is_none(root / folder):
        return None
    start = read_start(root / folder)
    if known := material.hashes(material.part("test")) & start.trained_on:
        raise ModelError(
            f"The weights in training.start_from were trained on {len(known)} of the test songs: the test would be of "
            "songs that they know. Start from weights of another catalogue, or of `earmark pretrain`."
        )
    return start


def _predictor(
    networks: tuple[MusicNetwork, ...], material: Material, parts: list[Part], params: Params
) -> NetworkPredictor:
    heard = pd.concat([tracks for part in parts for tracks in (part.fitted, part.held)])
    return NetworkPredictor(
        labels=material.labels,
        frontend=params.frontend,
        trained_on=material.hashes(heard),
        data_hash=material.data_hash,
        tags=material.tags.names,
        networks=networks,
        how=params.network,
    )


def _key(part: Part, material: Material, settings: Settings, start: Start | None) -> str:
    """Names this very training: what it learns from, and how."""
    how = dataclasses.replace(
        settings, training=dataclasses.replace(settings.training, start_from=start.digest if start else "")
    )
    fitted = sorted(part.fitted["content_hash"])
    content = json.dumps([material.data_hash, fitted, material.tags.names, to_dict(how)], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def _write(histories: list[list[Epoch]], path: Path) -> None:
    """Of several networks the mean, as long as all of them were trained."""
    names = [field.name for field in dataclasses.fields(Epoch)]
    with replacing(path) as part, part.open("w", newline="") as file:
        writer = csv.DictWriter(file, names, lineterminator="\n")
        writer.writeheader()
        for epochs in zip(*histories):  # noqa: B905  (early stopping ends them at different epochs)
            means = {name: float(np.mean([getattr(epoch, name) for epoch in epochs])) for name in names}
            writer.writerow({k: int(v) if k == "epoch" else f"{v:.6g}" for k, v in means.items()})


class _Teller:
    """Says how far the training is: one line an epoch, with the time left."""

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs
        self.began = time.monotonic()
        self.first: int | None = None

    def __call__(self, epoch: Epoch) -> None:
        if self.first is None:
            self.first = epoch.epoch - 1
            if self.first:
                print(f"carried on after epoch {self.first}", file=sys.stderr)
        left_s = (time.monotonic() - self.began) / (epoch.epoch - self.first) * (self.epochs - epoch.epoch)
        print(
            f"epoch {epoch.epoch:3d}/{self.epochs}  loss {epoch.training_loss:.3f}  "
            f"validation: loss {epoch.validation_loss:.3f}, accuracy {epoch.validation_accuracy:.3f}  "
            f"{left_s:4.0f} s left",
            file=sys.stderr,
            flush=True,
        )
