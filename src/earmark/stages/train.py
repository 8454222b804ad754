"""Stage `train`: the convolutional network, from cached log-mels and the split."""

import csv
import dataclasses
import hashlib
import json
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

from earmark.files import replacing
from earmark.model.held_out import Part, calibration_of, held_out, parts_of
from earmark.model.material import Material, load_material
from earmark.model.network import MusicNetwork
from earmark.model.network_predictor import NetworkPredictor
from earmark.model.scoring import answers_of
from earmark.model.training import Epoch, Settings, fit, is_first_process
from earmark.params import Params, to_dict
from earmark.workspace import CHECKPOINTS, LEARNING_CURVE, NETWORK


def run(params: Params, root: Path) -> None:
    """Write models/network and reports/learning_curve.csv.

    A training that was killed is carried on after its last whole epoch: its checkpoints lie outside of DVC's outputs,
    under a name that follows from the data and the settings. Of several networks those that are fitted are kept there.

    Raises:
        CatalogueError: The training part has fewer than two genres, or too few groups to be divided so often.
    """
    material = load_material(root, params.frontend, towards_listeners=params.network.embedding == "listeners")
    settings = Settings(params.frontend, params.network, params.training, params.augmentation)
    parts = parts_of(material, params.calibration.folds, params.training.seed)
    networks, histories = [], []
    for number, part in enumerate(parts):
        network, history = _fitted(part, number, len(parts), material, settings, root)
        networks.append(network)
        histories.append(history)
    if not is_first_process():
        return  # of several that train together, one writes
    predictor = _predictor(tuple(networks), material, parts, params)
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


def _fitted(
    part: Part, number: int, count: int, material: Material, settings: Settings, root: Path
) -> tuple[MusicNetwork, list[Epoch]]:
    if count > 1:
        print(f"network {number + 1} of {count}", file=sys.stderr)
    return fit(
        material.examples(part.fitted),
        material.examples(part.held) if len(part.held) else None,
        settings,
        checkpoints=root / CHECKPOINTS / _key(part, material, settings),
        on_epoch=_Teller(settings.training.epochs),
    )


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


def _key(part: Part, material: Material, settings: Settings) -> str:
    """Names this very training: what it learns from, and how."""
    fitted = sorted(part.fitted["content_hash"])
    content = json.dumps([material.data_hash, fitted, material.tags.names, to_dict(settings)], sort_keys=True)
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
