"""From events to evidence: what each listener's doings with each track say about liking it.

An answer (like, dislike, rating) says it outright; the latest one counts. Doings are graded:

* a play counts by how much of the track was heard, and by who chose it: picked by the listener it says much, carried on
  by the player little (background music is no vote);
* coming back counts, each further time for less (as the logarithm, after Hu, Koren & Volinsky 2008);
* a skip by the listener's own wish counts against the track (skips tell of dissatisfaction or lack of interest:
  Meggetto et al., "On skipping behaviour types in music streaming sessions", CIKM 2021), the more the earlier it came,
  which is an assumption; one just before the end counts for nothing. A play that broke off, nobody knows why, counts
  against it by as much less as it is likely to be something else.

Some services tell of one listening in pieces: a row ends with each pause. `_whole_listenings` joins them.

All of it fades with time, by half in each half-life (Ding & Li, "Time weight collaborative filtering", CIKM 2005). What
it means, in odds for liking, is learnt from listeners who gave answers *and* listened (`calibrate`); where too few did,
it is an assumption, and the report says so.
"""

from dataclasses import dataclass, fields, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from earmark.feedback.event import KINDS
from earmark.params import Targets

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

PLAY, SKIP, LIKE, DISLIKE, RATING = map(KINDS.index, ("play", "skip", "like", "dislike", "rating"))
_DAY_US = 86_400_000_000.0
_ENOUGH = 30  # answers of either kind, by listeners who also listened; fewer teach nothing that is sure
DOINGS = ("heard", "skipped", "returned")
_FADED = 1e-6  # of an answer's weight; what is left of less teaches nothing
_SURELY = 20_000  # answers, of which chance leaves nothing open
_REDRAWS = 10
_COMPLETE = 0.95  # of a track: what is left out at its end is silence
_PAUSE_US = 1_800_000_000.0  # half an hour, an assumption; from start to start or end to end, so with one piece in it


@dataclass(frozen=True)
class Doings:
    """Events of tracks, one row each; shape ``(events,)`` each, NaN where nothing is known.

    Attributes:
        track: Number of the track.
        listener: Number of the listener.
        at_us: Microseconds since 1970.
        kind: Place of the kind in `KINDS`; only ``play, skip, like, dislike, rating`` count here.
        share: How much of the track was heard, 0 to 1.
        value: As `Event.value`.
        times: As `Event.times`.
        chosen: 1 chosen by the listener, 0 carried on by the player.
        failed: Whether it ended by an error.
        open: Whether nobody knows why it ended.
        stopped: Whether it was stopped or paused, and not to hear something else.
    """

    track: Ints
    listener: Ints
    at_us: Floats
    kind: npt.NDArray[np.int8]
    share: Floats
    value: Floats
    times: Floats
    chosen: Floats
    failed: npt.NDArray[np.bool_]
    open: npt.NDArray[np.bool_]
    stopped: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Meaning:
    """What doings say: ``log λ = intercept + heard · … − skipped · … + returned · …``, all three at least 0.

    Attributes:
        intercept: Log likelihood ratio where nothing was done.
        heard, skipped, returned: Its change per unit of what is so called in `DOINGS`.
        learnt_from: How many pairs taught it; 0 where it is assumed.
    """

    intercept: float
    heard: float
    skipped: float
    returned: float
    learnt_from: int

    def log_ratio(self, pairs: pd.DataFrame) -> Floats:
        """Log likelihood ratios for liking, shape ``(pairs,)``; NaN where nothing was heard."""
        slopes = np.array([self.heard, -self.skipped, self.returned])
        return np.asarray(self.intercept + pairs[list(DOINGS)].to_numpy(dtype=np.float64) @ slopes)


def pair_up(doings: Doings, now_us: float, params: Targets) -> pd.DataFrame:
    """What each listener did with each track.

    Args:
        doings: Of listeners who are told apart.
        now_us: The time from which age is counted: that of the latest event.
        params: How much counts what, and how fast it fades.

    Returns:
        One row a pair, sorted by track and listener: ``track``, ``listener``, ``answer`` (the share of a yes: 1 likes
        it, 0 does not, between for ratings; NaN without an answer), ``weight`` (of the answer, 0 to 1: less the older
        it is), ``disliked`` (1 said so, 0 did not when asked; NaN: was not asked), ``heard`` and ``skipped`` (whole
        plays, and skips at once, that all together are worth, as log2 of one more), ``returned`` (log2 of how often it
        was heard, faded; NaN all three where it was not), ``plays`` (how often, skips included), ``first_us`` (when
        first; NaN where no time is known).
    """
    listeners, listener = np.unique(doings.listener, return_inverse=True)
    keys, pair = np.unique(doings.track * max(len(listeners), 1) + listener, return_inverse=True)
    size = len(keys)
    doings, pair = _whole_listenings(doings, pair, size)
    faded = _faded(doings.at_us, now_us, params.half_life_days)
    heard = np.isin(doings.kind, [PLAY, SKIP]) & ~doings.failed
    dated = ~np.isnan(doings.at_us)
    for_it, against = _graded(doings, params)

    def summed(values: Floats, rows: npt.NDArray[np.bool_]) -> Floats:
        # Counts without a time, and plays with one, tell the same listening twice: the larger counts.
        both = [np.bincount(pair[chosen], values[chosen], size) for chosen in (rows & dated, rows & ~dated)]
        return np.asarray(np.maximum(*both))

    plays = summed(doings.times, heard)
    never = plays == 0
    in_all = {
        "heard": np.where(never, np.nan, np.log2(1 + summed(for_it * faded, heard))),
        "skipped": np.where(never, np.nan, np.log2(1 + summed(against * faded, heard))),
        "returned": np.where(never, np.nan, np.log2(np.maximum(summed(doings.times * faded, heard), 1))),
    }
    first = np.full(size, np.inf)
    np.minimum.at(first, pair[heard & dated], doings.at_us[heard & dated])
    answer, weight = _answers(doings, pair, faded, size)
    frame = pd.DataFrame(
        {
            "track": keys // max(len(listeners), 1),
            "listener": listeners[keys % max(len(listeners), 1)] if size else keys,
            "answer": answer,
            "weight": weight,
            "disliked": _latest(doings, pair, doings.kind == DISLIKE, doings.value, size)[0],
            **in_all,
            "plays": plays,
            "first_us": np.where(np.isinf(first), np.nan, first),
        }
    )
    known = (frame["plays"] > 0) | frame["answer"].notna() | frame["disliked"].notna()
    return frame[known].reset_index(drop=True)


def calibrate(pairs: pd.DataFrame, params: Targets) -> Meaning:
    """What doings say about liking, from the listeners who gave answers and listened; else as assumed.

    By logistic regression of the answer on the doings. Its odds are those of liking among who answered, a choice of
    people for itself; divided by these odds they are a likelihood ratio, which holds for who did not answer as well, if
    the ones and the others listen alike to what they like.
    """
    both = pairs[pairs["answer"].notna() & pairs["heard"].notna() & (pairs["weight"] > _FADED)]
    likes = (both["answer"] > 0.5).to_numpy()
    if min(likes.sum(), (~likes).sum()) < _ENOUGH:
        return _assumed(pairs, params)
    from sklearn.linear_model import LogisticRegression

    weights = both["weight"].to_numpy()
    share = float(weights[likes].sum() / weights.sum())
    signs = np.array([1.0, -1.0, 1.0])
    doings = both[list(DOINGS)].to_numpy() * signs
    used = np.ones(len(DOINGS), dtype=bool)
    while used.any():
        fitted = LogisticRegression(C=10.0).fit(doings[:, used], likes, weights)
        slopes = np.zeros(len(DOINGS))
        slopes[used] = fitted.coef_[0]
        if (slopes >= 0).all():
            intercept = float(fitted.intercept_[0] - np.log(share / (1 - share)))
            heard, skipped, returned = map(float, slopes)
            return Meaning(intercept, heard, skipped, returned, len(both))
        used &= slopes > 0  # doings that would mean the opposite of what they are say nothing
    return Meaning(0.0, 0.0, 0.0, 0.0, len(both))


def redrawn(pairs: pd.DataFrame, meaning: Meaning, params: Targets) -> tuple[Meaning, ...]:
    """What `calibrate` might have learnt from other listeners of the same kind: a bootstrap of those who answered.

    Empty where nothing was learnt, or from so many that it would come out the same.
    """
    if not 0 < meaning.learnt_from <= _SURELY:
        return ()
    both = pairs[pairs["answer"].notna() & pairs["heard"].notna()]
    listeners, place = np.unique(both["listener"].to_numpy(), return_inverse=True)
    rng = np.random.default_rng(params.seed)
    found = []
    for _ in range(_REDRAWS):
        often = np.bincount(rng.integers(0, len(listeners), len(listeners)), minlength=len(listeners))
        drawn = calibrate(both.iloc[np.repeat(np.arange(len(both)), often[place])], params)
        found += [drawn] if drawn.learnt_from else []
    return tuple(found)


def _assumed(pairs: pd.DataFrame, params: Targets) -> Meaning:
    """The odds of params.yaml, and the intercept under which the assumed share of all pairs are likes."""
    slopes = params.odds_heard, params.odds_skipped, params.odds_returned
    ratios = Meaning(0.0, *slopes, 0).log_ratio(pairs[pairs["heard"].notna()])
    if not len(ratios):
        return Meaning(0.0, *slopes, 0)
    odds = np.log(params.like_share / (1 - params.like_share))
    low, high = float(-ratios.max()), float(-ratios.min())
    for _ in range(60):
        middle = (low + high) / 2
        likes = (1 / (1 + np.exp(-(odds + middle + ratios)))).mean()
        low, high = (middle, high) if likes < params.like_share else (low, middle)
    return Meaning((low + high) / 2, *slopes, 0)


def _faded(at_us: Floats, now_us: float, half_life_days: float) -> Floats:
    """What is left of an event's weight; all of it where no time is known."""
    if half_life_days <= 0:
        return np.ones(len(at_us))
    age_days = np.nan_to_num(now_us - at_us, nan=0.0) / _DAY_US
    return np.asarray(0.5 ** (np.maximum(age_days, 0.0) / half_life_days))


def _whole_listenings(doings: Doings, pair: Ints, size: int) -> tuple[Doings, Ints]:
    """The same doings and their pairs, with the pieces of one listening joined: begun as the first, ended as the last.

    A piece goes on in the next play or skip of the same track if it broke off (stopped, or nobody knows why), the next
    follows within half an hour, and both together are no more than the track: else it was heard again. Rows without a
    time or a length, and those that stand for several, are no pieces.
    """
    listened = np.isin(doings.kind, [PLAY, SKIP]) & ~doings.failed & (doings.times == 1)
    listened &= ~np.isnan(doings.at_us) & ~np.isnan(doings.share)
    broke_off = listened & (doings.kind == PLAY) & (doings.open | doings.stopped) & (doings.share < _COMPLETE)
    # Only pairs with a piece and another row need sorting.
    in_pieces = (np.bincount(pair[listened], minlength=size) > 1) & (np.bincount(pair[broke_off], minlength=size) > 0)
    rows = np.flatnonzero(listened & in_pieces[pair])
    rows = rows[np.lexsort((doings.at_us[rows], pair[rows]))]
    former, later = rows[:-1], rows[1:]
    goes_on = broke_off[former] & (pair[former] == pair[later])
    goes_on &= doings.at_us[later] - doings.at_us[former] <= _PAUSE_US
    goes_on &= doings.share[former] + doings.share[later] <= 2 - _COMPLETE
    if not goes_on.any():
        return doings, pair
    first, last = np.flatnonzero(np.append(True, ~goes_on)), np.flatnonzero(np.append(~goes_on, True))
    share, picked = doings.share.copy(), doings.chosen.copy()
    share[rows[last]] = np.minimum(np.add.reduceat(doings.share[rows], first), 1.0)
    picked[rows[last]] = doings.chosen[rows[first]]
    kept = np.ones(len(pair), dtype=bool)
    kept[former[goes_on]] = False
    whole = replace(doings, share=share, chosen=picked)
    return Doings(**{field.name: getattr(whole, field.name)[kept] for field in fields(Doings)}), pair[kept]


def _graded(doings: Doings, params: Targets) -> tuple[Floats, Floats]:
    """How much each event speaks for its track, and how much against it."""
    share = np.where(doings.share >= _COMPLETE, 1.0, doings.share)
    picked = np.where(doings.chosen > 0, params.chosen, params.continued)
    whole = np.where(np.isnan(doings.chosen), params.unknown, picked)
    skipped = doings.kind == SKIP
    heard = np.nan_to_num(share, nan=1.0)  # a play of which nothing more is said was one
    for_it = np.where(skipped, 0.0, whole * heard) * doings.times
    unheard = 1.0 - np.nan_to_num(share, nan=0.5)
    broken = doings.open & ~np.isnan(share) & ~skipped
    against = np.where(skipped, params.skipped, np.where(broken, params.broken_off, 0.0)) * unheard * doings.times
    return for_it, against


def _answers(doings: Doings, pair: Ints, faded: Floats, size: int) -> tuple[Floats, Floats]:
    """The latest answer of each pair, and its weight."""
    said = np.isin(doings.kind, [LIKE, RATING]) | ((doings.kind == DISLIKE) & (doings.value != 0))
    answer, row = _latest(doings, pair, said, np.where(doings.kind == DISLIKE, 1 - doings.value, doings.value), size)
    return answer, np.where(np.isnan(answer), 0.0, faded[row] if len(faded) else 0.0)


def _latest(doings: Doings, pair: Ints, rows: npt.NDArray[np.bool_], values: Floats, size: int) -> tuple[Floats, Ints]:
    """Of each pair the value of the latest of ``rows``, and which row that is; NaN and 0 where there is none."""
    chosen = np.flatnonzero(rows)
    # Those without a time first: what is dated is newer knowledge. Of equal times the one that comes last.
    order = chosen[np.lexsort((chosen, np.nan_to_num(doings.at_us[chosen], nan=-1.0)))]
    found, row = np.full(size, np.nan), np.zeros(size, dtype=np.int64)
    found[pair[order]] = values[order]  # of equal places the last one stays; NaN: taken back
    row[pair[order]] = order
    return found, row
