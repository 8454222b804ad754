"""Two who do the same at the same moment: what they do must not depend on being alone."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from threading import Barrier
from typing import Any


def twice_at_once(call: Callable[..., Any], *arguments: Any) -> list[Any]:
    """What ``call(*arguments)`` returns to two threads that call it together, each in this one's context."""
    together = Barrier(2)

    def come_in() -> Any:
        together.wait(30)
        return call(*arguments)

    with ThreadPoolExecutor(2) as pool:
        return [each.result() for each in [pool.submit(copy_context().run, come_in) for _ in range(2)]]
