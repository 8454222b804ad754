"""ListenBrainz: listens and feedback, from the public dumps, a user's own export, or an array that the API gave.

Layouts, as listenbrainz-server writes them (its dumps, its export and its documentation of JSON were read):

* Public dump, unpacked: JSON lines in ``listens/2023/7.listens``, each listen with ``user_name``.
* A user's export (zip): JSON lines in ``listens/2023/7.jsonl`` without a user, whose name is in ``user.json`` beside;
  ``feedback.jsonl``.
* An array of listens or of feedback, as the API has them (``listens``, ``feedback``), in a file of any name.

A listen is a play that counts by ListenBrainz's rule (half the song, or four minutes). ``listened_at`` is when it
began; when it ended is not told. Some players say for how long they played, in ``additional_info``: ``duration_played``
in seconds (assumed, not checked against a sample) or ``ms_played`` (as ListenBrainz itself notes of plays that it took
from Spotify). Where that is at least 95 % of the song's length the play is complete; else how it ended is not known.

A song goes by ListenBrainz's own id of the names (``recording_msid``), by which it tells listens apart itself: a listen
keeps that, whether or not it has been mapped to a recording since, so a later export of it adds nothing. One recording
may have several, one for each way its names are written; which track they are, is found by names anyhow. Where there is
none, it goes by the recording's MusicBrainz id: that to which ListenBrainz mapped the names (``mbid_mapping``), else
the one that the player sent; else by the names.

Feedback goes by the same, so that it is about the song of the listens to it. Where it has a MusicBrainz id alone, and
no names, it is about the song of the first listen at ``path`` that was mapped to this recording: so give the whole
export, not feedback.jsonl alone. Where there is none, it is kept, but nobody knows which track it is about.

Who listened is ``user_name``. Where neither the rows nor a user.json say it, the user of earmark has to.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

from earmark.catalogue.sources.library import as_seconds, as_text
from earmark.feedback.event import LONGEST_WORD, Ended, Event, Song, named_key
from earmark.feedback.sources.moments import from_iso
from earmark.feedback.sources.reading import (
    Part,
    find_parts,
    json_array,
    json_lines,
    parts_or_itself,
    some_of,
    whole_json,
)
from earmark.feedback.sources.source import FeedbackSource, Refused, Row
from earmark.feedback.sources.values import counted_us, number, whole

_SERVICE = "listenbrainz"
_LICENCE = "CC0 1.0 (the public dumps); a user's own export is the user's."
_REMEMBERED = 200_000  # songs; beyond that they are made again, so that memory stays flat
_MOST_TAGS = 20
_COMPLETE = 0.95  # share of the song's length
_ID_LENGTH = 36  # letters of a UUID
_HEAD = 1 << 12  # bytes
_LATEST_S = 253_402_300_800  # the year 10000
_NOTHING: Mapping[str, Any] = {}
_LISTENS = ("*.listens", "[0-9].jsonl", "[0-9][0-9].jsonl", "*listens*.json", "*listens*.jsonl")


@dataclass(frozen=True)
class _OfListenBrainz(FeedbackSource):
    service: ClassVar[str] = _SERVICE
    licence: ClassVar[str | None] = _LICENCE

    @cached_property
    def _users(self) -> dict[str, str]:
        """Who each export below ``path`` is of, by the folder in which its user.json lies, with a slash at the end."""
        users = {}
        for part in find_parts(self.path, "user.json"):
            about = whole_json(part)
            if isinstance(about, dict) and (name := as_text(about.get("username") or about.get("user_name"))):
                users[part.name.removesuffix(part.label)] = name
        return users

    def _user_of(self, part: Part) -> str | None:
        folders = [folder for folder in self._users if part.name.startswith(folder)]
        return self._users[max(folders, key=len)] if folders else None


@dataclass(frozen=True)
class ListenBrainzListens(_OfListenBrainz):
    """What users of ListenBrainz listened to: a public dump, a user's export, or an array that the API gave."""

    name: ClassVar[str] = "listenbrainz"
    expects: ClassVar[str] = (
        "An unpacked public dump (listens/*/*.listens), a user's export as you got it (zip), or a JSON file with an "
        "array of listens."
    )

    def files(self) -> list[Part]:
        """The files with listens.

        Raises:
            FeedbackError: There is none.
        """
        return some_of(
            parts_or_itself(self.path, *_LISTENS),
            self.path,
            "listens (*.listens of a dump, listens/*/*.jsonl of an export)",
        )

    def rows(self, part: Part) -> Iterator[Row]:
        """Every listen of one file, with the tags that the listener gave with it.

        Raises:
            FeedbackError: It cannot be read.
        """
        user = self._user_of(part)
        songs: dict[str, Song] = {}
        for where, row in _objects(part):
            if isinstance(row, Refused):
                yield row
                continue
            get = row.get
            at = get("listened_at")
            at_us = at * 1_000_000 if type(at) is int and 0 < at < _LATEST_S else _at_us(at)
            if at_us is None:
                yield Refused(where, "no time: listened_at is missing, zero or no time")
                continue
            data = get("track_metadata")
            if type(data) is not dict or not data.get("track_name"):
                yield Refused(where, "no song: it has no title")
                continue
            info = data.get("additional_info")
            if type(info) is not dict:
                info = _NOTHING
            key = get("recording_msid") or data.get("recording_msid")
            if type(key) is not str or len(key) != _ID_LENGTH or not key.isprintable():
                msid, mbid = _ids(row, data, info)
                key = msid or mbid or f"{data['track_name']}\n{data.get('artist_name')}"
            song = songs.get(key)
            if song is None:
                song = _song(key, data, info)
                if song is None:
                    yield Refused(where, "no song: it has no title")
                    continue
                if len(songs) >= _REMEMBERED:
                    songs.clear()
                songs[key] = song
            listener = get("user_name")
            if type(listener) is not str or not listener:
                listener = user or _listener(row, data)
            ms_played: int | None = None
            ended: Ended | None = None
            if "duration_played" in info or "ms_played" in info:
                ms_played = _ms_played(info)
                if ms_played is not None and song.duration_s and ms_played >= _COMPLETE * song.duration_s * 1_000:
                    ended = "complete"
            play = Event(where, song, "play", listener, at_us, ms_played, None, None, 1, None, ended)
            tags = info.get("tags")
            yield (play, *_tags(play, tags)) if tags else play


@dataclass(frozen=True)
class ListenBrainzFeedback(_OfListenBrainz):
    """What users of ListenBrainz loved and hated: feedback.jsonl of a user's export, or an array that the API gave."""

    name: ClassVar[str] = "listenbrainz-feedback"
    names_later: ClassVar[bool] = True
    expects: ClassVar[str] = (
        "feedback.jsonl, a user's export as you got it (zip), or a JSON file with an array of feedback."
    )

    def files(self) -> list[Part]:
        """The files with feedback.

        Raises:
            FeedbackError: There is none.
        """
        return some_of(parts_or_itself(self.path, "*feedback*.jsonl", "*feedback*.json"), self.path, "feedback.jsonl")

    def rows(self, part: Part) -> Iterator[Row]:
        """Every word of one file: loved (1), hated (-1), or taken back (0).

        Raises:
            FeedbackError: It cannot be read.
        """
        user = self._user_of(part)
        for where, row in _objects(part):
            yield row if isinstance(row, Refused) else self._feedback(where, row, user)

    def _feedback(self, where: str, row: dict[str, Any], user: str | None) -> Row:
        score = number(row.get("score") if "score" in row else row.get("feedback"))
        if score not in (1, 0, -1):
            return Refused(where, "score: it is neither 1, 0 nor -1")
        created = row.get("created")
        at_us = _at_us(created)
        if at_us is None and created not in (None, 0, ""):
            return Refused(where, "no time: created is no time")
        data, info = _metadata(row)
        msid, mbid = _ids(row, data, info)
        key = msid or mbid
        song = _song(key or "\n", data, info)
        if song is None and key is not None:
            song = Song(_SERVICE, key) if msid else self._heard.get(key) or Song(_SERVICE, key)
        if song is None:
            return Refused(where, "no song: it has neither an id nor a title")
        listener = as_text(row.get("user_name")) or user or _listener(row, data)
        liked = None if score == 0 else float(score == 1)
        disliked = None if liked is None else 1.0 - liked
        return (
            Event(where, song, "like", listener, at_us, value=liked),
            Event(where, song, "dislike", listener, at_us, value=disliked),
        )

    @cached_property
    def _heard(self) -> dict[str, Song]:
        """The songs of listens at ``path``, by MusicBrainz ids that stand alone in a row of feedback."""
        wanted: set[str] = set()
        for part in self.files():
            for _, row in _objects(part):
                if not isinstance(row, Refused):
                    msid, mbid = _ids(row, *_metadata(row))
                    wanted |= {mbid} if mbid and not msid else set()
        heard: dict[str, Song] = {}
        for part in find_parts(self.path, *_LISTENS):
            for _, row in _objects(part):
                if isinstance(row, Refused):
                    continue
                data, info = _metadata(row)
                msid, mbid = _ids(row, data, info)
                if msid and mbid in wanted and mbid not in heard and (song := _song(msid, data, info)):
                    heard[mbid] = song
        return heard


def _objects(part: Part) -> Iterator[tuple[str, dict[str, Any] | Refused]]:
    """The rows of an array, or of JSON lines, whichever it is."""
    with part.open() as stream:
        head = stream.read(_HEAD).removeprefix(b"\xef\xbb\xbf").lstrip()
    return json_array(part) if head.startswith(b"[") else json_lines(part)


def _at_us(value: object) -> int | None:
    return counted_us(value) or (from_iso(value) if isinstance(value, str) else None)


def _metadata(row: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """A row's track_metadata, and the additional_info within; empty where there is none."""
    data = row.get("track_metadata")
    data = data if isinstance(data, dict) else {}
    info = data.get("additional_info")
    return data, info if isinstance(info, dict) else {}


def _ids(row: Mapping[str, Any], data: Mapping[str, Any], info: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """ListenBrainz's id of the names, and the recording's MusicBrainz id, in small letters; or None."""
    mapping = data.get("mbid_mapping") or row.get("mbid_mapping") or info.get("mbid_mapping")
    return _first_id("recording_msid", row, data, info), _first_id("recording_mbid", mapping, row, info)


def _first_id(name: str, *places: Any) -> str | None:
    for place in places:
        found = place.get(name) if isinstance(place, dict) else None
        if type(found) is str and len(found) == _ID_LENGTH and found.isprintable():
            return found.lower()
    return None


def _song(key: str, data: Mapping[str, Any], info: Mapping[str, Any]) -> Song | None:
    """The song under ``key``, an id, or names with a line break between them; None where it has no title."""
    title, artist = as_text(data.get("track_name")), as_text(data.get("artist_name"))
    if title is None:
        return None
    return Song(
        _SERVICE,
        named_key(title, artist) if "\n" in key else key.lower(),
        title,
        artist,
        as_text(data.get("release_name")),
        as_text(info.get("isrc")),
        as_seconds(info.get("duration_ms"), per_second=1_000) or as_seconds(info.get("duration")),
    )


def _listener(row: Mapping[str, Any], data: Mapping[str, Any]) -> str | None:
    """The user where ``user_name`` is missing: the API calls the name ``user_id``, old dumps have a number there."""
    return as_text(data.get("user_name")) or as_text(row.get("user_id")) or as_text(data.get("user_id"))


def _ms_played(info: Mapping[str, Any]) -> int | None:
    seconds = number(info.get("duration_played"))
    return whole(info.get("ms_played")) if seconds is None else whole(1_000 * seconds)


def _tags(play: Event, tags: object) -> Iterator[Event]:
    """Each tag once, as an event of its own."""
    words = dict.fromkeys(map(as_text, tags if isinstance(tags, list) else [tags]))
    fit = [word for word in words if word and len(word) <= LONGEST_WORD]
    for word in fit[:_MOST_TAGS]:
        yield Event(play.where, play.song, "tag", play.listener, play.at_us, word=word)
