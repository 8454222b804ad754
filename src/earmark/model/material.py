"""Material: what the pipeline's models are fitted to and scored on, read from the files of the stages before."""

import hashlib
from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from earmark.audio.extraction import Job, Wanted, extract
from earmark.audio.features import FeatureCache, LogMelArray
from earmark.catalogue.reading import read_recording
from earmark.errors import CatalogueError
from earmark.model.network.examples import UNLABELLED, Examples
from earmark.model.tags import Tags, load_tags
from earmark.params import Frontend
from earmark.progress import progress
from earmark.workspace import DESCRIPTORS, EVIDENCE, FEATURE_CACHE, FEATURES, SPLITS

_MAPPED = 10_000  # of the 65,530 maps that Linux allows a process


class CachedLogMels(Sequence[LogMelArray]):
    """Log-mels of recordings, mapped from the feature cache when they are asked for.

    The `_MAPPED` that were asked for last stay mapped. Each entry is compared with its digest when it is opened for the
    first time.
    """

    def __init__(self, cache: FeatureCache, root: Path, content_hashes: list[str], paths: list[str]) -> None:
        self._cache, self._root = cache, root
        self._content_hashes, self._paths = content_hashes, paths
        self._verified = bytearray(len(paths))
        self._kept: OrderedDict[int, LogMelArray] = OrderedDict()

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: Any) -> Any:
        """One log-mel, shape ``(frames, mels)``; or, for a slice, a list of them."""
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        kept = self._kept.pop(index, None)
        found: LogMelArray = self._mapped(index) if kept is None else kept
        self._kept[index] = found
        if len(self._kept) > _MAPPED:
            self._kept.popitem(last=False)
        return found

    def _mapped(self, index: int) -> LogMelArray:
        name, path = self._content_hashes[index], self._paths[index]
        found = self._cache.open(name, verify=False) if self._verified[index] else None
        if found is None:
            found = self._cache.get(name, partial(read_recording, self._root, path, name))
            self._verified[index] = True
        return found


@dataclass(frozen=True)
class Material:
    """Tracks with their split, genre and features.

    Attributes:
        tracks: One row a track: track_id, content_hash, path, split, group, genre; sorted by track_id.
        root: The project's folder.
        frontend: Whose log-mels.
        tags: What listeners tell of them.
        towards_listeners: Whether an embedding is to be trained towards who listens to what.
    """

    tracks: pd.DataFrame
    root: Path
    frontend: Frontend
    tags: Tags = field(default_factory=Tags)
    towards_listeners: bool = False

    @cached_property
    def _cache(self) -> FeatureCache:
        return FeatureCache(self.root / FEATURE_CACHE, self.frontend)

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """The genres to learn, in alphabetical order.

        Raises:
            CatalogueError: There are fewer than two.
        """
        labels = tuple(sorted(set(self.part("train")["genre"])))
        if len(labels) < 2:
            raise CatalogueError(
                f"The training part has {len(labels)} genre(s) ({', '.join(labels) or 'none'}); at least 2 are needed. "
                "Import more labelled music, or check the split in reports/split.json."
            )
        return labels

    @cached_property
    def data_hash(self) -> str:
        """Names what models are fitted to and calibrated on: the training and the validation part; see `hash_of`."""
        return self.hash_of(self.tracks[self.tracks["split"].isin(["train", "validation"])])

    def hash_of(self, tracks: pd.DataFrame) -> str:
        """Names tracks and what they teach: recordings, labels, tags and places, whatever their order on disk."""
        tracks = tracks.drop_duplicates("track_id")
        rows = tracks[["content_hash", "genre"]].sort_values(["content_hash", "genre"])
        content = rows.to_csv(index=False)
        if self.tags.names:
            told = self.tags.table[self.tags.table["track_id"].isin(tracks["track_id"])]
            content += told.sort_values(["track_id", "tag"]).to_csv(index=False, float_format="%.9g")
        if len(self.places):
            placed = self.places[self.places.index.isin(tracks["track_id"])]
            content += placed.sort_index().to_csv(float_format="%.6g")
        return hashlib.sha256(content.encode()).hexdigest()

    def part(self, split: str) -> pd.DataFrame:
        """The tracks of ``train``, ``validation`` or ``test``."""
        return self.tracks[self.tracks["split"] == split]

    def indices(self, tracks: pd.DataFrame) -> NDArray[np.int64]:
        """Each track's genre as an index into `labels`, shape ``(tracks,)``.

        Raises:
            CatalogueError: A genre occurs here but not in training.
        """
        known = {label: index for index, label in enumerate(self.labels)}
        if unknown := sorted(set(tracks["genre"]) - set(known)):
            raise CatalogueError(
                f"The genre {', '.join(unknown)} has no track in the training part, so it cannot be learnt. "
                "Import more artists of it, or raise validation.min_groups_per_genre."
            )
        return np.array([known[genre] for genre in tracks["genre"]], dtype=np.int64)

    def examples(self, tracks: pd.DataFrame) -> Examples:
        """Log-mels and labels of these tracks; what is missing in the feature cache is computed again.

        A track whose genre is null has none: it teaches what else is known of it.
        """
        log_mels = CachedLogMels(self._cache, self.root, tracks["content_hash"].tolist(), tracks["path"].tolist())
        known = tracks["genre"].notna().to_numpy(bool)
        labels = np.full(len(tracks), UNLABELLED, dtype=np.int64)
        labels[known] = self.indices(tracks[known])
        return Examples.of(
            log_mels,
            labels,
            classes=len(self.labels),
            tags=self.tags.of(tracks["track_id"]),
            places=self.places.reindex(tracks["track_id"]).to_numpy(np.float32),
        )

    def told(self, track_ids: "pd.Series[str]", *, tags: bool = True, places: bool = True) -> NDArray[np.bool_]:
        """Whether listeners told anything of each track: of its ``tags``, or its place among ``places``."""
        of_tags = (self.tags.of(track_ids)[:, 1] > 0).any(axis=1)
        return (of_tags & tags) | (track_ids.isin(self.places.index).to_numpy(bool) & places)

    @cached_property
    def places(self) -> pd.DataFrame:
        """Where listeners put songs: factors of who listens to what, by track_id, each of length 1; often empty."""
        found = self.root / EVIDENCE / "song_factors.parquet"
        if not self.towards_listeners or not found.is_file():
            return pd.DataFrame(index=pd.Index([], name="track_id"))
        table = pd.read_parquet(found)
        factors = np.stack(table["factors"].to_list()).astype(np.float64)
        lengths = np.linalg.norm(factors, axis=1, keepdims=True)
        return pd.DataFrame(factors / np.maximum(lengths, 1e-12), index=pd.Index(table["track_id"], name="track_id"))

    def log_mel(self, track: object) -> LogMelArray:
        """The log-mel of one row of `tracks`, mapped from the feature cache, shape ``(frames, mels)``."""
        name, path = track.content_hash, track.path  # type: ignore[attr-defined]
        return self._cache.get(name, partial(read_recording, self.root, path, name))

    def descriptors(self, tracks: pd.DataFrame) -> NDArray[np.float64]:
        """Shape ``(tracks, descriptors)``."""
        table = pd.read_parquet(self.root / DESCRIPTORS).set_index("track_id")
        return table.loc[tracks["track_id"]].to_numpy(np.float64)

    def hashes(self, tracks: pd.DataFrame) -> frozenset[str]:
        """Content hashes of these tracks."""
        return frozenset(tracks["content_hash"])


def load_material(root: Path, frontend: Frontend, *, towards_listeners: bool = False) -> Material:
    """Read what the stages `split` and `features` wrote."""
    features = pd.read_parquet(root / FEATURES)[["track_id", "content_hash", "path"]]
    splits = pd.read_parquet(root / SPLITS)[["track_id", "split", "group", "genre"]]
    tracks = features.merge(splits, on="track_id", validate="one_to_one").sort_values("track_id")
    return Material(tracks.reset_index(drop=True), root, frontend, load_tags(root), towards_listeners)


def hear(tracks: pd.DataFrame, root: Path, frontend: Frontend) -> None:
    """Log-mels of recordings into the feature cache, on all cores; what is there already is left alone.

    Args:
        tracks: Rows with ``content_hash`` and ``path``.
        root: The project's folder.
        frontend: Whose log-mels.

    Raises:
        AudioError: A recording cannot be decoded any more.
        CatalogueError: One is not there, or no longer what it was at its import.
    """
    names = zip(tracks["content_hash"], tracks["path"], strict=True)
    jobs = [Job(name, partial(read_recording, root, path, name)) for name, path in names]
    found = extract(jobs, Wanted(root / FEATURE_CACHE, frontend, descriptors=False))
    deque(progress(found, description="features", total=len(jobs)), maxlen=0)
