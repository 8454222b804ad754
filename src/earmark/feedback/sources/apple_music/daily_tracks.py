"""``Apple Music - Play History Daily Tracks.csv``: how often each song was played on each day, since 2015.

Columns: Country, Track Identifier, Media type, Date Played (``20150630``), Hours (``16`` or ``"18, 19"``), Play
Duration Milliseconds (of the day), End Reason Type (missing in newer exports; ``N/A``), Source Type, Play Count, Skip
Count, Ignore For Recommendations, Track Reference, Track Description ("artist - title").

Play Count counts what sounded, Skip Count what was skipped; a skip after some seconds counts in both, one at once only
in the second (in a public sample: 280 s, 1 play, 1 skip; 0 s, 0 plays, 1 skip; 252 s to the song's end, 1 play, 1
skip). So how many plays were no skips is not told. It is at least Play Count − Skip Count, and at least one where the
row says that the track ended: that many plays are taken, and all skips. How long something sounded is told only where
the row is one play or one skip, for of several nobody knows which had how much.

The time is the beginning of the last of Hours, else noon, taken for UTC (assumed). Rows that the listener wants left
out (Ignore For Recommendations) are, and so are the plays of the same song in Play Activity: see `clues`.
"""

from collections.abc import Collection, Iterator
from datetime import UTC, datetime

from earmark.catalogue.sources.tables import Row as TableRow
from earmark.feedback.event import Event
from earmark.feedback.sources.apple_music.clues import Clue
from earmark.feedback.sources.apple_music.play_activity import ENDS
from earmark.feedback.sources.apple_music.songs import artist_and_title, song
from earmark.feedback.sources.delimited import table_rows
from earmark.feedback.sources.moments import DAY_US, from_datetime
from earmark.feedback.sources.reading import Part
from earmark.feedback.sources.source import Refused, Row
from earmark.feedback.sources.values import number

NEEDED = ("date played", "track description", "play count")
_HOUR_US = 3_600_000_000
_YES = ("true", "yes", "y", "1")
_NOTHING = ("", "n/a")


def rows(part: Part, told: Collection[int]) -> Iterator[Row]:
    """Every row, once; those of a day (since 1970) in ``told`` are refused.

    Raises:
        FeedbackError: It is another table.
    """
    for row in table_rows(part, NEEDED):
        yield row if isinstance(row, Refused) else _day(row, told)


def clues(part: Part) -> Iterator[Clue]:
    """Whose songs were played when, and what the listener wants left out."""
    for row in table_rows(part, NEEDED):
        if isinstance(row, TableRow) and (names := artist_and_title(row["track description"])):
            day_us = _day_us(row["date played"])
            yield Clue(names[1], names[0], None, None if day_us is None else day_us // DAY_US, _left_out(row))


def history_clues(part: Part) -> Iterator[Clue]:
    """Whose songs they are in ``Apple Music - Track Play History.csv``, whose Track Name is "artist - title" too."""
    for row in table_rows(part, ("track name",)):
        if isinstance(row, TableRow) and (names := artist_and_title(row["track name"])):
            yield Clue(names[1], names[0])


def _day(row: TableRow, told: Collection[int]) -> Row:
    if _left_out(row):
        return Refused(row.where, "the listener wants it left out: Ignore For Recommendations")
    day_us = _day_us(row["date played"])
    if day_us is None:
        return Refused(row.where, f"no time: Date Played is {row['date played'][:20]!r}, no date such as 20150630")
    if day_us // DAY_US in told:
        return Refused(row.where, "told in full by Play Activity: it has the plays of this day")
    media = (row.get("media type") or "").casefold()
    if media not in (*_NOTHING, "audio"):
        return Refused(row.where, f"no song: its Media type is {media[:40]}")
    names = artist_and_title(row["track description"])
    if names is None:
        return Refused(row.where, "no artist: its description is not artist - title, a radio station perhaps")
    plays, skips = (_count(row.get(column)) for column in ("play count", "skip count"))
    if plays is None and skips is None:
        return Refused(row.where, "no count: Play Count and Skip Count are no whole numbers from 0")
    at_us = day_us + _HOUR_US * _hour(row.get("hours"))
    events = _events(row, names, plays or 0, skips or 0, at_us)
    return (events[0] if len(events) == 1 else events) or Refused(row.where, "no play: its counts are 0")


def _events(row: TableRow, names: tuple[str, str], plays: int, skips: int, at_us: int) -> tuple[Event, ...]:
    ended = ENDS.get((row.get("end reason type") or "").upper())
    heard = max(plays - skips, min(plays, 1) if ended == "complete" else 0)
    alone = heard + skips == 1
    ms_played = _count(row.get("play duration milliseconds")) if alone else None
    known = ended if alone or ended == "complete" else None
    of = song(names[1], names[0])
    events = []
    if heard:
        end = known if heard == 1 and known != "skipped" else None
        events.append(Event(row.where, of, "play", None, at_us, ms_played, times=heard, ended=end))
    if skips:
        events.append(Event(row.where, of, "skip", None, at_us, ms_played, times=skips, ended="skipped"))
    return tuple(events)


def _left_out(row: TableRow) -> bool:
    return (row.get("ignore for recommendations") or "").casefold() in _YES


def _day_us(text: str) -> int | None:
    for form in ("%Y%m%d", "%Y-%m-%d"):
        try:
            return from_datetime(datetime.strptime(text, form), UTC)
        except ValueError:
            continue
    return None


def _hour(text: str | None) -> int:
    pieces = (text or "").replace(",", " ").split()
    hours = [int(piece) for piece in pieces if piece.isdecimal() and len(piece) <= 2 and int(piece) < 24]
    return hours[-1] if hours else 12


def _count(text: str | None) -> int | None:
    count = number(text)
    return int(count) if count is not None and count >= 0 and count.is_integer() else None
