"""Every entry below a folder or an address, once; nothing is passed over in silence.

The order depends on the names alone, neither on the disk nor on how a bucket lists its objects.
"""

import os
import unicodedata
from collections.abc import Collection, Iterator
from pathlib import Path, PurePath
from typing import Any

from earmark.catalogue.addresses import opened, why
from earmark.catalogue.sources.source import Refusal
from earmark.errors import CatalogueError

# fmt: off
AUDIO_SUFFIXES = frozenset({
    ".mp3", ".mp2", ".m4a", ".m4b", ".mp4", ".aac", ".ogg", ".oga", ".opus", ".spx", ".flac", ".wav", ".wave", ".aif",
    ".aiff", ".aifc", ".au", ".snd", ".caf", ".wma", ".asf", ".wv", ".webm", ".mka", ".mkv", ".ape", ".tta", ".mpc",
    ".ac3", ".dsf", ".amr", ".ra",
})
# fmt: on

_HIDDEN, _BELOW = "hidden", ", and so is all below it"
_NAMED_LIKE_AUDIO = "a folder, though its name is a recording's; what it holds is looked at"


def claims_audio(path: str) -> bool:
    """Whether the name says that this is a recording: it decides only how a refusal is listed."""
    return PurePath(path).suffix.lower() in AUDIO_SUFFIXES


def folders_above(path: str) -> Iterator[str]:
    """Every folder that ``path`` lies in, the inmost first, ``.`` at last; no pathlib: it is asked a million times."""
    while (end := path.rfind("/")) > 0:
        path = path[:end]
        yield path
    yield "."


def top_folder(path: str) -> str | None:
    """The first folder of a path below a collection's audio, or None for a file that lies in no folder.

    With its accents put together (NFC): macOS takes them apart, and one name must not be two genres.
    """
    name, slash, _ = path.partition("/")
    return unicodedata.normalize("NFC", name) if slash else None


def walk(folder: Path) -> Iterator[tuple[Path, str] | Refusal]:
    """Files below ``folder`` as (where, path below the folder), and refusals for what is no file to look at.

    Links are followed, unless they lead to nothing or back to a folder on the way here. Hidden entries (``.DS_Store``,
    ``._song.mp3``, ``.git``) are listed as ignored. In a path, bytes that are no text (UTF-8) are written as ``\\xe9``.
    """
    yield from _walk(folder, "", (os.path.realpath(folder),))


def _walk(folder: Path, prefix: str, ancestors: tuple[str, ...]) -> Iterator[tuple[Path, str] | Refusal]:
    try:
        names = sorted((entry.name for entry in folder.iterdir()), key=os.fsencode)
    except OSError as error:
        yield Refusal(prefix.rstrip("/") or ".", "refused", f"the folder cannot be read: {error.strerror}")
        return
    for name in names:
        entry, path = folder / name, prefix + _as_text(name)
        if name.startswith("."):
            yield Refusal(path, "ignored", _HIDDEN + (_BELOW if entry.is_dir() else ""))
        elif entry.is_dir():
            if claims_audio(name):
                yield Refusal(path, "refused", _NAMED_LIKE_AUDIO)
            real = os.path.realpath(entry)
            if real in ancestors:
                yield Refusal(path, "refused", "a link back to a folder above it")
            else:
                yield from _walk(entry, path + "/", (*ancestors, real))
        elif entry.is_file():
            yield entry, path
        elif entry.is_symlink():
            yield Refusal(
                path, "refused", f"a broken link: it points to {_as_text(str(entry.readlink()))!r}, where nothing is"
            )
        else:
            yield Refusal(path, "refused", "no regular file (a pipe, a socket or a device), or it may not be read")


def beside(root: Path, audio: Path, tables: Collection[Path] = ()) -> Iterator[Refusal]:
    """What lies below ``root`` and is neither ``audio`` nor one of the ``tables``: ignored, and listed all the same.

    A folder of which nothing is read is listed as one entry. Paths are relative to ``audio``, as all of a collection's.
    """
    root, audio, *tables = (Path(os.path.abspath(path)) for path in (root, audio, *tables))  # noqa: PTH100  without ".."
    if audio == root:  # `walk` has seen all of it
        return
    inside = audio.is_relative_to(root)
    for entry in _unread(root, {audio, *tables}):
        path = os.path.relpath(entry, audio) if inside else f"../{entry.relative_to(root)}"
        yield Refusal(_as_text(path), "ignored", "no part of the audio or of the tables that are read")


def _unread(folder: Path, read: Collection[Path]) -> Iterator[Path]:
    for entry in sorted(folder.iterdir(), key=os.fsencode):
        if entry in read:
            continue
        if any(entry in file.parents for file in read):
            yield from _unread(entry, read)
        else:
            yield entry


def _as_text(name: str) -> str:
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def walk_address(address: str) -> Iterator[tuple[str, str] | Refusal]:
    """Objects below ``address`` as (address, path below it), and refusals for what is no object to look at: as `walk`.

    A bucket has no folders, only names with slashes in them. An empty object that stands for a folder (``jazz/``) is
    listed as ignored; a name that no folder on disk could hold (``a//b.mp3``, ``../b.mp3``) as refused.

    Raises:
        CatalogueError: Nothing is there, it is an object itself, or it cannot be listed.
    """
    files, top, sizes = _listed(address)
    prefix = top.rstrip("/") + "/" if top.strip("/") else top
    paths = {name.removeprefix(prefix): name for name in sizes if name.startswith(prefix)}
    told: set[str] = set()  # folders of which something was said already
    for path in sorted(paths, key=lambda each: [part.encode("utf-8", "backslashreplace") for part in each.split("/")]):
        name = paths[path]
        *folders, last = path.split("/")
        if not last and not sizes[name]:
            yield Refusal(path or ".", "ignored", "an empty object that stands for a folder")
            continue
        if not {"", ".", ".."}.isdisjoint((*folders, last)) or "\0" in path or not _is_text(path):
            yield Refusal(path, "refused", "no file can have this name; rename the object")
            continue
        hidden = next((depth for depth, part in enumerate(folders) if part.startswith(".")), len(folders))
        for depth in range(1, hidden + 1):
            folder = "/".join(folders[:depth])
            if claims_audio(folder) and folder not in told:
                told.add(folder)
                yield Refusal(folder, "refused", _NAMED_LIKE_AUDIO)
        if hidden < len(folders):
            folder = "/".join(folders[: hidden + 1])
            if folder not in told:
                told.add(folder)
                yield Refusal(folder, "ignored", _HIDDEN + _BELOW)
        elif last.startswith("."):
            yield Refusal(path, "ignored", _HIDDEN)
        else:
            yield files.unstrip_protocol(name), path


def _listed(address: str) -> tuple[Any, str, dict[str, int]]:
    """The file system, the path in it, and the size of every object below.

    Raises:
        CatalogueError: Nothing is there, it is an object itself, or it cannot be listed.
    """
    try:
        files, top = opened(address)
        found = _find(files, top)
        if not found:
            files.ls(top, detail=False)  # says why, where `find` is silent
    except Exception as error:  # each kind of storage fails in a way of its own
        raise CatalogueError(f"{address} cannot be imported from: {why(address, error)}") from error
    sizes = {name: int(about.get("size") or 0) for name, about in found.items()}
    if list(sizes) == [top] and sizes[top]:
        raise CatalogueError(f"{address} is a file; an import needs what holds the recordings. Give its folder.")
    return files, top, sizes


def _find(files: Any, top: str) -> dict[str, dict[str, Any]]:
    """As `files.find`, but a folder that cannot be read is an error; fsspec's own passes over it."""
    from fsspec.asyn import AsyncFileSystem
    from fsspec.spec import AbstractFileSystem

    at_once = isinstance(files, AsyncFileSystem)
    usual = type(files)._find is AsyncFileSystem._find if at_once else type(files).find is AbstractFileSystem.find
    found: dict[str, dict[str, Any]] = {}
    if not usual:  # a bucket lists all that is in it by itself
        found = files.find(top, detail=True)
        return found
    folders = [top]
    while folders:
        folder = folders.pop()
        for about in files.ls(folder, detail=True):
            if about["type"] != "directory":
                found[about["name"]] = about
            elif about["name"].rstrip("/") != folder.rstrip("/"):
                folders.append(about["name"])
    return found


def _is_text(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True
