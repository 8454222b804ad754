"""When all of this happens: from a fixed day on, for as many days as asked, all in microseconds since 1970 UTC.

The days lie around 16 October 2022, when Spotify's exports began to tell what was skipped (see `spotify`).
"""

from datetime import UTC, datetime

from earmark.params import Listeners

SECOND_US = 1_000_000
DAY_US = 86_400 * SECOND_US
START_US = int(datetime(2022, 6, 1, tzinfo=UTC).timestamp()) * SECOND_US


def end_us(params: Listeners) -> int:
    """The end of the last day: when the truth is asked for."""
    return START_US + params.days * DAY_US
