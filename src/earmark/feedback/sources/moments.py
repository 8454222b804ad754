"""Moments as exports write them, in microseconds since 1970 UTC."""

import math
from datetime import UTC, datetime, timedelta, tzinfo

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
# Below each size a count since 1970 is taken for seconds, milliseconds, microseconds: seconds reach it in the year
# 5138, and what counts finer had passed it by 1973.
_UNITS = ((10**11, 10**6), (10**14, 10**3), (10**17, 1))

DAY_US = 86_400_000_000


def from_iso(text: str | None, zone: tzinfo = UTC) -> int | None:
    """A date and time as ISO 8601 writes it; ``zone`` is what it is in where it does not say. None for what is none.

    Example:
        >>> from_iso("1970-01-02T00:00:00.5Z")
        86400500000
    """
    try:
        return from_datetime(datetime.fromisoformat((text or "").strip()), zone)
    except (ValueError, OverflowError):
        return None


def from_datetime(moment: datetime, zone: tzinfo = UTC) -> int:
    """The same of a `datetime`.

    Raises:
        OverflowError: It is outside the years that `datetime` has.
    """
    return ((moment if moment.tzinfo else moment.replace(tzinfo=zone)) - _EPOCH) // _MICROSECOND


def from_count(number: float) -> int | None:
    """Seconds since 1970, or milli-, micro- or nanoseconds: whichever its size says. None for what is no number.

    Example:
        >>> from_count(1_600_000_000) == from_count(1_600_000_000_000)
        True
    """
    if not math.isfinite(number):
        return None
    for below, us in _UNITS:
        if abs(number) < below:
            return round(number * us)
    return round(number / 1000)
