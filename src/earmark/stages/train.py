"""Stage `train`: the convolutional network, from cached log-mels and the split."""

import csv
import dataclasses
import hashlib
import json
import sys
import time
from pathlib import Path

from earmark.files import replacing
from earmark.model.material import Material, load_material
from earmark.model.predictor import NetworkPredictor
from earmark.model.training import Epoch, Settings, fit
from earmark.params import Params, to_dict
from earmark.workspace import CHECKPOINTS, LEARNING_CURVE, NETWORK


def run(params: Params, root: Path) -> None:
    """Write models/network and reports/learning_curve.csv.

    A training that was killed is carried on after its last whole epoch: its checkpoints lie outside of DVC's outputs,
    under a name that follows from the data and the settings.

    Raises:
        CatalogueError: The training part has fewer than two genres.
    """
    material = load_material(root, params.frontend)
    settings = Settings(params.frontend, params.network, params.training, params.augmentation)
    training, validation = material.part("train"), material.part("validation")
    network, history = fit(
        material.examples(training),
        material.examples(validation) if len(validation) else None,
        settings,
        classes=len(material.labels),
        tags=len(material.tags.names),
        checkpoints=root / CHECKPOINTS / _key(material, settings),
        on_epoch=_Teller(params.training.epochs),
    )
    NetworkPredictor(
        labels=material.labels,
        frontend=params.frontend,
        trained_on=material.hashes(training),
        data_hash=material.data_hash,
        tags=material.tags.names,
        network=network,
        size=params.network,
    ).save(root / NETWORK)
    _write(history, root / LEARNING_CURVE)


def _key(material: Material, settings: Settings) -> str:
    """Names this very training: what it learns from, and how."""
    content = json.dumps([material.data_hash, material.tags.names, to_dict(settings)], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def _write(history: list[Epoch], path: Path) -> None:
    with replacing(path) as part, part.open("w", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in dataclasses.fields(Epoch)], lineterminator="\n")
        writer.writeheader()
        writer.writerows({k: v if k == "epoch" else f"{v:.6g}" for k, v in vars(epoch).items()} for epoch in history)


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
