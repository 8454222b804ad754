"""What stands in a cell of a table, whatever program wrote it: texts, times, lengths, yes and no."""

import math
from datetime import date, datetime, tzinfo
from decimal import Decimal
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from earmark.catalogue.sources.library import as_seconds, as_text
from earmark.feedback.sources.moments import from_count, from_datetime, from_iso
from earmark.feedback.sources.values import number

_NOTHING = frozenset({"", "null", "nan", "none", "n/a", "na", "<na>", "\\n"})  # as programs write it
_YES, _NO = frozenset({"true", "yes", "y", "t"}), frozenset({"false", "no", "n", "f"})
_OLDEST_YEAR = 1990  # 20240115 is a date, and no second of August 1970


def known(value: Any) -> Any:
    """The cell, or None for what programs write where there is nothing."""
    if isinstance(value, str):
        return None if value.strip().casefold() in _NOTHING else value
    if isinstance(value, Decimal):  # as databases write numbers into Parquet, ids and counts too
        return int(value) if value == value.to_integral_value() else float(value)
    return None if isinstance(value, float) and math.isnan(value) else value


def as_name(value: Any) -> str | None:
    """A text in one line; a whole number without ``.0``, which Parquet makes of a column with gaps."""
    if isinstance(value, str):
        return _one_line(value)
    if isinstance(value, float):
        value = int(value) if value.is_integer() else known(value)
    return as_text(value)


_one_line = lru_cache(maxsize=65_536)(as_text)  # names come again and again


def share(value: Any) -> float | None:
    """A number, or 1 for yes and 0 for no; None for what is neither."""
    word = str(value).strip().casefold()
    return float(word in _YES) if word in _YES | _NO else number(value)


def seconds(value: Any) -> float | None:
    """Seconds, from a number of them, or from ``3:25`` or ``1:02:03``; None for what is neither."""
    if (found := number(value)) is not None or not isinstance(value, str):
        return found
    pieces = value.strip().split(":")
    if not (2 <= len(pieces) <= 3 and all(piece.replace(".", "", 1).isdecimal() for piece in pieces)):
        return None
    return sum(float(piece) * 60.0**place for place, piece in enumerate(reversed(pieces)))


def length_s(value: Any, *, per_second: float) -> float | None:
    """A song's length in seconds, from ``3:25`` or a number (``per_second`` a second); None for what cannot be one."""
    if isinstance(value, str) and ":" in value:
        return as_seconds(seconds(value))
    return as_seconds(number(value), per_second=per_second)


def moment(value: Any, form: str, zone: tzinfo) -> int | None:
    """A time, in microseconds since 1970 UTC; None for what is none.

    Args:
        value: A date or time, as Parquet has them, or a text or number.
        form: How texts are written, as `datetime.strptime` takes it; empty for ISO 8601, ``20240115``, or a count since
            1970, whose size says of what.
        zone: Where it was, if it does not say so itself.
    """
    try:
        if isinstance(value, datetime):
            return from_datetime(value, zone)
        if isinstance(value, date):
            return from_datetime(datetime(value.year, value.month, value.day), zone)
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            return None
        text = str(value).strip()
        if form:
            return from_datetime(datetime.strptime(text, form), zone)
        if len(text) == 8 and text.isdecimal() and int(text[:4]) >= _OLDEST_YEAR:
            return from_iso(text, zone)
        count = number(value)
        return from_iso(text, zone) if count is None else from_count(count)
    except (ValueError, OverflowError):
        return None


@lru_cache(maxsize=1_024)
def zone_of(named: str) -> tzinfo | None:
    """The time zone of that name (``Europe/Paris``), or None."""
    try:
        return ZoneInfo(named)
    except (LookupError, ValueError, OSError):
        return None


def several(value: Any, *, longest: int) -> tuple[str, ...]:
    """Distinct texts of a list, or of one text with ``;`` or ``|`` between them; longer ones are left out."""
    pieces = value if isinstance(value, list) else (as_name(known(value)) or "").replace("|", ";").split(";")
    found = (as_text(piece) for piece in pieces)
    return tuple(dict.fromkeys(text for text in found if text and len(text) <= longest))
