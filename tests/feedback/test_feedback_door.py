"""The door: every row is taken or refused with a reason, the counts add up, and impossible days are flagged."""

import csv
import os
import subprocess
import sys
import threading
import warnings
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from earmark.catalogue.labels.matching import Known
from earmark.errors import FeedbackError
from earmark.feedback import door
from earmark.feedback.door import Imported
from earmark.feedback.event import About, Song
from earmark.feedback.identity import song_id
from earmark.feedback.judged import Judge, Verdict
from earmark.feedback.sources.lastfm import LastFm
from earmark.feedback.sources.source import Refused
from earmark.feedback.sources.spotify import SpotifyHistory, SpotifyShortHistory
from earmark.feedback.store import Store
from earmark.feedback.tracks import Tracks
from exports_made import lay_out
from feedback_tools import (
    DAY_US,
    HOUR_US,
    NOON_DAY,
    NOON_US,
    NOW_US,
    SECOND_US,
    Told,
    ToldOfNobody,
    column_of,
    held,
    importer,
    lenient,
    like,
    new_address,
    number_of,
    play,
    project_rules,
    refusing,
    rows_of,
    song,
    take,
)
from postgresql_server import DATABASES
from scratch import CHECKOUT

MIDNIGHT_US = NOON_US - 12 * HOUR_US
IN_2000_US = 946_684_800 * SECOND_US


@pytest.fixture
def store(tmp_path):
    with Store(f"sqlite:///{tmp_path}/feedback.db", name="the tests'") as opened:
        yield opened


@pytest.fixture(params=DATABASES)
def stores(request, tmp_path):
    """``stores()`` opens the same store once more, as another process would."""
    url = new_address(request, tmp_path)
    opened: list[Store] = []

    def once_more() -> Store:
        opened.append(Store(url))
        return opened[-1]

    yield once_more
    for store in opened:
        store.close()


def reasons(path: Path) -> list[tuple[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return [(row["where"], row["reason"]) for row in csv.DictReader(file)]


def adds_up(result: Imported) -> None:
    assert result.rows == result.told + sum(result.refused.values())
    assert 0 <= result.new <= result.events
    assert result.told <= result.events


REFUSED = [
    (play(at_us=IN_2000_US - DAY_US), "not_before_recorded_time", "its time lies before 2000"),
    (play(at_us=IN_2000_US - DAY_US * 366), "not_before_recorded_time", "its time lies before 2000: 1999"),
    (play(at_us=1), "not_before_recorded_time", "its time lies before 2000: 1970"),
    (play(at_us=-HOUR_US), "not_before_recorded_time", "its time lies before 2000: 1970"),
    (play(at_us=NOW_US + 27 * HOUR_US), "not_in_the_future", "its time lies in the future: by 27.0 h"),
    (play(ms_played=-1), "sane_duration", "it sounded for an impossible time: -0.0000 h"),
    (play(ms_played=25 * 3_600_000), "sane_duration", "it sounded for an impossible time: 25.0000 h"),
    (play(ms_played=75 * 3_600_000, times=3), "sane_duration", "it sounded for an impossible time: 25.0000 h"),
    (play(times=0, ms_played=None), "counted", "it happened an impossible number of times: 0"),
    (play(times=-1, ms_played=None), "counted", "it happened an impossible number of times: -1"),
    (play(times=1_000_000_001), "counted", "it happened an impossible number of times: 1000000001"),
    (like(value=1.01), "graded", "its value does not lie between 0 and 1: 1.01"),
    (like(value=-0.5), "graded", "its value does not lie between 0 and 1: -0.5"),
    (like(kind="tag", word="x" * 65), "short_word", "its word has 65 letters"),
    (like(kind="tag", word=""), "short_word", "its word has 0 letters"),
    (play(song=song(title=None)), "song_can_be_told", "nothing says which song it is"),
    (play(song=song(artist=None)), "song_can_be_told", "nothing says which song it is"),
]  # fmt: skip

TAKEN = [
    play(at_us=IN_2000_US + DAY_US),
    play(at_us=NOW_US + 25 * HOUR_US),
    play(ms_played=0),
    play(ms_played=24 * 3_600_000),
    play(ms_played=72 * 3_600_000, times=3),
    play(ms_played=None),
    play(at_us=None, times=1_000_000_000, ms_played=None),
    like(value=0.0),
    like("bob", value=None),
    like(kind="tag", word="x" * 64),
    like(kind="tag", word="x"),
    play(song=Song("radio", "2", isrc="NOABC2000001")),
    play(song=Song("radio", "3", track_id="reel/1.flac")),
    play(song=Song("radio", "4", "Title", "Artist", duration_s=0.0)),
]


class TestTheRules:
    @pytest.mark.parametrize(
        "row, rule, reason", REFUSED, ids=[f"{rule}-{n}" for n, (_, rule, _) in enumerate(REFUSED)]
    )
    def test_refuse_what_cannot_be_by_name_and_with_a_reason(self, store, tmp_path, row, rule, reason):
        result = take(store, [row, play("bob")], judge=project_rules(), refusals=tmp_path / "refused.csv")
        assert (result.rows, result.told, result.new, dict(result.refused)) == (2, 1, 1, {rule: 1})
        ((where, said),) = reasons(tmp_path / "refused.csv")
        assert where == row.where and said.startswith(f"{rule}: {reason}")
        assert column_of(store, "events", "listener_id") == [number_of("bob")]
        adds_up(result)

    def test_let_through_what_may_be_to_the_very_edge(self, store):
        result = take(store, TAKEN, judge=project_rules())
        assert dict(result.refused) == {}
        assert result.told == result.new == len(TAKEN)

    def test_keep_a_song_of_which_only_an_id_is_known_where_names_come_later(self, store):
        class Later(Told):
            name = "told-later"
            names_later = True

        bare = Song("radio", "1")
        assert take(store, [play(song=bare)], judge=project_rules()).refused == {"song_can_be_told": 1}
        assert take(store, [play(song=bare)], judge=project_rules(), source=Later).new == 1

    def test_refuse_a_row_of_two_events_whole_if_one_of_them_cannot_be(self, store, tmp_path):
        rows = [(like(), like(kind="dislike", value=7.0)), (like("bob"), like("bob", kind="dislike", value=0.0))]
        result = take(store, rows, judge=project_rules(), refusals=tmp_path / "refused.csv")
        assert (result.rows, result.told, result.events, result.new) == (2, 1, 2, 2)
        assert set(column_of(store, "events", "listener_id")) == {number_of("bob")}
        assert len(reasons(tmp_path / "refused.csv")) == 1
        adds_up(result)

    def test_refuse_a_row_once_for_the_first_rule_that_it_breaks(self, store, tmp_path):
        result = take(
            store, [play(at_us=1, ms_played=-1, times=0)], judge=project_rules(), refusals=tmp_path / "r.csv"
        )  # fmt: skip
        assert dict(result.refused) == {"not_before_recorded_time": 1}
        assert len(reasons(tmp_path / "r.csv")) == 1

    def test_never_warn_or_break_off_because_of_a_number_that_is_beyond_all(self, store):
        beyond = [
            play(times=10**30), play(ms_played=10**300), play(ms_played=-(10**30)), play(at_us=10**30),
            play(at_us=-(10**30)), like(value=1e308), like(value=float("inf")), like(value=float("-inf")),
        ]  # fmt: skip
        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)
            result = take(store, [*beyond, play(times=0, ms_played=0)], judge=project_rules())
        assert sum(result.refused.values()) == 9 and rows_of(store, "events") == []


class TestASongOfTheCatalogue:
    TRACKS = Tracks([Known("jig/1.flac", "The Butterfly", "Ann", None, None, 180.0)])

    def test_is_counted_and_others_are_kept_beside_it(self, store):
        rows = [
            play(song=Song("radio", "1", "the butterfly", "ANN")), play(song=song(2)),
            play("bob", song=Song("radio", "3", track_id="jig/1.flac")),
            play("bob", song=Song("radio", "4", track_id="gone/1.flac")),
        ]  # fmt: skip
        result = take(store, rows, judge=project_rules(), tracks=self.TRACKS)
        assert (result.of_tracks, result.events, result.new) == (2, 4, 4)

    def test_is_counted_among_the_rows_taken_only(self, store):
        rows = [play(at_us=1, song=Song("radio", "1", track_id="jig/1.flac"))]
        assert take(store, rows, judge=project_rules(), tracks=self.TRACKS).of_tracks == 0


class TestRefusals:
    def test_of_the_source_and_of_the_rules_stand_in_one_file_and_are_counted_by_their_beginnings(
        self, store, tmp_path
    ):
        rows = [
            Refused("a:1", "no song: it is a podcast"), play(),
            Refused("a:3", "no song: it has no title"), Refused("a:4", "incognito: dropped"), play(ms_played=-1),
            Refused('a:5,"6"', "odd\nplaces"),
        ]  # fmt: skip
        path = tmp_path / "deep" / "refused.csv"
        result = take(store, rows, judge=project_rules(), refusals=path)
        assert result.refused == Counter(
            {"no song": 2, "incognito": 1, "sane_duration": 1, "odd\nplaces": 1}
        )  # fmt: skip
        told = reasons(path)
        assert len(told) == 5 and ('a:5,"6"', "odd\nplaces") in told and ("a:1", "no song: it is a podcast") in told
        adds_up(result)

    def test_make_no_file_where_there_are_none(self, store, tmp_path):
        take(store, [play()], refusals=tmp_path / "refused.csv")
        assert not (tmp_path / "refused.csv").exists()

    def test_count_a_row_that_tells_nothing(self, store, tmp_path):
        result = take(store, [(), play()], refusals=tmp_path / "refused.csv")
        assert (result.rows, result.told) == (2, 1)
        adds_up(result)


class TestWordsThatNameSomebody:
    """What a listener wrote is kept only where it does not say who wrote it."""

    NAMING = ("ann@example.org", "by @ann", "www.example.org/ann", "Ann", " ann ", "Anna Smith")

    @pytest.mark.parametrize("kind", ["tag", "feeling", "comment"])
    @pytest.mark.parametrize("word", NAMING)
    def test_are_dropped_and_a_row_of_nothing_else_is_refused(self, store, tmp_path, kind, word):
        said = [like(kind=kind, word=each, value=None) for each in (word, "calm")]
        name = "anna smith" if word == "Anna Smith" else "ann"
        rows = [(play(name), *(event._replace(listener=name) for event in said)), said[0]._replace(listener=name)]
        result = take(store, rows, refusals=tmp_path / "refused.csv")
        assert (result.told, result.events, result.new, dict(result.refused)) == (1, 2, 2, {"no word": 1})
        assert set(column_of(store, "events", "word")) == {None, "calm"}
        assert "ann@" not in (tmp_path / "refused.csv").read_text()
        adds_up(result)

    def test_are_dropped_too_where_the_user_says_who_listened(self, store):
        tags = tuple(like(None, kind="tag", word=word, value=None) for word in ("anna", "calm", ""))
        take(store, [tags], listener="Anna")
        assert set(column_of(store, "events", "word")) == {"calm", ""}

    @pytest.mark.parametrize("kept", ["f", "non-binary", "1", "Prefer not to say", "português", "pt-BR"])
    def test_are_no_attribute_of_a_listener(self, store, kept):
        for number, said in enumerate((kept, "ann@example.org", "@ann", "+47 555 1234", "192.0.2.7", "x" * 21, "")):
            take(store, [play(f"listener {number}", about=About(31, said, said, said))])
        known = [row[1:] for row in rows_of(store, "listeners")]
        assert sorted(known, key=str) == sorted(
            [("30–39", kept, kept, kept), *[("30–39", None, None, None)] * 6], key=str
        )


SONGS = st.integers(0, 3)
WHO = st.sampled_from(["ann", "bob", "gone"])
WHEN = st.sampled_from([NOON_US, NOON_US + SECOND_US, NOON_US + DAY_US])
MS = st.sampled_from([1000, 2000, 90_000_000])  # the last one is 25 hours
PLAYS = st.builds(lambda who, at, number, ms: play(who, at, number, ms_played=ms), WHO, WHEN, SONGS, MS)
ROWS = st.one_of(
    PLAYS,
    PLAYS,
    st.tuples(PLAYS, PLAYS),
    st.just(Refused("a:1", "no song: none")),
    st.tuples(PLAYS, PLAYS, PLAYS),
    st.just(()),
)


class TestTheCounts:
    @settings(max_examples=80, deadline=None)
    @given(st.lists(st.lists(ROWS, max_size=8), max_size=4), st.integers(1, 5))
    def test_add_up_for_whatever_rows_in_whatever_files_and_batches(self, tmp_path_factory, files, batch):
        folder, old = tmp_path_factory.mktemp("store"), door.BATCH
        door.BATCH = batch
        try:
            with Store(f"sqlite:///{folder}/feedback.db") as store:
                store.forget([number_of("gone")], NOW_US)
                result = take(
                    store, *files, judge=refusing("played_hours", 24), refusals=folder / "refused.csv"
                )  # fmt: skip
                found = {(row[2], row[3], row[4], row[7]) for row in rows_of(store, "events")}
                assert len(found) == len(rows_of(store, "events"))
        finally:
            door.BATCH = old

        expected: set[tuple[Any, ...]] = set()
        told = events = 0
        refused: Counter[str] = Counter()
        for file in files:
            for row in file:
                several = [] if isinstance(row, Refused) else [row] if hasattr(row, "kind") else list(row)
                if isinstance(row, Refused):
                    refused["no song"] += 1
                elif not several:
                    refused["it tells nothing"] += 1
                elif any(event.listener == "gone" for event in several):
                    refused["the listener was forgotten"] += 1
                elif any(event.ms_played == 90_000_000 for event in several):
                    refused["too_much"] += 1
                else:
                    told, events = told + 1, events + len(several)
                    expected |= {
                        (e.at_us, number_of(e.listener), song_id(e.song), e.ms_played) for e in several
                    }  # fmt: skip
        assert (result.rows, result.told, result.events) == (sum(map(len, files)), told, events)
        assert result.refused == refused
        assert found == expected and result.new == len(expected)
        written = reasons(folder / "refused.csv") if refused else []
        assert Counter(reason.split(":")[0] for _, reason in written) == refused
        adds_up(result)


class TestTheSameFile:
    def test_is_passed_over_and_with_again_read_and_nothing_is_new(self, store):
        rows = [play(at_us=NOON_US + n * SECOND_US) for n in range(5)]
        assert take(store, rows).new == 5
        before = held(store), store.day_versions()
        second = take(store, rows)
        assert (second.parts, second.before, second.rows, second.new) == (0, 1, 0, 0)
        third = take(store, rows, again=True)
        assert (third.parts, third.before, third.rows, third.events, third.new) == (1, 0, 5, 5, 0)
        assert (held(store), store.day_versions()) == before

    def test_with_one_byte_more_is_another_and_adds_what_it_adds(self, store, tmp_path):
        def history(*seconds: int) -> SpotifyHistory:
            rows = [spotify_play(second) for second in seconds]
            return SpotifyHistory(lay_out(tmp_path / "export", {"endsong_0.json": rows}))

        run = importer(store, listener="ann").run
        assert run(history(1, 2), tmp_path / "r.csv").new == 2
        assert run(history(1, 2), tmp_path / "r.csv").before == 1
        result = run(history(1, 2, 3), tmp_path / "r.csv")
        assert (result.before, result.events, result.new) == (0, 3, 1)

    def test_of_another_listener_is_another(self, store, tmp_path):
        source = SpotifyHistory(lay_out(tmp_path / "export", {"endsong_0.json": [spotify_play(1)]}))
        for who in ("ann", "bob"):
            assert importer(store, listener=who).run(source, tmp_path / "r.csv").new == 1
        assert set(column_of(store, "events", "listener_id")) == {number_of("ann", ""), number_of("bob", "")}

    def test_that_failed_in_the_middle_is_read_again_and_nothing_is_doubled(self, store, monkeypatch):
        class Torn(Told):
            def rows(self, part):
                yield from self.told[0][:7]
                if broken:
                    raise FeedbackError("it is torn here")
                yield from self.told[0][7:]

        monkeypatch.setattr(door, "BATCH", 3)
        rows, broken = [play(number=n) for n in range(10)], True
        with pytest.raises(FeedbackError, match="torn"):
            take(store, rows, source=Torn)
        assert len(rows_of(store, "events")) == 7  # what was read before stays
        broken = False
        assert (take(store, rows, source=Torn).new, len(rows_of(store, "events"))) == (3, 10)


class TestAFileThatCannotBeRead:
    def test_keeps_no_other_file_of_the_export_out(self, store, tmp_path):
        files = {f"endsong_{number}.json": [spotify_play(number)] for number in range(4)}
        lay_out(tmp_path / "export", files | {"endsong_1.json": b"", "endsong_2.json": b"<html>"})
        source, run = SpotifyHistory(tmp_path / "export"), importer(store, listener="ann").run
        with pytest.raises(FeedbackError, match=r"endsong_1\.json does not begin"):
            run(source, tmp_path / "r.csv")
        assert len(rows_of(store, "events")) == 2
        lay_out(tmp_path / "export", files)
        result = run(source, tmp_path / "r.csv")
        assert (result.before, result.new, len(rows_of(store, "events"))) == (2, 2, 4)

    def test_has_the_days_judged_that_it_told_of_before(self, store, tmp_path):
        lay_out(tmp_path / "export", {"endsong_0.json": [spotify_play(1)], "endsong_1.json": b""})
        judge = refusing("plays", 0, suite="listening", rule="too_much")
        with pytest.raises(FeedbackError, match=r"endsong_1\.json"):
            importer(store, judge, listener="ann").run(SpotifyHistory(tmp_path / "export"), tmp_path / "r.csv")
        assert column_of(store, "flags", "rule") == ["too_much"]

    def test_does_not_hide_that_nobody_says_who_listened(self, store, tmp_path):
        rows = [{**spotify_play(1), "username": None}]
        lay_out(tmp_path / "export", {"endsong_0.json": rows, "endsong_1.json": b""})
        with pytest.raises(FeedbackError, match="does not say who listened"):
            importer(store).run(SpotifyHistory(tmp_path / "export"), tmp_path / "r.csv")


def test_a_file_whose_name_is_no_text_is_read_like_any_other(store, tmp_path):
    folder = lay_out(tmp_path, {"export/endsong_0.json": [spotify_play(1), {}]}) / "export"
    try:
        (folder / "endsong_0.json").rename(folder / os.fsdecode(b"endsong_\xff.json"))
    except OSError:
        pytest.skip("this file system takes no such names")
    result = importer(store, listener="ann").run(SpotifyHistory(folder), tmp_path / "r.csv")
    adds_up(result)
    assert (result.told, reasons(tmp_path / "r.csv")) == (1, [("endsong_?.json:[1]", "no song: it has no title")])


class TestWhoListened:
    def test_has_to_be_said_where_the_rows_do_not(self, store):
        with pytest.raises(FeedbackError, match=r"row of None does not say who listened.*--listener NAME"):
            take(store, [play(None)])
        with pytest.raises(FeedbackError, match=r"whose export it is, by a folder listener=NAME \(any name"):
            take(store, [play(None)], whose="a folder listener=NAME")
        assert take(store, [play(None)], listener="ann").new == 1

    def test_is_nobody_where_a_source_counts_all(self, store):
        take(store, [play(None, None, times=100, about=About(age=30))], source=ToldOfNobody)
        assert column_of(store, "events", "listener_id") == [0]
        assert rows_of(store, "listeners") == []  # of nobody nothing is known

    def test_cannot_be_said_where_the_rows_name_several_or_always_do(self, store):
        class Names(Told):
            tells_listener = True

        with pytest.raises(FeedbackError, match="more than one listener"):
            take(store, [play("ann"), play("bob")], listener="ann")
        with pytest.raises(FeedbackError, match="--listener NAME would make all of them one"):
            take(store, [play("ann")], listener="ann", source=Names)

    @pytest.mark.parametrize("empty", ["", "  "])
    def test_is_not_the_empty_name_that_a_script_left(self, store, empty):
        with pytest.raises(FeedbackError, match="The name in --listener NAME is empty"):
            take(store, [play(None)], listener=empty)

    def test_is_kept_as_a_band_of_ten_years_and_coarse_things(self, store):
        take(
            store,
            [play(about=About(age=39, gender="f", country="NO", language="nb")), play("bob", about=About(age=40))],
        )
        told = {row[0]: row[1:] for row in rows_of(store, "listeners")}
        assert told == {
            number_of("ann"): ("30–39", "f", "NO", "nb"), number_of("bob"): ("40–49", None, None, None),
        }  # fmt: skip


def day_of(listener: str, count: int, minutes: float, *, start_us: int = MIDNIGHT_US, **other: Any) -> list:
    """So many plays one after the other, each of another song and of this length."""
    step = round(minutes * 60 * SECOND_US)
    return [
        play(listener, start_us + n * step, other.get("number", n), ms_played=other.get("ms_played", step // 1000))
        for n in range(count)
    ]


def flags(store: Store) -> set[tuple[int, int, str]]:
    return set(rows_of(store, "flags"))


class TestADay:
    @pytest.mark.parametrize(
        "rows, rule",
        [
            (day_of("ann", 601, 0.09, ms_played=1), "too_many_plays"),
            (day_of("ann", 301, 4, number=1, ms_played=1), "one_song_over_and_over"),
            (day_of("ann", 26, 50, ms_played=3_600_001), "more_than_a_day"),
            ([play(times=601, ms_played=0, kind="skip", ended="skipped")], "too_many_plays"),
        ],
        ids=["plays", "repeats", "hours", "times"],
    )
    def test_that_no_human_being_can_have_is_flagged_by_the_rules_name(self, store, rows, rule):
        result = take(store, [*rows, *day_of("bob", 20, 4)], judge=project_rules())
        assert rule in result.flagged
        assert (NOON_DAY, number_of("ann"), rule) in flags(store)
        assert {who for _, who, _ in flags(store)} == {number_of("ann")}
        assert result.new == len(rows) + 20  # it is kept

    @pytest.mark.parametrize(
        "rows",
        [
            day_of("ann", 600, 0.09, ms_played=1),
            day_of("ann", 300, 4, number=1, ms_played=1),
            day_of("ann", 25, 50, ms_played=3_600_000),
            [like(number=n) for n in range(2000)],
            [play(number=n, kind="like", value=1.0, ms_played=None) for n in range(2000)],
            [play(at_us=None, times=100_000, ms_played=None)],
        ],
        ids=["plays", "repeats", "hours", "states", "likes", "counts"],
    )
    def test_at_the_very_edge_or_without_times_is_not(self, store, rows):
        take(store, rows, judge=project_rules())
        assert flags(store) == set()

    def test_without_sleep_is_told_and_not_flagged(self, store):
        result = take(store, day_of("ann", 24, 60, ms_played=1), judge=project_rules())
        assert result.flagged == {"sleepless": 1} and flags(store) == set()

    def test_of_nobody_is_never_flagged(self, store):
        rows = [play(None, times=5000, ms_played=None)]
        take(store, rows, judge=project_rules(), source=ToldOfNobody)
        assert flags(store) == set()

    def test_ends_at_midnight_utc(self, store):
        late = day_of("ann", 26, 30, start_us=MIDNIGHT_US + 11 * HOUR_US + 30 * 60 * SECOND_US, ms_played=3_600_001)
        take(store, late, judge=project_rules())  # 25 end on the day itself, one at the next midnight
        assert {row[0] for row in rows_of(store, "events")} == {NOON_DAY, NOON_DAY + 1}
        assert flags(store) == {(NOON_DAY, number_of("ann"), "more_than_a_day")}  # 25 plays of a bit over an hour

    def test_of_two_devices_in_two_files_is_judged_as_one(self, stores):
        phone, car = day_of("ann", 13, 60, ms_played=3_600_000), day_of("ann", 13, 55, ms_played=3_600_000)
        one, other = stores(), stores()
        assert take(one, phone, judge=project_rules()).flagged == {}
        assert flags(one) == set()
        result = take(other, [each._replace(song=song(99)) for each in car], judge=project_rules())
        assert result.flagged == {"more_than_a_day": 1}
        assert flags(one) == {(NOON_DAY, number_of("ann"), "more_than_a_day")}

    def test_that_nothing_was_added_to_keeps_its_flags(self, store):
        take(store, day_of("ann", 601, 0.09, ms_played=1), judge=project_rules())
        before, version = flags(store), store.day_versions()
        take(store, [play("ann", NOON_US + DAY_US)], [play("bob")], judge=project_rules())
        assert flags(store) == before != set()
        assert store.day_versions()[NOON_DAY] == version[NOON_DAY] + 1  # bob's play

    def test_is_flagged_no_more_when_the_rules_have_changed_and_it_is_read_again(self, store):
        strict = refusing("plays", 3, suite="listening", rule="busy")
        rows = [play(number=n) for n in range(4)]
        take(store, rows, judge=strict)
        assert flags(store) == {(NOON_DAY, number_of("ann"), "busy")}
        version = store.day_versions()[NOON_DAY]
        take(store, rows, judge=lenient, again=True)
        assert flags(store) == set() and store.day_versions()[NOON_DAY] > version

    def test_of_who_is_forgotten_leaves_no_flag_behind_and_others_keep_theirs(self, store):
        both = day_of("ann", 601, 0.09, ms_played=1) + day_of("bob", 601, 0.09, ms_played=1)
        take(store, both, judge=project_rules())
        assert {who for _, who, _ in flags(store)} == {number_of("ann"), number_of("bob")}
        store.forget([number_of("ann")], NOW_US)
        assert flags(store) == {(NOON_DAY, number_of("bob"), "too_many_plays")}

    def test_is_judged_by_all_that_is_there_though_another_import_ends_while_it_is_judged(self, stores):
        """What the first importer saw is old when it comes to write it down."""
        one, other = stores(), stores()
        strict = refusing("plays", 6, suite="listening", rule="busy")
        calls: list[str] = []

        def interrupted(suite: str, table: pd.DataFrame) -> list[Verdict]:
            calls.append(suite)
            verdicts = strict(suite, table)
            if calls.count("listening") == 1 and suite == "listening":
                take(other, [play(number=n) for n in range(4, 8)], judge=strict)
            return verdicts

        result = take(one, [play(number=n) for n in range(4)], judge=interrupted)
        assert flags(one) == {(NOON_DAY, number_of("ann"), "busy")}
        assert calls.count("listening") == 2 and result.flagged == {"busy": 1}

    def test_is_judged_in_chunks_as_if_it_were_at_once(self, store, monkeypatch):
        strict = refusing("plays", 6, suite="listening", rule="busy")
        rows = [
            play(who, NOON_US - day * DAY_US, n)
            for day in range(9)
            for who in ("ann", "bob")
            for n in range(5 + day % 3)
        ]
        take(store, rows, judge=strict)
        at_once = flags(store)
        monkeypatch.setattr("earmark.feedback.store._CHUNK", 20)
        take(store, rows, judge=lenient, again=True)
        assert flags(store) == set()
        take(store, rows, judge=strict, again=True)
        assert flags(store) == at_once == {
            (NOON_DAY - day, number_of(who), "busy") for day in range(9) for who in ("ann", "bob") if day % 3 == 2
        }  # fmt: skip


class TestAForgottenListener:
    def test_is_refused_by_every_later_import_and_named_nowhere(self, store, tmp_path):
        store.forget([number_of("ann")], NOW_US)
        rows = [play("ann"), (play("bob"), play("ann", number=2)), play("bob", number=3)]
        result = take(store, rows, refusals=tmp_path / "r.csv")
        assert (result.rows, result.told, result.new) == (3, 1, 1)
        assert result.refused == {"the listener was forgotten": 2}
        assert set(column_of(store, "events", "listener_id")) == {number_of("bob")}
        adds_up(result)

    def test_is_not_stored_though_it_happens_while_an_import_is_running(self, stores):
        one, other = stores(), stores()

        def forgets(suite: str, table: pd.DataFrame) -> list[Verdict]:
            if suite == "events":
                other.forget([number_of("ann")], NOW_US)
            return []

        rows = [play("bob"), play("ann"), play("ann", number=2)]
        with pytest.raises(FeedbackError, match=r"was forgotten\. The same command again"):
            take(one, rows, judge=forgets)
        assert rows_of(one, "events") == []
        result = take(one, rows)
        assert (result.told, result.new, sum(result.refused.values())) == (1, 1, 2)
        assert column_of(one, "events", "listener_id") == [number_of("bob")]

    def test_is_refused_from_the_next_batch_on(self, stores, monkeypatch):
        monkeypatch.setattr(door, "BATCH", 2)
        one, other = stores(), stores()

        class Forgets(Told):
            def rows(self, part):
                for place, row in enumerate(self.told[0]):
                    if place == 4:
                        other.forget([number_of("ann")], NOW_US)
                    yield row

        result = take(one, [play("ann", number=n) for n in range(8)], source=Forgets)
        assert rows_of(one, "events") == []
        assert (result.told, result.new, sum(result.refused.values())) == (4, 4, 4)
        adds_up(result)

    def test_may_be_imported_again_when_that_was_undone(self, store):
        take(store, [play("ann")])
        gone = store.forget([number_of("ann")], NOW_US)
        assert (gone.events, gone.days) == (1, 1)
        assert take(store, [play("ann")], again=True).new == 0
        assert store.readmit([number_of("ann")]) == 1
        assert take(store, [play("ann")], again=True).new == 1


class Held:
    """Stops one importer in the middle of its transaction, just before a statement, while another does its work."""

    def __init__(self, store: Store, statement: str) -> None:
        self._reached, self._go_on, self._statement = threading.Event(), threading.Event(), statement
        sa.event.listen(store.engine, "before_cursor_execute", self._stop)

    def _stop(self, connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith(self._statement) and not self._reached.is_set():
            self._reached.set()
            assert self._go_on.wait(60)

    def run(self, first: Callable[[], Any], second: Callable[[], Any]) -> None:
        """``first`` until it is held; ``second`` to its end, unless it waits; then the rest of both."""
        with ThreadPoolExecutor(2) as pool:
            begun = pool.submit(first)
            assert self._reached.wait(60)
            other = pool.submit(second)
            wait([other], timeout=1)
            self._go_on.set()
            begun.result()
            other.result()


class TestTwoAtOnce:
    def test_who_is_forgotten_while_a_batch_is_on_its_way_is_gone_when_both_are_through(self, stores):
        one, other = stores(), stores()
        held = Held(one, "INSERT INTO days")  # the events are written, and nobody sees them yet
        held.run(
            lambda: take(one, [play("ann"), play("bob")]),
            lambda: other.forget([number_of("ann")], NOW_US),
        )
        assert column_of(one, "events", "listener_id") == [number_of("bob")]
        assert column_of(one, "forgotten", "listener_id") == [number_of("ann")]

    def test_the_flags_of_the_later_one_are_not_taken_back_by_the_earlier_one(self, stores):
        one, other = stores(), stores()
        strict = refusing("plays", 2, suite="listening", rule="busy")
        take(one, [play("ann", number=n) for n in range(2)], judge=strict)
        held = Held(one, "DELETE FROM flags")  # it knows what to flag, by what it saw
        held.run(
            lambda: take(one, [play("bob", number=n) for n in range(3)], judge=strict),
            lambda: take(other, [play("ann", number=2)], judge=strict),
        )
        assert flags(one) == {(NOON_DAY, number_of(who), "busy") for who in ("ann", "bob")}


def spotify_play(second: int, **other: Any) -> dict[str, Any]:
    """A row of the extended history, at a second after noon."""
    at = pd.Timestamp(NOON_US + second * SECOND_US, unit="us")
    return {
        "ts": f"{at:%Y-%m-%dT%H:%M:%SZ}", "ms_played": 100_000 + second, "conn_country": "NO",
        "master_metadata_track_name": f"Title {second % 5}", "master_metadata_album_artist_name": "Artist",
        "master_metadata_album_album_name": "Album", "spotify_track_uri": f"spotify:track:{second % 5}",
        "reason_start": "clickrow", "reason_end": "trackdone", "incognito_mode": False, **other,
    }  # fmt: skip


def short_play(second: int, **other: Any) -> dict[str, Any]:
    """The same as the short history has it: to the minute."""
    at = pd.Timestamp(NOON_US + second * SECOND_US, unit="us")
    return {
        "endTime": f"{at:%Y-%m-%d %H:%M}", "trackName": f"Title {second % 5}", "artistName": "Artist",
        "msPlayed": 100_000 + second, **other,
    }  # fmt: skip


class TestSpotifysTwoHistories:
    """The short one tells what the extended one tells too, to the minute and less."""

    SECONDS = (0, 59, 60, 119, 3600, 12 * 3600 - 1, 12 * 3600, 12 * 3600 + 59)  # with both sides of midnight

    def histories(self, folder: Path, short: tuple[int, ...]) -> dict[str, Any]:
        exact = [spotify_play(second) for second in self.SECONDS]
        return {
            "exact": SpotifyHistory(lay_out(folder / "exact", {"endsong_0.json": exact})),
            "short": SpotifyShortHistory(
                lay_out(folder / "short", {"StreamingHistory0.json": [short_play(second) for second in short]})
            ),
        }

    @pytest.mark.parametrize("order", [("short", "exact"), ("exact", "short"), ("short", "exact", "short")])
    def test_leave_the_extended_one_in_either_order_and_what_only_the_short_one_tells(self, stores, tmp_path, order):
        store, only_short = stores(), (7200, 24 * 3600)
        read = self.histories(tmp_path, (*self.SECONDS, *only_short))
        removed = sum(
            importer(store, listener="ann").run(read[name], tmp_path / "r.csv", again=True).superseded for name in order
        )
        told = {(row[2] - NOON_US) // SECOND_US: row[5] for row in rows_of(store, "events")}
        assert told == {**dict.fromkeys(self.SECONDS, "spotify"), **dict.fromkeys(only_short, "spotify-short")}
        assert len(rows_of(store, "events")) == len(told)
        assert removed >= len(self.SECONDS)

    def test_leave_a_listening_on_a_compilation_once_though_the_extended_one_names_the_albums_artist(
        self, store, tmp_path
    ):
        exact = spotify_play(5, master_metadata_album_artist_name="Various Artists")
        run = importer(store, listener="ann").run
        run(SpotifyHistory(lay_out(tmp_path / "e", {"endsong_0.json": [exact]})), tmp_path / "r.csv")
        short = SpotifyShortHistory(lay_out(tmp_path / "s", {"StreamingHistory0.json": [short_play(5)]}))
        assert run(short, tmp_path / "r.csv").superseded == 1
        assert column_of(store, "events", "source") == ["spotify"]

    def test_leave_alone_what_another_listener_heard_or_sounded_for_another_time(self, store, tmp_path):
        exact = SpotifyHistory(lay_out(tmp_path / "e", {"endsong_0.json": [spotify_play(5)]}))
        short = SpotifyShortHistory(
            lay_out(tmp_path / "s", {"StreamingHistory0.json": [short_play(5), short_play(5, msPlayed=1)]})
        )
        importer(store, listener="ann").run(exact, tmp_path / "r.csv")
        assert importer(store, listener="bob").run(short, tmp_path / "r.csv").superseded == 0
        assert importer(store, listener="ann").run(short, tmp_path / "r.csv").superseded == 1
        assert len(rows_of(store, "events")) == 1 + 2 + 1

    def test_make_no_day_impossible_together(self, store, tmp_path):
        """Thirteen hours, told twice, are thirteen."""
        seconds = range(0, 13 * 1200, 1200)
        exact = [spotify_play(second, ms_played=3_600_000) for second in seconds]
        short = [short_play(second, msPlayed=3_600_000) for second in seconds]
        run = importer(store, project_rules(), listener="ann").run
        run(SpotifyShortHistory(lay_out(tmp_path / "s", {"StreamingHistory0.json": short})), tmp_path / "r.csv")
        result = run(SpotifyHistory(lay_out(tmp_path / "e", {"endsong_0.json": exact})), tmp_path / "r.csv")
        assert (result.superseded, result.flagged, flags(store)) == (13, {}, set())


class TestTwoListsOfOnesScrobbles:
    """Some tools tell them to the second, others to the minute: of a listening the exact one is left."""

    NAMES = ("Joni,River", "JONI,river", "Joni,Blue")
    SECONDS = (0, 299, 12 * 3600 + 59)  # after noon

    @pytest.mark.parametrize("order", [("exact", "rounded"), ("rounded", "exact"), ("rounded", "exact", "rounded")])
    def test_leave_each_once(self, stores, tmp_path, order):
        store, at = stores(), [NOON_US // SECOND_US + second for second in self.SECONDS]
        named = list(zip(self.NAMES, at, strict=True))
        lists = {
            "exact.csv": "artist,track,uts\n" + "".join(f"{name},{second}\n" for name, second in named),
            "rounded.csv": "artist,track,date\n"
            + "".join(f"{name},{pd.Timestamp(second, unit='s'):%d %b %Y %H:%M}\n" for name, second in named),
        }
        lay_out(tmp_path, lists)
        for name in order:
            for listener in ("ann", "bob"):
                importer(store, listener=listener).run(LastFm(tmp_path / f"{name}.csv"), tmp_path / "r.csv", again=True)
        assert sorted(column_of(store, "events", "at_us")) == sorted([second * SECOND_US for second in at] * 2)

    def test_leave_what_only_one_of_them_tells(self, store, tmp_path):
        rows = [(0, "River"), (0, "Blue"), (60, "River"), (61, "Blue"), (300, "Carey"), (361, "Carey")]
        header, noon = "artist,track,uts\n", NOON_US // SECOND_US
        played = "".join(f"Joni,{title},{noon + second}\n" for second, title in rows)
        lay_out(tmp_path, {"a.csv": header + played, "loved.csv": f"{header}Joni,River,{noon + 5}\n"})
        result = importer(store, listener="ann").run(LastFm(tmp_path), tmp_path / "r.csv")
        assert (result.new, result.superseded) == (7, 0)


MEASURE = """
import resource, sys, tempfile
from pathlib import Path
from earmark.feedback import door, store
from feedback_tools import Numbered, importer
door.BATCH = store._CHUNK = 10_000
with tempfile.TemporaryDirectory() as folder, store.Store(f"sqlite:///{folder}/feedback.db") as opened:
    result = importer(opened).run(Numbered(Path("feedback_tools.py"), 0, int(sys.argv[1])), Path("/nonexistent"))
assert result.new == int(sys.argv[1])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_memory_stays_flat_however_long_the_history_is():
    """SQLite's page cache is all that grows; to keep 100 bytes of each row would be seen."""

    def peak_kib(rows: int) -> int:
        measure = [sys.executable, "-c", MEASURE, str(rows)]
        return int(subprocess.run(measure, cwd=CHECKOUT / "tests", check=True, capture_output=True).stdout)

    assert peak_kib(200_000) - peak_kib(50_000) < 30 * 1024


def test_a_judge_is_asked_in_batches_about_each_event_once(store, monkeypatch):
    monkeypatch.setattr(door, "BATCH", 10)
    asked: list[int] = []

    def listening(suite: str, table: pd.DataFrame) -> list[Verdict]:
        asked.append(len(table)) if suite == "events" else None
        return []

    judge: Judge = listening
    take(store, [play(number=n) for n in range(25)], judge=judge)
    assert asked == [10, 10, 5]
