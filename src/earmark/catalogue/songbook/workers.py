"""Several processes that work through a list and hand the results back in its order."""

import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from earmark.workers import cores, end_with_parent

Item = TypeVar("Item")
Result = TypeVar("Result")


@contextmanager
def mapping(
    function: Callable[[Item], Result], *, processes: int | None = None
) -> Iterator[Callable[[Iterable[Item]], Iterable[Result]]]:
    """Give a ``map`` with ``function`` over ``processes`` at a time: by default one a core; 1 stays in this process."""
    processes = processes or cores()
    if processes == 1:
        yield lambda items: map(function, items)
        return
    # Spawned, not forked: a fork hangs when a library has started threads.
    pool = ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn"), initializer=end_with_parent)
    try:
        yield lambda items: pool.map(function, items)
    finally:
        pool.shutdown(cancel_futures=True)
