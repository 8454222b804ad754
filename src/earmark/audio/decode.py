"""The one door through which audio comes in: any common format, from a path or from bytes, to a float32 waveform.

PyAV carries its own FFmpeg, so this works on a bare machine. What a file is, its bytes decide and never its name.
FFmpeg is given an open file and a short list of containers; it follows no address, playlist or reference to another
file.

Resampling is FFmpeg's libswresample, not torchaudio's kernel: it streams, so memory is bounded whatever the length; it
takes any pair of rates (torchaudio's kernel for 44,101 → 16,000 Hz would need gigabytes, which a hostile file could ask
for); torchcodec (`earmark.audio.accepted`) uses the same. On one machine it repeats to the bit. Silence
that an encoder put before and after the music (mp3 with a LAME header, AAC in MP4, Opus) is taken off by FFmpeg, by the
lengths that the file states.
"""

import io
import os
import stat
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from earmark.audio.other_kinds import what_it_is
from earmark.audio.samples import Listener, Samples, resampled
from earmark.audio.truncation import CHECKS, missing, sniff
from earmark.errors import AudioError

if TYPE_CHECKING:
    from torch import Tensor

FORMATS = "mp3, m4a/mp4, ogg, opus, flac, wav, aiff, wma, aac, au, caf, wavpack, webm/mka"

_LOWEST_RATE_HZ, _HIGHEST_RATE_HZ, _MOST_CHANNELS = 1_000, 768_000, 64
_BAD_PACKETS_SHARE = 0.05  # a scratch is put up with, a ruin is not


class NotAudio(AudioError):
    """The bytes are none of the formats read here."""


class EmptyAudio(NotAudio):
    """There are no bytes, or no sound in them."""


class TruncatedAudio(AudioError):
    """The file was cut off: it announces more than it holds."""


class UndecodableAudio(AudioError):
    """The container is known, but what it holds is damaged or coded in an unknown way."""


class UnreadableFile(AudioError):
    """The path leads to no file that can be opened."""


@dataclass(frozen=True)
class Recording:
    """Decoded audio.

    Attributes:
        waveform: Samples in [-1, 1], float32, shape ``(channels, time)``.
        sample_rate_hz: Of ``waveform``: as asked for, else as stored.
        codec: FFmpeg's name (``mp3``, ``aac``, ``vorbis`` …).
    """

    waveform: "Tensor"
    sample_rate_hz: int
    codec: str


@dataclass(frozen=True)
class AudioInfo:
    """What a recording is: length in seconds as decoded, sample rate and channels as stored, FFmpeg's codec name."""

    duration_s: float
    sample_rate_hz: int
    channels: int
    codec: str


def decode(
    source: Path | bytes, *, sample_rate_hz: int | None = None, mono: bool = False, max_seconds: float | None = None
) -> Recording:
    """The waveform of a file, or of a file's bytes.

    Args:
        source: A path, or the bytes themselves.
        sample_rate_hz: Resample to this rate; None keeps the stored one.
        mono: Mix down to one channel, the mean of all.
        max_seconds: Decode no more than this from the start, and hold no more in memory; None decodes all.

    Returns:
        `Recording`, ``waveform`` of shape ``(channels, time)``.

    Raises:
        NotAudio: No known audio format (`EmptyAudio`: no bytes, or no sound).
        TruncatedAudio: The file was cut off. For flac only the whole length tells, so ``max_seconds`` may hide it. What
            no file can tell is listed in `earmark.audio.truncation`.
        UndecodableAudio: Damaged, or coded in an unknown way.
        UnreadableFile: The path leads to no readable file.
    """
    import torch

    samples, rate_hz, codec = samples_of(source, sample_rate_hz=sample_rate_hz, mono=mono, max_seconds=max_seconds)
    return Recording(torch.from_numpy(samples), rate_hz, codec)


def samples_of(
    source: Path | bytes | BinaryIO,
    *,
    sample_rate_hz: int | None = None,
    mono: bool = False,
    max_seconds: float | None = None,
) -> tuple[Samples, int, str]:
    """What `decode` says, without torch: samples of shape ``(channels, time)``, their rate in Hz, FFmpeg's codec name.

    Raises:
        AudioError: As `decode`.
    """
    with open_recording(source) as opened:
        rate_hz = sample_rate_hz or opened.rate_hz
        pieces = list(pieces_of(opened, rate_hz, mono=mono, max_seconds=max_seconds))
    return np.concatenate(pieces, axis=1), rate_hz, opened.codec


def pieces_of(
    opened: "_Opened", rate_hz: int, *, mono: bool, max_seconds: float | None, listener: Listener | None = None
) -> Iterator[Samples]:
    """The same samples piece by piece, each of shape ``(channels, time)``, of a recording that is open.

    Args:
        opened: By `open_recording`.
        rate_hz: Of the pieces.
        mono: As in `decode`.
        max_seconds: As in `decode`.
        listener: As in `earmark.audio.samples.resampled`.

    Raises:
        AudioError: As `decode`; what only the end can tell comes after the last piece.
    """
    wanted = None if max_seconds is None else max(1, round(max_seconds * rate_hz))
    held = 0
    for piece in resampled(opened.frames(), rate_hz, mono=mono, listener=listener):
        piece = piece[:, : None if wanted is None else wanted - held]
        held += piece.shape[1]
        if piece.size:
            yield _in_range(piece)
        if held == wanted:
            return
    if not held:
        raise EmptyAudio(
            f"{opened.called} holds {opened.decoded_s:.4f} s of sound, too little for one sample at {rate_hz} Hz."
        )


def _in_range(samples: Samples) -> Samples:
    if samples.min() >= -1 and samples.max() <= 1:  # false where one is not a number, too
        return samples
    return np.clip(np.nan_to_num(samples, posinf=1.0, neginf=-1.0), -1.0, 1.0)


class _Bytes:
    """What FFmpeg gets to see of a file: bytes and no name."""

    def __init__(self, file: BinaryIO) -> None:
        self.read, self.seek, self.tell = file.read, file.seek, file.tell


class _Opened:
    """An open recording that hands out FFmpeg's frames and, at the end, judges whether that was all."""

    def __init__(self, container: Any, called: str) -> None:
        self._container, self.called = container, called
        self._stream = container.streams.best("audio")
        if self._stream is None:
            raise NotAudio(f"{called} holds no audio stream, only {_kinds(container)}. Send a recording: {FORMATS}.")
        context = self._stream.codec_context
        if context is None:
            raise UndecodableAudio(
                f"{called} is coded in a way that FFmpeg does not know. Convert it to one of: {FORMATS}."
            )
        context.thread_count = 1  # files are decoded beside each other, each in a process of its own
        self.codec = str(context.codec.canonical_name)
        self.rate_hz, self.channels = int(context.sample_rate), int(context.channels)
        self._samples: Counter[int] = Counter()  # decoded so far, by sample rate in Hz

    @property
    def announced_s(self) -> float | None:
        """Seconds that the file claims to last, or that FFmpeg guesses from its size; None where neither is known."""
        if self._stream.duration:
            return float(self._stream.duration * self._stream.time_base)
        return self._container.duration / 1e6 if self._container.duration else None

    @property
    def decoded_s(self) -> float:
        """Seconds decoded so far."""
        return sum(samples / rate_hz for rate_hz, samples in self._samples.items())

    def frames(self) -> Iterator[Any]:
        """FFmpeg's frames, in order.

        Raises:
            AudioError: As `decode` says; the checks of the whole come after the last frame.
        """
        import av

        packets = bad = 0
        last_was_bad = False
        reason = ""
        try:
            for packet in self._container.demux(self._stream):
                packets += packet.size > 0
                try:
                    frames = packet.decode()
                except (av.error.InvalidDataError, av.error.PatchWelcomeError) as error:
                    bad, last_was_bad, reason = bad + 1, True, str(error.strerror)
                    continue
                last_was_bad = last_was_bad and packet.size == 0
                for frame in frames:
                    self._measure(frame)
                    yield frame
        except av.error.FFmpegError as error:
            raise UndecodableAudio(
                f"{self.called} cannot be decoded beyond {self.decoded_s:.1f} s ({error.strerror}). "
                "It is damaged; get it again."
            ) from None
        if not self.decoded_s:
            kinds = _kinds(self._container)
            if bad:
                raise UndecodableAudio(
                    f"{self.called} looks like {self.codec}, but nothing in it can be decoded ({reason}). "
                    "It is damaged, or no audio at all."
                )
            raise EmptyAudio(f"{self.called} holds no sound ({kinds}, {packets} packets). Send a recording: {FORMATS}.")
        if last_was_bad and self._stream.codec_context.name == "flac":  # its length may be unknown; others were checked
            raise _cut(self.called, "the last piece of audio is not whole")
        if bad > max(1, _BAD_PACKETS_SHARE * packets):
            raise UndecodableAudio(
                f"In {self.called}, {bad} of {packets} pieces cannot be decoded ({reason}). "
                "It is damaged; get it again."
            )
        self._compare_length()

    def _measure(self, frame: Any) -> None:
        rate_hz, channels = int(frame.sample_rate), int(frame.layout.nb_channels)
        if not (_LOWEST_RATE_HZ <= rate_hz <= _HIGHEST_RATE_HZ and 1 <= channels <= _MOST_CHANNELS):
            raise UndecodableAudio(
                f"{self.called} claims {channels} channels at {rate_hz:,} Hz; recordings have up to "
                f"{_MOST_CHANNELS} at {_LOWEST_RATE_HZ:,} to {_HIGHEST_RATE_HZ:,} Hz. "
                "Its header is damaged; get it again."
            )
        if not self._samples:
            self.rate_hz, self.channels = rate_hz, channels
        self._samples[rate_hz] += frame.samples

    def _compare_length(self) -> None:
        """These containers state their length exactly: less than that is a cut that no byte count shows."""
        container = self._container.format.name.split(",")[0]
        if container not in ("flac", "mov") or not self._stream.duration:
            return
        announced_s = float(self._stream.duration * self._stream.time_base)
        if self.decoded_s < 0.99 * announced_s - 0.1:
            raise _cut(self.called, f"the header announces {announced_s:.1f} s, {self.decoded_s:.1f} s are there")


@contextmanager
def open_recording(source: Path | bytes | BinaryIO) -> Iterator[_Opened]:
    """The recording behind ``source``, its frames ready to be taken; for the readers of this room.

    Raises:
        AudioError: As `decode` says; what only the end can tell comes after the last frame.
    """
    import av

    av.logging.set_level(None)  # what FFmpeg would print says less than the errors here
    with _file(source) as (file, size, called):
        if not size:
            raise EmptyAudio(f"{called} is empty (0 bytes). The copy or upload may have failed; get it again.")
        container_kind = sniff(file)
        if container_kind and (gap := missing(file, container_kind, size)):
            raise _cut(called, gap)
        file.seek(0)
        # No protocol and no nested file: what a playlist, or a reference inside a film, points at is never opened.
        options = {"format_whitelist": ",".join(CHECKS), "protocol_whitelist": "none"}
        try:
            container = av.open(_Bytes(file), options=options, metadata_errors="ignore", io_open=_refuse)
        except (av.error.FFmpegError, ValueError, OverflowError):
            raise NotAudio(
                f"{called} is not audio that can be read: it {what_it_is(file, container_kind)}. "
                f"Send a recording: {FORMATS}."
            ) from None
        with container:
            found = container.format.name.split(",")[0]
            if found != container_kind:  # FFmpeg found it behind bytes of another kind
                position = file.tell()
                gap = missing(file, found, size)
                file.seek(position)
                if gap:
                    raise _cut(called, gap)
            yield _Opened(container, called)


@contextmanager
def _file(source: Path | bytes | BinaryIO) -> Iterator[tuple[BinaryIO, int, str]]:
    """The open file, its size in bytes, and what to call it in a message."""
    if not isinstance(source, Path):
        file = io.BytesIO(source) if isinstance(source, bytes) else source
        yield file, file.seek(0, os.SEEK_END), "The audio"
        return
    called = repr(source.name)
    try:
        if not stat.S_ISREG(source.stat().st_mode):  # opening a pipe would wait for ever
            raise UnreadableFile(f"{called} is no file. Give the path of a recording.")
        file = source.open("rb")
    except OSError as error:
        raise UnreadableFile(
            f"{called} cannot be read: {error.strerror or error}. Check that it exists and may be read."
        ) from None
    with file:
        yield file, os.fstat(file.fileno()).st_size, called


def _refuse(url: str, *_: Any, **__: Any) -> Any:
    raise PermissionError(f"{url}: no recording may open another file")


def _cut(called: str, gap: str) -> TruncatedAudio:
    return TruncatedAudio(
        f"{called} is cut off: {gap}. The copy, upload or download probably stopped early; get it again."
    )


def _kinds(container: Any) -> str:
    return ", ".join(sorted({stream.type for stream in container.streams})) or "no streams"
