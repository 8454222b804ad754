"""What listeners say: that they love or hate a song, and what they call it. Only ListenBrainz tells it.

Few say anything, lovers more often than others (missing not at random: Marlin and Zemel 2009; people rate what they
feel strongly about), some click beside the mark, some take it back. Tags come from few listeners, in many spellings,
and some are about the listener and not about the song (Lamere, "Social tagging and music information retrieval",
2008).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from earmark.feedback.simulation.period import DAY_US, SECOND_US
from earmark.params import Listeners

WORDS = (
    "chill", "dance", "late night", "feel good", "melancholic", "epic", "folk dance", "sing along", "study",
    "road trip", "sunday morning", "hip hop",
)  # fmt: skip
NOISE = ("seen live", "favourites", "to check", "my playlist 3")

_OWN_WORDS = 0.75  # share of a category's tags that are words of its own
_NOISE_SHARE = 0.08  # of all tags
_PLAIN_SHARE = 0.5  # of all tags are in the commonest spelling
_TAGGERS = 0.2  # of the listeners
_TAG_SHARE = np.array([0.15, 0.6])  # [liked]: of the songs a tagger meets
_WORDS_EACH = 1.6  # tags of a tagged song by one listener, on average; at most 3

_TALKATIVE = 0.5  # shape of the gamma variable by which listeners differ in how much they say: a few say most
_MOST = 0.9
_SLIPS = 0.02  # of the reactions say the opposite of what is meant
_TAKEN_BACK = 0.04
_LATER_S, _BACK_DAYS = (2, 60), (1, 10)  # after the play; after the reaction

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def _spelled(word: str) -> tuple[str, ...]:
    """How people write it; the first one is the commonest."""
    return (
        word,
        word.title(),
        word.replace(" ", "-"),
        word.title().replace(" ", "-"),
        word + "!",
        word + "s",
        "#" + word,
    )


_VARIANTS = tuple(_spelled(word) for word in WORDS)
SPELLINGS: tuple[str, ...] = tuple(dict.fromkeys([*(text for texts in _VARIANTS for text in texts), *NOISE]))
_PLACES = np.array([[SPELLINGS.index(text) for text in texts] for texts in _VARIANTS])
_NOISE_PLACES = np.array([SPELLINGS.index(text) for text in NOISE])


def word_shares(categories: int) -> pd.DataFrame:
    """How probable each word is for a song of each category, noise aside: rows are categories, columns `WORDS`."""
    belongs = np.arange(len(WORDS))[None, :] % categories == np.arange(categories)[:, None]
    own = belongs / np.maximum(belongs.sum(axis=1, keepdims=True), 1)
    share = np.where(belongs.any(axis=1, keepdims=True), _OWN_WORDS, 0.0)
    return pd.DataFrame(share * own + (1 - share) / len(WORDS), columns=list(WORDS))


@dataclass(frozen=True)
class Said:
    """What is said, of shape ``(said,)``.

    Attributes:
        meeting: About which meeting of listener and song.
        at_us: When.
        what: For reactions 1 love, 0 hate, -1 taken back; for tags the place in `SPELLINGS`.
    """

    meeting: Ints
    at_us: Ints
    what: Ints


def reactions(
    listener: Ints, liked: Bools, at_us: Ints, end: int, params: Listeners, random: np.random.Generator
) -> Said:
    """Who says of which song that they love or hate it.

    Args:
        listener: Who met the song, counted from 0, shape ``(meetings,)``.
        liked: Whether they like it.
        at_us: When they had first heard it.
        end: Nothing is taken back after it.
        params: The section ``listeners``.
        random: Where the draws come from.
    """
    talkative = random.gamma(_TALKATIVE, 1 / _TALKATIVE, int(listener.max(initial=-1)) + 1)
    saying, slipping, unsaying = random.random((3, len(listener)))
    share = talkative[listener] * np.where(liked, params.love_share, params.hate_share)
    said = np.flatnonzero(saying < np.minimum(share, _MOST))
    at = at_us[said] + random.integers(*_LATER_S, len(said)) * SECOND_US
    loves = liked[said] ^ (slipping[said] < _SLIPS)
    later = at + random.integers(*_BACK_DAYS, len(said)) * DAY_US
    back = (unsaying[said] < _TAKEN_BACK) & (later < end)
    return Said(
        np.concatenate([said, said[back]]),
        np.concatenate([at, later[back]]),
        np.concatenate([loves.astype(np.int64), np.full(int(back.sum()), -1)]),
    )


def tags(
    listener: Ints, liked: Bools, category: Ints, at_us: Ints, categories: int, random: np.random.Generator
) -> Said:
    """Who calls which song what; arguments as for `reactions`, ``category`` that of the song."""
    tagger = random.random(int(listener.max(initial=-1)) + 1) < _TAGGERS
    tagged = np.flatnonzero(tagger[listener] & (random.random(len(listener)) < _TAG_SHARE[liked.astype(np.int64)]))
    each = np.minimum(random.geometric(1 / _WORDS_EACH, len(tagged)), 3)
    meeting = np.repeat(tagged, each)
    choosing, spelling, straying = random.random((3, len(meeting)))
    ladder = word_shares(categories).to_numpy().cumsum(axis=1)[category[meeting]]
    word = np.minimum((choosing[:, None] > ladder).sum(axis=1), len(WORDS) - 1)
    odd = 1 + ((spelling - _PLAIN_SHARE) / (1 - _PLAIN_SHARE) * (_PLACES.shape[1] - 1)).astype(np.int64)
    what = _PLACES[word, np.where(spelling < _PLAIN_SHARE, 0, odd)]
    noise = straying < _NOISE_SHARE
    what[noise] = _NOISE_PLACES[(straying[noise] / _NOISE_SHARE * len(NOISE)).astype(np.int64)]
    _, once = np.unique(meeting * len(SPELLINGS) + what, return_index=True)
    return Said(meeting[once], at_us[meeting[once]], what[once])
