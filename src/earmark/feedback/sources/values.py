"""Numbers as JSON exports write them: as a number, or as the text of one."""

import math

from earmark.feedback.sources.moments import from_count

_BEYOND = 2**63  # what a database column does not hold
_LATEST_S = 253_402_300_800  # the year 10000


def number(value: object) -> float | None:
    """A finite number, from one or from the text of one; None for anything else.

    Example:
        >>> number("12.5"), number(3), number(True), number("nan"), number("soon")
        (12.5, 3.0, None, None, None)
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def whole(value: object) -> int | None:
    """The same as a whole number of at most 63 bits; a fraction is rounded.

    Example:
        >>> whole("1234"), whole(12.6), whole(None)
        (1234, 13, None)
    """
    found = value if type(value) is int else number(value)
    if found is None:
        return None
    rounded = round(found)
    return rounded if -_BEYOND <= rounded < _BEYOND else None


def counted_us(value: object) -> int | None:
    """A moment counted since 1970 (`from_count`), in microseconds; None for 0 and less, which mean nothing.

    Example:
        >>> counted_us("1406493287"), counted_us(0)
        (1406493287000000, None)
    """
    found = number(value)
    if found is None or found <= 0:
        return None
    at_us = from_count(found)
    return at_us if at_us is not None and at_us < _LATEST_S * 1_000_000 else None
