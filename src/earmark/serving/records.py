"""What the service writes down: each prediction, so that the way back from it is known, and events that listeners told.

Both lie in the database of the feedback (SQLite in the project, or PostgreSQL), which all workers share. What waits is
committed together, by one thread: so a hundred requests at a time cost a few transactions. A prediction is on disk
before its answer goes out. If the database cannot be reached, answers go out all the same, and it is said loudly.
"""

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from earmark.errors import EarmarkError
from earmark.feedback import tables

METADATA = sa.MetaData()

PREDICTIONS = sa.Table(
    "predictions",
    METADATA,
    sa.Column("prediction_id", sa.String(32), primary_key=True),
    sa.Column("at_us", sa.BigInteger, nullable=False, index=True),
    sa.Column("model", sa.Text, nullable=False),
    sa.Column("version", sa.Text, nullable=False),
    sa.Column("run_id", sa.Text, nullable=False),
    sa.Column("role", sa.Text, nullable=False),
    sa.Column("content_hash", sa.Text, nullable=False),
    sa.Column("duration_s", sa.Float, nullable=False),
    sa.Column("genre", sa.Text, nullable=False),
    sa.Column("probability", sa.Float, nullable=False),
    sa.Column("appeal", sa.Float),
    sa.Column("unlike", sa.Float),
    sa.Column("abstains", sa.Boolean, nullable=False),
    sa.Column("embedding", sa.LargeBinary, nullable=False),  # float32, little-endian
)
TOLD = sa.Table(
    "told",
    METADATA,
    sa.Column("event_id", sa.String(64), primary_key=True),
    sa.Column("at_us", sa.BigInteger, nullable=False, index=True),
    sa.Column("content", sa.Text, nullable=False),  # JSON; empty once it was judged: it names the listener
    sa.Column("state", sa.String(8), nullable=False, index=True),  # waiting, taken, refused
    sa.Column("reason", sa.Text),
)

_DAY_US = 86_400_000_000
_AT_ONCE = 500
_STALE_S = 3_600.0  # how often what is too old is removed
_RETRY_S = 5.0

logger = logging.getLogger("bentoml.earmark")

State = Literal["waiting", "taken", "refused"]


@dataclass(frozen=True)
class Predicted:
    """A prediction as it is written down.

    Attributes:
        prediction_id: Names it.
        at_us: When it was made, in microseconds since 1970 UTC.
        model, version, run_id, role: By which model; ``champion`` or ``canary``.
        content_hash: SHA-256 of the file.
        duration_s: Of the recording.
        genre, probability: The most probable one.
        appeal: Expected share of listeners that like it, or None.
        unlike: How rarely a recording lies so far from everything in training, or None.
        abstains: Whether the model was too unsure.
        embedding: Shape ``(dims,)``.
    """

    prediction_id: str
    at_us: int
    model: str
    version: str
    run_id: str
    role: str
    content_hash: str
    duration_s: float
    genre: str
    probability: float
    appeal: float | None
    unlike: float | None
    abstains: bool
    embedding: NDArray[np.float32]


@dataclass(frozen=True)
class Told:
    """An event that somebody sent: what became of it, and why it was refused, if it was."""

    state: State
    reason: str | None


class Records:
    """The database behind one worker.

    Args:
        url: As `earmark.feedback.tables.connect` takes it.
        keep_days: How long; 0: for ever.
    """

    def __init__(self, url: str, *, keep_days: float) -> None:
        self._url, self._keep_days = url, keep_days
        self._engine: sa.Engine | None = None
        self._connecting = threading.Lock()
        self._queue: queue.SimpleQueue[tuple[dict[str, Any], Future[bool]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write, name="records", daemon=True)
        self._trouble_until = 0.0
        self._cleaned = 0.0

    @classmethod
    def of(cls, root: Path, *, keep_days: float) -> "Records":
        """Those of a project."""
        return cls(tables.address(root), keep_days=keep_days)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def stop(self) -> None:
        """Write what waits, and end."""
        self._queue.put(None)
        if self._thread.is_alive():
            self._thread.join(10)
        if self._engine is not None:
            self._engine.dispose()

    async def keep(self, prediction: Predicted) -> bool:
        """Write it down; False where the database cannot be reached."""
        row = asdict(prediction) | {"embedding": prediction.embedding.astype("<f4").tobytes()}
        written: Future[bool] = Future()
        self._queue.put((row, written))
        return await asyncio.wrap_future(written)

    def prediction(self, prediction_id: str) -> Predicted | None:
        """The prediction of that id, or None.

        Raises:
            FeedbackError: The database cannot be used.
        """
        with self._connection() as connection:
            row = connection.execute(
                sa.select(PREDICTIONS).where(PREDICTIONS.c.prediction_id == prediction_id)
            ).one_or_none()
        if row is None:
            return None
        values = dict(row._mapping)
        return Predicted(**values | {"embedding": np.frombuffer(values["embedding"], dtype="<f4").copy()})

    def tell(self, events: Sequence[tuple[str, str]]) -> list[bool]:
        """Keep events, ``(event_id, JSON)`` each, until they are judged; which of them are new.

        An event_id that is there already stays as it is: what is sent twice counts once.

        Raises:
            FeedbackError: The database cannot be used; nothing was kept.
        """
        now_us = time.time_ns() // 1000
        with self._connection(writes=True) as connection:
            asked = [event_id for event_id, _ in events]
            known = set(connection.scalars(sa.select(TOLD.c.event_id).where(TOLD.c.event_id.in_(asked))))
            new = []
            rows = []
            for event_id, content in events:
                new.append(event_id not in known)
                if event_id not in known:
                    known.add(event_id)
                    rows.append(
                        {"event_id": event_id, "at_us": now_us, "content": content, "state": "waiting", "reason": None}
                    )
            if rows:
                connection.execute(_insert_once(connection, TOLD), rows)
        return new

    def told(self, event_id: str) -> Told | None:
        """What became of an event, or None where none has that id.

        Raises:
            FeedbackError: The database cannot be used.
        """
        with self._connection() as connection:
            row = connection.execute(
                sa.select(TOLD.c.state, TOLD.c.reason).where(TOLD.c.event_id == event_id)
            ).one_or_none()
        return None if row is None else Told(row.state, row.reason)

    def waiting(self, most: int) -> list[tuple[str, str]]:
        """Events to be judged, the oldest first: ``(event_id, JSON)``.

        Raises:
            FeedbackError: The database cannot be used.
        """
        chosen = sa.select(TOLD.c.event_id, TOLD.c.content).where(TOLD.c.state == "waiting")
        with self._connection() as connection:
            rows = connection.execute(chosen.order_by(TOLD.c.at_us, TOLD.c.event_id).limit(most)).all()
        return [(row.event_id, row.content) for row in rows]

    def settle(self, outcomes: Sequence[tuple[str, State, str | None]]) -> None:
        """Write down what became of events, ``(event_id, state, reason)`` each; what they said goes.

        Raises:
            FeedbackError: The database cannot be used.
        """
        if not outcomes:
            return
        change = (
            sa.update(TOLD)
            .where(TOLD.c.event_id == sa.bindparam("which"))
            .values(state=sa.bindparam("now"), reason=sa.bindparam("why"), content="")
        )
        with self._connection(writes=True) as connection:
            connection.execute(change, [{"which": which, "now": now, "why": why} for which, now, why in outcomes])

    def _connection(self, *, writes: bool = False) -> "_Connected":
        return _Connected(self._connect(), writes)

    def _connect(self) -> sa.Engine:
        with self._connecting:
            if self._engine is None:
                engine = tables.connect(self._url)
                try:
                    with engine.execution_options(writes=True).begin() as connection:
                        METADATA.create_all(connection)
                except sa.exc.DBAPIError as error:
                    raise tables.unreachable(engine, error) from None
                self._engine = engine
            return self._engine

    def _write(self) -> None:
        ended = False
        while not ended:
            batch = [self._queue.get()]
            while len(batch) < _AT_ONCE:
                try:
                    batch.append(self._queue.get_nowait())
                except queue.Empty:
                    break
            ended = None in batch
            rows = [item for item in batch if item is not None]
            kept = self._commit([row for row, _ in rows])
            for _, written in rows:
                written.set_result(kept)

    def _commit(self, rows: list[dict[str, Any]]) -> bool:
        if not rows or time.monotonic() < self._trouble_until:
            return not rows
        try:
            with self._connection(writes=True) as connection:
                connection.execute(sa.insert(PREDICTIONS), rows)
                if self._keep_days and time.monotonic() - self._cleaned > _STALE_S:
                    self._cleaned = time.monotonic()
                    oldest = time.time_ns() // 1000 - round(self._keep_days * _DAY_US)
                    connection.execute(sa.delete(PREDICTIONS).where(PREDICTIONS.c.at_us < oldest))
                    settled = (TOLD.c.at_us < oldest) & (TOLD.c.state != "waiting")
                    connection.execute(sa.delete(TOLD).where(settled))
        except Exception as error:
            reason = str(error) if isinstance(error, EarmarkError) else f"{type(error).__name__}: {error}"
            logger.error("predictions are not written down, and answers go out without a way back: %s", reason)
            self._trouble_until = time.monotonic() + _RETRY_S
            return False
        return True


class _Connected:
    """A transaction whose failures are the project's own errors."""

    def __init__(self, engine: sa.Engine, writes: bool) -> None:
        self._engine = engine
        self._begun = engine.execution_options(writes=writes).begin()

    def __enter__(self) -> sa.Connection:
        try:
            return self._begun.__enter__()
        except sa.exc.DBAPIError as error:
            raise tables.unreachable(self._engine, error) from None

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        self._begun.__exit__(kind, error, trace)
        if isinstance(error, sa.exc.DBAPIError):
            raise tables.unreachable(self._engine, error) from None


def _insert_once(connection: sa.Connection, table: sa.Table) -> Any:
    """Of two that insert the same key at the same time the first one's row stays."""
    if connection.dialect.name == "postgresql":
        from sqlalchemy.dialects import postgresql

        return postgresql.insert(table).on_conflict_do_nothing()
    from sqlalchemy.dialects import sqlite

    return sqlite.insert(table).on_conflict_do_nothing()
