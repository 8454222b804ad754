"""A team's own table: wherever the audio lies, whatever the columns are called, every row taken or refused."""

import tracemalloc
from pathlib import Path

import pandas as pd
import pytest

from earmark.catalogue.sources.source import Candidate, Facts
from earmark.catalogue.sources.table import MEASURED, TableSource
from earmark.errors import CatalogueError
from source_tools import candidates, imported, kinds, lay_out, lines, refusals, tone

HASH = "ab" * 32
FACTS = f"{HASH},12.5,44100,2,mp3"


@pytest.fixture
def shelf(tmp_path) -> Path:
    """A folder with audio, and another beside it."""
    return lay_out(tmp_path, {"shelf/jazz/a.mp3": b"", "shelf/b.mp3": b"", "other/c.mp3": b""}) / "shelf"


def table(shelf: Path, *rows: str, name: str = "catalogue.csv", **how) -> TableSource:
    lay_out(shelf, {name: lines(*rows)})
    return TableSource(shelf / name, **how)


def only(source: TableSource) -> Candidate:
    (track,) = candidates(source).values()
    return track


class TestColumns:
    def test_all_known_ones_are_read(self, shelf):
        track = only(
            table(
                shelf,
                "path,genre,tags,artist,title,album,isrc,licence,split,group",
                'jazz/a.mp3,Jazz,"live; piano;;live",Nina,Feeling,Spell,USPR36500001,CC0,valid,Session 1',
            )
        )
        assert track == Candidate(
            shelf / "jazz/a.mp3", "jazz/a.mp3", genre="Jazz", split="validation", artist="Nina", title="Feeling",
            album="Spell", isrc="USPR36500001", tags=("live", "piano"), licence="CC0", group="group:Session 1",
        )  # fmt: skip

    def test_only_path_is_needed(self, shelf):
        assert only(table(shelf, "path", "b.mp3")) == Candidate(shelf / "b.mp3", "b.mp3")

    def test_without_a_path_the_error_names_what_is_there(self, shelf):
        with pytest.raises(
            CatalogueError, match=r"lacks the columns path; it has file, genre\..* --columns path=file\.$"
        ):
            candidates(table(shelf, "file,genre", "b.mp3,x"))

    def test_may_be_called_otherwise(self, shelf):
        source = table(shelf, "file_name,Style,genre", "b.mp3,Soul,wrong", columns="path=file_name, genre=Style")
        assert only(source).genre == "Soul"

    @pytest.mark.parametrize("nothing", ["", "nan", "NaN", "null", "NULL", "None", "N/A", "NA", "<NA>"])
    def test_what_programs_write_for_no_genre_is_none(self, shelf, nothing):
        assert only(table(shelf, "path,genre,title", f"b.mp3,{nothing},None")) == Candidate(
            shelf / "b.mp3", "b.mp3", title="None"
        )
        pd.DataFrame({"path": ["b.mp3"], "genre": [nothing]}).to_parquet(shelf / "x.parquet")
        assert only(TableSource(shelf / "x.parquet")).genre is None

    def test_one_genre_written_in_two_ways_is_one(self, shelf):
        source = table(shelf, "path,genre", "b.mp3,caf\u00e9", "jazz/a.mp3,cafe\u0301")
        assert {track.genre for track in candidates(source).values()} == {"caf\u00e9"}

    def test_may_hold_line_breaks_where_the_user_says_so(self, shelf):
        rows = ("path,title", 'b.mp3,"One', 'Two"', "jazz/a.mp3,Three")
        found = candidates(table(shelf, *rows, multi_line=True))
        assert {path: track.title for path, track in found.items()} == {"b.mp3": "One\nTwo", "jazz/a.mp3": "Three"}
        assert set(candidates(table(shelf, *rows))) == {"jazz/a.mp3"}

    def test_that_are_not_read_are_named(self, shelf):
        source = table(shelf, "path,bpm,Genre,mood", "b.mp3,120,Soul,sad")
        assert only(source).genre == "Soul"
        assert source.describe().endswith("catalogue.csv (columns not read: bpm, mood)")

    @pytest.mark.parametrize("columns", ["path", "path=", "=x", "pat=file", "file_name=path"])
    def test_a_map_that_is_none_is_explained(self, shelf, columns):
        with pytest.raises(CatalogueError, match=r"--columns has .*path=file_name,genre=style"):
            candidates(table(shelf, "path", "b.mp3", columns=columns))

    def test_a_map_to_a_column_that_is_not_there_is_an_error(self, shelf):
        with pytest.raises(CatalogueError, match=r"lacks the columns style; it has path"):
            candidates(table(shelf, "path", "b.mp3", columns="genre=style"))


class TestFormats:
    @pytest.mark.parametrize("delimiter", [",", ";", "\t"])
    @pytest.mark.parametrize("name", ["x.csv", "x.tsv", "x.txt"])
    def test_the_delimiter_is_seen_from_the_header(self, shelf, delimiter, name):
        source = table(shelf, delimiter.join(["path", "artist"]), delimiter.join(["b.mp3", "Nina"]), name=name)
        assert only(source).artist == "Nina"

    def test_a_stray_quotation_mark_refuses_its_row_and_moves_no_label(self, shelf):
        lay_out(shelf, {"c.mp3": b"", "d.mp3": b""})
        rows = ["jazz/a.mp3\tA\tjazz", 'b.mp3\t"Heroes\trock', "c.mp3\tC\tpop", 'd.mp3\t12" mix\tpop']
        source = table(shelf, "path\ttitle\tgenre", *rows, name="x.tsv")
        assert {path: (track.title, track.genre) for path, track in candidates(source).items()} == {
            "jazz/a.mp3": ("A", "jazz"), "c.mp3": ("C", "pop"), "d.mp3": ('12" mix', "pop"),
        }  # fmt: skip
        assert kinds(source) == {"x.tsv:3": "row"}

    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
    def test_text_is_read_by_its_mark(self, shelf, encoding):
        (shelf / "x.csv").write_bytes("path,artist,title\nb.mp3,Bj\u00f6rk,\U0001d11e\n".encode(encoding))
        track = only(TableSource(shelf / "x.csv"))
        assert (track.path, track.artist, track.title) == ("b.mp3", "Bj\u00f6rk", "\U0001d11e")

    def test_text_in_another_encoding_is_an_error_that_names_its_line(self, shelf):
        rows = ["path,artist", *(["jazz/a.mp3,Nina"] * 9_000), "b.mp3,Bj\u00f6rk"]
        (shelf / "x.csv").write_bytes(lines(*rows).encode("latin-1"))
        with pytest.raises(CatalogueError, match=r"x\.csv is no UTF-8: line 9002 .*Save it as UTF-8"):
            candidates(TableSource(shelf / "x.csv"))
        (shelf / "x.csv").write_bytes("path,artist\nb.mp3,x\n".encode("utf-16")[:-1])
        with pytest.raises(CatalogueError, match=r"x\.csv is no UTF-16: line 2 "):
            candidates(TableSource(shelf / "x.csv"))

    def test_parquet_with_lists_and_missing_values(self, shelf):
        pd.DataFrame(
            {
                "path": ["b.mp3", "jazz/a.mp3", None],
                "tags": [["live", "piano"], None, None],
                "genre": ["Soul", None, None],
                "split": ["test", float("nan"), None],
                "bpm": [1.0, 2.0, 3.0],
            }
        ).to_parquet(shelf / "x.parquet")
        source = TableSource(shelf / "x.parquet")
        first, second = candidates(source).values()
        assert (first.tags, first.genre, first.split) == (("live", "piano"), "Soul", "test")
        assert (second.tags, second.genre, second.split) == ((), None, None)
        assert refusals(source) == {"x.parquet:3": ("row", "it has no path")}
        assert "columns not read: bpm" in source.describe()

    def test_missing_tags_in_a_list_of_parquet_are_none(self, shelf):
        frame = pd.DataFrame({"path": ["b.mp3", "jazz/a.mp3"], "tags": [["live", None, "piano"], [None]]})
        frame.to_parquet(shelf / "x.parquet")
        pd.DataFrame({"path": ["b.mp3"], "tags": [[1.5, float("nan")]]}).to_parquet(shelf / "y.parquet")
        tags = [track.tags for name in "xy" for track in candidates(TableSource(shelf / f"{name}.parquet")).values()]
        assert tags == [("live", "piano"), (), ("1.5",)]

    def test_a_file_that_is_no_parquet_says_so(self, shelf):
        with pytest.raises(CatalogueError, match="cannot be read as Parquet"):
            candidates(table(shelf, "path", name="x.parquet"))

    @pytest.mark.parametrize("name", ["gone.csv", "x" * 300 + ".csv"])
    def test_a_missing_table_says_so(self, shelf, name):
        with pytest.raises(CatalogueError, match=rf"{name} is not there.*CSV, TSV or Parquet"):
            candidates(TableSource(shelf / name))

    def test_a_folder_is_no_table_and_its_importer_is_named(self, shelf):
        with pytest.raises(CatalogueError, match=r"shelf is no file\..*earmark import folder PATH"):
            candidates(TableSource(shelf))

    def test_the_collection_is_called_like_the_table(self):
        assert TableSource(Path("/x/My Export (2024).csv")).collection == "my-export-2024"


class TestPaths:
    def test_relative_absolute_and_addresses_each_get_an_id(self, shelf):
        outside = shelf.parent / "other/c.mp3"
        source = table(shelf, "path", "./jazz/../b.mp3", str(shelf / "jazz/a.mp3"), str(outside), "s3://bucket/x/d.mp3")
        assert {path: track.file for path, track in candidates(source).items()} == {
            "b.mp3": shelf / "b.mp3",
            "jazz/a.mp3": shelf / "jazz/a.mp3",
            str(outside).lstrip("/"): outside,
            "bucket/x/d.mp3": "s3://bucket/x/d.mp3",
        }

    def test_the_table_may_be_given_relative_to_where_one_is(self, shelf, monkeypatch):
        table(shelf, "path", "b.mp3")
        monkeypatch.chdir(shelf)
        assert only(TableSource(Path("catalogue.csv"))).path == "b.mp3"

    @pytest.mark.parametrize(
        ("said", "on_disk"), [("caf\u00e9.mp3", "cafe\u0301.mp3"), ("cafe\u0301.mp3", "caf\u00e9.mp3")]
    )
    def test_lead_to_the_file_however_the_disk_writes_its_accents(self, shelf, said, on_disk):
        lay_out(shelf, {on_disk: b""})
        track = only(table(shelf, "path", said))
        assert (track.path, track.file) == (said, shelf / on_disk)

    @pytest.mark.parametrize(
        ("path", "needle"),
        [
            ("", "has no path"), ("../other/c.mp3", "has to be absolute"), ("gone.mp3", "there is no file"),
            ("jazz", "there is no file"), ("s3://", "no address"), ("s3://bucket/../x", "no address"),
            (".", "has to be absolute"), ("a\0b", "NUL"),
        ],
    )  # fmt: skip
    def test_that_lead_nowhere_refuse_the_row(self, shelf, path, needle):
        source = table(shelf, "path,genre", "b.mp3,Soul", f"{path},Soul")
        ((where, (kind, reason)),) = refusals(source).items()
        assert (where, kind) == ("catalogue.csv:3", "row") and needle in reason
        assert len(candidates(source)) == 1

    def test_the_second_row_of_one_path_is_refused(self, shelf):
        said = refusals(table(shelf, "path", "b.mp3", "jazz/../b.mp3"))
        assert said == {"catalogue.csv:3": ("row", "an earlier row has the same path: b.mp3")}

    def test_an_unknown_split_refuses_the_row(self, shelf):
        said = refusals(table(shelf, "path,split", "b.mp3,holdout", "jazz/a.mp3,test"))
        assert list(said) == ["catalogue.csv:2"] and "'holdout'" in said["catalogue.csv:2"][1]

    def test_every_row_is_taken_or_refused_once(self, shelf):
        rows = ["b.mp3,x", "jazz/a.mp3", "gone.mp3,x", ",x", "jazz/a.mp3,x", "b.mp3,x"]
        source = table(shelf, "path,genre", *rows)
        assert len(candidates(source)) + len(refusals(source)) == len(rows)
        assert set(kinds(source).values()) == {"row"}


class TestMeasured:
    HEADER = "path," + ",".join(MEASURED)

    def test_facts_are_handed_on_without_looking_at_the_audio(self, shelf):
        source = table(shelf, self.HEADER, f"/nowhere/x.mp3,{FACTS.upper().replace('MP3', 'mp3')}", measured=True)
        assert only(source).facts == Facts(HASH, 12.5, 44_100, 2, "mp3")

    def test_without_the_option_they_are_not_believed(self, shelf):
        source = table(shelf, self.HEADER, f"b.mp3,{FACTS}")
        assert only(source).facts is None and "columns not read: content_hash" in source.describe()

    def test_a_missing_column_is_an_error(self, shelf):
        with pytest.raises(CatalogueError, match="lacks the columns channels, codec"):
            candidates(table(shelf, "path,content_hash,duration_s,sample_rate_hz", "b.mp3,,,", measured=True))

    @pytest.mark.parametrize(
        ("facts", "needle"),
        [
            ("ab,12.5,44100,2,mp3", "content_hash is 'ab'"), (f"{HASH},0,44100,2,mp3", "duration_s is 0"),
            (f"{HASH},long,44100,2,mp3", "duration_s is 'long'"), (f"{HASH},1,44100.5,2,mp3", "no whole number"),
            (f"{HASH},1,44100,,mp3", "no channels"), (f"{HASH},1,44100,2,", "no codec"), (f"{HASH},nan,1,2,x", "nan"),
        ],
    )  # fmt: skip
    def test_impossible_facts_refuse_the_row(self, shelf, facts, needle):
        said = refusals(table(shelf, self.HEADER, f"b.mp3,{facts}", measured=True))
        assert said["catalogue.csv:2"][0] == "row" and needle in said["catalogue.csv:2"][1]

    def test_whole_numbers_that_parquet_holds_as_floats_are_whole(self, shelf):
        values = {"path": ["x.mp3"], "content_hash": [HASH], "duration_s": [9.5], "codec": ["mp3"]}
        pd.DataFrame(values | {"sample_rate_hz": [44_100.0], "channels": [1.0]}).to_parquet(shelf / "x.parquet")
        assert only(TableSource(shelf / "x.parquet", measured=True)).facts == Facts(HASH, 9.5, 44_100, 1, "mp3")


class TestSize:
    @pytest.mark.parametrize("suffix", ["csv", "parquet"])
    def test_memory_does_not_grow_with_what_the_rows_hold(self, tmp_path, suffix):
        """Of 30,000 rows with 3 kB each no more than their ids is kept: about 90 MB would be needed for all."""
        rows = 30_000
        frame = pd.DataFrame(
            {"path": [f"s3://b/{n}.mp3" for n in range(rows)], "title": [f"{n:3000}" for n in range(rows)]}
        )
        path = tmp_path / f"x.{suffix}"
        frame.to_csv(path, index=False) if suffix == "csv" else frame.to_parquet(path, row_group_size=1_000)
        del frame
        tracemalloc.start()
        assert sum(1 for _ in TableSource(path).candidates()) == rows
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 45e6


def test_import(tmp_path):
    music = lay_out(tmp_path / "music", {"a.flac": tone("flac", 1), "b.wav": tone("wav", 2), "c.mp3": b"no audio"})
    source = table(
        music, "datei;stil;sprache;artist;split", "a.flac;Soul;en;Nina;train", "b.wav;Jazz;en;;test",
        "c.mp3;Jazz;en;;test", "gone.wav;Jazz;en;;test", name="Unser Katalog.csv", columns="path=datei,genre=stil",
    )  # fmt: skip
    result, tracks = imported(source, tmp_path / "project")
    assert result.name == "unser-katalog"
    assert tracks["genre"].to_dict() == {"a.flac": "Soul", "b.wav": "Jazz"}
    assert tracks["split"].tolist() == ["train", "test"]
    assert tracks["group"].tolist() == ["artist:nina", "track:b.wav"]
    assert {(refusal.path, refusal.kind) for refusal in result.refused} == {
        ("c.mp3", "refused"), ("Unser Katalog.csv:5", "row"),
    }  # fmt: skip
    assert "columns not read: sprache" in result.summary()
