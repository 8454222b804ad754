"""Decoders for a test, and what the system says of their processes."""

import asyncio
import os
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from earmark.serving.decoding import Decoders

RATE_HZ = 16_000
T = TypeVar("T")


def with_decoders(work: Callable[[Decoders], Awaitable[T]], count: int = 1, **settings: Any) -> T:
    """What ``work`` makes of decoders, which are closed afterwards."""

    async def all_of_it() -> T:
        async with started(count, **settings) as decoders:
            return await work(decoders)

    return asyncio.run(all_of_it())


@asynccontextmanager
async def started(count: int = 1, **settings: Any) -> AsyncIterator[Decoders]:
    decoders = Decoders(count, **{"max_seconds": 60.0, "timeout_s": 60.0} | settings)
    try:
        await decoders.start()
        yield decoders
    finally:
        await decoders.close()


def nursery_of(decoders: Decoders) -> int:
    """Process id of the decoders' parent."""
    return int(stat_of(decoders.pids[0])[3])


def stat_of(pid: int) -> list[str]:
    """The fields of /proc/PID/stat; empty where there is no such process."""
    try:
        content = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return []
    name_ends = content.rindex(")") + 1
    return [str(pid), content[:name_ends], *content[name_ends:].split()]


def alive(pid: int) -> bool:
    return bool(stat_of(pid)) and stat_of(pid)[2] not in "ZX"


def soon(condition: Callable[[], bool], seconds: float = 20.0) -> bool:
    """Whether it comes true in time."""
    until = time.monotonic() + seconds
    while not condition() and time.monotonic() < until:
        time.sleep(0.01)
    return condition()


def all_gone(pids: list[int]) -> bool:
    return soon(lambda: not any(alive(pid) for pid in pids))


def status_kib(pid: int, field: str) -> int:
    """A size out of /proc/PID/status, in KiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(f"{field}:")).split()[1])


def descriptors() -> int:
    """How many files this process has open."""
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208


def silent_wav(path: Path, seconds: float, rate_hz: int = 8_000) -> Path:
    """A long recording that takes no room: 16 bits, mono, all zeros in a sparse file."""
    size = round(seconds * rate_hz) * 2
    header = struct.pack(
        "<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + size, b"WAVE", b"fmt ", 16, 1, 1, rate_hz, 2 * rate_hz, 2, 16, b"data", size
    )
    with path.open("wb") as file:
        file.write(header)
        file.truncate(len(header) + size)
    return path
