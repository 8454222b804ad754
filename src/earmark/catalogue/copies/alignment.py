"""Are two fingerprints of one recording? They are if, laid over each other, most of their peaks agree.

The shared landmarks vote for how much faster one runs than the other (all its pitches are that much higher), then for
where it begins. Laid over each other like that, peaks within 40 ms and 1/80 octave agree. Two recordings of the same
song agree in a few per cent of their peaks, two copies of one recording in most.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from earmark.audio.fingerprint import PITCH_STEPS_PER_OCTAVE, Fingerprint
from earmark.catalogue.copies.landmarks import Landmarks

_MOST_OCTAVES = 0.06  # 4 % faster or slower; landmarks do not outlive more
_SAME_SPEED_OCTAVES = 0.006
_SAME_PLACE_MS = 300.0
_NEAR_MS, _NEAR_OCTAVES = 40.0, 0.0125


@dataclass(frozen=True)
class Alignment:
    """How the second recording lies over the first.

    Attributes:
        offset_s: Where the second one begins on the first one's clock, in seconds; negative if before it.
        speed: How many times faster the second one runs.
        overlap_s: How long both sound, in seconds of the first one.
        agreement: Share of the peaks in the overlap that both have, in [0, 1].
        pitches: How many different ones (in semitones) the peaks that agree have.
    """

    offset_s: float
    speed: float
    overlap_s: float
    agreement: float
    pitches: int


def align(
    first: Fingerprint, second: Fingerprint, words_of_first: Landmarks, words_of_second: Landmarks
) -> Alignment | None:
    """The best way to lay ``second`` over ``first``; None where no two landmarks agree on one."""
    one, two = _shared(words_of_first.word, words_of_second.word)
    steps = (words_of_second.pitch[two] - words_of_first.pitch[one]).astype(np.float64)
    time_one = words_of_first.time_ms[one].astype(np.float64)
    time_two = words_of_second.time_ms[two].astype(np.float64)
    kept = np.abs(steps) <= _MOST_OCTAVES
    steps, time_one, time_two = steps[kept], time_one[kept], time_two[kept]
    if len(steps) < 2:
        return None
    agree = _mode(steps, _SAME_SPEED_OCTAVES)
    steps, time_one, time_two = steps[agree], time_one[agree], time_two[agree]
    octaves = float(np.median(steps))
    starts = time_one - time_two * 2**octaves
    agree = _mode(starts, _SAME_PLACE_MS)
    if agree.sum() < 2:
        return None
    return _laid_over(first, second, octaves, float(np.median(starts[agree])))


def _laid_over(first: Fingerprint, second: Fingerprint, octaves: float, start_ms: float) -> Alignment | None:
    times, pitches = _peaks(first)
    times_two, pitches_two = _peaks(second)
    scale = 2.0**octaves  # a moment of the second one is scale · moment + start on the first one's clock
    for _ in range(2):
        one, two = _agreeing(times, pitches, times_two * scale + start_ms, pitches_two - octaves)
        if len(one) < 8:
            break
        octaves = float(np.median(pitches_two[two] - pitches[one]))
        x, y = times_two[two], times[one]
        if np.ptp(x) > 5_000:  # over less than that, the pitches tell the speed better
            from_mean = x - x.mean()
            slope = float(from_mean @ y / (from_mean @ from_mean))
            scale = min(max(slope, 2.0**octaves * 0.995), 2.0**octaves * 1.005)
        start_ms = float(np.median(y - x * scale))
    begin = max(0.0, start_ms)
    end = min(float(first["time_ms"][-1]), float(second["time_ms"][-1]) * scale + start_ms)
    laid = times_two * scale + start_ms
    there = int(((times >= begin) & (times <= end)).sum()) + int(((laid >= begin) & (laid <= end)).sum())
    if end <= begin or not there:
        return None
    one, _ = _agreeing(times, pitches, laid, pitches_two - octaves)
    return Alignment(
        offset_s=start_ms / 1000,
        speed=scale,
        overlap_s=(end - begin) / 1000,
        agreement=min(1.0, 2 * len(one) / there),
        pitches=len(np.unique(np.floor(pitches[one] * 12))),
    )


def _agreeing(
    times: NDArray[np.float64],
    pitches: NDArray[np.float64],
    times_two: NDArray[np.float64],
    pitches_two: NDArray[np.float64],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Numbers of the peaks of both that lie on each other; each peak at most once."""
    order = np.argsort(times_two, kind="stable")
    low = np.searchsorted(times_two[order], times - _NEAR_MS)
    high = np.searchsorted(times_two[order], times + _NEAR_MS, side="right")
    best = np.full(len(times), -1)
    least = np.full(len(times), np.inf)
    for step in range(int((high - low).max(initial=0))):
        place = low + step
        number = order[np.minimum(place, len(order) - 1)]
        apart = np.abs(pitches_two[number] - pitches)
        better = (place < high) & (apart <= _NEAR_OCTAVES) & (apart < least)
        best[better], least[better] = number[better], apart[better]
    one = np.nonzero(best >= 0)[0]
    two, once = np.unique(best[one], return_index=True)
    return one[once], two


def _peaks(fingerprint: Fingerprint) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Times in milliseconds, pitches in octaves."""
    peaks = fingerprint[:-1]
    return peaks["time_ms"].astype(np.float64), peaks["pitch"] / PITCH_STEPS_PER_OCTAVE


def _shared(one: NDArray[np.uint64], two: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Numbers of equal words: every pair, where a word occurs several times."""
    order = np.argsort(two, kind="stable")
    low = np.searchsorted(two[order], one)
    many = np.searchsorted(two[order], one, side="right") - low
    first = np.repeat(np.arange(len(one)), many)
    nth = np.arange(len(first)) - np.repeat(np.cumsum(many) - many, many)
    return first, order[np.repeat(low, many) + nth]


def _mode(values: NDArray[np.float64], width: float) -> NDArray[np.bool_]:
    """Which of ``values`` lie in the fullest window of this width."""
    ordered = np.sort(values)
    inside = np.searchsorted(ordered, ordered + width, side="right") - np.arange(len(ordered))
    low = ordered[int(np.argmax(inside))]
    return np.asarray((values >= low) & (values <= low + width))
