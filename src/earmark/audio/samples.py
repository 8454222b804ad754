"""From FFmpeg's frames to float32 samples: one scale, one rate, one number of channels."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float32]  # (channels, time)

_CHUNK_SAMPLES = 1 << 16  # resampled at once; frame by frame, 26 ms each, would take three times as long


def resampled(frames: Iterator[Any], rate_hz: int, *, mono: bool) -> Iterator[Samples]:
    """The frames' samples at ``rate_hz``, in pieces of shape ``(channels, time)``.

    The first frame fixes the number of channels; where it changes later (a chain of ogg streams), the mean of all
    channels is put on each. Mono is the mean of all channels.

    Args:
        frames: FFmpeg's frames, in order.
        rate_hz: Sample rate of the pieces.
        mono: Mix down to one channel.
    """
    channels = 0
    for stored_hz, chunks in _runs(frames):
        resampler = _Resampler(stored_hz, rate_hz) if stored_hz != rate_hz else None
        for chunk in chunks:
            channels = channels or (1 if mono else len(chunk))
            if len(chunk) != channels:
                chunk = np.repeat(chunk.mean(axis=0, keepdims=True, dtype=np.float32), channels, axis=0)
            yield from resampler.push(chunk) if resampler else (chunk,)
        if resampler:
            yield from resampler.flush()


def to_float(frame: Any) -> Samples:
    """A frame's samples in [-1, 1], shape ``(channels, time)``, from u8, s16, s32, s64, float or double."""
    samples: npt.NDArray[Any] = frame.to_ndarray()
    if frame.format.is_packed:
        samples = samples.reshape(-1, frame.layout.nb_channels).T
    if samples.dtype == np.uint8:
        return ((samples.astype(np.float32) - 128) / 128).astype(np.float32)
    if samples.dtype.kind == "i":
        return (samples / -float(np.iinfo(samples.dtype).min)).astype(np.float32)
    return np.asarray(samples, dtype=np.float32)


def _runs(frames: Iterator[Any]) -> Iterator[tuple[int, Iterator[Samples]]]:
    """Stretches of frames that share a sample rate, each as (rate in Hz, chunks of one channel count each)."""
    frame = next(frames, None)

    def chunks() -> Iterator[Samples]:
        nonlocal frame
        held: list[Samples] = []
        length = 0
        start_hz = frame.sample_rate if frame is not None else 0
        while frame is not None and frame.sample_rate == start_hz:
            samples = to_float(frame)
            if held and (len(held[0]) != len(samples) or length >= _CHUNK_SAMPLES):
                yield np.concatenate(held, axis=1)
                held, length = [], 0
            held.append(samples)
            length += samples.shape[1]
            frame = next(frames, None)
        if held:
            yield np.concatenate(held, axis=1)

    while frame is not None:
        yield int(frame.sample_rate), chunks()


class _Resampler:
    """libswresample, fed with arrays; its delay is made good by FFmpeg, so that time 0 stays time 0."""

    def __init__(self, from_hz: int, to_hz: int) -> None:
        self._from_hz, self._to_hz = from_hz, to_hz
        self._channels: list[Any] = []

    def push(self, samples: Samples) -> Iterator[Samples]:
        import av

        # Channel by channel: FFmpeg has no layout for every number of channels, and none is needed here.
        while len(self._channels) < len(samples):
            self._channels.append(av.AudioResampler(format="fltp", layout="mono", rate=self._to_hz))
        frames = []
        for channel in samples:
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(channel[None]), format="fltp", layout="mono")
            frame.sample_rate = self._from_hz
            frames.append(frame)
        yield from self._pull(frames)

    def flush(self) -> Iterator[Samples]:
        yield from self._pull([None] * len(self._channels))

    def _pull(self, frames: list[Any]) -> Iterator[Samples]:
        outputs = [resampler.resample(frame) for resampler, frame in zip(self._channels, frames, strict=True)]
        for parts in zip(*outputs, strict=True):
            yield np.concatenate([part.to_ndarray() for part in parts], axis=0)
