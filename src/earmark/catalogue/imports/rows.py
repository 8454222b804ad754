"""The table of an import: what the source, the file's tags and the decoder say, and what was known before."""

import dataclasses
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from earmark.audio.metering import Measures
from earmark.catalogue.imports.inspecting import Finding
from earmark.catalogue.sources.source import Candidate, Source
from earmark.catalogue.tags import ALONE, artist_group
from earmark.catalogue.track import GENRE_TAG, SCHEMA

_ROWS_A_PART = 10_000


class Rows:
    """Tracks, gathered in pieces of Arrow's: a million of Python's would not fit."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._parts: list[pa.RecordBatch] = []
        self._waiting: list[tuple[Any, ...]] = []

    def add(self, candidate: Candidate, finding: Finding, path: str) -> None:
        """One track: what the source says goes before what the file's own tags say."""
        assert finding.info is not None
        info, tags = finding.info, finding.tags
        artist = candidate.artist or tags.artist
        row = {
            "track_id": candidate.path,
            "path": path,
            "content_hash": finding.content_hash,
            "duration_s": info.duration_s,
            "sample_rate_hz": info.sample_rate_hz,
            "channels": info.channels,
            "codec": info.codec,
            "source": self._source.name,
            "group": candidate.group or artist_group(artist, candidate.path),
            "genre": candidate.genre or (tags.genre if candidate.genre_from_tags else None),
            "tags": candidate.tags,
            "title": candidate.title or tags.title,
            "artist": artist,
            "album": candidate.album or tags.album,
            "isrc": candidate.isrc or tags.isrc,
            "licence": candidate.licence or self._source.licence,
            "split": candidate.split,
            **(dataclasses.asdict(finding.measures) if finding.measures else {}),
        }
        self._waiting.append(tuple(row.get(name) for name in SCHEMA.names))
        if len(self._waiting) >= _ROWS_A_PART:
            self._flush()

    def table(self) -> pa.Table:
        """All rows, sorted by track_id."""
        self._flush()
        return pa.Table.from_batches(self._parts, SCHEMA).sort_by("track_id").combine_chunks()

    def _flush(self) -> None:
        if self._waiting:
            columns = zip(*self._waiting, strict=True)
            arrays = [pa.array(values, field.type) for values, field in zip(columns, SCHEMA, strict=True)]
            self._parts.append(pa.RecordBatch.from_arrays(arrays, schema=SCHEMA))
            self._waiting.clear()


def with_what_was_known(taken: pa.Table, old: pa.Table, same: pa.ChunkedArray) -> pa.Table:
    """Where the source says nothing of a recording that has not changed, what was known of it stays.

    That is what `earmark label` has brought, genres among the tags included, and what was measured.
    """
    for name in ("genre", "title", "artist", "album", "isrc", *(field.name for field in dataclasses.fields(Measures))):
        known = pc.if_else(same, old[name], None)
        place = taken.schema.get_field_index(name)
        if name == "genre":  # which library gave it is known with it
            giver = pc.if_else(pc.and_(pc.is_null(taken[name]), same), old["genre_source"], None)
            taken = taken.set_column(taken.schema.get_field_index("genre_source"), SCHEMA.field("genre_source"), giver)
        taken = taken.set_column(place, SCHEMA.field(name), pc.coalesce(taken[name], known))
    # Its artist has been named by a label, or it was called otherwise when its side of the split was decided.
    alone = pc.and_(same, pc.starts_with(taken["group"], ALONE))
    group = taken.schema.get_field_index("group")
    taken = taken.set_column(group, SCHEMA.field("group"), pc.if_else(alone, old["group"], taken["group"]))
    tags = taken["tags"].to_pylist()
    for row, (known, unchanged) in enumerate(zip(old["tags"].to_pylist(), same.to_pylist(), strict=True)):
        if unchanged and known:
            tags[row] = list(dict.fromkeys([*tags[row], *(tag for tag in known if tag.startswith(GENRE_TAG))]))
    return taken.set_column(
        taken.schema.get_field_index("tags"), SCHEMA.field("tags"), pa.array(tags, SCHEMA.field("tags").type)
    )
