"""Tables that come with a collection, read row by row: every row with its line number, none passed over.

A row that does not fit its header becomes a refusal of kind ``row``. Text is read as UTF-8. What is none becomes � in a
published table, which is as it is, and is an error in a team's own, where two names would become one.

A row is one line, unless its table is known to have line breaks in its fields. Otherwise one stray ``"`` would make one
field of all lines up to the next, and could end in a row of the right width, with another row's label.
"""

import csv
import unicodedata
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from earmark.catalogue.sources.source import Refusal
from earmark.errors import CatalogueError

_LONGEST_FIELD = 1 << 24  # in characters; csv's own limit of 131,072 is less than some biographies
_SPLITS = {
    "train": "train", "training": "train", "validation": "validation", "valid": "validation", "val": "validation",
    "test": "test",
}  # fmt: skip

_AS_PUBLISHED = "Either it is another table, or its delimiter or header was changed: give the table as it is published."
_NO_GENRE = frozenset({"nan", "null", "none", "n/a", "na", "<na>"})

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Row:
    """One row.

    Attributes:
        where: The table and the line on which the row begins: ``tracks.csv:17``.
        fields: Its texts.
        places: Column → place in ``fields``, the same for all rows.
    """

    where: str
    fields: Sequence[str]
    places: Mapping[str, int]

    def __getitem__(self, column: str) -> str:
        """The text in ``column``, without white space around it."""
        return self.fields[self.places[column]].strip()

    def get(self, column: str) -> str | None:
        """As above; None where it is empty, or where there is no such column."""
        return (self[column] or None) if column in self.places else None

    @property
    def beyond(self) -> tuple[str, ...]:
        """Fields behind the last column, for tables whose rows grow to the right."""
        return tuple(text for field in self.fields[len(self.places) :] if (text := field.strip()))


def text_lines(table: Path, *, own: bool = False) -> Iterator[str]:
    """The lines of a text, which in a team's ``own`` may also be UTF-16, by its byte-order mark.

    Raises:
        CatalogueError: The text cannot be read, or is ``own`` and neither UTF-8 nor UTF-16.
    """
    encoding = "utf-8-sig"
    try:
        if own:
            with table.open("rb") as file:
                encoding = "utf-16" if file.read(2) in (BOM_UTF16_LE, BOM_UTF16_BE) else encoding
        with table.open(encoding=encoding, errors="strict" if own else "replace", newline="") as text:
            yield from text
    except OSError as error:
        raise CatalogueError(
            f"The table {table} cannot be read ({error.strerror}). Check that the data set is whole, and its rights."
        ) from None
    except UnicodeDecodeError:
        with table.open(encoding=encoding, errors="replace", newline="") as text:
            line = next((number for number, line in enumerate(text, start=1) if "\ufffd" in line), 1)
        raise CatalogueError(
            f"{table} is no {encoding.removesuffix('-sig').upper()}: line {line} holds letters of another encoding, "
            "perhaps that of an older spreadsheet. Save it as UTF-8."
        ) from None


def read_header(table: Path, *, delimiter: str) -> list[str]:
    """The names of the columns of a team's own table.

    Raises:
        CatalogueError: The table cannot be read.
    """
    return [name.strip() for name in header_of(table, records(text_lines(table, own=True), delimiter=delimiter))]


def own_delimiter(table: Path) -> str:
    """Tab, semicolon or comma, whichever the first line of a team's own table has most of.

    Raises:
        CatalogueError: The table cannot be read.
    """
    first = next(text_lines(table, own=True), "")
    return max("\t;,", key=first.count) if any(map(first.count, "\t;,")) else ","


def read_rows(
    table: Path,
    needed: Sequence[str],
    *,
    delimiter: str = ",",
    quotes: bool = True,
    multi_line: bool = False,
    header_lines: int = 1,
    open_ended: bool = False,
    shown: str | None = None,
    own: bool = False,
) -> Iterator[Row | Refusal]:
    """Every row of a table of text; a row without any text is none.

    Args:
        table: The file.
        needed: Columns that must be there.
        delimiter: Between fields.
        quotes: Whether ``"`` encloses a field; otherwise it is a character like any other.
        multi_line: Whether such a field may hold line breaks.
        header_lines: Over how many lines a column's name is spread; the parts are joined by dots, empty ones left out.
        open_ended: Rows may have more fields than the header, see `Row.beyond`.
        shown: The table's name in `Row.where`; None takes the file's.
        own: Whether it is a team's own, see `text_lines`.

    Raises:
        CatalogueError: The table cannot be read, or lacks a column, or has a needed one twice.
    """
    shown = shown or table.name
    lines = records(text_lines(table, own=own), delimiter=delimiter, quotes=quotes, multi_line=multi_line)
    parts = [header_of(table, lines) for _ in range(header_lines)]
    width = max(map(len, parts))
    padded = [[*part, *[""] * (width - len(part))] for part in parts]
    header = [".".join(name for part in column if (name := part.strip())) for column in zip(*padded, strict=True)]
    check_columns(table, header, needed)
    places = {name: place for place, name in enumerate(header)}
    if len(places) < width:  # of two columns with one name neither is needed; both keep their places
        places |= {f"{name} {place}": place for place, name in enumerate(header) if places[name] != place}
    for first, last, fields in lines:
        where = f"{shown}:{first}"
        if isinstance(fields, str):
            yield Refusal(where, "row", fields)
        elif not any(fields):
            continue
        elif len(fields) < width or (len(fields) > width and not open_ended):
            yield Refusal(where, "row", f"it has {len(fields)} fields, the header {width}{_over(first, last)}")
        else:
            yield Row(where, fields, places)


class _Lines(Iterator[str]):
    """A text's lines for `csv.reader`, which asks for one more as long as a quotation mark is open.

    Attributes:
        more: How many the current row may still have.
        refused: Whether it has asked for more than that.
    """

    def __init__(self, text: Iterable[str]) -> None:
        self._text = iter(text)
        self.more, self.refused = 0.0, False

    def __next__(self) -> str:
        if self.more < 1:
            self.refused = True
            raise StopIteration
        self.more -= 1
        return next(self._text)


def records(
    text: Iterable[str], *, delimiter: str, quotes: bool = True, multi_line: bool = False
) -> Iterator[tuple[int, int, list[str] | str]]:
    """The rows of delimited text: first line, last line (from 1), and the fields, or why there are none.

    A row whose quotation mark is open at the end of its line is refused alone (unless ``multi_line``); the next line
    is read as if nothing had been. With ``multi_line`` nobody can tell where the fault lies, so the lines are named.
    """
    csv.field_size_limit(_LONGEST_FIELD)
    lines = _Lines(text)
    rows = csv.reader(
        lines, delimiter=delimiter, quoting=csv.QUOTE_MINIMAL if quotes else csv.QUOTE_NONE, strict=multi_line
    )
    while True:
        lines.more, lines.refused = float("inf") if multi_line else 1, False
        first = rows.line_num + 1
        fields: list[str] | str
        try:
            fields = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            fields = f"it cannot be read: {error}{_over(first, rows.line_num)}"
        if lines.refused:
            fields = 'a quotation mark (") is open at the end of its line: close it, or take line breaks out of fields'
        yield first, rows.line_num, fields


def _over(first: int, last: int) -> str:
    return f": it runs over lines {first}–{last}, is a quotation mark not closed?" if last > first else ""


def header_of(table: Path, lines: Iterator[tuple[int, int, list[str] | str]]) -> list[str]:
    """The first of its `records`; nothing where there is none.

    Raises:
        CatalogueError: It cannot be read.
    """
    line, _, names = next(lines, (1, 1, []))
    if isinstance(names, str):
        raise CatalogueError(f"{table} has no header that can be read; of line {line}, {names}.")
    return names


def check_columns(table: Path, header: Sequence[str], needed: Sequence[str], remedy: str = _AS_PUBLISHED) -> None:
    """Raise where a needed column is missing or there twice; ``remedy`` is what helps where one is missing.

    Raises:
        CatalogueError: With the names.
    """
    if missing := [name for name in needed if name not in header]:
        raise CatalogueError(f"{table} lacks the columns {', '.join(missing)}; it has {_some(header)}. {remedy}")
    if twice := [name for name in needed if header.count(name) > 1]:
        raise CatalogueError(f"{table} has more than one column {', '.join(twice)}. Rename all but one of each.")


def whole(text: str, name: str, lowest: int, highest: int) -> int:
    """``text`` as a whole number within bounds.

    Raises:
        ValueError: Why it is none, with the column's ``name``.
    """
    try:
        number = int(text)
    except ValueError:
        raise ValueError(f"{name} is {text!r}, no whole number") from None
    if not lowest <= number <= highest:
        raise ValueError(f"{name} is {number}, not within {lowest} and {highest}")
    return number


def official_split(text: str | None) -> str | None:
    """``train``, ``validation`` or ``test``, by whichever of its usual names; None where nothing is said.

    Raises:
        ValueError: It is called something else.
    """
    if not text:
        return None
    if text.lower() not in _SPLITS:
        raise ValueError(f"its split is {text!r}, none of {', '.join(_SPLITS)}")
    return _SPLITS[text.lower()]


def genre_or_none(text: str | None) -> str | None:
    """A genre's name, its accents put together (NFC); None for what programs write where there is none."""
    return None if text is None or text.casefold() in _NO_GENRE else unicodedata.normalize("NFC", text)


class Asides(Mapping[str, T]):
    """Rows that say more about tracks of another table, found by key; what nobody asked for is listed at the end.

    Args:
        rows: Refusals are kept, rows read.
        read: Key and content of a row; a ValueError refuses it.
    """

    def __init__(self, rows: Iterable[Row | Refusal], read: Callable[[Row], tuple[str, T]]) -> None:
        self._found: dict[str, tuple[str, T]] = {}
        self._asked: set[str] = set()
        self._refused: list[Refusal] = []
        for row in rows:
            if isinstance(row, Refusal):
                self._refused.append(row)
                continue
            try:
                key, content = read(row)
            except ValueError as error:
                self._refused.append(Refusal(row.where, "row", str(error)))
                continue
            if key in self._found:
                self._refused.append(Refusal(row.where, "row", f"it repeats {self._found[key][0]}"))
            else:
                self._found[key] = row.where, content

    def __getitem__(self, key: str) -> T:
        """The content under ``key``, which from now on counts as used."""
        content = self._found[key][1]
        self._asked.add(key)
        return content

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)

    def unused(self, reason: str) -> Iterator[Refusal]:
        """What could not be read, and every row that was not asked for."""
        yield from self._refused
        for key, (where, _) in self._found.items():
            if key not in self._asked:
                yield Refusal(where, "row", reason)


def _some(names: Sequence[str]) -> str:
    return (", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")) or "none"
