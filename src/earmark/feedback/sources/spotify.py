"""Spotify: the extended streaming history, the short one of the account data, and the saved and banned tracks.

What was seen in public samples, parsers and write-ups of real exports:

* ``ts`` is when the play ended, in UTC. It is always taken as it is. After an unexpected exit it may be when Spotify
  was next opened, and of plays without a connection when they were reported. ``offline_timestamp`` does not mend that:
  it is in milliseconds in old files and in seconds in new ones, null, 0 or 1 where there is none, and what it is the
  time of is documented nowhere. So it is not read.
* ``skipped`` is null in old files, and false for every play between April 2015 and October 2022; since then it only
  repeats ``reason_end``. So ``reason_end`` decides, and ``skipped`` only where that says nothing.
* Podcasts, audiobook chapters and videos without a track have no ``master_metadata_track_name``.

How a play ended, by ``reason_end``:

* complete: ``trackdone``, whatever ``skipped`` says.
* skipped, because the listener went on to other music: ``fwdbtn``, ``nextbtn``, and until about 2016 ``clickrow``,
  ``clickside``, ``playbtn`` (another song was picked in a list, in the side bar, or with a play button), ``uriopen`` (a
  link to one was opened).
* stopped: ``endplay``, into which picking another song has been folded since, so that the two cannot be told apart;
  ``backbtn``, which plays the song again or the one before, and is no sign of dislike; ``logout``, ``unexpected-exit``,
  ``unexpected-exit-while-paused``.
* failed: ``trackerror``.
* All else (``remote``, ``popup``, ``appload``, ``unknown``, nothing): skipped if ``skipped`` is true, else not known.
  With another device the listener may have skipped the song, or only gone on with it there.

How it started, by ``reason_start``: ``clickrow``, ``clickside``, ``uriopen``, ``backbtn`` and ``playbtn`` mean that the
listener chose this song, except ``playbtn`` in shuffle mode, which leaves the choice to Spotify; ``trackdone``,
``fwdbtn``, ``nextbtn``, ``trackerror`` and ``autoplay`` that it came by itself; all else (``appload``, ``remote``, …)
that nobody knows.

Of a row nothing else is read: no address, no device, no browser. Of a private session (``incognito_mode``) nothing is
kept at all.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

from earmark.catalogue.sources.library import as_text
from earmark.errors import FeedbackError
from earmark.feedback.event import About, Ended, Event, Song, Started, named_key
from earmark.feedback.sources.moments import from_iso
from earmark.feedback.sources.reading import Part, find_parts, json_array, some_of, whole_json
from earmark.feedback.sources.source import FeedbackSource, Refused, Row
from earmark.feedback.sources.values import whole

_SERVICE = "spotify"
_REMEMBERED = 200_000  # songs; beyond that they are made again, so that memory stays flat

_ENDED: dict[str, Ended] = {
    "trackdone": "complete",
    "fwdbtn": "skipped",
    "nextbtn": "skipped",
    "clickrow": "skipped",
    "click-row": "skipped",
    "clickside": "skipped",
    "playbtn": "skipped",
    "uriopen": "skipped",
    "endplay": "stopped",
    "backbtn": "stopped",
    "logout": "stopped",
    "unexpected-exit": "stopped",
    "unexpected-exit-while-paused": "stopped",
    "trackerror": "failed",
}
_STARTED: dict[str, Started] = {
    "clickrow": "chosen",
    "click-row": "chosen",
    "clickside": "chosen",
    "uriopen": "chosen",
    "backbtn": "chosen",
    "playbtn": "chosen",
    "trackdone": "continued",
    "fwdbtn": "continued",
    "nextbtn": "continued",
    "trackerror": "continued",
    "autoplay": "continued",
}
_NO = (None, False, 0, "", "0", "false", "False", "FALSE")


@dataclass(frozen=True)
class SpotifyHistory(FeedbackSource):
    """Spotify's extended streaming history, new (Streaming_History_Audio_*.json) or old (endsong_*.json)."""

    name: ClassVar[str] = "spotify"
    service: ClassVar[str] = _SERVICE
    expects: ClassVar[str] = (
        "Streaming_History_Audio_*.json or endsong_*.json, or the folder or zip archive (my_spotify_data.zip) that "
        "holds them."
    )

    def files(self) -> list[Part]:
        """The files of the history, those of videos too, because some of these are songs.

        Raises:
            FeedbackError: There is none.
        """
        return some_of(
            find_parts(self.path, "Streaming_History_Audio*.json", "Streaming_History_Video*.json", "endsong*.json"),
            self.path,
            "Streaming_History_Audio_*.json and no endsong_*.json",
        )

    def rows(self, part: Part) -> Iterator[Row]:
        """Every play of one file.

        Raises:
            FeedbackError: It is no JSON array.
        """
        songs: dict[str, Song] = {}
        for where, row in json_array(part):
            if isinstance(row, Refused):
                yield row
                continue
            get = row.get
            if get("incognito_mode") not in _NO:
                yield Refused(where, "incognito: dropped")
                continue
            title = get("master_metadata_track_name")
            if not title:
                yield Refused(where, _no_song(row, part.label))
                continue
            ts = get("ts")
            at_us = from_iso(ts) if type(ts) is str else None
            if at_us is None:
                yield Refused(where, "no time: ts is missing, or no date and time")
                continue
            ms_played = get("ms_played")
            if type(ms_played) is not int and ms_played is not None and (ms_played := whole(ms_played)) is None:
                yield Refused(where, "ms_played: it is no number")
                continue
            uri = get("spotify_track_uri")
            if type(uri) is not str or not uri:
                uri = f"{title}\n{get('master_metadata_album_artist_name')}"
            song = songs.get(uri)
            if song is None:
                song = _song(
                    get("spotify_track_uri"),
                    title,
                    get("master_metadata_album_artist_name"),
                    get("master_metadata_album_album_name"),
                )
                if song is None:
                    yield Refused(where, "no song: it has no title")
                    continue
                if len(songs) >= _REMEMBERED:
                    songs.clear()
                songs[uri] = song
            reason = get("reason_end")
            ended = _ENDED.get(reason) if type(reason) is str else None
            if ended is None and get("skipped") not in _NO:
                ended = "skipped"
            reason = get("reason_start")
            started = _STARTED.get(reason) if type(reason) is str else None
            if reason == "playbtn" and get("shuffle") not in _NO:
                started = "continued"
            listener, country = get("username"), get("conn_country")
            yield Event(
                where,
                song,
                "skip" if ended == "skipped" else "play",
                listener if type(listener) is str and listener else None,
                at_us,
                ms_played,
                None,
                None,
                1,
                started,
                ended,
                _about(country) if type(country) is str else None,
            )


@dataclass(frozen=True)
class SpotifyShortHistory(FeedbackSource):
    """Spotify's short streaming history, of the last year (StreamingHistory*.json of the account data).

    It tells times to the minute, and neither how a play began nor how it ended; songs are told apart by their names.
    What the extended history tells too is in it a second time.
    """

    name: ClassVar[str] = "spotify-short"
    service: ClassVar[str] = _SERVICE
    expects: ClassVar[str] = "StreamingHistory*.json, or the folder or zip archive of the account data that holds them."

    def files(self) -> list[Part]:
        """The files of the history; of those of podcasts every row is refused.

        Raises:
            FeedbackError: There is none.
        """
        return some_of(
            find_parts(self.path, "StreamingHistory*.json"),
            self.path,
            "StreamingHistory*.json (the extended history is the source spotify)",
        )

    def rows(self, part: Part) -> Iterator[Row]:
        """Every play of one file.

        Raises:
            FeedbackError: It is no JSON array.
        """
        songs: dict[str, Song] = {}
        for where, row in json_array(part):
            yield row if isinstance(row, Refused) else _short_play(where, row, songs)


@dataclass(frozen=True)
class SpotifyLibrary(FeedbackSource):
    """The saved and banned tracks in Spotify's account data (YourLibrary.json), without dates."""

    name: ClassVar[str] = "spotify-library"
    service: ClassVar[str] = _SERVICE
    expects: ClassVar[str] = "YourLibrary.json, or the folder or zip archive of the account data that holds it."

    def files(self) -> list[Part]:
        """The library.

        Raises:
            FeedbackError: There is none.
        """
        found = find_parts(self.path, "YourLibrary*.json")
        return some_of(found, self.path, "YourLibrary.json")

    def rows(self, part: Part) -> Iterator[Row]:
        """Every saved track (liked) and every banned one (disliked); albums, artists and shows are no songs.

        Raises:
            FeedbackError: It is laid out otherwise.
        """
        library = whole_json(part)
        lists = {name: library.get(name, []) for name in ("tracks", "bannedTracks")} if type(library) is dict else {}
        if "tracks" not in (library if lists else {}) or not all(type(rows) is list for rows in lists.values()):
            raise FeedbackError(
                f'{part.name} has no list "tracks". Needed is YourLibrary.json of Spotify\'s "account data"; the '
                "streaming history and the playlists are other files."
            )
        for name, rows in lists.items():
            for number, row in enumerate(rows):
                where = f"{part.label}:{name}[{number}]"
                if type(row) is not dict:
                    yield Refused(where, "no object")
                    continue
                song = _song(row.get("uri"), row.get("track"), row.get("artist"), row.get("album"))
                if song is None:
                    yield Refused(where, "no song: it has no title")
                elif name == "tracks":
                    yield Event(where, song, "like", None, value=1.0)
                else:
                    yield Event(where, song, "like", None, value=0.0), Event(where, song, "dislike", None, value=1.0)


def _song(uri: object, title: object, artist: object, album: object) -> Song | None:
    """A song by its URI, else by its names; None where it has no title."""
    title, artist = as_text(title), as_text(artist)
    if title is None:
        return None
    key = as_text(uri) if isinstance(uri, str) else None
    return Song(_SERVICE, key or named_key(title, artist), title, artist, as_text(album))


def _no_song(row: dict[str, Any], label: str) -> str:
    """Why a row of the extended history has no track."""
    if row.get("episode_name") or row.get("spotify_episode_uri") or row.get("episode_show_name"):
        return "no song: it is a podcast"
    if any(value for name, value in row.items() if name.startswith("audiobook_")):
        return "no song: it is an audiobook chapter"
    if "video" in label.casefold():
        return "no song: it is a video without a track"
    return "no song: it has no title"


def _short_play(where: str, row: dict[str, Any], songs: dict[str, Song]) -> Event | Refused:
    title, artist = row.get("trackName"), row.get("artistName")
    if not title:
        podcast = row.get("podcastName") or row.get("episodeName")
        return Refused(where, f"no song: it {'is a podcast' if podcast else 'has no title'}")
    if artist == "Unknown Artist" or title == "Unknown Track":
        return Refused(where, "no song: Spotify does not say which")
    ended, ms_played = row.get("endTime"), row.get("msPlayed")
    at_us = from_iso(ended) if type(ended) is str else None
    if at_us is None:
        return Refused(where, "no time: endTime is missing, or no date and time")
    if ms_played is not None and (ms_played := whole(ms_played)) is None:
        return Refused(where, "msPlayed: it is no number")
    names = f"{title}\n{artist}"
    song = songs.get(names)
    if song is None:
        song = _song(None, title, artist, None)
        if song is None:
            return Refused(where, "no song: it has no title")
        if len(songs) >= _REMEMBERED:
            songs.clear()
        songs[names] = song
    return Event(where, song, "play", None, at_us, ms_played)


@lru_cache(maxsize=512)
def _about(country: str) -> About | None:
    """Of a country's two letters; ZZ is Spotify's word for none."""
    code = country.strip().upper()
    return About(country=code) if len(code) == 2 and code.isascii() and code.isalpha() and code != "ZZ" else None
