"""Was this file cut off? Each container is asked, from its bytes alone, whether all that it announces is there.

A decoder is content with half a file: it plays to where the bytes end. What can be told without decoding, by container:

==========  ===========================================================================================
wav, aiff   the chunk sizes in the header against the bytes (a streamed wav announces no true size)
au, caf     the size in the header against the bytes
flac        every metadata block must be whole and audio must follow; the number of samples announced is compared
            with those decoded by `earmark.audio.decode`
mp3         the byte or frame count of the Xing, Info or VBRI header; without one, a last frame that is not whole
aac         (ADTS) a last frame that is not whole
ogg, opus   the last page must be whole and carry the end-of-stream flag
m4a, mp4    every box must fit into the file, and both ``moov`` and the audio must be there
wma         (ASF) every object must fit into the file
webm, mka   the segment's size against the bytes, unless it was streamed
wavpack     every block must be whole, and the last must end at the number of samples announced
==========  ===========================================================================================

So one cut stays invisible: an mp3 without a Xing header, or an ADTS stream, cut exactly between two frames. Nothing in
such a file says how long it should be.

Method: the containers' published layouts (RIFF, AIFF-C, RFC 3533, RFC 8794, RFC 9639, ISO 14496-12, ISO 11172-3).
"""

import struct
from collections.abc import Callable
from typing import BinaryIO

from earmark.audio.mpeg import missing_in_adts, missing_in_mp3, skip_id3

# A writer may be a header's length off, or leave out the byte that pads an odd chunk: that is not a cut.
_SLACK_BYTES = 64
# Programs that write to a pipe cannot know the size and put the largest there.
_STREAMED_FROM_BYTES = 0x7FFFF000


def sniff(file: BinaryIO) -> str | None:
    """The container, by its first bytes: a key of `CHECKS`, or None when they are of no kind known here."""
    file.seek(skip_id3(file))
    head = file.read(16)
    if head[:4] in (b"RIFF", b"RF64") and head[8:12] == b"WAVE":
        return "wav"
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return "aiff"
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"styp"):
        return "mov"
    for magic, container in _MAGIC.items():
        if head.startswith(magic):
            return container
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0:
        return "aac" if head[1] & 0xF6 == 0xF0 else "mp3"
    return None


def missing(file: BinaryIO, container: str, size_bytes: int) -> str | None:
    """What is missing at the end of ``file``, in words, or None when nothing seems to be.

    Args:
        file: Open for reading in binary, seekable.
        container: As `sniff` says.
        size_bytes: Length of the file.
    """
    check = CHECKS.get(container)
    try:
        return check(file, size_bytes) if check else None
    except struct.error:  # the bytes ended within a header
        return "the file ends within a header"


def _short(announced: int, found: int, *, of: str = "of audio") -> str | None:
    if announced - found <= _SLACK_BYTES:
        return None
    return f"the header announces {announced:,} bytes {of}, {max(found, 0):,} are there"


def _wav(file: BinaryIO, size: int) -> str | None:
    at, large = 12, None
    while at + 8 <= size:
        file.seek(at)
        kind, length = struct.unpack("<4sI", file.read(8))
        if kind == b"ds64":  # RF64: the true 64-bit size stands here
            _riff_bytes, large = struct.unpack("<QQ", file.read(16))
        if kind == b"data":
            if length == 0xFFFFFFFF and large is not None:
                length = large
            elif length == 0 or length >= _STREAMED_FROM_BYTES:
                return None
            return _short(length, size - at - 8)
        at += 8 + length + length % 2
    return "the audio itself (the data chunk) is missing"


def _aiff(file: BinaryIO, size: int) -> str | None:
    at, seen = 12, False
    while at + 8 <= size:
        file.seek(at)
        kind, length = struct.unpack(">4sI", file.read(8))
        if kind == b"SSND":
            if gap := _short(length, size - at - 8):
                return gap
            seen = True
        at += 8 + length + length % 2
    return None if seen else "the audio itself (the SSND chunk) is missing"


def _au(file: BinaryIO, size: int) -> str | None:
    file.seek(4)
    start, length = struct.unpack(">II", file.read(8))
    return None if length == 0xFFFFFFFF else _short(length, size - start)


def _caf(file: BinaryIO, size: int) -> str | None:
    at = 8
    while at + 12 <= size:
        file.seek(at)
        kind, length = struct.unpack(">4sq", file.read(12))
        if length < 0:
            return None  # streamed: the last chunk reaches to the end
        if gap := _short(length, size - at - 12, of=f"in the chunk {kind.decode('latin-1')!r}"):
            return gap
        at += 12 + length
    return None


def _flac(file: BinaryIO, size: int) -> str | None:
    at, last = skip_id3(file) + 4, False
    while not last:
        file.seek(at)
        kind, length = struct.unpack(">B3s", file.read(4))
        at, last = at + 4 + int.from_bytes(length, "big"), kind >= 0x80
    return "the audio itself is missing" if at >= size else None


def _ogg(file: BinaryIO, size: int) -> str | None:
    start = max(0, size - 2 * 65307)  # a page has 65,307 bytes at most
    file.seek(start)
    tail = file.read()
    at = tail.rfind(b"OggS")
    while at >= 0:
        header = tail[at : at + 27]
        if len(header) < 27:
            return "the last page is not whole"
        if header[4] == 0:
            lacing = tail[at + 27 : at + 27 + header[26]]
            if len(lacing) < header[26] or at + 27 + len(lacing) + sum(lacing) > len(tail):
                return "the last page is not whole"
            return None if header[5] & 0x04 else "the end-of-stream page is missing"
        at = tail.rfind(b"OggS", 0, at)
    return "the end-of-stream page is missing"


def _mov(file: BinaryIO, size: int) -> str | None:
    at, seen = 0, set()
    while at + 8 <= size:
        file.seek(at)
        length, kind = struct.unpack(">I4s", file.read(8))
        if length == 1:
            (length,) = struct.unpack(">Q", file.read(8))
        elif length == 0:  # to the end of the file
            length = size - at
        if length < 8 or not kind.isascii():
            break  # padding after the last box
        seen.add(kind)
        if gap := _short(length, size - at, of=f"in the box {kind.decode('ascii')!r}"):
            return gap
        at += length
    if b"moov" not in seen:
        return "the index (the box 'moov', often the last in the file) is missing"
    if not seen & {b"mdat", b"moof"}:
        return "the audio itself (the box 'mdat') is missing"
    return None


def _asf(file: BinaryIO, size: int) -> str | None:
    at, objects = 0, 0
    while at + 24 <= size:
        file.seek(at + 16)
        (length,) = struct.unpack("<Q", file.read(8))
        if length < 24:
            return None  # a live recording does not know its size
        if gap := _short(length, size - at):
            return gap
        at, objects = at + length, objects + 1
    return None if objects > 1 else "the audio itself (the data object) is missing"


def _matroska(file: BinaryIO, size: int) -> str | None:
    at = 0
    while at + 12 <= size:
        file.seek(at)
        head = file.read(12)
        id_bytes = 9 - head[0].bit_length()
        length, length_bytes = _vint(head[id_bytes:])
        if length is None:
            return None  # streamed: no size was known
        if gap := _short(length, size - at - id_bytes - length_bytes):
            return gap
        if head[:4] == b"\x18\x53\x80\x67":
            return None
        at += id_bytes + length_bytes + length
    return "the audio itself (the segment) is missing"


def _vint(data: bytes) -> tuple[int | None, int]:
    """An EBML number and its length in bytes; None for the pattern that means "unknown"."""
    if not data or not data[0]:
        raise struct.error("no number here")
    count = 9 - data[0].bit_length()
    value = int.from_bytes(data[:count], "big") & ((1 << 7 * count) - 1)
    return (None if value == (1 << 7 * count) - 1 else value), count


def _wavpack(file: BinaryIO, size: int) -> str | None:
    at, total, end = 0, 0xFFFFFFFF, 0
    while at + 32 <= size:
        file.seek(at)
        kind, length, announced, index, samples = struct.unpack("<4sI4xIII", file.read(24))
        if kind != b"wvpk":
            break  # a tag after the last block
        if at == 0:
            total = announced
        if gap := _short(length + 8, size - at, of="in the last block"):
            return gap
        at, end = at + 8 + length, max(end, index + samples)
    if total != 0xFFFFFFFF and end < total:
        return f"the header announces {total:,} samples, {end:,} are there"
    return None


_MAGIC = {
    b"fLaC": "flac",
    b"OggS": "ogg",
    b".snd": "au",
    b"caff": "caf",
    b"wvpk": "wv",
    b"\x1a\x45\xdf\xa3": "matroska",
    bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c"): "asf",
}

# Named like FFmpeg's demuxers; `earmark.audio.decode` reads these and no others.
CHECKS: dict[str, Callable[[BinaryIO, int], str | None]] = {
    "wav": _wav,
    "aiff": _aiff,
    "au": _au,
    "caf": _caf,
    "flac": _flac,
    "mp3": missing_in_mp3,
    "aac": missing_in_adts,
    "ogg": _ogg,
    "mov": _mov,
    "asf": _asf,
    "matroska": _matroska,
    "wv": _wavpack,
}
