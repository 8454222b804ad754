"""TensorFlow's checkpoints, read without TensorFlow: an index of variables, and one file of their bytes.

The index is a table of sorted keys as in LevelDB ("table format": blocks of entries that share prefixes, a block of
handles, a footer of 48 bytes). Under the empty key lies a BundleHeaderProto, under each variable's name a
BundleEntryProto, both in the wire format of protocol buffers: TensorFlow's ``tensor_bundle.proto``. Blocks and
variables carry a CRC-32C, which is compared.
"""

import struct
from collections.abc import Collection, Iterator
from functools import cache

import numpy as np
from numpy.typing import NDArray

from earmark.errors import ModelError

_FOOTER, _MAGIC = 48, 0xDB4775248B80FB57
_FLOAT = 1  # DT_FLOAT
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # wire types


def read_bundle(index: bytes, data: bytes, names: Collection[str]) -> dict[str, NDArray[np.float32]]:
    """The variables called ``names`` of a checkpoint.

    Args:
        index: Content of its ``.index``.
        data: Of its ``.data-00000-of-00001``.
        names: Which; all of them 32-bit floating-point numbers.

    Raises:
        ModelError: It is no checkpoint of one part, is damaged, or lacks one of these.
    """
    try:
        entries = dict(_table(index))
        header = _message(entries.pop(b""))
        if header.get(1, [0])[-1] != 1 or header.get(2, [0])[-1] != 0:
            raise ModelError(
                "The checkpoint is divided into parts, or big-endian; only one little-endian part is read."
            )
        if missing := sorted(name for name in names if name.encode() not in entries):
            raise ModelError(
                f"The checkpoint lacks {', '.join(missing[:5])}{', …' if len(missing) > 5 else ''}: it is of another "
                "model. Give the file that the documentation names."
            )
        return {name: _variable(name, _message(entries[name.encode()]), data) for name in names}
    except (IndexError, KeyError, struct.error, UnicodeDecodeError) as error:
        raise ModelError(f"This is no checkpoint of TensorFlow, or it is cut off ({error!r}).") from error


def masked_crc32c(*parts: bytes) -> int:
    """CRC-32C (Castagnoli) of the parts together, rotated and shifted as LevelDB stores it."""
    table, crc = _crc_table(), 0xFFFFFFFF
    for part in parts:
        for byte in part:
            crc = table[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


@cache
def _crc_table() -> tuple[int, ...]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return tuple(table)


def _table(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values, in order."""
    footer = content[-_FOOTER:]
    if len(footer) < _FOOTER or struct.unpack("<Q", footer[-8:])[0] != _MAGIC:
        raise ModelError("This is no index of a TensorFlow checkpoint: its last bytes are others. It may be cut off.")
    _, at = _handle(footer, 0)
    index, _ = _handle(footer, at)
    for _, value in _block(content, *index):
        handle, _ = _handle(value, 0)
        yield from _block(content, *handle)


def _handle(content: bytes, at: int) -> tuple[tuple[int, int], int]:
    """Where a block begins and how long it is; and where reading goes on."""
    begin, at = _varint(content, at)
    length, at = _varint(content, at)
    return (begin, length), at


def _block(content: bytes, begin: int, length: int) -> Iterator[tuple[bytes, bytes]]:
    block, tail = content[begin : begin + length], content[begin + length : begin + length + 5]
    if len(tail) < 5 or tail[0]:
        raise ModelError(
            "A block of the checkpoint's index is compressed or cut off; TensorFlow does not compress them."
        )
    if masked_crc32c(block, tail[:1]) != struct.unpack("<I", tail[1:])[0]:
        raise ModelError("A block of the checkpoint's index is damaged: its checksum is another. Bring the file again.")
    restarts = struct.unpack("<I", block[-4:])[0]
    at, end, key = 0, len(block) - 4 - 4 * restarts, b""
    while at < end:
        shared, at = _varint(block, at)
        own, at = _varint(block, at)
        size, at = _varint(block, at)
        key = key[:shared] + block[at : at + own]
        yield key, block[at + own : at + own + size]
        at += own + size


def _variable(name: str, entry: dict[int, list[int | bytes]], data: bytes) -> NDArray[np.float32]:
    """By its BundleEntryProto: dtype 1, shape 2, offset 4, size 5, crc32c 6."""
    dims = _message(_bytes(entry.get(2, [b""])[-1])).get(2, [])
    shape = tuple(_int(_message(_bytes(dim)).get(1, [0])[-1]) for dim in dims)
    begin, size = (_int(entry.get(field, [0])[-1]) for field in (4, 5))
    content = data[begin : begin + size]
    if entry.get(1) != [_FLOAT] or size != 4 * int(np.prod(shape)):
        raise ModelError(f"The variable {name} of the checkpoint does not hold 32-bit numbers of the shape {shape}.")
    if len(content) != size or masked_crc32c(content) != entry.get(6, [0])[-1]:
        raise ModelError(f"The variable {name} of the checkpoint is damaged or cut off. Bring the file again.")
    return np.frombuffer(content, "<f4").reshape(shape)


def _message(content: bytes) -> dict[int, list[int | bytes]]:
    """Fields by number, each with all its values, of a protocol buffer's message."""
    fields: dict[int, list[int | bytes]] = {}
    at = 0
    while at < len(content):
        tag, at = _varint(content, at)
        number, wire = tag >> 3, tag & 7
        value: int | bytes
        if wire == _VARINT:
            value, at = _varint(content, at)
        elif wire == _BYTES:
            length, at = _varint(content, at)
            value, at = content[at : at + length], at + length
        elif wire in (_FIXED32, _FIXED64):
            length = 4 if wire == _FIXED32 else 8
            value, at = int.from_bytes(content[at : at + length], "little"), at + length
        else:
            raise KeyError(f"wire type {wire}")
        fields.setdefault(number, []).append(value)
    return fields


def _varint(content: bytes, at: int) -> tuple[int, int]:
    """A number of seven bits a byte, the lowest first; and where reading goes on."""
    value, shift = 0, 0
    while True:
        byte = content[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def _int(value: int | bytes) -> int:
    if not isinstance(value, int):
        raise KeyError("a number was expected")
    return value


def _bytes(value: int | bytes) -> bytes:
    if not isinstance(value, bytes):
        raise KeyError("a message was expected")
    return value
