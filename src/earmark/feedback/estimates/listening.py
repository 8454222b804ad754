"""A snapshot read against a catalogue: what listeners did with its tracks, as arrays.

Days on which a listener was flagged are left out, and listeners who were flagged too often altogether.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from earmark.feedback.estimates.evidence import LIKE, PLAY, Doings
from earmark.feedback.event import KINDS, Song
from earmark.feedback.identity import NOBODY
from earmark.feedback.snapshot import FLAGS, SONGS, event_tables, table_of
from earmark.feedback.tracks import Tracks
from earmark.progress import progress

_COLUMNS = [
    "at_us", "listener_id", "song_id", "kind", "ms_played", "value", "word", "times", "started", "ended"
]  # fmt: skip
SAID = ("track", "listener", "kind", "word", "value")
_SAYING = ("feeling", "tag", "comment")


@dataclass(frozen=True)
class Listening:
    """What a snapshot tells of a catalogue.

    Attributes:
        doings: Of listeners who are told apart.
        said: ``track, listener, kind, word, value``: feelings, tags and words of comments, in order of time; likewise.
        counts: ``track, listens, likes, since_us``, of whole services, one row a track that they count.
        now_us: The time of the latest event.
        told: Numbers for the report.
    """

    doings: Doings
    said: pd.DataFrame
    counts: pd.DataFrame
    now_us: float
    told: dict[str, int]


def read_listening(snapshot: Path, catalogue: pd.DataFrame, tracks: Tracks, bot_days: int) -> Listening:
    """Read ``snapshot``.

    Args:
        snapshot: Its folder.
        catalogue: ``track_id, duration_s``; a track's number is its place here.
        tracks: Finds the track that a song is, among these.
        bot_days: Listeners flagged on so many days are left out.

    Raises:
        FeedbackError: There is no snapshot.
    """
    place = {track_id: number for number, track_id in enumerate(catalogue["track_id"])}
    songs = table_of(snapshot, SONGS)
    known = _places(songs, tracks, place)
    flags = _Flags(table_of(snapshot, FLAGS), bot_days)
    durations_ms = np.append(catalogue["duration_s"].to_numpy(dtype=np.float64) * 1000.0, np.nan)
    parts: list[dict[str, Any]] = []
    said: list[pd.DataFrame] = []
    told = {"events": 0, "events_of_tracks": 0, "events_flagged": 0}
    now_us = 0.0
    for day, table in progress(event_tables(snapshot, _COLUMNS), description="listening", unit="day"):
        track = known.of(table.column("song_id").to_numpy())
        bad = flags.flagged(day, table.column("listener_id").to_numpy())
        told["events"] += len(table)
        told["events_of_tracks"] += int((track >= 0).sum())
        told["events_flagged"] += int((bad & (track >= 0)).sum())
        latest = pc.max(table.column("at_us")).as_py()
        now_us = max(now_us, latest or 0.0)
        keep = (track >= 0) & ~bad
        if keep.any():
            table, track = table.filter(pa.array(keep)), track[keep]
            parts.append(_arrays(table, track, durations_ms))
            words = table.filter(
                pc.and_(
                    pc.is_in(table.column("kind"), pa.array(_SAYING)),
                    pc.not_equal(table.column("listener_id"), NOBODY),
                )
            ).sort_by("at_us")
            if len(words):
                said.append(_said(words, known.of(words.column("song_id").to_numpy())))
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]} if parts else _nothing()
    nobody = columns["listener"] == NOBODY
    told |= {
        "songs": len(songs),
        "songs_that_are_tracks": int((known.numbers >= 0).sum()),
        "tracks_heard": len(np.unique(columns["track"])),
        "listeners": len(np.unique(columns["listener"][~nobody])),
        "listeners_left_out": len(flags.left_out),
    }
    return Listening(
        Doings(**{name: values[~nobody] for name, values in columns.items()}),
        pd.concat(said, ignore_index=True) if said else pd.DataFrame(columns=list(SAID)),
        _counts({name: values[nobody] for name, values in columns.items()}, songs, known),
        now_us,
        told,
    )


class _Places:
    """Song → number of the track, −1 where it is none."""

    def __init__(self, songs: npt.NDArray[np.int64], numbers: npt.NDArray[np.int64]) -> None:
        order = np.argsort(songs)
        self.songs, self.numbers = songs[order], numbers[order]

    def of(self, songs: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        if not len(self.songs):
            return np.full(len(songs), -1)
        found = np.minimum(np.searchsorted(self.songs, songs), len(self.songs) - 1)
        return np.where(self.songs[found] == songs, self.numbers[found], -1)


def _places(songs: pa.Table, tracks: Tracks, place: dict[str, int]) -> _Places:
    numbers = []
    for row in zip(*(songs.column(name).to_pylist() for name in Song._fields), strict=True):
        track_id = tracks.find(Song._make(row))
        numbers.append(place.get(track_id, -1) if track_id is not None else -1)
    return _Places(songs.column("song_id").to_numpy(), np.array(numbers, dtype=np.int64))


class _Flags:
    """Which days of which listeners do not count."""

    def __init__(self, table: pa.Table, bot_days: int) -> None:
        flags = table.to_pandas()[["day", "listener_id"]].drop_duplicates()
        often = flags["listener_id"].value_counts()
        self.left_out = often.index[often >= bot_days].to_numpy(dtype=np.int64)
        self.days = {int(day): rows.to_numpy(dtype=np.int64) for day, rows in flags.groupby("day")["listener_id"]}

    def flagged(self, day: int, listeners: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        bad = self.days.get(day)
        out = np.isin(listeners, self.left_out) if len(self.left_out) else np.zeros(len(listeners), dtype=bool)
        return out if bad is None else out | np.isin(listeners, bad)


def _arrays(table: pa.Table, track: npt.NDArray[np.int64], durations_ms: npt.NDArray[np.float64]) -> dict[str, Any]:
    ms, times = _floats(table, "ms_played"), _floats(table, "times")
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.clip(ms / times / durations_ms[track], 0.0, 1.0)
    complete = _equals(table, "ended", "complete")
    share = np.where(complete & np.isnan(share), 1.0, share)
    started = np.where(_equals(table, "started", "continued"), 0.0, np.nan)
    started[_equals(table, "started", "chosen")] = 1.0
    kinds = pc.index_in(table.column("kind"), pa.array(KINDS)).to_numpy()
    return {
        "track": track,
        "listener": table.column("listener_id").to_numpy(),
        "at_us": _floats(table, "at_us"),
        "kind": kinds.astype(np.int8),
        "share": share.astype(np.float32),
        "value": _floats(table, "value").astype(np.float32),
        "times": times.astype(np.float32),
        "chosen": started.astype(np.float32),
        "failed": _equals(table, "ended", "failed"),
        "open": np.asarray(table.column("ended").is_null().to_numpy()),
        "stopped": _equals(table, "ended", "stopped"),
    }


def _nothing() -> dict[str, Any]:
    floats = {name: np.empty(0) for name in ("at_us", "share", "value", "times", "chosen")}
    whole = {name: np.empty(0, dtype=np.int64) for name in ("track", "listener")}
    never = {name: np.empty(0, dtype=bool) for name in ("failed", "open", "stopped")}
    return {**whole, **floats, "kind": np.empty(0, dtype=np.int8), **never}


def _said(words: pa.Table, track: npt.NDArray[np.int64]) -> pd.DataFrame:
    frame: pd.DataFrame = words.select(["listener_id", "kind", "word", "value"]).to_pandas()
    frame.insert(0, "track", track)
    frame["value"] = frame["value"].astype("float64")
    return frame.rename(columns={"listener_id": "listener"})


def _counts(columns: dict[str, Any], songs: pa.Table, known: _Places) -> pd.DataFrame:
    """Of whole services: how often each track was listened to and liked, and since when it could be."""
    tracks = np.unique(columns["track"])
    place = known.of(songs.column("song_id").to_numpy())
    since = pd.DataFrame({"track": place, "since_us": _floats(songs, "since_us")})
    earliest = since[since["track"] >= 0].groupby("track")["since_us"].min()
    likes = (columns["kind"] == LIKE) & (columns["value"] == 1)

    def total(rows: Any) -> Any:
        return pd.Series(columns["times"][rows]).groupby(columns["track"][rows]).sum().reindex(tracks).to_numpy()

    return pd.DataFrame(
        {
            "track": tracks,
            "listens": total(columns["kind"] == PLAY),
            "likes": total(likes),
            "since_us": earliest.reindex(tracks).to_numpy(),
        }
    )


def _floats(table: pa.Table, name: str) -> npt.NDArray[np.float64]:
    column = table.column(name).cast(pa.float64(), safe=False)
    return np.asarray(pc.fill_null(column, float("nan")).to_numpy())


def _equals(table: pa.Table, name: str, value: str) -> npt.NDArray[np.bool_]:
    return np.asarray(pc.fill_null(pc.equal(table.column(name), value), False).to_numpy(zero_copy_only=False))
