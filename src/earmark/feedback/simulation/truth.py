"""Who likes what, and from it the truth: for each song the share of all listeners, met or not, who like it.

Liking is the item response model of Rasch (1960), with a taste for each category in place of one ability: the logit of
its probability is a constant, plus the listener's taste for the song's category, plus the song's quality.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import expit

from earmark.feedback.simulation.people import People
from earmark.feedback.simulation.period import DAY_US, end_us
from earmark.params import Listeners

_BASE = -0.5  # logit: with it 0.41 of all listeners like a song, on average; 0.39 in Emotify
_AT_A_TIME = 4_000_000  # pairs of listener and song

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Liking:
    """How probable it is that a listener likes a song.

    Attributes:
        taste: In logits, shape ``(people, categories)``.
        category, quality, drift: Of each song, shape ``(songs,)``; quality in logits at ``end``, drift in logits a
            year.
        end: In microseconds since 1970.
    """

    taste: Floats
    category: Ints
    quality: Floats
    drift: Floats
    end: int

    def probability(self, listener: Ints, song: Ints, at_us: Ints | None = None) -> Floats:
        """That each ``listener`` likes each ``song`` at its time, or at the end; shapes as broadcast together."""
        logit = _BASE + self.taste[listener, self.category[song]] + self.quality[song]
        if at_us is not None:
            logit = logit + self.drift[song] * ((at_us - self.end) / (365 * DAY_US))
        return np.asarray(expit(logit), dtype=np.float64)


def liking_of(songs: pd.DataFrame, people: People, params: Listeners) -> Liking:
    """The liking of these people for these songs."""
    return Liking(
        taste=people.taste,
        category=songs["category"].to_numpy(np.int64),
        quality=songs["quality"].to_numpy(np.float64),
        drift=songs["drift"].to_numpy(np.float64),
        end=end_us(params),
    )


def with_appeal(songs: pd.DataFrame, people: People, params: Listeners) -> pd.DataFrame:
    """``songs`` with the truth, exactly: no draw has a part in it.

    Returns:
        ``songs``, and the columns ``appeal``: the mean over all listeners, bots aside, of the probability that they
        like the song at the end of the period; ``appeal_group_0`` …, ``appeal_age_20`` …, ``appeal_country_DE`` …: the
        same within a segment, as many as have listeners.
    """
    segments = {"appeal": np.ones(people.count, dtype=bool)}
    humans = people.table[~people.table["bot"]]
    for column, name in (("group", "group"), ("age_band", "age"), ("country", "country")):
        for value in sorted(humans[column].unique()):
            segments[f"appeal_{name}_{value}"] = (humans[column] == value).to_numpy()
    means = segment_means(liking_of(songs, people, params), np.stack(list(segments.values())))
    return songs.assign(**dict(zip(segments, means, strict=True)))


def segment_means(liking: Liking, members: npt.NDArray[np.bool_]) -> Floats:
    """The mean probability of liking each song within each segment.

    Args:
        liking: Of ``people`` for ``songs``.
        members: Who belongs to which segment, shape ``(segments, people)``.

    Returns:
        Shape ``(segments, songs)``.
    """
    people, songs = members.shape[1], len(liking.category)
    total, step = np.zeros((len(members), songs)), max(1, _AT_A_TIME // songs)
    for begin in range(0, people, step):
        some = np.arange(begin, min(begin + step, people))
        total += members[:, some] @ liking.probability(some[:, None], np.arange(songs)[None, :])
    means: Floats = total / members.sum(axis=1, keepdims=True)
    return means
