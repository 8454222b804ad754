"""Excerpts of concurrent requests computed together: as many as wait when there is room, counted in excerpts.

Nothing ever waits for company: while one batch is computed the next one gathers, so batches grow with the load and a
lone request goes at once. BentoML's own dispatcher counts requests where it waits, not excerpts, and holds them back by
what they waited before; under load 1.15 times as many songs are answered this way (`bench/batching.py`).
"""

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


class _Waiting(NamedTuple):
    excerpts: Floats
    answer: "asyncio.Future[Floats]"


class Batcher:
    """Computes what comes in while a computation runs in one go, in order of arrival.

    Args:
        compute: ``(n, mels, frames)`` to ``(n, width)``; each row by its own excerpt alone.
        executor: Where it runs.
        most: Excerpts in a batch; a recording with more goes alone.
        lanes: Batches at a time.
        observe: Told the size of each batch.
    """

    def __init__(
        self,
        compute: Callable[[Floats], Floats],
        executor: Executor,
        *,
        most: int,
        lanes: int = 1,
        observe: Callable[[float], object] = lambda size: None,
    ) -> None:
        self._compute, self._executor = compute, executor
        self._most, self._lanes, self._observe = most, lanes, observe
        self._queue: deque[_Waiting] = deque()
        self._running = 0

    async def __call__(self, excerpts: Floats) -> Floats:
        """What is computed of ``excerpts``, shape ``(n, width)``.

        Raises:
            Exception: What the computation of these very excerpts raises; others in the batch do not suffer from it.
        """
        answer: asyncio.Future[Floats] = asyncio.get_running_loop().create_future()
        self._queue.append(_Waiting(excerpts, answer))
        self._start()
        return await answer

    def _start(self) -> None:
        while self._running < self._lanes and (batch := self._gathered()):
            self._running += 1
            self._observe(sum(len(each.excerpts) for each in batch))
            task = asyncio.ensure_future(self._run(batch))
            task.add_done_callback(self._ended)

    def _gathered(self) -> list[_Waiting]:
        batch: list[_Waiting] = []
        size = 0
        while self._queue:
            if self._queue[0].answer.done():  # its request was given up
                self._queue.popleft()
                continue
            size += len(self._queue[0].excerpts)
            if batch and size > self._most:
                break
            batch.append(self._queue.popleft())
        return batch

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._running -= 1
        if not task.cancelled():
            task.exception()
        self._start()

    async def _run(self, batch: list[_Waiting]) -> None:
        loop = asyncio.get_running_loop()
        try:
            whole = batch[0].excerpts if len(batch) == 1 else np.concatenate([each.excerpts for each in batch])
            told = await loop.run_in_executor(self._executor, self._compute, whole)
        except Exception as error:
            if len(batch) == 1:
                _settle(batch[0].answer, error)
                return
            for each in batch:  # one of them may have spoilt it for the others
                await self._run([each])
            return
        start = 0
        for each in batch:
            _settle(each.answer, told[start : start + len(each.excerpts)])
            start += len(each.excerpts)


def _settle(answer: "asyncio.Future[Floats]", outcome: Floats | Exception) -> None:
    if answer.done():
        return
    if isinstance(outcome, Exception):
        answer.set_exception(outcome)
    else:
        answer.set_result(outcome)
