"""Processes that work for a parent: how many there should be, how they begin, and that they end with it."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from typing import Any


class Workers(ProcessPoolExecutor):
    """A pool of processes that leave Ctrl-C to their parent and end when it was killed.

    They are spawned, never forked: FFmpeg's and torch's threads do not survive a fork. Whoever leaves the ``with``
    block early, by an error or by Ctrl-C, waits for what has begun and for no more; a second Ctrl-C ends that too.

    Args:
        count: How many; by default one a core.
        start: What each of them calls first, with ``arguments``; to be sent to a process, so no closure.
        arguments: As above.
    """

    def __init__(self, count: int | None = None, start: Callable[..., None] | None = None, *arguments: Any) -> None:
        super().__init__(
            count or cores(),
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_begin,
            initargs=(start, *arguments),
        )

    def __exit__(self, *_: object) -> None:
        self.shutdown(cancel_futures=True)

    def submit(self, call: Callable[..., Any], /, *arguments: Any, **named: Any) -> Future[Any]:
        """As ever; a process that is started by this never hears the terminal's Ctrl-C: its parent decides."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            return super().submit(call, *arguments, **named)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """As ever; Ctrl-C meanwhile ends the processes, and is raised when they are gone.

        Not at once: Python up to 3.12 would then take the pool's thread for ended, and could hang at its exit.
        """
        if signal.getsignal(signal.SIGINT) is not signal.default_int_handler or not _in_main_thread():
            super().shutdown(wait, cancel_futures=cancel_futures)
            return
        interrupted = threading.Event()

        def end(*_: object) -> None:
            interrupted.set()
            for process in multiprocessing.active_children():
                process.kill()

        signal.signal(signal.SIGINT, end)
        try:
            super().shutdown(wait, cancel_futures=cancel_futures)
        finally:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        if interrupted.is_set():
            raise KeyboardInterrupt


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def one_torch_thread() -> None:
    """As many workers as cores, each with a thread of torch for every core, would be in each other's way."""
    import torch

    torch.set_num_threads(1)


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def _begin(start: Callable[..., None] | None, *arguments: Any) -> None:
    _end_with_parent()
    if start:
        start(*arguments)


def _end_with_parent() -> None:
    """A worker whose parent was killed would wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
