"""What a listener's library at a streaming service says of its songs: names, ISRCs, genres; never audio.

A library is a source of labels: `earmark.catalogue.labels.labelling` matches its entries with the tracks of a
collection. Like a source of recordings it says before any code what it is, and is a frozen dataclass: a field ``path``
becomes the argument of `earmark label NAME`, every other field an option.
"""

import io
import json
import math
import re
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from earmark.catalogue.sources.source import Refusal
from earmark.errors import CatalogueError

_LARGEST_MEMBER = 4 * 2**30  # bytes; an archive that unpacks to more is no library
_LONGEST_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Entry:
    """A song of a library.

    Attributes:
        id: What the service calls it; unique within the library.
        title: Of the song.
        artists: Who made it, the main artist first. A service that names several in one text gives one text here.
        album: On which it appeared.
        isrc: International Standard Recording Code, as the service writes it.
        duration_s: In seconds, or None where the library does not say.
        genres: As the service calls them, the most telling first.
        artist_id: What the service calls the main artist, where genres have to be asked for by artist.
    """

    id: str
    title: str | None = None
    artists: tuple[str, ...] = ()
    album: str | None = None
    isrc: str | None = None
    duration_s: float | None = None
    genres: tuple[str, ...] = ()
    artist_id: str | None = None


@dataclass(frozen=True)
class Library:
    """A listener's library. Subclasses are frozen dataclasses too.

    Attributes:
        name: As in `earmark label NAME`.
        licence: Under which its content may be used, or None.
        citation: Whom its makers want named, or None.
        expects: What is needed, in one sentence.
    """

    name: ClassVar[str]
    licence: ClassVar[str | None] = None
    citation: ClassVar[str | None] = None
    expects: ClassVar[str]

    def describe(self) -> str:
        """What this is, in one line, for the report."""
        return self.name

    def entries(self) -> Iterator[Entry | Refusal]:
        """Every row of the library once: an entry, or refused with its reason (kind ``row``).

        Raises:
            CatalogueError: The library cannot be read, or the service does not answer as it should.
        """
        raise NotImplementedError

    def complete(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        """The matched entries again, in the same order, with what is dear to find out, such as genres by artist.

        Raises:
            CatalogueError: The service does not answer as it should.
        """
        yield from entries


def entry_or_refusal(entry: Entry, where: str) -> Entry | Refusal:
    """The entry, or why it can be matched with nothing; ``where`` names its row."""
    if entry.isrc or (entry.title and entry.artists):
        return entry
    missing = " and ".join(
        word for word, there in (("title", entry.title), ("artist", entry.artists), ("ISRC", entry.isrc)) if not there
    )
    return Refusal(where, "row", f"nothing to match it by: it has no {missing}")


def left_out(said: object, number: int, where: str) -> Iterator[Refusal]:
    """A word on rows that a service counts and does not hand out: it ``said`` how many, and gave ``number``."""
    if isinstance(said, int) and number < said:
        yield Refusal(
            where,
            "row",
            f"the service counts {said}, and its pages end after {number}: the rest is missing, label again",
        )


def as_text(value: object) -> str | None:
    """A name from a text or a number (an album called 1989), in one line and valid Unicode; None where nothing is."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    clean = str(value).encode("utf-8", "replace").decode()  # JSON can hold halves of characters, which no file can
    return re.sub(r"[\x00-\x1f\x7f\s]+", " ", clean).strip() or None


def as_texts(value: object) -> tuple[str, ...]:
    """Names from a list, or from one; objects give their ``name``, or else ``title``. Each once, in order."""
    values = value if isinstance(value, list) else [value]
    names = (as_text(each.get("name") or each.get("title") if isinstance(each, dict) else each) for each in values)
    return tuple(dict.fromkeys(name for name in names if name))


def as_seconds(value: object, *, per_second: float = 1.0) -> float | None:
    """A length of time from a number or a text that is one; None for what cannot be a song's length."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        found = float(value) / per_second
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) and 0 < found <= _LONGEST_S else None


def read_export(path: Path, name: str) -> tuple[bytes, str]:
    """The file ``name`` of an export: ``path`` is that file, a folder or a zip archive that holds it.

    Apple packs single files again (``….json.zip``), and large exports in parts (``… Part 1 of 2.zip``): an archive
    within an archive is opened too. Capitals in names do not matter.

    Returns:
        Its bytes, and where they were found, for messages.

    Raises:
        CatalogueError: Nothing is there, or no or more than one such file.
    """
    try:
        if path.is_dir():
            found = sorted(file for file in path.rglob("*") if _is_called(file.name, name) and file.is_file())
            file = _only(found, path, name)
            return _unpacked(file.read_bytes(), name, str(file))
        return _unpacked(path.read_bytes(), name, str(path))
    except OSError as error:
        raise CatalogueError(
            f"{path} cannot be read ({error.strerror}). Give the file {name}, or the folder or zip archive of the "
            "export that holds it."
        ) from None


def parse_json(content: bytes, where: str) -> Any:
    """``content`` as JSON; UTF-8 with or without a mark, or UTF-16.

    Raises:
        CatalogueError: It is none.
    """
    try:
        return json.loads(content.decode("utf-8-sig") if content.startswith(b"\xef\xbb\xbf") else content)
    except (ValueError, RecursionError) as error:
        raise CatalogueError(
            f"{where} is no JSON ({error}). Is the download complete, and is it the right file of the export?"
        ) from None


def _is_called(path: str, name: str) -> bool:
    return Path(path).name.casefold() in (name.casefold(), f"{name}.zip".casefold())


def _unpacked(content: bytes, name: str, where: str, *, deeper: bool = True) -> tuple[bytes, str]:
    if not content.startswith(b"PK\x03\x04"):
        return content, where
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            every = [each for each in archive.infolist() if not each.filename.startswith("__MACOSX/")]
            members = [each for each in every if _is_called(each.filename, name)]
            if not members and deeper:
                packed = [each for each in every if each.filename.casefold().endswith(".zip")]
                members = [each for each in packed if _holds(_member(archive, each, where), name)]
                deeper = False
            member = _only(members, Path(where), name)
            return _unpacked(_member(archive, member, where), name, f"{where}:{member.filename}", deeper=deeper)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise CatalogueError(f"{where} is a damaged or locked zip archive ({error}). Download it again.") from None


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, where: str) -> bytes:
    if member.file_size > _LARGEST_MEMBER:
        raise CatalogueError(f"{where}: {member.filename} unpacks to {member.file_size} bytes; no library does.")
    return archive.read(member)


def _holds(content: bytes, name: str) -> bool:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return any(_is_called(path, name) for path in archive.namelist() if not path.startswith("__MACOSX/"))


def _only(found: list[Any], path: Path, name: str) -> Any:
    if len(found) == 1:
        return found[0]
    several = ", ".join(str(getattr(each, "filename", each)) for each in found[:3])
    raise CatalogueError(
        f"{path} holds {f'{len(found)} files' if found else 'no file'} {name}{f' ({several})' if found else ''}; one "
        "is needed. Give the file itself."
    )
