"""A world as files: what the services' exports would hold, and apart from them the truth.

::

    truth.parquet                                     World.songs of the catalogue: what no estimator may see
    exports/spotify/endsong_0.json …                  many listeners, in Spotify's older form, which names them
    exports/spotify_new/NAME/Streaming_History_…      one listener each, in the newer form, which does not
    exports/listenbrainz/listens/2022/6.listens …     and feedback.jsonl

Songs go by title and artist, as the services write them: a few with a suffix that means nothing, a few in small
letters. Which of them cannot be told apart by that, `World.songs` says (``ambiguous``).
"""

import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pandas as pd

from earmark.errors import FeedbackError
from earmark.feedback.simulation import listenbrainz, spotify
from earmark.feedback.simulation.chance import generator
from earmark.feedback.simulation.world import World

EXPORTS, TRUTH = "exports", "truth.parquet"
SPOTIFY, SPOTIFY_NEW, LISTENBRAINZ = "spotify", "spotify_new", "listenbrainz"

_ROWS_OF_A_FILE = 10_000  # of Spotify's exports
_REMASTERED = 0.06  # share of the songs that Spotify calls so
_SMALL_LETTERS = 0.05  # share of the songs whose title stands in small letters on ListenBrainz


@dataclass
class Written:
    """What was written.

    Attributes:
        folder: That holds all of it.
        rows: By file, its path below ``folder`` with forward slashes.
        podcasts: How many of the rows on Spotify are none about a song.
    """

    folder: Path
    rows: dict[str, int] = field(default_factory=dict)
    podcasts: int = 0


def write_world(world: World, folder: Path) -> Written:
    """Write ``world`` into ``folder``, in place of an older one, complete or not at all.

    The same world gives the same bytes. Reactions and tags stand where ListenBrainz keeps them, so every row is a play,
    a reaction, or on Spotify a podcast.

    Raises:
        FeedbackError: Something else is in ``folder``.
    """
    if folder.exists() and any(folder.iterdir()) and not (folder / TRUTH).is_file():
        raise FeedbackError(
            f"{folder} holds something that is no made-up world ({TRUTH} is missing), and would be lost. Name another "
            "folder, or remove it yourself."
        )
    unfinished = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(unfinished, ignore_errors=True)
    written = Written(folder)
    for place, rows in _files(world, written):
        path = unfinished / place
        path.parent.mkdir(parents=True, exist_ok=True)
        written.rows[place] = _write(rows, path)
    truth = world.songs[world.songs["track_id"].notna()]
    columns = ["track_id", *truth.columns[truth.columns.get_loc("category") :]]
    truth[columns].to_parquet(unfinished / TRUTH, index=False)
    shutil.rmtree(folder, ignore_errors=True)
    unfinished.replace(folder)
    return written


def _files(world: World, written: Written) -> Iterator[tuple[str, Iterable[dict[str, Any]]]]:
    """Every file's place and rows."""
    random = generator(world.params.seed, "writing")
    remastered, small = random.random((2, len(world.songs)))
    names = world.songs[["title", "artist", "album", "isrc", "track_id", "duration_s"]].copy()
    plays, exports = world.events[world.events["ms_played"] >= 0], world.listeners["export"].to_numpy()

    on_spotify = names.assign(
        title=names["title"] + np.where(remastered < _REMASTERED, " - Remastered 2011", ""),
        album=names["album"].fillna(names["title"]),
    )
    kinds = exports[plays["listener"]]
    rows = spotify.plays(world, plays[kinds != "listenbrainz"], random)
    written.podcasts = int((rows["song"] < 0).sum())
    kinds = exports[rows["listener"]]
    old = rows[kinds == "endsong"]
    for number, begin in enumerate(range(0, len(old), _ROWS_OF_A_FILE)):
        some = old.iloc[begin : begin + _ROWS_OF_A_FILE]
        yield f"{EXPORTS}/{SPOTIFY}/endsong_{number}.json", spotify.rows(world, some, on_spotify, named=True)
    for listener, some in rows[kinds == "streaming_history"].groupby("listener"):
        file = f"Streaming_History_Audio_{pd.Timestamp(some['at_us'].min(), unit='us').year}_0.json"
        place = f"{EXPORTS}/{SPOTIFY_NEW}/{world.listeners['name'][listener]}/{file}"
        yield place, spotify.rows(world, some, on_spotify, named=False)

    on_listenbrainz = names.assign(title=names["title"].where(small >= _SMALL_LETTERS, names["title"].str.lower()))
    ours = exports[world.events["listener"]] == "listenbrainz"
    for (year, month), some in listenbrainz.by_month(world.events[ours]):
        place = f"{EXPORTS}/{LISTENBRAINZ}/listens/{year}/{month}.listens"
        yield place, listenbrainz.listens(world, some, on_listenbrainz)
    said = world.events[ours & world.events["kind"].isin(["like", "dislike"]).to_numpy()]
    yield f"{EXPORTS}/{LISTENBRAINZ}/feedback.jsonl", listenbrainz.feedback(world, said, on_listenbrainz)


def _write(rows: Iterable[dict[str, Any]], path: Path) -> int:
    """One row a line: as an array in ``.json`` files, bare in others. Returns how many."""
    array, count = path.suffix == ".json", 0
    with path.open("wb") as file:
        file.write(b"[\n" if array else b"")
        for count, row in enumerate(rows, start=1):
            file.write(b",\n" if array and count > 1 else b"")
            file.write(orjson.dumps(row))
            file.write(b"" if array else b"\n")
        file.write(b"\n]\n" if array else b"")
    return count
