"""A feature cache that several machines share: behind any address that fsspec knows, such as ``s3://bucket/earmark``.

The environment variable ``EARMARK_FEATURE_CACHE`` names it. It may be down, slow or hold rubbish: nobody's work stops
for that. After the first failure it is left alone by this process, and somebody is told.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from earmark.files import replacing

ADDRESS = "EARMARK_FEATURE_CACHE"
# A cache that does not answer soon is slower than computing.
_PATIENCE: dict[str, dict[str, Any]] = {
    "s3": {"config_kwargs": {"connect_timeout": 3, "read_timeout": 20, "retries": {"max_attempts": 1}}}
}


class SharedCache:
    """Entries by name below one address.

    Args:
        address: Of the folder or bucket prefix.
        on_trouble: Told once, when it fails: the address and the reason.
    """

    def __init__(self, address: str, on_trouble: Callable[[str, str], None] | None = None) -> None:
        self.address = address
        self._on_trouble = on_trouble or tell
        self._broken = False
        self._files: Any = None
        self._root = ""

    def read(self, name: str) -> bytes | None:
        """The entry's bytes, whole or not; None where it is missing, or the cache cannot be reached."""

        def read() -> bytes | None:
            try:
                content: bytes = self._files.cat_file(f"{self._root}/{name}")
            except FileNotFoundError:
                return None
            return content

        return self._try(read)

    def write(self, name: str, content: bytes) -> None:
        """Keep an entry there, if that can be done."""

        def write() -> None:
            if "file" in self._protocols():  # the only kind of place where half an entry could be seen
                with replacing(Path(f"{self._root}/{name}")) as part:
                    part.write_bytes(content)
            else:
                self._files.pipe_file(f"{self._root}/{name}", content)

        self._try(write)

    def _try(self, action: Callable[[], bytes | None] | Callable[[], None]) -> bytes | None:
        if self._broken:
            return None
        try:
            if self._files is None:
                import fsspec

                options = _PATIENCE.get(urlsplit(self.address).scheme, {})
                self._files, self._root = fsspec.url_to_fs(self.address.rstrip("/"), **options)
            return action()
        except Exception as error:  # every kind of place fails in its own way, and none of them matters here
            self._broken = True
            self._on_trouble(self.address, f"{type(error).__name__}: {error}")
            return None

    def _protocols(self) -> tuple[str, ...]:
        protocol = self._files.protocol
        return (protocol,) if isinstance(protocol, str) else tuple(protocol)


def from_environment(on_trouble: Callable[[str, str], None] | None = None) -> SharedCache | None:
    """The shared cache that EARMARK_FEATURE_CACHE names, if it does."""
    address = os.environ.get(ADDRESS)
    return SharedCache(address, on_trouble) if address else None


def tell(address: str, reason: str) -> None:
    """Say on standard error that a shared cache cannot be used, once for each."""
    if address not in _told:
        _told.add(address)
        print(
            f"warning: the shared feature cache {address} cannot be used ({reason}). The work goes on with this "
            f"machine's own. Check the address in {ADDRESS}, the network and the credentials.",
            file=sys.stderr,
            flush=True,
        )


_told: set[str] = set()
