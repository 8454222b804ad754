"""Audio made by code, in every format that earmark reads."""

import io
from typing import Any

import av
import numpy as np

# suffix: (FFmpeg's muxer, encoder, options of the encoder)
_ENCODERS: dict[str, tuple[str, str, dict[str, str]]] = {
    "mp3": ("mp3", "libmp3lame", {}),
    "m4a": ("ipod", "aac", {}),
    "ogg": ("ogg", "vorbis", {"strict": "experimental"}),
    "opus": ("ogg", "libopus", {}),
    "flac": ("flac", "flac", {}),
    "wav": ("wav", "pcm_s16le", {}),
    "aiff": ("aiff", "pcm_s16be", {}),
    "wma": ("asf", "wmav2", {}),
    "aac": ("adts", "aac", {}),
    "au": ("au", "pcm_s16be", {}),
    "caf": ("caf", "pcm_s16le", {}),
    "wv": ("wv", "wavpack", {}),
    "webm": ("webm", "libopus", {}),
    "mka": ("matroska", "flac", {}),
}
FORMATS = tuple(_ENCODERS)


def encode_samples(
    samples: np.ndarray,
    suffix: str,
    rate_hz: int,
    *,
    tags: dict[str, str] | None = None,
    muxer_options: dict[str, str] | None = None,
    encoder: str | None = None,
) -> bytes:
    """``samples``, float32 of shape (channels, time), as a file's bytes."""
    muxer, usual_encoder, options = _ENCODERS[suffix]
    layout = "mono" if len(samples) == 1 else "stereo"
    file = io.BytesIO()
    with av.open(file, "w", format=muxer, options=muxer_options or {}) as container:
        container.metadata.update(tags or {})
        stream = container.add_stream(encoder or usual_encoder, rate=rate_hz, layout=layout, options=options)
        stream.bit_rate = 96_000
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


def encode_tone(
    suffix: str, seconds: float = 4.0, *, rate_hz: int = 48_000, channels: int = 2, tone_hz: float = 440.0, **how: Any
) -> bytes:
    """A tone with a little noise as a file's bytes; ``how`` as in `encode_samples`."""
    time_s = np.arange(round(seconds * rate_hz)) / rate_hz
    noise = np.random.default_rng(round(tone_hz)).normal(0, 0.02, (channels, len(time_s)))
    return encode_samples(0.5 * np.sin(2 * np.pi * tone_hz * time_s) + noise, suffix, rate_hz, **how)
