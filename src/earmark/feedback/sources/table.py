"""A team's own history: any table of plays or reactions, whatever its columns are called.

PATH is a table, or a folder or archive of tables laid out alike: delimited text with a header (tab, semicolon or
comma, whichever its first line has most of), JSON lines, a JSON array of objects, or Parquet. Rows are read one by
one, Parquet in batches, so a table may be larger than memory. An option says what a column is called; the default is
its own name (``song_id`` for ``--song``). Capitals and spaces around a column's name do not matter. Other columns are
not read.

**Which song** is said by ``track_id`` (of the catalogue in use), ``isrc``, ``title`` and ``artist`` together, or
``song_id``, the service's own id. One of these must be there.

**What happened** is said by ``event``, or is ``--every`` where that says nothing:

* play (listen, stream, scrobble …), complete (to the song's end), stop, skip (next). Read with it: ``ms_played`` or
  ``seconds_played``, and ``times``.
* like (love, favourite, heart, thumbs up …), dislike (hate, thumbs down, ban, block …). A ``value`` of 1 or yes, or
  none, is yes; 0 is no; −1 of a like is a dislike. unlike (unlove, unfavourite, undislike …) takes back what was said.
* rating (rate, stars, score): ``value`` from ``--worst`` to ``--best``.
* feeling (felt, emotion): ``word``, and as ``value`` how much from 0 to 1 (without one, 1).
* tag (label): ``word``, several between ``;`` or ``|``.
* comment (review, note): ``word``, the text. Only its distinct words are kept (see `words`), each as an event.

Capitals, hyphens and underscores do not matter (``THUMBS_UP``); all words are in `vocabulary`. Of the team's own words
say the meaning: ``--events "star=like,heard=play"``.

**When** is said by ``time``: ISO 8601, seconds or milliseconds since 1970 (whichever its size says), or as
``--time-format`` tells (Python's strptime). What names no time zone is in the row's ``zone`` (``Europe/Paris``; a row
with one that is unknown is refused), else as far ahead of UTC as ``--utc-offset-hours`` says. Without a time a row is a
state: the next of the same listener, song and kind takes its place. So a table of single plays needs times, and a table
of counts ``times``.

Reasons for refusing a row name columns, and never what stands in them: it may be somebody's name.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, timedelta, timezone, tzinfo
from functools import cached_property, lru_cache
from typing import Any, ClassVar, Literal

from earmark.catalogue.sources.library import as_text
from earmark.errors import FeedbackError
from earmark.feedback.event import LONGEST_WORD, About, Event, Song, named_key
from earmark.feedback.sources.any_table import PATTERNS, Cell, cells
from earmark.feedback.sources.cells import as_name, known, length_s, moment, seconds, several, share, zone_of
from earmark.feedback.sources.delimited import columns_of
from earmark.feedback.sources.reading import Part, parts_or_itself, some_of
from earmark.feedback.sources.source import FeedbackSource, Refused, Row
from earmark.feedback.sources.values import number, whole
from earmark.feedback.sources.vocabulary import ACTS, Act, acts_with, plain
from earmark.feedback.sources.words import words_of


def column(what: str, default: str) -> Any:
    """A field of a source: what a column is called."""
    return field(default=default, metadata={"help": f"The column with {what}.", "column": True})


@dataclass(frozen=True)
class TableHistory(FeedbackSource):
    """A table of your own (CSV, TSV, JSON, Parquet): plays, skips, likes, ratings, feelings, tags, comments."""

    name: ClassVar[str] = "table"
    expects: ClassVar[str] = (
        "A CSV, TSV, JSON or Parquet table, or a folder or archive of such tables; columns for who, when and which "
        "song, and for what happened if it is not the same in every row."
    )
    names_later: ClassVar[bool] = True

    service: str = field(  # type: ignore[misc]  # of each team
        default="own", metadata={"help": "Where it happened. Listeners and songs are told apart within it."}
    )
    user: str = column("who listened", "listener")
    time: str = column("when it happened", "time")
    zone: str = column("each row's time zone, such as Europe/Paris", "zone")
    song: str = column("the service's id of the song", "song_id")
    track_id: str = column("the song's track_id in the catalogue", "track_id")
    title: str = column("the song's title", "title")
    artist: str = column("the song's artist", "artist")
    album: str = column("the album", "album")
    isrc: str = column("the ISRC", "isrc")
    duration: str = column("the song's length, in seconds or as 3:25", "duration")
    event: str = column("what happened: play, skip, like …", "event")
    value: str = column("how much: of a rating, like, dislike or feeling", "value")
    word: str = column("the feeling, the tags (between ; or |) or the comment", "word")
    times: str = column("how often, where a row stands for several", "times")
    ms_played: str = column("how long it sounded, in milliseconds", "ms_played")
    seconds_played: str = column("how long it sounded, in seconds", "seconds_played")
    age: str = column("the listener's age, in years", "age")
    gender: str = column("the listener's gender", "gender")
    country: str = column("the listener's country, in two letters", "country")
    language: str = column("the listener's language", "language")
    every: Literal["play", "skip", "like", "dislike", "rating", "feeling", "tag", "comment"] = field(
        default="play", metadata={"help": "What happened where no event is said."}
    )
    events: str = field(
        default="", metadata={"help": 'Words of yours in the column event: "star=like,heard=play,gone=skip".'}
    )
    best: float = field(default=5.0, metadata={"help": "The best rating."})
    worst: float = field(default=1.0, metadata={"help": "The worst rating."})
    time_format: str = field(default="", metadata={"help": 'How times are written, as in "%d/%m/%Y %H:%M".'})
    utc_offset_hours: float = field(
        default=0.0, metadata={"help": "How far times that name no zone are ahead of UTC, in hours."}
    )
    milliseconds: bool = field(default=False, metadata={"help": "Whether songs' lengths are in milliseconds."})
    multi_line: bool = field(default=False, metadata={"help": "Fields in quotation marks may hold line breaks."})
    anonymous: bool = field(  # type: ignore[misc]
        default=False, metadata={"help": "Rows without a listener are counts of all of them."}
    )

    def files(self) -> list[Part]:
        """The tables.

        Raises:
            FeedbackError: There is none, or an option has no sense.
        """
        acts_with(self.events)
        if self.best == self.worst or not (math.isfinite(self.best) and math.isfinite(self.worst)):
            raise FeedbackError(f"--worst {self.worst:g} and --best {self.best:g} are no scale: give its two ends.")
        if not abs(self.utc_offset_hours) < 24:
            raise FeedbackError(f"--utc-offset-hours {self.utc_offset_hours:g} is none: it is less than a day.")
        return some_of(parts_or_itself(self.path, *PATTERNS), self.path, "table (CSV, TSV, JSON or Parquet)")

    def rows(self, part: Part) -> Iterator[Row]:
        """Every row, once.

        Raises:
            FeedbackError: It is no table, or lacks what says which song it is, or a column that was asked for.
        """

        def check(there: Sequence[str]) -> None:
            self._check(part, there)

        for where, cell in cells(part, self._columns.values(), check, multi_line=self.multi_line):
            if isinstance(cell, Refused):
                yield cell
                continue
            try:
                events = self._events(where, cell)
            except ValueError as error:
                yield Refused(where, str(error))
                continue
            yield events[0] if len(events) == 1 else events

    def unfit(self, cell: Cell) -> str | None:
        """Why a row is refused whatever else it says, or None; for tables of a known service."""
        return None

    def _events(self, where: str, cell: Cell) -> tuple[Event, ...]:
        """What a row tells.

        Raises:
            ValueError: Why it is refused.
        """
        if reason := self.unfit(cell):
            raise ValueError(reason)
        act = self._act(cell)
        event = Event(
            where,
            self._song(cell),
            act.kind,
            self._text(cell, "user"),
            at_us=self._at_us(cell),
            ended=act.ended,
            about=_about(*(self._text(cell, said) for said in ("age", "gender", "country", "language"))),
        )
        if act.kind in ("play", "skip"):
            return (event._replace(ms_played=self._ms_played(cell), times=self._times(cell)),)
        if act.kind in ("like", "dislike"):
            return self._opinion(event, act, cell)
        if act.kind == "rating":
            return (event._replace(value=self._rating(cell)),)
        return self._worded(event, cell)

    def _known(self, cell: Cell, ours: str) -> Any:
        said = cell(self._columns[ours])
        return None if said is None else known(said)

    def _text(self, cell: Cell, ours: str) -> str | None:
        said = self._known(cell, ours)
        return None if said is None else as_name(said)

    def _act(self, cell: Cell) -> Act:
        said = self._text(cell, "event")
        act = ACTS[self.every] if said is None else self._acts.get(plain(said))
        if act is None:
            raise ValueError(f"no event: the column {self.event} holds a word of unknown meaning, see --events")
        return act

    def _song(self, cell: Cell) -> Song:
        own, track_id, isrc, album = (self._text(cell, said) for said in ("song", "track_id", "isrc", "album"))
        title, artist = (
            as_name(cell(self._columns[said])) for said in ("title", "artist")
        )  # a song may be called Null
        if not (own or track_id or isrc or (title and artist)):
            raise ValueError("no song: it has no id, no ISRC, and not both title and artist")
        length = length_s(self._known(cell, "duration"), per_second=1_000 if self.milliseconds else 1)
        return _song(self.service, own, track_id, isrc, title, artist, album, length)

    def _at_us(self, cell: Cell) -> int | None:
        said = self._known(cell, "time")
        if said is None:
            return None
        named = self._text(cell, "zone")
        zone = self._otherwise if named is None else zone_of(named)
        if zone is None:
            raise ValueError(f"no time: the column {self.zone} holds no time zone such as Europe/Paris")
        at_us = moment(said, self.time_format, zone)
        if at_us is None:
            raise ValueError(f"no time: the column {self.time} holds none that can be read, see --time-format")
        return at_us

    def _ms_played(self, cell: Cell) -> int | None:
        said, read, theirs = self._known(cell, "ms_played"), number, self.ms_played
        if said is None:
            said, read, theirs = self._known(cell, "seconds_played"), seconds, self.seconds_played
        if said is None:
            return None
        found = read(said)
        ms_played = whole(found if found is None or read is number else found * 1000)
        if ms_played is None:
            raise ValueError(f"no length: the column {theirs} holds none")
        return ms_played

    def _times(self, cell: Cell) -> int:
        said = self._known(cell, "times")
        times = 1.0 if said is None else number(said)
        if times is None or not times.is_integer() or times < 1:
            raise ValueError(f"no count: the column {self.times} holds no whole number from 1")
        return int(times)

    def _opinion(self, event: Event, act: Act, cell: Cell) -> tuple[Event, ...]:
        """A yes is said of both, like and dislike; a no only of the one that was asked for."""
        value = None if act.taken_back else self._value(cell, lowest=-1 if act.kind == "like" else 0)
        if value == 0:
            return (event._replace(value=0.0),)
        liked = act.kind == "like" and (value is None or value > 0)
        like, dislike = (None, None) if act.taken_back else (float(liked), float(not liked))
        return event._replace(kind="like", value=like), event._replace(kind="dislike", value=dislike)

    def _rating(self, cell: Cell) -> float:
        rating = number(self._known(cell, "value"))
        if rating is None or not min(self.worst, self.best) <= rating <= max(self.worst, self.best):
            scale = f"{self.worst:g} (--worst) to {self.best:g} (--best)"
            raise ValueError(f"no rating: the column {self.value} holds no number from {scale}")
        return (rating - self.worst) / (self.best - self.worst)

    def _worded(self, event: Event, cell: Cell) -> tuple[Event, ...]:
        """A feeling, tags, or the words of a comment."""
        said = cell(self._columns["word"])
        if event.kind == "comment":
            words = words_of(as_text(said) or "")
        elif event.kind == "tag":
            words = several(said, longest=LONGEST_WORD)
        else:
            felt = (as_name(known(said)) or "").lower()
            words = (felt,) if 0 < len(felt) <= LONGEST_WORD else ()
            value = self._value(cell)
            event = event._replace(value=1.0 if value is None else value)
        if not words:
            raise ValueError(f"no word: the column {self.word} holds none that is kept")
        return tuple(event._replace(word=word) for word in words)

    def _value(self, cell: Cell, lowest: float = 0) -> float | None:
        said = self._known(cell, "value")
        value = share(said)
        if said is not None and (value is None or not lowest <= value <= 1):
            raise ValueError(f"no value: the column {self.value} holds neither yes nor no, nor a number to 1")
        return value

    def _check(self, part: Part, there: Sequence[str]) -> None:
        """Raise where a table cannot say which song a row is about, or lacks a column that was asked for."""
        of = self._columns
        has = columns_of(there, set(of.values()))
        asked = [
            entry.name for entry in fields(self) if entry.name in of and getattr(self, entry.name) != entry.default
        ]
        if missing := [getattr(self, ours) for ours in asked if of[ours] not in there]:
            raise FeedbackError(f"{part.name} has no column {', '.join(missing)}; it has {has}.")
        if {of["song"], of["track_id"], of["isrc"]} & set(there) or {of["title"], of["artist"]} <= set(there):
            return
        raise FeedbackError(
            f"{part.name} does not say which song a row is about: it has neither a column {self.song}, {self.track_id} "
            f"or {self.isrc} nor both {self.title} and {self.artist}. It has {has}. Say which is which, for "
            'instance --title "Track name" --artist "Artist name".'
        )

    @cached_property
    def _columns(self) -> dict[str, str]:
        """What each column is called, as it is compared."""
        ours = (entry.name for entry in fields(self) if entry.metadata.get("column"))
        return {each: getattr(self, each).strip().casefold() for each in ours}

    @cached_property
    def _otherwise(self) -> tzinfo:
        """The time zone of what names none."""
        return timezone(timedelta(hours=self.utc_offset_hours)) if self.utc_offset_hours else UTC

    @cached_property
    def _acts(self) -> dict[str, Act]:
        return dict(acts_with(self.events))


@dataclass(frozen=True)
class TidalHistory(TableHistory):
    """Tidal's streaming.csv; or another table of Tidal plays, if you say which column is which.

    Read are artist_name, track_title, entry_date (08/03/2022 19:01: the day first, to the minute, when it began),
    stream_duration_ms, product_type (only TRACK is a song) and time_zone (America/Toronto, or null), and nothing of the
    listener's address and place: so ListenBrainz's importer and its sample have it. That times without a zone are UTC
    is assumed, there too. There is no ISRC, no album, and no word on why a play ended.
    """

    name: ClassVar[str] = "tidal"
    expects: ClassVar[str] = "streaming.csv of the data that Tidal gives out to a listener, or a table of yours."

    service: str = field(default="tidal", metadata={"help": "Where it happened."})  # type: ignore[misc]
    time: str = column("when it happened", "entry_date")
    zone: str = column("each row's time zone, such as Europe/Paris", "time_zone")
    title: str = column("the song's title", "track_title")
    artist: str = column("the song's artist", "artist_name")
    ms_played: str = column("how long it sounded, in milliseconds", "stream_duration_ms")
    time_format: str = field(default="%d/%m/%Y %H:%M", metadata={"help": "How times are written."})

    def unfit(self, cell: Cell) -> str | None:
        """Why a row is refused whatever else it says: it is no song."""
        kind = as_name(known(cell("product_type"))) or "TRACK"
        return None if kind.upper() == "TRACK" else "no song: its product_type is not TRACK"


@lru_cache(maxsize=65_536)
def _song(
    service: str,
    own: str | None,
    track_id: str | None,
    isrc: str | None,
    title: str | None,
    artist: str | None,
    album: str | None,
    duration_s: float | None,
) -> Song:
    key = own or track_id or isrc or named_key(title, artist)
    return Song(service, key, title, artist, album, isrc, duration_s, track_id)


@lru_cache(maxsize=65_536)
def _about(age: str | None, gender: str | None, country: str | None, language: str | None) -> About | None:
    years = number(age)
    about = About(
        int(years) if years is not None and 0 < years < 120 else None,
        gender,
        country.upper() if country and len(country) == 2 and country.isalpha() else None,
        language,
    )
    return about if any(about) else None
