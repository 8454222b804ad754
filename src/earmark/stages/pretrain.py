"""Stage `pretrain`: what a network hears in the collection's music, labelled or not, for training to start from."""

import hashlib
import json
import sys
import time
from pathlib import Path

import pandas as pd

from earmark.audio.features import FeatureCache
from earmark.catalogue.hearing import to_hear
from earmark.catalogue.track import read_tracks
from earmark.model.encoders.network_encoder import NetworkEncoder
from earmark.model.material import CachedLogMels, hear
from earmark.model.network.contrast import Passed
from earmark.model.network.learning import Settings
from earmark.model.network.pretraining import pretrain
from earmark.params import Params, to_dict
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
    hear(tracks, root, params.frontend)
    settings = Settings(params.frontend, params.network, params.training, params.augmentation)
    network = pretrain(
        CachedLogMels(FeatureCache(root / FEATURE_CACHE, params.frontend), root, names, paths),
        settings,
        params.pretraining,
        checkpoints=root / CHECKPOINTS / f"pretraining-{_key(names, params)}",
        on_epoch=_Teller(params.pretraining.epochs),
    )
    learnt = NetworkEncoder(frozenset(names), network, params.network, params.frontend, labelled=False)
    learnt.save(root / PRETRAINED)


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
