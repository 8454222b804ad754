"""Files that no well-meaning person sends: real songs broken in every way, headers that lie, bombs under audio names.

Each is made from its number alone, so that what once did harm can be made again: `hostile(number, songs)`.
"""

import gzip
import io
import random
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

Songs = Mapping[str, bytes]  # suffix → a whole file of that format


def hostile(number: int, songs: Songs) -> tuple[str, bytes]:
    """The file of that ``number``: a name, and its bytes."""
    draw = random.Random(number)
    if draw.random() < 0.12:
        name, make = draw.choice(BOMBS)
        return name, make(draw)
    suffix = draw.choice(sorted(songs))
    content = bytearray(songs[suffix])
    for _ in range(draw.choice((1, 1, 1, 2, 4))):
        content = draw.choice(CHANGES)(content, draw, songs)
    return f"{number}.{draw.choice(sorted(songs))}", bytes(content)


def many_channels(codec: str, container: str, layout: str, seconds: float = 3.0) -> bytes:
    """A tone on more channels than most programs think of, each at a level of its own, the first the quietest."""
    import av
    import numpy as np

    channels = av.AudioLayout(layout).nb_channels
    tone = 0.5 * np.sin(np.arange(round(48_000 * seconds)) / 17)
    samples = tone * (1 + np.arange(channels))[:, None] / channels
    frame = av.AudioFrame.from_ndarray(samples.T.reshape(1, -1).astype(np.float32), format="flt", layout=layout)
    frame.sample_rate, frame.pts = 48_000, 0
    file = io.BytesIO()
    with av.open(file, "w", format=container) as out:
        stream: Any = out.add_stream(codec, rate=48_000, layout=layout)
        stream.codec_context.open()
        context = stream.codec_context
        into = av.AudioResampler(context.format, context.layout, 48_000, frame_size=context.frame_size or 1_024)
        for part in [*into.resample(frame), *into.resample(None)]:
            out.mux(stream.encode(part))
        out.mux(stream.encode(None))
    return file.getvalue()


def flipped(content: bytearray, draw: random.Random, songs: Songs) -> bytearray:
    """Some bytes are others."""
    for _ in range(draw.choice((1, 4, 32, 256, 2_000))):
        if content:
            content[draw.randrange(len(content))] = draw.randrange(256)
    return content


def flipped_head(content: bytearray, draw: random.Random, songs: Songs) -> bytearray:
    """Bytes at the beginning, where headers are, are others."""
    for _ in range(draw.choice((1, 2, 8, 32))):
        if content:
            content[draw.randrange(min(len(content), 512))] = draw.choice((0, 0xFF, 0x7F, 0x80, draw.randrange(256)))
    return content


def cut(content: bytearray, draw: random.Random, songs: Songs) -> bytearray:
    """The end is missing, or the beginning."""
    at = draw.randrange(len(content) + 1)
    return content[:at] if draw.random() < 0.7 else content[at:]


def spliced(content: bytearray, draw: random.Random, songs: Songs) -> bytearray:
    """Another song's bytes stand in the middle."""
    other = songs[draw.choice(sorted(songs))]
    at, start = draw.randrange(len(content) + 1), draw.randrange(len(other))
    return content[:at] + other[start : start + draw.randrange(1, 50_000)] + content[at:]


def repeated(content: bytearray, draw: random.Random, songs: Songs) -> bytearray:
    """A piece comes over and over again."""
    if not content:
        return content
    at = draw.randrange(len(content))
    piece = content[at : at + draw.randrange(1, 400)]
    return content[:at] + piece * draw.randrange(1, 400) + content[at:]


def wide_numbers(content: bytearray, draw: random.Random, songs: Songs) -> bytearray:
    """Lengths and counts in the head are the largest, the smallest, or nonsense."""
    values = (0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFFFE, draw.getrandbits(32))
    for _ in range(draw.choice((1, 2, 4))):
        at = draw.randrange(max(1, min(len(content), 400)))
        content[at : at + 4] = struct.pack(draw.choice("<>") + "I", draw.choice(values))
    return content


def zeroed(content: bytearray, draw: random.Random, songs: Songs) -> bytearray:
    """A stretch is empty, as a disk or a download leaves it."""
    at = draw.randrange(len(content) + 1)
    end = min(len(content), at + draw.randrange(1, 20_000))
    content[at:end] = bytes(end - at)
    return content


def garbled(content: bytearray, draw: random.Random, songs: Songs) -> bytearray:
    """Noise stands before it, or behind."""
    noise = draw.randbytes(draw.choice((1, 16, 1_000, 30_000)))
    return bytearray(noise) + content if draw.random() < 0.5 else content + noise


CHANGES: tuple[Callable[[bytearray, random.Random, Songs], bytearray], ...] = (
    flipped,
    flipped_head,
    cut,
    spliced,
    repeated,
    wide_numbers,
    zeroed,
    garbled,
)


@cache
def _zip_bomb() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(10):
            archive.writestr(f"song{number}.wav", bytes(20_000_000))
    return content.getvalue()


@cache
def _gzip_bomb() -> bytes:
    return gzip.compress(bytes(100_000_000), mtime=0)


def hostile_archives() -> dict[str, bytes]:
    """Archives that are large when they are unpacked, under names of songs."""
    return {"bomb.mp3": _zip_bomb(), "bomb.flac": _gzip_bomb()}


def _xml_bomb(draw: random.Random) -> bytes:
    """The billion laughs."""
    lines = ['<!ENTITY l0 "lol">', *(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))]
    return f'<?xml version="1.0"?><!DOCTYPE lolz [{"".join(lines)}]><smil><audio src="&l9;"/></smil>'.encode()


def _svg(draw: random.Random) -> bytes:
    return b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>'


def _playlist(draw: random.Random) -> bytes:
    target = draw.choice(("file:///etc/passwd", "http://127.0.0.1:9/a.mp3", "concat:/etc/passwd|/etc/hosts"))
    return f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{target}\n#EXT-X-ENDLIST\n".encode()


def _concat(draw: random.Random) -> bytes:
    return b"ffconcat version 1.0\nfile /etc/passwd\nfile /proc/self/environ\n"


def _wav(draw: random.Random) -> bytes:
    """A wav whose header claims what it likes."""
    channels = draw.choice((0, 1, 2, 255, 65_535))
    rate = draw.choice((0, 1, 8_000, 44_101, 768_001, 0xFFFFFFFF))
    bits = draw.choice((0, 1, 8, 16, 24, 32, 64, 255))
    kind = draw.choice((1, 3, 6, 0x11, 0x55, 0xFFFE, 0xFFFF))
    block, data = draw.choice((0, 1, 2, 4, 65_535)), draw.randbytes(draw.choice((0, 3, 64_000)))
    form = struct.pack("<HHIIHH", kind, channels, rate, draw.getrandbits(32), block, bits)
    size = draw.choice((len(data), 0, 0xFFFFFFFF, 0x7FFFFFFF))
    length = struct.pack("<I", size)
    return b"RIFF" + length + b"WAVEfmt " + struct.pack("<I", 16) + form + b"data" + length + data


def _silence(draw: random.Random) -> bytes:
    """Hours of silence in a few bytes: a wav of nothing, as long as it says, would be large; a flac is not."""
    hours = draw.choice((1, 10))
    samples = hours * 3600 * 8_000
    info = struct.pack(">HH", 4096, 4096) + bytes(6)
    packed = (8_000 << 44) | (0 << 41) | (15 << 36) | samples
    head = b"fLaC" + bytes([0x80, 0, 0, 34]) + info + struct.pack(">Q", packed) + bytes(16)
    frame = bytes([0xFF, 0xF8, 0xC4, 0x08, 0x00])
    crc = 0
    for byte in frame:
        crc ^= byte
        for _ in range(8):
            crc = ((crc << 1) ^ 0x07) & 0xFF if crc & 0x80 else crc << 1
    return head + (frame + bytes([crc, 0x00, 0x00, 0x00, 0x00, 0x00])) * 20_000


def _id3(draw: random.Random) -> bytes:
    """A tag that claims to be as large as can be, with a picture that unpacks to a hundred megabytes."""
    picture = zlib.compress(bytes(1_000_000))
    size = bytes((0x7F, 0x7F, 0x7F, draw.randrange(128)))
    frame = b"APIC" + struct.pack(">I", draw.choice((len(picture), 0x0FFFFFFF))) + b"\x00\x00" + picture
    return b"ID3\x04\x00\x80" + size + frame


def _boxes(draw: random.Random) -> bytes:
    """MP4 boxes within boxes, deeper than anybody needs."""
    return nested_boxes(draw.choice((10, 1_000, 5_000)), draw)


def nested_boxes(depth: int, draw: random.Random) -> bytes:
    """MP4 boxes within boxes."""
    content = b""
    for _ in range(depth):
        content = struct.pack(">I", len(content) + 8) + draw.choice((b"moov", b"trak", b"udta", b"meta")) + content
        if len(content) > 100_000:
            break
    return b"\x00\x00\x00\x18ftypM4A \x00\x00\x00\x00M4A mp42" + content


def _ogg(draw: random.Random) -> bytes:
    """Pages upon pages of streams that never begin."""
    page = b"OggS\x00\x02" + bytes(8)
    pages = (page + draw.randbytes(4) + struct.pack("<I", n) + bytes(4) + b"\x01\x08OpusHead" for n in range(3_000))
    return b"".join(pages)


def _ebml(draw: random.Random) -> bytes:
    """Matroska of unknown size, with sizes that overflow."""
    return b"\x1aE\xdf\xa3\x01\xff\xff\xff\xff\xff\xff\xff" + draw.randbytes(4_000)


BOMBS: tuple[tuple[str, Callable[[random.Random], bytes]], ...] = (
    ("bomb.mp3", lambda draw: _zip_bomb()),
    ("bomb.flac", lambda draw: _gzip_bomb()),
    ("laughs.m4a", _xml_bomb),
    ("picture.ogg", _svg),
    ("list.mp3", _playlist),
    ("concat.wav", _concat),
    ("claims.wav", _wav),
    ("silence.flac", _silence),
    ("tag.mp3", _id3),
    ("boxes.m4a", _boxes),
    ("pages.opus", _ogg),
    ("unknown.webm", _ebml),
    ("empty.mp3", lambda draw: b""),
    ("zero.wav", lambda draw: bytes(draw.choice((1, 100, 100_000)))),
    ("noise.mp3", lambda draw: draw.randbytes(draw.choice((10, 10_000, 200_000)))),
    ("long.mp3", lambda draw: b"\xff\xfb\x90\x00" + bytes(413)),
    ("text.mp3", lambda draw: "Kein Lied. 不是歌。\n".encode() * draw.choice((1, 1_000))),
)
