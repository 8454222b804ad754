"""Arrays on disk, found again by content: what the caches of features and of fingerprints have in common.

An entry is a ``.npy`` file under ``<key of the settings>/<content hash>`` that ends with a digest of its name and of
all its bytes (NumPy reads it as any other). It is a cache, not data: what is missing or damaged is fetched from the
shared cache, if there is one, or computed again; an entry appears in one step, so that a killed process or a second one
beside it does no harm.
"""

import hashlib
import io
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import torch
from numpy.typing import NDArray

from earmark.audio import shared_cache
from earmark.audio.shared_cache import SharedCache
from earmark.files import replacing

_DIGEST_BYTES = 16


class ArrayCache:
    """Arrays on disk, by content hash, under one key; a shared cache behind them."""

    def __init__(
        self, folder: Path, key: str, dtype: npt.DTypeLike, shape: tuple[int | None, ...], shared: SharedCache | None
    ) -> None:
        self.key = key
        self.folder = folder / key
        self._dtype, self._shape = np.dtype(dtype), shape
        self._shared = shared or shared_cache.from_environment()

    def path(self, content_hash: str) -> Path:
        """Where the entry of this recording lies, or will lie."""
        return self.folder / self._name(content_hash)

    def shape(self, content_hash: str) -> tuple[int, ...] | None:
        """The entry's shape; None where there is none of this kind and of the length that its header says.

        This reads the header alone: whether the rest is whole is found out by `open`.
        """
        try:
            with self.path(content_hash).open("rb") as file:
                shape, _ = self._header(file)
                return shape
        except (OSError, ValueError, EOFError):
            return None

    def open(self, content_hash: str, *, verify: bool = True) -> NDArray[Any] | None:
        """The entry, mapped into memory; None where it is missing or damaged.

        Args:
            content_hash: Whose.
            verify: Compare all of it with its digest; without, only its header and its length are looked at.
        """
        try:
            with self.path(content_hash).open("rb") as file:
                shape, offset = self._header(file)
                if verify and not self._whole(content_hash, file):
                    return None
                return self._mapped(self.path(content_hash), shape, offset)
        except (OSError, ValueError, EOFError, RuntimeError):  # the last: it went between the header and the map
            return None

    def fetch(self, content_hash: str) -> NDArray[Any] | None:
        """The entry from the shared cache, kept here from now on; None where it is not there, or damaged."""
        content = self._shared.read(f"{self.key}/{self._name(content_hash)}") if self._shared else None
        if content is None:
            return None
        file = io.BytesIO(content)
        try:
            shape, offset = self._header(file)
        except (ValueError, EOFError):
            return None
        if not self._whole(content_hash, file):
            return None
        self._keep(content_hash, content)
        count = int(np.prod(shape))
        return np.frombuffer(content, self._dtype, count=count, offset=offset).reshape(shape)

    def store(self, content_hash: str, entry: NDArray[Any]) -> None:
        """Keep an entry, in one step; in the shared cache too."""
        file = io.BytesIO()
        np.save(file, entry)
        content = file.getvalue() + self._digest(content_hash, file.getbuffer())
        self._keep(content_hash, content)
        if self._shared:
            self._shared.write(f"{self.key}/{self._name(content_hash)}", content)

    def _mapped(self, path: Path, shape: tuple[int, ...], offset: int) -> NDArray[Any]:
        # NumPy's maps hold their file open, of which a process may have a thousand. Torch's do not.
        end = offset + int(np.prod(shape)) * self._dtype.itemsize
        content = torch.from_file(str(path), shared=False, size=end, dtype=torch.uint8).numpy()
        content.flags.writeable = False
        return content[offset:].view(self._dtype).reshape(shape)

    def _keep(self, content_hash: str, content: bytes) -> None:
        with replacing(self.path(content_hash)) as part:
            part.write_bytes(content)

    def _name(self, content_hash: str) -> str:
        return f"{content_hash[:2]}/{content_hash}.npy"

    def _digest(self, content_hash: str, content: Any) -> bytes:
        digest = hashlib.blake2b(f"{self.key}/{content_hash}".encode(), digest_size=_DIGEST_BYTES)
        digest.update(content)
        return digest.digest()

    def _whole(self, content_hash: str, file: BinaryIO) -> bool:
        file.seek(0)
        content = file.read()
        return content[-_DIGEST_BYTES:] == self._digest(content_hash, memoryview(content)[:-_DIGEST_BYTES])

    def _header(self, file: BinaryIO) -> tuple[tuple[int, ...], int]:
        """The entry's shape, and where its values start.

        Raises:
            ValueError, EOFError: It is no entry of this cache, or not of the length that it says.
        """
        if np.lib.format.read_magic(file) != (1, 0):
            raise ValueError("another version of the format")
        shape, by_columns, dtype = np.lib.format.read_array_header_1_0(file)
        offset = file.tell()
        fits = len(shape) == len(self._shape) and all(
            want in (None, have) for want, have in zip(self._shape, shape, strict=True)
        )
        values = int(np.prod(shape))
        if not fits or by_columns or dtype != self._dtype or not values:
            raise ValueError("an array of another kind")
        if file.seek(0, io.SEEK_END) != offset + values * dtype.itemsize + _DIGEST_BYTES:
            raise ValueError("of another length")
        return tuple(shape), offset
