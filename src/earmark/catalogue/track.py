"""Track: one row of the catalogue, and the one schema under which tracks lie on disk (Parquet).

Every importer produces these; `read_tracks` and `write_tracks` are the only door to the file.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from earmark.errors import CatalogueError
from earmark.files import replacing

GENRE_TAG = "genre---"  # begins a tag that is a genre's name, as MTG-Jamendo writes them


@dataclass(frozen=True)
class Track:
    """One recording.

    Attributes:
        track_id: Unique and stable: the file's path below the collection's ``audio/`` folder.
        path: Where the audio lies: relative to the project's root, with forward slashes; or, where it stays outside, an
            absolute path or an address (``s3://bucket/song.mp3``). `earmark.catalogue.reading` opens all of them.
        content_hash: SHA-256 of the file's bytes, in hexadecimal.
        duration_s: Length of the decoded audio, in seconds.
        sample_rate_hz: As stored, before any resampling.
        channels: As stored.
        codec: FFmpeg's name of the codec (``mp3``, ``aac``, ``flac`` …).
        source: The importer (``folder``, ``emotify``, ``songbook`` …).
        group: What must never stand on both sides of a split: the artist, unless the source knows better (the songbook:
            the piece or tune family). Never empty: a track whose artist is unknown is a group of its own.
        genre: The label to learn, or None.
        genre_source: The library that gave the genre (``spotify`` …), or ``correction`` where somebody listened and
            said so; None where ``source`` itself did.
        tags: Words for the recording, such as ``genre---ambient`` or ``guitar``.
        title, artist, album, isrc: What the source, or else the file's own tags, say.
        licence: Under which this recording may be used, as its source says.
        split: The source's official split (``train``, ``validation``, ``test``), or None.
        audio_hash: SHA-256 of the decoded audio: equal for equal sound, in whatever lossless container.
        loudness_lufs: Integrated loudness by EBU R 128, in LUFS; None where all of it is below the gate (silence).
        peak_dbfs: Highest sample, in dB relative to full scale.
        clipped_share: Share of samples that lie in flat tops at full scale.
        silent_share: Share of the time that is below −60 dBFS.
        bandwidth_hz: Above this frequency there is nothing; far below half the sample rate it betrays a lossy source.
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
    genre_source: str | None = None
    tags: tuple[str, ...] = ()
    title: str | None = None
    artist: str | None = None
    album: str | None = None
    isrc: str | None = None
    licence: str | None = None
    split: str | None = None
    audio_hash: str | None = None
    loudness_lufs: float | None = None
    peak_dbfs: float | None = None
    clipped_share: float | None = None
    silent_share: float | None = None
    bandwidth_hz: float | None = None


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
        pa.field("genre_source", pa.string()),
        pa.field("tags", pa.list_(pa.string())),
        pa.field("title", pa.string()),
        pa.field("artist", pa.string()),
        pa.field("album", pa.string()),
        pa.field("isrc", pa.string()),
        pa.field("licence", pa.string()),
        pa.field("split", pa.string()),
        pa.field("audio_hash", pa.string()),
        pa.field("loudness_lufs", pa.float32()),
        pa.field("peak_dbfs", pa.float32()),
        pa.field("clipped_share", pa.float32()),
        pa.field("silent_share", pa.float32()),
        pa.field("bandwidth_hz", pa.float32()),
    ]
)


def write_tracks(tracks: Iterable[Track] | pd.DataFrame | pa.Table, path: Path) -> None:
    """Write ``tracks`` to ``path``, sorted by track_id, all or nothing (a reader never sees half a file)."""
    if isinstance(tracks, pd.DataFrame):
        table = pa.Table.from_pandas(tracks.sort_values("track_id"), schema=SCHEMA, preserve_index=False)
        table = table.replace_schema_metadata(None)
    elif isinstance(tracks, pa.Table):
        table = tracks.select(SCHEMA.names).cast(SCHEMA).sort_by("track_id").combine_chunks()
    else:
        rows = [dataclasses.asdict(track) for track in sorted(tracks, key=lambda track: track.track_id)]
        table = pa.Table.from_pylist(rows, schema=SCHEMA)
    with replacing(path) as part:
        pq.write_table(table, part)


def read_table(path: Path) -> pa.Table:
    """The tracks at ``path``, one row each, columns as in `SCHEMA`.

    Raises:
        CatalogueError: The file is missing, or its columns are others.
    """
    try:
        table = pq.read_table(path)
    except FileNotFoundError:
        raise _no_catalogue(path) from None
    _check_columns(path, [field.name for field in SCHEMA if not field.nullable], table.column_names)
    for field in SCHEMA:  # what an older earmark did not measure is not known
        if field.name not in table.column_names:
            table = table.append_column(field, pa.nulls(len(table), field.type))
    return table.select(SCHEMA.names).cast(SCHEMA)


def read_tracks(path: Path) -> pd.DataFrame:
    """As `read_table`, as a data frame."""
    tracks: pd.DataFrame = read_table(path).to_pandas()
    return tracks


def iter_rows(path: Path, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Some columns of the tracks at ``path``, row by row; so many that they need not fit into memory.

    Raises:
        CatalogueError: As `read_table` says.
    """
    with _opened(path, columns) as file:
        for batch in file.iter_batches(batch_size=4096, columns=list(columns)):
            yield from batch.to_pylist()


def number_of_rows(path: Path) -> int:
    """How many tracks there are at ``path``.

    Raises:
        CatalogueError: There is no such file.
    """
    with _opened(path, ()) as file:
        return int(file.metadata.num_rows)


def _opened(path: Path, columns: Sequence[str]) -> pq.ParquetFile:
    try:
        file = pq.ParquetFile(path)
    except FileNotFoundError:
        raise _no_catalogue(path) from None
    _check_columns(path, columns, file.schema_arrow.names)
    return file


def _no_catalogue(path: Path) -> CatalogueError:
    return CatalogueError(f"There is no catalogue at {path}. `dvc repro` or `earmark import` makes one.")


def _check_columns(path: Path, needed: Sequence[str], there: Sequence[str]) -> None:
    if missing := [name for name in needed if name not in there]:
        raise CatalogueError(
            f"{path} lacks the columns {', '.join(missing)}. It was not written by this version of earmark."
        )
