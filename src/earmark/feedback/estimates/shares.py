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

The posterior lies on a grid, so nothing about its form is assumed; the grid is even in arcsin √q, where a share is as
sure everywhere (Anscombe 1948), and so the finer the rarer a yes. Listeners are counted in classes of like λ and a.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

POINTS = 400  # of the grid
# Log likelihood ratios that are told apart; the nearer to 0 the finer, for many say the little that they say together.
_RATIOS = 6.0 * np.sinh(np.linspace(-4.0, 4.0, 97)) / np.sinh(4.0)
_NO, _YES = len(_RATIOS), len(_RATIOS) + 1  # and answers
_KINDS = len(_RATIOS) + 2
_AFFINITIES = np.linspace(-3.0, 3.0, 25)
_MIDDLE = len(_AFFINITIES) // 2
_FIT_SONGS = 20_000  # so many are enough to fit two numbers
_PULL_SONGS = 1_000  # and one
_CHUNK = 4_096  # songs
_LONGEST = 1e7  # concentration of a prior under which all songs are alike

GRID: Floats = np.sin((np.arange(POINTS) + 0.5) * (np.pi / 2 / POINTS)) ** 2
_EDGES: Floats = np.sin(np.arange(POINTS + 1) * (np.pi / 2 / POINTS)) ** 2  # of the cells, whose middles GRID has
GRID[[0, -1]] = _EDGES[1] / 50, 1 - _EDGES[1] / 50  # a prior with a pole there has nearly all of the cell's at its end
_LOG_Q, _LOG_WIDTH = np.log(GRID), np.log(np.diff(_EDGES))
_LOG_ENDS = np.log(_EDGES[1:])
_LOG_STEPS = np.append(-np.inf, np.log(_EDGES[1:-1])) - _LOG_ENDS


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
        """Log probabilities of the grid's cells, shape ``(points,)``."""
        return np.asarray(_log_betas(np.array([self.mean]), self.concentration)[0])


@dataclass(frozen=True)
class Shares:
    """Posterior of each song, shape ``(songs,)`` each.

    Attributes:
        mean: The estimate.
        low, high: Bounds of the central interval, widened to hold the estimate where that is so skewed as to lie out.
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

    def counted(rows: npt.NDArray[np.bool_], kind: Ints | int, values: Floats) -> Any:
        return csr_matrix((values, (song[rows], level[rows] * _KINDS + kind)), shape=(songs, levels * _KINDS))

    counts = counted(said, _YES, weight[said] * yes[said]) + counted(said, _NO, weight[said] * (1 - yes[said]))
    if not said.all():
        ratios = np.zeros(len(song)) if log_ratio is None else np.nan_to_num(log_ratio)
        lower, beyond = _between(ratios[~said], _RATIOS)
        counts += counted(~said, lower, weight[~said] * (1 - beyond))
        counts += counted(~said, lower + 1, weight[~said] * beyond)
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


def mixed_posterior(told: Sequence[tuple[Known, Beta]], confidence: float) -> Shares:
    """What to believe of each song if any of ``told`` may be what is known: the mean of their posteriors.

    Args:
        told: The same songs, each time with the prior that was fitted to them.
        confidence: Of the central interval.
    """
    mixtures = (np.mean(several, axis=0) for several in zip(*(_chances(*each) for each in told), strict=True))
    parts = [_summary(chances, confidence) for chances in mixtures]
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


def segment_prior(
    known: Known, others: Known, prior: Beta, concentrations: tuple[float, ...], seed: int = 0
) -> tuple[Floats, float]:
    """Priors that draw each song in a segment towards what all others say of it, as far as that is known.

    The segment's share is spread around that of the others as a Beta, whose concentration the songs themselves tell: of
    ``concentrations`` that one under which they are likeliest. Theirs is itself uncertain, so it is averaged over.

    Args:
        known: Of each song, in the segment.
        others: Of each song, from all others, and from them alone: nobody counts twice.
        prior: Of the songs, by everybody.
        concentrations: To choose from.
        seed: Of the choice of songs, where there are more than are needed.

    Returns:
        Log probabilities of the grid, shape ``(songs, points)``, and the concentration.
    """
    if not len(known):
        return np.empty((0, POINTS)), concentrations[-1]
    theirs = np.concatenate(list(_chances(others, prior)))
    chosen = np.arange(len(known))
    if len(chosen) > _PULL_SONGS:
        chosen = np.sort(np.random.default_rng(seed).choice(chosen, _PULL_SONGS, replace=False))
    logs = log_likelihoods(known.rows(chosen))
    likely = np.exp(logs - logs.max(axis=1, keepdims=True))

    def fit(concentration: float) -> float:
        spread = theirs[chosen] @ _spread(concentration)
        return float(np.log(np.maximum((spread * likely).sum(axis=1), 1e-300)).sum())

    best = max(concentrations, key=fit)
    return np.log(np.maximum(theirs @ _spread(best), 1e-300)), best


@lru_cache(maxsize=16)
def _spread(concentration: float) -> Floats:
    """Beta distributions around each point of the grid, shape ``(points, points)``; each row adds up to 1."""
    return np.asarray(np.exp(_log_betas(GRID, concentration)))


def _log_betas(means: Floats, concentration: float) -> Floats:
    """Log probabilities of the grid's cells under Beta distributions of these means, shape ``(means, points)``."""
    yes, no = _log_powers(means * concentration), _log_powers((1 - means) * concentration)[:, ::-1]
    found = yes + no + _LOG_WIDTH
    return np.asarray(found - np.logaddexp.reduce(found, axis=1, keepdims=True))


def _log_powers(exponents: Floats) -> Floats:
    """Log of ``q ** (exponent - 1)`` in each cell, shape ``(exponents, points)``.

    Where it has a pole at 0 (an exponent below 1) the cell's mean counts, for there its middle does not stand for it.
    """
    own = np.minimum(exponents, 1.0)[:, None]
    means = own * _LOG_ENDS + np.log(-np.expm1(own * _LOG_STEPS)) - np.log(own) - _LOG_WIDTH
    return np.where(exponents[:, None] < 1, means, (exponents[:, None] - 1) * _LOG_Q)


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
    finest = np.interp(mean, GRID, np.diff(_EDGES)) / np.sqrt(12)  # within a cell nothing is told apart
    sd = np.maximum(np.sqrt(np.maximum(chances @ GRID**2 - mean**2, 0.0)), finest)
    totals = np.concatenate([np.zeros((len(chances), 1)), np.cumsum(chances, axis=1)], axis=1)
    low, high = (_quantile(totals, (1 + side * confidence) / 2) for side in (-1, 1))
    return mean, np.minimum(low, mean), np.maximum(high, mean), sd


def _quantile(totals: Floats, chance: float) -> Floats:
    """Where the cumulative probabilities reach ``chance``; within a cell of the grid all is alike."""
    place = np.minimum((totals < chance).sum(axis=1), POINTS) - 1
    rows = np.arange(len(totals))
    before, after = totals[rows, place], totals[rows, np.minimum(place + 1, POINTS)]
    within = np.where(after > before, (chance - before) / np.maximum(after - before, 1e-300), 0.5)
    low, high = _EDGES[place], _EDGES[np.minimum(place + 1, POINTS)]
    return np.asarray(low + np.clip(within, 0, 1) * (high - low))


def _nearest(values: Floats, steps: Floats) -> Ints:
    """The place of the nearest of evenly spaced ``steps``."""
    places = np.round((np.nan_to_num(values) - steps[0]) / (steps[1] - steps[0]))
    return np.asarray(np.clip(places, 0, len(steps) - 1), dtype=np.int64)


def _between(values: Floats, steps: Floats) -> tuple[Ints, Floats]:
    """Between which ``steps`` each of ``values`` lies: the place of the lower one, and how far beyond it, 0 to 1.

    A log ratio rounded to the nearest step would be wrong for many listeners in the same way, and many say much.
    """
    inside = np.clip(values, steps[0], steps[-1])
    place = np.clip(np.searchsorted(steps, inside, side="right") - 1, 0, len(steps) - 2)
    return np.asarray(place, dtype=np.int64), np.asarray((inside - steps[place]) / (steps[place + 1] - steps[place]))


def _sigmoid(values: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-values)))


def _beta(point: Floats) -> Beta:
    mean = 1 / (1 + np.exp(-np.clip(point[0], -9, 9)))
    return Beta(float(mean), float(min(np.exp(min(point[1], 20.0)), _LONGEST)))
