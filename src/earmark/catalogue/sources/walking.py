"""Every entry below a folder, once, in an order that does not depend on the disk; nothing is passed over in silence."""

import os
from collections.abc import Iterator
from pathlib import Path, PurePath

from earmark.catalogue.sources.source import Refusal

# fmt: off
AUDIO_SUFFIXES = frozenset({
    ".mp3", ".mp2", ".m4a", ".m4b", ".mp4", ".aac", ".ogg", ".oga", ".opus", ".spx", ".flac", ".wav", ".wave", ".aif",
    ".aiff", ".aifc", ".au", ".snd", ".caf", ".wma", ".asf", ".wv", ".webm", ".mka", ".mkv", ".ape", ".tta", ".mpc",
    ".ac3", ".dsf", ".amr", ".ra",
})
# fmt: on


def claims_audio(path: str) -> bool:
    """Whether the name says that this is a recording: it decides only how a refusal is listed."""
    return PurePath(path).suffix.lower() in AUDIO_SUFFIXES


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
            yield Refusal(path, "ignored", "hidden" + (", and so is all below it" if entry.is_dir() else ""))
        elif entry.is_dir():
            if claims_audio(name):
                yield Refusal(path, "refused", "a folder, though its name is a recording's; what it holds is looked at")
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


def _as_text(name: str) -> str:
    return os.fsencode(name).decode("utf-8", "backslashreplace")
