"""The songs: category of taste, quality, popularity, and since when each can be heard.

Popularity is a Pareto variable, as counts of plays are roughly (Celma, "Music recommendation and discovery", 2010),
tied to quality by a Gaussian copula: what is good is heard more often, but much that is heard is not good (Salganik,
Dodds and Watts, "Experimental study of inequality and unpredictability in an artificial cultural market", Science
2006).
"""

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import ndtr

from earmark.errors import FeedbackError
from earmark.feedback.event import named_key
from earmark.feedback.simulation.chance import generator
from earmark.feedback.simulation.period import DAY_US, START_US
from earmark.params import Listeners

_PARETO = 1.8  # exponent of the tail: of 355 songs the most popular one draws about a twentieth of the attention
_POPULARITY_AND_QUALITY = 0.4  # correlation, before one is bent into a Pareto variable
_OLD_SHARE = 0.6  # of the songs are there when the period begins; the others appear during its first nine tenths
_OLDEST_DAYS = 5 * 365
_STRANGERS = 0.03  # songs that the catalogue does not have, as a share of those that it has
_FEWEST_STRANGERS = 2

COLUMNS = ("track_id", "title", "artist", "album", "genre", "isrc", "duration_s")


def songs_of(tracks: pd.DataFrame, params: Listeners) -> pd.DataFrame:
    """What can be heard: the tracks in order of their track_id, then a few songs that are in no catalogue.

    Args:
        tracks: Columns as `earmark.catalogue.track.Track`; needed are track_id, title, artist and duration_s. Tracks
            without title or artist are left out: no service could name them.
        params: The section ``listeners``.

    Returns:
        A row for each song: what the catalogue says of it (track_id is None for strangers), ``category`` (from 0),
        ``quality`` (in logits), ``popularity`` (mean 1), ``drift`` (in logits a year), ``available_from`` (midnight
        UTC), ``ambiguous`` (another song has the same title and artist, however written: `named_key`).

    Raises:
        FeedbackError: No track has a title and an artist.
    """
    named = tracks.reindex(columns=list(COLUMNS)).dropna(subset=["track_id", "title", "artist", "duration_s"])
    if named.empty:
        raise FeedbackError(
            f"None of the {len(tracks)} tracks has both a title and an artist, so no service could name them. Fill "
            "them in: from the files' tags, or with `earmark label`."
        )
    named = named.sort_values("track_id", ignore_index=True).astype(object)
    songs = pd.concat([named, _strangers(named)], ignore_index=True).astype(object)
    songs = songs.where(songs.notna(), None)
    songs["duration_s"] = songs["duration_s"].astype(float)
    return _with_traits(songs, params)


def _strangers(named: pd.DataFrame) -> pd.DataFrame:
    count = max(_FEWEST_STRANGERS, round(_STRANGERS * len(named)))
    return pd.DataFrame(
        {
            "title": [f"Song That Nobody Catalogued No. {number}" for number in range(1, count + 1)],
            "artist": [f"The Absent {('Two', 'Three', 'Four', 'Five')[number % 4]}" for number in range(count)],
            "duration_s": [named["duration_s"].iloc[number % len(named)] for number in range(count)],
        },
        columns=list(COLUMNS),
        dtype=object,
    )


def _with_traits(songs: pd.DataFrame, params: Listeners) -> pd.DataFrame:
    random, count = generator(params.seed, "songs"), len(songs)
    belongs, anywhere, old, when = random.random((4, count))
    good, heard, drifting = random.standard_normal((3, count))
    anywhere = (anywhere * params.categories).astype(int)
    home = _home(songs["genre"], params, random)
    popularity = _pareto(_POPULARITY_AND_QUALITY * good + np.sqrt(1 - _POPULARITY_AND_QUALITY**2) * heard)
    days = np.where(old < _OLD_SHARE, -when * _OLDEST_DAYS, when * 0.9 * params.days)
    keys = pd.Series([named_key(title, artist) for title, artist in zip(songs["title"], songs["artist"], strict=True)])
    return songs.assign(
        category=np.where((home >= 0) & (belongs < params.genre_link), home, anywhere),
        quality=params.quality * good,
        popularity=popularity / popularity.mean(),
        drift=params.drift_per_year * drifting,
        available_from=pd.to_datetime(START_US + np.floor(days).astype(np.int64) * DAY_US, unit="us", utc=True),
        ambiguous=keys.duplicated(keep=False).to_numpy(),
    )


def _home(genres: "pd.Series[str]", params: Listeners, random: np.random.Generator) -> npt.NDArray[np.int64]:
    """Each song's category if it is like its genre; -1 where no genre is known."""
    found = random.permutation(sorted(genres.dropna().unique()))
    home = {genre: number % params.categories for number, genre in enumerate(found)}
    return np.array([home.get(genre, -1) for genre in genres], dtype=np.int64)


def _pareto(normal: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Standard normal values as a Pareto variable, at least 1, in the same order."""
    bent: npt.NDArray[np.float64] = ndtr(-normal) ** (-1 / _PARETO)
    return bent


def made_up_tracks(count: int, *, genres: int = 8, duration_s: float = 200.0) -> pd.DataFrame:
    """A catalogue of names alone, for a bench or a test without recordings.

    Args:
        count: How many tracks.
        genres: In turn.
        duration_s: Of each, in seconds.
    """
    numbers = np.arange(count)
    return pd.DataFrame(
        {
            "track_id": [f"made-up/{number:07d}" for number in numbers],
            "title": [f"Piece No. {number}" for number in numbers],
            "artist": [f"Ensemble {number % 97}" for number in numbers],
            "genre": [f"genre {number % genres}" for number in numbers],
            "isrc": [f"QZMUP22{number:05d}" if number < 100_000 else None for number in numbers],
            "duration_s": np.full(count, duration_s),
        }
    )
