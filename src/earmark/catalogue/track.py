"""Track: one row of the catalogue, and the one schema under which tracks lie on disk (Parquet).

Every importer produces these; `read_tracks` and `write_tracks` are the only door to the file.
"""

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from earmark.errors import CatalogueError
from earmark.files import replacing


@dataclass(frozen=True)
class Track:
    """One recording.

    Attributes:
        track_id: Unique and stable: the file's path below the collection's ``audio/`` folder.
        path: Where the audio lies, relative to the project's root, with forward slashes.
        content_hash: SHA-256 of the file's bytes, in hexadecimal.
        duration_s: Length of the decoded audio, in seconds.
        sample_rate_hz: As stored, before any resampling.
        channels: As stored.
        codec: FFmpeg's name of the codec (``mp3``, ``aac``, ``flac`` …).
        source: The importer (``folder``, ``emotify``, ``songbook`` …).
        group: What must never stand on both sides of a split: the artist, unless the source knows better (the songbook:
            the piece or tune family). Never empty: a track whose artist is unknown is a group of its own.
        genre: The label to learn, or None.
        split: The source's official split (``train``, ``validation``, ``test``), or None.
    """

    track_id: str
    path: str
    content_hash: str
    duration_s: float
    sample_rate_hz: int
    channels: int
    codec: str
    source: str
    group: str
    genre: str | None = None
    tags: tuple[str, ...] = ()
    title: str | None = None
    artist: str | None = None
    album: str | None = None
    isrc: str | None = None
    licence: str | None = None
    split: str | None = None


SCHEMA = pa.schema(
    [
        pa.field("track_id", pa.string(), nullable=False),
        pa.field("path", pa.string(), nullable=False),
        pa.field("content_hash", pa.string(), nullable=False),
        pa.field("duration_s", pa.float64(), nullable=False),
        pa.field("sample_rate_hz", pa.int32(), nullable=False),
        pa.field("channels", pa.int16(), nullable=False),
        pa.field("codec", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("group", pa.string(), nullable=False),
        pa.field("genre", pa.string()),
        pa.field("tags", pa.list_(pa.string())),
        pa.field("title", pa.string()),
        pa.field("artist", pa.string()),
        pa.field("album", pa.string()),
        pa.field("isrc", pa.string()),
        pa.field("licence", pa.string()),
        pa.field("split", pa.string()),
    ]
)


def write_tracks(tracks: Iterable[Track] | pd.DataFrame, path: Path) -> None:
    """Write ``tracks`` to ``path``, sorted by track_id, all or nothing (a reader never sees half a file)."""
    if isinstance(tracks, pd.DataFrame):
        table = pa.Table.from_pandas(tracks.sort_values("track_id"), schema=SCHEMA, preserve_index=False)
        table = table.replace_schema_metadata(None)
    else:
        rows = [dataclasses.asdict(track) for track in sorted(tracks, key=lambda track: track.track_id)]
        table = pa.Table.from_pylist(rows, schema=SCHEMA)
    with replacing(path) as part:
        pq.write_table(table, part)


def read_tracks(path: Path) -> pd.DataFrame:
    """The tracks at ``path``, one row each, columns as in `SCHEMA`.

    Raises:
        CatalogueError: The file is missing, or its columns are others.
    """
    try:
        table = pq.read_table(path)
    except FileNotFoundError:
        raise CatalogueError(f"There is no catalogue at {path}. `dvc repro` or `earmark import` makes one.") from None
    if missing := [name for name in SCHEMA.names if name not in table.column_names]:
        raise CatalogueError(
            f"{path} lacks the columns {', '.join(missing)}. It was not written by this version of earmark."
        )
    tracks: pd.DataFrame = table.select(SCHEMA.names).to_pandas()
    return tracks
