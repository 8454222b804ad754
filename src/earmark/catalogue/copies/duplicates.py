"""Duplicates: which tracks are one recording, from their hashes and fingerprints, as pairs and as groups.

Three kinds, the closest first:

* same file: the bytes are equal (``content_hash``);
* same audio: the decoded samples are equal (``audio_hash``), in whatever lossless container;
* same recording: the fingerprints lie on each other: another codec, level or rate, an excerpt, up to 2 %
  faster or slower.

A remix, a cover, a live version or the same tune played again is no duplicate. Two pieces that share a loop agree only
where nothing else sounds.

Of tracks with one hash, one goes into the search. The search takes every pair that shares landmarks at three places
which are equally far apart in both, or twelve of them, and lays their fingerprints over each other. Words as rare as
these are shared by copies; by chance they are shared at one place, hardly at three.
Groups are the connected parts of the graph of pairs.

The search is always over all tracks. It starts from fingerprints, which a cache keeps, and takes about a hundredth of
the time that decoding took. So a catalogue that grows by 1 % pays 1 % of the decoding and this small remainder, and
an index that could go stale is not needed.
"""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from earmark.catalogue.copies.alignment import Alignment, align
from earmark.catalogue.copies.candidates import Fingerprints, Map, candidates, opened, workers
from earmark.catalogue.copies.landmarks import Landmarks, landmarks
from earmark.params import Duplicates
from earmark.progress import progress

SAME_FILE, SAME_AUDIO, SAME_RECORDING = "same file", "same audio", "same recording"
KINDS = (SAME_FILE, SAME_AUDIO, SAME_RECORDING)

_AT_PLACES, _WORDS = 3, 12  # that two tracks share, before their fingerprints are laid over each other
_MIN_PITCHES = 8  # semitones among the peaks that agree: a hum or a drone is nobody's recording
_PAIRS_AT_ONCE = 256
_REMEMBERED = 4096  # fingerprints and landmarks that a worker keeps


@dataclass(frozen=True)
class Pair:
    """Two tracks that are one recording.

    Attributes:
        first, second: Their numbers, the smaller one first.
        kind: One of `KINDS`.
        alignment: How the second one lies over the first; None where their hashes are equal.
    """

    first: int
    second: int
    kind: str
    alignment: Alignment | None = None


def find_duplicates(
    content_hashes: Sequence[str],
    audio_hashes: Sequence[str | None],
    fingerprints: Fingerprints,
    settings: Duplicates,
    *,
    processes: int,
    scratch: Path | None = None,
) -> list[Pair]:
    """Every pair of copies, sorted. Of tracks whose hashes are equal, each is paired with the first of them only.

    Args:
        content_hashes: Of each track's file.
        audio_hashes: Of each track's decoded samples; None where not known.
        fingerprints: Of each track, by the same numbers; must survive being sent to another process.
        settings: When two fingerprints are one recording.
        processes: How many to use; 1 stays in this one.
        scratch: A folder for temporary files, about 10 kB a song; the system's usual place if None.
    """
    files = _first_of(content_hashes)
    sounds = _first_of(
        [audio or f"file:{content}" for audio, content in zip(audio_hashes, content_hashes, strict=True)]
    )
    pairs = [Pair(first, number, SAME_FILE) for number, first in enumerate(files) if first != number]
    pairs += [
        Pair(sounds[number], number, SAME_AUDIO)
        for number, first in enumerate(files)
        if first == number and sounds[number] != number
    ]
    searched = [number for number, first in enumerate(files) if first == number == sounds[number]]
    pairs += _same_recordings(_Subset(fingerprints, np.array(searched, np.int64)), settings, processes, scratch)
    return sorted(pairs, key=lambda pair: (pair.first, pair.second))


def groups(pairs: Sequence[Pair], count: int) -> NDArray[np.int64]:
    """For each of ``count`` tracks, the smallest number in its group; -1 for a track that has no copy."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    first = np.array([pair.first for pair in pairs], np.int64)
    second = np.array([pair.second for pair in pairs], np.int64)
    graph = coo_array((np.ones(len(pairs), np.int8), (first, second)), shape=(count, count))
    _, label = connected_components(graph, directed=False)
    _, smallest, sizes = np.unique(label, return_index=True, return_counts=True)
    rank = np.searchsorted(np.unique(label), label)
    return np.where(sizes[rank] > 1, smallest[rank], -1)


def closest_kinds(pairs: Sequence[Pair], count: int) -> list[str | None]:
    """For each track, the closest kind of all its pairs; None without any."""
    kinds: list[str | None] = [None] * count
    for pair in sorted(pairs, key=lambda pair: KINDS.index(pair.kind), reverse=True):
        kinds[pair.first] = kinds[pair.second] = pair.kind
    return kinds


def is_same_recording(alignment: Alignment, settings: Duplicates) -> bool:
    """Whether fingerprints that lie over each other like this are of one recording."""
    return (
        alignment.overlap_s >= settings.min_overlap_s
        and alignment.agreement >= settings.min_agreement
        and alignment.pitches >= _MIN_PITCHES
    )


@dataclass(frozen=True)
class _Subset:
    """Some of the fingerprints, numbered anew."""

    fingerprints: Fingerprints
    numbers: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, number: int) -> NDArray[np.void]:
        return self.fingerprints[int(self.numbers[number])]


def _first_of(values: Sequence[str]) -> list[int]:
    """For each value, the number of the first that equals it."""
    first: dict[str, int] = {}
    return [first.setdefault(value, number) for number, value in enumerate(values)]


def _same_recordings(searched: _Subset, settings: Duplicates, processes: int, scratch: Path | None) -> Iterator[Pair]:
    if len(searched) < 2:
        return
    with TemporaryDirectory(dir=scratch, prefix="duplicates-") as folder, workers(searched, processes) as run:
        for found in _aligned(run, len(searched), Path(folder)):
            for one, two, alignment in found:
                if is_same_recording(alignment, settings):
                    first, second = (int(searched.numbers[number]) for number in (one, two))
                    yield Pair(first, second, SAME_RECORDING, alignment)


def _aligned(run: Map, count: int, folder: Path) -> Iterator[list[tuple[int, int, Alignment]]]:
    parts = [np.empty((0, 2), np.int64), *candidates(run, count, folder, at_places=_AT_PLACES, words=_WORDS)]
    pairs = np.concatenate(parts)
    tasks = [pairs[start : start + _PAIRS_AT_ONCE] for start in range(0, len(pairs), _PAIRS_AT_ONCE)]
    yield from progress(run(_align_all, tasks), description="duplicates: alignment", total=len(tasks), unit="block")


def _align_all(pairs: NDArray[np.int64]) -> list[tuple[int, int, Alignment]]:
    known: OrderedDict[int, tuple[NDArray[np.void], Landmarks]] = OrderedDict()

    def of(number: int) -> tuple[NDArray[np.void], Landmarks]:
        if number not in known:
            fingerprint = np.array(opened()[number])
            known[number] = fingerprint, landmarks([fingerprint])
            if len(known) > _REMEMBERED:
                known.popitem(last=False)
        return known[number]

    found = []
    for one, two in pairs.tolist():
        (first, words), (second, words_of_second) = of(one), of(two)
        if (alignment := align(first, second, words, words_of_second)) is not None:
            found.append((one, two, alignment))
    return found
