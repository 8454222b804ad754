"""How much one caller may ask: requests a minute, counted over all worker processes; and the largest body of a path.

The generic cell rate algorithm (GCRA, ITU-T I.371) needs one number a caller: the time at which all requests so far
would have come in, had they come evenly. A minute's requests may come at once, later ones as the minute goes by. All
workers keep these numbers in one small file that each of them maps into its memory.

The library `limits` (alisaifee/limits) counts in the memory of one process, or in Redis, Memcached or MongoDB; between
the worker processes of one machine it would need such a server. It can stand in here where there is one anyway.

Who is refused hears when to come back (``Retry-After``, RFC 9110). The fields RateLimit and RateLimit-Policy are a
draft of the IETF that has changed its syntax several times (draft-ietf-httpapi-ratelimit-headers-10), so they wait.
"""

import contextlib
import fcntl
import ipaddress
import logging
import math
import mmap
import os
import secrets
import struct
import threading
import time
from collections.abc import Callable, Iterator
from hashlib import blake2b
from pathlib import Path

from earmark.params import Service
from earmark.serving.errors import Refusal
from earmark.serving.paths import FEEDBACK, PREDICT_BATCH, PREDICT_LONG, UPLOADS

_MINUTE_NS = 60_000_000_000
_MAGIC = b"earmark rates 1\0"
_SECRET_BYTES = 32
_HEADER = 64
# One caller: 16 bytes of a keyed hash of who it is, and the time in ns (CLOCK_MONOTONIC, the same in all processes).
_SLOT = struct.Struct("<16sq")
_SLOTS_A_BUCKET = 8
_BUCKET_BYTES = _SLOTS_A_BUCKET * _SLOT.size
_BUCKETS = 8_192  # 65,536 callers within a minute, in 1.5 MiB
_TABLE_BYTES = _HEADER + _BUCKETS * _BUCKET_BYTES
# Longer than a worker needs by far; one that was stopped in between must not stop the others.
_PATIENCE_NS = 50_000_000

# A form of text, or JSON.
_SMALL_BODY = 1_000_000

logger = logging.getLogger("bentoml.earmark")


class RateLimited(Refusal):
    """More requests than this caller may send; ``retry_after_s`` later there is room for one, in whole seconds."""

    def __init__(self, per_minute: int, wait_s: float) -> None:
        self.retry_after_s = max(1, math.ceil(wait_s))
        super().__init__(
            "rate_limited",
            f"More than {per_minute:,} requests a minute came in. Try again in {self.retry_after_s} s, or ask whoever "
            "runs the service for more (service.requests_per_minute in params.yaml, or the key's own limit).",
        )


class RateTable:
    """The callers of the last minute, shared by all processes that open the same ``path``.

    Its size is fixed. A caller's place (one of eight, by a keyed hash) is free again when its requests are paid off;
    where all eight are taken, the one that would be free soonest is given away, and its caller begins anew. The file
    holds no address and no name, only hashes under a secret of its own.

    Args:
        path: None: for this process alone. Also taken where the file cannot be made, which the log then says.
        clock: Nanoseconds, the same in all processes.
    """

    def __init__(self, path: Path | None, *, clock: Callable[[], int] = time.monotonic_ns) -> None:
        self._clock = clock
        self._threads = threading.Lock()
        self._file: int | None = None
        self._memory = self._shared(path) if path else self._own()
        self._secret = self._memory[len(_MAGIC) : len(_MAGIC) + _SECRET_BYTES]

    def wait_s(self, caller: str, per_minute: int) -> float:
        """How long ``caller`` has to wait; 0.0: not at all, and the request counts.

        A request that has to wait does not count, so that asking too early does not make it later.
        """
        if per_minute <= 0:
            return 0.0
        step = max(1, _MINUTE_NS // per_minute)
        digest = blake2b(caller.encode(), key=self._secret, digest_size=24).digest()
        name, start = digest[:16], _HEADER + int.from_bytes(digest[16:], "little") % _BUCKETS * _BUCKET_BYTES
        with self._held():
            now = self._clock()
            at, due = self._place(name, start, now)
            wait = due - now - (per_minute - 1) * step
            if wait > 0:
                return wait / 1e9
            _SLOT.pack_into(self._memory, at, name, due + step)
        return 0.0

    def close(self) -> None:
        """Let go of the file."""
        self._memory.close()
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _place(self, name: bytes, start: int, now: int) -> tuple[int, int]:
        """Where in the table the caller is counted, and when its requests so far are paid off, not before ``now``."""
        best, soonest = start, None
        bucket = self._memory[start : start + _BUCKET_BYTES]
        for number, (found, due) in enumerate(_SLOT.iter_unpack(bucket)):
            # Later than anything that is ever written: from before the machine started anew, or damaged.
            due = 0 if due > now + _MINUTE_NS else due
            if found == name:
                return start + number * _SLOT.size, max(due, now)
            if soonest is None or due < soonest:
                best, soonest = start + number * _SLOT.size, due
        return best, now

    @contextlib.contextmanager
    def _held(self) -> Iterator[None]:
        """Alone with the table: no other thread, no other process. The kernel frees what a killed process held."""
        with self._threads:
            if self._file is None or not self._locked(self._file):
                yield
                return
            try:
                yield
            finally:
                fcntl.flock(self._file, fcntl.LOCK_UN)

    @staticmethod
    def _locked(file: int) -> bool:
        until = None
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            except BlockingIOError:
                now = time.monotonic_ns()
                until = until or now + _PATIENCE_NS
                if now > until:  # a process that stands still holds it: better a miscount than a service that waits
                    return False
                time.sleep(0.0001)

    def _shared(self, path: Path) -> mmap.mmap:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(file, fcntl.LOCK_EX)
                memory = self._mapped(file)
                fcntl.flock(file, fcntl.LOCK_UN)
            except BaseException:
                os.close(file)
                raise
        except (OSError, ValueError) as error:
            logger.warning("requests are counted for each worker by itself, as %s cannot be used: %s", path, error)
            return self._own()
        self._file = file
        return memory

    def _mapped(self, file: int) -> mmap.mmap:
        size = os.fstat(file).st_size
        if size == 0:
            # All of it now: a hole that is filled later, on a disk that is full by then, would end the process.
            os.posix_fallocate(file, 0, _TABLE_BYTES)
            os.pwrite(file, _MAGIC + secrets.token_bytes(_SECRET_BYTES), 0)
        elif size != _TABLE_BYTES or os.pread(file, len(_MAGIC), 0) != _MAGIC:
            raise ValueError("it is no table of rates of this version; remove it")
        return mmap.mmap(file, _TABLE_BYTES)

    def _own(self) -> mmap.mmap:
        memory = mmap.mmap(-1, _TABLE_BYTES)
        memory[len(_MAGIC) : len(_MAGIC) + _SECRET_BYTES] = secrets.token_bytes(_SECRET_BYTES)
        return memory


def caller_of_address(host: str | None) -> str:
    """Who stands behind an address: one IPv4 address, or the /64 network that one customer of IPv6 gets."""
    try:
        address = ipaddress.ip_address(host or "")
    except ValueError:
        return f"address {host}"  # a Unix socket has none
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped:
            return f"address {address.ipv4_mapped}"
        return f"address {ipaddress.ip_network((int(address) >> 64 << 64, 64))}"
    return f"address {address}"


def body_limits(service: Service) -> dict[str, int]:
    """Path → the most bytes of files in its body, where it is not ``service.max_bytes``."""
    return {
        UPLOADS: service.long_max_bytes,
        PREDICT_BATCH: min(service.max_files * service.max_bytes, service.long_max_bytes),
        **dict.fromkeys((FEEDBACK, PREDICT_LONG, f"{PREDICT_LONG}/submit"), min(_SMALL_BODY, service.max_bytes)),
    }
