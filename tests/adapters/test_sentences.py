"""Sentences filled for many rows at once."""

import numpy as np
import pytest

from earmark.adapters.sentences import Template


def filled(text: str, **values: list[object]) -> list[str]:
    count = max((len(column) for column in values.values()), default=1)
    return Template.parse(text).fill(values, count)


class TestFilling:
    def test_it_says_what_str_format_says(self) -> None:
        text = "it lasts {seconds:.2f} s ({codec!r}, {{not this}}); {share:.0%}"
        rows = [(2.994, "mp3", 0.256), (600.0, "flac", 1.0)]
        said = filled(text, seconds=[r[0] for r in rows], codec=[r[1] for r in rows], share=[r[2] for r in rows])
        assert said == [text.format(seconds=s, codec=c, share=share) for s, c, share in rows]

    def test_what_is_missing_is_called_unknown_whatever_its_format(self) -> None:
        assert filled("{a:.1f}", a=[None, float("nan"), np.float32("nan"), 1.0]) == ["unknown"] * 3 + ["1.0"]

    def test_a_plain_number_is_written_short_and_a_list_with_commas(self) -> None:
        assert filled("{a}", a=[3.0, 0.1 + 0.2, 7, ["x", "y"]]) == ["3", "0.3", "7", "x, y"]

    def test_a_sentence_without_names_is_the_same_for_all(self) -> None:
        assert Template.parse("no artist").fill({}, 3) == ["no artist"] * 3


@pytest.mark.parametrize("text", ["{a", "a}", "{a.b}", "{a[0]}", "{}", "{0}", "{a b}"])
def test_what_is_no_name_in_braces_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Template.parse(text)


def test_a_format_that_does_not_fit_is_an_error() -> None:
    with pytest.raises(ValueError, match="f"):
        filled("{a:.1f}", a=["text"])
