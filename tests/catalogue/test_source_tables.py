"""Tables row by row: line numbers that a person finds again, and no row passed over."""

import pytest

from earmark.catalogue.sources.matching import listed, matched
from earmark.catalogue.sources.source import Candidate, Facts, Refusal
from earmark.catalogue.sources.tables import Asides, Row, official_split, read_rows, whole
from earmark.errors import CatalogueError
from source_tools import lay_out


@pytest.fixture
def table(tmp_path):
    def write(text: str | bytes):
        path = tmp_path / "t.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def rows(path, needed=("a", "b"), **how) -> list[Row | Refusal]:
    return list(read_rows(path, needed, **how))


class TestRows:
    def test_carry_the_line_on_which_they_begin(self, table):
        path = table('a,b\n1,"two\nlines"\n\n3,4\n')
        assert [(row.where, row["a"], row["b"]) for row in rows(path, multi_line=True)] == [
            ("t.csv:2", "1", "two\nlines"), ("t.csv:5", "3", "4"),
        ]  # fmt: skip

    def test_with_too_few_or_too_many_fields_are_refused_with_their_line(self, table):
        found = rows(table("a,b\n1\n1,2\n1,2,3\n"))
        assert [(row.path, row.kind, row.reason) for row in found if isinstance(row, Refusal)] == [
            ("t.csv:2", "row", "it has 1 fields, the header 2"), ("t.csv:4", "row", "it has 3 fields, the header 2"),
        ]  # fmt: skip
        assert len(found) == 3

    def test_may_grow_to_the_right_where_the_table_says_so(self, table):
        (row,) = rows(table("a\tb\n1\t2\t3\t\t4\n"), delimiter="\t", open_ended=True)
        assert row["b"] == "2" and row.beyond == ("3", "4")

    def test_are_read_with_a_byte_order_mark_spaces_in_the_header_and_windows_line_ends(self, table):
        (row,) = rows(table("\ufeffa, b\r\n1, 2 \r\n"))
        assert (row["a"], row["b"]) == ("1", "2")

    def test_that_are_no_text_are_read_all_the_same(self, table):
        (row,) = rows(table(b"a,b\ncaf\xe9,2\n"))
        assert row["a"] == "caf\ufffd"

    def test_quotation_marks_are_characters_where_the_table_does_not_quote(self, table):
        found = rows(table('a\tb\n12" mix\t"open\nx\ty\n'), delimiter="\t", quotes=False)
        assert [(row["a"], row["b"]) for row in found] == [('12" mix', '"open'), ("x", "y")]

    @pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
    def test_with_a_stray_quotation_mark_are_refused_alone(self, table, end):
        lines = ["a\tb", "a.wav\trock", 'b.wav\t"Heroes', "c.wav\tpop", '12" mix\tpop', '"D"\t"soul"', '"e.wav\tx']
        found = rows(table(end.join([*lines, ""])), delimiter="\t")
        assert [(row.where, row["a"], row["b"]) for row in found if isinstance(row, Row)] == [
            ("t.csv:2", "a.wav", "rock"), ("t.csv:4", "c.wav", "pop"), ("t.csv:5", '12" mix', "pop"),
            ("t.csv:6", "D", "soul"),
        ]  # fmt: skip
        said = {row.path: row.reason for row in found if isinstance(row, Refusal)}
        assert list(said) == ["t.csv:3", "t.csv:7"]
        assert all("open at the end of its line" in reason for reason in said.values())

    def test_that_a_stray_quotation_mark_would_join_to_one_of_the_right_width_are_refused_alone(self, table):
        found = rows(table('a,b,c\n1,"x,rock\n2,y",pop\n3,z,soul\n'))
        assert [row.where for row in found if isinstance(row, Row)] == ["t.csv:3", "t.csv:4"]

    @pytest.mark.parametrize(
        ("text", "lines"),
        [('1,"x\n2,y",z\n3,4\n', "2–3"), ('1,"x\n2,"y\n3,4\n', "2–3"), ('3,4\n1,"x\n2,y\n', "3–4")],
    )
    def test_of_a_table_with_line_breaks_that_cannot_be_read_are_named_by_all_their_lines(self, table, text, lines):
        found = rows(table("a,b\n" + text), multi_line=True)
        (said,) = [row for row in found if isinstance(row, Refusal)]
        assert said.path == f"t.csv:{lines[0]}" and f"runs over lines {lines}" in said.reason
        assert [row["a"] for row in found if isinstance(row, Row)] == ["3"]

    def test_a_quotation_mark_that_is_open_in_the_header_is_an_error(self, table):
        with pytest.raises(CatalogueError, match=r"t\.csv has no header .* of line 1, a quotation mark"):
            rows(table('a,"b\n1,2\n'))

    def test_names_spread_over_lines_are_joined_by_dots(self, table):
        (row,) = rows(table(",set,track\n,split,title\nid,,\n7,test,Food\n"), ("id", "set.split"), header_lines=3)
        assert (row.where, row["id"], row["set.split"], row["track.title"]) == ("t.csv:4", "7", "test", "Food")

    def test_a_field_longer_than_csv_reads_by_default_is_read(self, table):
        (row,) = rows(table("a,b\n" + "x" * 200_000 + ",2\n"))
        assert len(row["a"]) == 200_000

    def test_two_columns_of_one_name_do_no_harm_unless_they_are_needed(self, table):
        (row,) = rows(table("a,c,c,b\n1,2,3,4\n"))
        assert (row["a"], row["b"], row.beyond) == ("1", "4", ())
        with pytest.raises(CatalogueError, match="more than one column a"):
            rows(table("a,a,b\n1,2,3\n"))

    def test_missing_columns_are_named_with_those_that_are_there(self, table):
        with pytest.raises(CatalogueError, match=r"lacks the columns b; it has a, c"):
            rows(table("a,c\n1,2\n"))

    def test_an_empty_table_lacks_all_columns(self, table):
        with pytest.raises(CatalogueError, match=r"lacks the columns a, b; it has none"):
            rows(table(""))

    def test_a_missing_table_is_an_error_that_says_so(self, tmp_path):
        with pytest.raises(CatalogueError, match=r"gone\.csv cannot be read \(No such file"):
            rows(tmp_path / "gone.csv")


class TestWholeNumbers:
    @pytest.mark.parametrize(("text", "needle"), [("x", "'x', no whole"), ("1.5", "no whole"), ("-1", "not within 0")])
    def test_out_of_bounds_or_none_say_what_they_are(self, text, needle):
        with pytest.raises(ValueError, match=needle):
            whole(text, "count", 0, 10)

    def test_within_bounds_are_read(self):
        assert [whole(text, "count", 0, 10) for text in ("0", "10")] == [0, 10]


class TestOfficialSplits:
    def test_have_one_name_each(self):
        said = ["train", "Training", "valid", "val", "VALIDATION", "test", "", None]
        assert [official_split(text) for text in said] == [
            "train", "train", "validation", "validation", "validation", "test", None, None,
        ]  # fmt: skip

    def test_of_another_name_are_refused(self):
        with pytest.raises(ValueError, match="'dev0'"):
            official_split("dev0")


class TestAsides:
    def test_every_row_is_asked_for_or_listed(self, table):
        path = table("a,b\n1,one\n2,two\n1,again\nbad\nx,?\n")

        def read(row):
            return str(whole(row["a"], "a", 0, 9)), row["b"]

        asides = Asides(read_rows(path, ("a", "b")), read)
        assert (asides.get("1"), asides.get("3")) == ("one", None)
        listed_at_the_end = {refusal.path: refusal.reason for refusal in asides.unused("nobody asked")}
        assert listed_at_the_end == {
            "t.csv:3": "nobody asked",
            "t.csv:4": "it repeats t.csv:2",
            "t.csv:5": "it has 1 fields, the header 2",
            "t.csv:6": "a is 'x', no whole number",
        }


class TestMatching:
    def test_every_row_and_every_file_is_said_once(self, tmp_path):
        lay_out(tmp_path, dict.fromkeys(["a.mp3", "b.mp3", "x/a.mp3", "cover.jpg", "table.csv", ".hidden"], b""))
        entries = list(
            matched(
                [
                    listed("t:2", "a.mp3", title="A"), listed("t:3", "a.mp3"), listed("t:4", "gone.mp3"),
                    Refusal("t:5", "row", "bad"),
                ],
                tmp_path,
                unlisted=lambda path: Refusal(path, "refused", "no row"),
                tables=[tmp_path / "table.csv"],
            )
        )  # fmt: skip
        (taken,) = [entry for entry in entries if isinstance(entry, Candidate)]
        assert (taken.path, taken.file, taken.title) == ("a.mp3", tmp_path / "a.mp3", "A")
        assert {entry.path: (entry.kind, entry.reason) for entry in entries if isinstance(entry, Refusal)} == {
            "t:3": ("row", "it lists the same track as t:2"),
            "t:4": ("row", "there is no audio for it: gone.mp3"),
            "t:5": ("row", "bad"),
            "b.mp3": ("refused", "no row"),
            "x/a.mp3": ("refused", "no row"),
            "cover.jpg": ("ignored", "no recording by its name, and in no table"),
            ".hidden": ("ignored", "hidden"),
        }
        assert len(entries) == 8  # table.csv is read, all else is said


class TestMatchingNamesWrittenAlike:
    def said(self, tmp_path, rows, files):
        """Which row each file was taken for; and the refusals."""
        lay_out(tmp_path, dict.fromkeys(files, b""))
        entries = list(
            matched(
                [listed(f"t:{number}", row, title=row) for number, row in enumerate(rows, start=2)],
                tmp_path,
                unlisted=lambda path: Refusal(path, "refused", "no row"),
            )
        )
        taken = {entry.path: entry.title for entry in entries if isinstance(entry, Candidate)}
        return taken, {entry.path: entry.reason for entry in entries if isinstance(entry, Refusal)}

    def test_finds_a_file_by_other_capitals_and_other_accents(self, tmp_path):
        composed, apart = "caf\u00e9.mp3", "cafe\u0301.mp3"
        taken = {"9.MP3": "9.mp3", apart: composed}
        assert self.said(tmp_path, taken.values(), taken) == (taken, {})

    def test_a_file_of_exactly_the_name_comes_first(self, tmp_path):
        assert self.said(tmp_path, ["a.mp3"], ["A.mp3", "a.mp3", "a.MP3"]) == (
            {"a.mp3": "a.mp3"}, dict.fromkeys(["A.mp3", "a.MP3"], "the same track as 'a.mp3'"),
        )  # fmt: skip

    def test_what_may_be_of_two_rows_is_of_none(self, tmp_path):
        assert self.said(tmp_path, ["a.mp3", "A.mp3"], ["a.MP3"]) == (
            {}, {"a.MP3": "no row", "t:2": "there is no audio for it: a.mp3", "t:3": "there is no audio for it: A.mp3"},
        )  # fmt: skip


GOOD = {"content_hash": "0f" * 32, "duration_s": 1.5, "sample_rate_hz": 44_100, "channels": 2, "codec": "mp3"}


class TestFacts:
    def test_hold_what_was_measured(self):
        assert Facts(**GOOD).duration_s == 1.5

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("content_hash", "0f" * 31), ("content_hash", "0G" * 32), ("content_hash", "0F" * 32), ("duration_s", 0.0),
            ("duration_s", float("nan")), ("duration_s", float("inf")), ("sample_rate_hz", -1), ("channels", 0),
            ("codec", ""),
        ],
    )  # fmt: skip
    def test_that_are_impossible_are_refused_by_name(self, name, value):
        with pytest.raises(CatalogueError, match=name):
            Facts(**{**GOOD, name: value})
