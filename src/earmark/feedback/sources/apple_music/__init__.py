"""Apple Music: what a listener's data export and Library.xml tell; a file for each format.

The export comes from privacy.apple.com ("Apple Media Services information"), as a zip archive of zip archives. Read is
what is there of

* ``Apple Music Play Activity.csv``: every play, to the millisecond (`play_activity`);
* ``Apple Music - Play History Daily Tracks.csv``: counts by day and song (`daily_tracks`);
* ``Apple Music Library Tracks.json``: counts, ratings and likes of the library's songs (`library_tracks`);
* ``Apple Music Likes and Dislikes.csv``, in newer exports ``Apple Music - Favorites.csv`` (`likes`);
* ``Library.xml`` (in the app: File > Library > Export Library…), also ``iTunes Library.xml`` (`library_xml`).

**No listening is told twice.** A row of the daily counts is refused if Play Activity tells plays of its day. Counts of
the library are states without a time, and of the same song they add nothing to dated plays. "Recently Played Tracks",
"Track Play History" and the like tell less of the same, and are not read as plays: the former names artists only.

**No listening is told without an artist.** Play Activity of today names none (in two exports of 2026 that others have
described, 0.02 % of the rows do), so the artist is looked up in the export's other files: see `clues`. So give the
whole export, not one file.

A song goes by artist and title, not by Apple's id, which Play Activity does not have.

Checked against public samples: Play Activity (exports of 2018 and of about 2023), Daily Tracks, Library Tracks, parts
of Library.xml. Favorites and Likes and Dislikes are known by public parsers only.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from earmark.feedback.event import Event
from earmark.feedback.sources.apple_music import daily_tracks, library_tracks, library_xml, likes, play_activity
from earmark.feedback.sources.apple_music.clues import Clues, tell
from earmark.feedback.sources.apple_music.songs import SERVICE
from earmark.feedback.sources.moments import DAY_US
from earmark.feedback.sources.reading import Part, find_parts, fits, not_found
from earmark.feedback.sources.source import FeedbackSource, Row

ACTIVITY, DAILY = "*Play Activity*.csv", "*Play History Daily Tracks*.csv"
LIBRARY, XML = "*Library Tracks*.json", "*Library.xml"
LIKES = ("*Likes and Dislikes*.csv", "*Music - Favorites*.csv")
HISTORY = "*Track Play History*.csv"  # names artists, and is not read otherwise
NO_MUSIC = ("*Video*", "*Podcast*", "*TV*")  # "Video Play Activity.csv" lies in the same export


@dataclass(frozen=True)
class AppleMusicHistory(FeedbackSource):
    """Apple Music's data export (privacy.apple.com) or Library.xml: plays, counts by day, ratings, likes."""

    name: ClassVar[str] = "apple-music"
    service: ClassVar[str] = SERVICE
    belong_together: ClassVar[bool] = True
    expects: ClassVar[str] = (
        "The export as you got it (archive, or the folder that it was unpacked to), or one of its files: Apple Music "
        "Play Activity.csv, Apple Music - Play History Daily Tracks.csv, Apple Music Library Tracks.json, Apple Music "
        "Likes and Dislikes.csv or Apple Music - Favorites.csv; or the app's Library.xml."
    )

    def files(self) -> list[Part]:
        """The files that will be read, in order; Track Play History too, because it decides what the others tell.

        Raises:
            FeedbackError: There is none of them at ``path``, or that alone.
        """
        if not self._parts(ACTIVITY, DAILY, LIBRARY, *LIKES, XML):
            raise not_found(self.path, "file of Apple Music's data export, such as Apple Music Play Activity.csv")
        return self._files

    def rows(self, part: Part) -> Iterator[Row]:
        """Every row of one of `files`, once; Track Play History has none.

        Raises:
            FeedbackError: The file is not what it should be, or one that names its artists is not.
        """
        if fits(part.label, ACTIVITY):
            return play_activity.rows(part, self._clues)
        if fits(part.label, DAILY):
            return daily_tracks.rows(part, self._told)
        if fits(part.label, HISTORY):
            return iter(())
        readers: list[tuple[tuple[str, ...], Callable[[Part], Iterator[Row]]]] = [
            ((LIBRARY,), library_tracks.rows), (LIKES, likes.rows), ((XML,), library_xml.rows),
        ]  # fmt: skip
        return next(read(part) for patterns, read in readers if fits(part.label, *patterns))

    def _parts(self, *patterns: str) -> list[Part]:
        return [part for part in self._files if fits(part.label, *patterns)]

    @cached_property
    def _files(self) -> list[Part]:
        found = find_parts(self.path, ACTIVITY, DAILY, LIBRARY, *LIKES, XML, HISTORY)
        return [part for part in found if not fits(part.label, *NO_MUSIC)]

    @cached_property
    def _clues(self) -> Clues:
        clues = Clues()
        for part in self._parts(DAILY):
            tell(clues, daily_tracks.clues(part))
        for part in self._parts(LIBRARY):
            tell(clues, library_tracks.clues(part))
        for part in self._parts(HISTORY):
            tell(clues, daily_tracks.history_clues(part))
        return clues

    @cached_property
    def _told(self) -> frozenset[int]:
        """The days, since 1970, of the plays that Play Activity tells; found out by reading it once more."""
        days: set[int] = set()
        for part in self._parts(ACTIVITY):
            for row in play_activity.rows(part, self._clues):
                if isinstance(row, Event) and row.at_us is not None:
                    days |= {row.at_us // DAY_US, (row.at_us - max(row.ms_played or 0, 0) * 1000) // DAY_US}
        return frozenset(days)
