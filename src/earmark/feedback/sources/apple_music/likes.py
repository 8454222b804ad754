"""``Apple Music Likes and Dislikes.csv``, in newer exports ``Apple Music - Favorites.csv``: what the listener said.

Columns: Item Description ("artist - title"), Preference (``LIKE``, ``LOVE``, ``DISLIKE``), Last Modified or Created,
and in Favorites Favorite Type (``SONG``, ``ALBUM``, ``ARTIST``). By public parsers, not checked against a sample; so a
column Item Type is understood as well, and times may be ISO 8601 or milliseconds since 1970.
"""

from collections.abc import Iterator

from earmark.catalogue.sources.tables import Row as TableRow
from earmark.feedback.sources.apple_music.songs import OPINIONS, artist_and_title, said, song
from earmark.feedback.sources.delimited import table_rows
from earmark.feedback.sources.moments import from_iso
from earmark.feedback.sources.reading import Part
from earmark.feedback.sources.source import Refused, Row
from earmark.feedback.sources.values import counted_us

NEEDED = ("item description", "preference")
_SONGS = ("song", "songs", "track")


def rows(part: Part) -> Iterator[Row]:
    """Every row, once: a like and a dislike (one yes, one no), or refused.

    Raises:
        FeedbackError: It is another table.
    """
    for row in table_rows(part, NEEDED):
        yield row if isinstance(row, Refused) else _said(row)


def _said(row: TableRow) -> Row:
    kind = row.get("favorite type") or row.get("item type")
    if kind and kind.casefold() not in _SONGS:
        return Refused(row.where, f"no song: it is of type {kind[:40]}")
    opinion = OPINIONS.get(row["preference"].casefold())
    if opinion is None:
        return Refused(row.where, "no like or dislike: its Preference is neither")
    names = artist_and_title(row["item description"])
    if names is None:
        return Refused(row.where, "no artist: its description is not artist - title")
    at = row.get("last modified") or row.get("created") or ""
    return said(row.where, song(names[1], names[0]), opinion, counted_us(at) or from_iso(at))
