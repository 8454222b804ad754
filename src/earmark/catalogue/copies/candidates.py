"""Which pairs of recordings share landmarks at all: a join of all words with themselves, in bounded memory.

Each word becomes one 64-bit number, the word above and the recording's number below. Sorted, equal words lie side by
side. The numbers are kept in files by blocks of recordings, and joined one range of words after the other, so that
memory does not grow with the catalogue; time grows with the number of words, and with the words that chance repeats.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from earmark.audio.fingerprint import Fingerprint
from earmark.catalogue.copies.landmarks import WORD_BITS, landmarks
from earmark.progress import progress
from earmark.workers import Workers

RECORDING_BITS = 64 - WORD_BITS  # 67 million recordings
_COUNT_BITS = 64 - 2 * RECORDING_BITS

_BLOCK = 25  # recordings whose words are made together: few enough for the processor's cache
_FILE = 200  # blocks in one file
_RANGES = 64  # of words, and of pairs: each is sorted in memory
_POPULAR = 32  # a word of more recordings than this links each only with the next one that has it

Task = TypeVar("Task")
Result = TypeVar("Result")


class Fingerprints(Protocol):
    """Fingerprints by number; sent to other processes, so small: what opens them, not what they hold."""

    def __len__(self) -> int: ...

    def __getitem__(self, number: int, /) -> Fingerprint: ...


Map = Callable[..., Iterator[Any]]


@contextmanager
def workers(fingerprints: Fingerprints, processes: int) -> Iterator[Map]:
    """``map(function, tasks)`` in order, where functions may ask `opened` for the fingerprints; in processes if > 1."""
    if processes == 1:
        _open(fingerprints)
        try:
            yield map
        finally:
            _open(None)
        return
    with Workers(processes, _open, fingerprints) as pool:
        yield pool.map


def opened() -> Fingerprints:
    """The fingerprints of the `workers` that run this."""
    fingerprints: Fingerprints = _OPENED[0]
    return fingerprints


_OPENED: list[Any] = [None]


def _open(fingerprints: Fingerprints | None) -> None:
    _OPENED[0] = fingerprints


def candidates(run: Map, count: int, scratch: Path, *, min_shared: int) -> Iterator[NDArray[np.int64]]:
    """Pairs of recordings that share at least ``min_shared`` words, in pieces of shape ``(pairs, 2)``, sorted.

    Args:
        run: From `workers`.
        count: How many recordings there are.
        scratch: An empty folder for about 40 bytes a second of music.
        min_shared: At least 1.
    """
    if count >= 1 << RECORDING_BITS:
        raise ValueError(f"{count:,} recordings; {1 << RECORDING_BITS:,} is the most")
    step = _BLOCK * _FILE
    words = [(scratch / f"words-{start}.npy", start, min(start + step, count)) for start in range(0, count, step)]
    for _ in progress(run(_write_words, words), description="duplicates: landmarks", total=len(words), unit="block"):
        pass
    sources = [file for file, _, _ in words]
    pairs = [(sources, scratch / f"pairs-{number}.npy", number) for number in range(_RANGES)]
    for _ in progress(run(_write_pairs, pairs), description="duplicates: pairs", total=len(pairs), unit="range"):
        pass
    for file in sources:
        file.unlink()
    edges = np.linspace(0, count, _RANGES + 1).astype(np.uint64) << np.uint64(RECORDING_BITS + _COUNT_BITS)
    sources = [file for _, file, _ in pairs]
    yield from run(_gather_pairs, [(sources, *edges[i : i + 2], min_shared) for i in range(_RANGES)])


def _write_words(task: tuple[Path, int, int]) -> None:
    """Sorted words of a range of recordings, each once a recording."""
    file, start, stop = task
    fingerprints = opened()
    packed = [np.empty(0, np.uint64)]
    for first in range(start, stop, _BLOCK):
        found = landmarks([fingerprints[number] for number in range(first, min(first + _BLOCK, stop))])
        packed.append(found.word << np.uint64(RECORDING_BITS) | (found.recording + first).astype(np.uint64))
    np.save(file, np.unique(np.concatenate(packed)))


def _write_pairs(task: tuple[list[Path], Path, int]) -> None:
    """Pairs that share a word of this range, packed as (first, second, how often) and sorted."""
    sources, file, number = task
    width = (1 << 64) // _RANGES
    packed = _between(sources, number * width, (number + 1) * width)
    packed.sort()
    word = packed >> np.uint64(RECORDING_BITS)
    same = word[1:] == word[:-1]
    shared = np.zeros(len(packed), bool)
    shared[1:] |= same
    shared[:-1] |= same
    word, recording = word[shared], packed[shared] & np.uint64((1 << RECORDING_BITS) - 1)
    del packed, same, shared
    found = []
    for step in range(1, min(_POPULAR, len(word))):
        if step == 2:
            _, runs = np.unique(word, return_counts=True)
            rare = np.repeat(runs <= _POPULAR, runs)
            word, recording = word[rare], recording[rare]
        same = word[step:] == word[:-step]
        if not same.any():
            break
        found.append(recording[:-step][same] << np.uint64(RECORDING_BITS) | recording[step:][same])
    pairs, counts = np.unique(np.concatenate([np.empty(0, np.uint64), *found]), return_counts=True)
    most = (1 << _COUNT_BITS) - 1
    np.save(file, pairs << np.uint64(_COUNT_BITS) | np.minimum(counts, most).astype(np.uint64))


def _gather_pairs(task: tuple[list[Path], int, int, int]) -> NDArray[np.int64]:
    sources, low, high, min_shared = task
    packed = _between(sources, int(low), int(high))
    packed.sort()
    pairs = packed >> np.uint64(_COUNT_BITS)
    starts = np.nonzero(np.r_[True, pairs[1:] != pairs[:-1]][: len(pairs)])[0]
    if not len(starts):
        return np.empty((0, 2), np.int64)
    counts = np.add.reduceat(packed & np.uint64((1 << _COUNT_BITS) - 1), starts)
    kept = pairs[starts][counts >= min_shared]
    both = kept >> np.uint64(RECORDING_BITS), kept & np.uint64((1 << RECORDING_BITS) - 1)
    return np.stack(both, axis=1).astype(np.int64)


def _between(sources: Sequence[Path], low: int, high: int) -> NDArray[np.uint64]:
    """What sorted files hold from ``low`` up to, but without, ``high``."""
    parts = [np.empty(0, np.uint64)]
    for source in sources:
        values = np.load(source, mmap_mode="r")
        first = np.searchsorted(values, np.uint64(low))
        last = len(values) if high >= 1 << 64 else np.searchsorted(values, np.uint64(high))
        parts.append(values[first:last])
    return np.concatenate(parts)
