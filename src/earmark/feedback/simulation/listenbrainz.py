"""Plays, tags and reactions as ListenBrainz' dump and export write them: JSON, one a line.

A listen says when it began, for how long it sounded, and which tags it was sent with; not how it ended, nor whether
the song was chosen. Every play is here, as clients that tell ``duration_played`` send them; ListenBrainz itself asks
for those only of which half or four minutes were heard. Reactions are kept apart (score 1 love, -1 hate, 0 taken back)
and name the song by its MessyBrainz number, and by its names as the API does.
"""

import uuid
from collections.abc import Iterator
from typing import Any, cast

import pandas as pd

from earmark.feedback.simulation.period import SECOND_US
from earmark.feedback.simulation.world import World

_CLIENTS = ("Pano Scrobbler", "Rhythmbox ListenBrainz Plugin", "WebScrobbler")


def by_month(events: pd.DataFrame) -> Iterator[tuple[tuple[int, int], pd.DataFrame]]:
    """Listens by (year, month) of their beginning, in order of it.

    Args:
        events: Rows of `World.events`, of listeners of ListenBrainz.

    Returns:
        Its plays, with the columns ``began_s`` (seconds since 1970) and ``tags`` (a list, or None).
    """
    events = events.astype({"word": object})
    tagged = events[events["kind"] == "tag"].groupby(["listener", "song", "at_us"])["word"].agg(list).to_dict()
    plays = events[events["ms_played"] >= 0]
    keys = zip(plays["listener"], plays["song"], plays["at_us"], strict=True)
    plays = plays.assign(
        began_s=(plays["at_us"] // 1000 - plays["ms_played"]) // 1000,
        tags=pd.Series([tagged.get(key) for key in keys], index=plays.index, dtype=object),
    ).sort_values(["began_s", "listener"], kind="stable")
    began = pd.to_datetime(plays["began_s"], unit="s").dt
    for key, some in plays.groupby(began.year * 100 + began.month):
        year, month = divmod(int(cast(Any, key)), 100)
        yield (year, month), some


def listens(world: World, plays: pd.DataFrame, names: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """One listen for each play.

    Args:
        world: Whose they are.
        plays: As `by_month` yields them.
        names: Title, artist, isrc and duration_s of each song, as ListenBrainz writes them.
    """
    songs, listeners = _songs(names), world.listeners["name"].tolist()
    isrcs, durations = names["isrc"].tolist(), [round(1000 * duration) for duration in names["duration_s"]]
    columns = (plays["listener"], plays["song"], plays["began_s"], plays["ms_played"], plays["tags"])
    for who, song, began, ms, tags in zip(*(column.tolist() for column in columns), strict=True):
        info: dict[str, Any] = {"submission_client": _CLIENTS[who % len(_CLIENTS)]}
        info |= {"duration_ms": durations[song], "duration_played": ms // 1000}
        if isrcs[song]:
            info["isrc"] = isrcs[song]
        if tags:
            info["tags"] = tags
        title, artist, msid = songs[song]
        yield {
            "user_name": listeners[who],
            "listened_at": began,
            "recording_msid": msid,
            "track_metadata": {"artist_name": artist, "track_name": title, "additional_info": info},
        }


def feedback(world: World, said: pd.DataFrame, names: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """One row for each reaction, in order of time; ``said`` are rows of `World.events`, of kind like and dislike."""
    songs, listeners = _songs(names), world.listeners["name"].tolist()
    for who, song, at, kind, value in zip(
        *(said[column].tolist() for column in ("listener", "song", "at_us", "kind", "value")), strict=True
    ):
        title, artist, msid = songs[song]
        yield {
            "user_name": listeners[who],
            "recording_msid": msid,
            "recording_mbid": None,
            "score": 0 if value != value else 1 if kind == "like" else -1,
            "created": at // SECOND_US,
            "track_metadata": {"artist_name": artist, "track_name": title},
        }


def _songs(names: pd.DataFrame) -> list[tuple[str, str, str]]:
    """Title, artist and MessyBrainz number of each song; songs of one title and artist have one number."""
    return [
        (title, artist, str(uuid.uuid5(uuid.NAMESPACE_URL, f"{artist}\n{title}")))
        for title, artist in zip(names["title"], names["artist"], strict=True)
    ]
