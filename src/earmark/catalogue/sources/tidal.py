"""Tidal: a list of tracks as CSV or JSON, whose columns you name.

Tidal hands out no documented file of its own; there are exports by several tools, each with its own columns. So the
columns are options; the defaults (id, title, artist, album, isrc, duration, genre) are an assumption. Capitals and
spaces around a column's name do not matter.

* CSV: UTF-8, or UTF-16 with a byte-order mark; a header; comma, semicolon or tab, whichever the header has most of.
  Several artists or genres in one field are separated by ``;`` or ``|``. A row is one line.
* JSON: a list of objects, or an object with such a list under ``tracks``, ``items`` or ``data``; a row may be wrapped
  in ``item`` or ``track``. A name may be a text, an object with ``name`` or ``title``, or a list of these.
* Durations: seconds (``--milliseconds`` where it is those), ``3:25``, ``1:02:03`` or ``PT3M25S``.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from earmark.catalogue.sources.library import (
    Entry,
    Library,
    as_seconds,
    as_text,
    as_texts,
    entry_or_refusal,
    parse_json,
)
from earmark.catalogue.sources.source import Refusal
from earmark.catalogue.sources.tables import header_of, own_delimiter, records, text_lines
from earmark.errors import CatalogueError

_CLOCK = re.compile(r"(?:(\d+):)?(\d{1,3}):(\d{2}(?:\.\d+)?)")
_ISO = re.compile(r"PT(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?")


def _column(name: str) -> Any:
    return field(default=name, metadata={"help": f"The column with the {name}."})


@dataclass(frozen=True)
class TidalLibrary(Library):
    """A list of Tidal tracks as CSV or JSON; say which column is which."""

    name: ClassVar[str] = "tidal"
    expects: ClassVar[str] = "A CSV file with a header, or a JSON file with a list of tracks."

    path: Path
    id: str = _column("id")
    title: str = _column("title")
    artist: str = _column("artist")
    album: str = _column("album")
    isrc: str = field(default="isrc", metadata={"help": "The column with the ISRC."})
    duration: str = _column("duration")
    genre: str = _column("genre")
    milliseconds: bool = field(default=False, metadata={"help": "Whether durations are in milliseconds."})

    def describe(self) -> str:
        """What this is, in one line."""
        return f"the list of Tidal tracks {self.path}"

    def entries(self) -> Iterator[Entry | Refusal]:
        """Every row of the file.

        Raises:
            CatalogueError: The file is missing, is neither CSV nor JSON, or lacks the columns to match by.
        """
        try:
            content = self.path.read_bytes()
        except OSError as error:
            raise CatalogueError(
                f"{self.path} cannot be read ({error.strerror}). {self.expects} Give the file itself."
            ) from None
        rows = (
            self._objects(content)
            if content.lstrip(b"\xef\xbb\xbf\xff\xfe\0 \t\r\n")[:1] in (b"[", b"{")  # behind whatever mark
            else self._lines()
        )
        for where, row in rows:
            yield row if isinstance(row, Refusal) else entry_or_refusal(self._entry(row, where), where)

    def _entry(self, row: dict[str, Any], where: str) -> Entry:
        def cell(column: str) -> Any:
            return row.get(_plain(column))

        return Entry(
            id=as_text(cell(self.id)) or where,
            title=next(iter(as_texts(cell(self.title))), None),
            artists=_several(cell(self.artist)),
            album=next(iter(as_texts(cell(self.album))), None),
            isrc=as_text(cell(self.isrc)),
            duration_s=_seconds(cell(self.duration), 1_000 if self.milliseconds else 1),
            genres=_several(cell(self.genre)),
        )

    def _lines(self) -> Iterator[tuple[str, dict[str, Any] | Refusal]]:
        rows = records(text_lines(self.path, own=True), delimiter=own_delimiter(self.path))
        header = [_plain(name) for name in header_of(self.path, rows)]
        self._check(header)
        for number, _, line in rows:
            where = f"{self.path.name}:{number}"
            if isinstance(line, str):
                yield where, Refusal(where, "row", line)
            elif not any(value.strip() for value in line):
                continue  # an empty line is no row
            elif len(line) != len(header):
                yield where, Refusal(where, "row", f"it has {len(line)} fields, the header {len(header)}")
            else:
                yield where, dict(zip(header, line, strict=True))

    def _objects(self, content: bytes) -> Iterator[tuple[str, dict[str, Any] | Refusal]]:
        found = parse_json(content, str(self.path))
        if isinstance(found, dict):
            found = next((found[key] for key in ("tracks", "items", "data") if isinstance(found.get(key), list)), None)
        if not isinstance(found, list):
            raise CatalogueError(
                f'{self.path} is JSON without a list of tracks: neither a list itself nor one under "tracks", "items" '
                'or "data".'
            )
        rows = [_unwrapped(row) for row in found]
        self._check([key for row in rows if isinstance(row, dict) for key in row])
        for number, row in enumerate(rows):
            where = f"{self.path.name}: [{number}]"
            yield where, row if isinstance(row, dict) else Refusal(where, "row", "no object with the track's columns")

    def _check(self, columns: list[str]) -> None:
        there = set(columns)
        if _plain(self.isrc) in there or {_plain(self.title), _plain(self.artist)} <= there:
            return
        raise CatalogueError(
            f"{self.path} has neither a column {self.isrc!r} nor both {self.title!r} and {self.artist!r}, so nothing "
            f"could be matched. It has: {', '.join(sorted(there)) or 'none'}. Say which is which, for instance "
            '--title "Track name" --artist "Artist name" --isrc ISRC.'
        )


def _plain(column: str) -> str:
    return column.strip().casefold()


def _unwrapped(row: Any) -> Any:
    if isinstance(row, dict):
        row = next((row[key] for key in ("item", "track") if isinstance(row.get(key), dict)), row)
        return {_plain(key): value for key, value in row.items()}
    return row


def _several(value: Any) -> tuple[str, ...]:
    return as_texts([part.strip() for part in re.split(r"[;|]", value)] if isinstance(value, str) else value)


def _seconds(value: Any, per_second: float) -> float | None:
    if isinstance(value, str):
        value = value.strip()
        if found := _CLOCK.fullmatch(value) or _ISO.fullmatch(value):
            hours, minutes, seconds = (float(part or 0) for part in found.groups())
            return as_seconds(3_600 * hours + 60 * minutes + seconds)
    return as_seconds(value, per_second=per_second)
