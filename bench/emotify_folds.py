"""Emotify's songs, its folds, and what the pipeline's own stages make of one fold."""

import dataclasses
import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from earmark.catalogue.imports.importing import import_collection
from earmark.catalogue.sources.emotify import EmotifySource
from earmark.files import read_json, write_json
from earmark.model.calibration.reliability import log_loss
from earmark.model.held_out import HeldOut
from earmark.model.material import Material, load_material
from earmark.model.predictor import load_predictor
from earmark.model.scoring import answers_of
from earmark.params import Params, to_dict
from earmark.stages import blend, features, train, train_forest, train_machine
from earmark.workspace import (
    CATALOGUE,
    COLLECTIONS,
    DESCRIPTORS,
    FEATURE_CACHE,
    FEATURES,
    FOREST,
    MODELS,
    NETWORK,
    SPLITS,
    TAGS,
    TRACKS,
)

FOLDS, INNER = 5, 4
WEIGHTS = Path(__file__).parent.parent / "weights"
EMOTIONS = (
    "amazement",
    "solemnity",
    "tenderness",
    "nostalgia",
    "calmness",
    "power",
    "joyful_activation",
    "tension",
    "sadness",
)
LIKING = ("liked", "disliked")
TAG_OF = {name: f"feeling---{name}" for name in EMOTIONS} | {"liked": "appeal---like", "disliked": "appeal---dislike"}
HALF_KNOWN = 5.0  # answers at which a share weighs half of one that rests on many
STAGES = {"network": train, "forest": train_forest, "machine": train_machine, "blend": blend}


@dataclass(frozen=True)
class Songs:
    """What there is to learn.

    Attributes:
        tracks: One row a song, sorted by track_id: track_id, content_hash, path, group, genre.
        shares: Shares of its listeners' answers, one column for each of `EMOTIONS` and `LIKING`, in the same order.
        answers: How many listeners each song has.
    """

    tracks: pd.DataFrame
    shares: pd.DataFrame
    answers: pd.Series


@dataclass(frozen=True)
class Fold:
    """Which songs are for training and which are tested: places in `Songs.tracks`."""

    seed: int
    number: int
    train: NDArray[np.int64]
    test: NDArray[np.int64]


def prepare(data: Path, workspace: Path, params: Params) -> Songs:
    """Emotify imported and its features extracted, in a workspace of the bench's own; a second time it is only read."""
    if not (workspace / COLLECTIONS / "emotify" / TRACKS).exists():
        print(import_collection(EmotifySource(data), workspace, params, name="emotify").summary())
    tracks = pd.read_parquet(workspace / COLLECTIONS / "emotify" / TRACKS).sort_values("track_id", ignore_index=True)
    tracks.to_parquet(workspace / CATALOGUE, index=False)
    features.run(params, workspace)
    told = pd.read_csv(data / "data.csv", skipinitialspace=True).rename(columns=str.strip)
    # The ids run on through the genres, the files are numbered within each.
    track_id = told["genre"].str.strip() + "/" + ((told["track id"] - 1) % 100 + 1).astype(str) + ".mp3"
    shares = told.groupby(track_id)[[*EMOTIONS, *LIKING]].mean().reindex(tracks["track_id"])
    answers = told.groupby(track_id).size().reindex(tracks["track_id"])
    songs = Songs(tracks[["track_id", "content_hash", "path", "group", "genre"]], shares, answers)
    write_targets(songs, workspace)
    return songs


def arrange(songs: Songs, seed: int) -> list[Fold]:
    """Five folds by artist, stratified by genre."""
    from sklearn.model_selection import StratifiedGroupKFold

    splitter = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
    labels, groups = songs.tracks["genre"].to_numpy(), songs.tracks["group"].to_numpy(object)
    parts = splitter.split(labels, labels, groups)
    return [Fold(seed, number, train, test) for number, (train, test) in enumerate(parts)]


def answer(fold: Fold, workspace: Path, params: Params, encoder: Path | None) -> dict[str, Any]:
    """What every model says of the fold's test songs, and how it did on songs that were held out of its training part.

    Returns:
        By kind of model ``genres``, ``shares``, ``low``, ``high``, ``sets``, ``unlike`` of the test songs as lists, and
        ``held_accuracy``, ``held_log_loss`` and ``held_r``; and ``svm``, ``svm_tuned``, ``majority``: predicted labels.
    """
    root = folder_of(fold, workspace, params, encoder)
    if (root / "answers.json").exists():
        found: dict[str, Any] = read_json(root / "answers.json")
        return found
    params = _params(params, fold, encoder)
    for kind, stage in STAGES.items():
        if not (root / MODELS[kind] / "predictor.json").exists():
            stage.run(params, root)
    material = load_material(root, params.frontend)
    told: dict[str, Any] = {kind: _answers(kind, material, root) for kind in MODELS}
    told |= _machines(material)
    write_json(root / "answers.json", told)
    return told


def folder_of(fold: Fold, workspace: Path, params: Params, encoder: Path | None) -> Path:
    """A project of the fold's own, under a name that follows from its songs and the settings."""
    root = _project(fold, workspace, _params(params, fold, None), "")
    if encoder is None:
        return root
    other = _project(fold, workspace, _params(params, fold, encoder), "encoder")
    for path in (NETWORK, FOREST):  # these know nothing of the encoder
        if not (other / path).exists():
            (other / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copytree(root / path, other / path)
    return other


def _project(fold: Fold, workspace: Path, params: Params, name: str) -> Path:
    tracks = pd.read_parquet(workspace / CATALOGUE)
    sides = np.full(len(tracks), "train", dtype=object)
    sides[fold.test] = "test"
    used = {section: to_dict(getattr(params, section)) for section in _USED}
    content = json.dumps([used, tracks["content_hash"].tolist(), sides.tolist()], sort_keys=True, default=str)
    key = hashlib.sha256(content.encode()).hexdigest()[:12]
    root = workspace / "folds" / f"{fold.seed}-{fold.number}-{name or 'plain'}-{key}"
    if not (root / SPLITS).exists():
        (root / SPLITS).parent.mkdir(parents=True, exist_ok=True)
        (root / FEATURE_CACHE).parent.mkdir(parents=True, exist_ok=True)
        for path in (COLLECTIONS, CATALOGUE, FEATURES, DESCRIPTORS, FEATURE_CACHE):
            if not (root / path).exists():
                (root / path).symlink_to((workspace / path).resolve())
        (root / "weights").symlink_to(WEIGHTS)
        pd.read_parquet(workspace / TARGETS).to_parquet(root / TAGS, index=False)
        tracks[["track_id", "group", "genre"]].assign(split=sides).to_parquet(root / SPLITS, index=False)
    return root


TARGETS = Path("targets.parquet")
_USED = ("frontend", "network", "training", "augmentation", "forest", "machine", "calibration")


def write_targets(songs: Songs, workspace: Path) -> None:
    """The shares as the stage `tags` has them: a song counts by how many listeners it has."""
    weight = songs.answers.to_numpy() / (songs.answers.to_numpy() + HALF_KNOWN)
    tables = [
        pd.DataFrame(
            {
                "track_id": songs.tracks["track_id"],
                "tag": tag,
                "share": songs.shares[name].to_numpy(),
                "weight": weight,
                "ceiling": np.nan,
            }
        )
        for name, tag in TAG_OF.items()
    ]
    pd.concat(tables).sort_values(["track_id", "tag"]).to_parquet(workspace / TARGETS, index=False)


def _params(params: Params, fold: Fold, encoder: Path | None) -> Params:
    return dataclasses.replace(
        params,
        training=dataclasses.replace(params.training, seed=fold.seed),
        forest=dataclasses.replace(params.forest, seed=fold.seed),
        calibration=dataclasses.replace(params.calibration, folds=INNER),
        machine=dataclasses.replace(params.machine, encoder=str(encoder or "")),
    )


def _answers(kind: str, material: Material, root: Path) -> dict[str, Any]:
    predictor = load_predictor(root / MODELS[kind])
    assert predictor.calibration is not None and predictor.calibration.intervals is not None
    answers = answers_of(predictor, material.part("test"), root)
    low, high = predictor.calibration.intervals.of(answers.shares)
    familiar = predictor.calibration.familiar
    held = HeldOut.load(root / MODELS[kind], material)
    actual = material.indices(held.tracks)
    right = held.answers.genres.argmax(axis=1) == actual
    known = material.tags.of(held.tracks["track_id"])[:, 0]
    emotions = [place for place, tag in enumerate(predictor.tags) if tag.startswith("feeling---")]
    r = [np.corrcoef(known[:, place], held.answers.shares[:, place])[0, 1] for place in emotions]
    return {
        "tags": list(predictor.tags),
        "genres": answers.genres.tolist(),
        "shares": answers.shares.tolist(),
        "low": low.tolist(),
        "high": high.tolist(),
        "sets": predictor.calibration.sets.sets(answers.genres).tolist(),
        "unlike": [] if familiar is None else familiar.p_value(answers.embeddings).tolist(),
        "held_accuracy": float(right.mean()),
        "held_log_loss": log_loss(predictor.calibration.probabilities(held.answers.genres), actual),
        "held_r": float(np.nan_to_num(r).mean()),
    }


def _machines(material: Material) -> dict[str, list[int]]:
    """Support vector machines: with scikit-learn's defaults, and with C chosen on inner folds by artist; majority."""
    from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    train, test = material.part("train"), material.part("test")
    labels, described = material.indices(train), (material.descriptors(train), material.descriptors(test))
    plain = make_pipeline(StandardScaler(), SVC()).fit(described[0], labels)
    inner = StratifiedGroupKFold(4, shuffle=True, random_state=0)
    search = GridSearchCV(make_pipeline(StandardScaler(), SVC()), {"svc__C": [0.3, 1, 3, 10]}, cv=inner)
    search.fit(described[0], labels, groups=train["group"].to_numpy(object))
    majority = np.full(len(test), np.bincount(labels).argmax())
    answers = {"svm": plain.predict(described[1]), "svm_tuned": search.predict(described[1]), "majority": majority}
    return {name: [int(label) for label in predicted] for name, predicted in answers.items()}
