"""The listeners: groups of like taste, each with its own mix of ages and countries; and how much each one listens.

Activity is a Lomax variable (Pareto from 0 on): most listen little, a few very much, independently of what they like.
So a mean over plays is mostly about those few, and still not biased.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from earmark.feedback.simulation.chance import generator
from earmark.params import Listeners

# Where listeners live, and how many hours later than in UTC their day begins.
COUNTRIES = {"DE": -2, "US": 5, "SE": -2, "BR": 3, "JP": -9, "GB": -1}
_HOME_SHARE = 0.6  # of a group's listeners live in the group's country, the others in any
_AGES = (19.0, 52.0)  # mean ages of the youngest and the oldest group
_AGE_SPREAD = 7.0  # years, within a group
_YOUNGEST, _OLDEST = 13, 85
_LOMAX = 2.0  # exponent of the tail
_MOST_ACTIVE = 30.0  # times the mean
_NEW_FORM = 3  # listeners of Spotify who come with an export of their own, in its newer form

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class People:
    """All who listen.

    Attributes:
        table: A row for each: ``name``, ``group`` (from 0; -1 for bots), ``age`` in years, ``age_band`` (the decade's
            first year), ``country``, ``service`` (spotify, listenbrainz), ``export`` (endsong: Spotify's older form,
            many listeners in a file; streaming_history: its newer form, a folder for each; listenbrainz), ``activity``
            (times the mean), ``bot``. Bots come last.
        taste: In logits, for each listener who is none and each category, shape ``(people, categories)``.
    """

    table: pd.DataFrame
    taste: Floats

    @property
    def count(self) -> int:
        """How many there are, without bots."""
        return len(self.taste)


def people_of(params: Listeners) -> People:
    """The listeners and, behind them, the bots."""
    humans, everybody = params.listeners, params.listeners + params.bots
    random = generator(params.seed, "people")
    group = random.permutation(np.repeat(np.arange(params.groups), group_sizes(params)))
    at_home, elsewhere = random.random((2, humans))
    country = np.where(at_home < _HOME_SHARE, group % len(COUNTRIES), (elsewhere * len(COUNTRIES)).astype(int))
    means = np.linspace(*_AGES, params.groups)[group]
    age = np.clip(np.rint(means + _AGE_SPREAD * random.standard_normal(humans)), _YOUNGEST, _OLDEST).astype(int)
    export = np.full(everybody, "listenbrainz", dtype=object)
    on_spotify = random.permutation(humans)[: round(params.spotify_share * humans)]
    export[on_spotify] = "endsong"
    export[on_spotify[:_NEW_FORM]] = "streaming_history"
    if len(on_spotify):
        export[humans::2] = "endsong"
    bots = params.bots
    table = pd.DataFrame(
        {
            "name": [f"listener{number:05d}" for number in range(everybody)],
            "group": np.append(group, np.full(bots, -1)),
            "age": np.append(age, np.full(bots, 30)),
            "country": [*(tuple(COUNTRIES)[number] for number in country), *(["US"] * bots)],
            "service": np.where(export == "listenbrainz", "listenbrainz", "spotify"),
            "export": export,
            "activity": np.append(_activity(params), np.zeros(bots)),
            "bot": np.arange(everybody) >= humans,
        }
    )
    table.insert(3, "age_band", table["age"] // 10 * 10)
    return People(table, _tastes(group, params))


def group_sizes(params: Listeners) -> npt.NDArray[np.int64]:
    """How many listeners each group has: fewer from group to group, as one over the root of its rank; exact in all."""
    shares = 1 / np.sqrt(np.arange(1, params.groups + 1))
    ends = np.rint(np.cumsum(shares) / shares.sum() * params.listeners).astype(np.int64)
    sizes: npt.NDArray[np.int64] = np.diff(ends, prepend=0)
    return sizes


def _tastes(group: npt.NDArray[np.int64], params: Listeners) -> Floats:
    """What a listener's group likes, what the listener likes, and how easily pleased the listener is, all added up.

    The groups' tastes are at right angles as far as there are categories enough, so that no two groups are alike by
    chance (the nearest such matrix to a random one: Löwdin 1950).
    """
    random = generator(params.seed, "tastes")
    left, _, right = np.linalg.svd(random.standard_normal((params.groups, params.categories)), full_matrices=False)
    groups = params.group_taste * np.sqrt(max(params.groups, params.categories)) * left @ right
    own = params.own_taste * random.standard_normal((params.listeners, params.categories + 1))
    tastes: Floats = groups[group] + own[:, :-1] + own[:, -1:]
    return tastes


def _activity(params: Listeners) -> Floats:
    drawn = generator(params.seed, "activity").random(params.listeners)
    activity = np.minimum((1 - drawn) ** (-1 / _LOMAX) - 1, _MOST_ACTIVE)
    return np.asarray(activity / activity.mean(), dtype=np.float64)
