"""Plays as Spotify's extended export writes them, in its older form (``endsong_*.json``) and its newer one.

With its quirks, as people found them in their own exports (Ortham, "My Spotify extended streaming history data", 2024,
and many parsers): before 16 October 2022 ``skipped`` is null or false whatever happened; from then on it repeats
``reason_end``: true for ``fwdbtn``, ``backbtn`` and every ``endplay``, though the listener may only have stopped. A few
skips end in ``endplay`` too: another song was picked from a list. ``offline_timestamp`` is in milliseconds in the
older form, in seconds in the newer one, and often given although ``offline`` is false; podcasts have no track names.
``ts`` is when the play ended. The newer form names no listener. No export tells the age.
"""

import hashlib
import string
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd

from earmark.feedback.simulation.period import SECOND_US
from earmark.feedback.simulation.world import World

SKIPS_TOLD_US = int(datetime(2022, 10, 16, tzinfo=UTC).timestamp()) * SECOND_US

_PODCASTS = 0.01  # as a share of the plays
_PODCAST_MS = (60_000, 3_000_000)
_TRAVELLING = 0.02  # share of the plays in another country
_OFFLINE, _OFFLINE_TIME = 0.03, 0.15  # share of the plays; share of the others that have a time of it all the same
_SHUFFLED = {"chosen": 0.1, "continued": 0.6}
_PLAYBTN = 0.15  # share of the chosen ones; the others are clickrow
_SKIP_ENDS = ("fwdbtn", "endplay"), (0.95, 0.05)
_STOP_ENDS = (
    ("endplay", "logout", "unexpected-exit", "unexpected-exit-while-paused", "remote", "backbtn"),
    (0.55, 0.2, 0.1, 0.05, 0.05, 0.05),
)
_SKIPPED_SAYS_TRUE = ("fwdbtn", "backbtn", "endplay")
_PLATFORMS = (
    "Android OS 12 API 31 (Google, Pixel 6)",
    "iOS 15.5 (iPhone13,2)",
    "Windows 10 (10.0.19044; x64)",
    "OS X 12.4.0 [arm 2]",
    "web_player windows 10;chrome 103.0.0.0;desktop",
)
_SHOWS = ("Early Notes", "The Tuning Fork", "Half an Hour of Bow and String")
_LETTERS = string.digits + string.ascii_letters


def plays(world: World, events: pd.DataFrame, random: np.random.Generator) -> pd.DataFrame:
    """The plays of listeners of Spotify and their podcasts, in order of listener and time, with all that is drawn.

    Args:
        world: Whose they are.
        events: Rows of `World.events`: the plays of listeners of Spotify.
        random: Where the draws come from.

    Returns:
        ``events`` with the columns ``start``, ``end``, ``shuffle``, ``offline``, ``offline_us`` (or -1) and
        ``country``; for podcasts ``song`` is -1.
    """
    rows = pd.concat([events, _podcasts(world, events, random)], ignore_index=True)
    rows = rows.sort_values(["listener", "at_us"], kind="stable", ignore_index=True)
    started, ended = rows["started"].to_numpy(object), rows["ended"].to_numpy(object)
    same = (rows["listener"].diff().eq(0) & rows["session"].diff().eq(0)).to_numpy()
    before = np.where(same, np.roll(ended, 1), "none")
    pressing, shuffling, offline, telling, travelling, where = random.random((6, len(rows)))
    start = np.select(
        [started == "chosen", before == "none", before == "skipped", before == "failed"],
        [np.where(pressing < _PLAYBTN, "playbtn", "clickrow"), "appload", "fwdbtn", "trackerror"],
        "trackdone",
    )
    end = np.select(
        [ended == "complete", ended == "skipped", ended == "failed"],
        ["trackdone", random.choice(_SKIP_ENDS[0], len(rows), p=_SKIP_ENDS[1]), "trackerror"],
        random.choice(_STOP_ENDS[0], len(rows), p=_STOP_ENDS[1]),
    )
    home = world.listeners["country"].to_numpy(object)[rows["listener"]]
    countries = np.array(sorted(set(world.listeners["country"])), dtype=object)
    began = (rows["at_us"] - rows["ms_played"].astype(np.int64) * 1000).to_numpy()
    return rows.assign(
        start=start,
        end=end,
        shuffle=(shuffling < np.where(started == "chosen", _SHUFFLED["chosen"], _SHUFFLED["continued"]))
        & (start != "playbtn"),  # in shuffle mode that button leaves the choice to Spotify
        offline=offline < _OFFLINE,
        offline_us=np.where((offline < _OFFLINE) | (telling < _OFFLINE_TIME), began, -1),
        country=np.where(travelling < _TRAVELLING, countries[(where * len(countries)).astype(int)], home),
    )


def _podcasts(world: World, events: pd.DataFrame, random: np.random.Generator) -> pd.DataFrame:
    """Some podcasts, each after a play of somebody who is no bot; a session of its own."""
    humans = events[~world.listeners["bot"].to_numpy()[events["listener"]]]
    after = humans.iloc[np.sort(random.permutation(len(humans))[: round(_PODCASTS * len(humans))])]
    ms = random.integers(*_PODCAST_MS, len(after))
    return after.assign(
        song=np.int32(-1), at_us=after["at_us"] + ms // 1000 * SECOND_US, ms_played=ms.astype(np.int32),
        kind=pd.Categorical(["play"] * len(after), categories=events["kind"].cat.categories),
        started=pd.Categorical(["chosen"] * len(after), categories=events["started"].cat.categories),
        ended=pd.Categorical(["complete"] * len(after), categories=events["ended"].cat.categories),
        session=np.int32(-1), incognito=False,
    )  # fmt: skip


def rows(world: World, plays: pd.DataFrame, names: pd.DataFrame, *, named: bool) -> Iterator[dict[str, Any]]:
    """One row of the export for each play.

    Args:
        world: Whose they are.
        plays: As `plays` returns them.
        names: Title, artist, album and track_id of each song, as Spotify writes them.
        named: In the older form, which names the listener; else in the newer one.
    """
    songs = [_song(title, artist, album, uri) for title, artist, album, uri in _names(names)]
    listeners = world.listeners["name"].tolist()
    times = pd.to_datetime(plays["at_us"], unit="us").dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    columns = (
        plays["listener"], plays["song"], plays["at_us"], times, plays["ms_played"], plays["country"], plays["start"],
        plays["end"], plays["shuffle"], plays["offline"], plays["offline_us"], plays["incognito"],
    )  # fmt: skip
    for who, song, at, ts, ms, country, start, end, shuffle, offline, since, hidden in zip(
        *(column.tolist() for column in columns), strict=True
    ):
        address = f"203.0.113.{1 + who % 254}"  # RFC 5737: nobody's
        row: dict[str, Any] = {"ts": ts}
        if named:
            row["username"] = listeners[who]
        row |= {"platform": _PLATFORMS[who % len(_PLATFORMS)], "ms_played": ms, "conn_country": country}
        row |= {"ip_addr_decrypted": address, "user_agent_decrypted": "unknown"} if named else {"ip_addr": address}
        row |= songs[song] if song >= 0 else _podcast(at)
        if not named:
            row |= dict.fromkeys(
                ("audiobook_title", "audiobook_uri", "audiobook_chapter_uri", "audiobook_chapter_title")
            )
        row |= {"reason_start": start, "reason_end": end, "shuffle": shuffle}
        row["skipped"] = end in _SKIPPED_SAYS_TRUE if at >= SKIPS_TOLD_US else None if named else False
        row |= {"offline": offline, "offline_timestamp": _offline_timestamp(since, milliseconds=named)}
        row["incognito_mode"] = hidden
        yield row


def _names(names: pd.DataFrame) -> Iterator[tuple[str, str, str, str]]:
    for title, artist, album, track_id in zip(
        names["title"], names["artist"], names["album"], names["track_id"], strict=True
    ):
        yield title, artist, album, uri(track_id or f"{artist}\n{title}")


def uri(song: str) -> str:
    """``spotify:track:`` and 22 letters and digits, made from whatever names the song."""
    number, letters = int.from_bytes(hashlib.sha256(song.encode()).digest()[:16], "big"), ""
    for _ in range(22):
        number, letter = divmod(number, 62)
        letters += _LETTERS[letter]
    return f"spotify:track:{letters}"


def _song(title: str, artist: str, album: str, track_uri: str) -> dict[str, str | None]:
    return {
        "master_metadata_track_name": title,
        "master_metadata_album_artist_name": artist,
        "master_metadata_album_album_name": album,
        "spotify_track_uri": track_uri,
        "episode_name": None,
        "episode_show_name": None,
        "spotify_episode_uri": None,
    }


def _podcast(at_us: int) -> dict[str, str | None]:
    number = at_us // SECOND_US % 90
    return {
        "master_metadata_track_name": None,
        "master_metadata_album_artist_name": None,
        "master_metadata_album_album_name": None,
        "spotify_track_uri": None,
        "episode_name": f"Episode {number}",
        "episode_show_name": _SHOWS[number % len(_SHOWS)],
        "spotify_episode_uri": uri(f"episode {number}").replace("track", "episode"),
    }


def _offline_timestamp(since_us: int, *, milliseconds: bool) -> int | None:
    if since_us < 0:
        return None
    return since_us // (1000 if milliseconds else SECOND_US)
