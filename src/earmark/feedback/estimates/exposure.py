"""Correcting for exposure: who meets a song is no random choice, so those who met it are no sample of all listeners.

A song that is shown to its admirers looks better than it is, because ratings are not missing at random (Marlin & Zemel
2009; Schnabel et al., "Recommendations as treatments", ICML 2016). What can be seen is who met what, liked or not. From
that alone each listener's affinity to each song follows: how much more than those who have not met it he or she looks
like somebody who would. If those with more affinity also like more, by so many logits per standard deviation, then
what the average listener would say follows from what those said who met the song:

    P(listener l likes song s) = σ(b_s + β a_ls),   share of all listeners = mean over l of that

This is the model-based correction (as post-stratification is one by groups: Gelman & Little 1997), here by a
continuous propensity. β is one number, fitted to all pairs; where exposure is random it comes out as nothing. Within a
segment, affinity counts from the mean of the segment, whose own average listener it is about.

Affinity is that of implicit factors of who met what (liking has no part in it), and cross-fitted: no pair has a part in
its own. It is known only roughly (from the few songs that somebody met), and what is found by a rough measure is too
small (regression dilution: Carroll, Ruppert, Stefanski & Crainiceanu, "Measurement error in nonlinear models", 2006).
So β counts for half as much again as was found; docs/development.md says how that was chosen. What cannot be corrected
is selection that who-met-what does not show.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from earmark.feedback.estimates.factors import FEWEST, directions, meeting_factors

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

FOLDS = 4
_FACTORS = 8
_SAMPLE = 1_000  # listeners who stand for all
_OF_SEGMENT = 250  # and for a segment
_FIT = 1_000_000  # pairs are enough for one number
_ROUNDS = 60
_SPREAD = 0.5  # variance of the songs' logits, for the fit of beta alone
_MOST = 3.0  # standard deviations
_DILUTED = 1.5  # the slope along affinity itself, for each of that along the affinity that is known


@dataclass(frozen=True)
class Exposed:
    """How exposure goes with liking.

    Attributes:
        affinity: Of each pair, in standard deviations over those who have not met the song, within ±3; shape
            ``(pairs,)``.
        slope: β: by how many logits liking grows with a standard deviation of affinity, dilution made up for; at least
            0.
        levels: By segment: the mean affinity of those in it who have not met the song, by the track's number.
    """

    affinity: Floats
    slope: float
    levels: Mapping[str, Floats] = field(default_factory=dict)


def exposed(pairs: pd.DataFrame, log_ratios: Floats, seed: int, segments: Mapping[str, Ints] | None = None) -> Exposed:
    """Affinities of ``pairs``, and how much liking goes with them.

    Args:
        pairs: ``track, listener``, one row each that met.
        log_ratios: What each pair's doings and answer say about liking; shape ``(pairs,)``.
        seed: Of the folds.
        segments: By name, the listeners in them.
    """
    segments = segments or {}
    nothing = Exposed(np.zeros(len(pairs)), 0.0)
    tracks, track = np.unique(pairs["track"].to_numpy(), return_inverse=True)
    listeners, listener = np.unique(pairs["listener"].to_numpy(), return_inverse=True)
    if min(len(tracks), len(listeners)) < 4 * FEWEST:
        return nothing
    members = [np.flatnonzero(np.isin(listeners, segment)) for segment in segments.values()]
    affinity, means = _affinities(track, listener, len(tracks), len(listeners), seed, members)
    slope = _DILUTED * _slope(track, affinity, log_ratios, seed)
    if slope == 0:
        return nothing
    levels = np.zeros((len(segments), int(tracks[-1]) + 1))
    levels[:, tracks] = means
    return Exposed(affinity, slope, dict(zip(segments, levels, strict=True)))


def _affinities(
    track: Ints, listener: Ints, tracks: int, listeners: int, seed: int, segments: Iterable[Ints] = ()
) -> tuple[Floats, Floats]:
    """Of each pair, from factors to which it did not contribute; 0 where of its listener nothing else is known.

    And of each of ``segments`` the mean over its listeners who have not met the song, shape ``(segments, tracks)``.
    """
    from scipy.sparse import csr_matrix

    rng = np.random.default_rng(seed)
    fold = rng.integers(0, FOLDS, len(track))
    sample = np.sort(rng.choice(listeners, min(_SAMPLE, listeners), replace=False))
    drawn = [rng.choice(members, min(_OF_SEGMENT, len(members)), replace=False) for members in segments]
    found, levels = np.zeros(len(track)), np.zeros((len(drawn), tracks))
    for number in range(FOLDS):
        rest = fold != number
        met = csr_matrix((np.ones(rest.sum(), np.float32), (listener[rest], track[rest])), shape=(listeners, tracks))
        ours, theirs = meeting_factors(met, _FACTORS, seed)
        ours = directions(ours)  # how much somebody listens at all says nothing about what
        known = np.bincount(listener[rest], minlength=listeners) > 0
        mean, spread = _level(met, known, ours, theirs, sample)
        for level, some in zip(levels, drawn, strict=True):
            own = _level(met, known, ours, theirs, some)[0]
            told = ~np.isnan(own) & (spread > 1e-6)
            level += np.where(told, (own - mean) / np.maximum(spread, 1e-6), 0.0) / FOLDS
        left, right = listener[~rest], track[~rest]
        own = np.einsum("ij,ij->i", ours[left], theirs[right])
        telling = known[left] & (spread[right] > 1e-6)
        found[~rest] = np.where(telling, (own - mean[right]) / np.maximum(spread[right], 1e-6), 0.0)
    return np.clip(found, -_MOST, _MOST), np.clip(levels, -_MOST, _MOST)


def _level(met: Any, known: npt.NDArray[np.bool_], ours: Any, theirs: Any, some: Ints) -> tuple[Floats, Floats]:
    """Mean and spread of the scores of ``some`` listeners who have not met the song, shape ``(tracks,)`` each."""
    others = (met[some].toarray() == 0) & known[some, None]  # who met it would look like it by that alone
    size, scores = np.maximum(others.sum(axis=0), 1), ours[some] @ theirs.T
    mean = (others * scores).sum(axis=0) / size
    spread = np.sqrt((others * (scores - mean) ** 2).sum(axis=0) / size)
    return np.where(others.any(axis=0), mean, np.nan), spread


def _slope(track: Ints, affinity: Floats, log_ratios: Floats, seed: int) -> float:
    """β, by expectation and maximisation: each song has a logit of its own, drawn towards the mean of all."""
    if len(track) > _FIT:  # whole songs, so that each keeps its listeners
        order = np.random.default_rng(seed).permutation(int(track.max()) + 1)
        chosen = np.cumsum(np.bincount(track, minlength=len(order))[order]) <= _FIT
        rows = np.isin(track, order[chosen])
        track, affinity, log_ratios = track[rows], affinity[rows], log_ratios[rows]
    tracks = int(track.max()) + 1
    ratio = np.exp(np.clip(log_ratios, -12, 12))
    logits, mean, slope = np.zeros(tracks), 0.0, 0.0
    for _ in range(_ROUNDS):
        chance = _sigmoid(logits[track] + slope * affinity)
        liked = chance * ratio / (chance * ratio + 1 - chance)
        push = np.bincount(track, liked - chance, tracks) - (logits - mean) / _SPREAD
        logits = logits + push / (np.bincount(track, chance * (1 - chance), tracks) + 1 / _SPREAD)
        chance = _sigmoid(logits[track] + slope * affinity)
        slope += float(((liked - chance) * affinity).sum() / ((chance * (1 - chance) * affinity**2).sum() + 1.0))
        mean = float(logits.mean())
    return max(slope, 0.0)


def _sigmoid(values: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-values)))
