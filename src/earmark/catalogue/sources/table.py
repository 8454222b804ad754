"""A team's own catalogue: a table with one row a recording, as CSV, TSV or Parquet.

PATH is the table. Its column ``path`` says where the audio lies: relative to the table's folder, absolute, or at an
address such as ``s3://bucket/song.mp3``. The columns in `OPTIONAL` are read where they are there; ``tags`` are
separated by ``;`` (a list in Parquet). Other columns are not read, and named in the summary. Column names are compared
without regard to case. A delimited table is separated by whichever of tab, semicolon and comma its header has most of.
It is UTF-8, or UTF-16 with a byte-order mark; a row is one line, unless ``multi_line``.

A track's id is its path below the table's folder; of an absolute path or an address, what follows the first ``/`` or
``://``. With ``--measured``, the columns in `MEASURED` are believed instead of opening audio that stays outside.

Rows are read one by one, so the table may have millions.
"""

import os
import sys
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

from earmark.catalogue.reading import is_address
from earmark.catalogue.sources.source import Candidate, Facts, Refusal, Source, collection_of
from earmark.catalogue.sources.tables import (
    Row,
    check_columns,
    genre_or_none,
    official_split,
    own_delimiter,
    read_header,
    read_rows,
)
from earmark.errors import CatalogueError

OPTIONAL = ("genre", "tags", "artist", "title", "album", "isrc", "licence", "split", "group")
MEASURED = ("content_hash", "duration_s", "sample_rate_hz", "channels", "codec")
_CALLED_OTHERWISE = "Where one is called otherwise, say so, as in --columns path=file."
_REPEATED = ("genre", "artist", "album", "licence", "codec")
_BATCH_ROWS = 1_000


@dataclass(frozen=True)
class TableSource(Source):
    """A table of your own (CSV, TSV, Parquet) with a column path, and genre, artist, title … where you have them."""

    columns: str = field(
        default="", metadata={"help": 'Columns that are called otherwise: "path=file_name,genre=style".'}
    )
    measured: bool = field(
        default=False,
        metadata={"help": f"Believe the table's {', '.join(MEASURED)}; audio left outside is not opened then."},
    )
    multi_line: bool = field(default=False, metadata={"help": "Fields in quotation marks may hold line breaks."})

    name: ClassVar[str] = "table"
    expects: ClassVar[str] = (
        f"A CSV, TSV or Parquet file with a column path; optional columns: {', '.join(OPTIONAL)}; for --measured also "
        f"{', '.join(MEASURED)}."
    )

    @property
    def collection(self) -> str:
        """The table's name, as far as it can name a collection."""
        return collection_of(self.path.stem) or self.name

    @property
    def origin(self) -> str:
        """The table: several may become one collection."""
        return f"{self.name} {self.path.name}"

    def describe(self) -> str:
        """What this is, in one line, with the columns that are not read."""
        header, columns = self._columns()
        unread = [name for name in header if name not in columns.values()]
        return f"the table {self.path}" + (f" (columns not read: {', '.join(unread)})" if unread else "")

    def candidates(self) -> Iterator[Candidate | Refusal]:
        """Every row: a candidate, or a refusal of kind ``row``.

        Raises:
            CatalogueError: The table is missing or unreadable, lacks a column, or ``columns`` is no map of columns.
        """
        _, columns = self._columns()
        folder = os.path.normpath(self.path.parent.absolute())
        paths: set[str] = set()
        for row in self._rows(columns):
            if isinstance(row, Refusal):
                yield row
                continue
            try:
                candidate = self._candidate(row, columns, folder)
                if candidate.path in paths:
                    raise ValueError(f"an earlier row has the same path: {candidate.path}")
            except (ValueError, CatalogueError) as error:
                yield Refusal(row.where, "row", str(error))
                continue
            paths.add(candidate.path)
            yield candidate

    def _columns(self) -> tuple[list[str], dict[str, str]]:
        """The table's columns, and ours → theirs for those that are read."""
        if not os.path.isfile(self.path):  # noqa: PTH113  false for what can be no name at all, where pathlib fails
            found = "is no file" if os.path.exists(self.path) else f"is not there (seen from {Path.cwd()})"  # noqa: PTH110
            raise CatalogueError(
                f"{self.path} {found}. {self.expects} For a folder of audio: earmark import folder PATH."
            )
        header = self._header()
        named = self._named()
        by_name = {name.lower(): name for name in reversed(header)}
        columns = {}
        for ours in ("path", *OPTIONAL, *(MEASURED if self.measured else ())):
            theirs = named.get(ours) or by_name.get(ours)
            if theirs is None and ours in ("path", *MEASURED):
                theirs = ours  # reported as missing
            if theirs is not None:
                columns[ours] = theirs
        check_columns(self.path, header, list(columns.values()), _CALLED_OTHERWISE)
        return header, columns

    def _named(self) -> dict[str, str]:
        """The option ``columns``, read."""
        named = {}
        for pair in filter(None, self.columns.split(",")):
            ours, equals, theirs = (part.strip() for part in pair.partition("="))
            if not (equals and theirs and ours in ("path", *OPTIONAL, *MEASURED)):
                raise CatalogueError(
                    f"--columns has {pair.strip()!r}. It names pairs such as path=file_name,genre=style: on the left "
                    f"one of path, {', '.join((*OPTIONAL, *MEASURED))}; on the right the table's own column."
                )
            named[ours] = theirs
        return named

    def _is_parquet(self) -> bool:
        return self.path.suffix.lower() in (".parquet", ".pq")

    def _header(self) -> list[str]:
        if not self._is_parquet():
            return read_header(self.path, delimiter=own_delimiter(self.path))
        with _parquet(self.path) as table:
            names: list[str] = table.schema_arrow.names
            return names

    def _rows(self, columns: dict[str, str]) -> Iterator[Row | Refusal]:
        if not self._is_parquet():
            delimiter, needed = own_delimiter(self.path), list(columns.values())
            yield from read_rows(self.path, needed, delimiter=delimiter, multi_line=self.multi_line, own=True)
            return
        names = list(dict.fromkeys(columns.values()))
        places = {name: place for place, name in enumerate(names)}
        number = 0
        with _parquet(self.path) as table:
            for batch in table.iter_batches(batch_size=_BATCH_ROWS, columns=names):
                for values in zip(*(batch.column(name).to_pylist() for name in names), strict=True):
                    number += 1
                    yield Row(f"{self.path.name}:{number}", [_text(value) for value in values], places)

    def _candidate(self, row: Row, columns: dict[str, str], folder: str) -> Candidate:
        """A row as a candidate.

        Raises:
            ValueError, CatalogueError: Why it is none.
        """
        known = {ours: row.get(theirs) for ours, theirs in columns.items()}
        for name in _REPEATED:  # one copy of each: a million rows then take a quarter less memory
            if text := known.get(name):
                known[name] = sys.intern(text)
        file, path = _place(known["path"], folder)
        facts = None
        if self.measured:
            facts = _facts(known)
        elif isinstance(file, Path):
            file = _found(file)
        group = known.get("group")
        return Candidate(
            file,
            path,
            genre=genre_or_none(known.get("genre")),
            split=official_split(known.get("split")),
            artist=known.get("artist"),
            title=known.get("title"),
            album=known.get("album"),
            isrc=known.get("isrc"),
            tags=tuple(
                dict.fromkeys(sys.intern(tag) for part in (known.get("tags") or "").split(";") if (tag := part.strip()))
            ),
            licence=known.get("licence"),
            group=f"group:{group}" if group else None,
            facts=facts,
        )


def _place(said: str | None, folder: str) -> tuple[Path | str, str]:
    """Where the audio lies, and the track's id.

    Raises:
        ValueError: There is no path, or it is none that can be used.
    """
    if not said:
        raise ValueError("it has no path")
    if "\0" in said:
        raise ValueError("its path holds a NUL character")
    if is_address(said):
        inner = said.partition("://")[2].strip("/")
        if not inner or ".." in PurePosixPath(inner).parts:
            raise ValueError(f"its path is no address of a file: {said}")
        return said, inner
    file = os.path.normpath(os.path.join(folder, said))  # noqa: PTH118
    if file.startswith(folder.rstrip("/") + "/"):
        return Path(file), file[len(folder.rstrip("/")) + 1 :]
    if not os.path.isabs(said):  # noqa: PTH117
        raise ValueError(f"its path leads to no file below the table's folder, so it has to be absolute: {said}")
    return Path(file), file.lstrip("/")


def _found(file: Path) -> Path:
    """The file, also where the disk writes its accents otherwise: macOS takes letters and accents apart.

    Raises:
        ValueError: There is none.
    """
    if os.path.isfile(file):  # noqa: PTH113  a million times: twice as fast
        return file
    for form in ("NFC", "NFD"):
        if os.path.isfile(other := unicodedata.normalize(form, str(file))):  # type: ignore[arg-type]  # noqa: PTH113
            return Path(other)
    raise ValueError(f"there is no file: {file}")


def _facts(known: dict[str, str | None]) -> Facts:
    if missing := [name for name in MEASURED if not known[name]]:
        raise ValueError(f"it has no {missing[0]}, and --measured was given")
    numbers: dict[str, float] = {}
    for name in ("duration_s", "sample_rate_hz", "channels"):
        try:
            numbers[name] = float(known[name] or "")
        except ValueError:
            raise ValueError(f"{name} is {known[name]!r}, no number") from None
        if name != "duration_s" and not numbers[name].is_integer():
            raise ValueError(f"{name} is {known[name]!r}, no whole number")
    return Facts(
        content_hash=(known["content_hash"] or "").lower(),
        duration_s=numbers["duration_s"],
        sample_rate_hz=int(numbers["sample_rate_hz"]),
        channels=int(numbers["channels"]),
        codec=known["codec"] or "",
    )


def _parquet(path: Path) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise CatalogueError(
            f"{path} cannot be read as Parquet ({error}). Write it again, or export it as CSV."
        ) from None


def _text(value: object) -> str:
    if isinstance(value, list):
        return ";".join(filter(None, map(_text, value)))
    return "" if value is None or value != value else str(value)  # a missing number is not equal to itself
