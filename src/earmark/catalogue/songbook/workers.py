"""Several processes that work through a list and hand the results back in its order."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from earmark.workers import Workers, cores

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
    with Workers(processes) as pool:
        yield lambda items: pool.map(function, items)
