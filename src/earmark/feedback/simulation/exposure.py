"""Who meets which song, and when: a race of exponential clocks, one for each listener and song.

A clock runs from when the song can be heard, the faster the more the listener listens, the more popular the song is
and the more it suits the listener's taste (self-selection and recommendation alike: Schnabel et al. 2016; Chaney,
Stewart and Engelhardt, "How algorithmic confounding in recommendation systems increases homogeneity", RecSys 2018).
What rings before the period ends is met. The order in which songs are met is that of drawing without replacement by
weight (Plackett and Luce), songs that were there for longer have been met by more, and with strength 0 all clocks of a
listener run alike.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from earmark.errors import FeedbackError
from earmark.feedback.simulation.chance import generator
from earmark.feedback.simulation.listening import expected_repeats
from earmark.feedback.simulation.people import People
from earmark.feedback.simulation.period import DAY_US, START_US, end_us
from earmark.feedback.simulation.truth import Liking
from earmark.params import Listeners

_TASTE = 0.7  # by how much a logit of taste speeds the clock up, at strength 1: 1.2 logits make it 2.3 times as fast
_PROBED = 1024  # listeners on whom the pace is found
_PROBE = 2**31  # no part of the listeners has this number
_STEPS = 40  # halvings

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Exposure:
    """How fast the clocks run.

    Attributes:
        speed: Of the songs, by popularity, shape ``(songs,)``.
        pull: Of the categories, by taste, shape ``(people, categories)``.
        category: Of the songs, shape ``(songs,)``.
        activity: Of the listeners, times the mean, shape ``(people,)``.
        days: For how long each song could be heard within the period, shape ``(songs,)``.
        pace: Songs that a listener of mean activity would meet a day, if there were no end of songs.
    """

    speed: Singles
    pull: Singles
    category: Ints
    activity: Floats
    days: Floats
    pace: float = 1.0

    def rates(self, listeners: Ints) -> Singles:
        """Rings a day for each of ``listeners`` and each song, shape ``(listeners, songs)``."""
        weight = self.pull[listeners][:, self.category] * self.speed
        total = weight.sum(axis=1, dtype=np.float64)
        return np.asarray(weight * (self.pace * self.activity[listeners] / total).astype(np.float32)[:, None])


def exposure_of(songs: pd.DataFrame, people: People, liking: Liking, params: Listeners) -> Exposure:
    """The clocks of a world, at the pace at which its listeners play as much as ``params`` says.

    Raises:
        FeedbackError: So few songs cannot fill so many plays.
    """
    since = songs["available_from"].astype("datetime64[us, UTC]").astype(np.int64).to_numpy()
    exposure = Exposure(
        speed=(songs["popularity"].to_numpy() ** params.exposure).astype(np.float32),
        pull=np.exp(params.exposure * _TASTE * people.taste).astype(np.float32),
        category=songs["category"].to_numpy(np.int64),
        activity=people.table["activity"].to_numpy(np.float64)[: people.count],
        days=(end_us(params) - np.maximum(since, START_US)) / DAY_US,
    )
    return _at_pace(exposure, liking, params)


def _at_pace(exposure: Exposure, liking: Liking, params: Listeners) -> Exposure:
    """The pace is found by halving, on listeners from all ranks of activity and on clocks that are drawn once."""
    order = np.argsort(exposure.activity, kind="stable")
    probed = order[:: -(-len(order) // _PROBED)]
    songs = np.arange(len(exposure.category))
    clocks = generator(params.seed, "meetings", part=_PROBE).standard_exponential((len(probed), len(songs)))
    slowest, likes = exposure.rates(probed).astype(np.float64), liking.probability(probed[:, None], songs[None, :])
    activity = np.broadcast_to(exposure.activity[probed, None], likes.shape)

    def plays(pace: float) -> float:
        left = exposure.days - clocks / (slowest * pace)
        met = left > 0
        return float((1 + expected_repeats(likes[met], left[met], activity[met])).sum() / len(probed))

    low, high = 1e-6, 1e6
    if plays(high) < params.plays_per_listener:
        raise FeedbackError(
            f"{len(songs)} songs are too few for {params.plays_per_listener:g} plays by each listener: even if all met "
            f"all of them at once it would be {plays(high):.0f}. Take more songs, or lower "
            "listeners.plays_per_listener."
        )
    for _ in range(_STEPS):
        middle = (low * high) ** 0.5
        low, high = (low, middle) if plays(middle) > params.plays_per_listener else (middle, high)
    return replace(exposure, pace=high)


def meet(exposure: Exposure, listeners: Ints, random: np.random.Generator) -> tuple[Ints, Ints, Floats]:
    """Who of ``listeners`` meets what.

    Returns:
        Each of shape ``(meetings,)``, in order of listeners and songs: the listener's place in ``listeners``, the song,
        and how many days before the period's end they meet.
    """
    rates = exposure.rates(listeners)
    clocks = random.standard_exponential(rates.shape, dtype=np.float32)
    clocks /= rates
    rows, songs = np.nonzero(clocks < exposure.days.astype(np.float32))
    left = np.maximum(exposure.days[songs] - clocks[rows, songs], 0.0)
    return rows, songs, left
