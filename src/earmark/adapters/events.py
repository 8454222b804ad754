"""What happened to versions: promoted, rolled back, put back; when, why, and by whom if they wanted it known.

Each version keeps its own events, as a JSON list in its tag `events`; the same version may be promoted many times.
"""

import json
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from earmark.adapters.named import aliases_of
from earmark.adapters.tracking import DATABASE, embedded, reaching
from earmark.params import Params

if TYPE_CHECKING:
    from mlflow import MlflowClient

_TAG = "events"


def now() -> str:
    """The time, in UTC, as events have it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


@dataclass(frozen=True)
class Event:
    """Something that happened to a version.

    Attributes:
        what: ``promoted``, ``rolled back`` (it was champion until then), ``put back`` (it is champion again).
        at: When, in UTC.
        because: Why.
        by: Who did it, where they said so.
        despite: The gates that it had failed.
        other: The version that left or came in its place: before it, or after a rollback.
    """

    what: str
    at: str = field(default_factory=now)
    because: str | None = None
    by: str | None = None
    despite: tuple[str, ...] = ()
    other: str | None = None


@dataclass(frozen=True)
class Lived:
    """A version and all that happened to it, oldest first."""

    version: str
    aliases: tuple[str, ...]
    kind: str
    accuracy: float | None
    registered: str
    run_id: str | None
    verdict: str | None
    events: tuple[Event, ...]

    def to_dict(self) -> dict[str, Any]:
        """As plain values, fit for JSON."""
        return asdict(self)


def add_event(client: "MlflowClient", name: str, version: str, event: Event) -> None:
    """Write down what happens to ``version`` behind what happened before."""
    told = [_plain(each) for each in _events_in(client.get_model_version(name, version).tags)]
    client.set_model_version_tag(name, version, _TAG, json.dumps([*told, _plain(event)], ensure_ascii=False))


def rolled_back(client: "MlflowClient", name: str, version: str) -> str | None:
    """When and why ``version`` was rolled back, if that is the last that happened to it; else None."""
    told = _events_in(client.get_model_version(name, version).tags)
    if not told or told[-1].what != "rolled back":
        return None
    return f"at {told[-1].at}: {told[-1].because or 'no reason was given'}"


def history(params: Params, root: Path) -> list[Lived]:
    """All versions, the newest first; none where there is no registry yet.

    Raises:
        RegistryError: MLflow cannot be reached.
    """
    if embedded(root) and not (root / DATABASE).is_file():
        return []  # asking would make one
    with reaching(root) as client:
        name = params.registry.model.replace("'", "''")
        versions = sorted(
            client.search_model_versions(f"name = '{name}'"), key=lambda found: int(found.version), reverse=True
        )
        aliases = aliases_of(client, params)
    return [_lived(found, aliases) for found in versions]


@contextmanager
def undisturbed() -> Iterator[None]:
    """Ctrl-C waits until the end of the block: for what is quick, and must not be left half done."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals go to the main thread
        return
    pressed = []
    before = signal.signal(signal.SIGINT, lambda *_: pressed.append(True))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if pressed:
        signal.raise_signal(signal.SIGINT)


def _lived(found: Any, aliases: Mapping[str, str]) -> Lived:
    version, tags = str(found.version), found.tags
    registered = datetime.fromtimestamp(found.creation_timestamp / 1000, UTC)
    return Lived(
        version=version,
        aliases=tuple(sorted(alias for alias, its in aliases.items() if its == version)),
        kind=tags.get("kind", ""),
        accuracy=float(tags["accuracy"]) if "accuracy" in tags else None,
        registered=registered.isoformat(timespec="seconds"),
        run_id=found.run_id or None,
        verdict=tags.get("verdict.reason"),
        events=_events_in(tags),
    )


def _events_in(tags: Mapping[str, str]) -> tuple[Event, ...]:
    if _TAG in tags:
        return tuple(Event(**{**each, "despite": tuple(each.get("despite", ()))}) for each in json.loads(tags[_TAG]))
    if "promoted.at" in tags:  # by an earmark that kept the last promotion only
        return (Event("promoted", at=tags["promoted.at"], because=tags.get("promoted.because")),)
    return ()


def _plain(event: Event) -> dict[str, Any]:
    return {name: value for name, value in asdict(event).items() if value}
