"""From FFmpeg's frames to float32 samples: one scale, one rate, one number of channels."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float32]  # (channels, time)
Listener = Callable[[Samples, Any], None]

_KINDS: dict[str, Any] = {
    **{"u8": np.uint8, "s16": np.int16, "s32": np.int32, "s64": np.int64},
    **{"flt": np.float32, "dbl": np.float64},
}
_CHUNK_SAMPLES = 1 << 16  # handled at once: a step of Python for each frame of 26 ms would take as long as decoding


def resampled(
    frames: Iterator[Any], rate_hz: int, *, mono: bool, listener: Listener | None = None
) -> Iterator[Samples]:
    """The frames' samples at ``rate_hz``, in pieces of shape ``(channels, time)``.

    The first frame fixes the number of channels; where it changes later (a chain of ogg streams), the mean of all
    channels is put on each. Mono is the mean of all channels.

    Args:
        frames: FFmpeg's frames, in order.
        rate_hz: Sample rate of the pieces.
        mono: Mix down to one channel.
        listener: Is given all of the sound as it is stored, in pieces: samples of shape ``(channels, time)``, and the
            frame that they came in, which knows its rate and its channels' names.
    """
    channels = 0
    resampler: Resampler | None = None
    for frame in joined(frames, lambda rate_hz, channels: _CHUNK_SAMPLES):
        chunk = to_float(frame)
        if listener:
            listener(chunk, frame)
        channels = channels or (1 if mono else len(chunk))
        if len(chunk) != channels:
            chunk = np.repeat(_mean(chunk), channels, axis=0)
        if resampler and resampler.from_hz != frame.sample_rate:
            yield from resampler.flush()
            resampler = None
        if frame.sample_rate == rate_hz:
            yield chunk
            continue
        resampler = resampler or Resampler(frame.sample_rate, rate_hz)
        yield from resampler.push(chunk)
    if resampler:
        yield from resampler.flush()


def joined(frames: Iterator[Any], samples_at: Callable[[int, int], int]) -> Iterator[Any]:
    """The same sound in fewer, longer frames, joined within FFmpeg: what Python does, it does once a frame.

    Only the last of a stretch is shorter; another rate, format or layout begins a new stretch.

    Args:
        frames: FFmpeg's frames, in order; used up.
        samples_at: The wanted length, in samples, for a rate in Hz and a number of channels.
    """
    import av

    fifo: Any = None
    stretch: tuple[Any, ...] = ()
    length = 0
    for frame in frames:
        found = (frame.sample_rate, frame.format.name, frame.layout.name)
        if found != stretch:
            if fifo and fifo.samples:
                yield fifo.read(0, partial=True)
            fifo, stretch = av.AudioFifo(), found
            length = samples_at(frame.sample_rate, frame.layout.nb_channels)
        frame.pts = None  # its own count of the samples is wanted, whatever gaps the times have
        fifo.write(frame)
        while fifo.samples >= length:
            yield fifo.read(length)
    if fifo and fifo.samples:
        yield fifo.read(0, partial=True)


def stored(frame: Any) -> npt.NDArray[Any]:
    """A frame's numbers as decoded, shape ``(channels, time)`` or, interleaved, ``(1, time * channels)``."""
    from av.audio.plane import AudioPlane

    # Not `frame.planes` or `to_ndarray`: PyAV looks there for a mark of the end, which there is none behind the eighth
    # channel and beyond, and takes what follows in memory for sound (7.1 surround ends the process).
    planes, numbers = (frame.layout.nb_channels, 1) if frame.format.is_planar else (1, frame.layout.nb_channels)
    kind = _KINDS[frame.format.name.removesuffix("p")]
    memory: list[Any] = [AudioPlane(frame, plane) for plane in range(planes)]
    return np.stack([np.frombuffer(plane, kind, numbers * frame.samples) for plane in memory])


def to_float(frame: Any) -> Samples:
    """A frame's samples in [-1, 1], shape ``(channels, time)``, from u8, s16, s32, s64, float or double."""
    return scaled(stored(frame), frame.layout.nb_channels)


def scaled(numbers: npt.NDArray[Any], channels: int) -> Samples:
    """What `stored` gives of so many channels, as samples in [-1, 1], shape ``(channels, time)``."""
    by_channel = numbers if len(numbers) == channels else numbers.reshape(-1, channels).T
    if numbers.dtype.kind == "f":
        return np.ascontiguousarray(by_channel, dtype=np.float32)
    samples = np.empty(by_channel.shape, np.float32)
    half = 2.0 ** (8 * numbers.dtype.itemsize - 1)
    for channel, whole in zip(samples, by_channel, strict=True):  # one by one: the steps of numpy are then short
        np.multiply(whole, np.float32(1 / half), out=channel, casting="unsafe", dtype=np.float32)
    return samples - np.float32(1) if numbers.dtype == np.uint8 else samples


def _mean(samples: Samples) -> Samples:
    """The mean of all channels, shape ``(1, time)``."""
    mean: Samples = samples.mean(axis=0, keepdims=True, dtype=np.float32)
    return mean


class Resampler:
    """libswresample, fed with arrays; its delay is made good by FFmpeg, so that time 0 stays time 0."""

    def __init__(self, from_hz: int, to_hz: int) -> None:
        self.from_hz, self._to_hz = from_hz, to_hz
        self._channels: list[Any] = []

    def push(self, samples: Samples) -> Iterator[Samples]:
        import av

        # Channel by channel: FFmpeg has no layout for every number of channels, and none is needed here.
        while len(self._channels) < len(samples):
            self._channels.append(av.AudioResampler(format="fltp", layout="mono", rate=self._to_hz))
        frames = []
        for channel in samples:
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(channel[None]), format="fltp", layout="mono")
            frame.sample_rate = self.from_hz
            frames.append(frame)
        yield from self._pull(frames)

    def flush(self) -> Iterator[Samples]:
        yield from self._pull([None] * len(self._channels))

    def _pull(self, frames: list[Any]) -> Iterator[Samples]:
        outputs = [resampler.resample(frame) for resampler, frame in zip(self._channels, frames, strict=True)]
        for parts in zip(*outputs, strict=True):
            yield np.concatenate([part.to_ndarray() for part in parts], axis=0)
