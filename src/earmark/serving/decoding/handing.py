"""Files and samples handed from process to process as open files in memory: without a name, and gone with their users.

On Linux they are memory files (memfd), sealed before they are read, so that whoever made one can neither change it
nor pull it away later. Elsewhere they are temporary files without a name, on disk and without seals.
"""

import fcntl
import io
import mmap
import os
import stat
import tempfile
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from earmark.errors import AudioError

_FLOAT_BYTES = 4
_SEALED = hasattr(os, "memfd_create")


def new_file() -> BinaryIO:
    """An empty file in memory."""
    if _SEALED:
        flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
        return os.fdopen(os.memfd_create("earmark", flags), "w+b", buffering=0)
    return tempfile.TemporaryFile(buffering=0)


def write(file: BinaryIO, content: bytes | NDArray[np.float32]) -> None:
    """Append all of it; an array has to be contiguous."""
    rest = memoryview(content if isinstance(content, bytes) else content.data).cast("B")
    while rest:
        rest = rest[os.write(file.fileno(), rest) :]


def filled(content: bytes) -> BinaryIO:
    """A file in memory that holds this."""
    file = new_file()
    write(file, content)
    return file


def seal(file: BinaryIO) -> None:
    """From now on, nobody changes it."""
    if _SEALED:
        fcntl.fcntl(file.fileno(), fcntl.F_ADD_SEALS, _seals())


def mapped(descriptor: int, samples: int) -> NDArray[np.float32]:
    """The samples in a sealed file, float32 of shape ``(samples,)``: not copied, but writable for whoever maps them.

    Raises:
        ValueError: It is not sealed, or of another length.
    """
    if _SEALED and fcntl.fcntl(descriptor, fcntl.F_GET_SEALS) & _seals() != _seals():
        raise ValueError("not sealed")
    size = os.fstat(descriptor).st_size
    if samples < 1 or size != samples * _FLOAT_BYTES:
        raise ValueError(f"{size} bytes for {samples} samples")
    return np.frombuffer(mmap.mmap(descriptor, size, access=mmap.ACCESS_COPY), np.float32)


def content_of(file: BinaryIO | bytes) -> bytes | None:
    """What has to be handed over as bytes; None for a file on disk, whose descriptor will do."""
    if isinstance(file, bytes):
        return file
    if getattr(file, "_rolled", True):  # a SpooledTemporaryFile that is still in memory would roll over if asked
        try:
            file.fileno()
        except OSError:  # no file of the system: BytesIO and its like
            pass
        else:
            return None
    at = file.tell()
    file.seek(0)
    try:
        return file.read()
    finally:
        file.seek(at)


def descriptor_of(file: BinaryIO) -> int:
    """The descriptor of a file on disk, with all that was written to it.

    Raises:
        AudioError: It is no file but a pipe, a folder, a device.
    """
    file.flush()
    descriptor = file.fileno()
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):  # a pipe could be read but once, and may never end
        raise AudioError("The audio comes out of a pipe or a device, not a file. Store it first.")
    return descriptor


class Received(io.RawIOBase):
    """A file by its descriptor, read at a position of its own: the sender's stays where it is."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor, self._at = descriptor, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at}
        at = offset + (base[whence] if whence in base else os.fstat(self._descriptor).st_size)
        if at < 0:
            raise ValueError(f"negative position {at}")
        self._at = at
        return at

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]
        count = os.preadv(self._descriptor, [buffer], self._at)
        self._at += count
        return count


def _seals() -> int:
    return fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
