"""Which pairs of recordings may be copies: a join of all landmarks with themselves, in bounded memory.

Each landmark becomes one 64-bit number: the word above, then the recording, then the place where it stands. Sorted,
equal words lie side by side. The numbers are kept in files by blocks of recordings, and joined one range of words after
the other, so that memory does not grow with the catalogue; time grows with the number of words, and with the words that
chance repeats.

Among a million recordings, chance alone makes millions of pairs that share several words: neighbouring words share
peaks, so where one is equal, others are. But in a copy there are equal words at many places, and all of them are
equally far apart. So what counts is at how many places they are, or else that there are very many. No exact time is
needed for that: places are counted in steps of 2 s, modulo 128 s, and two distances agree if they differ by one step at
most.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from earmark.audio.fingerprint import Fingerprint
from earmark.catalogue.copies.landmarks import WORD_BITS, landmarks
from earmark.progress import progress
from earmark.workers import Workers

_PLACE_BITS, _PLACE_MS = 6, 2_000
_RANGE_BITS = 6  # the first bits of a word: words are joined, and pairs gathered, one range after the other, in memory
_RECORDING_BITS = 64 - _PLACE_BITS - (WORD_BITS - _RANGE_BITS)  # 67 million recordings

_ONE_APART = np.uint64(1 << _PLACE_BITS)  # in a link, see `_write_links`
_APART = np.uint64(((1 << _PLACE_BITS) - 1) << _PLACE_BITS)

_BLOCK = 25  # recordings whose words are made together: few enough for the processor's cache
_FILE = 200  # blocks in one file
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


def candidates(run: Map, count: int, scratch: Path, *, at_places: int, words: int) -> Iterator[NDArray[np.int64]]:
    """Pairs of recordings that share enough words, in pieces of shape ``(pairs, 2)``, sorted.

    Args:
        run: From `workers`.
        count: How many recordings there are.
        scratch: An empty folder for about 40 bytes a second of music, and 8 bytes for each word that two share.
        at_places: Words at so many places, all equally far apart, are enough; at least 1.
        words: So many are enough, wherever they stand; at least 1.
    """
    if count >= 1 << _RECORDING_BITS:
        raise ValueError(f"{count:,} recordings; {1 << _RECORDING_BITS:,} is the most")
    step, ranges = _BLOCK * _FILE, 1 << _RANGE_BITS
    blocks = [(scratch / f"words-{start}.npy", start, min(start + step, count)) for start in range(0, count, step)]
    for _ in progress(run(_write_words, blocks), description="duplicates: landmarks", total=len(blocks), unit="block"):
        pass
    sources = [(file, first) for file, first, _ in blocks]
    links = [(sources, scratch / f"links-{number}.npy", number) for number in range(ranges)]
    for _ in progress(run(_write_links, links), description="duplicates: pairs", total=len(links), unit="range"):
        pass
    for file, _ in sources:
        file.unlink()
    edges = np.linspace(0, count, ranges + 1).astype(np.int64).tolist()
    files = [file for _, file, _ in links]
    yield from run(_gather, [(files, *edges[i : i + 2], at_places, words) for i in range(ranges)])


def _write_words(task: tuple[Path, int, int]) -> None:
    """The words of a range of recordings, each once a recording, packed as (word, number in the range, place), sorted.

    The word is where `_between` looks for it: its range above, its other bits above those of a recording and a place.
    """
    file, start, stop = task
    fingerprints = opened()
    packed = [np.empty(0, np.uint64)]
    for first in range(start, stop, _BLOCK):
        found = landmarks([fingerprints[number] for number in range(first, min(first + _BLOCK, stop))])
        place = found.time_ms // _PLACE_MS % (1 << _PLACE_BITS)
        low = (found.recording + first - start) << _PLACE_BITS | place
        packed.append(found.word << np.uint64(64 - WORD_BITS) | low.astype(np.uint64))
    words = np.concatenate(packed)
    words.sort()
    np.save(file, words[_firsts(words >> np.uint64(_PLACE_BITS))])


def _write_links(task: tuple[list[tuple[Path, int]], Path, int]) -> None:
    """Who shares a word of this range with whom: (first, second, how far apart the places are, place in the first)."""
    sources, file, number = task
    width = 1 << (64 - _RANGE_BITS)
    parts = [np.empty(0, np.uint64)]
    for source, first in sources:
        found = _between(source, number * width, (number + 1) * width)
        low = (found & np.uint64((1 << (64 - WORD_BITS)) - 1)) + np.uint64(first << _PLACE_BITS)
        parts.append(found >> np.uint64(64 - WORD_BITS) << np.uint64(_RECORDING_BITS + _PLACE_BITS) | low)
    packed = np.concatenate(parts)
    packed.sort()
    word = packed >> np.uint64(_RECORDING_BITS + _PLACE_BITS)
    same = word[1:] == word[:-1]
    shared = np.zeros(len(packed), bool)
    shared[1:] |= same
    shared[:-1] |= same
    word, where = word[shared], packed[shared] & np.uint64((1 << (_RECORDING_BITS + _PLACE_BITS)) - 1)
    del packed, parts, same, shared
    found_links = [np.empty(0, np.uint64)]
    for step in range(1, min(_POPULAR, len(word))):
        if step == 2:
            _, runs = np.unique(word, return_counts=True)
            rare = np.repeat(runs <= _POPULAR, runs)
            word, where = word[rare], where[rare]
        same = word[step:] == word[:-step]
        if not same.any():
            break
        one, two = where[:-step][same], where[step:][same]
        apart, place = ((value & np.uint64((1 << _PLACE_BITS) - 1)) for value in (two - one, one))
        pair = one >> np.uint64(_PLACE_BITS) << np.uint64(_RECORDING_BITS) | two >> np.uint64(_PLACE_BITS)
        found_links.append((pair << np.uint64(_PLACE_BITS) | apart) << np.uint64(_PLACE_BITS) | place)
    links = np.concatenate(found_links)
    links.sort()
    np.save(file, links)


def _gather(task: tuple[list[Path], int, int, int, int]) -> NDArray[np.int64]:
    """The pairs whose first recording is in ``[low, high)`` and that have links enough."""
    files, low, high, at_places, words = task
    above = _RECORDING_BITS + 2 * _PLACE_BITS
    links = np.concatenate([_between(file, low << above, high << above) for file in files])
    links.sort()
    pair = links >> np.uint64(2 * _PLACE_BITS)
    total = _lengths(pair)
    many = pair[_firsts(pair)][total >= words]
    links = links[np.repeat(total >= at_places, total)]
    # Each counts with those that are as far apart, and with those one step less: the places in one such window.
    nearer = (links & ~_APART) | ((links - _ONE_APART) & _APART)
    places = np.unique(np.concatenate([links, nearer]))
    window = places >> np.uint64(_PLACE_BITS)
    in_line = window[_firsts(window)][_lengths(window) >= at_places] >> np.uint64(_PLACE_BITS)
    kept = np.union1d(many, in_line)
    both = kept >> np.uint64(_RECORDING_BITS), kept & np.uint64((1 << _RECORDING_BITS) - 1)
    return np.stack(both, axis=1).astype(np.int64)


def _lengths(values: NDArray[Any]) -> NDArray[np.int64]:
    """In sorted values, how often each is there."""
    lengths: NDArray[np.int64] = np.diff(np.r_[_firsts(values), len(values)])
    return lengths


def _firsts(values: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Where, in sorted values, each begins."""
    return np.nonzero(np.r_[True, values[1:] != values[:-1]][: len(values)])[0]


def _between(file: Path, low: int, high: int) -> NDArray[np.uint64]:
    """What a sorted file holds from ``low`` up to, but without, ``high``."""
    values = np.load(file, mmap_mode="r")
    first = np.searchsorted(values, np.uint64(low))
    last = len(values) if high >= 1 << 64 else np.searchsorted(values, np.uint64(high))
    part: NDArray[np.uint64] = values[first:last]
    return part
