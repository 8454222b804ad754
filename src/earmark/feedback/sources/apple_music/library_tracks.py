"""``Apple Music Library Tracks.json``: the songs of the library, how often played and skipped, rated and liked.

A list of objects: Content Type (``Song``, ``Music Video``), Title, Artist, Album Artist, Album, Track Duration
(milliseconds), Track Play Count, Skip Count, Rating (0, or as in Library.xml), Track Like Rating (``LIKED``, ``NONE``;
in newer exports ``liked``, ``none``; ``DISLIKED`` is assumed), Favorite Status - Track. Counts are lifetime states
without a time. ``NONE`` stands where an opinion was taken back; where there never was one, the field is missing.
"""

from collections.abc import Iterator
from typing import Any

from earmark.catalogue.sources.library import as_text
from earmark.feedback.sources.apple_music.clues import Clue
from earmark.feedback.sources.apple_music.songs import OPINIONS, counted, rated, said, song
from earmark.feedback.sources.reading import Part, json_array
from earmark.feedback.sources.source import Refused, Row


def rows(part: Part) -> Iterator[Row]:
    """Every track, once: all that is told of it, or refused.

    Raises:
        FeedbackError: It is no list.
    """
    for where, row in json_array(part):
        yield row if isinstance(row, Refused) else _track(where, row)


def clues(part: Part) -> Iterator[Clue]:
    """Whose songs are in the library, on which albums."""
    for _, row in json_array(part):
        if not isinstance(row, Refused) and (names := _names(row)):
            yield Clue(names[1], names[0], as_text(row.get("Album")))


def _track(where: str, row: dict[str, Any]) -> Row:
    if (kind := as_text(row.get("Content Type"))) and kind.casefold() not in ("song", "songs", "music"):
        return Refused(where, f"no song: its Content Type is {kind[:40]}")
    names = _names(row)
    if names is None:
        return Refused(where, "no song: it lacks the title or the artist")
    length = row.get("Track Duration")
    of = song(names[1], names[0], as_text(row.get("Album")), length if isinstance(length, int | float) else None)
    opinion = OPINIONS.get((as_text(row.get("Track Like Rating")) or "").casefold())
    if opinion != "disliked" and row.get("Favorite Status - Track") is True:
        opinion = "liked"
    plays = row.get("Track Play Count", row.get("Play Count"))
    events = (
        *counted(where, of, plays, row.get("Skip Count")),
        *rated(where, of, row.get("Rating")),
        *(said(where, of, opinion) if opinion else ()),
    )
    return events or Refused(where, "nothing told: never played, skipped, rated or liked")


def _names(row: dict[str, Any]) -> tuple[str, str] | None:
    title, artist = as_text(row.get("Title")), as_text(row.get("Artist")) or as_text(row.get("Album Artist"))
    return (artist, title) if title and artist else None
