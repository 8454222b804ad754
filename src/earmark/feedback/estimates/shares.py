"""The share of listeners that would say yes: estimated with an interval, from answers and from softer evidence.

Each listener either would say yes of a song or not; q is the share that would. An answer tells outright, whatever else
a listener did tells a little: how little, its likelihood ratio says, λ = P(behaviour | yes) / P(behaviour | no). So

    P(what a song's listeners did | q) = Π p^yes (1 − p)^no Π (p λ + 1 − p)

over the listeners with and without an answer; λ = 1 tells nothing and changes nothing. Where exposure is corrected,
p = σ(logit q' + β a) for a listener of affinity a (see `exposure` beside this), with q' such that the mean over all
listeners is q; else p = q. With answers alone this is the binomial likelihood, and everything below the Beta-binomial
empirical Bayes of Robbins (1956) and Efron & Morris (1975; for proportions Kleinman 1973): the songs share a Beta
prior, fitted to all of them by marginal likelihood, and each song's estimate is the mean of its posterior, which draws
songs with little evidence towards the rest.

The posterior lies on a grid, so nothing about its form is assumed. Listeners are counted in classes of like λ and a.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

POINTS = 400  # of the grid
_RATIOS = np.linspace(-6.0, 6.0, 49)  # log likelihood ratios that are told apart
_NO, _YES = len(_RATIOS), len(_RATIOS) + 1  # and answers
_KINDS = len(_RATIOS) + 2
_AFFINITIES = np.linspace(-3.0, 3.0, 25)
_MIDDLE = len(_AFFINITIES) // 2
_FIT_SONGS = 20_000  # so many are enough to fit two numbers
_CHUNK = 4_096  # songs
_LONGEST = 1e7  # concentration of a prior under which all songs are alike

GRID: Floats = (np.arange(POINTS) + 0.5) / POINTS
_LOG_Q, _LOG_NOT = np.log(GRID), np.log1p(-GRID)


@dataclass(frozen=True)
class Known:
    """What is known of each song.

    Attributes:
        counts: Weight of its listeners by class, sparse; ``(songs, classes)``, see `count`.
        slope: β.
    """

    counts: Any
    slope: float = 0.0

    def __len__(self) -> int:
        return int(self.counts.shape[0])

    def rows(self, chosen: slice | Ints) -> "Known":
        """Some of the songs."""
        return Known(self.counts[chosen], self.slope)


@dataclass(frozen=True)
class Beta:
    """A Beta distribution, as its mean and its concentration ``a + b``: the prior weighs as much as so many answers."""

    mean: float
    concentration: float

    @property
    def log_grid(self) -> Floats:
        """Log probabilities of the grid's points, shape ``(points,)``."""
        a, b = self.mean * self.concentration, (1 - self.mean) * self.concentration
        found = (a - 1) * _LOG_Q + (b - 1) * _LOG_NOT
        return np.asarray(found - np.logaddexp.reduce(found))


@dataclass(frozen=True)
class Shares:
    """Posterior of each song, shape ``(songs,)`` each.

    Attributes:
        mean: The estimate.
        low, high: Bounds of the central interval.
        sd: Standard deviation.
    """

    mean: Floats
    low: Floats
    high: Floats
    sd: Floats


def count(
    song: Ints,
    yes: Floats,
    songs: int,
    *,
    log_ratio: Floats | None = None,
    weight: Floats | None = None,
    affinity: Floats | None = None,
    slope: float = 0.0,
) -> Known:
    """Evidence of each song from that of each listener and song, all of shape ``(pairs,)``.

    Args:
        song: Whose, from 0.
        yes: Share of a yes, 0 to 1; NaN where there is no answer.
        songs: How many there are.
        log_ratio: Log λ, where there is no answer.
        weight: How much each counts; 1 by default.
        affinity: In standard deviations.
        slope: β; 0: affinity has no part.
    """
    from scipy.sparse import csr_matrix

    weight = np.ones(len(song)) if weight is None else weight
    level = np.full(len(song), _MIDDLE if slope else 0)
    if slope and affinity is not None:
        level = _nearest(affinity, _AFFINITIES)
    levels = len(_AFFINITIES) if slope else 1
    said = ~np.isnan(yes)
    rows, columns, values = [song[said]] * 2, [level[said] * _KINDS + kind for kind in (_YES, _NO)], []
    values += [weight[said] * yes[said], weight[said] * (1 - yes[said])]
    if not said.all():
        ratios = np.zeros(len(song)) if log_ratio is None else np.nan_to_num(log_ratio)
        rows.append(song[~said])
        columns.append(level[~said] * _KINDS + _nearest(ratios[~said], _RATIOS))
        values.append(weight[~said])
    flat = np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))
    counts = csr_matrix(flat, shape=(songs, levels * _KINDS))
    counts.eliminate_zeros()
    return Known(counts, slope)


def log_likelihoods(known: Known) -> Floats:
    """Of each point of the grid, up to a constant; shape ``(songs, points)``."""
    return np.asarray(known.counts @ _table(known.slope), dtype=np.float64)


def fit_prior(known: Known, seed: int = 0) -> Beta:
    """The Beta prior under which all that is known is likeliest (marginal maximum likelihood).

    Args:
        known: Of the songs; those of which nothing is known have no part.
        seed: Of the choice of songs, where there are more than are needed.
    """
    from scipy.optimize import minimize

    there = np.flatnonzero(np.asarray(known.counts.sum(axis=1)).ravel() > 0)
    if len(there) < 2:
        return Beta(0.5, 2.0)
    if len(there) > _FIT_SONGS:
        there = np.sort(np.random.default_rng(seed).choice(there, _FIT_SONGS, replace=False))
    logs = log_likelihoods(known.rows(there))
    likely = np.exp(logs - logs.max(axis=1, keepdims=True))

    crude = float(np.clip((likely / likely.sum(axis=1, keepdims=True) @ GRID).mean(), 0.02, 0.98))
    start = np.array([np.log(crude / (1 - crude)), 2.0])

    def cost(point: Floats) -> float:
        prior = np.exp(_beta(point).log_grid)
        # A weak prior of its own keeps few songs from claiming that all are alike, or that each is all or nothing.
        return float(-np.log(likely @ prior).sum() + 0.5 * (((point - start) / 2.0) ** 2).sum())

    return _beta(np.asarray(minimize(cost, start, method="Nelder-Mead", options={"xatol": 1e-3, "fatol": 1e-3}).x))


def posterior(known: Known, prior: Beta | Floats, confidence: float) -> Shares:
    """What to believe of each song.

    Args:
        known: Of each song.
        prior: One for all, or log probabilities of the grid for each, shape ``(songs, points)``.
        confidence: Of the central interval: 0.9 leaves 5 % on each side.
    """
    parts = [_summary(chances, confidence) for chances in _chances(known, prior)]
    if not parts:
        return Shares(np.empty(0), np.empty(0), np.empty(0), np.empty(0))
    return Shares(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def coverage(known: Known, prior: Beta, yes: Ints, no: Ints, confidence: float) -> float:
    """How often the answers of other listeners lie within the interval that was predicted for them.

    For counts a central interval cannot be met exactly; so each song counts with the share of its predictive step that
    lies within, the non-randomised probability integral transform of Czado, Gneiting & Held (2009).

    Args:
        known: Of each song, from some listeners, without correction of exposure.
        prior: Fitted to the same.
        yes: Of the other listeners, how many say yes; shape ``(songs,)``.
        no: And how many do not.
        confidence: Of the interval.

    Returns:
        The share of songs, of those with at least one other listener.
    """
    from scipy.stats import binom

    low, high = (1 - confidence) / 2, (1 + confidence) / 2
    inside: list[Floats] = []
    start = 0
    for chances in _chances(known, prior):
        here = slice(start, start + len(chances))
        start += len(chances)
        asked = yes[here] + no[here]
        below = (binom.cdf(yes[here, None] - 1, asked[:, None], GRID) * chances).sum(axis=1)
        above = (binom.cdf(yes[here, None], asked[:, None], GRID) * chances).sum(axis=1)
        step = np.maximum(above - below, 1e-12)
        inside.append((np.clip((np.minimum(above, high) - np.maximum(below, low)) / step, 0, 1))[asked > 0])
    return float(np.concatenate(inside).mean())


def segment_prior(means: Floats, known: Known, concentrations: Floats) -> tuple[Floats, float]:
    """Priors that draw each song in a segment towards its estimate by everybody.

    How strongly, the songs themselves tell: of ``concentrations`` that one under which they are likeliest.

    Args:
        means: Estimates by everybody, shape ``(songs,)``.
        known: Of each song, in the segment.
        concentrations: To choose from.

    Returns:
        Log probabilities of the grid, shape ``(songs, points)``, and the concentration.
    """
    logs = log_likelihoods(known)
    best, found, chosen = -np.inf, np.zeros((len(known), POINTS)), 0.0
    for concentration in concentrations:
        a = np.clip(means, 1e-3, 1 - 1e-3) * concentration
        prior = (a - 1)[:, None] * _LOG_Q + (concentration - a - 1)[:, None] * _LOG_NOT
        prior -= np.logaddexp.reduce(prior, axis=1)[:, None]
        total = float(np.logaddexp.reduce(prior + logs, axis=1).sum())
        if total > best:
            best, found, chosen = total, prior, float(concentration)
    return found, chosen


@lru_cache(maxsize=8)
def _table(slope: float) -> Floats:
    """Log likelihood of each class at each point of the grid, shape ``(classes, points)``."""
    # Affinity is a standard normal over all listeners: by Gauss and Hermite's quadrature, q' for each q.
    nodes, weights = np.polynomial.hermite_e.hermegauss(21)
    logits = np.linspace(-20, 20, 4_001)
    share = _sigmoid(logits[:, None] + slope * nodes) @ (weights / weights.sum())
    middle = np.interp(GRID, share, logits)
    levels = _AFFINITIES if slope else np.zeros(1)
    rows = []
    for level in levels:
        chance = np.clip(_sigmoid(middle + slope * level), 1e-12, 1 - 1e-12)
        log_yes, log_no = np.log(chance), np.log1p(-chance)
        rows += [*np.logaddexp(log_yes + _RATIOS[:, None], log_no), log_no, log_yes]
    return np.array(rows)


def _chances(known: Known, prior: Beta | Floats) -> Iterator[Floats]:
    """Posterior probabilities of the grid, for some songs at a time."""
    for start in range(0, len(known), _CHUNK):
        some = slice(start, start + _CHUNK)
        logs = log_likelihoods(known.rows(some))
        logs += prior.log_grid if isinstance(prior, Beta) else prior[some]
        chances = np.exp(logs - logs.max(axis=1, keepdims=True))
        yield chances / chances.sum(axis=1, keepdims=True)


def _summary(chances: Floats, confidence: float) -> tuple[Floats, Floats, Floats, Floats]:
    mean = chances @ GRID
    sd = np.sqrt(np.maximum(chances @ GRID**2 - mean**2, 0.0))
    totals = np.concatenate([np.zeros((len(chances), 1)), np.cumsum(chances, axis=1)], axis=1)
    return mean, _quantile(totals, (1 - confidence) / 2), _quantile(totals, (1 + confidence) / 2), sd


def _quantile(totals: Floats, chance: float) -> Floats:
    """Where the cumulative probabilities reach ``chance``; within a cell of the grid all is alike."""
    place = np.minimum((totals < chance).sum(axis=1), POINTS) - 1
    rows = np.arange(len(totals))
    before, after = totals[rows, place], totals[rows, np.minimum(place + 1, POINTS)]
    within = np.where(after > before, (chance - before) / np.maximum(after - before, 1e-300), 0.5)
    return np.asarray((place + np.clip(within, 0, 1)) / POINTS)


def _nearest(values: Floats, steps: Floats) -> Ints:
    """The place of the nearest of evenly spaced ``steps``."""
    places = np.round((np.nan_to_num(values) - steps[0]) / (steps[1] - steps[0]))
    return np.asarray(np.clip(places, 0, len(steps) - 1), dtype=np.int64)


def _sigmoid(values: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-values)))


def _beta(point: Floats) -> Beta:
    mean = 1 / (1 + np.exp(-np.clip(point[0], -9, 9)))
    return Beta(float(mean), float(min(np.exp(min(point[1], 20.0)), _LONGEST)))
