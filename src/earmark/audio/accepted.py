"""Recordings that were accepted at their import, decoded again for their features.

Here, and only here, torchcodec may decode: it works without Python's lock, so threads of one process do what otherwise
takes several processes. It needs FFmpeg's shared libraries from the system; where they are missing, PyAV decodes, which
carries its own. The environment variable ``EARMARK_DECODER`` (``torchcodec`` or ``pyav``) decides otherwise.

Features must not depend on that. So torchcodec is given only codecs of which FFmpeg 5.1 and 8 make the same samples
(the largest difference measured is 2e-7), and where it fails, `earmark.audio.decode` has the last word: the recording,
or an error. Not among them are vorbis (FFmpeg 5.1 decodes what FFmpeg's own encoder wrote wrongly) and wma (torchcodec
0.17 loses the last frame). An upload never comes here: it has not been checked.
"""

import math
import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from earmark.audio.decode import decode
from earmark.errors import AudioError

if TYPE_CHECKING:
    from torch import Tensor

DECODER = "EARMARK_DECODER"
_SAME = ("mp3", "aac", "opus", "flac", "pcm_s16le", "pcm_s16be")


def waveform_of(source: Path | bytes, sample_rate_hz: int) -> "Tensor":
    """The recording, mixed to mono (the mean of all channels) and resampled: shape ``(time,)``, float32.

    Raises:
        AudioError: It cannot be decoded, or EARMARK_DECODER asks for what is not there.
    """
    found = _by_torchcodec(source, sample_rate_hz) if decoder() == "torchcodec" else None
    return decode(source, sample_rate_hz=sample_rate_hz, mono=True).waveform[0] if found is None else found


def decoder() -> Literal["torchcodec", "pyav"]:
    """What decodes here.

    Raises:
        AudioError: EARMARK_DECODER asks for what is unknown or does not work.
    """
    wanted = os.environ.get(DECODER) or None
    if wanted not in ("torchcodec", "pyav", None):
        raise AudioError(f"{DECODER} is {wanted!r}; known are torchcodec and pyav. Leave it out to let earmark choose.")
    reason = None if wanted == "pyav" else why_not_torchcodec()
    if wanted == "torchcodec" and reason:
        raise AudioError(
            f"{DECODER} asks for torchcodec, which does not work here ({reason}). It needs FFmpeg's shared libraries: "
            f"on Debian and Ubuntu `apt-get install ffmpeg`. Or leave {DECODER} out: PyAV carries its own."
        )
    return "pyav" if wanted == "pyav" or reason else "torchcodec"


@cache
def why_not_torchcodec() -> str | None:
    """Why torchcodec cannot be used here, in a few words; None where it can."""
    try:
        from torchcodec.decoders import AudioDecoder

        made = AudioDecoder(_TWO_SAMPLES, sample_rate=8000, num_channels=1).get_all_samples().data.flatten().tolist()
    except Exception as error:  # which one, depends on what is missing
        return str(error).strip().partition("\n")[0] or type(error).__name__
    return None if made == [0.5, -0.5] else f"of a known sound it makes {made}"


def _by_torchcodec(source: Path | bytes, sample_rate_hz: int) -> "Tensor | None":
    from torchcodec.decoders import AudioDecoder

    try:
        file = AudioDecoder(source, sample_rate=sample_rate_hz, num_channels=1)
        about = file.metadata
        if about.codec not in _SAME or about.num_channels not in (1, 2):
            return None
        samples: Tensor = file.get_all_samples().data[0]
    except Exception:  # torchcodec raises many kinds; the other decoder says what is wrong, if anything is
        return None
    if about.num_channels == 2:  # FFmpeg mixes by 1/√2 each, which keeps the power; the mean never clips
        samples = samples.mul_(1 / math.sqrt(2))
    return samples.clamp_(-1.0, 1.0)


# A wav file of two samples, 16,384 and −16,384, 8,000 Hz, mono.
_TWO_SAMPLES = (
    b"RIFF(\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x80\x3e\0\0\x02\0\x10\0data\x04\0\0\0\x00\x40\x00\xc0"
)
