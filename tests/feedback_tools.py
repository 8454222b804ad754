"""For tests of what happens to feedback behind its sources: chosen rows, judges, stores, and what a store holds."""

import tempfile
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa

from earmark.adapters.feedback_rules import judging_feedback
from earmark.feedback.door import Imported, Importer
from earmark.feedback.event import About, Event, Song
from earmark.feedback.identity import ListenerKey
from earmark.feedback.judged import Judge, Verdict
from earmark.feedback.sources.reading import Part
from earmark.feedback.sources.source import FeedbackSource, Row
from earmark.feedback.store import Store
from earmark.feedback.tables import METADATA
from earmark.feedback.tracks import Tracks
from earmark.params import load_params
from exports_made import us
from scratch import CHECKOUT

KEY = ListenerKey(b"a key that only tests use")
SECOND_US, HOUR_US, DAY_US = 1_000_000, 3_600_000_000, 86_400_000_000
NOON_US = us("2026-11-20 12:00:00 +0000")  # a Friday's, before `NOW_US`
NOON_DAY = NOON_US // DAY_US
NOW_US = us("2026-11-25 00:00:00 +0000")


def song(number: int = 1, **other: Any) -> Song:
    """A song of the service `radio`."""
    named = {"key": f"song {number}", "title": f"Title {number}", "artist": f"Artist {number}"}
    return Song("radio", **{**named, **other})


def play(listener: str | None = "ann", at_us: int | None = NOON_US, number: int = 1, **other: Any) -> Event:
    """A play of three minutes, of the song with this number."""
    return Event(
        f"row of {listener}", other.pop("song", song(number)), other.pop("kind", "play"), listener, at_us,
        **{"ms_played": 180_000, **other},
    )  # fmt: skip


def like(listener: str | None = "ann", number: int = 1, *, value: float | None = 1.0, **other: Any) -> Event:
    """A like without a time: a state."""
    return play(listener, None, number, **{"kind": "like", "value": value, "ms_played": None, **other})


@dataclass(frozen=True)
class Told(FeedbackSource):
    """Chosen rows, as if files had told them: one tuple a file."""

    told: tuple[tuple[Row, ...], ...] = ()

    name: ClassVar[str] = "told"
    service: ClassVar[str] = "radio"
    expects: ClassVar[str] = "Nothing but memory."

    def files(self) -> list[Part]:
        return [Part(f"{number}.txt", self.path) for number in range(len(self.told))]

    def rows(self, part: Part) -> Iterator[Row]:
        yield from self.told[int(part.name.removesuffix(".txt"))]


@dataclass(frozen=True)
class ToldOfNobody(Told):
    """The same, of listeners that nobody tells apart."""

    name: ClassVar[str] = "told-of-nobody"
    anonymous: ClassVar[bool] = True


@dataclass(frozen=True)
class Numbered(FeedbackSource):
    """Plays by their numbers, from ``first`` on, 500 a day and 40 listeners; as many as you like, and no two alike."""

    first: int = 0
    count: int = 1000

    name: ClassVar[str] = "numbered"
    service: ClassVar[str] = "radio"
    expects: ClassVar[str] = "Nothing but numbers."

    def files(self) -> list[Part]:
        return [Part("numbers", self.path)]

    def rows(self, part: Part) -> Iterator[Row]:
        for number in range(self.first, self.first + self.count):
            yield self.play(number)

    @staticmethod
    def play(number: int) -> Event:
        at_us = us("2020-01-01 00:00:00 +0000") + number * (DAY_US // 500)
        about = About(age=30, country="NO") if number % 10 == 0 else None
        return play(f"listener {number % 40}", at_us, number % 700, ms_played=100_000 + number % 7, about=about)


def lenient(suite: str, table: pd.DataFrame) -> list[Verdict]:
    """A judge to whom everything is right; it takes no time."""
    return []


def refusing(column: str, limit: float, *, suite: str = "events", rule: str = "too_much") -> Judge:
    """A judge who breaks the staff over whatever has more than ``limit`` in ``column``."""

    def judge(of: str, table: pd.DataFrame) -> list[Verdict]:
        rows = np.flatnonzero((table[column] > limit).to_numpy()) if of == suite else np.empty(0, dtype=np.int64)
        return [Verdict(rule, "critical", rows, [f"more than {limit:g}"] * len(rows))] if len(rows) else []

    return judge


@cache
def project_rules() -> Judge:
    """Great Expectations by this checkout's own rules; it takes seconds to wake."""
    return judging_feedback(CHECKOUT / "expectations.yaml", load_params(CHECKOUT / "params.yaml"))


def importer(store: Store, judge: Judge = lenient, *, key: ListenerKey = KEY, **other: Any) -> Importer:
    store.use_key(key)
    return Importer(store, key, judge, NOW_US, other.pop("tracks", Tracks()), **other)


def take(store: Store, *files: Iterable[Row], judge: Judge = lenient, again: bool = False, **other: Any) -> Imported:
    """Import chosen rows, an iterable for each file; what is refused stays on disk only where it is said."""
    anything = CHECKOUT / "params.yaml"  # what is hashed besides the rows
    source = other.pop("source", Told)(anything, tuple(map(tuple, files)))
    with tempfile.TemporaryDirectory() as folder:
        refusals = other.pop("refusals", Path(folder) / "refused.csv")
        return importer(store, judge, **other).run(source, refusals, again=again)


def new_address(request: pytest.FixtureRequest, folder: Path) -> str:
    """Of a store that is not there yet, on the database that the fixture's parameter names."""
    if request.param == "postgresql":
        return "postgresql:" + str(request.getfixturevalue("postgresql").database(f"feedback-{uuid.uuid4().hex}"))
    return f"sqlite:///{folder}/feedback-{uuid.uuid4().hex}.db"


def rows_of(store: Store, table: str) -> list[tuple[Any, ...]]:
    """All of a table of the store, in order of its key; asked past the store's own code."""
    chosen = METADATA.tables[table]
    with store.engine.connect() as connection:
        return [tuple(row) for row in connection.execute(sa.select(chosen).order_by(*chosen.primary_key.columns))]


def column_of(store: Store, table: str, name: str) -> list[Any]:
    """One column of it."""
    place = METADATA.tables[table].c.keys().index(name)
    return [row[place] for row in rows_of(store, table)]


def held(store: Store) -> dict[str, list[tuple[Any, ...]]]:
    """What a store knows, without what tells how it came to know it."""
    return {table: rows_of(store, table) for table in ("events", "songs", "listeners", "flags", "forgotten")}


def number_of(listener: str, service: str = "radio", key: ListenerKey = KEY) -> int:
    return key.id_of(service, listener)
