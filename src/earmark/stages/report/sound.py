"""A few seconds of a recording, small enough to be part of a page."""

import base64
import io
from pathlib import Path

import numpy as np

from earmark.audio.decode import decode

RATE_HZ = 32_000
_BITS_PER_S = 48_000
_FADE_S = 0.05


def excerpt(source: Path | bytes, start_s: float, seconds: float) -> str:
    """A ``data:`` address of an mp3, mono, with soft ends; shorter where the recording ends before.

    Raises:
        AudioError: The recording cannot be decoded.
    """
    heard = decode(source, sample_rate_hz=RATE_HZ, mono=True, max_seconds=start_s + seconds)
    samples = heard.waveform.numpy()[0]
    samples = samples[min(int(start_s * RATE_HZ), max(0, len(samples) - int(seconds * RATE_HZ))) :].copy()
    fade = min(int(_FADE_S * RATE_HZ), len(samples) // 2)
    ramp = np.linspace(0, 1, fade, dtype=np.float32)
    samples[:fade] *= ramp
    samples[len(samples) - fade :] *= ramp[::-1]
    return "data:audio/mpeg;base64," + base64.b64encode(_mp3(samples)).decode()


def _mp3(samples: np.ndarray[tuple[int], np.dtype[np.float32]]) -> bytes:
    import av

    content = io.BytesIO()
    # Without the encoder's name and without a random number: the same sound, the same bytes.
    with av.open(content, "w", format="mp3", options={"fflags": "+bitexact", "id3v2_version": "0"}) as container:
        stream = container.add_stream("libmp3lame", rate=RATE_HZ, layout="mono")
        stream.bit_rate = _BITS_PER_S
        frame = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
        frame.sample_rate = RATE_HZ
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)
    return content.getvalue()
