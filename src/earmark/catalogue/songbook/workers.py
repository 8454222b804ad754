"""Several processes that work through a list and hand the results back in its order."""

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


@contextmanager
def mapping(
    function: Callable[[Item], Result], *, processes: int | None = None
) -> Iterator[Callable[[Iterable[Item]], Iterable[Result]]]:
    """Give a ``map`` with ``function`` over ``processes`` at a time: by default one a core; 1 stays in this process."""
    processes = processes or _cores()
    if processes == 1:
        yield lambda items: map(function, items)
        return
    # Spawned, not forked: a fork hangs when a library has started threads.
    pool = ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn"), initializer=_end_with_parent)
    try:
        yield lambda items: pool.map(function, items)
    finally:
        pool.shutdown(cancel_futures=True)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _end_with_parent() -> None:
    """A worker whose parent was killed would wait for work for ever; this lets it end too."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
