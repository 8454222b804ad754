"""A world: songs with their true appeal, listeners, and everything that they did; whole, or in parts for many millions.

::

    world = simulate(read_tracks(path), params.listeners)
    world.songs[["track_id", "category", "appeal"]], world.events, world.met

For a bench, without files and without all of it in memory at once::

    scene = set_scene(made_up_tracks(2_000), dataclasses.replace(params.listeners, listeners=130_000))
    for part in scene.parts():
        part.events, part.met
    scene.songs["appeal"]
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from earmark.errors import ParamsError
from earmark.feedback.event import KINDS
from earmark.feedback.simulation.bots import bot_plays
from earmark.feedback.simulation.chance import generator
from earmark.feedback.simulation.exposure import Exposure, exposure_of, meet
from earmark.feedback.simulation.listening import COMPLETE, CONTINUED, ENDED, SKIPPED, STARTED, outcomes, repeats
from earmark.feedback.simulation.people import COUNTRIES, People, people_of
from earmark.feedback.simulation.period import DAY_US, START_US, end_us
from earmark.feedback.simulation.saying import SPELLINGS, Said, reactions, tags, word_shares
from earmark.feedback.simulation.sessions import ends_us, sessions_of
from earmark.feedback.simulation.songs import songs_of
from earmark.feedback.simulation.truth import Liking, liking_of, with_appeal
from earmark.params import Listeners

PART = 512  # listeners; part of what a seed means
_HABIT_H = 3  # by so many hours at most somebody's day is later or earlier than that of the neighbours
_INCOGNITO = 0.015  # share of the sessions on Spotify

_PLAY, _SKIP, _LIKE, _DISLIKE, _TAG = (KINDS.index(kind) for kind in ("play", "skip", "like", "dislike", "tag"))

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Part:
    """What some of the listeners did: `World.events` and `World.met` of them alone, in order of listener and time."""

    events: pd.DataFrame
    met: pd.DataFrame


@dataclass(frozen=True)
class World:
    """Everything.

    Attributes:
        params: From which it was made.
        songs: A row for each, by its number, as in `songs_of` and `with_appeal`. The truth.
        listeners: A row for each, by its number, as `People.table`.
        events: What can be seen, in order of time: ``listener`` and ``song`` by number, ``at_us`` (microseconds since
            1970; a play: when it ended), ``kind`` as in `earmark.feedback.event.Event`, ``ms_played`` (-1 where it is
            no play), ``started``, ``ended``, ``value`` (a reaction: 1, NaN where it is taken back; hate is kind
            dislike), ``word`` (a tag's, as written), ``session`` (counted within the listener, -1 where it is no
            play), ``incognito``.
        met: What cannot: a row for each listener and song that met, ``at_us`` when the first play ended, ``liked``.
    """

    params: Listeners
    songs: pd.DataFrame
    listeners: pd.DataFrame
    events: pd.DataFrame
    met: pd.DataFrame

    @property
    def words(self) -> pd.DataFrame:
        """How probable each word is for a song of each category, as `word_shares`."""
        return word_shares(self.params.categories)


@dataclass(frozen=True)
class Scene:
    """A world before anything has happened. It knows the truth already."""

    params: Listeners
    people: People
    exposure: Exposure
    liking: Liking
    known: pd.DataFrame

    @cached_property
    def songs(self) -> pd.DataFrame:
        """As `World.songs`."""
        return with_appeal(self.known, self.people, self.params)

    def parts(self) -> Iterator[Part]:
        """What happens, `PART` listeners at a time; then, as a part of their own, the bots."""
        duration_ms = np.rint(self.known["duration_s"].to_numpy(np.float64) * 1000)
        for number, begin in enumerate(range(0, self.people.count, PART)):
            listeners = np.arange(begin, min(begin + PART, self.people.count))
            yield _played(self, number, listeners, duration_ms)
        if self.params.bots:
            yield _bots(self, duration_ms)


def simulate(tracks: pd.DataFrame, params: Listeners) -> World:
    """Let listeners listen to ``tracks``. The same arguments give the same world.

    Args:
        tracks: As for `songs_of`.
        params: The section ``listeners``.

    Raises:
        FeedbackError: The tracks have no names, or are too few for so many plays.
        ParamsError: A number is impossible.
    """
    scene = set_scene(tracks, params)
    parts = list(scene.parts())
    events = pd.concat([part.events for part in parts], ignore_index=True)
    return World(
        params=params,
        songs=scene.songs,
        listeners=scene.people.table,
        events=events.sort_values(["at_us", "listener"], kind="stable", ignore_index=True),
        met=pd.concat([part.met for part in parts], ignore_index=True),
    )


def set_scene(tracks: pd.DataFrame, params: Listeners) -> Scene:
    """All that `simulate` needs but the listening; arguments and errors are the same."""
    _check(params)
    songs, people = songs_of(tracks, params), people_of(params)
    liking = liking_of(songs, people, params)
    return Scene(params, people, exposure_of(songs, people, liking, params), liking, songs)


def _check(params: Listeners) -> None:
    for name in ("listeners", "days", "groups", "categories"):
        if getattr(params, name) < 1:
            raise ParamsError(f"listeners.{name} is {getattr(params, name)}, but should be 1 or more.")
    for name in ("seed", "bots", "group_taste", "own_taste", "quality", "exposure"):
        if getattr(params, name) < 0:
            raise ParamsError(f"listeners.{name} is {getattr(params, name)}, but should be 0 or more.")
    if params.plays_per_listener <= 0:
        raise ParamsError(f"listeners.plays_per_listener is {params.plays_per_listener}, but should be more than 0.")
    for name in ("spotify_share", "genre_link", "love_share", "hate_share"):
        if not 0 <= getattr(params, name) <= 1:
            raise ParamsError(f"listeners.{name} is {getattr(params, name)}, but is a share: 0 to 1.")
    if params.groups > params.listeners:
        raise ParamsError(
            f"listeners.groups is {params.groups}, but there are only {params.listeners} listeners to divide into them."
        )


def _played(scene: Scene, part: int, listeners: Ints, duration_ms: npt.NDArray[np.float64]) -> Part:
    seed, end = scene.params.seed, end_us(scene.params)
    rows, songs, left = meet(scene.exposure, listeners, generator(seed, "meetings", part))
    # Drawn for all songs, met or not: who likes what does not depend on who meets what.
    shape = (len(listeners), len(scene.known))
    draws = generator(seed, "likes", part).random(shape, dtype=np.float32)[rows, songs]

    def liked_at(meeting: Ints, at_us: Ints) -> npt.NDArray[np.bool_]:
        chances = scene.liking.probability(listeners[rows[meeting]], songs[meeting], at_us)
        return np.asarray(draws[meeting] < chances)

    met = np.arange(len(rows))
    liked = liked_at(met, end - (left * DAY_US).astype(np.int64))
    repeated, left_then = repeats(
        liked, left, scene.exposure.activity[listeners[rows]], generator(seed, "repeats", part)
    )

    # Every play, by which meeting it belongs to, in order of listener and time.
    meeting, again = np.concatenate([met, repeated]), np.repeat([False, True], [len(met), len(repeated)])
    due = end - (np.concatenate([left, left_then]) * DAY_US).astype(np.int64)
    order = np.lexsort((again, due, rows[meeting]))
    meeting, again, due = meeting[order], again[order], due[order]
    random = generator(seed, "sessions", part)
    zones = scene.people.table["country"].map(COUNTRIES).to_numpy(np.int64)[listeners]
    habits = (zones + random.integers(-_HABIT_H, _HABIT_H + 1, size=len(listeners))) % 24
    sessions = sessions_of(rows[meeting], due, habits[rows[meeting]], random)
    outcome = outcomes(
        liked=liked_at(meeting, due),
        again=again,
        session=sessions.number,
        begins=sessions.begins,
        ends=sessions.ends,
        duration_ms=duration_ms[songs[meeting]],
        random=generator(seed, "plays", part),
    )
    at = ends_us(rows[meeting], sessions.due_us, outcome.ms_played, random)
    hidden = random.random(int(sessions.begins.sum())) < _INCOGNITO
    spotify = (scene.people.table["service"] == "spotify").to_numpy()
    plays = _events(
        listener=listeners[rows[meeting]],
        song=songs[meeting],
        at_us=at,
        kind=np.where(outcome.ended == SKIPPED, _SKIP, _PLAY),
        ms_played=outcome.ms_played,
        started=outcome.started,
        ended=outcome.ended,
        session=_within(listeners[rows[meeting]], sessions.number),
        incognito=hidden[sessions.number] & spotify[listeners[rows[meeting]]],
    )
    first = np.empty(len(met), dtype=np.int64)
    first[meeting[~again]] = at[~again]
    said = _said(scene, part, listeners[rows], rows, songs, liked, first)
    events = pd.concat([plays, *said], ignore_index=True)
    return Part(
        events.sort_values(["listener", "at_us"], kind="stable", ignore_index=True),
        _met(listeners[rows], songs, first, liked),
    )


def _said(
    scene: Scene, part: int, listener: Ints, rows: Ints, songs: Ints, liked: npt.NDArray[np.bool_], first: Ints
) -> list[pd.DataFrame]:
    """Reactions and tags of those whose service tells them."""
    random = generator(scene.params.seed, "saying", part)
    telling = (scene.people.table["service"] == "listenbrainz").to_numpy()[listener]
    reaction = reactions(rows, liked, first, end_us(scene.params), scene.params, random)
    tag = tags(rows, liked, scene.liking.category[songs], first, scene.params.categories, random)
    reaction, tag = (
        Said(said.meeting[told], said.at_us[told], said.what[told])
        for said in (reaction, tag)
        for told in [telling[said.meeting]]
    )
    return [
        _events(
            listener=listener[reaction.meeting],
            song=songs[reaction.meeting],
            at_us=reaction.at_us,
            kind=np.where(reaction.what == 0, _DISLIKE, _LIKE),
            value=np.where(reaction.what < 0, np.nan, 1.0),
        ),
        _events(
            listener=listener[tag.meeting],
            song=songs[tag.meeting],
            at_us=tag.at_us,
            kind=np.full(len(tag.meeting), _TAG),
            word=tag.what,
        ),
    ]


def _bots(scene: Scene, duration_ms: npt.NDArray[np.float64]) -> Part:
    there = scene.known["available_from"].astype("datetime64[us, UTC]").astype(np.int64).to_numpy() <= START_US
    candidates = np.flatnonzero(there & scene.known["track_id"].notna().to_numpy())
    bot, song, at, ms = bot_plays(scene.params, duration_ms, candidates)
    cut = ms < duration_ms[song]
    events = _events(
        listener=scene.people.count + bot,
        song=song,
        at_us=at,
        kind=np.where(cut, _SKIP, _PLAY),
        ms_played=ms,
        started=np.full(len(bot), CONTINUED),
        ended=np.where(cut, SKIPPED, COMPLETE),
        session=np.zeros(len(bot), dtype=np.int64),
    )
    nobody = np.zeros(0, dtype=np.int64)  # bots like nothing
    return Part(events, _met(nobody, nobody, nobody, nobody > 0))


def _met(listener: Ints, song: Ints, at_us: Ints, liked: npt.NDArray[np.bool_]) -> pd.DataFrame:
    numbers = {"listener": listener.astype(np.int32), "song": song.astype(np.int32)}
    return pd.DataFrame(numbers | {"at_us": at_us, "liked": liked})


def _within(listener: Ints, session: Ints) -> Ints:
    """Session numbers counted anew for each listener."""
    first = np.flatnonzero(np.diff(listener, prepend=-1))
    sizes = np.diff(np.append(first, len(listener)))
    return np.asarray(session - np.repeat(session[first], sizes))


def _events(
    *,
    listener: Ints,
    song: Ints,
    at_us: Ints,
    kind: npt.NDArray[Any],
    ms_played: npt.NDArray[Any] | None = None,
    started: npt.NDArray[Any] | None = None,
    ended: npt.NDArray[Any] | None = None,
    value: npt.NDArray[np.float64] | None = None,
    word: Ints | None = None,
    session: Ints | None = None,
    incognito: npt.NDArray[np.bool_] | None = None,
) -> pd.DataFrame:
    """`World.events` from codes; what is left out is not there."""
    none: npt.NDArray[Any] = np.full(len(listener), -1)

    def named(codes: npt.NDArray[Any] | None, names: tuple[str, ...]) -> Any:
        return pd.Categorical.from_codes(none if codes is None else codes, categories=pd.Index(names))

    return pd.DataFrame(
        {
            "listener": listener.astype(np.int32),
            "song": song.astype(np.int32),
            "at_us": at_us.astype(np.int64),
            "kind": named(kind, KINDS),
            "ms_played": (none if ms_played is None else ms_played).astype(np.int32),
            "started": named(started, STARTED),
            "ended": named(ended, ENDED),
            "value": np.full(len(listener), np.nan, dtype=np.float32) if value is None else value.astype(np.float32),
            "word": named(word, SPELLINGS),
            "session": (none if session is None else session).astype(np.int32),
            "incognito": np.zeros(len(listener), dtype=bool) if incognito is None else incognito,
        }
    )
