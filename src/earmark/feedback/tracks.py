"""Which track of a catalogue is which song of a service."""

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa

from earmark.catalogue.labels.matching import Known, Matcher
from earmark.catalogue.sources.library import Entry
from earmark.catalogue.track import read_table
from earmark.feedback.event import Song


class Tracks:
    """Finds the track that a song is: by its track_id, else as `Matcher` does, by ISRC or by names and length.

    Args:
        tracks: Of one catalogue.
    """

    def __init__(self, tracks: Iterable[Known] = ()) -> None:
        known = list(tracks)
        self._ids = [track.track_id for track in known]
        self._known = frozenset(self._ids)
        self._matcher = Matcher(known)

    @classmethod
    def at(cls, path: Path) -> "Tracks":
        """Those of the table at ``path``; none where there is no such file."""
        return cls.of(read_table(path)) if path.is_file() else cls()

    @classmethod
    def of(cls, table: pa.Table) -> "Tracks":
        """Those of a table with columns as in `earmark.catalogue.track.SCHEMA`."""
        columns = (table.column(name).to_pylist() for name in Known._fields)
        return cls(map(Known._make, zip(*columns, strict=True)))

    def __len__(self) -> int:
        return len(self._ids)

    def find(self, song: Song) -> str | None:
        """The track_id of ``song``, or None."""
        if song.track_id is not None and song.track_id in self._known:
            return song.track_id
        if not (song.isrc or (song.title and song.artist)):
            return None
        artists = (song.artist,) if song.artist else ()
        entry = Entry(song.key, song.title, artists, song.album, song.isrc, song.duration_s)
        row = self._matcher.match(entry).row
        return None if row is None else self._ids[row]
