"""A recording's fingerprint: where its spectrum peaks. Two recordings of the same sound share most peaks.

After A. Wang, "An industrial-strength audio search algorithm" (ISMIR 2003): what survives coding, noise and a change of
level are the local maxima of the spectrogram. Here they are located between frames and bins by a parabola (after
J. O. Smith and X. Serra, "PARSHL", 1987): to about 2 ms and 0.001 octave between an mp3 and its source, so that
`earmark.catalogue.copies.landmarks` can make words of them that chance hardly ever repeats.

Nothing here depends on absolute level or on where a file starts: a peak stays when nothing near it is stronger, and
when it is among the strongest within half a second before and after. That fixes the density, too.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from earmark.audio.decode import decode

FINGERPRINT_VERSION = 1  # raise it when any number below changes: fingerprints of two versions cannot be compared
RATE_HZ = 8_000

# One row a peak, in order of time. The last row is no peak: its time is the recording's length, the rest is 0.
PEAK = np.dtype(
    [
        ("time_ms", "<u4"),
        ("pitch", "<u2"),  # in 1/8192 octave above 125 Hz
        ("strength", "<u2"),  # in 0.01 dB above −200 dB relative to a sine at full scale
    ]
)
PITCH_STEPS_PER_OCTAVE = 8192

Fingerprint = NDArray[np.void]  # of dtype PEAK, shape (peaks + 1,)

_WINDOW, _HOP = 1536, 192  # samples: 192 ms, 24 ms. An overlap of 7/8: cuts that start between frames keep their peaks
_LOW, _HIGH = 36, 660  # bins: 188 to 3,438 Hz, what every codec keeps
_NEAR_FRAMES, _NEAR_BINS = 11, 12  # a peak is the strongest this far to both sides: 264 ms, 63 Hz
_RIVAL_MS, _RIVALS = 492, 8  # and among the 8 strongest this far before and after: about 8 peaks a second
_LOWEST_HZ = 125.0
_FLOOR_DB, _DYNAMIC_DB = -100.0, 60.0  # below this is silence; and what lies so far under a neighbour is not heard
_BLOCK = 256  # frames looked at together: their spectrum stays in the processor's cache
_FULL_SCALE = (_WINDOW / 4) ** 2  # power of a sine at full scale in its bin, under a Hann window


class Fingerprinter:
    """Takes a recording in pieces and gives its fingerprint at the end.

    The result is the same to the bit however the recording is cut into pieces. Memory is bounded but for the peaks:
    less than a megabyte an hour.
    """

    def __init__(self) -> None:
        self._window = np.hanning(_WINDOW + 1)[:-1].astype(np.float32)
        self._samples = np.empty(0, np.float32)  # not yet in a spectrum
        self._held: list[NDArray[np.float32]] = []
        self._held_samples = 0
        self._length = 0
        self._power = np.empty((0, _HIGH - _LOW), np.float32)  # frames whose neighbours are not all there yet
        self._first = 0  # number of the first of them
        self._found: list[tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]] = []

    def push(self, chunk: NDArray[np.float32]) -> None:
        """Take the next samples: mono at `RATE_HZ`, shape ``(time,)``."""
        # Cut at full scale, as `decode` does: whoever decodes, the fingerprint is the same.
        self._held.append(np.clip(chunk, -1.0, 1.0, dtype=np.float32))
        self._held_samples += len(chunk)
        self._length += len(chunk)
        enough = (_BLOCK - 1) * _HOP + _WINDOW
        if len(self._samples) + self._held_samples < enough:
            return
        self._gather()
        while len(self._samples) >= enough:
            self._add(self._spectrum(_BLOCK))
            self._samples = self._samples[_BLOCK * _HOP :]

    def finish(self) -> Fingerprint:
        """The fingerprint of all that was pushed."""
        self._gather()
        if (frames := 1 + (len(self._samples) - _WINDOW) // _HOP) > 0:
            self._add(self._spectrum(frames))
        time, pitch, level = self._chosen()
        fingerprint = np.zeros(len(time) + 1, PEAK)
        fingerprint["time_ms"][:-1] = np.rint(time)
        fingerprint["pitch"][:-1] = np.rint(pitch * PITCH_STEPS_PER_OCTAVE)
        fingerprint["strength"][:-1] = np.rint((level + 200) * 100)
        fingerprint["time_ms"][-1] = round(1000 * self._length / RATE_HZ)
        return fingerprint

    def _gather(self) -> None:
        self._samples = np.concatenate([self._samples, *self._held])
        self._held, self._held_samples = [], 0

    def _spectrum(self, frames: int) -> NDArray[np.float32]:
        """Power of the next ``frames`` frames, shape ``(frames, bins)``."""
        from scipy import fft

        windows = np.lib.stride_tricks.sliding_window_view(self._samples, _WINDOW)[::_HOP][:frames]
        spectrum = fft.rfft(windows * self._window, axis=1)[:, _LOW:_HIGH]
        return np.asarray(spectrum.real**2 + spectrum.imag**2, dtype=np.float32)

    def _add(self, power: NDArray[np.float32]) -> None:
        self._power = np.concatenate([self._power, power])
        if len(self._power) <= 2 * _NEAR_FRAMES:
            return
        self._peaks()
        kept = 2 * _NEAR_FRAMES
        self._first += len(self._power) - kept
        self._power = self._power[-kept:].copy()

    def _peaks(self) -> None:
        """Local maxima of the frames whose neighbours on both sides are there."""
        power = self._power
        highest = _running_max(_running_max(power, 2 * _NEAR_BINS + 1, axis=1), 2 * _NEAR_FRAMES + 1, axis=0)
        inner = power[_NEAR_FRAMES:-_NEAR_FRAMES, _NEAR_BINS:-_NEAR_BINS]
        frame, bin_ = np.nonzero((inner == highest) & (inner > _FULL_SCALE * 10 ** (_FLOOR_DB / 10)))
        frame, bin_ = frame + _NEAR_FRAMES, bin_ + _NEAR_BINS

        def level(frames: NDArray[np.int64], bins: NDArray[np.int64]) -> NDArray[np.float64]:
            return 10 * np.log10(np.maximum(power[frames, bins].astype(np.float64), 1e-12) / _FULL_SCALE)

        centre = level(frame, bin_)
        between_frames = _vertex(level(frame - 1, bin_), centre, level(frame + 1, bin_))
        between_bins = _vertex(level(frame, bin_ - 1), centre, level(frame, bin_ + 1))
        time_ms = ((self._first + frame + between_frames) * _HOP + _WINDOW / 2) * 1000 / RATE_HZ
        pitch = np.log2((_LOW + bin_ + between_bins) * RATE_HZ / _WINDOW / _LOWEST_HZ)
        self._found.append((time_ms, pitch, centre))

    def _chosen(self) -> tuple[NDArray[np.float64], ...]:
        """The strongest of the local maxima, at the fixed density: time in ms, pitch in octaves, level in dB."""
        if not self._found:
            return (np.empty(0),) * 3
        time, pitch, level = (np.concatenate(parts) for parts in zip(*self._found, strict=True))
        order = np.lexsort((pitch, time))
        time, pitch, level = time[order], pitch[order], level[order]
        rivals = np.zeros(len(time), np.int64)
        drowned = np.zeros(len(time), bool)
        for step in range(1, len(time)):
            near = time[step:] - time[:-step] <= _RIVAL_MS
            if not near.any():
                break
            louder = level[step:] - level[:-step]
            rivals[:-step] += near & (louder > 0)
            rivals[step:] += near & (louder <= 0)
            drowned[:-step] |= near & (louder > _DYNAMIC_DB)
            drowned[step:] |= near & (louder < -_DYNAMIC_DB)
        kept = (rivals < _RIVALS) & ~drowned
        return time[kept], pitch[kept], level[kept]


def fingerprint(source: Path | bytes) -> Fingerprint:
    """The fingerprint of a file, or of a file's bytes.

    Raises:
        AudioError: It cannot be decoded.
    """
    fingerprinter = Fingerprinter()
    fingerprinter.push(decode(source, sample_rate_hz=RATE_HZ, mono=True).waveform[0].numpy())
    return fingerprinter.finish()


def _running_max(values: NDArray[np.float32], width: int, axis: int) -> NDArray[np.float32]:
    """Highest of every ``width`` neighbours along ``axis``, where all of them are there; by doubling the width."""

    def part(array: NDArray[np.float32], start: int, stop: int) -> NDArray[np.float32]:
        return array[start:stop] if axis == 0 else array[:, start:stop]

    highest, covered = values, 1
    while covered < width:
        step = min(covered, width - covered)
        length = highest.shape[axis] - step
        highest = np.maximum(part(highest, 0, length), part(highest, step, step + length))
        covered += step
    return highest


def _vertex(
    before: NDArray[np.float64], centre: NDArray[np.float64], after: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Where the parabola through three neighbours has its top, in [-0.5, 0.5] from the middle one."""
    bend = np.minimum(before - 2 * centre + after, -1e-6)
    return np.asarray(np.clip(0.5 * (before - after) / bend, -0.5, 0.5))
