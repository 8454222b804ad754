"""Copies of a recording as they occur in collections: coded again, louder, resampled, cut out, sped up.

Each is a file's bytes, so that it comes in through the same door as any other recording.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]  # (channels, time)

# name: (FFmpeg's muxer, encoder, sample rate in Hz or None for the recording's own, options of the encoder)
_CODECS: dict[str, tuple[str, str, int | None, dict[str, str]]] = {
    "mp3": ("mp3", "libmp3lame", None, {}),
    "aac": ("ipod", "aac", None, {}),
    "opus": ("ogg", "libopus", 48_000, {}),
    "vorbis": ("ogg", "vorbis", None, {"strict": "experimental"}),
    "wav16": ("wav", "pcm_s16le", None, {}),
    "wav24": ("wav", "pcm_s24le", None, {}),
    "wav8": ("wav", "pcm_u8", None, {}),
}


@dataclass(frozen=True)
class Change:
    """One way to change a recording.

    Attributes:
        kind: What the bench reports by: reencode, gain, resample, excerpt or speed.
        name: Unique among all changes.
        make: From samples, sample rate in Hz and a random generator to the copy's bytes.
    """

    kind: str
    name: str
    make: Callable[[Samples, int, np.random.Generator], bytes]


def changes() -> list[Change]:
    """Every change that is measured."""
    return [
        *(
            Change("reencode", f"{codec} {kbit}k", _coded(codec, kbit))
            for codec, kbit in (("mp3", 64), ("mp3", 128), ("aac", 64), ("aac", 128), ("opus", 48), ("opus", 96))
        ),
        Change("reencode", "vorbis 96k", _coded("vorbis", 96)),
        Change("reencode", "wav 24 bit", _coded("wav24", 0)),
        Change("reencode", "wav 8 bit", _coded("wav8", 0)),
        *(Change("gain", f"{gain_db:+d} dB", _louder(gain_db)) for gain_db in (-20, -6, 6)),
        Change("gain", "+9 dB into a soft limiter", _limited(9)),
        *(Change("resample", f"{rate_hz} Hz", _at_rate(rate_hz)) for rate_hz in (11_025, 16_000, 44_100, 48_000)),
        *(Change("excerpt", f"{seconds} s", _cut(seconds)) for seconds in (10, 15, 20)),
        *(Change("speed", f"{percent:+.1f} %", _faster(percent)) for percent in (-2, -1, -0.5, 0.5, 1, 2)),
    ]


def encode(samples: Samples, rate_hz: int, codec: str, kbit: int = 0) -> bytes:
    """``samples``, shape ``(channels, time)``, as a file's bytes; ``kbit`` a second for codecs that lose."""
    import av

    muxer, encoder, own_rate_hz, options = _CODECS[codec]
    layout = "mono" if len(samples) == 1 else "stereo"
    stored = "stereo" if codec == "vorbis" else layout  # FFmpeg's own encoder of Vorbis knows nothing else
    file = io.BytesIO()
    with av.open(file, "w", format=muxer) as container:
        stream: Any = container.add_stream(encoder, rate=own_rate_hz or rate_hz, layout=stored, options=options)
        if kbit:
            stream.bit_rate = 1000 * kbit
        context = stream.codec_context
        context.open()
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples, np.float32), format="fltp", layout=layout)
        frame.sample_rate, frame.pts = rate_hz, 0
        into = av.AudioResampler(
            context.format, context.layout, context.sample_rate, frame_size=context.frame_size or 4096
        )
        for part in [*into.resample(frame), *into.resample(None)]:
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    return file.getvalue()


def resample(samples: Samples, from_hz: int, to_hz: int) -> Samples:
    """``samples`` at another rate."""
    import av

    layout = "mono" if len(samples) == 1 else "stereo"
    resampler = av.AudioResampler(format="fltp", layout=layout, rate=to_hz)
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), format="fltp", layout=layout)
    frame.sample_rate = from_hz
    parts = [*resampler.resample(frame), *resampler.resample(None)]
    return np.concatenate([part.to_ndarray() for part in parts], axis=1)


def _coded(codec: str, kbit: int) -> Callable[[Samples, int, np.random.Generator], bytes]:
    return lambda samples, rate_hz, _: encode(samples, rate_hz, codec, kbit)


def _louder(gain_db: float) -> Callable[[Samples, int, np.random.Generator], bytes]:
    """A plain gain; what goes over full scale is clipped hard."""

    def make(samples: Samples, rate_hz: int, _: np.random.Generator) -> bytes:
        return encode(np.clip(samples * np.float32(10 ** (gain_db / 20)), -1, 1), rate_hz, "wav16")

    return make


def _limited(gain_db: float) -> Callable[[Samples, int, np.random.Generator], bytes]:
    def make(samples: Samples, rate_hz: int, _: np.random.Generator) -> bytes:
        normal = samples / max(1e-6, float(np.abs(samples).max()))
        return encode(np.tanh(normal * np.float32(10 ** (gain_db / 20))).astype(np.float32), rate_hz, "mp3", 128)

    return make


def _at_rate(to_hz: int) -> Callable[[Samples, int, np.random.Generator], bytes]:
    return lambda samples, rate_hz, _: encode(resample(samples, rate_hz, to_hz), to_hz, "wav16")


def _cut(seconds: float) -> Callable[[Samples, int, np.random.Generator], bytes]:
    """From anywhere in the recording, and coded again: a preview is never a lossless cut."""

    def make(samples: Samples, rate_hz: int, random: np.random.Generator) -> bytes:
        length = round(seconds * rate_hz)
        start = int(random.integers(0, max(1, samples.shape[1] - length)))
        return encode(samples[:, start : start + length], rate_hz, "mp3", 128)

    return make


def _faster(percent: float) -> Callable[[Samples, int, np.random.Generator], bytes]:
    """As a tape that runs faster: shorter and higher; and coded again."""

    def make(samples: Samples, rate_hz: int, _: np.random.Generator) -> bytes:
        return encode(resample(samples, round(rate_hz * (1 + percent / 100)), rate_hz), rate_hz, "mp3", 128)

    return make
