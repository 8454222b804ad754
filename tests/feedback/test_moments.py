"""Moments, in microseconds since 1970 UTC."""

from datetime import timedelta, timezone

import pytest
from telling import us

from earmark.feedback.sources.moments import DAY_US, from_count, from_iso


@pytest.mark.parametrize(
    ("text", "at_us"),
    [
        ("2018-08-02T17:55:09Z", us(2018, 8, 2, 17, 55, 9)),
        ("2018-08-02T17:55:09.011Z", us(2018, 8, 2, 17, 55, 9) + 11_000),
        (" 2018-08-02 17:55:09 ", us(2018, 8, 2, 17, 55, 9)),
        ("2018-08-02T19:55:09+02:00", us(2018, 8, 2, 17, 55, 9)),
        ("2018-08-02", us(2018, 8, 2)),
        ("1969-12-31T23:59:59.999999Z", -1),
        ("", None), (None, None), ("soon", None), ("2018-02-30", None),
        ("0001-01-01T00:00:00+14:00", -62_135_647_200_000_000),
    ],
)  # fmt: skip
def test_iso_8601_is_understood_and_utc_where_no_zone_is_said(text, at_us):
    assert from_iso(text) == at_us


def test_what_says_no_zone_is_in_the_one_given():
    assert from_iso("2018-08-02T02:00:00", timezone(timedelta(hours=2))) == us(2018, 8, 2)
    assert from_iso("2018-08-02T02:00:00Z", timezone(timedelta(hours=2))) == us(2018, 8, 2, 2)


@pytest.mark.parametrize("year", [1974, 2005, 2024, 2100])
@pytest.mark.parametrize("unit", [1, 10**3, 10**6, 10**9], ids=["s", "ms", "us", "ns"])
def test_counts_since_1970_are_of_the_unit_that_their_size_says(year, unit):
    seconds = us(year, 3, 1) // 10**6
    assert from_count(seconds * unit) == seconds * 10**6


def test_fractions_of_a_second_are_kept_and_what_is_no_number_is_none():
    assert from_count(1_600_000_000.25) == 1_600_000_000_250_000
    assert [from_count(number) for number in (float("nan"), float("inf"))] == [None, None]
    assert from_count(0) == 0 and DAY_US == 24 * 60 * 60 * 10**6
