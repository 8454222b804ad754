"""A waveform as Ogg Opus, the same bytes at every call.

FFmpeg's Ogg writer draws a random stream number unless it is told to be exact bit for bit; then it also leaves out its
version.
"""

import io
from fractions import Fraction

import av
import numpy as np
from av.codec.context import Flags
from numpy.typing import NDArray

BITS_PER_SECOND = 48_000  # transparent enough for one channel; 12 s take about 70 kB
COMPLEXITY = 5  # of the encoder's search, up to 10: half the time, and nobody hears the difference at this rate
CODEC = "opus"
SUFFIX = ".opus"


def encode_opus(waveform: NDArray[np.float32], *, sample_rate_hz: int) -> bytes:
    """``waveform`` in [-1, 1], shape ``(time,)``, at 8, 12, 16, 24 or 48 kHz, as the bytes of an .opus file."""
    samples = np.round(np.clip(waveform, -1.0, 1.0) * 32_767).astype(np.int16)
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="ogg", container_options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("libopus", rate=sample_rate_hz, layout="mono")
        stream.bit_rate = BITS_PER_SECOND
        stream.codec_context.flags |= Flags.bitexact
        stream.codec_context.options = {"compression_level": str(COMPLEXITY)}
        frame = av.AudioFrame.from_ndarray(samples[np.newaxis], format="s16", layout="mono")
        frame.sample_rate, frame.time_base, frame.pts = sample_rate_hz, Fraction(1, sample_rate_hz), 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return buffer.getvalue()
