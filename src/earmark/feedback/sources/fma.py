"""FMA: how often each track of the Free Music Archive was listened to there, and how often marked as a favourite.

Counts of a whole service, by nobody in particular: ``track.listens`` are plays and ``track.favorites`` likes, each
with how many, and without a time. They grow with a track's age, so the song says since when it could be heard
(``track.date_created``, UTC assumed). A count that is missing, −1 or 0 tells nothing that happened, and is left out.
``track.comments`` is a number of comments whose words are not told, and what ``track.interest`` counts is not either:
neither is an event.

The table (three header lines, texts over several lines) is that of `earmark.catalogue.sources.fma`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar, Literal

from earmark.catalogue.sources.fma import TRACKS, FmaSource, audio_of
from earmark.catalogue.sources.library import as_seconds, as_text
from earmark.catalogue.sources.tables import Row as TableRow
from earmark.catalogue.sources.tables import whole
from earmark.feedback.event import Event, Song
from earmark.feedback.sources.delimited import only_part, table_rows
from earmark.feedback.sources.moments import from_datetime
from earmark.feedback.sources.reading import Part
from earmark.feedback.sources.source import FeedbackSource, Refused, Row

NEEDED = ("track_id", "track.title", "track.listens", "track.favorites", "track.date_created", "artist.name")
_NOT_COUNTED = ("-1", "-1.0")


@dataclass(frozen=True)
class FmaCounts(FeedbackSource):
    """The FMA data set's counts: how often each track was listened to and marked as a favourite, by whomever."""

    name: ClassVar[str] = "fma"
    service: ClassVar[str] = "fma"
    licence: ClassVar[str | None] = "CC BY 4.0 (the metadata)"
    citation: ClassVar[str | None] = FmaSource.citation
    expects: ClassVar[str] = "tracks.csv of fma_metadata, the folder or archive with it, or the data set's folder."
    anonymous: ClassVar[bool] = True

    def files(self) -> list[Part]:
        """The table.

        Raises:
            FeedbackError: It is not at ``path``.
        """
        return [only_part(self.path, ("tracks.csv", TRACKS), "tracks.csv of fma_metadata")]

    def rows(self, part: Part) -> Iterator[Row]:
        """Every track, once: its plays, its likes, both, or refused.

        Raises:
            FeedbackError: It is another table.
        """
        for row in table_rows(part, NEEDED, multi_line=True, header_lines=3):
            if isinstance(row, Refused):
                yield row
                continue
            try:
                events = _events(row)
            except ValueError as error:
                yield Refused(row.where, f"no counts: {error}")
                continue
            yield (events[0] if len(events) == 1 else events) or Refused(row.where, "nothing told: no listens counted")


def _events(row: TableRow) -> tuple[Event, ...]:
    """What is counted of a track.

    Raises:
        ValueError: Its id, a count or the date is none.
    """
    of = _song(row)
    counts: tuple[tuple[Literal["play", "like"], str, float | None], ...] = (
        ("play", "listens", None), ("like", "favorites", 1.0),
    )  # fmt: skip
    told = ((kind, value, _times(row, column)) for kind, column, value in counts)
    return tuple(Event(row.where, of, kind, None, value=value, times=times) for kind, value, times in told if times)


def _times(row: TableRow, column: str) -> int | None:
    text = row.get(f"track.{column}")
    return None if text is None or text in _NOT_COUNTED else whole(text.removesuffix(".0"), column, 0, 10**12)


def _song(row: TableRow) -> Song:
    since_us = _created_us(row)
    return Song(
        FmaCounts.service,
        str(whole(row["track_id"], "track_id", 0, 999_999)),
        as_text(row["track.title"]),
        as_text(row["artist.name"]),
        as_text(row.get("album.title")),
        duration_s=as_seconds(row.get("track.duration")),
        track_id=audio_of(row),
        since_us=since_us,
    )


def _created_us(row: TableRow) -> int | None:
    """When the track's page was made.

    Raises:
        ValueError: It is no date.
    """
    text = row.get("track.date_created")
    try:
        return from_datetime(datetime.fromisoformat(text), UTC) if text else None
    except (ValueError, OverflowError):
        raise ValueError(f"date_created is {text!r}, no date such as 2008-11-26 01:48:12") from None
