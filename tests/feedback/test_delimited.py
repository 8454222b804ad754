"""Delimited text of exports: columns by name, rows refused alone, and the one table of a published collection."""

import pytest
from telling import lay, packed

from earmark.catalogue.sources.tables import Row
from earmark.errors import FeedbackError
from earmark.feedback.sources.delimited import guessed_delimiter, only_part, table_rows
from earmark.feedback.sources.reading import Part
from earmark.feedback.sources.source import Refused


@pytest.fixture
def table(tmp_path):
    def of(text: str | bytes) -> Part:
        file = tmp_path / "t.csv"
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return Part("t.csv", file)

    return of


class TestRows:
    def test_go_by_names_in_small_letters_without_spaces(self, table):
        (row,) = table_rows(table("\ufeff Song Name ,ARTIST\r\n River , Joni\r\n"))
        assert isinstance(row, Row) and (row["song name"], row["artist"], row.get("album")) == ("River", "Joni", None)

    def test_have_the_line_on_which_they_begin_and_empty_ones_are_none(self, table):
        found = table_rows(table('a,b\n\n1,"x\ny"\n,\n2,z\n'), multi_line=True)
        assert [(row.where, row["b"]) for row in found if isinstance(row, Row)] == [
            ("t.csv:3", "x\ny"),
            ("t.csv:6", "z"),
        ]

    def test_of_another_width_or_with_an_open_quotation_mark_are_refused_alone(self, table):
        found = list(table_rows(table('a,b\n1\n1,2,3\n"1,2\n3,4\n')))
        assert [(row.where, type(row)) for row in found] == [
            ("t.csv:2", Refused), ("t.csv:3", Refused), ("t.csv:4", Refused), ("t.csv:5", Row),
        ]  # fmt: skip
        assert found[0].reason == "it has 1 fields, the header 2"

    def test_of_two_columns_of_one_name_have_the_first(self, table):
        (row,) = table_rows(table("A,a\n1,2\n"))
        assert row["a"] == "1"

    def test_have_names_over_several_lines_joined_by_dots(self, table):
        (row,) = table_rows(table(",track\n,Title\nid,\n7,River\n"), ("id", "track.title"), header_lines=3)
        assert (row.where, row["id"], row["track.title"]) == ("t.csv:4", "7", "River")

    def test_are_read_of_utf_16_too(self, table):
        (row,) = table_rows(table("a\tb\nMünchen\t2\n".encode("utf-16")), delimiter="\t")
        assert row["a"] == "München"


class TestColumns:
    def test_that_are_missing_are_named_with_those_that_are_there(self, table):
        with pytest.raises(FeedbackError, match=r"t\.csv lacks the columns x, y or z; it has a, b\. Is it the file"):
            list(table_rows(table("a,b\n1,2\n"), ("a", "x", ("y", "z"))))

    def test_of_which_one_will_do_do(self, table):
        assert len(list(table_rows(table("a,z\n1,2\n"), (("y", "z"),)))) == 1

    def test_are_none_in_an_empty_file(self, table):
        with pytest.raises(FeedbackError, match="lacks the columns a; it has none"):
            list(table_rows(table(""), ("a",)))

    def test_with_an_open_quotation_mark_are_an_error(self, table):
        with pytest.raises(FeedbackError, match="has no header that can be read; of line 1, a quotation mark"):
            list(table_rows(table('a,"b\n1,2\n')))


@pytest.mark.parametrize(
    ("text", "delimiter"), [("a\tb,c\td\n", "\t"), ("a;b;c,d\n", ";"), ("a,b\n", ","), ("a\n", ",")]
)
def test_the_delimiter_is_whichever_the_first_line_has_most_of(table, text, delimiter):
    assert guessed_delimiter(table(text)) == delimiter


class TestTheOneTable:
    PLACES = ("data.csv", "meta/data.csv")

    @pytest.mark.parametrize("place", PLACES)
    def test_is_found_where_it_lies(self, tmp_path, place):
        lay(tmp_path, {place: "a", "music/1.mp3": b""})
        assert only_part(tmp_path, self.PLACES, "table").name == place

    def test_is_found_elsewhere_and_in_archives(self, tmp_path):
        lay(tmp_path, {"x.zip": packed({"deep/data.csv": "a", "other.csv": "b"}), "deep/er/data.csv": "a"})
        assert only_part(tmp_path / "x.zip", self.PLACES, "table").label == "data.csv"
        assert only_part(tmp_path / "deep", self.PLACES, "table").name == "er/data.csv"

    def test_may_be_given_itself_whatever_it_is_called(self, tmp_path):
        lay(tmp_path, {"answers (2).txt": "a"})
        assert only_part(tmp_path / "answers (2).txt", self.PLACES, "table").label == "answers (2).txt"

    def test_that_is_there_twice_or_not_is_an_error(self, tmp_path):
        lay(tmp_path, {"a/data.csv": "a", "b/data.csv": "b", "c/x.txt": ""})
        with pytest.raises(FeedbackError, match=r"holds 2 files for one table \(a/data\.csv, b/data\.csv\)"):
            only_part(tmp_path, self.PLACES, "table")
        with pytest.raises(FeedbackError, match=r"holds no table\. Found: x\.txt"):
            only_part(tmp_path / "c", self.PLACES, "table")
