"""What the system lets a decoder have: FFmpeg is large, and some file will find the fault in it.

On Linux a decoder also ends with the nursery that it came from, which ends with the service, however that ended.
Elsewhere a decoder at work ends a little later, with its file; and macOS does not limit the memory of a process.
"""

import ctypes
import os
import resource
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

_MIB = 1 << 20
_MOST_DESCRIPTORS = 32
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38
_LINUX = sys.platform.startswith("linux")


def confine(*, memory_mib: int, nursery: int) -> None:
    """Take from this process what a decoder does not need.

    Args:
        memory_mib: What it may take beyond what it has now; a file that it writes in memory may be as large.
        nursery: The process id of its parent, with which it ends.
    """
    _set(resource.RLIMIT_CORE, 0)
    _set(resource.RLIMIT_NOFILE, _MOST_DESCRIPTORS)
    _set(resource.RLIMIT_FSIZE, memory_mib * _MIB)
    if not _LINUX:
        return
    _set(resource.RLIMIT_AS, _pages(0) * resource.getpagesize() + memory_mib * _MIB)
    with suppress(OSError):  # out of memory, the kernel should end a decoder, not the service
        Path("/proc/self/oom_score_adj").write_text("1000")
    system = ctypes.CDLL(None, use_errno=True)
    system.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    system.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != nursery:  # it ended before this could be asked for
        os._exit(1)


def allow_cpu(seconds: float) -> None:
    """From now on, this process may compute for so long; the last resort, when nobody is there to look at a clock."""
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    soft = int(time.process_time() + seconds) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))


def resident_mib() -> float:
    """Memory that this process occupies; 0 where the system does not say."""
    return _pages(1) * resource.getpagesize() / _MIB if _LINUX else 0.0


def silence() -> None:
    """Nothing that is printed here, by FFmpeg or by whom ever, reaches the service's log."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    os.close(nothing)


def _set(which: int, value: int) -> None:
    _, hard = resource.getrlimit(which)
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(which, (value, value))


def _pages(which: int) -> int:
    """Of /proc/self/statm: 0 the address space, 1 what is resident."""
    return int(Path("/proc/self/statm").read_text().split()[which])
