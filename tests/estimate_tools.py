"""For tests of estimates: events by hand, worlds as evidence, and small projects whose listening is known."""

import dataclasses
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from earmark.catalogue.track import Track, write_tracks
from earmark.feedback.estimates.evidence import Doings, pair_up
from earmark.feedback.estimates.files import Evidence
from earmark.feedback.event import KINDS, Event
from earmark.feedback.simulation.songs import made_up_tracks
from earmark.feedback.simulation.world import World, simulate
from earmark.feedback.snapshot import write_snapshot
from earmark.feedback.store import Store
from earmark.params import Categories, Params, Targets
from earmark.workspace import CATALOGUE, SNAPSHOTS
from feedback_tools import take
from source_tools import PARAMS

DAY_US = 86_400_000_000.0
NOW_US = 20_000 * DAY_US
SAID = ("track", "listener", "kind", "word", "value")


def targets(**changes: Any) -> Targets:
    return dataclasses.replace(PARAMS.targets, **changes)


def categories(**changes: Any) -> Categories:
    return dataclasses.replace(PARAMS.categories, **changes)


# What one did.


def did(kind: str, **what: Any) -> dict[str, Any]:
    """One event of `doings`: ``track`` 0 and ``listener`` 1 unless said otherwise, ``days_ago`` None where undated."""
    return {"kind": kind, "track": 0, "listener": 1, "days_ago": 0.0, **what}


def doings(*events: dict[str, Any]) -> Doings:
    """Events as `did` gives them, as arrays; what is not told is not known."""

    def column(name: str, otherwise: Any, kind: Any = np.float64) -> Any:
        return np.array([event.get(name, otherwise) for event in events], dtype=kind)

    return Doings(
        track=column("track", 0, np.int64),
        listener=column("listener", 1, np.int64),
        at_us=NOW_US - column("days_ago", np.nan) * DAY_US,
        kind=np.array([KINDS.index(event["kind"]) for event in events], dtype=np.int8),
        share=column("share", np.nan),
        value=column("value", np.nan),
        times=column("times", 1.0),
        chosen=column("chosen", np.nan),
        failed=column("failed", False, bool),
        open=column("open", False, bool),
        stopped=column("stopped", False, bool),
    )


def pairs_of(*events: dict[str, Any], **changes: Any) -> pd.DataFrame:
    return pair_up(doings(*events), NOW_US, targets(**changes))


def pair_of(*events: dict[str, Any], **changes: Any) -> pd.Series:
    """The only pair that these events make."""
    (pair,) = (row for _, row in pairs_of(*events, **changes).iterrows())
    return pair


# What many said.


def as_answers(yes: Iterable[int], no: Iterable[int]) -> tuple[Any, Any]:
    """Of each song so many yes and so many no: song and answer, one row each."""
    yes, no = np.asarray(yes, dtype=np.int64), np.asarray(no, dtype=np.int64)
    songs = np.arange(len(yes))
    song = np.concatenate([np.repeat(songs, yes), np.repeat(songs, no)])
    return song, np.repeat([1.0, 0.0], [yes.sum(), no.sum()])


def pairs_with(track: Any, listener: Any, **columns: Any) -> pd.DataFrame:
    """Pairs as `pair_up` gives them, of which nothing is known but what is given."""
    nothing = dict.fromkeys(("answer", "disliked", "heard", "skipped", "returned", "first_us"), np.nan)
    frame = pd.DataFrame({"track": track, "listener": listener, **nothing, "weight": 1.0, "plays": 0.0})
    return frame.assign(**columns).sort_values(["track", "listener"], ignore_index=True)


def words_said(*rows: tuple[Any, ...]) -> pd.DataFrame:
    """``track, listener, kind, word[, value]`` a row."""
    return pd.DataFrame([(*row, np.nan)[:5] for row in rows], columns=list(SAID))


def counts_of(listens: Any = (), since_us: Any = np.nan) -> pd.DataFrame:
    """Counts of a whole service, of the tracks from 0 on."""
    listens = np.asarray(listens, dtype=np.float64)
    return pd.DataFrame({"track": np.arange(len(listens)), "listens": listens, "likes": np.nan, "since_us": since_us})


def people(listeners: Iterable[int], **attributes: Any) -> pd.DataFrame:
    nothing = dict.fromkeys(("age", "gender", "country", "language"))
    return pd.DataFrame({"listener_id": np.asarray(list(listeners), dtype=np.int64), **nothing}).assign(**attributes)


def evidence(tracks: int, pairs: pd.DataFrame | None = None, **other: Any) -> Evidence:
    """Evidence of ``tracks`` tracks, with nothing in it but what is given."""
    nothing = {
        "said": words_said(),
        "counts": counts_of(),
        "attributes": people([]),
        "factors": None,
        "now_us": NOW_US,
    }
    pairs = pairs_with([], []).astype({"track": "int64", "listener": "int64"}) if pairs is None else pairs
    return Evidence([f"t{number:04d}" for number in range(tracks)], pairs, **{**nothing, **other})


# What happened in a made-up world.


@cache
def world(tracks: int, **changes: Any) -> World:
    return simulate(made_up_tracks(tracks), dataclasses.replace(PARAMS.listeners, **{"bots": 0, **changes}))


def happened(of: World) -> Doings:
    """What can be seen of a world, without the files and the store between."""
    events = of.events[~of.listeners["bot"].to_numpy()[of.events["listener"]]]
    events = pd.concat([events, _other_side(events)], ignore_index=True)
    track = events["song"].to_numpy(np.int64)
    ms = events["ms_played"].to_numpy(np.float64)
    started, ended = events["started"].astype(object), events["ended"].astype(object)
    return Doings(
        track=track,
        listener=events["listener"].to_numpy(np.int64),
        at_us=events["at_us"].to_numpy(np.float64),
        kind=events["kind"].astype(object).map(KINDS.index).to_numpy(np.int8),
        share=np.where(ms >= 0, ms / (1000 * of.songs["duration_s"].to_numpy()[track]), np.nan),
        value=events["value"].to_numpy(np.float64),
        times=np.ones(len(events)),
        chosen=np.select([started == "chosen", started == "continued"], [1.0, 0.0], np.nan),
        failed=(ended == "failed").to_numpy(),
        open=ended.isna().to_numpy(),
        stopped=(ended == "stopped").to_numpy(),
    )


def _other_side(events: pd.DataFrame) -> pd.DataFrame:
    """As sources tell it: with each like that it is no dislike, and the other way round."""
    said = events[events["kind"].isin(["like", "dislike"])]
    other = said["kind"].astype(object).map({"like": "dislike", "dislike": "like"})
    return said.assign(kind=other, value=1 - said["value"])


def pairs_in(of: World, **changes: Any) -> pd.DataFrame:
    seen = happened(of)
    return pair_up(seen, float(seen.at_us.max()), targets(**changes))


# A project on disk.


def track(number: int, **what: Any) -> Track:
    """The track of `feedback_tools.song(number, track_id=…)`, three minutes long."""
    name = f"t{number:04d}"
    described = {"title": f"Title {number}", "artist": f"Artist {number}", "genre": f"genre {number % 2}", **what}
    return Track(name, f"{name}.flac", "0" * 64, 180.0, 44_100, 2, "flac", "folder", group=name, **described)


def project(folder: Path, tracks: Iterable[Track], events: Iterable[Event] = (), **other: Any) -> Path:
    """A project whose catalogue and snapshot of feedback are there, and nothing else."""
    write_tracks(tracks, folder / CATALOGUE)
    with Store(f"sqlite:///{folder}/feedback.db", name="the tests'") as store:
        take(store, list(events), **other)
        write_snapshot(store, folder / SNAPSHOTS / "listening")
    return folder


def params_of(snapshot: str = "listening", **sections: dict[str, Any]) -> Params:
    """``params_of(targets={"seed": 2})``"""
    sections = {"feedback": {}, **sections}
    changed = {name: dataclasses.replace(getattr(PARAMS, name), **values) for name, values in sections.items()}
    changed["feedback"] = dataclasses.replace(changed["feedback"], snapshot=snapshot)
    return dataclasses.replace(PARAMS, **changed)
