"""The store of feedback: events, songs and listeners' coarse attributes, in SQLite or PostgreSQL.

Everything is written in batches, a transaction each, that may be repeated: what is there already stays once. So an
import that was killed, a server that was, or a lost connection costs nothing but doing the batch again. Several
writers may work at once: all touch rows in the same order, so they wait for each other and do not lock each other up.
"""

import functools
import itertools
import json
import secrets
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa
import sqlalchemy as sa

from earmark.errors import FeedbackError
from earmark.feedback.event import Song
from earmark.feedback.identity import NOBODY, UNDATED, ListenerKey
from earmark.feedback.snapshot import EVENT_SCHEMA, FLAG_SCHEMA, LISTENER_SCHEMA, SONG_SCHEMA
from earmark.feedback.tables import (
    ABOUT,
    DAYS,
    EVENTS,
    FLAGS,
    FORGOTTEN,
    IMPORTS,
    LISTENERS,
    SONGS,
    VERSION,
    address,
    connect,
    shown,
    unreachable,
)

_WAITS_S = (0.2, 0.5, 1, 2, 4, 8, 15, 30)  # between tries while the server restarts
_PASSING = ("40001", "40P01", "55P03", "57P01", "57P02", "57P03", "53300")  # of PostgreSQL: try again
_CHUNK = 200_000  # rows
_FORMER = "former key "  # how entries begin of keys that were in use before
_LONGEST_STEP = 1 << 32  # between two versions of a day
_LISTENING = ("day", "listener_id", "at_us", "song_id", "times", "ms_played")

Attributes = tuple[str | None, str | None, str | None, str | None]  # age, gender, country, language
T = TypeVar("T")


@dataclass(frozen=True)
class Batch:
    """What one transaction adds.

    Attributes:
        events: Columns of the events' table, lists of equal length, each event once.
        songs: By number; those that the store may lack.
        listeners: By number: what is known of them; only where something is.
    """

    events: Mapping[str, list[Any]]
    songs: Mapping[int, Song] = field(default_factory=dict)
    listeners: Mapping[int, Attributes] = field(default_factory=dict)


@dataclass(frozen=True)
class Forgotten:
    """What `Store.forget` has removed.

    Attributes:
        events, days: How many events, and on how many days.
        wiped: Whether no byte of them is left in SQLite's files; if not, somebody else was using these.
    """

    events: int
    days: int
    wiped: bool


class Store:
    """One store. Use it as a context manager, or `close` it.

    Args:
        url: As `earmark.feedback.tables.connect` takes it.
        name: Of a new store, by which snapshots know it; one of chance by default. Where one is given, nothing else is
            left to chance either, so that the same imports make the same snapshot.
    """

    def __init__(self, url: str, name: str | None = None) -> None:
        self.engine = connect(url)
        self._writing = self.engine.execution_options(writes=True)
        self._known: dict[int, int] = {}  # numbers of songs that are there, and hashes of what is known of them
        self._seen: dict[int, Attributes] = {}
        self._knew: frozenset[int] | None = None  # who was forgotten when somebody last asked
        self._counting = name is not None
        self.name = self._about("store", name or secrets.token_hex(8))
        if (version := self._about("version", VERSION)) != VERSION:
            raise FeedbackError(
                f"The store of feedback {shown(self.engine)} is of version {version}, this earmark "
                f"writes {VERSION}. Use the earmark that made it, or another store."
            )

    @classmethod
    def of(cls, root: Path) -> "Store":
        """The store of a project."""
        return cls(address(root))

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give back all connections."""
        self.engine.dispose()

    # What is written.

    def use_key(self, key: ListenerKey, *, renew: bool = False) -> None:
        """Raise where listeners here were hashed under another key.

        Args:
            key: With which the next ones are.
            renew: Go on with this key anyhow: who was here before becomes somebody new.

        Raises:
            FeedbackError: It is another one, and ``renew`` is false.
        """
        there = self._about("key", key.fingerprint)
        if there == key.fingerprint:
            return
        if not renew:
            raise FeedbackError(
                f"The listeners in this store were hashed under another key ({there}) than the one that is set now "
                f"({key.fingerprint}). With it, everybody would be counted twice. Put the old key back. If it is lost, "
                "nothing else is: say --new-key, import only what is newer than what is here, and forget anew whom "
                "you have forgotten."
            )

        def work(connection: sa.Connection) -> None:
            _insert(connection, ABOUT, {"name": [f"{_FORMER}{there}"], "content": [there]}, "DO NOTHING")
            connection.execute(sa.update(ABOUT).where(ABOUT.c.name == "key").values(content=key.fingerprint))

        self._commit(work)

    def add(self, batch: Batch) -> int:
        """Store what is new of ``batch``, all or nothing.

        Returns:
            How many events were new, or changed a state (a like that was a dislike, a play count that has grown).

        Raises:
            FeedbackError: One of the listeners is forgotten, or the store cannot be used.
        """
        songs = {number: song for number, song in batch.songs.items() if self._known.get(number) != hash(song)}
        listeners = {number: known for number, known in batch.listeners.items() if self._seen.get(number) != known}
        events = _sorted(batch.events)
        theirs = {*events["listener_id"], *listeners}

        def work(connection: sa.Connection) -> int:
            _agree(connection, "ROW SHARE")
            forgotten = set(connection.scalars(sa.select(FORGOTTEN.c.listener_id)))
            # Who was forgotten since may stand here under the number of a service that the store does not know yet.
            if not theirs.isdisjoint(forgotten) or (self._knew is not None and not forgotten <= self._knew):
                raise FeedbackError(
                    "While this import was running, a listener, perhaps one of its own, was forgotten. The same "
                    "command again goes on without."
                )
            if songs:
                _insert(connection, SONGS, _song_columns(songs), _SONG_CONFLICT)
            if listeners:
                _insert(connection, LISTENERS, _listener_columns(listeners), _LISTENER_CONFLICT)
            added = _insert(connection, EVENTS, events, _EVENT_CONFLICT) if events["day"] else 0
            if added:
                self._change(connection, sorted(set(events["day"])))
            return added

        added = self._commit(work)
        if len(self._known) > 1_000_000:  # memory stays flat; to write a song again costs little
            self._known.clear()
        if len(self._seen) > 200_000:
            self._seen.clear()
        self._known.update({number: hash(song) for number, song in songs.items()})
        self._seen.update(listeners)
        return added

    def supersede(self, coarse: str, exact: str, listeners: Iterable[int], resolution_us: int) -> int:
        """Remove what ``exact`` tells too, and to the second: plays of the source ``coarse`` by these ``listeners``.

        The two tell one play where a song of the same title sounded equally long within ``resolution_us`` from the
        coarse time on. Artists are not compared: one of the two may name the album's instead, "Various Artists".

        Returns:
            How many were removed.
        """
        fine, theirs, ours = EVENTS.alias(), SONGS.alias(), SONGS.alias()
        same = (
            sa.select(sa.literal(1))
            .select_from(fine.join(theirs, theirs.c.song_id == fine.c.song_id))
            .join(ours, ours.c.song_id == EVENTS.c.song_id)
            .where(
                fine.c.day.in_([EVENTS.c.day, EVENTS.c.day + 1]),
                fine.c.at_us >= EVENTS.c.at_us,
                fine.c.at_us < EVENTS.c.at_us + resolution_us,
                fine.c.listener_id == EVENTS.c.listener_id,
                fine.c.source == exact,
                fine.c.ms_played == EVENTS.c.ms_played,
                theirs.c.title == ours.c.title,
            )
        )
        known = sa.select(EVENTS.c.listener_id).where(EVENTS.c.source == coarse).distinct()
        wanted = set(listeners)

        def work(connection: sa.Connection) -> int:
            days: set[int] = set()
            removed = 0
            for chunk in _chunks(sorted(wanted.intersection(connection.scalars(known))), 5_000):
                chosen = EVENTS.c.source == coarse, EVENTS.c.listener_id.in_(chunk), sa.exists(same)
                if touched := connection.scalars(sa.select(EVENTS.c.day).where(*chosen).distinct()).all():
                    days.update(touched)
                    removed += connection.execute(sa.delete(EVENTS).where(*chosen)).rowcount
            if days:
                self._change(connection, sorted(days))
            return removed

        return self._commit(work)

    def supersede_rounded(self, sources: Sequence[str], listeners: Iterable[int], resolution_us: int) -> int:
        """Remove what ``sources`` tell of these ``listeners`` with a rounded-down time, where they tell it exactly too.

        An event at a whole ``resolution_us`` is told exactly by another one of the same kind and song that follows
        within ``resolution_us``.

        Returns:
            How many were removed.
        """
        asked = [EVENTS.c[name] for name in ("listener_id", "song_id", "kind", "at_us", "day", "event_id")]
        gone = sa.delete(EVENTS).where(EVENTS.c.day == sa.bindparam("on"), EVENTS.c.event_id == sa.bindparam("number"))
        chunks = list(_chunks(sorted(listeners), 500))

        def work(connection: sa.Connection) -> int:
            rounded: list[tuple[int, int]] = []
            for chunk in chunks:
                theirs = sa.select(*asked).where(
                    EVENTS.c.source.in_(sources), EVENTS.c.listener_id.in_(chunk), EVENTS.c.day != UNDATED
                )
                rows = sorted(row._tuple() for row in connection.execute(theirs))
                for (*one, at_us, day, number), (*other, later_us, _, _) in itertools.pairwise(rows):
                    if one == other and at_us % resolution_us == 0 and 0 < later_us - at_us < resolution_us:
                        rounded.append((day, number))
            if rounded:
                connection.execute(gone, [{"on": day, "number": number} for day, number in sorted(rounded)])
                self._change(connection, sorted({day for day, _ in rounded}))
            return len(rounded)

        return self._commit(work)

    def forget(self, listeners: Sequence[int], now_us: int) -> Forgotten:
        """Remove all that ``listeners`` did; and refuse it from now on, whoever imports it again."""

        def work(connection: sa.Connection) -> tuple[int, int]:
            _agree(connection, "EXCLUSIVE")
            theirs = EVENTS.c.listener_id.in_(listeners)
            days = connection.scalars(sa.select(EVENTS.c.day).where(theirs).distinct().order_by(EVENTS.c.day)).all()
            removed = connection.execute(sa.delete(EVENTS).where(theirs)).rowcount
            connection.execute(sa.delete(FLAGS).where(FLAGS.c.listener_id.in_(listeners)))
            connection.execute(sa.delete(LISTENERS).where(LISTENERS.c.listener_id.in_(listeners)))
            if days:
                self._change(connection, days)
            marks = {"listener_id": list(listeners), "at_us": [now_us] * len(listeners)}
            _insert(connection, FORGOTTEN, marks, "DO NOTHING")
            return int(removed), len(days)

        self._seen.clear()
        events, days = self._commit(work)
        return Forgotten(events, days, self._wipe())

    def _wipe(self) -> bool:
        """Let no byte of what was removed stay in SQLite's files. Returns whether none does.

        The file is written anew, because ``secure_delete`` leaves some where it had moved rows before; then the log
        begins anew, for which it waits until nobody reads.
        """
        if self.engine.dialect.name != "sqlite":
            return True
        connection = self.engine.raw_connection()
        try:
            cursor = connection.cursor()
            cursor.execute("VACUUM")
            (busy, *_) = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            return not busy
        except sqlite3.OperationalError:  # somebody else has it, or the disk is full
            return False
        finally:
            connection.close()

    def readmit(self, listeners: Sequence[int]) -> int:
        """Let ``listeners`` who were forgotten be imported again. Returns how many had been."""
        gone = sa.delete(FORGOTTEN).where(FORGOTTEN.c.listener_id.in_(listeners))
        return self._commit(lambda connection: int(connection.execute(gone).rowcount))

    def flag(self, judged: Mapping[int, int], flags: Sequence[tuple[int, int, str]]) -> list[int]:
        """Let ``flags`` (day, listener, rule) take the place of those of the days ``judged``, each with its version.

        Returns:
            The days that have changed since, by another import. Their flags stay as they are: judge these days again.
        """

        def work(connection: sa.Connection) -> list[int]:
            _agree(connection, "ROW SHARE")
            there: set[tuple[int, int, str]] = set()
            late: list[int] = []
            for chunk in _chunks(sorted(judged), 5_000):
                # Locked, so that nobody flags by what is newer before this is through.
                known = sa.select(DAYS.c.day, DAYS.c.version).where(DAYS.c.day.in_(chunk)).order_by(DAYS.c.day)
                late += [day for day, version in connection.execute(known.with_for_update()) if judged[day] != version]
                there |= {row._tuple() for row in connection.execute(sa.select(FLAGS).where(FLAGS.c.day.in_(chunk)))}
            fresh = {flag for flag in flags if flag[0] in judged}
            changed = {day for day, _, _ in there ^ fresh}.difference(late)
            if not changed:
                return late
            for chunk in _chunks(sorted(changed), 5_000):
                connection.execute(sa.delete(FLAGS).where(FLAGS.c.day.in_(chunk)))
            rows = sorted(flag for flag in fresh if flag[0] in changed)
            if rows:
                columns: dict[str, list[Any]] = dict(
                    zip(("day", "listener_id", "rule"), map(list, zip(*rows, strict=True)), strict=True)
                )
                _insert(connection, FLAGS, columns, "DO NOTHING")
            self._change(connection, sorted(changed))
            return late

        return self._commit(work)

    def finish(self, digest: str, source: str, now_us: int, counts: Mapping[str, Any]) -> None:
        """Remember that a file was imported to its end."""
        row = {"digest": digest, "source": source, "finished_us": now_us, "counts": json.dumps(counts)}
        columns = {name: [value] for name, value in row.items()}
        conflict = "(digest) DO UPDATE SET finished_us = excluded.finished_us, counts = excluded.counts"
        self._commit(lambda connection: _insert(connection, IMPORTS, columns, conflict))

    # What is read.

    def finished(self, digest: str) -> bool:
        """Whether that file was imported to its end before."""
        query = sa.select(IMPORTS.c.digest).where(IMPORTS.c.digest == digest)
        return self._read(lambda connection: connection.scalar(query)) is not None

    def forgotten(self) -> frozenset[int]:
        """Listeners of whom nothing may be stored."""
        query = sa.select(FORGOTTEN.c.listener_id)
        self._knew = self._read(lambda connection: frozenset(connection.scalars(query)))
        return self._knew

    def former_keys(self) -> list[str]:
        """Fingerprints of the keys under which listeners here were hashed before the present one."""
        query = sa.select(ABOUT.c.content).where(ABOUT.c.name.startswith(_FORMER))
        return self._read(lambda connection: sorted(connection.scalars(query)))

    def counts(self) -> dict[str, int]:
        """How many ``events`` and ``songs`` there are, ``people`` who did something, and ``days`` with events."""
        people, days = (sa.select(column).distinct() for column in (EVENTS.c.listener_id, EVENTS.c.day))
        asked = {
            "events": EVENTS,
            "songs": SONGS,
            "people": people.where(EVENTS.c.listener_id != NOBODY).subquery(),
            "days": days.where(EVENTS.c.day != UNDATED).subquery(),
        }
        queries = {name: sa.select(sa.func.count()).select_from(rows) for name, rows in asked.items()}
        return self._read(
            lambda connection: {name: int(connection.scalar(query) or 0) for name, query in queries.items()}
        )

    def services(self) -> list[str]:
        """The services from which songs came."""
        query = sa.select(SONGS.c.service).distinct()
        return self._read(lambda connection: sorted(connection.scalars(query)))

    def day_versions(self) -> dict[int, int]:
        """Each day that has events, or once had, and its version, which grows with each change."""
        query = sa.select(DAYS.c.day, DAYS.c.version).order_by(DAYS.c.day)
        return self._read(functools.partial(_pairs, query))

    def has_source(self, source: str) -> bool:
        """Whether a file of ``source`` was imported to its end."""
        query = sa.select(IMPORTS.c.digest).where(IMPORTS.c.source == source).limit(1)
        return self._read(lambda connection: connection.scalar(query)) is not None

    def listening(self, days: Iterable[int]) -> Iterator[tuple[dict[int, int], pd.DataFrame]]:
        """Plays and skips of ``days``, whole days at a time, as many as make about `_CHUNK` events.

        Yields:
            The days and their versions, and ``day, listener, at_us, song, times, ms_played`` (NaN where not known) of
            each event with a time and a listener.
        """
        for chunk in self._packed(sorted({day for day in days if day != UNDATED})):
            yield self._read(functools.partial(_heard, chunk))

    def _packed(self, days: list[int]) -> Iterator[list[int]]:
        """``days`` in lists of at most `_CHUNK` events, if a day alone does not have more."""
        chunk: list[int] = []
        events = 0
        for several in _chunks(days, 1_000):
            within = EVENTS.c.day.between(several[0], several[-1])
            sizes = sa.select(EVENTS.c.day, sa.func.count()).where(within).group_by(EVENTS.c.day)
            counted: dict[int, int] = self._read(functools.partial(_pairs, sizes))
            for day in several:
                if chunk and events + counted.get(day, 0) > _CHUNK:
                    yield chunk
                    chunk, events = [], 0
                chunk.append(day)
                events += counted.get(day, 0)
        if chunk:
            yield chunk

    def events(self, day: int) -> pa.Table:
        """The events of one day, as `EVENT_SCHEMA`."""
        query = sa.select(*_selected(EVENTS, EVENT_SCHEMA)).where(EVENTS.c.day == day)
        return self._read(lambda connection: _arrow(connection, query, EVENT_SCHEMA))

    def songs(self) -> pa.Table:
        """All songs, as `SONG_SCHEMA`."""
        return self._read(lambda connection: _arrow(connection, sa.select(*_selected(SONGS, SONG_SCHEMA)), SONG_SCHEMA))

    def listeners(self) -> pa.Table:
        """What is known of listeners, as `LISTENER_SCHEMA`."""
        query = sa.select(*_selected(LISTENERS, LISTENER_SCHEMA))
        return self._read(lambda connection: _arrow(connection, query, LISTENER_SCHEMA))

    def flags(self) -> pa.Table:
        """Which listener broke which rule on which day, as `FLAG_SCHEMA`."""
        return self._read(lambda connection: _arrow(connection, sa.select(*_selected(FLAGS, FLAG_SCHEMA)), FLAG_SCHEMA))

    def _change(self, connection: sa.Connection, days: Sequence[int]) -> None:
        """Bring each of ``days`` to a new version.

        By chance, so that a store that was restored from a backup does not come to a version by other changes that a
        snapshot has seen before.
        """
        step = 1 if self._counting else 1 + secrets.randbelow(_LONGEST_STEP)
        _insert(connection, DAYS, {"day": list(days), "version": [step] * len(days)}, _DAY_CONFLICT)

    def _about(self, name: str, otherwise: str) -> str:
        """The entry ``name`` of the store's own table; ``otherwise`` is written where there is none."""
        columns = {"name": [name], "content": [otherwise]}
        self._commit(lambda connection: _insert(connection, ABOUT, columns, "DO NOTHING"))
        query = sa.select(ABOUT.c.content).where(ABOUT.c.name == name)
        return str(self._read(lambda connection: connection.scalar(query)))

    def _read(self, work: Callable[[sa.Connection], T]) -> T:
        return self._tried(self.engine, work)

    def _commit(self, work: Callable[[sa.Connection], T]) -> T:
        return self._tried(self._writing, work)

    def _tried(self, engine: sa.Engine, work: Callable[[sa.Connection], T]) -> T:
        """Do ``work`` in one transaction; again, while a server restarts or two writers are in each other's way.

        Raises:
            FeedbackError: It does not come back within a minute, or refuses for good.
        """
        for wait_s in (*_WAITS_S, None):
            try:
                with engine.begin() as connection:
                    return work(connection)
            except sa.exc.DBAPIError as error:
                if wait_s is None or not _passing(error):
                    raise unreachable(self.engine, error) from None
                time.sleep(wait_s)
        raise AssertionError("the last try raises or returns")


def _agree(connection: sa.Connection, mode: str) -> None:
    """Let nobody be forgotten while events or flags are added, nor the other way round; SQLite has one writer."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"LOCK TABLE {FORGOTTEN.name} IN {mode} MODE")


def _passing(error: sa.exc.DBAPIError) -> bool:
    """Whether the same may work in a moment."""
    code = getattr(error.orig, "pgcode", None)
    if code is not None:
        return str(code) in _PASSING
    said = str(error.orig).casefold()
    lost = ("connection", "server closed", "terminat", "starting up", "recovery mode", "locked")
    return error.connection_invalidated or any(word in said for word in lost)


# Where a number is there already. Counts and reactions without a time are states: the newer one takes the place, counts
# only grow, and how long it sounded goes with them. What has a time stays as it is.
_GROWN = "{0} = CASE WHEN excluded.times > events.times THEN excluded.{0} ELSE events.{0} END"
_EVENT_CONFLICT = (
    f"(day, event_id) DO UPDATE SET value = excluded.value, {_GROWN.format('times')}, {_GROWN.format('ms_played')} "
    f"WHERE events.day = {UNDATED} AND (excluded.times > events.times "
    "OR COALESCE(excluded.value, -1) <> COALESCE(events.value, -1))"
)
_DAY_CONFLICT = "(day) DO UPDATE SET version = days.version + excluded.version"
_FILLED = "{0} = COALESCE({1}.{0}, excluded.{0})"
_SONG_CONFLICT = "(song_id) DO UPDATE SET " + ", ".join(
    _FILLED.format(name, "songs") for name in ("title", "artist", "album", "isrc", "duration_s", "track_id", "since_us")
)
_LISTENER_CONFLICT = "(listener_id) DO UPDATE SET " + ", ".join(
    f"{name} = COALESCE(excluded.{name}, listeners.{name})" for name in ("age", "gender", "country", "language")
)


def _insert(connection: sa.Connection, table: sa.Table, columns: Mapping[str, list[Any]], conflict: str) -> int:
    """Insert rows given as columns, sorted by their key. Returns how many were inserted or updated."""
    names = ", ".join(columns)
    if connection.dialect.name == "sqlite":
        marks = ", ".join("?" * len(columns))
        statement = f"INSERT INTO {table.name} ({names}) VALUES ({marks}) ON CONFLICT {conflict}"
        rows = list(zip(*columns.values(), strict=True))
        return int(connection.exec_driver_sql(statement, rows).rowcount)
    arrays = ", ".join(f"CAST(%({name})s AS {table.c[name].type.compile(connection.dialect)}[])" for name in columns)
    statement = f"INSERT INTO {table.name} ({names}) SELECT * FROM unnest({arrays}) ON CONFLICT {conflict}"
    return int(connection.exec_driver_sql(statement, dict(columns)).rowcount)


def _sorted(events: Mapping[str, list[Any]]) -> Mapping[str, list[Any]]:
    """By day and number: writers then wait for each other in one order, and the table is filled from left to right."""
    order = np.lexsort((np.asarray(events["event_id"], dtype=np.int64), np.asarray(events["day"], dtype=np.int64)))
    if (order[1:] > order[:-1]).all():
        return events
    places = order.tolist()
    return {name: [column[place] for place in places] for name, column in events.items()}


def _song_columns(songs: Mapping[int, Song]) -> dict[str, list[Any]]:
    numbers = sorted(songs)
    fields = zip(*(songs[number] for number in numbers), strict=True)
    return {"song_id": numbers} | dict(zip(Song._fields, map(list, fields), strict=True))


def _listener_columns(listeners: Mapping[int, Attributes]) -> dict[str, list[Any]]:
    numbers = sorted(listeners)
    fields = zip(*(listeners[number] for number in numbers), strict=True)
    return {"listener_id": numbers} | dict(
        zip(("age", "gender", "country", "language"), map(list, fields), strict=True)
    )


def _pairs(query: sa.Select[tuple[int, int]], connection: sa.Connection) -> dict[int, int]:
    return dict(connection.execute(query).tuples().all())


def _heard(days: list[int], connection: sa.Connection) -> tuple[dict[int, int], pd.DataFrame]:
    """As `Store.listening`, of these days."""
    # First the versions: days to which something is added meanwhile then look changed, and are judged again.
    versions = _pairs(sa.select(DAYS.c.day, DAYS.c.version).where(DAYS.c.day.in_(days)), connection)
    query = sa.select(*(EVENTS.c[name] for name in _LISTENING)).where(
        EVENTS.c.kind.in_(["play", "skip"]),
        EVENTS.c.listener_id != NOBODY,
        EVENTS.c.day.between(days[0], days[-1]),
        EVENTS.c.day.in_(days),
    )
    names = ("day", "listener", "at_us", "song", "times", "ms_played")
    rows = connection.execute(query).all()
    columns = zip(*rows, strict=True) if rows else [()] * len(names)
    types = dict.fromkeys(names, np.int64) | {"ms_played": np.float64}
    frame = pd.DataFrame(
        {name: np.array(column, dtype=types[name]) for name, column in zip(names, columns, strict=True)}
    )
    return versions, frame


def _selected(table: sa.Table, schema: pa.Schema) -> list[Any]:
    return [table.c[name] for name in schema.names if name in table.c]


def _arrow(connection: sa.Connection, query: Any, schema: pa.Schema) -> pa.Table:
    """The result of ``query``, ordered by its first column(s), read in pieces."""
    result = connection.execution_options(stream_results=True, yield_per=_CHUNK).execute(query)
    names = list(result.keys())
    batches = []
    for rows in result.partitions(_CHUNK):
        columns = zip(*rows, strict=True)
        arrays = [pa.array(column, schema.field(name).type) for name, column in zip(names, columns, strict=True)]
        batches.append(pa.Table.from_arrays(arrays, names=names))
    return pa.concat_tables(batches) if batches else schema.empty_table()


def _chunks(values: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    for start in range(0, len(values), size):
        yield values[start : start + size]
