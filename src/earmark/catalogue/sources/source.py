"""What an importer needs from a source of recordings: which files there are, and what is known of each.

A source looks, and decides nothing about sound: whether a file can be decoded is found out by
`earmark.catalogue.importing`, which also copies it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from earmark.errors import CatalogueError

if TYPE_CHECKING:  # an import's processes start without pandas
    import pandas as pd

Kind = Literal["refused", "ignored", "answer"]


@dataclass(frozen=True)
class Candidate:
    """A file that may be a recording.

    Attributes:
        file: Where it lies now.
        path: Below the collection's ``audio/`` folder, with forward slashes: this becomes the track_id.
        genre: The label to learn, or None.
        split: The source's official split, or None.
    """

    file: Path
    path: str
    genre: str | None = None
    split: str | None = None


@dataclass(frozen=True)
class Refusal:
    """A row of refused.csv: something that is not taken, and why.

    Attributes:
        path: The entry's path below the source's folder, or ``data.csv:17`` for a line of a table.
        kind: ``refused`` (looks like a recording, but is none that can be used), ``ignored`` (never claimed to be one:
            a cover, a text), or ``answer`` (a listener's answer).
        reason: In words.
    """

    path: str
    kind: Kind
    reason: str


class Source(Protocol):
    """A place from which recordings come."""

    name: str  # the importer's: the column `source`
    collection: str  # the collection's name, unless the user gives another
    path: Path
    licence: str | None
    citation: str | None

    def describe(self) -> str:
        """What this is, in one line, for the summary."""
        ...

    def candidates(self) -> Iterator[Candidate | Refusal]:
        """Every entry below `path`: a candidate, or refused here already.

        Raises:
            CatalogueError: The folder is missing, or not laid out as this source needs it.
        """
        ...

    def answers(self, track_ids: Iterable[str]) -> "tuple[pd.DataFrame, list[Refusal]] | None":
        """What listeners said about these tracks, and every line of no use; None where nobody was asked."""
        ...


def check_folder(path: Path) -> None:
    """Raise where ``path`` is no folder.

    Raises:
        CatalogueError: Nothing is there, or a file.
    """
    if path.is_dir():
        return
    if path.exists():
        raise CatalogueError(
            f"{path} is a file; an import needs the folder that holds the recordings. Give its folder."
        )
    raise CatalogueError(
        f"There is no folder {path} (seen from {Path.cwd()}). Check the spelling, and that the disk is mounted."
    )
