"""What an importer needs from a source of recordings: which files there are, and what is known of each.

A source says before any code what it is: its name, its licence, whom to cite, what must lie where. It looks, and
decides nothing about sound: whether a file can be decoded is found out by `earmark.catalogue.imports`, which also
stores it.

A source is a frozen dataclass; its fields after ``path`` become options of `earmark import NAME` by themselves: their
type, their default, and ``metadata={"help": …}``.
"""

import math
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from earmark.errors import CatalogueError

LONGEST_NAME = 200  # of a collection, in bytes: a file's may have 255, and its files have endings

Kind = Literal["refused", "ignored", "row"]


@dataclass(frozen=True, slots=True)
class Facts:
    """What a team has measured of a recording already, so that its audio need not be opened to know.

    Attributes:
        content_hash: SHA-256 of the file's bytes, 64 hexadecimal digits.
        duration_s: Length of the decoded audio, in seconds.
        sample_rate_hz: As stored.
        channels: As stored.
        codec: FFmpeg's name of the codec (``mp3``, ``aac`` …).

    Raises:
        CatalogueError: A value is impossible; the message names it.
    """

    content_hash: str
    duration_s: float
    sample_rate_hz: int
    channels: int
    codec: str

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[0-9a-f]{64}", self.content_hash):
            raise CatalogueError(f"content_hash is {self.content_hash!r}, not the 64 hexadecimal digits of a SHA-256")
        for name in ("duration_s", "sample_rate_hz", "channels"):
            number = getattr(self, name)
            if not (number > 0 and math.isfinite(number)):
                raise CatalogueError(f"{name} is {number}, no positive number")
        if not self.codec:
            raise CatalogueError("codec is empty")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file that may be a recording.

    Title, artist, album and ISRC that the source does not know (None) are taken from the file's own tags.

    Attributes:
        file: Where it lies now: a path, or an address such as ``s3://bucket/song.mp3``.
        path: Its path in the collection, with forward slashes, relative to nothing else: this becomes the track_id.
        genre: The label to learn, or None.
        split: The source's official split (``train``, ``validation``, ``test``), or None.
        artist: Whose recording it is; its recordings stay on one side of a split, unless ``group`` says otherwise.
        title: Of the recording.
        album: On which it appeared.
        isrc: International Standard Recording Code.
        tags: Words for it, such as ``genre---ambient`` or ``guitar``.
        licence: Of this recording; None takes the source's.
        group: What must stay on one side of a split, where the source knows better than "one artist".
        genre_from_tags: Take the genre from the file's own tags where ``genre`` is None.
        facts: What was measured of it already, or None; used only where the audio stays outside.
    """

    file: Path | str
    path: str
    genre: str | None = None
    split: str | None = None
    artist: str | None = None
    title: str | None = None
    album: str | None = None
    isrc: str | None = None
    tags: tuple[str, ...] = ()
    licence: str | None = None
    group: str | None = None
    genre_from_tags: bool = False
    facts: Facts | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """A row of refused.csv: something that is not taken, and why.

    Attributes:
        path: The entry's path below the source's folder, or ``data.csv:17`` for a line of a table.
        kind: ``refused`` (looks like a recording, but is none that can be used), ``ignored`` (never claimed to be one:
            a cover, a text), ``row`` (a line of the source's table that leads to no recording) or ``answer`` (a
            listener's answer that leads to no track).
        reason: In words. Reasons that begin alike, names in quotes and numbers apart, are counted together; details
            stand after a colon.
    """

    path: str
    kind: Kind
    reason: str


@dataclass(frozen=True)
class Source:
    """A place from which recordings come. Subclasses are frozen dataclasses too.

    Attributes:
        path: Where it lies: what the user gave. Where a source takes addresses too, it may be a text.
        name: The importer's, as in `earmark import NAME`; the column ``source`` of the catalogue.
        licence: Under which all recordings may be used that say no other, or None where there is no such licence.
        rights: Where there is none: what is known of it instead. It is shown, and is no track's licence.
        citation: Whom its authors want named, or None.
        expects: What must lie at ``path``, in one sentence.
    """

    path: Path

    name: ClassVar[str]
    licence: ClassVar[str | None] = None
    rights: ClassVar[str | None] = None
    citation: ClassVar[str | None] = None
    expects: ClassVar[str]

    @property
    def origin(self) -> str:
        """In refused.csv, whose lines these are: another import of the same origin says anew what became of them."""
        return self.name

    @property
    def collection(self) -> str:
        """The collection's name, unless the user gives another."""
        return self.name

    def describe(self) -> str:
        """What this is, in one line, for the summary."""
        return f"{self.name} in {self.path}"

    def candidates(self) -> Iterator[Candidate | Refusal]:
        """Every file below `path`, and every row of the source's tables, once: a candidate, or refused here already.

        Raises:
            CatalogueError: The folder is missing, or not laid out as this source needs it.
        """
        raise NotImplementedError


def collection_of(name: str) -> str:
    """The name of a folder or a table, as far as it can name a collection; empty where nothing of it can."""
    fit = re.sub(r"[^\w.-]+", "-", name).encode("utf-8", "ignore")[:LONGEST_NAME].decode("utf-8", "ignore")
    return fit.strip("-._").lower()


def check_folder(path: Path) -> None:
    """Raise where ``path`` is no folder.

    Raises:
        CatalogueError: Nothing is there, or a file.
    """
    if os.path.isdir(path):  # noqa: PTH112  false for what can be no name at all, where pathlib fails
        return
    if os.path.exists(path):  # noqa: PTH110
        raise CatalogueError(
            f"{path} is a file; an import needs the folder that holds the recordings. Give its folder."
        )
    raise CatalogueError(
        f"There is no folder {path} (seen from {Path.cwd()}). Check the spelling, and that the disk is mounted."
    )


def not_laid_out(source: Source, *, found: str) -> CatalogueError:
    """The error for a folder that is no such source, with what was found there."""
    return CatalogueError(
        f"{source.path} is not what `earmark import {source.name}` needs. {source.expects} Found: {found}. "
        "For a folder of your own: earmark import folder PATH."
    )


def listing(folder: Path) -> str:
    """The first entries of a folder, for an error."""
    names = sorted(entry.name + ("/" if entry.is_dir() else "") for entry in folder.iterdir())
    return ", ".join(names[:8]) + (" …" if len(names) > 8 else "") or "nothing"
