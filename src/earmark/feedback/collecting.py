"""An import of feedback put together for a project, and a listener's removal."""

import time
from pathlib import Path

from earmark.errors import FeedbackError
from earmark.feedback.door import Importer
from earmark.feedback.identity import ANYWHERE, KEY, ListenerKey, load_key
from earmark.feedback.judged import Judge
from earmark.feedback.report import counted
from earmark.feedback.store import Forgotten, Store
from earmark.feedback.tracks import Tracks
from earmark.params import Params
from earmark.workspace import COLLECTIONS, TRACKS


def importer(
    root: Path,
    params: Params,
    store: Store,
    judge: Judge,
    *,
    listener: str | None = None,
    whose: str = "--listener NAME",
    new_key: bool = False,
    key: ListenerKey | None = None,
    now_us: int | None = None,
) -> Importer:
    """What imports into ``store`` for the project at ``root``.

    Args:
        root: The project.
        params: Its parameters; the catalogue in use is theirs.
        store: Where it goes.
        judge: By the rules of expectations.yaml.
        listener: Whose export it is, where its rows do not say.
        whose: By what the user says that, for messages.
        new_key: Go on although the store's listeners were hashed under another key.
        key: For listeners' names; by default the user's.
        now_us: The time now; by default the clock's.

    Raises:
        FeedbackError: The key cannot be read, or is another one than the store's.
    """
    key = key or load_key()
    store.use_key(key, renew=new_key)
    tracks = Tracks.at(root / COLLECTIONS / params.catalogue.collection / TRACKS)
    now_us = int(time.time() * 1e6) if now_us is None else now_us
    return Importer(store, key, judge, now_us, tracks, listener, whose)


def listener_ids(store: Store, key: ListenerKey, listener: str) -> list[int]:
    """All numbers that ``listener`` can have in ``store``: as the team's own name, and as a name of each service.

    And one that stands for services from which nothing came yet.
    """
    return [key.id_of(service, listener) for service in ("", ANYWHERE, *store.services())]


def forget(store: Store, key: ListenerKey, listener: str, now_us: int) -> str:
    """Remove ``listener`` for good, and say what was removed.

    Raises:
        FeedbackError: The key is none under which the store's listeners were hashed, so nobody can be found.
    """
    _check(store, key)
    numbers = listener_ids(store, key, listener)
    gone = store.forget(numbers, now_us)
    if late := set(listener_ids(store, key, listener)).difference(numbers):  # of a service whose first import runs
        more = store.forget(sorted(late), now_us)
        gone = Forgotten(gone.events + more.events, gone.days + more.days, more.wiped)
    if gone.events:
        said = (
            f"Removed from the store: {counted(gone.events, 'event')} on {counted(gone.days, 'day')}. From now on "
            "imports refuse this listener (earmark feedback forget --undo ends that)."
        )
    else:
        said = (
            "The store has nothing by that listener (of any service). Names are compared to the letter. From now on "
            "imports refuse it."
        )
    if not gone.wiped:
        said += (
            " But bytes of what was removed may still stand in the store's file: another program is using it, or its "
            "disk is full. Say the same again when that is over."
        )
    if store.former_keys():
        said += (
            " That is so under the key that is set now; the store has had others. What the listener did under one of "
            f"these goes if you set that key ({KEY}) and say the same again."
        )
    return said


def readmit(store: Store, key: ListenerKey, listener: str) -> str:
    """Let imports take ``listener`` again, and say so.

    Raises:
        FeedbackError: As `forget`.
    """
    _check(store, key)
    if not store.readmit(listener_ids(store, key, listener)):
        return "That listener was not forgotten."
    return "Imports take this listener again. What was removed is not back: import it again, with --again."


def _check(store: Store, key: ListenerKey) -> None:
    if key.fingerprint in store.former_keys():
        return
    try:
        store.use_key(key)
    except FeedbackError:
        raise FeedbackError(
            "The key for listeners' names is another one than the store's, so no name can be found in it. Put the old "
            "key back. If it is lost, nobody can tell any more which events are whose."
        ) from None
