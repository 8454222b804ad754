"""Requests a minute: exact over all processes, whatever happens to one of them, in a file that does not grow."""

import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earmark.serving.limits import RateLimited, RateTable, caller_of_address

MINUTE = 60_000_000_000


class Clock:
    """Nanoseconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 10**12

    def __call__(self) -> int:
        return self.now


def passed(
    path: str, tries: int, start: "multiprocessing.synchronize.Barrier", found: "multiprocessing.Queue[int]"
) -> None:
    table = RateTable(Path(path))
    start.wait(60)
    found.put(sum(table.wait_s("a", PER_MINUTE) == 0 for _ in range(tries)))


def hold_on(path: str, holds: "multiprocessing.synchronize.Event") -> None:
    table = RateTable(Path(path))
    with table._held():
        holds.set()
        time.sleep(600)


PER_MINUTE = 6_000
SPAWN = multiprocessing.get_context("spawn")


class TestOneCaller:
    def test_has_its_minute_at_once_and_then_one_at_a_time(self):
        clock = Clock()
        table = RateTable(None, clock=clock)
        assert [table.wait_s("a", 4) for _ in range(4)] == [0.0] * 4
        assert table.wait_s("a", 4) == 15.0
        clock.now += 15_000_000_000
        assert (table.wait_s("a", 4), table.wait_s("a", 4)) == (0.0, 15.0)
        clock.now += 10 * MINUTE  # waiting longer than a minute saves nothing up
        assert [table.wait_s("a", 4) == 0 for _ in range(6)] == [True] * 4 + [False] * 2

    def test_asking_too_early_makes_nothing_later(self):
        clock = Clock()
        table = RateTable(None, clock=clock)
        table.wait_s("a", 1)
        assert [table.wait_s("a", 1) for _ in range(50)] == [60.0] * 50

    def test_others_do_not_matter_and_zero_is_no_limit(self):
        table = RateTable(None, clock=Clock())
        assert [table.wait_s(f"caller {n}", 1) for n in range(100)] == [0.0] * 100
        assert {table.wait_s("a", 0) for _ in range(100)} == {0.0}

    @settings(max_examples=150, deadline=None)
    @given(per_minute=st.integers(1, 40), gaps=st.lists(st.integers(0, 20_000_000_000), max_size=120))
    def test_hears_the_truth_about_when_to_come_back_and_never_gets_more_than_its_share(self, per_minute, gaps):
        clock = Clock()
        table = RateTable(None, clock=clock)
        times = []
        for gap in gaps:
            clock.now += gap
            wait = table.wait_s("a", per_minute)
            if wait:
                before = clock.now
                clock.now = before + int(wait * 1e9) - 1_000
                assert table.wait_s("a", per_minute) > 0
                clock.now = before + int(wait * 1e9) + 1_000
                assert table.wait_s("a", per_minute) == 0
            times.append(clock.now)
        # Counted the other way round: in any stretch of time, a minute's worth and what that time gives, not one more.
        for first in range(0, len(times), 7):
            for last in range(first, len(times), 5):
                seconds = (times[last] - times[first]) / 1e9
                assert last - first + 1 <= per_minute + seconds * per_minute / 60 + 1e-3


class TestSharedTable:
    def test_processes_together_let_exactly_a_minutes_worth_pass(self, tmp_path):
        start, found = SPAWN.Barrier(4), SPAWN.Queue()
        workers = [
            SPAWN.Process(target=passed, args=(str(tmp_path / "rates"), PER_MINUTE // 2, start, found))
            for _ in range(3)
        ]
        for worker in workers:
            worker.start()
        start.wait(60)
        began = time.monotonic()
        counts = [found.get(timeout=60) for _ in workers]
        seconds = time.monotonic() - began
        for worker in workers:
            worker.join(60)
        assert PER_MINUTE <= sum(counts) <= PER_MINUTE + seconds * PER_MINUTE / 60 + 1

    def test_a_killed_process_holds_nobody_up_and_what_it_counted_stays(self, tmp_path):
        table = RateTable(tmp_path / "rates")
        for _ in range(3):
            table.wait_s("a", 3)
        holds = SPAWN.Event()
        worker = SPAWN.Process(target=hold_on, args=(str(tmp_path / "rates"), holds))
        worker.start()
        assert holds.wait(60)
        os.kill(worker.pid, signal.SIGKILL)
        worker.join(60)
        began = time.monotonic()
        assert table.wait_s("a", 3) > 0
        assert time.monotonic() - began < 0.04

    def test_a_process_that_stands_still_holds_up_for_a_moment_only(self, tmp_path):
        table = RateTable(tmp_path / "rates")
        holds = SPAWN.Event()
        worker = SPAWN.Process(target=hold_on, args=(str(tmp_path / "rates"), holds))
        worker.start()
        try:
            assert holds.wait(60)
            began = time.monotonic()
            assert table.wait_s("a", 3) == 0
            assert time.monotonic() - began < 2
        finally:
            worker.kill()
            worker.join(60)

    def test_costs_less_than_fifty_microseconds(self, tmp_path):
        table = RateTable(tmp_path / "rates")
        times = []
        for _ in range(2_000):
            began = time.perf_counter()
            table.wait_s("a", 10**6)
            times.append(time.perf_counter() - began)
        assert sorted(times)[len(times) // 2] < 50e-6

    def test_does_not_grow_and_gives_old_places_away(self, tmp_path):
        clock = Clock()
        table = RateTable(tmp_path / "rates", clock=clock)
        size = (tmp_path / "rates").stat().st_size
        for number in range(100_000):  # half as many again as there are places
            table.wait_s(f"address {number}", 5)
        clock.now += 2 * MINUTE
        assert {table.wait_s(f"caller {number}", 5) for number in range(1_000)} == {0.0}
        assert (tmp_path / "rates").stat().st_size == size < 2_000_000

    def test_holds_no_address(self, tmp_path):
        RateTable(tmp_path / "rates").wait_s("address 192.0.2.77", 5)
        assert b"192.0.2" not in (tmp_path / "rates").read_bytes()

    def test_outlives_a_machine_that_starts_anew_with_its_clock_at_zero(self, tmp_path):
        before, after = Clock(), Clock()
        before.now, after.now = 10**18, 10**9
        old = RateTable(tmp_path / "rates", clock=before)
        old.wait_s("a", 1)
        old.close()
        assert RateTable(tmp_path / "rates", clock=after).wait_s("a", 1) == 0

    def test_damage_within_hurts_no_caller_for_longer_than_a_minute(self, tmp_path):
        table, clock = RateTable(tmp_path / "rates"), Clock()
        table.close()
        with (tmp_path / "rates").open("r+b") as file:
            file.seek(64)
            file.write(os.urandom((tmp_path / "rates").stat().st_size - 64))
        table = RateTable(tmp_path / "rates", clock=clock)
        assert {table.wait_s(f"caller {n}", 1) for n in range(500)} == {0.0}

    @pytest.mark.parametrize("content", [b"something else", bytes(1_572_928)])
    def test_what_is_no_table_is_left_alone_and_the_log_says_that_each_worker_counts_by_itself(
        self, tmp_path, content, caplog
    ):
        (tmp_path / "rates").write_bytes(content)
        table = RateTable(tmp_path / "rates")
        assert [table.wait_s("a", 1) == 0 for _ in range(2)] == [True, False]
        assert (tmp_path / "rates").read_bytes() == content
        assert "each worker by itself" in caplog.text


class TestRateLimited:
    @pytest.mark.parametrize(("wait_s", "told"), [(0.001, 1), (1.0, 1), (1.2, 2), (59.01, 60)])
    def test_whole_seconds_are_told_after_which_there_is_room(self, wait_s, told):
        assert RateLimited(5, wait_s).retry_after_s == told


class TestCallerOfAddress:
    def test_an_ipv6_customer_is_one_caller_whichever_of_its_addresses_it_takes(self):
        assert caller_of_address("2001:db8:1:2::1") == caller_of_address("2001:db8:1:2:ffff::9")
        assert caller_of_address("2001:db8:1:2::1") != caller_of_address("2001:db8:1:3::1")

    def test_an_ipv4_address_is_one_however_it_is_written(self):
        assert caller_of_address("::ffff:192.0.2.1") == caller_of_address("192.0.2.1") != caller_of_address("192.0.2.2")

    def test_no_address_is_a_caller_too(self):
        assert caller_of_address(None) == caller_of_address(None)
