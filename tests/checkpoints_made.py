"""TensorFlow's checkpoints, written by code: the table format of LevelDB, and protocol buffers by hand."""

import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

MAGIC = 0xDB4775248B80FB57


def crc32c(content: bytes) -> int:
    """Bit by bit, by the definition: polynomial 0x1EDC6F41, reflected."""
    crc = 0xFFFFFFFF
    for byte in content:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def masked(crc: int) -> bytes:
    rotated = (crc >> 15 | crc << 17) & 0xFFFFFFFF
    return struct.pack("<I", (rotated + 0xA282EAD8) % 2**32)


def varint(value: int) -> bytes:
    content = bytearray()
    while value >= 0x80:
        content.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*content, value])


def block(entries: list[tuple[bytes, bytes]], every: int = 16) -> bytes:
    """Entries that share prefixes with the one before, except at every sixteenth; and a tail with a checksum."""
    content, restarts, before = bytearray(), [], b""
    for number, (key, value) in enumerate(entries):
        shared = 0
        if number % every == 0:
            restarts.append(len(content))
        else:
            while shared < min(len(key), len(before)) and key[shared] == before[shared]:
                shared += 1
        content += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        before = key
    content += struct.pack(f"<{len(restarts)}I", *restarts) + struct.pack("<I", len(restarts)) + b"\0"
    return bytes(content) + masked(crc32c(bytes(content)))


def table(entries: Mapping[bytes, bytes], per_block: int = 10) -> bytes:
    """Sorted entries in blocks of ``per_block``, a block of their handles, an empty one, and the footer."""
    content, handles = bytearray(), []
    items = sorted(entries.items())

    def add(part: bytes) -> bytes:
        handle = varint(len(content)) + varint(len(part) - 5)
        content.extend(part)
        return handle

    for start in range(0, len(items), per_block):
        chosen = items[start : start + per_block]
        handles.append((chosen[-1][0], add(block(chosen))))
    footer = add(block([])) + add(block(handles, every=1))
    return bytes(content) + footer.ljust(40, b"\0") + struct.pack("<Q", MAGIC)


def entry(shape: tuple[int, ...], offset: int, content: bytes, dtype: int = 1) -> bytes:
    """A BundleEntryProto; numbers that are 0 are left out, as ever in proto3."""
    dims = b"".join(b"\x12" + varint(len(dim)) + dim for dim in (b"\x08" + varint(size) for size in shape))
    at = b"\x20" + varint(offset) if offset else b""
    return (
        b"\x08" + varint(dtype) + b"\x12" + varint(len(dims)) + dims + at
        + b"\x28" + varint(len(content)) + b"\x35" + masked(crc32c(content))
    )  # fmt: skip


def checkpoint(variables: Mapping[str, np.ndarray], *, shards: int = 1) -> tuple[bytes, bytes]:
    """Content of ``.index`` and of ``.data-00000-of-00001``."""
    data = bytearray()
    entries = {b"": b"\x08" + varint(shards) + b"\x1a\x02\x08\x01"}
    for name, values in variables.items():
        content = values.astype("<f4" if values.dtype.kind == "f" else "<i4").tobytes()
        dtype = 1 if values.dtype.kind == "f" else 3
        entries[name.encode()] = entry(values.shape, len(data), content, dtype)
        data += content
    return table(entries), bytes(data)


def wheel(path: Path, variables: Mapping[str, np.ndarray], folder: str = "musicnn/MSD_musicnn/") -> Path:
    """A file as musicnn's wheel is, as far as it is read."""
    index, data = checkpoint(variables)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as content:
        content.writestr(f"{folder}.index", index)
        content.writestr(f"{folder}.data-00000-of-00001", data)
    return path
