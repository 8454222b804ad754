"""Stage `pretrain`: what a network hears in the collection's music, labelled or not, for training to start from."""

import hashlib
import json
import sys
import time
from collections import deque
from functools import partial
from pathlib import Path

import pandas as pd

from earmark.audio.extraction import Job, Wanted, extract
from earmark.audio.features import FeatureCache
from earmark.catalogue.reading import read_recording
from earmark.catalogue.tags import artist_keys
from earmark.catalogue.track import read_tracks
from earmark.model.encoders.network_encoder import NetworkEncoder
from earmark.model.material import CachedLogMels
from earmark.model.network.contrast import Passed
from earmark.model.network.learning import Settings
from earmark.model.network.pretraining import pretrain
from earmark.params import Params, to_dict
from earmark.progress import progress
from earmark.workspace import (
    CHECKPOINTS,
    COLLECTIONS,
    DUPLICATES,
    FEATURE_CACHE,
    PRETRAINED,
    QUARANTINE,
    SPLITS,
    TRACKS,
)

_ABOUT_LABELS = ("genre_", "label_")  # rules of expectations.yaml whose names begin so refuse labels, not music


def run(params: Params, root: Path) -> None:
    """Write models/pretrained, an encoder's folder.

    One that was killed is carried on after its last whole epoch, as in the stage `train`.

    Raises:
        AudioError: A recording cannot be decoded any more.
        CatalogueError: There is no collection, or less than two recordings of it may be heard.
    """
    tracks = to_hear(
        read_tracks(root / COLLECTIONS / params.catalogue.collection / TRACKS),
        pd.read_parquet(root / SPLITS),
        pd.read_parquet(root / DUPLICATES),
        pd.read_csv(root / QUARANTINE, dtype=str),
    )
    names, paths = tracks["content_hash"].tolist(), tracks["path"].tolist()
    jobs = [Job(name, partial(read_recording, root, path, name)) for name, path in zip(names, paths, strict=True)]
    found = extract(jobs, Wanted(root / FEATURE_CACHE, params.frontend, descriptors=False))
    deque(progress(found, description="features", total=len(jobs)), maxlen=0)
    settings = Settings(params.frontend, params.network, params.training, params.augmentation)
    network = pretrain(
        CachedLogMels(FeatureCache(root / FEATURE_CACHE, params.frontend), root, names, paths),
        settings,
        params.pretraining,
        checkpoints=root / CHECKPOINTS / f"pretraining-{_key(names, params)}",
        on_epoch=_Teller(params.pretraining.epochs),
    )
    NetworkEncoder(frozenset(names), network, params.network, params.frontend).save(root / PRETRAINED)


def to_hear(
    tracks: pd.DataFrame, splits: pd.DataFrame, duplicates: pd.DataFrame, quarantine: pd.DataFrame
) -> pd.DataFrame:
    """The recordings that pretraining may hear, one of each set of copies, sorted by content hash.

    All of the collection, but what is on the test side: no recording that is tested, no copy of one, and nothing by its
    artist, labelled or not. What was refused for its sound or its licence is left out; a missing or withdrawn label is
    no reason.

    Args:
        tracks: The collection, columns as in `earmark.catalogue.track.SCHEMA`.
        splits: As the stage `split` writes them.
        duplicates: As the stage `duplicates` writes them.
        quarantine: As the stage `validate` writes it.
    """
    about_sound = quarantine[~quarantine["rule"].str.startswith(_ABOUT_LABELS)]
    tracks = tracks.merge(duplicates[["track_id", "duplicate_group", "unreadable"]], on="track_id", how="left")
    tracks["artist_key"] = artist_keys(tracks["artist"])
    tested = tracks["track_id"].isin(splits.loc[splits["split"] == "test", "track_id"])
    known = -1
    while known < (known := int(tested.sum())):  # a copy of a copy, an artist of either: until no more come in
        for name in ("group", "duplicate_group", "artist_key", "content_hash"):
            tested |= tracks[name].isin(tracks.loc[tested, name].dropna())
    tracks["copies"] = tracks["duplicate_group"].fillna(tracks["content_hash"])
    unfit = tracks["track_id"].isin(about_sound["track_id"]) | tracks["unreadable"].notna()
    heard = tracks[~tested & ~unfit].sort_values(["content_hash", "path"])
    return heard.drop_duplicates("copies")[["track_id", "content_hash", "path"]].reset_index(drop=True)


def _key(names: list[str], params: Params) -> str:
    """Names this very pretraining: what it hears, and how."""
    used = [to_dict(part) for part in (params.frontend, params.network, params.training, params.pretraining)]
    return hashlib.sha256(json.dumps([names, used], sort_keys=True).encode()).hexdigest()[:16]


class _Teller:
    """Says how far it is: one line an epoch, with the time left."""

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs
        self.began = time.monotonic()
        self.first: int | None = None

    def __call__(self, passed: Passed) -> None:
        if self.first is None:
            self.first = passed.epoch - 1
            if self.first:
                print(f"carried on after epoch {self.first}", file=sys.stderr)
        left_s = (time.monotonic() - self.began) / (passed.epoch - self.first) * (self.epochs - passed.epoch)
        print(
            f"epoch {passed.epoch:3d}/{self.epochs}  loss {passed.loss:.3f}  "
            f"partner found {passed.matched:.3f}  {left_s:4.0f} s left",
            file=sys.stderr,
            flush=True,
        )
