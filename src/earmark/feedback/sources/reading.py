"""Files of an export, in a folder or packed in an archive, read as a stream: JSON arrays, JSON lines and tables.

Nothing here holds a file as a whole, except `whole_json`, which is for small ones. A row that cannot be read is refused
alone; the next one is read as if nothing had been.
"""

import io
import lzma
import os
import re
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

import orjson

from earmark.errors import FeedbackError
from earmark.feedback.sources.source import Refused

_CHUNK = 1 << 20  # bytes
_HEAD = 1 << 10  # bytes
_MOST_PIECES = 256  # an object may be cut at so many places that look like its end, in names or nested lists
_LARGEST_ROW = 1 << 24  # bytes
_LARGEST_WHOLE = 1 << 30  # bytes
_BETWEEN = re.compile(rb"\}\s*,\s*\{")
_BOM = b"\xef\xbb\xbf"
_UNENDED = ("end of data", "after document")  # of what orjson finds wrong with a piece, all that more text may mend
_DAMAGED = (
    zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, RuntimeError, EOFError, UnicodeDecodeError,
)  # fmt: skip
_PACKED = (".xz", ".zst", ".gz", ".bz2", ".7z", ".rar")  # what is not looked into


@dataclass(frozen=True)
class Part:
    """One file of an export.

    Attributes:
        name: Its path below what the user gave, with forward slashes; for messages and for choosing.
        place: The file on disk: itself, or the archive that holds it.
        members: How to get to it within: archives in archives have several. Empty for a plain file.
        size: In bytes, unpacked.
    """

    name: str
    place: Path
    members: tuple[str, ...] = ()
    size: int = 0

    @property
    def label(self) -> str:
        """Its file name alone."""
        return PurePosixPath(self.name).name

    @contextmanager
    def open(self) -> Iterator[IO[bytes]]:
        """Its bytes, as a stream.

        Raises:
            FeedbackError: It cannot be read, or its archive is damaged or locked.
        """
        with ExitStack() as stack:
            try:
                stream: IO[bytes] = stack.enter_context(self.place.open("rb"))
                for member in self.members:
                    stream = stack.enter_context(_opened(stream, member, stack))
                yield stream
            except _DAMAGED as error:
                raise FeedbackError(
                    f"{self.place} is a damaged or locked archive ({error}). Download it again, or unpack it yourself "
                    "and give the folder. What was read before stays; the same command again adds the rest."
                ) from None
            except OSError as error:
                raise FeedbackError(
                    f"{self.place} cannot be read ({error.strerror or error}). Check that it is there, and its rights."
                ) from None


def find_parts(path: Path, *patterns: str) -> list[Part]:
    """The files below ``path`` whose names fit one of ``patterns`` (as `fnmatch`, capitals do not matter), in order.

    Args:
        path: A file, a folder, or a zip or tar archive; archives within are opened too.
        patterns: Of the file name alone, ``endsong_*.json``.

    Raises:
        FeedbackError: Nothing is at ``path``, or it cannot be read.
    """
    found = [part for part in all_parts(path) if _fits(part.label, patterns)]
    return sorted(found, key=lambda part: _natural(part.name))


def parts_or_itself(path: Path, *patterns: str) -> list[Part]:
    """As `find_parts`; but a file that is no archive is taken whatever it is called, because the user has named it."""
    every = all_parts(path)
    return every if len(every) == 1 and not every[0].members and path.is_file() else find_parts(path, *patterns)


def all_parts(path: Path) -> list[Part]:
    """Every file below ``path``, as `find_parts`; a file that is no archive is itself, whatever it is called.

    What macOS lays beside files (``__MACOSX``, ``._name``) is none.
    """
    try:
        if path.is_dir():
            files = sorted(file for file in _below(path) if file.is_file() and not _of_macos(file.name))
            return [
                part for file in files for part in _within(file, file.relative_to(path).as_posix(), archives_too=True)
            ]
        return list(_within(path, path.name, archives_too=True))
    except OSError as error:
        raise FeedbackError(
            f"{error.filename or path} cannot be read ({error.strerror or error}; seen from {Path.cwd()}). Give the "
            "file, folder or archive of the export as you got it."
        ) from None


def _below(folder: Path) -> Iterator[Path]:
    """What is no folder. Unlike `Path.rglob`, it passes over none that cannot be read.

    Raises:
        OSError: There is one.
    """

    def refuse(error: OSError) -> None:
        raise error

    for here, _, names in os.walk(folder, onerror=refuse):
        yield from (Path(here, name) for name in names)


def some_of(found: list[Part], path: Path, needed: str) -> list[Part]:
    """``found`` at ``path``, if it is anything.

    Raises:
        FeedbackError: It is nothing; with what was ``needed``, and what is there instead.
    """
    if not found:
        raise not_found(path, needed)
    return found


def not_found(path: Path, needed: str) -> FeedbackError:
    """The error for a ``path`` that holds nothing of the format, with what it holds instead."""
    names = [part.name for part in all_parts(path)]
    shown = ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
    packed = "Unpack it, and give the folder. " if any(name.casefold().endswith(_PACKED) for name in names) else ""
    return FeedbackError(
        f"{path} holds no {needed}. Found: {shown or 'nothing'}. {packed}Is it another export? `earmark feedback "
        "import --help` lists the formats."
    )


def json_array(part: Part) -> Iterator[tuple[str, dict[str, Any] | Refused]]:
    """The objects of a JSON file that is one array of them, with where each stands: ``name.json:[17]``.

    A damaged row is refused, in pieces if ``},{`` stands in one of its names or lists. No other row is lost by it, but
    for the next one where its closing brace is what is missing.

    Raises:
        FeedbackError: It does not begin as an array, or one of its rows does not end.
    """
    label, number, loads = part.label, 0, orjson.loads
    with part.open() as stream:
        buffer = _array_begin(stream, part)
        start = place = 0  # where the current object begins; from where its end is looked for
        ends: list[int] = []  # where it seemed to end, and did not: in a name, or between objects within
        while True:
            match = _BETWEEN.search(buffer, place)
            if match is None:
                more = stream.read(_CHUNK)
                if not more:
                    break
                if len(buffer) - start > _LARGEST_ROW:
                    raise FeedbackError(
                        f"{part.name}: the object [{number}] does not end within {_LARGEST_ROW >> 20} MiB; a listening "
                        "history is an array of small ones. Is it the right file of the export?"
                    )
                buffer, ends = buffer[start:] + more, [end - start for end in ends]
                # From before the last brace: what stands between it and the next may have been cut in two.
                place, start = max(ends[-1] if ends else 0, buffer.rfind(b"}", 0, len(buffer) - len(more))), 0
                place = max(place, 0)
                continue
            end, where = match.start() + 1, f"{label}:[{number}]"
            try:
                row = loads(buffer[start:end])
            except orjson.JSONDecodeError as error:
                if several := _several(buffer[start:end], error):
                    yield from _numbered(several, label, number)
                    start = place = match.end() - 1
                    number, ends = number + len(several), []
                    continue
                ends.append(end)
                place = end
                unended = any(words in str(error) for words in _UNENDED)
                if unended and len(ends) <= _MOST_PIECES and end - start <= _LARGEST_ROW:
                    continue
                yield where, _no_json(where, error)
                start = place = buffer.index(b"{", ends[0])
            else:
                yield where, row if type(row) is dict else Refused(where, "no object")
                start = place = match.end() - 1
            number, ends = number + 1, []
        yield from _array_end(buffer, start, ends, label, number)


def _array_begin(stream: IO[bytes], part: Part) -> bytes:
    head = b""
    while more := stream.read(_CHUNK):
        head = (head + more).removeprefix(_BOM).lstrip()
        if head and not _BOM.startswith(head):
            break
    if not head.startswith(b"["):
        raise FeedbackError(
            f"{part.name} does not begin as a JSON array of plays, with [, but with {head[:1]!r}. Is the download "
            "complete, and is it the right file of the export?"
        )
    return head[1:].lstrip()


def _array_end(
    buffer: bytes, start: int, ends: list[int], label: str, number: int
) -> Iterator[tuple[str, dict[str, Any] | Refused]]:
    """The last object of an array, what is left of damaged ones before it, and what is wrong with the end."""
    text = buffer.rstrip()
    closed = text.endswith(b"]")
    text = (text[:-1].rstrip() if closed else text).removesuffix(b",").rstrip()
    while start < len(text):
        where = f"{label}:[{number}]"
        for end in (*ends, len(text)):
            try:
                rows = [orjson.loads(text[start:end])]
            except orjson.JSONDecodeError as error:
                problem, rows = error, _several(text[start:end], error)
            if rows:
                yield from _numbered(rows, label, number)
                number += len(rows)
                break
        else:
            if not ends and not closed:
                break
            yield where, _no_json(where, problem)
            end = ends[0] if ends else len(text)
            number += 1
        start = text.find(b"{", end) if b"{" in text[end:] else len(text)
        ends = [later for later in ends if later > start]
    if not closed:
        where = f"{label}:[{number}]"
        yield where, Refused(where, "the file is cut off here")


def _several(text: bytes, error: Exception) -> list[Any]:
    """The rows in ``text``, where something that is no object (null, a number) stands between objects; else none."""
    if "after document" not in str(error):
        return []
    try:
        return cast(list[Any], orjson.loads(b"[" + text + b"]"))
    except orjson.JSONDecodeError:
        return []


def _numbered(rows: list[Any], label: str, first: int) -> Iterator[tuple[str, dict[str, Any] | Refused]]:
    for number, row in enumerate(rows, start=first):
        where = f"{label}:[{number}]"
        yield where, row if isinstance(row, dict) else Refused(where, "no object")


def json_lines(part: Part) -> Iterator[tuple[str, dict[str, Any] | Refused]]:
    """The objects of a file with one a line, with where each stands: ``1.listens:17``; empty lines are none."""
    label, loads = part.label, orjson.loads
    with part.open() as stream:
        for number, line in enumerate(stream, start=1):
            where = f"{label}:{number}"
            try:
                row = loads(line)
            except orjson.JSONDecodeError as error:
                if text := line.removeprefix(_BOM).strip():
                    yield where, _again(text, where, error)
                continue
            yield where, row if type(row) is dict else Refused(where, "no object")


def _again(text: bytes, where: str, error: Exception) -> dict[str, Any] | Refused:
    """A line without its byte-order mark, which orjson does not take."""
    try:
        row = orjson.loads(text)
    except orjson.JSONDecodeError:
        return _no_json(where, error)
    return row if isinstance(row, dict) else Refused(where, "no object")


def whole_json(part: Part) -> Any:
    """The content of a small JSON file.

    Raises:
        FeedbackError: It is none, or larger than a gibibyte.
    """
    with part.open() as stream:
        content = stream.read(_LARGEST_WHOLE + 1)
    try:
        if len(content) > _LARGEST_WHOLE:
            raise ValueError("it is larger than 1 GiB")
        return orjson.loads(content.removeprefix(_BOM))
    except ValueError as error:
        raise FeedbackError(
            f"{part.name} is no JSON ({error}). Is the download complete, and is it the right file of the export?"
        ) from None


def text_of(part: Part) -> Iterator[str]:
    """The lines of a text in UTF-8 (or UTF-16, by its byte-order mark), line breaks included.

    Raises:
        FeedbackError: It is neither, or no text at all.
    """
    with part.open() as stream:
        buffered = io.BufferedReader(cast(io.RawIOBase, stream)) if not hasattr(stream, "peek") else stream
        head = cast(io.BufferedReader, buffered).peek(_HEAD)[:_HEAD]
        encoding = "utf-16" if head[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
        number = 0
        try:
            for line in io.TextIOWrapper(buffered, encoding=encoding, newline=""):
                number += 1
                yield line
        except UnicodeDecodeError:
            if b"\0" in head and encoding != "utf-16":
                raise FeedbackError(
                    f"{part.name} is no text, but a recording, a picture or the like: it begins as none does. Give the "
                    "file of the export that holds a table."
                ) from None
            raise FeedbackError(
                f"{part.name} is no {encoding.removesuffix('-sig').upper()}: soon after line {number} there are "
                "letters of another encoding, perhaps that of an older spreadsheet. Save it as UTF-8. What stood "
                "before was read; the same command again adds the rest."
            ) from None


def fits(name: str, *patterns: str) -> bool:
    """Whether a file name fits one of ``patterns``; capitals do not matter."""
    return _fits(name, patterns)


def _fits(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch(name.casefold(), pattern.casefold()) for pattern in patterns)


def _of_macos(name: str) -> bool:
    """Whether macOS has laid this beside a file, for what other disks and archives cannot hold of it."""
    return "__MACOSX/" in name or PurePosixPath(name).name.startswith("._")


def _no_json(where: str, error: Exception) -> Refused:
    return Refused(where, f"it cannot be read as JSON: {str(error).split(': line')[0]}")


def _natural(name: str) -> tuple[Any, ...]:
    """So that ``endsong_10.json`` comes behind ``endsong_9.json``."""
    return tuple((0, int(piece), "") if piece.isdecimal() else (1, 0, piece) for piece in re.split(r"(\d+)", name))


def _within(file: Path, name: str, *, archives_too: bool) -> Iterator[Part]:
    with file.open("rb") as stream:
        kind = _archive_kind(stream)
        if kind and archives_too:
            try:
                yield from _listed(stream, file, name, kind, ())
                return
            except _DAMAGED as error:
                raise FeedbackError(
                    f"{file} is a damaged or locked archive ({error}). Download it again, or unpack it and give the "
                    "folder."
                ) from None
    yield Part(name, file, (), file.stat().st_size)


def _listed(stream: IO[bytes], file: Path, name: str, kind: str, members: tuple[str, ...]) -> Iterator[Part]:
    if kind == "tar":
        with tarfile.open(fileobj=stream) as tar:
            for entry in tar:
                if entry.isfile() and not _of_macos(entry.name):
                    yield Part(f"{name}/{entry.name}", file, (*members, entry.name), entry.size)
        return
    with zipfile.ZipFile(stream) as archive:
        for info in archive.infolist():
            if not info.filename or info.is_dir() or _of_macos(info.filename):
                continue
            inner = f"{name}/{info.filename}".replace("\\", "/")  # as some programs on Windows write
            if info.filename.casefold().endswith(".zip") and len(members) < 3:
                with archive.open(info) as packed:
                    yield from _listed(packed, file, inner, "zip", (*members, info.filename))
            else:
                yield Part(inner, file, (*members, info.filename), info.file_size)


def _opened(stream: IO[bytes], member: str, stack: ExitStack) -> IO[bytes]:
    """A member of the archive that ``stream`` is, whatever kind that is; members of a zip can be sought in, too."""
    if _archive_kind(stream) == "tar":
        found = stack.enter_context(tarfile.TarFile(fileobj=stream)).extractfile(member)
        assert found is not None  # only files are listed
        return found
    return stack.enter_context(zipfile.ZipFile(stream)).open(member)


def _archive_kind(stream: IO[bytes]) -> str | None:
    head = stream.read(262)
    stream.seek(0)
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return "zip"
    return "tar" if head[257:262] == b"ustar" else None
