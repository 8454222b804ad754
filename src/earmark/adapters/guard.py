"""The guard: a small process between earmark and a program it starts, so that nothing outlives earmark.

`processes.py` starts ``python guard.py PARENT GRACE COMMAND…``. The guard runs the command in a session of its own and
passes its exit code on. When it is told to stop (SIGTERM), or earmark is gone (even by kill -9), it ends the command
with all its descendants: SIGTERM first, SIGKILL for what is left after GRACE seconds, at once when told twice. It
imports the standard library alone, so that it starts in 20 ms, and runs as a script, never as a part of the package.
"""

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from types import FrameType

LOOK_SECONDS = 0.3
_SET_PDEATHSIG, _SET_CHILD_SUBREAPER = 1, 36  # <linux/prctl.h>
_STOP = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Guard:
    """One command and its descendants."""

    def __init__(self, parent: int, grace_seconds: float, command: list[str]) -> None:
        self.parent = parent
        self.grace_seconds = grace_seconds
        self.told_to_stop = 0
        self.exit_code: int | None = None
        self.wake, write_end = os.pipe()
        os.set_blocking(write_end, False)
        signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
        for number in _STOP:
            signal.signal(number, self._count)
        signal.signal(signal.SIGCHLD, _nothing)
        _prctl(_SET_CHILD_SUBREAPER, 1)  # orphans among the descendants become this process's children
        self.child = subprocess.Popen(command, start_new_session=True, preexec_fn=_prepare_child)

    def run(self) -> int:
        """Wait for the command's end, or bring it about. Returns the exit code, 128 + signal for a killed command."""
        while self.exit_code is None and not self.told_to_stop and os.getppid() == self.parent:
            self._look(LOOK_SECONDS)
        deadline = time.monotonic() + (self.grace_seconds if self.exit_code is None else 1.0)
        self._signal_all(signal.SIGTERM)
        while self._descendants() and self.told_to_stop < 2 and time.monotonic() < deadline:
            self._look(0.05)
        while self._descendants():
            self._signal_all(signal.SIGKILL)
            self._look(0.05)
        return self.exit_code if self.exit_code is not None else 128 + signal.SIGKILL

    def _look(self, seconds: float) -> None:
        """Sleep until a signal or for ``seconds``, then take leave of every child that has ended."""
        if select.select([self.wake], [], [], seconds)[0]:
            os.read(self.wake, 4096)
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                if ended[0] == self.child.pid:
                    code = os.waitstatus_to_exitcode(ended[1])
                    self.exit_code = self.child.returncode = code if code >= 0 else 128 - code

    def _descendants(self) -> list[int]:
        """Children still there: the command, and orphans it left (their own children follow when they are gone)."""
        try:
            with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as file:  # noqa: PTH123
                return [int(pid) for pid in file.read().split()]
        except OSError:  # not Linux: the command and its process group have to do
            return [self.child.pid] if self.exit_code is None else []

    def _signal_all(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.child.pid, number)
        for pid in self._descendants():
            if pid != self.child.pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)

    def _count(self, number: int, frame: FrameType | None) -> None:
        self.told_to_stop += 1


def _nothing(number: int, frame: FrameType | None) -> None:
    """Only wakes the select."""


def _prepare_child() -> None:
    for number in _STOP:
        signal.signal(number, signal.SIG_DFL)
    _prctl(_SET_PDEATHSIG, signal.SIGTERM)  # should the guard itself be killed


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def main(parent: str, grace_seconds: str, *command: str) -> int:
    """Guard ``command``."""
    try:
        guard = Guard(int(parent), float(grace_seconds), list(command))
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", flush=True)
        return 127
    return guard.run()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
