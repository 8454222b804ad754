"""Stage `neighbours`: the catalogue's songs by each model's embedding, with what listeners did with each.

The service answers "similar songs" by it, and where an appeal stands among those of the catalogue.
"""

import filecmp
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from earmark.catalogue.track import read_tracks
from earmark.model.answers import Answers
from earmark.model.blend import BlendPredictor, blended
from earmark.model.held_out import FILE
from earmark.model.neighbours import Neighbours
from earmark.model.predictor import LIKED, Predictor, load_predictor
from earmark.model.scoring import answers_of
from earmark.params import Params
from earmark.workspace import CATALOGUE, MODELS, NEIGHBOURS, SPLITS, TARGETS

_EVERYBODY = "all"  # and no segment of the listeners
_SAID = ("feeling", "word")


def run(params: Params, root: Path) -> None:
    """Write models/neighbours, a folder for each kind of model.

    Raises:
        CatalogueError: There is no catalogue, or a recording is not there.
        ModelError: A model is missing.
    """
    tracks = read_tracks(root / CATALOGUE)
    songs = songs_of(tracks, pd.read_parquet(root / SPLITS), pd.read_parquet(root / TARGETS), params)
    shutil.rmtree(root / NEIGHBOURS, ignore_errors=True)
    answered: dict[str, Answers] = {}
    for kind, folder in MODELS.items():
        predictor = load_predictor(root / folder, device="auto")
        raw = answered[kind] = _raw(predictor, root / folder, tracks, root, answered)
        shares = raw.shares if predictor.calibration is None else predictor.calibration.shares(raw.shares)
        appeal = shares[:, predictor.tags.index(LIKED)] if LIKED in predictor.tags else np.nan
        found = Neighbours.of(songs.assign(appeal=appeal), raw.embeddings)
        found.save(root / NEIGHBOURS / kind)
        print(f"neighbours: {kind}: {len(found):,} songs in {found.dims} dimensions", file=sys.stderr)


def songs_of(tracks: pd.DataFrame, splits: pd.DataFrame, targets: pd.DataFrame, params: Params) -> pd.DataFrame:
    """What is told of each song beside its embedding: columns as in `earmark.model.neighbours.SCHEMA`, but ``appeal``.

    Args:
        tracks: The catalogue.
        splits: Which part each is in, and the genre that was learnt.
        targets: What each is by its listeners; what rests on fewer than ``feedback.min_listeners`` is left out.
        params: Of the project.
    """
    told = targets[(targets["segment"] == _EVERYBODY) & (targets["listeners"] >= params.feedback.min_listeners)]
    liked = told[told["target"] == "appeal"].set_index("track_id")[["estimate", "low", "high"]]
    said = told[told["target"].isin(_SAID)].sort_values(
        ["track_id", "estimate"], ascending=[True, False], kind="stable"
    )
    tags = {
        track_id: [
            {"tag": f"{target}---{name}", "share": share}
            for target, name, share in zip(rows["target"], rows["name"], rows["estimate"], strict=True)
        ]
        for track_id, rows in said.groupby("track_id", sort=False)
    }
    # Popularity counts plays where it has nothing else; the others count people.
    listeners = told[told["target"] != "popularity"].groupby("track_id")["listeners"].max()
    at = tracks["track_id"]
    parts = splits.set_index("track_id")["split"]
    return tracks[["track_id", "content_hash", "title", "artist", "genre"]].assign(
        part=at.map(parts),
        listeners=at.map(listeners).astype("Int64"),
        liked=at.map(liked["estimate"]),
        liked_low=at.map(liked["low"]),
        liked_high=at.map(liked["high"]),
        tags=pd.Series([tags.get(track_id, []) for track_id in at], index=tracks.index, dtype=object),
    )


def _raw(predictor: Predictor, folder: Path, tracks: pd.DataFrame, root: Path, answered: dict[str, Answers]) -> Answers:
    """Answers before calibration; a blend whose parts have answered already costs nothing more."""
    if isinstance(predictor, BlendPredictor) and all(
        name in answered and _same(folder / name, root / MODELS[name]) for name in predictor.parts
    ):
        return blended([answered[name] for name in predictor.parts], predictor.weights)
    return answers_of(predictor, tracks, root, raw=True)


def _same(part: Path, whole: Path) -> bool:
    """Whether a blend's part is the model that lies in ``whole``, to the byte."""
    files = {path.relative_to(part) for path in part.rglob("*") if path.is_file()}
    theirs = {path.relative_to(whole) for path in whole.rglob("*") if path.is_file() and path.name != FILE}
    return files == theirs and all(filecmp.cmp(part / name, whole / name, shallow=False) for name in files)
