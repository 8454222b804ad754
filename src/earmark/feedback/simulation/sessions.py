"""When plays happen: gathered into sessions at the hours that people listen at, one song after the other.

Plays are put off until the session's last one is due, never brought forward, so that nothing is heard before it can be;
and within a day they move to the hours at which the listener listens, which leaves their order as it is.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from earmark.feedback.simulation.period import DAY_US, SECOND_US

_LENGTH = 8.0  # plays of a session, on average
_PAUSE_S = (1.0, 4.0)  # between two plays
# How much is listened to from midnight on, hour by hour (local): little at night, much in the evening.
_HOURS = (3, 2, 1, 1, 1, 1, 2, 5, 7, 6, 6, 6, 7, 7, 7, 7, 8, 9, 10, 10, 9, 8, 6, 4)
_GRID = 1440  # minutes of a day

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Sessions:
    """To which session each play belongs, all of shape ``(plays,)``.

    Attributes:
        number: Of the session, from 0 on over all listeners.
        begins, ends: Whether the play is its first, its last.
        due_us: When the session begins at the earliest.
    """

    number: Ints
    begins: Bools
    ends: Bools
    due_us: Ints


def sessions_of(listener: Ints, due_us: Ints, habits: Ints, random: np.random.Generator) -> Sessions:
    """Gather plays, in order of listener and time, into sessions.

    Args:
        listener: Whose play it is, shape ``(plays,)``.
        due_us: From when on it may be, shape ``(plays,)``.
        habits: By how many hours each play's listener lives later than others, 0 to 23: time zone and habit.
        random: Where the draws come from.
    """
    begins = random.random(len(listener)) < 1 / _LENGTH
    begins[np.flatnonzero(np.diff(listener)) + 1] = True
    begins[:1] = True
    ends = np.append(begins[1:], True)[: len(begins)]
    number = np.cumsum(begins) - 1
    last = due_us[ends]
    return Sessions(number, begins, ends, _at_usual_hours(last, habits[ends])[number])


def _at_usual_hours(at_us: Ints, habits: Ints) -> Ints:
    """Times moved within their day, in order, so that times spread evenly come to lie as `_HOURS` says."""
    day, within = np.divmod(at_us, DAY_US)
    place = within * (_GRID / DAY_US)
    low = np.minimum(place.astype(np.int64), _GRID - 1)
    table = _quantiles()[habits]
    begin, end = table[np.arange(len(low)), low], table[np.arange(len(low)), low + 1]
    share = np.minimum(begin + (end - begin) * (place - low), 1 - 1e-9)
    return np.asarray(day * DAY_US + (share * DAY_US).astype(np.int64))


def _quantiles() -> Floats:
    """Of the hours' distribution, for each habit: the share of the day at each of `_GRID` + 1 even steps."""
    steps = np.linspace(0, 1, _GRID + 1)
    rows = []
    for later in range(24):
        shares = np.roll(_HOURS, later) / sum(_HOURS)
        rows.append(np.interp(steps, np.concatenate([[0], np.cumsum(shares)]), np.linspace(0, 1, 25)))
    return np.stack(rows)


def ends_us(listener: Ints, due_us: Ints, ms_played: npt.NDArray[np.int32], random: np.random.Generator) -> Ints:
    """When each play ends, in whole seconds: as soon as it is due and the listener's play before it is over.

    Args:
        listener: Whose play it is, counted from 0, shape ``(plays,)``, in order.
        due_us: As in `Sessions`.
        ms_played: For how long it sounds.
        random: Where the pauses come from.
    """
    if not len(listener):
        return due_us
    pause = random.uniform(*_PAUSE_S, len(listener)) * SECOND_US
    took = ms_played.astype(np.int64) * 1000 + pause.astype(np.int64)
    before = np.cumsum(took) - took
    starts = np.searchsorted(listener, np.arange(int(listener[-1]) + 1))
    before -= before[np.minimum(starts, len(before) - 1)][listener]
    # A play begins when it is due, or when all that are due earlier are over: the latest of these is a running maximum.
    # Each listener's times are lifted above those of the one before, so that one run over all will do.
    slack = due_us - before
    lift = int(slack.max() - slack.min()) + 1
    begins = np.maximum.accumulate(slack + listener * lift) - listener * lift + before
    ended: Ints = (begins + ms_played.astype(np.int64) * 1000) // SECOND_US * SECOND_US
    return ended
