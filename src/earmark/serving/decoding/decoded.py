"""What comes back from a decoder."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Decoded:
    """A recording, or the beginning of one.

    Attributes:
        samples: Mono (the mean of all channels), in [-1, 1], float32 of shape ``(time,)``; writable. They lie in memory
            that the decoder filled, which is given back with the array; until then a file descriptor stays open.
        sample_rate_hz: Of ``samples``.
        codec: FFmpeg's name (``mp3``, ``aac``, ``vorbis`` …).
        duration_s: Length of ``samples``.
        content_hash: SHA-256 of the whole file, in hexadecimal.
        loudness_lufs: Integrated loudness by EBU R 128, of all channels at the stored rate; None where all is below
            −70 LUFS, where it lasts less than 0.4 s, or where it was not asked for.
    """

    samples: NDArray[np.float32]
    sample_rate_hz: int
    codec: str
    duration_s: float
    content_hash: str
    loudness_lufs: float | None


@dataclass(frozen=True, eq=False)
class Block(Decoded):
    """A piece of a long recording; its ``loudness_lufs`` is that of all that was heard so far.

    Attributes:
        start_s: Where in the recording it begins.
        announced_s: How long the whole lasts, by what the file says or FFmpeg guesses; None where neither knows. Of a
            hostile file this is as true as the rest of it.
    """

    start_s: float
    announced_s: float | None
