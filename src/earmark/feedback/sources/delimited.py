"""Tables of an export that are delimited text, row by row: columns are found by name, however it is capitalised.

As the tables of a collection (`earmark.catalogue.sources.tables`), but out of a `Part`, which may lie in an archive.
"""

import re
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path

from earmark.catalogue.sources.tables import Row, records
from earmark.errors import FeedbackError
from earmark.feedback.sources.reading import Part, not_found, parts_or_itself, text_of
from earmark.feedback.sources.source import Refused

_DATA = re.compile(r"[\d@]")  # what rows have, and names of columns rarely


def table_rows(
    part: Part,
    needed: Sequence[str | tuple[str, ...]] = (),
    *,
    delimiter: str = ",",
    multi_line: bool = False,
    header_lines: int = 1,
) -> Iterator[Row | Refused]:
    """Every row of a table with a header; a row without any text is none.

    Args:
        part: The file.
        needed: Columns that must be there, in small letters; of a tuple, one of them.
        delimiter: Between fields.
        multi_line: Whether a field in quotation marks may hold line breaks; otherwise one stray mark refuses its line.
        header_lines: Over how many lines a column's name is spread; the parts are joined by dots, empty ones left out.

    Yields:
        Rows whose columns go by their names in small letters; of two columns of one name, the first.

    Raises:
        FeedbackError: It is no text, or lacks a column.
    """
    lines = records(text_of(part), delimiter=delimiter, multi_line=multi_line)
    header = header_of(part, lines, header_lines)
    places = {name: place for place, name in reversed(list(enumerate(header)))}
    choices = [(name,) if isinstance(name, str) else name for name in needed]
    if missing := [" or ".join(names) for names in choices if not any(name in places for name in names)]:
        raise FeedbackError(
            f"{part.name} lacks the columns {', '.join(missing)}; it has "
            f"{columns_of(header, {name for names in choices for name in names})}. Is it the file that its name says, "
            "as it was exported? A spreadsheet may have changed it."
        )
    for first, _, fields in lines:
        where = f"{part.label}:{first}"
        if isinstance(fields, str):
            yield Refused(where, fields)
        elif not any(fields):
            continue
        elif len(fields) != len(header):
            yield Refused(where, f"it has {len(fields)} fields, the header {len(header)}")
        else:
            yield Row(where, fields, places)


def header_of(part: Part, lines: Iterator[tuple[int, int, list[str] | str]], header_lines: int = 1) -> list[str]:
    """The names of the columns, in small letters, from the first of a table's `records`.

    Raises:
        FeedbackError: They cannot be read.
    """
    parts: list[list[str]] = []
    for _ in range(header_lines):
        line, _, names = next(lines, (1, 1, []))
        if isinstance(names, str):
            raise FeedbackError(f"{part.name} has no header that can be read; of line {line}, {names}.")
        parts.append(names)
    width = max(map(len, parts))
    padded = [[*names, *[""] * (width - len(names))] for names in parts]
    return [
        ".".join(name for text in column if (name := text.strip().casefold())) for column in zip(*padded, strict=True)
    ]


def guessed_delimiter(part: Part) -> str:
    """Tab, semicolon or comma, whichever the first line has most of."""
    first = next(text_of(part), "")
    return max("\t;,", key=first.count) if any(map(first.count, "\t;,")) else ","


def only_part(path: Path, places: Sequence[str], needed: str) -> Part:
    """The one file that is read of a published collection: ``path`` itself, or where it lies below.

    Args:
        path: That file, or the folder or archive with it.
        places: Where it may lie below a folder. A folder with a hundred thousand recordings is not looked through if it
            is there; otherwise, and in archives, it is found by its name.
        needed: What is missing if there is none, for the message.

    Raises:
        FeedbackError: There is no such file, or more than one.
    """
    if path.is_dir():
        for place in places:
            if (file := path / place).is_file():
                return Part(place, file, (), file.stat().st_size)
    parts = parts_or_itself(path, *(Path(place).name for place in places))
    if len(parts) > 1:
        raise FeedbackError(
            f"{path} holds {len(parts)} files for one {needed} ({', '.join(part.name for part in parts[:3])}). Give "
            "the one that you mean."
        )
    if not parts:
        raise not_found(path, needed)
    return parts[0]


def columns_of(names: Sequence[str], known: AbstractSet[str]) -> str:
    """Which columns a table has, for a message; or how many, if ``names`` may be a row: that could name somebody."""
    if not names or (known & set(names) and not any(_DATA.search(name) for name in set(names) - known)):
        return some(names)
    return f"{len(names)} other column{'s' if len(names) > 1 else ''}, or no header"


def some(names: Sequence[str]) -> str:
    """The first dozen of ``names``, for a message."""
    return (", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")) or "none"
