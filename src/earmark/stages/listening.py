"""The stage `listening`: the made-up listeners' exports in, through the doors that real ones take; a snapshot out.

Their store is a passing one, and their names are hashed under a key that everybody knows: they are no people.
"""

import dataclasses
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from earmark.feedback.collecting import importer
from earmark.feedback.identity import ListenerKey
from earmark.feedback.judged import Judge
from earmark.feedback.simulation.period import end_us
from earmark.feedback.simulation.writing import EXPORTS, LISTENBRAINZ, SPOTIFY, SPOTIFY_NEW
from earmark.feedback.snapshot import write_snapshot
from earmark.feedback.sources.listenbrainz import ListenBrainzFeedback, ListenBrainzListens
from earmark.feedback.sources.source import FeedbackSource
from earmark.feedback.sources.spotify import SpotifyHistory
from earmark.feedback.store import Store
from earmark.params import Params
from earmark.workspace import LISTENERS, SNAPSHOTS, SONGBOOK

KEY = ListenerKey(b"the songbook's listeners are no people")


def run(params: Params, root: Path, *, judge: Judge) -> None:
    """Write data/feedback/songbook/.

    Raises:
        FeedbackError: The exports are not there, or not what they should be.
    """
    catalogue = dataclasses.replace(params.catalogue, collection=SONGBOOK)
    params = dataclasses.replace(params, catalogue=catalogue)
    with tempfile.TemporaryDirectory() as folder, Store(f"sqlite:///{folder}/feedback.db", name=SONGBOOK) as store:
        for source, listener in exports(root / LISTENERS / EXPORTS):
            now_us = end_us(params.listeners)
            door = importer(root, params, store, judge, listener=listener, key=KEY, now_us=now_us)
            told = door.run(source, Path(folder) / "refused.csv")
            print(
                f"listening: {source.name}: {told.rows:,} rows, {told.new:,} events, "
                f"{sum(told.refused.values()):,} rows refused",
                file=sys.stderr,
            )
        write_snapshot(store, root / SNAPSHOTS / SONGBOOK)


def exports(folder: Path) -> Iterator[tuple[FeedbackSource, str | None]]:
    """Each export below ``folder``, as a source, and whose it is where its rows do not say."""
    yield SpotifyHistory(folder / SPOTIFY), None
    for person in sorted((folder / SPOTIFY_NEW).iterdir()) if (folder / SPOTIFY_NEW).is_dir() else []:
        yield SpotifyHistory(person), person.name
    if (folder / LISTENBRAINZ).is_dir():
        yield ListenBrainzListens(folder / LISTENBRAINZ), None
        yield ListenBrainzFeedback(folder / LISTENBRAINZ), None
