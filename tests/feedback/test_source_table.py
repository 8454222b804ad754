"""A team's own table: whatever its columns are called, whatever format it has; each row an event, or why not."""

import json
import tracemalloc
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import click
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from telling import events, lay, packed, refused, told, us

from earmark.cli.fields import command_of, with_fields
from earmark.errors import FeedbackError
from earmark.feedback.event import About, Event, Song, named_key
from earmark.feedback.sources.source import Refused
from earmark.feedback.sources.table import TableHistory
from earmark.feedback.sources.vocabulary import ACTS

RIVER = Song("own", named_key("River", "Joni"), "River", "Joni")


@pytest.fixture
def table(tmp_path):
    def of(*lines: str, name: str = "plays.csv", **options) -> TableHistory:
        lay(tmp_path, {name: "".join(line + "\n" for line in lines)})
        return TableHistory(tmp_path / name, **options)

    return of


@pytest.fixture
def rows(table):
    """Rows of a table with listener, title and artist, and the columns that the test is about."""

    def of(columns: str, *cells: str, **options) -> TableHistory:
        return table(f"listener,title,artist,{columns}", *(f"ann,River,Joni,{cell}" for cell in cells), **options)

    return of


def kinds(source) -> list[tuple[str, float | None]]:
    return [(event.kind, event.value) for event in events(source)]


def reason(source) -> str:
    """Why the only row is refused."""
    (row,) = told(source)
    assert isinstance(row, Refused)
    return row.reason


class TestARow:
    def test_with_all_columns_tells_all(self, table):
        source = table(
            "listener,time,song_id,track_id,title,artist,album,isrc,duration,event,ms_played,times,age,gender,country,language",
            "ann,2024-05-06T07:08:09Z,s7,jazz/river.mp3,River,Joni,Blue,USRE19900123,4:05,complete,245000,2,31,f,nl,Dutch",
        )
        assert events(source) == [
            Event(
                "plays.csv:2",
                Song("own", "s7", "River", "Joni", "Blue", "USRE19900123", 245.0, "jazz/river.mp3"),
                "play", "ann", at_us=us(2024, 5, 6, 7, 8, 9), ms_played=245_000, times=2, ended="complete",
                about=About(31, "f", "NL", "Dutch"),
            )
        ]  # fmt: skip

    def test_with_a_song_alone_is_a_play_of_nobody_at_no_time(self, table):
        assert events(table("title,artist", "River,Joni")) == [Event("plays.csv:2", RIVER, "play", None)]

    def test_is_found_by_columns_called_otherwise(self, table):
        source = table(
            " User ID ;Track Name;ARTIST NAME;Played At;What",
            "ann;River;Joni;2024-05-06;skip",
            user="user id", title="Track Name", artist="Artist Name", time="played at", event="what",
        )  # fmt: skip
        assert events(source) == [Event("plays.csv:2", RIVER, "skip", "ann", at_us=us(2024, 5, 6), ended="skipped")]

    def test_of_one_song_hands_out_one_song(self, rows):
        first, second = events(rows("time", "2024-01-01", "2024-01-02"))
        assert first.song is second.song

    def test_is_of_the_service_that_the_user_says(self, rows):
        (event,) = events(rows("x", "1", service="radio"))
        assert event.song == RIVER._replace(service="radio")


class TestSongs:
    @pytest.mark.parametrize(
        ("header", "cell", "song"),
        [
            ("song_id", "s7", Song("own", "s7")),
            ("track_id", "jazz/a.mp3", Song("own", "jazz/a.mp3", track_id="jazz/a.mp3")),
            ("isrc", "USRE19900123", Song("own", "USRE19900123", isrc="USRE19900123")),
            ("title,artist", "Null,None", Song("own", named_key("Null", "None"), "Null", "None")),
            ("title,artist", " 1989 ,Abba\t", Song("own", named_key("1989", "Abba"), "1989", "Abba")),
        ],
    )
    def test_are_known_by_what_there_is(self, table, header, cell, song):
        assert [event.song for event in events(table(header, cell))] == [song]

    @pytest.mark.parametrize("cells", [",,River,", ",,,Joni", "null,nan,,", ",,,"])
    def test_without_any_of_it_are_refused(self, table, cells):
        source = table("song_id,isrc,title,artist,x", cells + ",1")
        assert reason(source) == "no song: it has no id, no ISRC, and not both title and artist"

    @pytest.mark.parametrize(
        ("length", "milliseconds", "duration_s"),
        [("245", False, 245.0), ("4:05", False, 245.0), ("1:00:05", False, 3605.0), ("245000", True, 245.0),
         ("4:05", True, 245.0), ("long", False, None), ("", False, None), ("-1", False, None)],
    )  # fmt: skip
    def test_have_a_length_in_whichever_way_it_is_written(self, rows, length, milliseconds, duration_s):
        (event,) = events(rows("duration", length, milliseconds=milliseconds))
        assert event.song.duration_s == duration_s


class TestTimes:
    @pytest.mark.parametrize(
        "text",
        ["2024-05-06T07:08:09Z", "2024-05-06 07:08:09", "2024-05-06T09:08:09+02:00", "1714979289", "1714979289000",
         "1714979289.0", "1714979289000000"],
    )  # fmt: skip
    def test_are_understood_in_many_ways(self, rows, text):
        (event,) = events(rows("time", text))
        assert event.at_us == us(2024, 5, 6, 7, 8, 9)

    def test_may_be_a_date_of_eight_digits(self, rows):
        assert [event.at_us for event in events(rows("time", "20240506", "2024-05-06"))] == [us(2024, 5, 6)] * 2

    def test_are_written_as_the_user_says(self, rows):
        source = rows("time", "06.05.24 07h08", "2024-05-06", time_format="%d.%m.%y %Hh%M")
        assert [event.at_us for event in events(source)] == [us(2024, 5, 6, 7, 8)]
        assert "--time-format" in refused(source)["plays.csv:3"]

    def test_that_name_no_zone_are_as_far_from_utc_as_the_user_says(self, rows):
        source = rows("time", "2024-05-06T07:30:00", "2024-05-06T07:30:00Z", "1714979289", utc_offset_hours=5.5)
        assert [event.at_us for event in events(source)] == [
            us(2024, 5, 6, 2), us(2024, 5, 6, 7, 30), us(2024, 5, 6, 7, 8, 9),
        ]  # fmt: skip

    def test_may_be_in_the_time_zone_of_their_row(self, rows):
        zones = ("Europe/Paris", "America/Toronto", "null", "", "UTC")
        source = rows("time,zone", *(f"2024-07-01 12:00,{zone}" for zone in zones))
        assert [event.at_us for event in events(source)] == [us(2024, 7, 1, hour) for hour in (10, 16, 12, 12, 12)]

    @pytest.mark.parametrize("zone", ["GMT+2", "Mars/Phobos", "../../etc/passwd", "Europe"])
    def test_in_a_time_zone_that_nobody_knows_are_refused(self, rows, zone):
        said = reason(rows("time,zone", f"2024-07-01 12:00,{zone}"))
        assert said == "no time: the column zone holds no time zone such as Europe/Paris"

    @pytest.mark.parametrize("nothing", ["", "null", "NaN", "None", r"\N"])
    def test_that_are_missing_are_none(self, rows, nothing):
        (event,) = events(rows("time", nothing))
        assert event.at_us is None

    def test_that_cannot_be_read_are_refused_without_saying_what_stood_there(self, rows):
        source = rows("time", "ann@example.org")
        assert reason(source) == "no time: the column time holds none that can be read, see --time-format"


class TestWhatHappened:
    @pytest.mark.parametrize("word", sorted(ACTS))
    def test_is_told_by_every_word_that_is_known(self, rows, word):
        source = rows("event,value,word", f"{word.upper().replace(' ', '_')},1,calm sea")
        assert events(source)[-1].kind in (ACTS[word].kind, "dislike")

    @pytest.mark.parametrize(
        ("word", "kind", "ended"),
        [
            ("listen", "play", None),
            ("Completed", "play", "complete"),
            ("stop", "play", "stopped"),
            ("next", "skip", "skipped"),
        ],
    )
    def test_is_how_a_play_ended(self, rows, word, kind, ended):
        (event,) = events(rows("event", word))
        assert (event.kind, event.ended) == (kind, ended)

    def test_is_what_the_user_says_where_the_row_says_nothing(self, rows):
        source = rows("event", "", "null", "play", every="skip")
        assert [event.kind for event in events(source)] == ["skip", "skip", "play"]

    def test_is_told_by_the_teams_own_words_if_their_meaning_is_said(self, rows):
        source = rows("event", "STAR", "gone by", "like", events="star=dislike, gone-by = skip")
        assert [event.kind for event in events(source)] == ["like", "dislike", "skip", "like", "dislike"]

    def test_by_another_word_is_refused_without_saying_it(self, rows):
        assert reason(rows("event", "Ann Smith")) == (
            "no event: the column event holds a word of unknown meaning, see --events"
        )

    @pytest.mark.parametrize("words", ["star", "star=", "=like", "star=wonderful"])
    def test_with_a_meaning_that_is_none_is_an_error(self, rows, words):
        with pytest.raises(FeedbackError, match=r"--events has .* on the right one of play, complete"):
            rows("event", "star", events=words).files()


class TestPlays:
    @pytest.mark.parametrize(
        ("column", "cell", "ms"),
        [("ms_played", "1500", 1500), ("ms_played", "1500.0", 1500), ("seconds_played", "1.5", 1500),
         ("seconds_played", "3:25", 205_000), ("ms_played", "-20", -20), ("ms_played", "", None), ("x", "1", None)],
    )  # fmt: skip
    def test_are_as_long_as_the_row_says(self, rows, column, cell, ms):
        (event,) = events(rows(column, cell))
        assert event.ms_played == ms

    def test_are_as_long_in_milliseconds_where_both_are_said(self, rows):
        assert [event.ms_played for event in events(rows("ms_played,seconds_played", "1500,9", ",9"))] == [1500, 9000]

    @pytest.mark.parametrize(
        ("column", "cell", "said"),
        [("ms_played", "long", "no length: the column ms_"), ("seconds_played", "3:xx", "no length: the column sec"),
         ("seconds_played", "1e306", "no length: "), ("seconds_played", f"{'9' * 400}:00", "no length: "),
         ("times", "0", "no count: "), ("times", "1.5", "no count: "), ("times", "many", "no count: ")],
    )  # fmt: skip
    def test_with_no_number_there_are_refused(self, rows, column, cell, said):
        assert reason(rows(column, cell)).startswith(said)

    def test_may_be_several_in_a_row(self, rows):
        assert [event.times for event in events(rows("times", "12", "3.0", ""))] == [12, 3, 1]


class TestLikesAndDislikes:
    LIKED, DISLIKED, NEITHER = (
        [("like", 1.0), ("dislike", 0.0)], [("like", 0.0), ("dislike", 1.0)], [("like", None), ("dislike", None)],
    )  # fmt: skip

    @pytest.mark.parametrize(
        ("event", "value", "said"),
        [
            ("like", "", LIKED), ("love", "1", LIKED), ("thumbs_up", "true", LIKED), ("favourite", "0.5", LIKED),
            ("like", "-1", DISLIKED), ("dislike", "", DISLIKED), ("ban", "yes", DISLIKED),
            ("like", "0", [("like", 0.0)]), ("like", "false", [("like", 0.0)]), ("dislike", "no", [("dislike", 0.0)]),
            ("unlike", "", NEITHER), ("undislike", "1", NEITHER),
        ],
    )  # fmt: skip
    def test_are_said_of_both_unless_it_is_a_no(self, rows, event, value, said):
        assert kinds(rows("event,value", f"{event},{value}")) == said

    @pytest.mark.parametrize(("event", "value"), [("like", "2"), ("like", "-2"), ("like", "?"), ("dislike", "-1")])
    def test_with_another_value_are_refused(self, rows, event, value):
        assert reason(rows("event,value", f"{event},{value}")).startswith(
            "no value: the column value holds neither yes"
        )


class TestRatings:
    @pytest.mark.parametrize(
        ("worst", "best", "cell", "value"),
        [
            (1, 5, "1", 0.0),
            (1, 5, "5", 1.0),
            (1, 5, "4", 0.75),
            (0, 100, "40", 0.4),
            (6, 1, "2", 0.8),
            (-1, 1, "0", 0.5),
        ],
    )
    def test_are_shares_of_their_scale(self, rows, worst, best, cell, value):
        (event,) = events(rows("event,value", f"rating,{cell}", worst=float(worst), best=float(best)))
        assert (event.kind, event.value) == ("rating", pytest.approx(value))

    @pytest.mark.parametrize("cell", ["0", "6", "good", ""])
    def test_off_the_scale_are_refused(self, rows, cell):
        assert reason(rows("event,value", f"rating,{cell}")) == (
            "no rating: the column value holds no number from 1 (--worst) to 5 (--best)"
        )

    @pytest.mark.parametrize("ends", [{"best": 1.0}, {"worst": float("nan")}])
    def test_on_no_scale_are_an_error(self, rows, ends):
        with pytest.raises(FeedbackError, match="are no scale"):
            rows("event,value", "rating,1", **ends).files()


class TestWords:
    def test_of_tags_are_between_semicolons_or_bars(self, rows):
        source = rows("event,word", "tag,calm; late night |calm;;", "tag,rock")
        assert [event.word for event in events(source)] == ["calm", "late night", "rock"]

    @pytest.mark.parametrize("word", [{"calm": 1}, True, [[]], 1e400])
    def test_of_tags_are_texts_and_nothing_else(self, table, word):
        row = {"title": "River", "artist": "Joni", "event": "tag", "word": word}
        text = json.dumps(row).replace("Infinity", "null")
        assert reason(table(text)) == "no word: the column word holds none that is kept"

    def test_of_a_comment_are_kept_and_the_text_is_not(self, rows):
        text = '"So calm, calm … @ann says: write ann@example.org or call 0123456, Ann"'
        source = rows("event,word", f"comment,{text}")
        (row,) = told(source)
        assert isinstance(row, tuple) and {event.kind for event in row} == {"comment"}
        assert [event.word for event in row] == ["calm", "says", "write", "call", "ann"]

    def test_of_a_comment_may_stand_on_several_lines(self, table):
        lines = ("title,artist,event,word", 'River,Joni,comment,"calm', 'sea"', "River,Joni,comment,wild")
        assert [event.word for event in events(table(*lines, multi_line=True))] == ["calm", "sea", "wild"]
        assert len(refused(table(*lines))) == 2

    def test_of_a_feeling_have_how_much_it_was_felt(self, rows):
        source = rows("event,word,value", "feeling,Calm,", "felt,sad,0", "emotion,power,0.25", "feel,joy,yes")
        assert [(event.word, event.value) for event in events(source)] == [
            ("calm", 1.0), ("sad", 0.0), ("power", 0.25), ("joy", 1.0),
        ]  # fmt: skip

    @pytest.mark.parametrize("cell", ["tag,", "tag,;|", f"tag,{'x' * 65}", "comment,12 :-)", "comment,", "feeling,"])
    def test_that_are_none_are_refused(self, rows, cell):
        assert reason(rows("event,word", cell)) == "no word: the column word holds none that is kept"


class TestListeners:
    def test_are_as_they_are_called_and_none_where_nobody_is(self, table):
        source = table("listener,title,artist", "ann,River,Joni", "007,River,Joni", ",River,Joni")
        assert [event.listener for event in events(source)] == ["ann", "007", None]

    def test_have_what_is_known_of_them_as_far_as_it_can_be(self, rows):
        source = rows("age,gender,country,language", "31,f,NL,Dutch", "old,,Holland,", "200,x,,")
        assert [event.about for event in events(source)] == [
            About(31, "f", "NL", "Dutch"), None, About(gender="x"),
        ]  # fmt: skip

    def test_may_be_nobody_only_if_the_user_says_so(self, rows):
        assert not TableHistory(Path("x")).anonymous and TableHistory(Path("x"), anonymous=True).anonymous

    def test_are_named_in_no_reason(self, table):
        columns = "listener,title,artist,time,zone,event,value,word,times,ms_played,age"
        name = "Ann Smith"
        for column in columns.split(",")[3:]:
            row = dict.fromkeys(columns.split(","), "") | {"title": "River", "artist": "Joni", column: name}
            for kind in ("play", "like", "rating", "feeling", "tag", "comment"):
                source = table(columns, ",".join(row.values()), every=kind)
                assert not any(name in reason for reason in refused(source).values())


ROWS = [
    {"listener": "ann", "time": "2024-05-06T07:08:09Z", "title": "River", "artist": "Joni", "ms_played": 1500},
    {"listener": "bob", "time": "2024-05-06T07:08:10Z", "title": "Carey", "artist": "Joni", "ms_played": None},
]


class TestFormats:
    """The same two rows in every format."""

    CONTENT = {  # noqa: RUF012
        "csv": "listener,time,title,artist,ms_played\n"
        + "".join(f"{','.join(str(v or '') for v in row.values())}\n" for row in ROWS),
        "tsv": "listener\ttime\ttitle\tartist\tms_played\n"
        + "".join("\t".join(str(v or "") for v in row.values()) + "\n" for row in ROWS),
        "jsonl": "\n".join(json.dumps({key.title(): value for key, value in row.items()}) for row in ROWS),
        "json": json.dumps(ROWS, indent=1),
    }

    @pytest.fixture(params=[*CONTENT, "parquet"])
    def file(self, request, tmp_path) -> Path:
        path = tmp_path / f"plays.{request.param}"
        if request.param == "parquet":
            pq.write_table(pa.Table.from_pylist(ROWS), path)
        else:
            path.write_text(self.CONTENT[request.param], encoding="utf-8")
        return path

    def told(self, path) -> list[tuple]:
        return [(e.listener, e.at_us, e.song.title, e.ms_played) for e in events(TableHistory(path))]

    EXPECTED = [  # noqa: RUF012
        ("ann", us(2024, 5, 6, 7, 8, 9), "River", 1500), ("bob", us(2024, 5, 6, 7, 8, 10), "Carey", None),
    ]  # fmt: skip

    def test_tell_the_same(self, file):
        assert self.told(file) == self.EXPECTED

    def test_are_known_by_what_is_in_them_and_not_by_their_name(self, file):
        assert self.told(file.rename(file.with_name("export"))) == self.EXPECTED

    def test_may_lie_in_an_archive_or_a_folder(self, file, tmp_path):
        archive = tmp_path / "a.zip"
        archive.write_bytes(packed({f"x/{file.name}": file.read_bytes(), "readme.md": "no table"}))
        assert self.told(archive) == self.EXPECTED
        folder = lay(tmp_path / "months", {f"2024-{month:02}/{file.name}": file.read_bytes() for month in (1, 2)})
        assert self.told(folder) == self.EXPECTED * 2

    def test_of_which_there_is_none_are_an_error(self, tmp_path):
        lay(tmp_path, {"x/a.pdf": b"%PDF"})
        with pytest.raises(FeedbackError, match=r"holds no table \(CSV, TSV, JSON or Parquet\)\. Found: a\.pdf"):
            TableHistory(tmp_path / "x").files()


class TestParquet:
    def test_has_times_lists_and_numbers_of_its_own(self, tmp_path):
        rows = {
            "listener": [7.0, None], "title": ["River"] * 2, "artist": ["Joni"] * 2, "event": ["tag", "tag"],
            "time": [datetime(2024, 5, 6, 7), datetime(2024, 5, 6, 8)], "word": [["calm", "sea", "calm"], ["rock"]],
        }  # fmt: skip
        pq.write_table(pa.table(rows), tmp_path / "t.parquet")
        found = events(TableHistory(tmp_path / "t.parquet", utc_offset_hours=1))
        assert [(e.where, e.listener, e.word, e.at_us) for e in found] == [
            ("t.parquet:1", "7", "calm", us(2024, 5, 6, 6)), ("t.parquet:1", "7", "sea", us(2024, 5, 6, 6)),
            ("t.parquet:2", None, "rock", us(2024, 5, 6, 7)),
        ]  # fmt: skip

    @pytest.mark.parametrize(
        ("value", "at_us"),
        [
            (pa.scalar(datetime(2024, 5, 6, 7, tzinfo=UTC), pa.timestamp("ns", "Europe/Paris")), us(2024, 5, 6, 7)),
            (pa.scalar(datetime(2024, 5, 6, 7), pa.timestamp("ms")), us(2024, 5, 6, 7)),
            (pa.scalar(date(2024, 5, 6), pa.date32()), us(2024, 5, 6)),
            (pa.scalar(1_714_978_800, pa.int64()), us(2024, 5, 6, 7)),
            (pa.scalar(1_714_978_800_000.0, pa.float64()), us(2024, 5, 6, 7)),
            (pa.scalar(float("nan"), pa.float64()), None),
        ],
    )
    def test_has_times_of_every_kind(self, tmp_path, value, at_us):
        pq.write_table(pa.table({"song_id": ["s"], "time": pa.array([value], value.type)}), tmp_path / "t.parquet")
        assert [event.at_us for event in events(TableHistory(tmp_path / "t.parquet"))] == [at_us]

    def test_reads_only_the_columns_that_it_needs_in_little_memory(self, tmp_path):
        count = 20_000
        with pq.ParquetWriter(tmp_path / "t.parquet", pa.schema({"song_id": pa.string(), "text": pa.string()})) as file:
            for _ in range(10):
                file.write_batch(
                    pa.record_batch({"song_id": ["s"] * (count // 10), "text": ["x" * 5_000] * (count // 10)})
                )
        source = TableHistory(tmp_path / "t.parquet")
        (part,) = source.files()
        tracemalloc.start()
        before = pa.total_allocated_bytes()
        found = sum(1 for _ in source.rows(part))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert found == count and peak < 10_000_000 and pa.total_allocated_bytes() - before < 10_000_000  # of 100 MB

    def test_has_numbers_as_databases_write_them(self, tmp_path):
        rows = {"song_id": [Decimal(7)], "times": [Decimal(3)], "ms_played": [Decimal("1500.0")]}
        pq.write_table(pa.table(rows), tmp_path / "t.parquet")
        (event,) = events(TableHistory(tmp_path / "t.parquet"))
        assert (event.song.key, event.times, event.ms_played) == ("7", 3, 1500)

    @pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary(), pa.dictionary(pa.int32(), pa.binary())])
    def test_has_texts_as_plain_bytes(self, tmp_path, kind):
        rows = {"title": pa.array(["Zoë".encode(), b"\xff", None], pa.binary()).cast(kind), "artist": [b"Joni"] * 3}
        pq.write_table(pa.table(rows), tmp_path / "t.parquet")
        (event,) = events(TableHistory(tmp_path / "t.parquet"))
        assert (event.song.title, event.song.artist) == ("Zoë", "Joni")
        assert list(refused(TableHistory(tmp_path / "t.parquet")).values()) == [
            "it cannot be read: what the column title holds",
            "no song: it has no id, no ISRC, and not both title and artist",
        ]

    @pytest.mark.parametrize(
        "cells",
        [
            pa.array([0, 2**62, None], pa.timestamp("us")),
            pa.array([0, 2**30, None], pa.date32()),
            pa.Array.from_buffers(
                pa.string(),
                3,
                [pa.py_buffer(b"\3"), pa.py_buffer(bytes([0] * 8 + [1, 0, 0, 0] * 2)), pa.py_buffer(b"\xff")],
            ),
        ],
    )
    def test_with_a_cell_that_python_has_no_word_for_loses_that_row_alone(self, tmp_path, cells):
        pq.write_table(pa.table({"song_id": ["a", "b", "c"], "time": cells}), tmp_path / "t.parquet")
        said = refused(TableHistory(tmp_path / "t.parquet"))
        assert said["t.parquet:2"] == "it cannot be read: what the column time holds"
        assert "c" in [event.song.key for event in events(TableHistory(tmp_path / "t.parquet"))]
        assert len(told(TableHistory(tmp_path / "t.parquet"))) == 3

    def test_in_a_time_zone_that_nobody_knows_has_no_times(self, tmp_path):
        cells = pa.array([1_714_978_800], pa.timestamp("s", "Middle/Earth"))
        pq.write_table(pa.table({"song_id": ["a"], "time": cells}), tmp_path / "t.parquet")
        assert reason(TableHistory(tmp_path / "t.parquet")) == "it cannot be read: what the column time holds"

    def test_with_two_columns_of_one_name_is_read_by_the_first(self, tmp_path):
        columns = [pa.array(["a"]), pa.array(["b"])]
        pq.write_table(pa.Table.from_arrays(columns, names=["song_id", "song_id"]), tmp_path / "t.parquet")
        assert [event.song.key for event in events(TableHistory(tmp_path / "t.parquet"))] == ["a"]

    def test_that_is_damaged_is_an_error(self, tmp_path):
        lay(tmp_path, {"t.parquet": b"PAR1" + bytes(100)})
        with pytest.raises(FeedbackError, match=r"t\.parquet cannot be read as Parquet .*or export it as CSV"):
            told(TableHistory(tmp_path / "t.parquet"))


class TestErrors:
    def test_say_which_columns_there_are_where_none_says_the_song(self, table):
        with pytest.raises(
            FeedbackError, match=r"does not say which song .* It has user, track, time\. Say which is which"
        ):
            told(table("user,track,time", "ann,River,1"))

    @pytest.mark.parametrize("first", ["Ann Smith,River,Joni", "ann@example.org,Time,Title", "192.0.2.7,Time,Joni"])
    @pytest.mark.parametrize("options", [{}, {"time": "When"}])
    def test_name_no_column_where_the_first_line_may_be_a_row(self, table, first, options):
        with pytest.raises(FeedbackError, match="has 3 other columns, or no header") as raised:
            told(table(first, first, **options))
        assert not any(word.casefold() in str(raised.value) for word in first.split(",")[:1])

    def test_name_a_column_that_was_asked_for_and_is_not_there(self, table):
        with pytest.raises(FeedbackError, match=r"has no column When; it has title, artist"):
            told(table("title,artist", "River,Joni", time="When"))

    @pytest.mark.parametrize("hours", [24.0, -30.0, float("nan")])
    def test_name_an_offset_that_is_none(self, table, hours):
        with pytest.raises(FeedbackError, match="--utc-offset-hours"):
            table("title,artist", utc_offset_hours=hours).files()


class TestAccounting:
    def test_every_row_is_told_or_refused_once(self, table):
        source = table(
            "listener,title,artist,event,value,word,time",
            "ann,River,Joni,play,,,2024-01-01", "ann,,Joni,play,,,", "ann,River,Joni,like,,,",
            "ann,River,Joni,tag,,a;b,", 'ann,"River,Joni,play,,,', "ann,River", "",
            "ann,River,Joni,rating,9,,", "ann,River,Joni,play,,,soon",
        )  # fmt: skip
        rows = told(source)
        assert len(rows) == 8  # an empty line is none
        assert len(events(source)) == 1 + 2 + 2 and len(refused(source)) == 5

    def test_of_json_refuses_what_is_no_row_alone(self, table):
        source = table('{"title": "River", "artist": "Joni"}', "no json", "[1]", '{"title": 5}', name="t.jsonl")
        assert [type(row) for row in told(source)] == [Event, Refused, Refused, Refused]


def test_columns_and_scales_are_options_of_the_command(tmp_path):
    seen = {}

    @command_of(TableHistory)
    def command(**given: object) -> None:
        seen.update(given)

    runner = CliRunner()
    command = with_fields(command, TableHistory)
    assert isinstance(command, click.Command)
    said = runner.invoke(command, [str(tmp_path), "--title", "Track Name", "--best", "10", "--service", "radio"])
    assert said.exit_code == 0, said.output
    assert TableHistory(**seen) == TableHistory(tmp_path, title="Track Name", best=10.0, service="radio")
    assert "--utc-offset-hours" in runner.invoke(command, ["--help"]).output
