"""The door: rows of a source in, judged and hashed, into the store.

Everything goes in batches, so that memory does not grow with the history. Per batch: songs get their numbers, Great
Expectations judges, rows that break a critical rule are refused with its reason, listeners' names become keyed hashes,
and what is new is stored in one transaction. Names end here.

When a file is through, the days that it touched are looked at as a whole, whoever imported what: a listener's day that
no human being can have is flagged with the rule's name.
"""

import csv
import hashlib
import re
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, fields
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from earmark.errors import FeedbackError
from earmark.feedback.event import About, Event, Song
from earmark.feedback.identity import ANYWHERE, NOBODY, UNDATED, ListenerKey, event_ids, song_id, word_id
from earmark.feedback.judged import Judge, event_table, listening_table
from earmark.feedback.sources.reading import Part
from earmark.feedback.sources.source import FeedbackSource, Refused, Row
from earmark.feedback.sources.words import names_somebody
from earmark.feedback.store import Attributes, Batch, Store
from earmark.feedback.tracks import Tracks
from earmark.progress import progress

BATCH = 50_000  # events
_SETTLED = 1_000_000  # events, after which files count as done, once their days are judged
_DAY_US = 86_400_000_000
_CACHED = 200_000  # songs, listeners and words that are remembered; beyond that they are found out again
_MOST = 2.0**62  # what no count, length or time reaches that the rules let through
FORGOTTEN = "the listener was forgotten"
_NAMING = "no word: it is an address, or a name that could be the listener's"
# Of gender, country and language what a word or a code can be; other texts could say who somebody is.
_COARSE_WORD = re.compile(r"\d|[^\W\d_][^\d@＠]{0,19}")
_MINUTE_US = 60_000_000
COARSE = {"spotify-short": ("spotify", _MINUTE_US)}  # source that tells the minute → the one that tells all, in µs
_SCROBBLES = ("audioscrobbler", "lastfm")  # tools for these tell one scrobble to the second or to the minute

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


@dataclass
class Imported:
    """What an import did, in numbers that add up: rows = told + refused, events = new + known.

    Attributes:
        rows: Read.
        told: Rows that were taken.
        events: That they told.
        new: Of these, not in the store before (or a state that changed).
        of_tracks: Of these events, with a song that is a track of the catalogue in use.
        superseded: Removed again, because a more exact export tells the same.
        refused: Rows by reason.
        parts: Files that were read.
        before: Files that had been imported to their end before, and were passed over.
        flagged: Days of a listener by broken rule, among the days that this import touched.
    """

    rows: int = 0
    told: int = 0
    events: int = 0
    new: int = 0
    of_tracks: int = 0
    superseded: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    parts: int = 0
    before: int = 0
    flagged: Counter[str] = field(default_factory=Counter)

    def counts(self) -> dict[str, Any]:
        """As plain numbers."""
        plain = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        return plain | {"refused": dict(self.refused), "flagged": dict(self.flagged)}


@dataclass(frozen=True)
class Importer:
    """Everything an import needs besides its source.

    Attributes:
        store: Where it goes.
        key: For listeners' names.
        judge: Great Expectations, by the rules of expectations.yaml.
        now_us: The time now, in microseconds since 1970 UTC.
        tracks: What finds the track that a song is, in the catalogue in use.
        listener: What the team calls the listener whose export it is, or None.
        whose: By what the user says that, for messages.
    """

    store: Store
    key: ListenerKey
    judge: Judge
    now_us: int
    tracks: Tracks
    listener: str | None = None
    whose: str = "--listener NAME"

    def run(self, source: FeedbackSource, refusals: Path, *, again: bool = False) -> Imported:
        """Read all of ``source`` into the store.

        Args:
            source: What to read.
            refusals: Gets every refused row with its reason, as CSV.
            again: Read files, too, that were imported to their end before.

        Raises:
            FeedbackError: The source is not what it should be, or names no listener, or the store cannot be used. What
                was stored before stays; doing it again adds the rest. Of a file that cannot be read to its end the rows
                before are stored, and so are all other files, before the error is raised.
        """
        if self.listener is not None and source.tells_listener:
            raise FeedbackError(
                f"The rows of {source.name} name their listeners, and {self.whose} would make all of them one. Leave "
                "it out."
            )
        if self.listener is not None and not self.listener.strip():
            raise FeedbackError(f"The name in {self.whose} is empty, and all who are called so would be one. Say one.")
        result = Imported()
        with ExitStack() as stack:
            door = _Door(self, source, result, _Refusals(refusals, stack, result))
            parts = source.files()
            read: list[str] = []
            broken: list[FeedbackError] = []
            for part, digest in zip(parts, self._digests(source, parts), strict=True):
                if not again and self.store.finished(digest):
                    result.before += 1
                    continue
                before = len(broken)
                door.take(progress(_readable(source, part, broken), description=part.label[-40:], unit="row"))
                if len(broken) > before:
                    continue
                result.parts += 1
                read.append(digest)
                if door.stored >= _SETTLED:
                    self._settle(source, door, read, result)
                    read = []
            self._settle(source, door, read, result)
            if broken:
                raise broken[0]
        return result

    def _settle(self, source: FeedbackSource, door: "_Door", read: list[str], result: Imported) -> None:
        """Store what waits, judge the days that were touched, and only then remember which files are done."""
        door.store()
        result.superseded += self._supersede(source, door.listeners)
        self.flag(door.days, result.flagged)
        for digest in read:
            self.store.finish(digest, source.name, self.now_us, result.counts())
        door.days, door.listeners, door.stored = set(), set(), 0

    def flag(self, days: Iterable[int], counted: Counter[str] | None = None) -> None:
        """Judge what every listener did on each of ``days``, and keep in the store who broke which rule."""
        left = set(days)
        while left:
            late: set[int] = set()
            for versions, rows in self.store.listening(left):
                told, flags = self._judged(listening_table(rows))
                changed = self.store.flag(versions, flags)
                late.update(changed)
                if counted is not None:
                    counted.update(rule for day, rule in told if day not in changed)
            left = late

    def _judged(self, table: Any) -> tuple[list[tuple[int, str]], list[tuple[int, int, str]]]:
        """Day and rule of all that is broken; and of what is flagged for it day, listener and rule."""
        told: list[tuple[int, str]] = []
        flags: list[tuple[int, int, str]] = []
        for verdict in self.judge("listening", table):
            broken = table.iloc[verdict.rows]
            days, listeners = broken["day_number"].tolist(), broken["listener"].tolist()
            told += [(day, verdict.rule) for day in days]
            if verdict.severity == "critical":
                flags += [(day, who, verdict.rule) for day, who in zip(days, listeners, strict=True)]
        return told, flags

    def _supersede(self, source: FeedbackSource, listeners: set[int]) -> int:
        removed = 0
        for coarse, (exact, resolution_us) in COARSE.items():
            if source.name == coarse or (source.name == exact and self.store.has_source(coarse)):
                removed += self.store.supersede(coarse, exact, listeners, resolution_us)
        if source.name in _SCROBBLES:
            removed += self.store.supersede_rounded(_SCROBBLES, listeners, _MINUTE_US)
        return removed

    def _digests(self, source: FeedbackSource, parts: list[Part]) -> list[str]:
        """Of all that decides what each file tells."""
        options = [f"{entry.name}={getattr(source, entry.name)!r}" for entry in fields(source) if entry.name != "path"]
        who = self.key.id_of("", self.listener) if self.listener else NOBODY
        given = "\0".join([source.name, str(who), self.key.fingerprint, *options])
        own = [_digest(part) for part in parts]
        whole = ["".join(own) if source.belong_together else ""] * len(parts)
        return [_text_digest("\0".join((given, *pair))) for pair in zip(own, whole, strict=True)]


def _readable(source: FeedbackSource, part: Part, broken: list[FeedbackError]) -> Iterator[Row]:
    """The rows of a file up to where it cannot be read, if so; why not, comes into ``broken``."""
    try:
        yield from source.rows(part)
    except FeedbackError as error:
        broken.append(error)


class _Refusals:
    """Every refused row, in a file that is made when there is one; and how many of each reason."""

    def __init__(self, path: Path, stack: ExitStack, result: Imported) -> None:
        self._path, self._stack, self._result = path, stack, result
        self._rows: Any = None

    def add(self, where: str, reason: str) -> None:
        if self._rows is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            file = self._stack.enter_context(self._path.open("w", encoding="utf-8", errors="replace", newline=""))
            self._rows = csv.writer(file, lineterminator="\n")
            self._rows.writerow(("where", "reason"))
        self._rows.writerow((where, reason))
        self._result.refused[reason.split(":", 1)[0]] += 1


class _Door:
    """One file on its way through."""

    def __init__(self, importer: Importer, source: FeedbackSource, result: Imported, refused: _Refusals) -> None:
        self._importer, self._source, self._result, self._refused = importer, source, result, refused
        self._songs = _Cache[Song, tuple[int, int, int]](self._song)
        self._names = _Cache[str, int](lambda name: importer.key.id_of(source.service, name))
        self._anywhere = _Cache[str, int](lambda name: importer.key.id_of(ANYWHERE, name))
        self._words = _Cache[str, int](word_id)
        self._naming = _Cache[str, bool](names_somebody)
        self._named: set[str] = set()
        self._own = None if importer.listener is None else importer.key.id_of("", importer.listener)
        self._forgotten: frozenset[int] = frozenset()
        self.days: set[int] = set()
        self.listeners: set[int] = set()
        self.stored = 0  # events
        self._events: list[Event] = []
        self._owners: list[int] = []  # which row an event comes from

    def take(self, rows: Iterable[Row]) -> None:
        """All of ``rows``; the last of them wait until there are enough, or until `store` is called."""
        events, owners, number = self._events, self._owners, self._result.rows
        for row in rows:
            number += 1
            if type(row) is Event:
                events.append(row)
                owners.append(number)
            elif type(row) is Refused:
                self._refused.add(*row)
            elif not row:
                self._refused.add(f"row {number}", "it tells nothing")
            else:
                events += row  # type: ignore[arg-type]
                owners += [number] * len(row)
            if len(events) >= BATCH:
                self.store()
        self._result.rows = number

    def store(self) -> None:
        """What waits."""
        self._batch(self._events, self._owners)
        self._events.clear()
        self._owners.clear()

    def _batch(self, events: list[Event], owners: list[int]) -> None:
        if not events:
            return
        self._forgotten = self._importer.store.forgotten()  # each time: it may have been a moment ago
        columns: Any = Event._make(zip(*events, strict=True))  # each field now holds those of all events
        songs = [self._songs[song] for song in columns.song]
        listeners = self._listener_ids(columns.listener, events)
        numbers = np.array(songs, dtype=np.int64)
        at_us, ms_played, values = (_floats(getattr(columns, name)) for name in ("at_us", "ms_played", "value"))
        times = _whole(_floats(columns.times))
        with np.errstate(all="ignore"):  # whatever is divided by nothing, the rules refuse
            table = event_table(
                columns.kind,
                at_us,
                ms_played,
                _floats([song.duration_s for song in columns.song]),
                values,
                times,
                _floats([None if word is None else len(word) for word in columns.word]),
                numbers[:, 1],
                numbers[:, 2],
                self._importer.now_us,
            )
        verdicts = self._importer.judge("events", table)
        unfit: dict[int, str] = {}
        for place in np.flatnonzero(np.isin(listeners, list(self._forgotten))) if self._forgotten else ():
            unfit.setdefault(owners[place], FORGOTTEN)
        for verdict in verdicts:
            if verdict.severity == "critical":
                for place, reason in zip(verdict.rows, verdict.reasons, strict=True):
                    unfit.setdefault(owners[place], f"{verdict.rule}: {reason}")
        naming = self._naming_places(columns)
        if naming:  # these words go; a row that says nothing else is refused
            left = Counter(owners) - Counter(owners[place] for place in naming)
            for owner in {owners[place] for place in naming}.difference(left):
                unfit.setdefault(owner, _NAMING)
        where = dict(zip(reversed(owners), reversed(columns.where), strict=True)) if unfit else {}
        for owner, reason in sorted(unfit.items()):
            self._refused.add(where[owner], reason)
        fit = np.array([owner not in unfit for owner in owners]) if unfit else np.ones(len(owners), dtype=bool)
        fit[naming] = False
        self._result.told += len(set(owners)) - len(unfit)
        self._result.events += int(fit.sum())
        self._result.of_tracks += int(numbers[fit, 2].sum())
        self._store(columns, listeners, numbers[:, 0], at_us, ms_played, values, times, fit)

    def _store(
        self,
        columns: Any,
        listeners: Any,
        songs: Any,
        at_us: Any,
        ms_played: Any,
        values: Any,
        times: Any,
        fit: Any,
    ) -> None:
        whole_us, whole_ms = _whole(at_us), _whole(ms_played)
        words = np.array([0 if word is None else self._words[word] for word in columns.word])
        ids = event_ids(listeners, songs, columns.kind, whole_us, whole_ms, values, words)
        days = np.where(whole_us < 0, UNDATED, whole_us // _DAY_US)
        fitting = np.flatnonzero(fit)
        places, most, last = (fitting[each] for each in _settled(ids[fitting], days[fitting], times[fitting]))
        known: dict[int, Song] = {}
        for song in dict.fromkeys(columns.song[place] for place in fitting):
            number = self._songs[song][0]
            known[number] = Song._make(_filled(known.get(number, song), song))
        told: dict[int, Attributes] = {}
        for place, about in enumerate(columns.about):
            if about is not None and fit[place] and listeners[place] != NOBODY:
                said = _attributes(about)
                told[int(listeners[place])] = _filled(said, told.get(int(listeners[place]), said))

        def picked(column: Any, chosen: Any = places) -> list[Any]:
            return [column[place] for place in chosen.tolist()]

        batch = Batch(
            {
                "day": days[places].tolist(),
                "event_id": ids[places].tolist(),
                "at_us": picked(columns.at_us),
                "listener_id": listeners[places].tolist(),
                "song_id": songs[places].tolist(),
                "source": [self._source.name] * len(places),
                "kind": picked(columns.kind),
                "ms_played": picked(columns.ms_played, most),
                "value": picked(columns.value, last),
                "word": picked(columns.word),
                "times": times[most].tolist(),
                "started": picked(columns.started),
                "ended": picked(columns.ended),
            },
            known,
            told,
        )
        self._result.new += self._importer.store.add(batch)
        self.days.update(np.unique(days[places]).tolist())
        self.listeners.update(np.unique(listeners[places]).tolist())
        self.stored += len(places)

    def _listener_ids(self, names: Any, events: list[Event]) -> Any:
        if self._own is not None:
            self._named.update(name for name in set(names) if name is not None)
            if len(self._named) > 1:
                raise FeedbackError(
                    f"The rows of {self._source.name} name more than one listener, and {self._importer.whose} would "
                    "make all of them one. Leave it out."
                )
            gone = self._forgotten.intersection(self._anywhere[name] for name in self._named)
            return np.full(len(names), min(gone, default=self._own))
        if not self._source.anonymous and None in names:
            where = events[names.index(None)].where
            raise FeedbackError(
                f"{where} does not say who listened. Say whose export it is, by {self._importer.whose} (any name that "
                "you will use for the same person again; only its keyed hash is kept)."
            )
        return np.array([NOBODY if name is None else self._number(name) for name in names], dtype=np.int64)

    def _naming_places(self, columns: Any) -> list[int]:
        """Of which events the word could say who somebody is: an address, or the listener's own name."""
        own = self._importer.listener or ""
        return [
            place
            for place, word in enumerate(columns.word)
            if word and (self._naming[word] or _same(word, own) or _same(word, columns.listener[place] or ""))
        ]

    def _number(self, name: str) -> int:
        """A listener's number; of who was forgotten the one under which that is known at every service."""
        anywhere = self._anywhere[name] if self._forgotten else NOBODY
        return anywhere if anywhere in self._forgotten else self._names[name]

    def _song(self, song: Song) -> tuple[int, int, int]:
        """Its number; whether it can be told which song it is; whether it is a track of the catalogue."""
        named = song.isrc or song.track_id or (song.title and song.artist) or self._source.names_later
        return song_id(song), int(bool(named)), int(self._importer.tracks.find(song) is not None)


def _settled(ids: Any, days: Any, times: Any) -> tuple[Any, Any, Any]:
    """What stands for all events of one number, as if they came one after the other; all of shape ``(events,)``.

    Returns:
        For each number the place of its first event, of that which counts most, and of the last one. What has a time
        stays as it is: there all three are the first.
    """
    numbers, first = np.unique(ids, return_index=True)
    if len(numbers) == len(ids):
        return first, first, first
    by_times = np.lexsort((-times, ids))
    most = by_times[np.searchsorted(ids[by_times], numbers)]
    last = len(ids) - 1 - np.unique(ids[::-1], return_index=True)[1]
    state = days[first] == UNDATED
    return first, np.where(state, most, first), np.where(state, last, first)


def _filled(known: tuple[Any, ...], more: tuple[Any, ...]) -> tuple[Any, ...]:
    """What is ``known``, and what ``more`` says where that says nothing."""
    return tuple(b if a is None else a for a, b in zip(known, more, strict=True))


class _Cache(dict[K, V]):
    """What was found out, by what it was found out of; emptied when it has grown large."""

    def __init__(self, find: Callable[[K], V]) -> None:
        super().__init__()
        self._find = find

    def __missing__(self, key: K) -> V:
        if len(self) >= _CACHED:
            self.clear()
        self[key] = found = self._find(key)
        return found


def _text_digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _digest(part: Part) -> str:
    digest = hashlib.blake2b(f"{part.label}\0".encode("utf-8", "surrogateescape"), digest_size=16)
    with part.open() as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _same(word: str, name: str) -> bool:
    return word.strip().casefold() == name.strip().casefold()


@lru_cache(maxsize=4_096)
def _attributes(about: About) -> Attributes:
    band = None if about.age is None else f"{about.age // 10 * 10}–{about.age // 10 * 10 + 9}"
    gender, country, language = (
        said if said and _COARSE_WORD.fullmatch(said) else None
        for said in (about.gender, about.country, about.language)
    )
    return band, gender, country, language


def _whole(values: Any) -> Any:
    """As integers that a column holds, -1 where nothing is known."""
    return np.clip(np.where(np.isnan(values), -1, values), -_MOST, _MOST).astype(np.int64)


def _floats(values: Iterable[Any]) -> Any:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)
