"""The snapshot: the store as files for DVC, a file a day; what did not change stays as it is, to the inode."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from earmark.errors import FeedbackError
from earmark.feedback import door
from earmark.feedback.event import About
from earmark.feedback.identity import UNDATED
from earmark.feedback.snapshot import (
    EVENT_SCHEMA,
    FLAG_SCHEMA,
    LISTENER_SCHEMA,
    SCHEMAS,
    SONG_SCHEMA,
    Written,
    changed_days,
    check_snapshot,
    event_tables,
    table_of,
    write_snapshot,
)
from earmark.feedback.store import Store
from earmark.workspace import SILENCE, SNAPSHOTS
from feedback_tools import (
    DAY_US,
    NOON_DAY,
    NOON_US,
    NOW_US,
    SECOND_US,
    like,
    new_address,
    number_of,
    play,
    refusing,
    rows_of,
    song,
    take,
)
from postgresql_server import DATABASES
from scratch import CHECKOUT

NOTHING = CHECKOUT / SNAPSHOTS / SILENCE
DAYS = ("events/2026/2026-11-18.parquet", "events/2026/2026-11-19.parquet", "events/2026/2026-11-20.parquet")
BUSY = refusing("plays", 2, suite="listening", rule="busy")


@pytest.fixture
def store(tmp_path):
    with Store(f"sqlite:///{tmp_path}/feedback.db", name="the tests'") as opened:
        yield opened


def three_days() -> list:
    """Two listeners on three days, something without a time, and a day that is flagged."""
    rows = [play(who, NOON_US - n * DAY_US, n, about=About(34, "f", "NO")) for who in ("ann", "bob") for n in range(3)]
    return [*rows, like("ann"), *(play("eve", NOON_US + n * SECOND_US, n) for n in range(3))]


def files(folder: Path) -> dict[str, tuple[int, int]]:
    """Inode and time of each file, by its place."""
    return {
        file.relative_to(folder).as_posix(): (file.stat().st_ino, file.stat().st_mtime_ns)
        for file in sorted(folder.rglob("*")) if file.is_file()
    }  # fmt: skip


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in files(folder) if name.endswith(".parquet")}


def differ(before: dict[str, Any], after: dict[str, Any]) -> set[str]:
    return {name for name in {*before, *after} if before.get(name) != after.get(name)}


def snapshot(store: Any, folder: Path) -> set[str]:
    """Write it; which of its tables are new, changed or gone, as seen on disk, and as it says itself."""
    before = files(folder)
    written = write_snapshot(store, folder)
    after = files(folder)
    touched = {name for name in differ(before, after) if name.endswith(".parquet")}
    gone = touched - set(after)
    days = sum(name.startswith("events/") for name in after)
    assert written == Written(days, len(touched - gone), len(gone))
    return touched


def is_what_the_store_holds(folder: Path, store: Store) -> None:
    """Row by row, by another way than that in which the snapshot is made."""
    columns = ["event_id", "at_us", "listener_id", "song_id", "source", "kind", "ms_played", "value", "word", "times"]
    told = [
        (day, *row.values()) for day, table in event_tables(folder) for row in table.select(columns).to_pylist()
    ]  # fmt: skip
    assert sorted(told, key=str) == sorted((row[:11] for row in rows_of(store, "events")), key=str)
    for name in ("songs", "listeners", "flags"):
        found = [tuple(row.values()) for row in pq.read_table(folder / f"{name}.parquet").to_pylist()]
        assert found == rows_of(store, name)


class TestASnapshot:
    def test_is_a_file_for_each_day_and_one_for_what_has_no_time(self, store, tmp_path):
        take(store, three_days(), judge=BUSY)
        assert write_snapshot(store, tmp_path / "s") == Written(days=4, changed=7, removed=0)
        assert set(files(tmp_path / "s")) == {
            *DAYS, "events/undated.parquet", "songs.parquet", "listeners.parquet", "flags.parquet", "snapshot.json",
        }  # fmt: skip
        is_what_the_store_holds(tmp_path / "s", store)
        flags = pq.read_table(tmp_path / "s" / "flags.parquet").to_pylist()
        assert flags == [{"day": NOON_DAY, "listener_id": number_of("eve"), "rule": "busy"}]

    def test_is_read_back_day_by_day_what_has_no_time_first(self, store, tmp_path):
        take(store, three_days())
        write_snapshot(store, tmp_path / "s")
        assert [day for day, _ in event_tables(tmp_path / "s")] == [UNDATED, NOON_DAY - 2, NOON_DAY - 1, NOON_DAY]
        assert [len(table) for _, table in event_tables(tmp_path / "s")] == [1, 2, 2, 5]
        (_, first), *_ = event_tables(tmp_path / "s", columns=["times", "kind"])
        assert first.column_names == ["times", "kind"]

    def test_has_the_schema_that_it_says_though_a_column_is_empty(self, store, tmp_path):
        take(store, [play(ms_played=None)])
        write_snapshot(store, tmp_path / "s")
        for name, schema in (
            (DAYS[2], EVENT_SCHEMA), ("songs.parquet", SONG_SCHEMA), ("listeners.parquet", LISTENER_SCHEMA),
            ("flags.parquet", FLAG_SCHEMA),
        ):  # fmt: skip
            assert pq.read_schema(tmp_path / "s" / name).remove_metadata() == schema

    def test_of_an_empty_store_is_one_too(self, store, tmp_path):
        assert write_snapshot(store, tmp_path / "s") == Written(0, 3, 0)
        assert list(event_tables(tmp_path / "s")) == []
        assert [len(table_of(tmp_path / "s", name)) for name in SCHEMAS] == [0, 0, 0]

    def test_that_the_project_begins_with_has_none_of_the_files(self):
        assert list(event_tables(NOTHING)) == []
        for name, schema in SCHEMAS.items():
            assert table_of(NOTHING, name).equals(schema.empty_table())

    def test_that_lacks_one_is_an_error(self, store, tmp_path):
        take(store, [play()])
        write_snapshot(store, tmp_path / "s")
        (tmp_path / "s" / "flags.parquet").unlink()
        with pytest.raises(FeedbackError, match=r"lacks flags\.parquet.*dvc checkout"):
            table_of(tmp_path / "s", "flags.parquet")

    def test_that_is_not_there_is_an_error_that_says_what_makes_one(self, tmp_path):
        with pytest.raises(FeedbackError, match=r"`dvc pull`.*earmark feedback snapshot"):
            check_snapshot(tmp_path)
        with pytest.raises(FeedbackError, match="no snapshot"):
            list(event_tables(tmp_path))

    @pytest.mark.parametrize("name", DATABASES)
    def test_of_the_same_events_has_the_same_bytes_whatever_database_order_and_batches(
        self, store, tmp_path, request, name, monkeypatch
    ):
        request.param = name
        take(store, three_days(), judge=BUSY)
        write_snapshot(store, tmp_path / "one")
        write_snapshot(store, tmp_path / "again")
        monkeypatch.setattr(door, "BATCH", 2)
        with Store(new_address(request, tmp_path)) as other:
            for row in reversed(three_days()):
                take(other, [row], judge=BUSY)
            write_snapshot(other, tmp_path / "other")
        first = contents(tmp_path / "one")
        assert first == contents(tmp_path / "again") == contents(tmp_path / "other")
        assert len(first) == 7

    def test_of_one_song_told_in_several_ways_does_not_hang_on_the_hash_of_the_day(self, tmp_path):
        """Python hashes texts anew in each process; the songs' names must not follow it."""
        code = (
            "import sys; from pathlib import Path; from earmark.feedback.store import Store\n"
            "from earmark.feedback.snapshot import write_snapshot\n"
            "from feedback_tools import play, song, take\n"
            "with Store(f'sqlite:///{sys.argv[1]}.db') as store:\n"
            "    take(store, [play(at_us=n * 10**14, song=song(1, title=f'Title {n}')) for n in range(10, 18)])\n"
            "    write_snapshot(store, Path(sys.argv[1]))\n"
        )
        for seed in ("1", "2", "3"):
            subprocess.run(
                [sys.executable, "-c", code, str(tmp_path / seed)], cwd=CHECKOUT / "tests", check=True,
                capture_output=True, env={**os.environ, "PYTHONHASHSEED": seed},
            )  # fmt: skip
        assert contents(tmp_path / "1") == contents(tmp_path / "2") == contents(tmp_path / "3")
        assert pq.read_table(tmp_path / "1" / "songs.parquet")["title"].to_pylist() == ["Title 10"]


class TestTheNextOne:
    def test_of_an_unchanged_store_touches_nothing_at_all(self, store, tmp_path):
        take(store, three_days(), judge=BUSY)
        write_snapshot(store, tmp_path / "s")
        before = files(tmp_path / "s")
        take(store, three_days(), judge=BUSY, again=True)
        assert snapshot(store, tmp_path / "s") == set()
        assert files(tmp_path / "s") == before

    def test_with_a_new_day_leaves_all_old_days_alone_to_the_inode(self, store, tmp_path):
        take(store, three_days())
        write_snapshot(store, tmp_path / "s")
        before = files(tmp_path / "s")
        take(store, [play("ann", NOON_US + DAY_US)])
        assert snapshot(store, tmp_path / "s") == {"events/2026/2026-11-21.parquet"}
        assert differ(before, files(tmp_path / "s")) == {"events/2026/2026-11-21.parquet", "snapshot.json"}
        is_what_the_store_holds(tmp_path / "s", store)

    def test_with_a_late_event_writes_its_day_anew_and_no_other(self, store, tmp_path):
        take(store, three_days())
        write_snapshot(store, tmp_path / "s")
        before = files(tmp_path / "s")
        take(store, [play("zoe", NOON_US - DAY_US)])
        assert snapshot(store, tmp_path / "s") == {DAYS[1]}
        assert differ(before, files(tmp_path / "s")) == {DAYS[1], "snapshot.json"}
        is_what_the_store_holds(tmp_path / "s", store)

    def test_after_an_overlapping_import_says_only_what_really_changed(self, store, tmp_path):
        take(store, three_days())
        write_snapshot(store, tmp_path / "s")
        take(store, [*three_days(), play("zoe", NOON_US)])  # one batch, all days
        assert snapshot(store, tmp_path / "s") == {DAYS[2]}

    def test_with_a_new_song_or_a_changed_like_writes_that_anew(self, store, tmp_path):
        take(store, three_days())
        write_snapshot(store, tmp_path / "s")
        take(store, [like("ann", value=0.0)])
        assert snapshot(store, tmp_path / "s") == {"events/undated.parquet"}
        take(store, [play("ann", NOON_US, 99)])
        assert snapshot(store, tmp_path / "s") == {DAYS[2], "songs.parquet"}
        is_what_the_store_holds(tmp_path / "s", store)

    def test_after_a_flag_changed_has_the_flag(self, store, tmp_path):
        take(store, three_days())
        write_snapshot(store, tmp_path / "s")
        take(store, three_days(), judge=BUSY, again=True)
        assert changed_days(store, tmp_path / "s") == [NOON_DAY]
        assert snapshot(store, tmp_path / "s") == {"flags.parquet"}
        is_what_the_store_holds(tmp_path / "s", store)

    def test_of_a_store_that_forgot_somebody_has_lost_whose_days_those_were(self, store, tmp_path):
        take(store, [*three_days(), play("zoe", NOON_US + 9 * DAY_US), like("zoe", 5)])
        write_snapshot(store, tmp_path / "s")
        store.forget([number_of("zoe")], NOW_US)
        assert snapshot(store, tmp_path / "s") == {"events/2026/2026-11-29.parquet", "events/undated.parquet"}
        assert "events/2026/2026-11-29.parquet" not in files(tmp_path / "s")
        is_what_the_store_holds(tmp_path / "s", store)
        store.forget([number_of("ann")], NOW_US)
        assert snapshot(store, tmp_path / "s") == {*DAYS, "events/undated.parquet", "listeners.parquet"}
        assert "events/undated.parquet" not in files(tmp_path / "s")
        is_what_the_store_holds(tmp_path / "s", store)
        assert snapshot(store, tmp_path / "s") == set()

    def test_of_another_store_takes_the_place_of_all_that_was_there(self, store, tmp_path):
        take(store, three_days())
        write_snapshot(store, tmp_path / "s")
        with Store(f"sqlite:///{tmp_path}/other.db") as other:
            take(other, [play("zoe", NOON_US - 500 * DAY_US), play("zoe", NOON_US)])
            assert len(changed_days(other, tmp_path / "s")) == 2
            tables = {"songs.parquet", "listeners.parquet"}
            assert snapshot(other, tmp_path / "s") == {
                *DAYS,
                "events/undated.parquet",
                *tables,
                "events/2025/2025-07-08.parquet",
            }
            is_what_the_store_holds(tmp_path / "s", other)
        assert len(changed_days(store, tmp_path / "s")) == 4

    def test_writes_anew_what_somebody_removed_or_damaged(self, store, tmp_path):
        take(store, three_days())
        write_snapshot(store, tmp_path / "s")
        (tmp_path / "s" / DAYS[0]).unlink()
        assert snapshot(store, tmp_path / "s") == {DAYS[0]}
        (tmp_path / "s" / "songs.parquet").write_bytes(b"PAR1 half of a")
        (tmp_path / "s" / DAYS[1]).write_bytes(b"")
        (tmp_path / "s" / "snapshot.json").write_text('{"store"')
        assert snapshot(store, tmp_path / "s") == {"songs.parquet", DAYS[1]}
        is_what_the_store_holds(tmp_path / "s", store)

    def test_of_a_store_that_was_restored_from_a_backup_has_what_came_afterwards(self, tmp_path):
        """As many changes of the same days as before, but others."""
        file, backup = tmp_path / "feedback.db", tmp_path / "backup.db"
        with Store(f"sqlite:///{file}") as store:
            take(store, three_days())
        shutil.copy(file, backup)
        with Store(f"sqlite:///{file}") as store:
            take(store, [play("zoe")])
            write_snapshot(store, tmp_path / "s")
        shutil.copy(backup, file)
        with Store(f"sqlite:///{file}") as store:
            take(store, [play("max")])
            write_snapshot(store, tmp_path / "s")
            is_what_the_store_holds(tmp_path / "s", store)


class TestHowFarBehind:
    def test_it_is_counts_the_days_that_changed_since(self, store, tmp_path):
        assert len(changed_days(store, tmp_path / "s")) == 0
        take(store, three_days())
        assert len(changed_days(store, tmp_path / "s")) == 4
        write_snapshot(store, tmp_path / "s")
        assert len(changed_days(store, tmp_path / "s")) == 0
        take(store, [play("zoe"), like("zoe")])
        assert len(changed_days(store, tmp_path / "s")) == 2
        write_snapshot(store, tmp_path / "s")
        store.forget([number_of("zoe")], NOW_US)
        assert len(changed_days(store, tmp_path / "s")) == 2
        write_snapshot(store, tmp_path / "s")
        assert len(changed_days(store, tmp_path / "s")) == 0


class Busy:
    """A store to which somebody else adds just when its first day is read."""

    def __init__(self, store: Store, rows: list) -> None:
        self._store, self._rows, self.name = store, rows, store.name

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def events(self, day: int) -> Any:
        if self._rows:
            rows, self._rows = self._rows, []
            take(self._store, rows)
        return self._store.events(day)


class TestWhileSomebodyImports:
    def test_every_event_has_its_song_and_the_next_run_brings_the_rest(self, store, tmp_path):
        take(store, three_days())
        late = [play("zoe", NOON_US - n * DAY_US, 70 + n) for n in range(-1, 3)]
        write_snapshot(Busy(store, late), tmp_path / "s")
        songs = set(pq.read_table(tmp_path / "s" / "songs.parquet")["song_id"].to_pylist())
        heard = {number for _, table in event_tables(tmp_path / "s") for number in table["song_id"].to_pylist()}
        assert heard <= songs
        assert len(changed_days(store, tmp_path / "s")) == 4
        write_snapshot(store, tmp_path / "s")
        is_what_the_store_holds(tmp_path / "s", store)


class TestWhileSomebodySnapshots:
    def test_the_second_waits_and_what_the_first_had_read_before_a_change_does_not_stay(self, store, tmp_path):
        """As the flow and a command at once: the first has read a day, zoe is forgotten, the second has read it too."""
        take(store, [*three_days(), play("zoe")])

        class Slow(Busy):
            def events(self, day: int) -> Any:
                found = self._store.events(day)
                if day == NOON_DAY:
                    self._store.forget([number_of("zoe")], NOW_US)
                    second.start()
                    second.join(0.5)
                return found

        second = threading.Thread(target=write_snapshot, args=(store, tmp_path / "s"))
        write_snapshot(Slow(store, []), tmp_path / "s")
        second.join()
        is_what_the_store_holds(tmp_path / "s", store)
        assert changed_days(store, tmp_path / "s") == []


KILLED = """
import os, signal, sys
from pathlib import Path
import pyarrow.parquet as pq
from earmark.feedback.snapshot import write_snapshot
from earmark.feedback.store import Store
write, left = pq.write_table, int(sys.argv[3])
def dying(table, where, **how):
    global left
    if left == 0:
        Path(where).write_bytes(b"half a file")
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1
    write(table, where, **how)
pq.write_table = dying
with Store(sys.argv[1]) as store:
    write_snapshot(store, Path(sys.argv[2]))
"""


class TestKilledInTheMiddle:
    @pytest.mark.parametrize("after", [0, 2, 5])
    def test_it_is_gone_on_with_by_the_next_run_and_leaves_no_half_file_behind(self, store, tmp_path, after):
        take(store, three_days(), judge=BUSY)
        killed = subprocess.run(
            [sys.executable, "-c", KILLED, f"sqlite:///{tmp_path}/feedback.db", str(tmp_path / "s"), str(after)],
            capture_output=True,
        )
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        assert not (tmp_path / "s" / "snapshot.json").exists()
        assert any(name.endswith(".part") for name in files(tmp_path / "s"))
        done = {name: found for name, found in files(tmp_path / "s").items() if name.endswith(".parquet")}
        assert len(done) == after
        for name in done:
            pq.read_table(tmp_path / "s" / name)
        write_snapshot(store, tmp_path / "s")
        assert done.items() <= files(tmp_path / "s").items()  # what was whole is not written again
        assert not any(name.endswith(".part") for name in files(tmp_path / "s"))
        assert len(files(tmp_path / "s")) == 8
        is_what_the_store_holds(tmp_path / "s", store)

    def test_of_a_later_run_the_old_manifest_makes_the_next_one_look_again(self, store, tmp_path):
        take(store, three_days(), judge=BUSY)
        write_snapshot(store, tmp_path / "s")
        manifest = json.loads((tmp_path / "s" / "snapshot.json").read_text())
        take(store, [play("zoe", NOON_US - n * DAY_US, 8) for n in range(3)])
        subprocess.run(
            [sys.executable, "-c", KILLED, f"sqlite:///{tmp_path}/feedback.db", str(tmp_path / "s"), "2"],
            capture_output=True,
        )
        assert json.loads((tmp_path / "s" / "snapshot.json").read_text()) == manifest
        rest = {DAYS[2], "songs.parquet", "flags.parquet"}  # the two other days were whole
        assert snapshot(store, tmp_path / "s") == rest
        is_what_the_store_holds(tmp_path / "s", store)


def test_songs_are_those_of_the_store_in_order_of_their_numbers(store, tmp_path):
    take(store, [play(number=n, song=song(n, duration_s=n + 0.5)) for n in range(20)])
    write_snapshot(store, tmp_path / "s")
    numbers = pq.read_table(tmp_path / "s" / "songs.parquet")["song_id"].to_pylist()
    assert numbers == sorted(numbers) and len(numbers) == 20
