"""Stage `train`: the convolutional network, from cached log-mels and the split.

Songs that were refused for want of a genre alone teach the other heads, where listeners told anything of them.
"""

import csv
import dataclasses
import hashlib
import json
import math
import shutil
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from earmark.catalogue.hearing import akin, unlabelled
from earmark.catalogue.track import read_tracks
from earmark.files import replacing
from earmark.model.held_out import Part, calibration_of, held_out, parts_of
from earmark.model.material import Material, hear, load_material
from earmark.model.network.network import MusicNetwork
from earmark.model.network.predictor import NetworkPredictor
from earmark.model.network.relabelling import relabelled
from earmark.model.network.starting import UNDESCRIBED, Start, check_unheard, start_at
from earmark.model.network.training import Epoch, Settings, fit, is_first_process
from earmark.model.scoring import answers_of
from earmark.model.trees.fitting import cross_fitted
from earmark.params import Params, to_dict
from earmark.workspace import (
    CHECKPOINTS,
    COLLECTIONS,
    DUPLICATES,
    LEARNING_CURVE,
    NETWORK,
    QUARANTINE,
    SPLITS,
    TRACKS,
)


@dataclasses.dataclass(frozen=True)
class Lesson:
    """What one network is taught.

    Attributes:
        part: Tracks with a genre, and those that are kept from it.
        beside: Tracks without one that teach what listeners told of them: columns ``track_id, content_hash, path,
            genre``, the last one null. None of them is akin to a track that is kept from the network.
    """

    part: Part
    beside: pd.DataFrame

    @property
    def fitted(self) -> pd.DataFrame:
        """All that the network is fitted to, tracks without a genre last."""
        return pd.concat([self.part.fitted, self.beside]) if len(self.beside) else self.part.fitted


def run(params: Params, root: Path) -> None:
    """Write models/network and reports/learning_curve.csv.

    A training that was killed is carried on after its last whole epoch: its checkpoints lie outside of DVC's outputs,
    under a name that follows from the data and the settings. Of several networks those that are fitted are kept there.

    Raises:
        AudioError: A song without a genre cannot be decoded any more.
        CatalogueError: The training part has fewer than two genres, or too few groups to be divided so often.
        ModelError: The weights to start from are missing, do not fit, or know songs that are held out.
    """
    material = load_material(root, params.frontend, towards_listeners=params.network.embedding == "listeners")
    parts = parts_of(material, params.calibration.folds, params.training.seed, repeats=params.calibration.repeats)
    start = _start(root, params.training.start_from, material, parts)
    training = dataclasses.replace(params.training, start_from=str(root / params.training.start_from) if start else "")
    settings = Settings(params.frontend, params.network, training, params.augmentation)
    lessons = _lessons(parts, material, params, root)
    networks, histories = [], []
    finished = root / CHECKPOINTS / "finished"
    for number, lesson in enumerate(lessons):
        settings = dataclasses.replace(settings, training=dataclasses.replace(training, seed=training.seed + number))
        key = _key(lesson, material, settings, start)
        kept = finished / f"{key}.pt"
        if not kept.is_file():
            if len(parts) > 1:
                print(f"network {number + 1} of {len(parts)}", file=sys.stderr)
            found = _fitted(lesson, material, settings, root / CHECKPOINTS / key)
            if is_first_process():
                _keep(found, kept)
        network, history = torch.load(kept, weights_only=False) if kept.is_file() else found
        networks.append(network)
        histories.append(history)
    if not is_first_process():
        return  # of several that train together, one writes
    predictor = _predictor(tuple(networks), material, lessons, params)
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


def _lessons(parts: list[Part], material: Material, params: Params, root: Path) -> list[Lesson]:
    """One for each part; log-mels of the tracks without a genre are in the feature cache afterwards."""
    found = _without_genre(material, params, root)
    if found.empty:
        return [Lesson(part, found) for part in parts]
    tracks = read_tracks(root / COLLECTIONS / params.catalogue.collection / TRACKS)
    duplicates = pd.read_parquet(root / DUPLICATES)
    lessons = []
    for part in parts:
        kin = tracks.loc[akin(tracks, duplicates, part.held["track_id"]), "track_id"]
        lessons.append(Lesson(part, found[~found["track_id"].isin(kin)]))
    used = pd.concat([lesson.beside for lesson in lessons]).drop_duplicates("track_id")
    if len(used):
        hear(used, root, params.frontend)
        if is_first_process():
            songs = "1 song without a genre teaches" if len(used) == 1 else f"{len(used):,} songs without a genre teach"
            print(f"train: {songs} what listeners told of {'it' if len(used) == 1 else 'them'}", file=sys.stderr)
    return lessons


def _without_genre(material: Material, params: Params, root: Path) -> pd.DataFrame:
    """Tracks that were refused for their label alone, and of which listeners told anything that a head learns."""
    nothing = pd.DataFrame({name: pd.Series(dtype="str") for name in ("track_id", "content_hash", "path", "genre")})
    if not (root / QUARANTINE).is_file():
        return nothing
    quarantine = pd.read_csv(root / QUARANTINE, dtype=str)
    how = params.training
    refused = quarantine["track_id"].dropna().drop_duplicates()
    told: pd.Series[str] = refused[material.told(refused, tags=how.tag_share > 0, places=how.embedding_share > 0)]
    if told.empty:
        return nothing
    tracks = read_tracks(root / COLLECTIONS / params.catalogue.collection / TRACKS)
    found = unlabelled(tracks, pd.read_parquet(root / SPLITS), pd.read_parquet(root / DUPLICATES), quarantine)
    found = found[found["track_id"].isin(told)]
    return found.assign(genre=pd.Series(None, index=found.index, dtype="str"))


def _fitted(
    lesson: Lesson, material: Material, settings: Settings, checkpoints: Path
) -> tuple[MusicNetwork, list[Epoch]]:
    part, examples = lesson.part, material.examples(lesson.fitted)
    if settings.training.relabelling:
        doubt = cross_fitted(part.fitted, material, settings.training.seed)
        known, unknown = np.split(examples.genres, [len(part.fitted)])
        genres = relabelled(known, doubt, settings.training.relabelling).astype(np.float32)
        examples = dataclasses.replace(examples, genres=np.concatenate([genres, unknown]))
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


def _start(root: Path, folder: str, material: Material, parts: list[Part]) -> Start | None:
    """The weights that training starts from, or None where ``training.start_from`` names none.

    Raises:
        ModelError: They are not there, or were fitted to songs that are held out, for testing or for calibration.
    """
    start = start_at(root, folder)
    if start is None:
        return None
    held = frozenset[str]().union(*(material.hashes(part.held) for part in parts))
    check_unheard(start, tested=material.hashes(material.part("test")), held=held)
    if not start.described and is_first_process():
        print(f"train: {UNDESCRIBED}", file=sys.stderr)
    return start


def _predictor(
    networks: tuple[MusicNetwork, ...], material: Material, lessons: list[Lesson], params: Params
) -> NetworkPredictor:
    heard = pd.concat([tracks for lesson in lessons for tracks in (lesson.fitted, lesson.part.held)])
    return NetworkPredictor(
        labels=material.labels,
        frontend=params.frontend,
        trained_on=material.hashes(heard),
        data_hash=material.hash_of(heard),
        tags=material.tags.names,
        networks=networks,
        how=params.network,
    )


def _key(lesson: Lesson, material: Material, settings: Settings, start: Start | None) -> str:
    """Names this very training: what it learns from, what its curve is drawn on, and how."""
    how = dataclasses.replace(
        settings, training=dataclasses.replace(settings.training, start_from=start.digest if start else "")
    )
    data = [material.hash_of(tracks) for tracks in (lesson.fitted, lesson.part.held)]
    content = json.dumps([data, material.labels, material.tags.names, to_dict(how)], sort_keys=True)
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
        held = f"validation: loss {epoch.validation_loss:.3f}, accuracy {epoch.validation_accuracy:.3f}  "
        print(
            f"epoch {epoch.epoch:3d}/{self.epochs}  loss {epoch.training_loss:.3f}  "
            f"{'' if math.isnan(epoch.validation_loss) else held}{left_s:4.0f} s left",
            file=sys.stderr,
            flush=True,
        )
