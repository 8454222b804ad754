"""How the C library gives memory back: not at once, for a worker asks for as much again with the next recording.

glibc takes every block of more than 128 KiB fresh from the system and gives it back when it is free. Each time, all its
pages have to be faulted in anew, which is a third of the time that descriptors take.
"""

import ctypes
import sys

_MMAP_THRESHOLD, _TRIM_THRESHOLD, _ARENA_MAX = -3, -1, -8  # as <malloc.h> numbers them
_KEPT_BYTES = 1 << 28
_ARENAS = 2  # each thread its own would keep as much of its own


def keep_memory() -> bool:
    """Let the process keep what it has freed, up to 256 MiB. Whether the C library knows how; elsewhere all stays."""
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:  # musl
        return False
    settings = {_MMAP_THRESHOLD: _KEPT_BYTES, _TRIM_THRESHOLD: _KEPT_BYTES, _ARENA_MAX: _ARENAS}
    taken = [mallopt(name, value) for name, value in settings.items()]
    return all(taken)
