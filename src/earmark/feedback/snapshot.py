"""A snapshot of the store: Parquet files that DVC versions, a file a day, so that a new day leaves the old ones be.

::

    events/2026/2026-11-24.parquet   what happened that day (UTC), in order of the events' numbers
    events/undated.parquet           what has no time
    songs.parquet  listeners.parquet  flags.parquet
    snapshot.json                    of which store, and of which version of each day

The same events always give the same bytes. Files appear one by one, each whole; snapshot.json comes last, so a run that
was killed is simply gone on with. One writes at a time: the files of a slower one would be older than another's
snapshot.json says.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from earmark.errors import FeedbackError
from earmark.feedback.identity import UNDATED
from earmark.files import locked, read_json, replacing, write_json
from earmark.progress import progress

EVENTS, SONGS, LISTENERS, FLAGS, MANIFEST = (
    "events", "songs.parquet", "listeners.parquet", "flags.parquet", "snapshot.json",
)  # fmt: skip

EVENT_SCHEMA = pa.schema(
    [
        pa.field("event_id", pa.int64(), nullable=False),
        pa.field("at_us", pa.int64()),  # microseconds since 1970 UTC; null where no time is known
        pa.field("listener_id", pa.int64(), nullable=False),  # 0 where none is told apart
        pa.field("song_id", pa.int64(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("ms_played", pa.int64()),
        pa.field("value", pa.float64()),
        pa.field("word", pa.string()),
        pa.field("times", pa.int64(), nullable=False),
        pa.field("started", pa.string()),
        pa.field("ended", pa.string()),
    ]
)
SONG_SCHEMA = pa.schema(
    [
        pa.field("song_id", pa.int64(), nullable=False),
        pa.field("service", pa.string(), nullable=False),
        pa.field("key", pa.string(), nullable=False),
        pa.field("title", pa.string()),
        pa.field("artist", pa.string()),
        pa.field("album", pa.string()),
        pa.field("isrc", pa.string()),
        pa.field("duration_s", pa.float64()),
        pa.field("track_id", pa.string()),
        pa.field("since_us", pa.int64()),
    ]
)
LISTENER_SCHEMA = pa.schema(
    [
        pa.field("listener_id", pa.int64(), nullable=False),
        pa.field("age", pa.string()),
        pa.field("gender", pa.string()),
        pa.field("country", pa.string()),
        pa.field("language", pa.string()),
    ]
)
FLAG_SCHEMA = pa.schema(
    [
        pa.field("day", pa.int32(), nullable=False),  # since 1970
        pa.field("listener_id", pa.int64(), nullable=False),
        pa.field("rule", pa.string(), nullable=False),
    ]
)
SCHEMAS = {SONGS: SONG_SCHEMA, LISTENERS: LISTENER_SCHEMA, FLAGS: FLAG_SCHEMA}
_EPOCH = date(1970, 1, 1)


class Live(Protocol):
    """What a snapshot is made of; `earmark.feedback.store.Store` is one."""

    name: str

    def day_versions(self) -> dict[int, int]: ...
    def events(self, day: int) -> pa.Table: ...
    def songs(self) -> pa.Table: ...
    def listeners(self) -> pa.Table: ...
    def flags(self) -> pa.Table: ...


@dataclass(frozen=True)
class Written:
    """What a snapshot wrote: of ``days`` with events, how many files are new or changed, and how many are gone."""

    days: int
    changed: int
    removed: int


def write_snapshot(live: Live, folder: Path) -> Written:
    """Bring the snapshot at ``folder`` up to date: only days that have changed since are read and written."""
    with locked(folder.with_name(f".{folder.name}.lock")):
        return _write_snapshot(live, folder)


def _write_snapshot(live: Live, folder: Path) -> Written:
    versions, before = live.day_versions(), _manifest(folder)
    changed = removed = 0
    for part in folder.rglob(".*.part"):  # of a run that was killed; it may hold who was forgotten since
        part.unlink(missing_ok=True)
    stale = {*_stale(live, versions, before), *(day for day in versions if not (folder / _day_file(day)).is_file())}
    for day in progress(sorted(stale), description="snapshot", unit="day"):
        events = live.events(day)
        if len(events):
            changed += _write(events, EVENT_SCHEMA, ("event_id",), folder / _day_file(day))
        else:
            removed += (folder / _day_file(day)).is_file()
            (folder / _day_file(day)).unlink(missing_ok=True)
    kept = {_day_file(day) for day in versions}
    for file in sorted((folder / EVENTS).rglob("*.parquet")) if (folder / EVENTS).is_dir() else []:
        if file.relative_to(folder) not in kept:  # of another store
            file.unlink()
            removed += 1
    days = sum((folder / _day_file(day)).is_file() for day in versions)
    changed += _write(live.songs(), SONG_SCHEMA, ("song_id",), folder / SONGS)
    changed += _write(live.listeners(), LISTENER_SCHEMA, ("listener_id",), folder / LISTENERS)
    changed += _write(live.flags(), FLAG_SCHEMA, ("day", "listener_id", "rule"), folder / FLAGS)
    manifest = {"store": live.name, "days": {str(day): version for day, version in versions.items()}}
    if before != manifest:
        write_json(folder / MANIFEST, manifest)
    return Written(days, changed, removed)


def changed_days(live: Live, folder: Path) -> list[int]:
    """The days of which the snapshot at ``folder`` lacks changes."""
    return _stale(live, live.day_versions(), _manifest(folder))


def _stale(live: Live, versions: dict[int, int], before: dict[str, Any]) -> list[int]:
    known = before["days"] if before.get("store") == live.name else {}
    return [day for day, version in versions.items() if known.get(str(day)) != version]


def table_of(folder: Path, name: str) -> pa.Table:
    """`SONGS`, `LISTENERS` or `FLAGS` of the snapshot at ``folder``. One that tells of no day may do without the file.

    Raises:
        FeedbackError: There is no snapshot, or it is not whole.
    """
    check_snapshot(folder)
    path = folder / name
    if path.is_file():
        return pq.read_table(path)
    if _manifest(folder).get("days") == {}:
        return SCHEMAS[name].empty_table()
    raise FeedbackError(
        f"The snapshot of feedback at {folder} lacks {name}. `dvc checkout` or `dvc pull` brings it back."
    )


def event_tables(folder: Path, columns: list[str] | None = None) -> Iterator[tuple[int, pa.Table]]:
    """Day (`UNDATED` first) and events of each file of a snapshot, one at a time.

    Raises:
        FeedbackError: There is no snapshot at ``folder``.
    """
    check_snapshot(folder)
    undated = folder / EVENTS / "undated.parquet"
    files = sorted((folder / EVENTS).glob("*/*.parquet")) if (folder / EVENTS).is_dir() else []
    if undated.is_file():
        yield UNDATED, pq.read_table(undated, columns=columns)
    for file in files:
        yield (date.fromisoformat(file.stem) - _EPOCH).days, pq.read_table(file, columns=columns)


def check_snapshot(folder: Path) -> None:
    """Raise where there is no snapshot at ``folder``.

    Raises:
        FeedbackError: With what makes one.
    """
    if not (folder / MANIFEST).is_file():
        raise FeedbackError(
            f"There is no snapshot of feedback at {folder}. `dvc pull` brings back what DVC keeps; `earmark feedback "
            "snapshot` makes one of the store; or name another in params.yaml (feedback.snapshot; none: without)."
        )


def _day_file(day: int) -> Path:
    if day == UNDATED:
        return Path(EVENTS) / "undated.parquet"
    named = _EPOCH + timedelta(days=day)
    return Path(EVENTS) / f"{named.year:04d}" / f"{named.isoformat()}.parquet"


def _manifest(folder: Path) -> dict[str, Any]:
    try:
        found = read_json(folder / MANIFEST)
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
    return found if isinstance(found, dict) and isinstance(found.get("days"), dict) else {}


def _write(table: pa.Table, schema: pa.Schema, key: tuple[str, ...], path: Path) -> bool:
    """As Parquet, sorted by ``key``; left alone where the same is there already. Returns whether it was not."""
    table = table.select(schema.names).cast(schema).sort_by([(name, "ascending") for name in key]).combine_chunks()
    if _holds(path, table):
        return False
    with replacing(path) as part:
        pq.write_table(table, part, compression="zstd")
    return True


def _holds(path: Path, table: pa.Table) -> bool:
    try:
        return path.is_file() and bool(pq.read_table(path).equals(table))
    except (pa.ArrowException, OSError):  # damaged
        return False
