"""A track's audio, wherever it lies, opened and verified: in the project, in an archive there, on a mount, in a bucket.

``Track.path`` is one of

* ``data/collections/mine/audio/jazz/a.mp3``: relative to the project's root;
* ``zip://jazz/a.mp3::data/collections/mine/audio/0001.zip``: in an archive (fsspec's chained address);
* ``/mnt/music/jazz/a.mp3``: outside, on this machine or on a mount;
* ``s3://bucket/jazz/a.mp3``: outside, at any address that fsspec knows.

What lies outside is versioned by its hash in the catalogue: whoever reads it through this door gets the bytes that the
hash names, or an error.
"""

import hashlib
import os
import stat
import zipfile
import zlib
from functools import lru_cache
from pathlib import Path

from earmark.catalogue.addresses import opened, why
from earmark.errors import CatalogueError
from earmark.files import sha256_of

_ZIP, _IN = "zip://", "::"

# What zipfile raises over an archive that is cut off, overwritten, encrypted or packed in an unknown way.
_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError, ValueError)


def is_address(path: str) -> bool:
    """Whether fsspec opens it, and not the file system by itself."""
    return "://" in path


def archived(member: str, archive: str) -> str:
    """The ``Track.path`` of a file in an archive; ``archive`` relative to the project's root."""
    return f"{_ZIP}{member}{_IN}{archive}"


def read_recording(root: Path, path: str, content_hash: str) -> Path | bytes:
    """The recording at ``path``, as something that `earmark.audio.decode` takes.

    Threads may call it at once, and so may processes that were forked after its first call.

    Args:
        root: The project's folder.
        path: As in ``Track.path``.
        content_hash: SHA-256 of the file's bytes, as in ``Track.content_hash``.

    Raises:
        CatalogueError: It is not there, cannot be reached, or is no longer what it was when it was imported.
    """
    if not is_address(path):
        try:
            found = sha256_of(root / path)
        except OSError as error:
            raise _missing(path, error.strerror or str(error)) from None
        _compare(path, found, content_hash)
        return root / path
    content = fetch(root, path)
    _compare(path, hashlib.sha256(content).hexdigest(), content_hash)
    return content


def fetch(root: Path, address: str) -> bytes:
    """The bytes at an address, unverified.

    Raises:
        CatalogueError: There is nothing, or it cannot be reached.
    """
    member, _, archive = address.removeprefix(_ZIP).rpartition(_IN)
    if address.startswith(_ZIP) and archive and not is_address(archive):
        return _from_archive(root / archive, member, address)
    try:
        files, path = opened(address)
        content: bytes = files.cat_file(path)  # one request, and what is there now, whatever was listed before
    except Exception as error:  # each kind of storage fails in a way of its own
        raise CatalogueError(f"The audio {address} cannot be read: {why(address, error)}") from error
    return content


def _from_archive(archive: Path, member: str, address: str) -> bytes:
    try:
        return _archive(archive).read(member)
    except KeyError:
        raise _missing(address, f"the archive has no file {member!r}") from None
    except OSError as error:
        raise _missing(address, error.strerror or str(error)) from None
    except _DAMAGED as error:
        raise _missing(address, f"the archive is damaged: {error}") from error


def size_of(root: Path, path: str) -> int | None:
    """How large the recording at ``path`` is, in bytes: 0 where there is none; None at an address outside, unasked.

    Args:
        root: The project's folder.
        path: As in ``Track.path``.
    """
    try:
        if not is_address(path):
            found = (root / path).stat()
            return found.st_size if stat.S_ISREG(found.st_mode) else 0
        member, _, archive = path.removeprefix(_ZIP).rpartition(_IN)
        if path.startswith(_ZIP) and archive and not is_address(archive):
            return _archive(root / archive).getinfo(member).file_size
    except (OSError, KeyError, *_DAMAGED):
        return 0
    return None


def _archive(path: Path) -> zipfile.ZipFile:
    state = path.stat()
    # An archive that was replaced, and a process that was forked (it shares the place in the file), opens anew.
    return _open_archive(path, (state.st_ino, state.st_size, state.st_mtime_ns, os.getpid()))


@lru_cache(maxsize=32)
def _open_archive(path: Path, version: tuple[int, ...]) -> zipfile.ZipFile:
    return zipfile.ZipFile(path)  # stays open for this process: reading its table of contents takes longer than a song


def _missing(path: str, found: str) -> CatalogueError:
    return CatalogueError(
        f"The audio {path} cannot be read ({found}). `dvc pull` brings back what DVC keeps; what stays outside has to "
        "be there: check that the disk is mounted. If it is gone for good: earmark import … --prune takes it out."
    )


def _compare(path: str, found: str, content_hash: str) -> None:
    if found != content_hash:
        raise CatalogueError(
            f"The audio {path} is not what was imported: its SHA-256 is {found[:12]}…, the catalogue says "
            f"{content_hash[:12]}…. Import it again if the change is meant; else put the old file back."
        )
