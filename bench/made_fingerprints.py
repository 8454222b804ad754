"""Fingerprints of music that nobody played, as many as one likes, with planted copies: for benches of scale.

Each is put together from pieces of real ones: the moments of one piece, the pitches of another, moved and stretched,
each pitch shifted by up to a semitone. So density, rhythm, range and intervals are music's. How often chance repeats a
landmark, which is what the search has to live with, is measured on both, and the shifts are chosen so that it comes out
at least as often as between real recordings (`chance`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from earmark.audio.fingerprint import PEAK, PITCH_STEPS_PER_OCTAVE, Fingerprint
from earmark.catalogue.copies.candidates import Fingerprints
from earmark.catalogue.copies.landmarks import landmarks
from earmark.files import replacing
from earmark.progress import progress
from earmark.workers import Workers

_STORED = 5_000  # fingerprints in one file
_PIECE_MS = 20_000
_TOP = 39_000  # the highest pitch that a fingerprint has


@dataclass(frozen=True)
class MadeFingerprints:
    """``count`` fingerprints of about 210 s each (30 to 600 s); the last ``copies`` of them are copies of the first.

    A copy is 15 to 60 s of its original, up to 2 % faster or slower; a fifth of its peaks are lost, as many are new,
    the others moved by some milliseconds and thousandths of an octave: like an excerpt coded at a low bit rate.
    """

    real: Sequence[Fingerprint]
    count: int
    copies: int
    seed: int = 1

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, number: int) -> Fingerprint:
        original = number - (self.count - self.copies)
        return self._made(number) if original < 0 else self._copy(original)

    def planted(self) -> set[tuple[int, int]]:
        """The pairs that are to be found."""
        return {(number, self.count - self.copies + number) for number in range(self.copies)}

    def _made(self, number: int) -> Fingerprint:
        random = np.random.default_rng([self.seed, number])
        length_ms = int(np.clip(random.lognormal(np.log(210), 0.35), 30, 600) * 1000)
        times, pitches = [], []
        for start in range(0, length_ms, _PIECE_MS):
            rhythm, tune = (self.real[int(random.integers(len(self.real)))][:-1] for _ in range(2))
            time = rhythm["time_ms"].astype(np.int64)
            first = int(random.integers(0, max(1, int(time[-1]) - _PIECE_MS)))
            stretch = random.uniform(0.85, 1.15)
            inside = np.searchsorted(time, [first, first + _PIECE_MS * stretch])
            moments = (time[inside[0] : inside[1]] - first) / stretch + start
            place = int(random.integers(0, max(1, len(tune) - len(moments))))
            pitch = np.resize(tune["pitch"][place:].astype(np.int64), len(moments))
            pitch += int(random.integers(-PITCH_STEPS_PER_OCTAVE // 2, PITCH_STEPS_PER_OCTAVE // 2))
            pitch += random.integers(-1, 2, len(pitch)) * (PITCH_STEPS_PER_OCTAVE // 12)
            times.append(moments)
            pitches.append(pitch)
        return _fingerprint(np.concatenate(times), np.concatenate(pitches), length_ms)

    def _copy(self, number: int) -> Fingerprint:
        original, random = self._made(number), np.random.default_rng([self.seed, number, 1])
        length_ms = min(int(original["time_ms"][-1]), int(random.uniform(15_000, 60_000)))
        start = int(random.integers(0, int(original["time_ms"][-1]) - length_ms + 1))
        speed = random.uniform(0.98, 1.02)
        peaks = original[:-1]
        time = peaks["time_ms"].astype(np.float64) - start
        kept = (time >= 0) & (time < length_ms) & (random.random(len(peaks)) > 0.2)
        time, pitch = time[kept], peaks["pitch"][kept].astype(np.float64)
        pitch += PITCH_STEPS_PER_OCTAVE * (np.log2(speed) + random.normal(0, 0.001, len(pitch)))
        new = round(0.25 * len(time))
        time = np.r_[time + random.normal(0, 4, len(time)), random.uniform(0, length_ms, new)]
        pitch = np.r_[pitch, random.choice(peaks["pitch"], new) if new else []]
        return _fingerprint(time / speed, pitch, round(length_ms / speed))


@dataclass(frozen=True)
class StoredFingerprints:
    """The same, made beforehand and read from files: what a search of them takes is then not what making them takes.

    Attributes:
        folder: From `store`.
        count: The first so many of them.
    """

    folder: Path
    count: int

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, number: int) -> Fingerprint:
        block, place = divmod(number, _STORED)
        edges = _edges(self.folder, block)
        first, last = int(edges[place]), int(edges[place + 1])
        return np.fromfile(self.folder / f"{block}.peaks", PEAK, last - first, offset=first * PEAK.itemsize)


def store(fingerprints: Fingerprints, folder: Path, processes: int) -> StoredFingerprints:
    """Write ``fingerprints`` into ``folder``, about 14 kB each; what an earlier run has written there is kept."""
    folder.mkdir(parents=True, exist_ok=True)
    blocks = -(-len(fingerprints) // _STORED)
    with Workers(processes, _begin, fingerprints, folder) as pool:
        for _ in progress(pool.map(_store, range(blocks)), description="made up", total=blocks, unit="block"):
            pass
    return StoredFingerprints(folder, len(fingerprints))


_STORING: list[tuple[Fingerprints, Path]] = []


def _begin(fingerprints: Fingerprints, folder: Path) -> None:
    _STORING[:] = [(fingerprints, folder)]


def _store(block: int) -> None:
    [(fingerprints, folder)] = _STORING
    file = folder / f"{block}.npy"
    if file.exists():
        return
    numbers = range(block * _STORED, min((block + 1) * _STORED, len(fingerprints)))
    made = [fingerprints[number] for number in numbers]
    np.concatenate(made).tofile(folder / f"{block}.peaks")
    with replacing(file) as part, part.open("wb") as out:  # last: it says that the other one is whole
        np.save(out, np.cumsum([0, *map(len, made)]))


@cache
def _edges(folder: Path, block: int) -> NDArray[np.int64]:
    edges: NDArray[np.int64] = np.load(folder / f"{block}.npy")
    return edges


def chance(fingerprints: Sequence[Fingerprint]) -> float:
    """How many of two recordings' landmarks are equal by chance, as a share of all pairs of landmarks; no sampling."""
    words = [np.unique(landmarks([fingerprint], keep_one_in=1).word) for fingerprint in fingerprints]
    _, counts = np.unique(np.concatenate(words), return_counts=True)
    pairs = float(sum(map(len, words))) ** 2 - sum(float(len(own)) ** 2 for own in words)
    return float((counts * (counts - 1)).sum()) / pairs


def _fingerprint(time: NDArray[np.float64], pitch: NDArray[np.float64], length_ms: int) -> Fingerprint:
    order = np.argsort(time, kind="stable")
    made = np.zeros(len(time) + 1, PEAK)
    made["time_ms"][:-1] = np.clip(np.rint(time[order]), 0, length_ms)
    made["pitch"][:-1] = np.clip(np.rint(pitch[order]), 0, _TOP)
    made["time_ms"][-1] = length_ms
    return made
