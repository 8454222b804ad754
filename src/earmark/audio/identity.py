"""One hash for equal sound, in whatever lossless file it lies.

SHA-256 over each stretch's rate and channels (``44100 Hz, 2 channels;``) and its samples: interleaved, 16 bits,
little-endian, as ``ffmpeg -f s16le`` gives them. So wav, flac, aiff, wavpack and alac of one sound have one hash, and 8
bits, or 16 in a file of 24, have that of the same sound in 16. Where whole numbers have more than 16 bits, the lower 16
are hashed on their own, and the recording's hash is that of both.

Fractions, which lossy decoders give, are rounded to 16 bits. Two decoders, or one on two kinds of processor, may round
some sample differently: for mp3 and its like, equal hashes mean equal sound, and different ones mean little.
"""

import hashlib
from typing import Any

import numpy as np
import numpy.typing as npt


class SoundHash:
    """Collects the samples of one recording, piece by piece; how it is cut into pieces makes no difference."""

    def __init__(self) -> None:
        self._high, self._low = hashlib.sha256(), hashlib.sha256()
        self._stretch = (0, 0)
        self._has_low_bits = False

    def add(self, stored: npt.NDArray[Any], samples: npt.NDArray[np.float32], rate_hz: int) -> None:
        """The next piece.

        Args:
            stored: As decoded, shape ``(channels, time)`` or, interleaved, ``(1, time * channels)``.
            samples: The same on the common scale, free of what is no number, shape ``(channels, time)``.
            rate_hz: Sample rate.
        """
        if self._stretch != (rate_hz, len(samples)):
            self._stretch = rate_hz, len(samples)
            self._high.update(f"{rate_hz} Hz, {len(samples)} channels;".encode())
        if stored.dtype.kind == "f":
            self._high.update(_rounded(samples).data)
            return
        if len(stored) > 1:
            stored = np.ascontiguousarray(stored.T)
        if stored.dtype == np.uint8:
            stored = (stored.astype("<i2") - 128) * 256
        if stored.dtype.itemsize > 2:
            whole = stored if stored.dtype.itemsize == 4 else stored >> 32
            low = whole.astype("<u2")
            self._has_low_bits = self._has_low_bits or bool(low.any())
            self._low.update(low.data)
            stored = whole >> 16
        self._high.update(stored.astype("<i2", copy=False).data)

    def hexdigest(self) -> str:
        """The hash of all so far, 64 hexadecimal digits."""
        if self._has_low_bits:
            return hashlib.sha256(self._high.digest() + self._low.digest()).hexdigest()
        return self._high.hexdigest()


def _rounded(samples: npt.NDArray[np.float32]) -> npt.NDArray[np.int16]:
    """Samples on the common scale as 16 bits, interleaved, shape ``(time, channels)``."""
    interleaved = np.empty(samples.shape[::-1], "<i2")
    scaled = np.empty(samples.shape[1], np.float32)
    for number, channel in enumerate(samples):  # one by one: each fits into the processor's cache
        np.multiply(channel, 2.0**15, out=scaled)
        np.rint(scaled, out=scaled)
        np.clip(scaled, -(2**15), 2**15 - 1, out=scaled)
        interleaved[:, number] = scaled
    return interleaved
