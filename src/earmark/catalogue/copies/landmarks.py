"""Landmarks: words made of a fingerprint's peaks, so rare that two recordings which share some are probably one.

A landmark is five peaks close in time. Its word says how far apart in pitch and in time they are, and only roughly how
high they lie, so that a copy which runs 2 % faster still has it: there all peaks move by the same step in pitch (3 % of
an octave), and distances of half a second change by 10 ms. The idea of words that outlive a change of speed is from
J. Six, M. Leman, "Panako" (ISMIR 2014), and R. Sonnleitner, G. Widmer, "Robust quad-based audio fingerprinting"
(IEEE/ACM TASLP 24(3), 2016); the five peaks, sorted by pitch because chords reach their tops in any order, are ours.

Not every word is kept, but every 16th, chosen by the word itself: two copies keep the same ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np
from numpy.typing import NDArray

from earmark.audio.fingerprint import PEAK, PITCH_STEPS_PER_OCTAVE, Fingerprint

WORD_BITS = 38

_NEXT, _OTHERS = 6, 4  # a peak and any four of the next six: 15 landmarks a peak, before sampling
_HEIGHT_STEPS, _PITCH_STEPS = 3, 48  # per octave: of the lowest peak; of the others above it
_TIME_STEP_MS = 80
_CLOSEST = round(0.03 * PITCH_STEPS_PER_OCTAVE)  # peaks of one note make no landmark: any two drones would share them
_LONGEST_MS = 3_000
_KEEP_ONE_IN = 16  # leaves about 5 words a second

_TIME_BITS = 12  # a peak in 32 bits: its pitch above, its distance in time below; so peaks sort by pitch, and fast


@dataclass(frozen=True)
class Landmarks:
    """Landmarks of one or several recordings, in no order.

    Attributes:
        word: In ``[0, 2**WORD_BITS)``, uint64, shape ``(landmarks,)``.
        recording: Which of the fingerprints it is from, int64.
        time_ms: Of its lowest peak, int64.
        pitch: Mean of its peaks, in octaves above 125 Hz, float64.
    """

    word: NDArray[np.uint64]
    recording: NDArray[np.int64]
    time_ms: NDArray[np.int64]
    pitch: NDArray[np.float64]


def landmarks(fingerprints: Sequence[Fingerprint], *, keep_one_in: int = _KEEP_ONE_IN) -> Landmarks:
    """The landmarks of ``fingerprints``, sampled by their words: one in so many."""
    peaks = [fingerprint[:-1] for fingerprint in fingerprints]
    end = np.zeros(_NEXT, PEAK)  # of nobody: so the last peaks of all have neighbours like those of each recording
    joined = np.concatenate([*peaks, end])
    recording = np.repeat(np.arange(len(peaks) + 1), [*map(len, peaks), _NEXT])
    time, pitch = joined["time_ms"].astype(np.int64), joined["pitch"].astype(np.int32)
    firsts = len(joined) - _NEXT

    near = []  # the peak so many places after each one
    together = []  # and whether it is of the same recording, and near enough
    for place in range(_NEXT + 1):
        later = slice(place, place + firsts)
        distance = time[later] - time[:firsts]
        together.append((recording[later] == recording[:firsts]) & (distance <= _LONGEST_MS))
        near.append(pitch[later] << _TIME_BITS | np.minimum(distance, _LONGEST_MS).astype(np.int32))

    words, first, times, pitches = [], [], [], []
    for others in combinations(range(1, _NEXT + 1), _OTHERS):
        ordered = _sorted([near[0], *(near[place] for place in others)])
        word, distinct = _words(ordered)
        kept = np.nonzero((word % np.uint64(keep_one_in) == 0) & distinct & together[others[-1]])[0]
        words.append(word[kept] >> np.uint64(64 - WORD_BITS))
        first.append(kept)
        times.append(time[kept] + (ordered[0][kept] & ((1 << _TIME_BITS) - 1)))
        pitches.append(np.mean([peak[kept] >> _TIME_BITS for peak in ordered], axis=0) / PITCH_STEPS_PER_OCTAVE)
    return Landmarks(
        np.concatenate(words), recording[np.concatenate(first)], np.concatenate(times), np.concatenate(pitches)
    )


def _words(ordered: list[NDArray[np.int32]]) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
    """The word of each landmark, and whether its peaks are of different notes. Its parts fill the 64 bits exactly."""
    pitch = [peak >> _TIME_BITS for peak in ordered]
    time = [peak & ((1 << _TIME_BITS) - 1) for peak in ordered]
    distinct = np.ones(len(pitch[0]), bool)
    for lower, higher in pairwise(pitch):
        distinct &= higher - lower > _CLOSEST
    intervals = (pitch[0] * _HEIGHT_STEPS) // PITCH_STEPS_PER_OCTAVE
    distances = np.zeros(len(pitch[0]), np.int32)
    for peak in pitch[1:3]:
        intervals = intervals << 8 | ((peak - pitch[0]) * _PITCH_STEPS) // PITCH_STEPS_PER_OCTAVE
    upper = np.zeros(len(pitch[0]), np.int32)
    for peak in pitch[3:]:
        upper = upper << 8 | ((peak - pitch[0]) * _PITCH_STEPS) // PITCH_STEPS_PER_OCTAVE
    for moment in time[1:]:
        distances = distances << 7 | ((moment - time[0] + _TIME_STEP_MS // 2) // _TIME_STEP_MS + 64)
    word: NDArray[np.uint64] = intervals.astype(np.uint64) << np.uint64(44) | upper.astype(np.uint64) << np.uint64(28)
    word |= distances.astype(np.uint64)
    return _mixed(word), distinct


def _sorted(values: list[NDArray[np.int32]]) -> list[NDArray[np.int32]]:
    """Five arrays, sorted across: the smallest of each place in the first. A sorting network of nine comparisons."""
    values = list(values)
    for low, high in ((0, 3), (1, 4), (0, 2), (1, 3), (0, 1), (2, 4), (1, 2), (3, 4), (2, 3)):
        values[low], values[high] = np.minimum(values[low], values[high]), np.maximum(values[low], values[high])
    return values


def _mixed(value: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Every bit of ``value`` spread over all 64 (the finaliser of SplitMix64, public domain, by S. Vigna)."""
    value = value + np.uint64(0x9E3779B97F4A7C15)
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))
