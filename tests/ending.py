"""Processes that must be gone: what was stopped or killed may leave none behind."""

import os
import signal
import time


def all_end(session: int, *, seconds: float = 30.0) -> bool:
    """Whether every process of the session is gone in time; those that are not are ended here."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            os.killpg(session, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    os.killpg(session, signal.SIGKILL)
    return False
