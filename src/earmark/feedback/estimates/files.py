"""What the stages `evidence`, `targets` and `categories` hand each other: a folder of Parquet files."""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from earmark.errors import FeedbackError
from earmark.feedback.estimates.factors import Factors
from earmark.files import read_json, replacing, write_json

_TABLES = ("pairs", "said", "counts", "attributes")


@dataclass(frozen=True)
class Evidence:
    """What listeners did with the tracks of a catalogue.

    Attributes:
        track_ids: By the number that stands for a track in all tables.
        pairs: As `earmark.feedback.estimates.evidence.pair_up` gives them.
        said: ``track, listener, kind, word, value``; words of the listeners' own as the vocabulary has them, or None.
        counts: ``track, listens, likes, since_us``.
        attributes: ``listener_id, age, gender, country, language``.
        factors: Of who listens to what, or None.
        now_us: The time of the latest event.
    """

    track_ids: list[str]
    pairs: pd.DataFrame
    said: pd.DataFrame
    counts: pd.DataFrame
    attributes: pd.DataFrame
    factors: Factors | None
    now_us: float

    @property
    def listeners(self) -> int:
        """How many listeners did or said anything."""
        return len(np.union1d(self.pairs["listener"], self.said["listener"]))

    def without_listeners(self) -> "Evidence":
        """What is left where listeners are too few for anything to be told of them: counts of whole services."""
        return replace(self, pairs=self.pairs.iloc[:0], said=self.said.iloc[:0], factors=None)


def write_evidence(evidence: Evidence, folder: Path) -> None:
    """Write ``evidence`` to ``folder``, in place of what was there."""
    shutil.rmtree(folder, ignore_errors=True)
    for name in _TABLES:
        with replacing(folder / f"{name}.parquet") as part:
            getattr(evidence, name).to_parquet(part, index=False)
    if evidence.factors is not None:
        factors = evidence.factors
        ids = [evidence.track_ids[number] for number in factors.tracks]
        _write_factors(folder / "song_factors.parquet", "track_id", pa.array(ids), factors.song_factors)
        _write_factors(folder / "listener_factors.parquet", "listener_id", factors.listeners, factors.listener_factors)
    write_json(folder / "evidence.json", {"now_us": evidence.now_us, "track_ids": evidence.track_ids})


def read_evidence(folder: Path) -> Evidence:
    """What `write_evidence` wrote.

    Raises:
        FeedbackError: It is not there.
    """
    try:
        about = read_json(folder / "evidence.json")
        tables = {name: pd.read_parquet(folder / f"{name}.parquet") for name in _TABLES}
    except FileNotFoundError:
        raise FeedbackError(f"There is no evidence at {folder}. `dvc repro evidence` makes it.") from None
    return Evidence(about["track_ids"], **tables, factors=_factors(folder, about["track_ids"]), now_us=about["now_us"])


def _factors(folder: Path, track_ids: list[str]) -> Factors | None:
    if not (folder / "song_factors.parquet").is_file():
        return None
    songs = pq.read_table(folder / "song_factors.parquet")
    listeners = pq.read_table(folder / "listener_factors.parquet")
    place = {track_id: number for number, track_id in enumerate(track_ids)}
    tracks = np.array([place[track_id] for track_id in songs.column("track_id").to_pylist()], dtype=np.int64)
    return Factors(tracks, listeners.column("listener_id").to_numpy(), _matrix(songs), _matrix(listeners))


def _matrix(table: pa.Table) -> np.ndarray:
    column = table.column("factors").combine_chunks()
    # A copy: what implicit computes with must be writable.
    return np.array(column.flatten().to_numpy().reshape(len(column), -1), dtype=np.float32)


def _write_factors(path: Path, key: str, ids: object, factors: np.ndarray) -> None:
    values = pa.FixedSizeListArray.from_arrays(pa.array(factors.ravel(), pa.float32()), factors.shape[1])
    with replacing(path) as part:
        pq.write_table(pa.table({key: ids, "factors": values}), part)
