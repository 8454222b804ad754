"""What an import of feedback needs from a source: every row of its files, as events or as a refusal.

A source is a frozen dataclass, as the sources of recordings are; its fields become argument and options of
`earmark feedback import NAME`: ``path`` the argument, every other an option with its type, default and
``metadata={"help": …}``.

A source reads row by row and keeps nothing: a history larger than memory is no problem. It yields one item a row in the
order of the file: an `Event`, a tuple of events where a row tells several things (a play count and a skip
count, or a dislike), or a `Refused`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from earmark.feedback.event import Event

if TYPE_CHECKING:
    from earmark.feedback.sources.reading import Part


class Refused(NamedTuple):
    """A row that is not taken.

    Attributes:
        where: As `Event.where`.
        reason: In words, ``no song: it is a podcast``. Reasons that begin alike, up to a colon, are counted together;
            what stands behind it are details. Never a name, an address or anything else about the listener.
    """

    where: str
    reason: str


Row = Event | tuple[Event, ...] | Refused


@dataclass(frozen=True)
class FeedbackSource:
    """A listening history or a list of reactions. Subclasses are frozen dataclasses.

    Attributes:
        path: What the user gave: a file, or the folder or zip archive of an export.
        name: As in `earmark feedback import NAME`.
        service: Where it happened: ``spotify`` for all of Spotify's formats. It tells songs and listeners apart.
        licence: Under which it may be used, or None.
        citation: Whom its authors want named, or None.
        expects: What must lie at ``path``, in one sentence.
        tells_listener: Whether its rows always name their listener; then the user cannot (``--listener``).
        anonymous: Whether its rows may be about no listener in particular (counts of a whole service).
        belong_together: Whether what one of its files tells depends on the others, so that none is known without them.
        names_later: Whether its songs are kept that have an id and nothing else: names may come from another file.
    """

    path: Path

    name: ClassVar[str]
    service: ClassVar[str]
    licence: ClassVar[str | None] = None
    citation: ClassVar[str | None] = None
    expects: ClassVar[str]
    tells_listener: ClassVar[bool] = False
    anonymous: ClassVar[bool] = False
    names_later: ClassVar[bool] = False
    belong_together: ClassVar[bool] = False

    def describe(self) -> str:
        """What this is, in one line, for the summary."""
        return f"{self.name} in {self.path.name}"

    def files(self) -> list["Part"]:
        """The files that will be read, in order.

        Raises:
            FeedbackError: There is nothing of this format at ``path``; the message says what was found.
        """
        raise NotImplementedError

    def rows(self, part: "Part") -> Iterator[Row]:
        """Every row of one of `files`, once.

        Raises:
            FeedbackError: The file is not what it should be.
        """
        raise NotImplementedError
