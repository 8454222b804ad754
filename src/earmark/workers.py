"""What processes that work for a parent have in common: how many there should be, and that they end with it."""

import multiprocessing
import os
import threading


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def end_with_parent() -> None:
    """To be called in a worker: one whose parent was killed would wait for work for ever; this lets it end too."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
