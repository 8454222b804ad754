"""Rows of a table in whatever format it is: delimited text, JSON lines, a JSON array, Parquet.

A row is a function from a column's name, in small letters, to what stands there, or None.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

from earmark.catalogue.sources.tables import records
from earmark.errors import FeedbackError
from earmark.feedback.sources.delimited import guessed_delimiter, header_of, table_rows
from earmark.feedback.sources.reading import Part, json_array, json_lines, text_of
from earmark.feedback.sources.source import Refused

Cell = Callable[[str], Any]
Check = Callable[[Sequence[str]], None]

PATTERNS = ("*.csv", "*.tsv", "*.txt", "*.json", "*.jsonl", "*.ndjson", "*.parquet", "*.pq")
_BATCH_ROWS = 10_000
_UNREADABLE = object()


def cells(
    part: Part, columns: Collection[str], check: Check, *, multi_line: bool
) -> Iterator[tuple[str, Cell | Refused]]:
    """Every row, with where it stands. Which format it is, the file's first bytes say.

    Args:
        part: The table.
        columns: What is read of Parquet, in small letters.
        check: Gets the names of the columns, in small letters, where the format has them before its rows; it may raise.
        multi_line: Whether fields of delimited text may hold line breaks.

    Raises:
        FeedbackError: It is no table.
    """
    with part.open() as stream:
        head = stream.read(256)
    if head.startswith(b"PAR1"):
        yield from _parquet(part, columns, check)
        return
    first = head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    if first in (b"{", b"["):
        for where, row in json_lines(part) if first == b"{" else json_array(part):
            yield where, row if isinstance(row, Refused) else {_lower(name): row[name] for name in row}.get
        return
    delimiter = guessed_delimiter(part)
    check(header_of(part, records(text_of(part), delimiter=delimiter, multi_line=multi_line)))
    for line in table_rows(part, delimiter=delimiter, multi_line=multi_line):
        yield line.where, line if isinstance(line, Refused) else line.get


def _parquet(part: Part, columns: Collection[str], check: Check) -> Iterator[tuple[str, Cell | Refused]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with part.open() as stream:
        try:
            table = pq.ParquetFile(stream)
            there = {_lower(name): name for name in reversed(table.schema_arrow.names)}
            check(list(reversed(there)))
            names = {lower: name for lower, name in there.items() if lower in columns}
            number = 0
            for batch in table.iter_batches(batch_size=_BATCH_ROWS, columns=list(names.values())):
                places = (batch.schema.names.index(name) for name in names.values())  # a name may be there twice
                for values in zip(*(_values(batch.column(place)) for place in places), strict=True):
                    number += 1
                    where = f"{part.label}:{number}"
                    if _UNREADABLE in values:
                        said = list(names)[values.index(_UNREADABLE)]
                        yield where, Refused(where, f"it cannot be read: what the column {said} holds")
                    else:
                        yield where, dict(zip(names, values, strict=True)).get
        except pa.ArrowException as error:
            raise FeedbackError(
                f"{part.name} cannot be read as Parquet ({error}). Write it again, or export it as CSV."
            ) from None


def _values(column: Any) -> list[Any]:
    """What stands in a column; `_UNREADABLE` for years beyond 9999, unknown time zones, texts that are no UTF-8.

    Texts may be stored as plain bytes: some programs write them so.
    """
    import pyarrow as pa

    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return [_value(cell) for cell in column]
    try:
        found: list[Any] = column.to_pylist()
    except (ValueError, OverflowError, LookupError):
        found = [_value(cell) for cell in column]
    return found


def _value(cell: Any) -> Any:
    try:
        value = cell.as_py()
        return value.decode() if isinstance(value, bytes) else value
    except (ValueError, OverflowError, LookupError):
        return _UNREADABLE


def _lower(name: object) -> str:
    return str(name).strip().casefold()
