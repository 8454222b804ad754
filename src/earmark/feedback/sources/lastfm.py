"""Last.fm: the log of portable players (.scrobbler.log), and lists of scrobbles that several tools export as CSV.

Songs are told apart by their names in both: few rows have a MusicBrainz id, and with and without one a song must stay
one. A scrobble tells when the play began, neither when nor how it ended.

The log (Audioscrobbler's "Portable Player Logging", versions 1.0 and 1.1): header lines that begin with ``#``, then a
row a line, tab-separated: artist, album, track, number on the album, length in seconds, ``L`` (listened, at least half
of it) or ``S`` (skipped), seconds since 1970, MusicBrainz id. Quotation marks are letters like any other. ``#TZ/UTC``
says that times are in UTC; with ``#TZ/UNKNOWN`` or anything else the player only knew its own clock, and counted as if
that were UTC, so you have to say how far from UTC it was (``--utc-offset-hours``); unsaid, it is taken for UTC. ``L``
counts as complete: the format knows nothing between that and skipped. What a player without a clock wrote has no time
and is refused.

The lists, as found in public samples of them:

* "Last.fm to CSV" (benjaminbenben.com): no header; artist, album, track, ``27 Jul 2014 20:34`` (UTC).
* Header ``uts,utc_time,artist,artist_mbid,album,album_mbid,track,track_mbid`` (lastfm.ghan.nl), ``uts`` in seconds. A
  file of the same tool whose name begins with "loved" holds loved tracks (assumed, not checked against a sample).
* Header ``Artist;Album;AlbumId;Track;Date#name`` (lastfmstats.com), times in milliseconds. The name is not read.
* Others, with a header that names an artist and a track; or without, if you say which column is which (``--columns``).

Times may be such a date, ISO 8601 or a count since 1970. What is of 1970 comes from a player that had lost its time.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import ClassVar

from earmark.catalogue.sources.library import as_seconds, as_text
from earmark.catalogue.sources.tables import records
from earmark.errors import FeedbackError
from earmark.feedback.event import Event, Kind, Song, named_key
from earmark.feedback.sources.delimited import guessed_delimiter
from earmark.feedback.sources.moments import from_datetime, from_iso
from earmark.feedback.sources.reading import Part, parts_or_itself, some_of, text_of
from earmark.feedback.sources.source import FeedbackSource, Refused, Row
from earmark.feedback.sources.values import counted_us

_SERVICE = "lastfm"
_REMEMBERED = 200_000  # songs; beyond that they are made again, so that memory stays flat
_YEAR_US = 31_536_000_000_000  # a moment before that is no real one
_LOG_FIELDS = (7, 8)  # the last one, the MusicBrainz id, may be left out
_DATE = re.compile(r"(\d{1,2}) ([A-Za-z]{3})[a-z]* (\d{4}),? (\d{1,2}):(\d{2})(?::(\d{2}))?(?: UTC)?")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_COLUMNS = ("artist", "album", "track", "time")
_NAMES = {
    "artist": ("artist", "artist name", "artist_name"),
    "album": ("album", "album name", "album_name", "release"),
    "track": ("track", "title", "song", "name", "track name", "track_name"),
    "time": ("uts", "timestamp", "time", "utc_time", "date", "datetime", "date time", "played_at", "listened_at"),
}


@dataclass(frozen=True)
class Audioscrobbler(FeedbackSource):
    """The log of a portable player (.scrobbler.log): what was listened to, and what was skipped."""

    name: ClassVar[str] = "audioscrobbler"
    service: ClassVar[str] = _SERVICE
    expects: ClassVar[str] = "A file .scrobbler.log, or a folder or archive with such files."

    utc_offset_hours: float = field(
        default=0.0,
        metadata={"help": "How far the player's clock is ahead of UTC, where its log does not say #TZ/UTC."},
    )

    def files(self) -> list[Part]:
        """The logs.

        Raises:
            FeedbackError: There is none.
        """
        return some_of(parts_or_itself(self.path, "*scrobbler*.log"), self.path, ".scrobbler.log")

    def rows(self, part: Part) -> Iterator[Row]:
        """Every song of one log; its header lines are no rows.

        Raises:
            FeedbackError: It does not begin as such a log.
        """
        local_us = _offset(self.utc_offset_hours) // timedelta(microseconds=1)
        songs: dict[tuple[str, str], Song] = {}
        begun, ahead_us = False, local_us
        for number, line in enumerate(text_of(part), start=1):
            text = line.rstrip("\r\n")
            if text.startswith("#") and "\t" not in text:  # a song may be by #1 Dads
                begun = True
                if text.startswith(("#AUDIOSCROBBLER", "#TZ/")):
                    ahead_us = 0 if text.strip().upper() == "#TZ/UTC" else local_us
            elif text.strip():
                if not begun:
                    raise FeedbackError(
                        f"{part.name} does not begin with #AUDIOSCROBBLER/1.1 or another header line. Is it the log "
                        "that the player wrote? A list of scrobbles as CSV is the source lastfm."
                    )
                yield _logged(f"{part.label}:{number}", text.split("\t"), songs, ahead_us)


@dataclass(frozen=True)
class LastFm(FeedbackSource):
    """A list of scrobbles that a tool has exported from Last.fm as CSV."""

    name: ClassVar[str] = "lastfm"
    service: ClassVar[str] = _SERVICE
    expects: ClassVar[str] = "A CSV file with a scrobble a row, or a folder or archive with such files."

    columns: str = field(
        default=",".join(_COLUMNS),
        metadata={
            "help": "What stands in which column of a file without a header: artist, album, track, time, date (where "
            "the time has a column of its own), or anything else for what is not read."
        },
    )
    utc_offset_hours: float = field(
        default=0.0, metadata={"help": "How far written dates are ahead of UTC; counts since 1970 are not."}
    )

    def files(self) -> list[Part]:
        """The lists.

        Raises:
            FeedbackError: There is none.
        """
        return some_of(parts_or_itself(self.path, "*.csv", "*.tsv"), self.path, "CSV file")

    def rows(self, part: Part) -> Iterator[Row]:
        """Every scrobble of one list.

        Raises:
            FeedbackError: The columns that were named are not enough, or those of the header.
        """
        zone = timezone(_offset(self.utc_offset_hours))
        kind: Kind = "like" if part.label.casefold().startswith("loved") else "play"
        songs: dict[tuple[str, str], Song] = {}
        places: dict[str, int] = {}
        width = 0
        for first, _, fields in records(text_of(part), delimiter=guessed_delimiter(part)):
            where = f"{part.label}:{first}"
            if isinstance(fields, str):
                yield Refused(where, fields)
                continue
            if not any(text.strip() for text in fields):
                continue  # an empty line is no row
            if not places:
                names, is_header = self._names(fields)
                places, width = _places(names, part), len(names)
                if is_header:
                    continue
            if len(fields) != width:
                yield Refused(where, f"wrong number of fields: {len(fields)} instead of {width}")
            else:
                yield _scrobble(where, fields, places, songs, zone, kind)

    def _names(self, fields: Sequence[str]) -> tuple[list[str], bool]:
        """What the columns are called, by the header, if the first row is one, else by the option."""
        header = [text.strip().casefold().partition("#")[0] for text in fields]
        if any(name in header for name in _NAMES["artist"]) and any(name in header for name in _NAMES["track"]):
            return header, True
        return [name.strip().casefold() for name in self.columns.split(",")], False


def _offset(hours: float) -> timedelta:
    """How far a clock is ahead of UTC.

    Raises:
        FeedbackError: No clock is.
    """
    if not abs(hours) < 24:
        raise FeedbackError(f"The option --utc-offset-hours is {hours:g}; clocks are less than 24 hours from UTC.")
    return timedelta(hours=hours)


def _places(names: Sequence[str], part: Part) -> dict[str, int]:
    """Where each column stands.

    Raises:
        FeedbackError: Artist, track or time is nowhere.
    """
    places = {
        column: names.index(name)
        for column, choices in _NAMES.items()
        if (name := next((choice for choice in choices if choice in names), None)) is not None
    }
    if "date" in names and "time" in names and places["time"] == names.index("time"):  # the day in a column of its own
        places["date"] = names.index("date")
    if missing := [column for column in ("artist", "track", "time") if column not in places]:
        raise FeedbackError(
            f"{part.name}: no column is called {' or '.join(missing)}. Its columns are taken for "
            f"{', '.join(names)}; say which is which, for instance --columns artist,album,track,time."
        )
    return places


def _scrobble(
    where: str,
    fields: Sequence[str],
    places: dict[str, int],
    songs: dict[tuple[str, str], Song],
    zone: timezone,
    kind: Kind,
) -> Event | Refused:
    def text(column: str) -> str:
        return fields[places[column]] if column in places else ""

    song = _song(text("artist"), text("track"), text("album"), None, songs)
    if song is None:
        return Refused(where, "no song: it has no artist or no title")
    at_us = _moment_us(f"{text('date')} {text('time')}".strip(), zone)
    if at_us is None or at_us < _YEAR_US:
        return Refused(where, "no time: it is missing, of 1970, or none")
    return Event(where, song, kind, None, at_us, value=1.0 if kind == "like" else None)


def _logged(where: str, fields: Sequence[str], songs: dict[tuple[str, str], Song], ahead_us: int) -> Event | Refused:
    if len(fields) not in _LOG_FIELDS:
        return Refused(where, f"wrong number of fields: {len(fields)} instead of 8")
    artist, album, title, _, seconds, rating, began, *_ = fields
    song = _song("" if artist == "<Untagged>" else artist, title, album, seconds, songs)
    if song is None:
        return Refused(where, "no song: it has no artist or no title")
    at_us = counted_us(began)
    if at_us is None or at_us < _YEAR_US:
        return Refused(where, "no time: the player had no clock")
    if rating.strip() not in ("L", "S"):
        return Refused(where, "rating: it is neither L (listened) nor S (skipped)")
    if rating.strip() == "S":
        return Event(where, song, "skip", None, at_us - ahead_us, ended="skipped")
    return Event(where, song, "play", None, at_us - ahead_us, ended="complete")


def _song(artist: str, title: str, album: str, seconds: str | None, songs: dict[tuple[str, str], Song]) -> Song | None:
    """The song of these names, the same object each time; None where one is missing."""
    song = songs.get((artist, title))
    if song is None:
        by, called = as_text(artist), as_text(title)
        if by is None or called is None:
            return None
        song = Song(_SERVICE, named_key(called, by), called, by, as_text(album), duration_s=as_seconds(seconds))
        if len(songs) >= _REMEMBERED:
            songs.clear()
        songs[artist, title] = song
    return song


def _moment_us(text: str, zone: timezone) -> int | None:
    """A written date, one of ISO 8601 or a count since 1970, in microseconds since 1970 UTC; None for what is none."""
    if not (found := _DATE.fullmatch(text)):
        return counted_us(text) or from_iso(text, zone)
    day, month, year, hour, minute, second = found.groups()
    try:
        number = _MONTHS.index(month.lower()) + 1
        return from_datetime(
            datetime(int(year), number, int(day), int(hour), int(minute), int(second or 0), tzinfo=zone)
        )
    except (ValueError, OverflowError):
        return None
