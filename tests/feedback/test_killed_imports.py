"""Importers and servers killed in the middle: the same import once more, and exactly what should be there is."""

import functools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest

import postgresql_server
from earmark.errors import FeedbackError
from earmark.feedback import door
from earmark.feedback.store import Store
from feedback_tools import (
    KEY,
    Numbered,
    column_of,
    held,
    importer,
    lenient,
    new_address,
    number_of,
    refusing,
    rows_of,
)
from postgresql_server import DATABASES
from scratch import CHECKOUT

ROWS = 3_000
BUSY = refusing("plays", 12, suite="listening", rule="busy")  # of Numbered's forty listeners half have more each day

# The importer as a process of its own. It dies by its own hand when ``moment`` comes for the n-th time, or goes slowly.
IMPORTER = """
import os, signal, sys, time
from pathlib import Path
from earmark.feedback import door, store
from feedback_tools import Numbered, importer, refusing
url, first, count, moment, n, pause = sys.argv[1:]
first, count, n, pause = int(first), int(count), int(n), float(pause)
door.BATCH = 200

def dies_before(owner, name, applies=lambda *given: True):
    act, left = getattr(owner, name), n
    def dying(*given, **named):
        nonlocal left
        if applies(*given):
            left -= 1
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)
        return act(*given, **named)
    setattr(owner, name, dying)

if moment == "inside":  # of a transaction that has written its songs and events already
    dies_before(store, "_insert", lambda connection, table, *_: table.name == "days")
elif moment != "never":
    dies_before(store.Store, moment)

class Slow(Numbered):
    def rows(self, part):
        for number, row in enumerate(super().rows(part)):
            if pause and number % 100 == 0:
                time.sleep(pause)
            yield row

with store.Store(url) as opened:
    run = importer(opened, refusing("plays", 12, suite="listening", rule="busy")).run
    print(run(Slow(Path("feedback_tools.py"), first, count), Path("/nonexistent")).new)
"""


def process(url: str, first: int = 0, count: int = ROWS, *, dies: str = "never", n: int = 0, pause: float = 0) -> Any:
    return subprocess.Popen(
        [sys.executable, "-c", IMPORTER, url, str(first), str(count), dies, str(n), str(pause)],
        cwd=CHECKOUT / "tests", stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def ended(importing: Any) -> int:
    """How many events were new to it."""
    said, complaint = importing.communicate(timeout=120)
    assert importing.returncode == 0, complaint[-3000:]
    return int(said)


@functools.cache
def undisturbed(count: int) -> dict[str, list]:
    """What a store holds into which the same was imported without any trouble, in one go."""
    with tempfile.TemporaryDirectory() as folder, Store(f"sqlite:///{folder}/feedback.db") as store:
        again(store, count)
        return held(store)


def again(store: Store, count: int = ROWS) -> int:
    """The same import, to its end; how many events were new."""
    return importer(store, BUSY).run(Numbered(CHECKOUT / "params.yaml", 0, count), Path("/nonexistent")).new


def has_all_and_nothing_twice(store: Store, count: int = ROWS) -> None:
    """Asked of the numbers that made the events, and beside a store that had no trouble."""
    expected = sorted((play.at_us, number_of(play.listener)) for play in map(Numbered.play, range(count)))
    assert sorted(zip(column_of(store, "events", "at_us"), column_of(store, "events", "listener_id"), strict=True)) == (
        expected
    )
    assert held(store) == undisturbed(count)
    assert len(rows_of(store, "flags")) > count // 500 * 10


class TestAnImporter:
    @pytest.fixture(params=DATABASES)
    def url(self, request, tmp_path) -> str:
        return new_address(request, tmp_path)

    @pytest.mark.parametrize(
        "moment, n, there",
        [("add", 1, 0), ("inside", 1, 0), ("inside", 8, 1400), ("add", 10, 1800), ("listening", 1, ROWS),
         ("flag", 1, ROWS), ("finish", 1, ROWS)],
    )  # fmt: skip
    def test_killed_with_minus_nine_leaves_whole_batches_and_the_next_one_adds_the_rest(self, url, moment, n, there):
        killed = process(url, dies=moment, n=n)
        killed.communicate(timeout=120)
        assert killed.returncode == -signal.SIGKILL
        with Store(url) as store:
            assert len(rows_of(store, "events")) == there
            assert rows_of(store, "imports") == []  # so that nothing is passed over
            assert again(store) == ROWS - there
            has_all_and_nothing_twice(store)
            assert len(rows_of(store, "imports")) == 1

    def test_killed_again_and_again_at_any_moment_comes_to_its_end_at_last(self, url):
        with Store(url) as store:
            store.use_key(KEY)
            for least in (200, 800, 2000):
                importing = process(url, pause=0.02)
                wait_until(lambda least=least: len(rows_of(store, "events")) >= least)
                importing.kill()
                importing.communicate()
            assert 2000 <= len(rows_of(store, "events")) < ROWS
            again(store)
            has_all_and_nothing_twice(store)

    def test_killed_beside_others_holds_none_of_them_up(self, url):
        """It dies in the middle of a transaction, with what it has written locked."""
        with Store(url) as store:
            store.use_key(KEY)
        writers = [process(url, 0, 2000, pause=0.005), process(url, 1000, 1000, pause=0.005)]
        doomed = process(url, 500, 2500, dies="inside", n=4)  # five of its batches are its own, however late it is
        doomed.communicate(timeout=120)
        assert doomed.returncode == -signal.SIGKILL
        for writer in writers:
            ended(writer)
        with Store(url) as store:
            again(store)
            has_all_and_nothing_twice(store)


def wait_until(there: Callable[[], bool], seconds: float = 60) -> None:
    latest = time.monotonic() + seconds
    while not there():
        assert time.monotonic() < latest
        time.sleep(0.02)


class Server:
    """A PostgreSQL of one test's own, to be killed and started again."""

    def __init__(self, folder: Path, running: postgresql_server.PostgreSQL) -> None:
        self.folder, self.port = folder, running.port
        self.url = "postgresql:" + running.database("feedback")

    def kill(self) -> None:
        """``kill -9`` of its first process; the others see that it is gone and end too."""
        os.kill(int((self.folder / "data" / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)

    def start(self) -> None:
        """Again, as soon as the last of the old processes is gone."""
        (program,) = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"))[-1:]
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c fsync=off -k {self.folder}"
        begin = [*(["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []), str(program), "start", "--wait"]
        begin += ["--pgdata", str(self.folder / "data"), "--log", str(self.folder / "log"), "--options", options]
        wait_until(
            lambda: subprocess.run(begin, cwd=self.folder, stdout=subprocess.DEVNULL).returncode == 0, seconds=30
        )  # fmt: skip

    def events(self) -> int:
        connection = psycopg2.connect(self.url)
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT count(*) FROM events")
                return int(cursor.fetchone()[0])
        finally:
            connection.close()

    def throw_everybody_out(self) -> None:
        """End every connection but one's own, as an administrator may."""
        connection = psycopg2.connect(self.url)
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
        connection.close()


@pytest.fixture
def server() -> Iterator[Server]:
    with tempfile.TemporaryDirectory(prefix="earmark-postgresql-") as folder:
        with postgresql_server.running(Path(folder)) as running:
            yield Server(Path(folder), running)
        shutil.rmtree(Path(folder) / "data", ignore_errors=True)


@pytest.mark.postgresql
class TestAServer:
    def test_killed_twice_under_three_importers_loses_and_doubles_nothing_and_none_of_them_fails(self, server):
        with Store(server.url) as store:
            store.use_key(KEY)
        writers = [process(server.url, first, 3000, pause=0.05) for first in (0, 1500, 3000)]
        for least in (1000, 4000):
            wait_until(lambda least=least: server.events() >= least)
            server.kill()
            time.sleep(0.5)
            server.start()
        for writer in writers:
            ended(writer)
        with Store(server.url) as store:
            has_all_and_nothing_twice(store, 6000)
        assert [ended(process(server.url, first, 3000)) for first in (0, 1500, 3000)] == [0, 0, 0]

    @pytest.mark.parametrize("how", ["kill -9", "terminate"])
    @pytest.mark.parametrize("moment", ["finished", "forgotten", "add", "listening", "flag", "finish"])
    def test_that_is_gone_at_any_moment_is_waited_for(self, server, moment, how, monkeypatch):
        monkeypatch.setattr(door, "BATCH", 500)
        real, restarts = getattr(Store, moment), []

        def first_without_server(store: Store, *given: Any, **named: Any) -> Any:
            if not restarts:
                if how == "terminate":
                    server.throw_everybody_out()
                    restarts.append(None)
                else:
                    server.kill()
                    restarts.append(threading.Thread(target=server.start))
                    restarts[0].start()
            return real(store, *given, **named)

        with Store(server.url) as store:
            run = importer(store, BUSY).run
            monkeypatch.setattr(Store, moment, first_without_server)
            result = run(Numbered(CHECKOUT / "params.yaml", 0, ROWS), Path("/nonexistent"))
            if restarts[0] is not None:
                restarts[0].join()
            assert result.told == ROWS
            has_all_and_nothing_twice(store)

    def test_that_stays_away_is_an_error_that_says_so_and_the_same_command_later_adds_the_rest(
        self, server, monkeypatch
    ):
        monkeypatch.setattr(door, "BATCH", 500)
        monkeypatch.setattr("earmark.feedback.store._WAITS_S", (0.01, 0.02))

        class Doomed(Numbered):
            def rows(self, part):
                for number, row in enumerate(super().rows(part)):
                    if number == 1600:
                        server.kill()
                    yield row

        with Store(server.url) as store:
            with pytest.raises(FeedbackError, match=r"cannot be used.*the same command again adds the rest") as raised:
                importer(store, lenient).run(Doomed(CHECKOUT / "params.yaml", 0, ROWS), Path("/nonexistent"))
            assert "postgresql://postgres@127.0.0.1" in str(raised.value)
            server.start()
            assert len(rows_of(store, "events")) == 1500
            assert again(store) == 1500
            has_all_and_nothing_twice(store)
