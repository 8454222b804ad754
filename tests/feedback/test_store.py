"""The store on both of its databases: what is added once stays once, states change, and several may write at a time."""

import itertools
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from earmark.errors import FeedbackError
from earmark.feedback.event import About, Song
from earmark.feedback.identity import ListenerKey
from earmark.feedback.store import Batch, Store
from earmark.feedback.tables import ABOUT, ADDRESS, address
from feedback_tools import (
    DAY_US,
    HOUR_US,
    KEY,
    NOON_DAY,
    NOON_US,
    NOW_US,
    SECOND_US,
    Numbered,
    Told,
    ToldOfNobody,
    column_of,
    held,
    importer,
    like,
    new_address,
    number_of,
    play,
    rows_of,
    song,
    take,
)
from postgresql_server import DATABASES
from scratch import CHECKOUT


@pytest.fixture(params=DATABASES)
def url(request, tmp_path) -> str:
    return new_address(request, tmp_path)


@pytest.fixture
def store(url):
    with Store(url, name="the tests'") as opened:
        yield opened


@pytest.fixture
def sqlite(tmp_path):
    with Store(f"sqlite:///{tmp_path}/feedback.db") as opened:
        yield opened


class TestTheSameEvent:
    @pytest.mark.parametrize("cut", [[6], [3, 3], [1, 5], [1, 1, 1, 1, 1, 1]], ids=str)
    def test_is_kept_once_within_a_batch_across_batches_and_across_files(self, store, cut):
        rows = [play(at_us=NOON_US + n // 2 * SECOND_US) for n in range(6)]
        files, begin = [], 0
        for size in cut:
            files.append(rows[begin : begin + size])
            begin += size
        result = take(store, *files)
        assert (result.events, result.new) == (6, 3)
        assert sorted(column_of(store, "events", "at_us")) == [NOON_US + n * SECOND_US for n in range(3)]

    def test_that_stands_in_batches_of_one_file_is_kept_once(self, store, monkeypatch):
        monkeypatch.setattr("earmark.feedback.door.BATCH", 2)
        assert take(store, [play(), play(number=2), play(), play(number=2), play(number=3)]).new == 3
        assert len(rows_of(store, "events")) == 3

    def test_from_an_overlapping_file_adds_only_what_is_new(self, store):
        days = [play(at_us=NOON_US - n * DAY_US) for n in range(10)]
        assert take(store, days[:7]).new == 7
        before = held(store)
        result = take(store, days[4:])
        assert (result.new, result.events - result.new) == (3, 3)
        assert set(before["events"]) < set(rows_of(store, "events"))
        assert len(rows_of(store, "events")) == 10

    def test_keeps_what_was_said_of_it_first_whether_in_one_batch_or_in_two(self, store):
        first, again = play(started="chosen", ended="complete"), play(started=None, ended="stopped")
        take(store, [first], [again])
        take(store, [play("bob", started="chosen", ended="complete"), play("bob", started=None, ended="stopped")])
        assert column_of(store, "events", "started") == ["chosen", "chosen"]
        assert column_of(store, "events", "ended") == ["complete", "complete"]

    def test_is_another_for_another_listener_song_kind_second_and_length(self, store):
        rows = [
            play(), play("bob"), play(number=2), play(at_us=NOON_US + SECOND_US), play(ms_played=1),
            play(kind="skip", ended="skipped"), play(ms_played=None),
        ]  # fmt: skip
        assert take(store, rows).new == len(rows) == len(rows_of(store, "events"))


class TestWhatAnEventKeeps:
    def test_is_all_of_it_but_the_name(self, store):
        heard = play(
            kind="skip", ms_played=1234, times=2, started="chosen", ended="skipped",
            song=song(7, album="Album 7", isrc="NOABC2000007", duration_s=211.5, track_id="reel/7.flac", since_us=5),
        )  # fmt: skip
        felt = play("bob", NOON_US + 1, 8, kind="feeling", value=0.25, word="calm", ms_played=None)
        take(store, [heard, felt])
        told = {row[3]: row for row in rows_of(store, "events")}
        skipped, calm = told[number_of("ann")], told[number_of("bob")]
        assert skipped[0] == calm[0] == NOON_DAY
        assert skipped[2] == NOON_US
        assert skipped[5:] == ("told", "skip", 1234, None, None, 2, "chosen", "skipped")
        assert calm[5:] == ("told", "feeling", None, 0.25, "calm", 1, None, None)
        songs = {row[2]: row for row in rows_of(store, "songs")}
        assert songs["song 7"][1:] == (
            "radio", "song 7", "Title 7", "Artist 7", "Album 7", "NOABC2000007", 211.5, "reel/7.flac", 5,
        )  # fmt: skip
        assert skipped[4] == songs["song 7"][0] and calm[4] == songs["song 8"][0]

    def test_lies_under_the_day_of_its_time_in_utc_to_the_last_microsecond(self, store):
        midnight = NOON_US + 12 * HOUR_US
        take(store, [play(at_us=midnight - 1), play(at_us=midnight, number=2), like(number=3)])
        assert {(row[0], row[2]) for row in rows_of(store, "events")} == {
            (NOON_DAY, midnight - 1), (NOON_DAY + 1, midnight), (0, None),
        }  # fmt: skip


class TestAState:
    """What has no time: a like, or a count."""

    def only(self, store) -> tuple:
        ((*_, value, _, times, _, _),) = rows_of(store, "events")
        return value, times

    @pytest.mark.parametrize("together", [True, False])
    @pytest.mark.parametrize("values", [(1.0, 0.0), (0.0, 1.0), (1.0, None), (None, 1.0), (1.0, 0.0, 1.0)])
    def test_is_what_was_said_last_whether_in_one_batch_or_one_after_the_other(self, store, values, together):
        rows = [like(value=value) for value in values]
        take(store, *([rows] if together else [[row] for row in rows]))
        assert self.only(store)[0] == values[-1]

    @pytest.mark.parametrize("together", [True, False])
    @pytest.mark.parametrize("times", [(5, 9), (9, 5), (5, 9, 7), (5, 5)])
    def test_that_counts_only_grows_though_an_older_export_comes_after_a_newer_one(self, store, times, together):
        rows = [play(at_us=None, times=count, ms_played=count * 1000) for count in times]
        take(store, *([rows] if together else [[row] for row in rows]))
        assert self.only(store)[1] == max(times)
        assert column_of(store, "events", "ms_played") == [max(times) * 1000]  # of all times together

    def test_that_did_not_change_is_not_new(self, store):
        assert take(store, [like()]).new == 1
        versions = store.day_versions()
        assert take(store, [like(about=None)], again=True).new == 0
        assert take(store, [like(value=0.0)]).new == 1
        assert store.day_versions()[0] == versions[0] + 1

    def test_of_an_older_export_takes_a_newer_ones_place_for_nobody_can_tell_which_is_older(self, store):
        take(store, [like(value=0.0)], [like(value=1.0)])
        take(store, [like(value=0.0)], again=True)
        assert self.only(store)[0] == 0.0

    def test_of_a_tag_a_feeling_or_a_word_is_one_for_each_word(self, store):
        said = [like(kind=kind, word=word) for kind in ("tag", "feeling", "comment") for word in ("calm", "sad")]
        assert take(store, said, said[:3]).new == 6

    def test_beside_the_same_with_a_time_are_two(self, store):
        take(store, [like(), play(kind="like", value=1.0, ms_played=None)])
        assert sorted(column_of(store, "events", "day")) == [0, NOON_DAY]

    @settings(max_examples=60, deadline=None)
    @given(
        st.lists(
            st.tuples(st.sampled_from("ab"), st.sampled_from([None, 0.0, 0.5, 1.0]), st.integers(1, 4)), min_size=1,
            max_size=12,
        ),
        st.lists(st.integers(1, 12), max_size=3),
    )  # fmt: skip
    def test_is_the_same_however_its_rows_are_cut_into_files(self, tmp_path_factory, rows, cuts):
        told = [like(who, value=value, times=times) for who, value, times in rows]
        bounds = [0, *sorted({min(cut, len(told)) for cut in cuts}), len(told)]
        with Store(f"sqlite:///{tmp_path_factory.mktemp('store')}/feedback.db") as store:
            take(store, *(told[a:b] for a, b in itertools.pairwise(bounds)))
            found = {row[3]: (row[8], row[10]) for row in rows_of(store, "events")}
        last = {number_of(who): value for who, value, _ in rows}
        most = {number_of(who): max(t for w, _, t in rows if w == who) for who, _, _ in rows}
        assert found == {who: (last[who], most[who]) for who in last}


class TestASong:
    def test_is_known_the_better_the_more_is_told_of_it_and_nothing_is_unsaid(self, store):
        bare, named = Song("radio", "1"), Song("radio", "1", "Title", "Artist")
        for each in (bare, named, Song("radio", "1", "Other", None, "Album", "NOABC2000001"), bare):
            take(store, [play(song=each)])
        ((*_, title, artist, album, isrc, length, track, since),) = rows_of(store, "songs")
        assert (title, artist, album, isrc, length, track, since) == (
            "Title", "Artist", "Album", "NOABC2000001", None, None, None,
        )  # fmt: skip

    def test_that_one_batch_tells_in_pieces_is_put_together_as_if_they_came_one_after_the_other(self, store):
        pieces = [
            Song("radio", "1"), Song("radio", "1", "Title"), Song("radio", "1", "TITLE", "Artist"),
            Song("radio", "1", isrc="NOABC2000001", duration_s=3.5),
        ]  # fmt: skip
        take(store, [play(song=piece) for piece in pieces])  # one event, told four times
        assert [row[3:8] for row in rows_of(store, "songs")] == [("Title", "Artist", None, "NOABC2000001", 3.5)]

    def test_of_another_service_is_another(self, store):
        take(store, [play(song=Song("radio", "1", "T", "A")), play(song=Song("fm", "1", "T", "A"))])
        assert sorted(column_of(store, "songs", "service")) == ["fm", "radio"] == store.services()


class TestAListener:
    def test_is_known_by_coarse_things_of_which_the_newest_count(self, store):
        take(store, [play(about=About(age=34, country="NO"))])
        take(store, [play(number=2, about=About(age=41)), play("bob", about=None)])
        assert rows_of(store, "listeners") == [(number_of("ann"), "40–49", None, "NO", None)]

    def test_of_whom_one_batch_tells_several_things_is_known_by_all_of_them(self, store):
        take(
            store, [play(about=About(age=34)), play(number=2, about=About(country="NO")), play(number=3, about=About())]
        )
        assert rows_of(store, "listeners") == [(number_of("ann"), "30–39", None, "NO", None)]


class TestTheKey:
    def test_is_remembered_and_another_one_is_refused_until_it_is_wanted(self, url):
        other = ListenerKey(b"quite another key")
        with Store(url) as store:
            store.use_key(KEY)
            store.use_key(KEY)
            with pytest.raises(FeedbackError, match=f"{KEY.fingerprint}.*{other.fingerprint}.*--new-key"):
                store.use_key(other)
            store.use_key(other, renew=True)
        with Store(url) as store:
            store.use_key(other)
            with pytest.raises(FeedbackError, match="another key"):
                store.use_key(KEY)


class TestAStore:
    def test_keeps_its_name_and_another_one_has_another(self, url, tmp_path):
        with Store(url) as first, Store(url) as again, Store(f"sqlite:///{tmp_path}/other.db") as other:
            assert first.name == again.name != other.name

    def test_of_a_later_version_is_refused_by_this_earmark(self, url):
        with Store(url) as store, store.engine.begin() as connection:
            connection.execute(sa.update(ABOUT).where(ABOUT.c.name == "version").values(content="2"))
        with pytest.raises(FeedbackError, match="is of version 2, this earmark writes 1"):
            Store(url)

    def test_counts_people_and_days_that_there_are(self, store):
        take(store, [play(), play(at_us=NOON_US - DAY_US), play("bob", number=2), like("eve")])
        take(store, [play(None, None, 3, times=100)], source=ToldOfNobody)
        counts = store.counts()
        assert (counts["events"], counts["people"], counts["songs"], counts["days"]) == (5, 3, 3, 2)
        store.forget([number_of("ann")], NOW_US)
        counts = store.counts()
        assert (counts["events"], counts["people"], counts["days"]) == (3, 2, 1)

    def test_lies_where_the_environment_says_else_in_the_project(self, monkeypatch, tmp_path):
        monkeypatch.delenv(ADDRESS, raising=False)
        assert address(tmp_path) == f"sqlite:///{tmp_path}/feedback.db"
        monkeypatch.setenv(ADDRESS, "postgresql://host/earmark")
        assert address(tmp_path) == "postgresql://host/earmark"

    @pytest.mark.parametrize(
        "bad, said",
        [
            ("nonsense", "cannot be used"),
            ("postgres://somebody:secret@host/earmark", "cannot be used"),
            ("mysql://somebody:secret@host/earmark", "names mysql, and only SQLite and PostgreSQL work"),
            ("sqlite:////nowhere/at/all/feedback.db", "unable to open"),
            ("postgresql://somebody:secret@127.0.0.1:1/earmark", "refused"),
            ("postgresql://127.0.0.1:1/earmark?user=somebody&password=secret", "refused"),
            ("postgresql://host:secret/earmark", "its port is no number"),
        ],
    )
    def test_that_cannot_be_had_is_an_error_without_the_password(self, bad, said):
        with pytest.raises(FeedbackError, match=said) as raised:
            Store(bad)
        assert "secret" not in str(raised.value)

    @pytest.mark.parametrize(
        "bad",
        ["sqlite://", "sqlite:///", "sqlite:///:memory:", "sqlite:///file::memory:?uri=true",
         "sqlite:///file:x?mode=memory&uri=true"],
    )  # fmt: skip
    def test_that_would_be_gone_at_the_end_is_refused(self, bad):
        with pytest.raises(FeedbackError, match=f"{ADDRESS} cannot be used .*in memory.*sqlite:////folder/feedback.db"):
            Store(bad)

    @pytest.mark.parametrize(
        "bad, asks",
        [("sqlite:////nowhere/at/all/feedback.db", False), ("postgresql://somebody@127.0.0.1:1/earmark", True)],
    )
    def test_asks_for_the_server_only_where_there_is_one(self, bad, asks):
        with pytest.raises(FeedbackError) as raised:
            Store(bad)
        assert ("Is the server running" in str(raised.value)) == asks

    def test_that_is_no_database_is_an_error(self, tmp_path):
        (tmp_path / "feedback.db").write_text("Dear diary, this is certainly no database. " * 100)
        with pytest.raises(FeedbackError, match="not a database"):
            Store(f"sqlite:///{tmp_path}/feedback.db")

    def test_begins_a_days_version_anew_with_each_change_of_the_day_and_of_no_other(self, store):
        take(store, [play(), play(at_us=NOON_US - DAY_US)])
        before = store.day_versions()
        assert sorted(before) == [NOON_DAY - 1, NOON_DAY]
        take(store, [play(number=2)])
        after = store.day_versions()
        assert after[NOON_DAY] > before[NOON_DAY] and after[NOON_DAY - 1] == before[NOON_DAY - 1]
        take(store, [play(number=2)], again=True)
        assert store.day_versions() == after

    def test_adds_a_batch_whole_or_not_at_all(self, store):
        columns = {
            "day": [NOON_DAY, NOON_DAY], "event_id": [1, 2], "at_us": [NOON_US, NOON_US], "listener_id": [1, None],
            "song_id": [1, 1], "source": ["told", "told"], "kind": ["play", "play"], "ms_played": [1, 1],
            "times": [1, 1], **{name: [None, None] for name in ("value", "word", "started", "ended")},
        }  # fmt: skip
        with pytest.raises(FeedbackError, match=r"(?i)null"):
            store.add(Batch(columns, {1: song(1)}))
        assert not any(held(store).values()) and not store.day_versions()
        columns["listener_id"] = [1, 2]
        assert store.add(Batch(columns, {1: song(1)})) == 2
        assert len(rows_of(store, "songs")) == 1  # that the first try did not write it is not forgotten


IMPORT = """
import sys
from pathlib import Path
from earmark.feedback import door
from earmark.feedback.store import Store
from feedback_tools import Numbered, importer
url, first, count, batch = sys.argv[1], *map(int, sys.argv[2:])
door.BATCH = batch
print("ready", flush=True)
sys.stdin.readline()
with Store(url) as store:
    print(importer(store).run(Numbered(Path("feedback_tools.py"), first, count), Path("/nonexistent")).new)
"""


class TestSeveralWriters:
    @pytest.mark.parametrize("begin", ["BEGIN IMMEDIATE", "BEGIN EXCLUSIVE"])
    def test_wait_for_one_who_has_the_file_before_it_is_a_store_at_all(self, tmp_path, begin):
        """As another process has that makes it at the same moment; SQLite itself would not wait then."""
        other = sqlite3.connect(tmp_path / "feedback.db", isolation_level=None, check_same_thread=False)
        other.execute("CREATE TABLE meanwhile (number)")
        other.execute(begin)
        ends = threading.Timer(0.5, other.execute, ["COMMIT"])
        ends.start()
        with Store(f"sqlite:///{tmp_path}/feedback.db") as store:
            assert not ends.is_alive()
            assert take(store, [play()]).new == 1
        other.close()

    def test_of_overlapping_files_lose_nothing_and_double_nothing(self, url, tmp_path):
        """Five processes begin at once with a store that is not even there; each event is in two of their files."""
        ranges = [(0, 2000), (1000, 2000), (2000, 2000), (3000, 1000), (0, 1000)]
        writers = [
            subprocess.Popen(
                [sys.executable, "-c", IMPORT, url, str(first), str(count), "300"], cwd=CHECKOUT / "tests",
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            )
            for first, count in ranges
        ]  # fmt: skip
        for writer in writers:
            assert writer.stdout is not None and writer.stdout.readline() == "ready\n"
        for writer in writers:
            assert writer.stdin is not None
            writer.stdin.write("go\n")
            writer.stdin.flush()
        ends = [writer.communicate(timeout=120) for writer in writers]
        assert [writer.returncode for writer in writers] == [0] * 5, ends
        with Store(url) as store:
            assert sum(int(told) for told, _ in ends) == 4000  # each was new to exactly one of them
            together = held(store)
        with Store(f"sqlite:///{tmp_path}/alone.db") as alone:
            importer(alone).run(Numbered(CHECKOUT / "params.yaml", 0, 4000), Path("/nonexistent"))
            assert held(alone) == together
        assert len(together["events"]) == len({row[2] for row in together["events"]}) == 4000

    def test_of_flags_wait_for_who_is_being_forgotten(self, store):
        """Else a flag of that listener, found a moment before, would come in a moment after."""
        take(store, [play("ann")])
        flag = threading.Thread(target=store.flag, args=(store.day_versions(), [(NOON_DAY, number_of("ann"), "busy")]))
        with store.engine.execution_options(writes=True).begin() as forgetting:
            if forgetting.dialect.name == "postgresql":
                forgetting.exec_driver_sql("LOCK TABLE forgotten IN EXCLUSIVE MODE")
            flag.start()
            flag.join(0.5)
            assert flag.is_alive()
        flag.join()

    def test_in_threads_of_one_process_on_one_day_lose_nothing_and_double_nothing(self, url):
        problems: list[BaseException] = []

        def told(offset: int, part: int) -> list[tuple[int, int]]:
            return [(NOON_US + (offset + part * 20 + n) * SECOND_US, n % 5) for n in range(40)]

        with Store(url) as store:
            store.use_key(KEY)

        def write(offset: int) -> None:
            try:
                with Store(url) as store:
                    for part in range(8):
                        rows = [play(at_us=at_us, number=number) for at_us, number in told(offset, part)]
                        take(store, rows[::-1] if offset % 20 else rows)
            except BaseException as problem:
                problems.append(problem)

        threads = [threading.Thread(target=write, args=(offset,)) for offset in (0, 10, 20, 30)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert problems == []
        expected = set().union(*(told(offset, part) for offset in (0, 10, 20, 30) for part in range(8)))
        with Store(url) as store:
            numbers = {row[0]: int(row[2].removeprefix("song ")) for row in rows_of(store, "songs")}
            assert sorted((row[2], numbers[row[4]]) for row in rows_of(store, "events")) == sorted(expected)


class TestSuperseding:
    def test_takes_out_exactly_what_the_exact_source_tells_within_the_resolution(self, sqlite):
        """Coarse plays at each second of two minutes; an exact one stands for those of the minute before it."""

        class Coarse(Told):
            name = "coarse"

        named = song(key="title 1 by artist 1")  # the same song, told apart otherwise
        offsets = range(-90, 31)
        take(sqlite, [play(at_us=NOON_US + s * SECOND_US, ms_played=7, song=named) for s in offsets], source=Coarse)
        take(sqlite, [play(ms_played=7), play("bob", NOON_US - 70 * SECOND_US, ms_played=7), play(ms_played=8)])
        removed = sqlite.supersede("coarse", "told", [number_of("ann"), number_of("bob")], 60 * SECOND_US)
        left = {(row[2] - NOON_US) // SECOND_US for row in rows_of(sqlite, "events") if row[5] == "coarse"}
        assert left == set(offsets) - set(range(-59, 1))
        assert removed == 60

    def test_is_for_as_many_listeners_as_there_are(self, sqlite):
        class Coarse(Told):
            name = "coarse"

        for source, named in ((Coarse, song(key="otherwise")), (Told, song())):
            rows = [play(f"no. {number}", NOON_US - number % 9_000 * DAY_US, song=named) for number in range(40_000)]
            take(sqlite, rows, source=source)
        numbers = [number_of(f"no. {number}") for number in range(40_000)]
        assert sqlite.supersede("coarse", "told", numbers, 60 * SECOND_US) == 40_000
