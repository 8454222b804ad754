"""Excerpts of concurrent requests are computed together; nobody waits for company, and nobody gets another's answer."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from earmark.serving.batching import Batcher


def excerpts(count, value):
    return np.full((count, 2, 3), value, dtype=np.float32)


class Computer:
    """Adds up each excerpt; may be held, and counts."""

    def __init__(self):
        self.sizes = []
        self.free = threading.Event()
        self.free.set()

    def __call__(self, batch):
        self.free.wait(10)
        self.sizes.append(len(batch))
        if np.isnan(batch).any():
            raise ValueError("not a number")
        return batch.sum(axis=(1, 2))[:, None]


@pytest.fixture
def computer():
    return Computer()


def run(work):
    with ThreadPoolExecutor(2) as executor:
        return asyncio.run(work(executor))


class TestBatches:
    def test_a_lone_request_goes_at_once_and_alone(self, computer):
        async def work(executor):
            return await Batcher(computer, executor, most=64)(excerpts(4, 1.0))

        assert run(work).tolist() == [[6.0]] * 4
        assert computer.sizes == [4]

    def test_what_comes_in_meanwhile_goes_together_and_each_gets_its_own(self, computer):
        async def work(executor):
            batcher = Batcher(computer, executor, most=64)
            computer.free.clear()
            first = asyncio.ensure_future(batcher(excerpts(2, 1.0)))
            await asyncio.sleep(0)
            others = [asyncio.ensure_future(batcher(excerpts(count, float(count)))) for count in (3, 5, 1)]
            await asyncio.sleep(0)
            computer.free.set()
            return [await each for each in (first, *others)]

        answers = run(work)
        assert computer.sizes == [2, 9]
        assert [len(each) for each in answers] == [2, 3, 5, 1]
        assert [each[0, 0] for each in answers] == [6.0, 18.0, 30.0, 6.0]

    def test_a_batch_holds_no_more_excerpts_than_it_may(self, computer):
        async def work(executor):
            batcher = Batcher(computer, executor, most=8)
            computer.free.clear()
            waiting = [asyncio.ensure_future(batcher(excerpts(count, 1.0))) for count in (1, 4, 4, 3, 20, 2)]
            await asyncio.sleep(0)
            computer.free.set()
            return await asyncio.gather(*waiting)

        run(work)
        assert computer.sizes == [1, 8, 3, 20, 2]

    def test_as_many_batches_at_a_time_as_there_are_lanes(self, computer):
        async def work(executor):
            batcher = Batcher(computer, executor, most=1, lanes=2)
            computer.free.clear()
            waiting = [asyncio.ensure_future(batcher(excerpts(1, 1.0))) for _ in range(3)]
            await asyncio.sleep(0.05)
            running = batcher._running
            computer.free.set()
            await asyncio.gather(*waiting)
            return running

        assert run(work) == 2

    def test_sizes_are_told(self, computer):
        told = []

        async def work(executor):
            await Batcher(computer, executor, most=8, observe=told.append)(excerpts(3, 1.0))

        run(work)
        assert told == [3]


class TestWhatGoesWrong:
    def test_a_bad_one_spoils_no_other(self, computer):
        async def work(executor):
            batcher = Batcher(computer, executor, most=64)
            computer.free.clear()
            waiting = [asyncio.ensure_future(batcher(excerpts(1, value))) for value in (0.0, 1.0, float("nan"), 2.0)]
            await asyncio.sleep(0)
            computer.free.set()
            return await asyncio.gather(*waiting, return_exceptions=True)

        first, second, bad, last = run(work)
        assert isinstance(bad, ValueError)
        assert [each[0, 0] for each in (first, second, last)] == [0.0, 6.0, 12.0]

    def test_what_was_given_up_is_not_computed(self, computer):
        async def work(executor):
            batcher = Batcher(computer, executor, most=64)
            computer.free.clear()
            first = asyncio.ensure_future(batcher(excerpts(1, 1.0)))
            await asyncio.sleep(0)
            given_up = asyncio.ensure_future(batcher(excerpts(7, 1.0)))
            last = asyncio.ensure_future(batcher(excerpts(2, 1.0)))
            await asyncio.sleep(0)
            given_up.cancel()
            await asyncio.sleep(0)
            computer.free.set()
            await first
            await last

        run(work)
        assert computer.sizes == [1, 2]
