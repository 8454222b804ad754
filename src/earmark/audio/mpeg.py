"""MPEG audio frames, as far as it takes to tell whether an mp3 or an ADTS stream was cut off.

Method: ISO 11172-3 and 13818-3 (frame header), the Xing/Info and VBRI headers as LAME and Fraunhofer write them,
ISO 13818-7 (ADTS).
"""

import struct
from typing import BinaryIO, NamedTuple

# kbit/s by (MPEG-1?, layer), index 1–14; 0 is "free format", 15 is forbidden.
_KBITS = {
    (True, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_RATES_HZ = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
_MAX_FRAME_BYTES = 2881
_SEARCH_BYTES = 1 << 17  # how much rubbish before the first frame is put up with


class _Frame(NamedTuple):
    length: int  # bytes, header included
    kind: tuple[int, int, int]  # MPEG version, layer, sample rate: the same throughout a stream
    xing_at: int  # where a Xing header would stand, bytes from the frame's start


def skip_id3(file: BinaryIO) -> int:
    """Where the content begins: behind any ID3v2 tags at the start, in bytes."""
    at = 0
    while True:
        file.seek(at)
        head = file.read(10)
        if len(head) < 10 or head[:3] != b"ID3" or max(head[6:10]) > 127:
            return at
        size = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
        at += 10 + size + (10 if head[5] & 0x10 else 0)


def missing_in_mp3(file: BinaryIO, size: int) -> str | None:
    """What an mp3 lacks at its end, in words, or None.

    Counted by the Xing, Info or VBRI header where there is one; else a last frame that is not whole gives the cut away.
    """
    end = _without_tags(file, size)
    start = _first_frame(file, skip_id3(file), end)
    if start is None:
        return None
    announced_bytes, announced_frames = _announced(file, start)
    if announced_bytes:
        if announced_bytes - (end - start) <= _MAX_FRAME_BYTES:
            return None
        return f"its header announces {announced_bytes:,} bytes of audio, {end - start:,} are there"
    frames, stopped_at, whole = _walk(file, start, end)
    if announced_frames:
        if announced_frames - frames <= 2:
            return None
        return f"its header announces {announced_frames:,} frames, {frames:,} are there"
    return None if whole else f"the last frame, at byte {stopped_at:,}, is not whole"


def missing_in_adts(file: BinaryIO, size: int) -> str | None:
    """What an ADTS stream lacks at its end, in words, or None: its last frame may not be whole."""
    end = _without_tags(file, size)
    at = skip_id3(file)
    while at < end:
        file.seek(at)
        head = file.read(min(7, end - at))
        if len(head) < 7:
            return "the last frame's header is not whole" if head[0] == 0xFF else None
        length = (head[3] & 0x03) << 11 | head[4] << 3 | head[5] >> 5
        if head[0] != 0xFF or head[1] & 0xF6 != 0xF0 or length < 7:
            return None
        if at + length > end:
            return f"the last frame, at byte {at:,}, is not whole"
        at += length
    return None


def _without_tags(file: BinaryIO, size: int) -> int:
    """Where the audio ends: before any ID3v1 and APE tags."""
    end = size
    file.seek(max(0, end - 128))
    if file.read(3) == b"TAG" and end >= 128:
        end -= 128
    file.seek(max(0, end - 32))
    footer = file.read(32)
    if footer.startswith(b"APETAGEX") and len(footer) == 32:
        length, flags = struct.unpack("<12xI4xI8x", footer)
        end -= length + (32 if flags & 0x80000000 else 0)
    return max(end, 0)


def _parse(head: bytes) -> _Frame | None:
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    version, layer = head[1] >> 3 & 3, 4 - (head[1] >> 1 & 3)
    kbits, rate, padding = head[2] >> 4, head[2] >> 2 & 3, head[2] >> 1 & 1
    if version == 1 or layer == 4 or kbits in (0, 15) or rate == 3:
        return None
    bits = 1000 * _KBITS[version == 3, layer][kbits - 1]
    rate_hz = _RATES_HZ[version][rate]
    if layer == 1:
        length = (12 * bits // rate_hz + padding) * 4
    else:
        length = (72 if layer == 3 and version != 3 else 144) * bits // rate_hz + padding
    mono = head[3] >> 6 == 3
    side_info = (17 if mono else 32) if version == 3 else (9 if mono else 17)
    return _Frame(length, (version, layer, rate), 4 + side_info)


def _first_frame(file: BinaryIO, start: int, end: int) -> int | None:
    """The first place at which one frame stands and another follows it, or the file ends within it."""
    file.seek(start)
    window = file.read(min(_SEARCH_BYTES, max(0, end - start)))
    at = window.find(b"\xff")
    while at >= 0:
        frame = _parse(window[at : at + 4])
        if frame and at + frame.length + 4 <= len(window):
            following = _parse(window[at + frame.length : at + frame.length + 4])
            if following and following.kind == frame.kind:
                return start + at
        at = window.find(b"\xff", at + 1)
    return None


def _announced(file: BinaryIO, start: int) -> tuple[int, int]:
    """Bytes and frames that the stream's own header announces; 0 where it says nothing."""
    file.seek(start)
    data = file.read(_MAX_FRAME_BYTES)
    frame = _parse(data)
    if frame and data[frame.xing_at : frame.xing_at + 4] in (b"Xing", b"Info"):
        flags = int.from_bytes(data[frame.xing_at + 4 : frame.xing_at + 8], "big")
        numbers = iter(struct.unpack(">2I", data[frame.xing_at + 8 : frame.xing_at + 16].ljust(8, b"\0")))
        frames = next(numbers) if flags & 1 else 0
        return (next(numbers) if flags & 2 else 0), frames
    if data[36:40] == b"VBRI":
        length, frames = struct.unpack(">II", data[46:54].ljust(8, b"\0"))
        return length, frames
    return 0, 0


def _walk(file: BinaryIO, start: int, end: int) -> tuple[int, int, bool]:
    """Count the whole frames from ``start``; also say where the walk stopped, and that no broken frame is there."""
    at, frames = start, 0
    while at + 4 <= end:
        file.seek(at)
        frame = _parse(file.read(4))
        if frame is None:
            return frames, at, True  # rubbish or a tag: no sign of a cut
        if at + frame.length > end:
            return frames, at, False
        at, frames = at + frame.length, frames + 1
    return frames, at, True
