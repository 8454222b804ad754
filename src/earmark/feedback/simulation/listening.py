"""What listeners do with the songs they meet: hear them again, choose them, skip them, stop, or let them play.

That they skip a song tells that they do not like it, but not surely: a mood lies over a whole session, so that skips
come together (Brost, Mehrotra and Jehan, "The Music Streaming Sessions Dataset", WWW 2019), chosen songs are skipped
less than those that come by themselves, and in a background session nothing is skipped, liked or not. Skips come
early, a few seconds in (Lamere, "The Skip", 2014: on Spotify 24 % of all plays end within 5 s, 35 % within 30 s, 49 %
before the song does; here it is about a third, for most of what is played has been met before).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit

from earmark.feedback.event import Ended, Started

STARTED: tuple[Started, ...] = ("chosen", "continued")
ENDED: tuple[Ended, ...] = ("complete", "skipped", "stopped", "failed")
CHOSEN, CONTINUED = range(2)
COMPLETE, SKIPPED, STOPPED, FAILED = range(4)

# Tables by whether the song is liked: [no, yes].
_REPEATS = np.array([0.25, 2.0])  # mean times that a song is heard again by a listener of mean activity, given time
_PATIENCE_DAYS = 30.0  # so long after the meeting 63 % of the repeats are to be expected
_CHOSEN_FIRST = np.array(
    [0.2, 0.3]
)  # probability that a song is chosen when it is met; taste decides before it is heard
_CHOSEN_AGAIN = np.array([0.1, 0.55])
_CHOSEN_AT_BEGIN = 0.7  # of a session
_SKIP = np.array([[0.55, 0.85], [0.16, 0.40]])  # [liked, started]: probability in the middling mood
_EARLY_SKIP = np.array([0.85, 0.55])  # share of the skips that come within seconds, the others come anywhere

_MOOD = 0.9  # spread over sessions, in logits
_BACKGROUND = 0.15  # share of the sessions in which nothing is skipped
_STOP_AT_END, _STOP_BEFORE = 0.4, 0.01  # probability of stopping in the middle: the last play of a session, another
_FAILURE = 0.003
_REACTION_S, _REACTION_SPREAD = 4.0, 0.6  # median until an early skip, and its spread in logarithms
_SHORTEST_MS = 500

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Outcome:
    """How plays went, all of shape ``(plays,)``: places in `STARTED` and `ENDED`, and milliseconds."""

    started: npt.NDArray[np.int8]
    ended: npt.NDArray[np.int8]
    ms_played: npt.NDArray[np.int32]


def expected_repeats(likes: Floats, days: Floats, activity: Floats) -> Floats:
    """How often a song is heard again, on average.

    Args:
        likes: How probable it is that it is liked.
        days: How many are left when it is met.
        activity: Of the listener, times the mean: who listens more hears more songs, and each of them more often.
    """
    often = (_REPEATS[0] + likes * (_REPEATS[1] - _REPEATS[0])) * np.sqrt(activity)
    return np.asarray(often * -np.expm1(-days / _PATIENCE_DAYS))


def repeats(liked: Bools, days: Floats, activity: Floats, random: np.random.Generator) -> tuple[Ints, Floats]:
    """Which meetings are repeated, and when; counts are geometric, so a few songs are heard very often.

    Args:
        liked: Whether the song is liked, shape ``(meetings,)``.
        days: How many are left when it is met.
        activity: Of the listener, times the mean.
        random: Where the draws come from.

    Returns:
        The meeting and the days that are left then, of shape ``(repeats,)``; rather soon after the meeting than late.
    """
    counts = random.geometric(1 / (1 + expected_repeats(liked.astype(np.float64), days, activity))) - 1
    meeting = np.repeat(np.arange(len(liked)), counts)
    return meeting, days[meeting] * np.sqrt(random.random(len(meeting)))


def outcomes(
    *,
    liked: Bools,
    again: Bools,
    session: Ints,
    begins: Bools,
    ends: Bools,
    duration_ms: Floats,
    random: np.random.Generator,
) -> Outcome:
    """How each play goes.

    Args:
        liked: Whether the listener likes the song; all arrays have the shape ``(plays,)``.
        again: Whether the listener has met it before.
        session: Its number, from 0, in order.
        begins: Whether it is the session's first play.
        ends: Whether it is the session's last.
        duration_ms: Of the song.
        random: Where the draws come from.
    """
    plays, sessions = len(liked), int(session[-1]) + 1 if len(session) else 0
    mood = _MOOD * random.standard_normal(sessions)
    mood[random.random(sessions) < _BACKGROUND] = -np.inf
    likes = liked.astype(np.int64)
    choosing, skipping, stopping, failing, early, where = random.random((6, plays))
    reacting = random.standard_normal(plays)
    chosen = np.where(again, _CHOSEN_AGAIN[likes], _CHOSEN_FIRST[likes])
    started = np.where(choosing < np.where(begins, np.maximum(chosen, _CHOSEN_AT_BEGIN), chosen), CHOSEN, CONTINUED)
    ended = np.full(plays, COMPLETE)
    ended[stopping < np.where(ends, _STOP_AT_END, _STOP_BEFORE)] = STOPPED
    ended[skipping < expit(logit(_SKIP[likes, started]) + mood[session])] = SKIPPED
    ended[failing < _FAILURE] = FAILED
    reaction = 1000 * _REACTION_S * np.exp(_REACTION_SPREAD * reacting)
    skipped = np.where(early < _EARLY_SKIP[likes], np.minimum(reaction, 0.9 * where * duration_ms), where * duration_ms)
    ms = np.select(
        [ended == COMPLETE, ended == SKIPPED, ended == STOPPED],
        [duration_ms, skipped, where * duration_ms],
        0.1 * skipped,
    )
    ms = np.minimum(np.maximum(ms, _SHORTEST_MS), duration_ms)
    return Outcome(started.astype(np.int8), ended.astype(np.int8), np.rint(ms).astype(np.int32))
