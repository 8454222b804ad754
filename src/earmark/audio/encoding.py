"""Encodings: vectors that a frozen model makes of recordings, each made once and found again by content.

The model itself is none of this room's business: it comes as a name and a callable. Threads call it, one a core. It
computes outside of Python's lock, and processes would each need its weights.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from earmark.audio.accepted import waveform_of
from earmark.audio.array_cache import ArrayCache
from earmark.audio.extraction import Job
from earmark.audio.shared_cache import SharedCache
from earmark.workers import cores, one_torch_thread

Vector = NDArray[np.float32]
_WINDOW = 4  # recordings under way for each worker


@dataclass(frozen=True)
class Encoding:
    """A way to make vectors.

    Attributes:
        name: Names the way for good: weights and arithmetic.
        dims: Length of the vectors.
        sample_rate_hz: Of the waveforms that ``encode`` takes.
        encode: A mono waveform ``(time,)`` to its vector ``(dims,)``.
    """

    name: str
    dims: int
    sample_rate_hz: int
    encode: Callable[[Tensor], Vector]


class EncodingCache(ArrayCache):
    """Vectors on disk, shape ``(dims,)`` an entry."""

    def __init__(self, folder: Path, encoding: Encoding, shared: SharedCache | None = None) -> None:
        key = f"encoding-{encoding.name}-{encoding.sample_rate_hz}"
        super().__init__(folder, key, np.float32, (encoding.dims,), shared)


def encode(jobs: Iterable[Job], encoding: Encoding, folder: Path, *, workers: int | None = None) -> Iterator[Vector]:
    """The vector of each job, shape ``(dims,)``, in order; in the cache from then on.

    Where all are there already, no thread is started and no audio is touched. What was made before an interruption is
    kept.

    Args:
        jobs: Recordings; read only as far ahead as work is under way.
        encoding: How.
        folder: Of the feature cache.
        workers: How many at a time; by default one a core.

    Raises:
        AudioError, CatalogueError: A recording cannot be decoded, or read.
    """
    cache, count = EncodingCache(folder, encoding), workers or cores()
    waiting: deque[Vector | Future[Vector]] = deque()
    threads = ThreadPoolExecutor(count, "encoding", initializer=one_torch_thread)
    before = torch.get_num_threads()
    try:
        for job in jobs:
            found = cache.open(job.content_hash)
            waiting.append(threads.submit(_made, job, encoding, cache) if found is None else np.array(found))
            while waiting and (_is_done(waiting[0]) or len(waiting) >= count * _WINDOW):
                yield _finished(waiting.popleft())
        while waiting:
            yield _finished(waiting.popleft())
    finally:
        threads.shutdown(cancel_futures=True)
        torch.set_num_threads(before)  # some of what `one_torch_thread` set holds for the whole process


def _made(job: Job, encoding: Encoding, cache: EncodingCache) -> Vector:
    found = cache.fetch(job.content_hash)
    if found is None:
        found = encoding.encode(waveform_of(job.audio(), encoding.sample_rate_hz))
        cache.store(job.content_hash, found)
    return np.array(found)


def _is_done(item: Vector | Future[Vector]) -> bool:
    return not isinstance(item, Future) or item.done()


def _finished(item: Vector | Future[Vector]) -> Vector:
    return item.result() if isinstance(item, Future) else item
