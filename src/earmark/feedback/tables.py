"""The store's tables, for SQLite and PostgreSQL alike, and its address.

Events are kept by day (UTC), because days are what grows, what is snapshotted and what is looked at again; within a day
by their number, so that the same event is not kept twice. What has no time lies under day 0.
"""

import os
import sqlite3
import time
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from earmark.errors import FeedbackError
from earmark.workspace import FEEDBACK_STORE

ADDRESS = "EARMARK_FEEDBACK_STORE"
VERSION = "1"
_BUSY_MS = 120_000  # how long a writer waits for another one
_MAKING = 0x6561726D  # of PostgreSQL's advisory locks, the one under which tables are made

METADATA = sa.MetaData()


def _table(name: str, *columns: Any, key: tuple[str, ...]) -> sa.Table:
    return sa.Table(name, METADATA, *columns, sa.PrimaryKeyConstraint(*key), sqlite_with_rowid=False)


ABOUT = _table(
    "about",
    sa.Column("name", sa.String(40), nullable=False),
    sa.Column("content", sa.Text, nullable=False),
    key=("name",),
)
SONGS = _table(
    "songs",
    sa.Column("song_id", sa.BigInteger, nullable=False, autoincrement=False),
    sa.Column("service", sa.Text, nullable=False),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("title", sa.Text),
    sa.Column("artist", sa.Text),
    sa.Column("album", sa.Text),
    sa.Column("isrc", sa.Text),
    sa.Column("duration_s", sa.Float),
    sa.Column("track_id", sa.Text),
    sa.Column("since_us", sa.BigInteger),
    key=("song_id",),
)
LISTENERS = _table(
    "listeners",
    sa.Column("listener_id", sa.BigInteger, nullable=False, autoincrement=False),
    sa.Column("age", sa.Text),
    sa.Column("gender", sa.Text),
    sa.Column("country", sa.Text),
    sa.Column("language", sa.Text),
    key=("listener_id",),
)
EVENTS = _table(
    "events",
    sa.Column("day", sa.Integer, nullable=False, autoincrement=False),
    sa.Column("event_id", sa.BigInteger, nullable=False, autoincrement=False),
    sa.Column("at_us", sa.BigInteger),
    sa.Column("listener_id", sa.BigInteger, nullable=False),
    sa.Column("song_id", sa.BigInteger, nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("ms_played", sa.BigInteger),
    sa.Column("value", sa.Float),
    sa.Column("word", sa.Text),
    sa.Column("times", sa.BigInteger, nullable=False),
    sa.Column("started", sa.Text),
    sa.Column("ended", sa.Text),
    key=("day", "event_id"),
)
DAYS = _table(
    "days",
    sa.Column("day", sa.Integer, nullable=False, autoincrement=False),
    sa.Column("version", sa.BigInteger, nullable=False),  # grows with each change of this day's events and flags
    key=("day",),
)
FLAGS = _table(
    "flags",
    sa.Column("day", sa.Integer, nullable=False, autoincrement=False),
    sa.Column("listener_id", sa.BigInteger, nullable=False, autoincrement=False),
    sa.Column("rule", sa.Text, nullable=False),
    key=("day", "listener_id", "rule"),
)
IMPORTS = _table(
    "imports",
    sa.Column("digest", sa.Text, nullable=False),  # of the bytes, the source, its options and the listener
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("finished_us", sa.BigInteger, nullable=False),
    sa.Column("counts", sa.Text, nullable=False),  # JSON
    key=("digest",),
)
FORGOTTEN = _table(
    "forgotten",
    sa.Column("listener_id", sa.BigInteger, nullable=False, autoincrement=False),
    sa.Column("at_us", sa.BigInteger, nullable=False),
    key=("listener_id",),
)


def address(root: Path) -> str:
    """Where the store is: what the environment says, else a file in the project."""
    return os.environ.get(ADDRESS) or f"sqlite:///{root / FEEDBACK_STORE}"


def connect(url: str) -> sa.Engine:
    """The store at ``url``, with its tables, made where they are missing.

    Raises:
        FeedbackError: The address is none of a store that lasts, its driver is not installed, or the store cannot be
            reached.
    """
    try:
        parsed = sa.make_url(url)
        if (database := parsed.get_backend_name()) not in ("sqlite", "postgresql"):
            raise _unusable(f"it names {database}, and only SQLite and PostgreSQL work")
        if database == "sqlite" and _in_memory(parsed):
            raise _unusable("it names no file, so SQLite would hold all in memory, and lose it at the end")
        engine = sa.create_engine(parsed, pool_pre_ping=True)
    except (sa.exc.ArgumentError, ModuleNotFoundError, sa.exc.NoSuchModuleError, ValueError) as error:
        # A port that is no number may be a piece of a password.
        raise _unusable("its port is no number" if isinstance(error, ValueError) else error) from None
    if engine.dialect.name == "sqlite":
        _prepare_sqlite(engine)
    try:
        with engine.execution_options(writes=True).begin() as connection:  # of two processes the second finds them
            if engine.dialect.name == "postgresql":
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_MAKING)))
            METADATA.create_all(connection)
    except sa.exc.DBAPIError as error:
        raise unreachable(engine, error) from None
    return engine


def _unusable(why: object) -> FeedbackError:
    return FeedbackError(
        f"{ADDRESS} cannot be used ({why}). Needed is an address such as postgresql://user@host/earmark (install "
        "earmark[postgres]) or sqlite:////folder/feedback.db."
    )


def _in_memory(url: sa.URL) -> bool:
    return not url.database or ":memory:" in url.database or url.query.get("mode") == "memory"


def shown(engine: sa.Engine) -> str:
    """The store's address, without the password and the options, among which it may stand as well."""
    return engine.url.set(query={}).render_as_string(hide_password=True)


def unreachable(engine: sa.Engine, error: sa.exc.DBAPIError) -> FeedbackError:
    """The error for a store that does not answer or refuses."""
    first = str(error.orig).strip().splitlines()
    file = engine.dialect.name == "sqlite"
    asked = "May you write there, is" if file else "Is the server running,"
    return FeedbackError(
        f"The store of feedback {shown(engine)} cannot be used: {first[0] if first else type(error).__name__}. "
        f"{asked} the address ({ADDRESS}) right, and is there room on its disk? What was stored before stays; the "
        "same command again adds the rest."
    )


def _prepare_sqlite(engine: sa.Engine) -> None:
    """Readers beside one writer; a writer takes its lock when it begins, and waits for another one's."""

    @sa.event.listens_for(engine, "connect")
    def _(connection: Any, record: Any) -> None:
        connection.isolation_level = None  # SQLAlchemy begins transactions, not the driver
        for pragma in (f"busy_timeout={_BUSY_MS}", "synchronous=NORMAL", "cache_size=-65536", "secure_delete=ON"):
            connection.execute(f"PRAGMA {pragma}")
        _write_ahead(connection)

    @sa.event.listens_for(engine, "begin")
    def _(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get("writes") else "BEGIN")


def _write_ahead(connection: Any) -> None:
    """Write-ahead logging. To begin with it SQLite wants the file alone, and does not wait by itself until it is."""
    latest = time.monotonic() + _BUSY_MS / 1000
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > latest:
                raise
            time.sleep(0.05)
