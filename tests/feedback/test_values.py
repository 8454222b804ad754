"""Numbers that may be texts."""

import doctest

import pytest

from earmark.feedback.sources import values
from earmark.feedback.sources.values import counted_us, number, whole


class TestNumbers:
    @pytest.mark.parametrize(
        ("written", "read"), [(3, 3.0), (2.5, 2.5), (" 2.5 ", 2.5), ("-1", -1.0), (2**62, float(2**62))]
    )
    def test_are_read_from_numbers_and_texts(self, written, read):
        assert number(written) == read

    @pytest.mark.parametrize("written", [None, True, "", "x", "nan", "inf", float("inf"), [1], {}, "9" * 400, 10**400])
    def test_that_are_none_are_none(self, written):
        assert number(written) is None and whole(written) is None and counted_us(written) is None

    def test_as_whole_ones_are_rounded_and_exact(self):
        assert [whole(written) for written in ("1234", 12.6, -3, 2**63 - 1)] == [1_234, 13, -3, 2**63 - 1]

    @pytest.mark.parametrize("written", [2**63, -(2**63) - 1, "1e30"])
    def test_that_no_database_holds_are_none(self, written):
        assert whole(written) is None


class TestCountedMoments:
    @pytest.mark.parametrize("written", [1_406_493_287, "1406493287", 1_406_493_287_000, "1406493287000.0"])
    def test_are_read_in_seconds_and_milliseconds(self, written):
        assert counted_us(written) == 1_406_493_287 * 10**6

    @pytest.mark.parametrize("written", [0, -1, "0", 10**30])
    def test_that_mean_nothing_are_none(self, written):
        assert counted_us(written) is None


def test_the_examples_are_true():
    assert doctest.testmod(values).failed == 0
