"""The share of listeners that would say yes: estimated with an interval, from answers and from softer evidence.

Each listener either would say yes of a song or not; q is the share that would. An answer tells outright, whatever else
a listener did tells a little: how little, its likelihood ratio says, P(behaviour | yes) / P(behaviour | no). So

    P(what a song's listeners did | q) = q^yes (1 − q)^no Π (q λ + 1 − q)

with a λ for each listener who gave no answer; λ = 1 tells nothing and changes nothing. With answers alone this is the
binomial likelihood, and everything below the Beta-binomial empirical Bayes of Robbins (1956) and Efron & Morris (1975;
for proportions Kleinman 1973): the songs share a Beta prior, fitted to all of them by marginal likelihood, and each
song's estimate is the mean of its posterior, which draws songs with little evidence towards the rest.

The posterior lies on a grid, so nothing about its form is assumed. Likelihood ratios are counted in `BINS` classes.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

POINTS = 400  # of the grid
BINS = np.linspace(-6.0, 6.0, 49)  # log likelihood ratios that are told apart
_FIT_SONGS = 20_000  # so many are enough to fit two numbers
_CHUNK = 4_096  # songs
_LONGEST = 1e7  # concentration of a prior under which all songs are alike

GRID: Floats = (np.arange(POINTS) + 0.5) / POINTS
_LOG_Q, _LOG_NOT = np.log(GRID), np.log1p(-GRID)
# log(q λ + 1 − q) for each class of λ, shape (bins, points)
_SOFT: Floats = np.logaddexp(_LOG_Q[None, :] + BINS[:, None], _LOG_NOT[None, :])


@dataclass(frozen=True)
class Known:
    """What is known of each song; all of shape ``(songs,)`` but the last.

    Attributes:
        yes: Weight of the answers yes.
        no: Weight of the answers no.
        soft: Weight of listeners without an answer, by class of their log likelihood ratio; ``(songs, len(BINS))``, or
            None where there are none.
    """

    yes: Floats
    no: Floats
    soft: Floats | None = None

    def __len__(self) -> int:
        return len(self.yes)

    def rows(self, chosen: slice | npt.NDArray[np.int64]) -> "Known":
        """Some of the songs."""
        return Known(self.yes[chosen], self.no[chosen], None if self.soft is None else self.soft[chosen])


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


def log_likelihoods(evidence: Known) -> Floats:
    """Of each point of the grid, up to a constant; shape ``(songs, points)``."""
    found: Floats = np.outer(evidence.yes, _LOG_Q) + np.outer(evidence.no, _LOG_NOT)
    return found if evidence.soft is None else found + evidence.soft @ _SOFT


def fit_prior(evidence: Known, seed: int = 0) -> Beta:
    """The Beta prior under which all that is known is likeliest (marginal maximum likelihood).

    Args:
        evidence: Of at least one song; songs without any count for nothing.
        seed: Of the choice of songs, where there are more than are needed.
    """
    from scipy.optimize import minimize

    there = np.flatnonzero(_weights(evidence) > 0)
    if len(there) < 2:
        return Beta(0.5, 2.0)
    if len(there) > _FIT_SONGS:
        there = np.sort(np.random.default_rng(seed).choice(there, _FIT_SONGS, replace=False))
    likelihoods = log_likelihoods(evidence.rows(there))
    likelihoods -= likelihoods.max(axis=1, keepdims=True)
    likely = np.exp(likelihoods)

    def cost(point: Floats) -> float:
        prior = np.exp(_beta(point).log_grid)
        # A weak prior of its own keeps few songs from claiming that all are alike, or that each is all or nothing.
        return float(-np.log(likely @ prior).sum() + 0.5 * ((point[1] - 2.0) / 2.0) ** 2)

    crude = (evidence.yes.sum() + 1) / (evidence.yes.sum() + evidence.no.sum() + 2)
    start = np.array([np.log(crude / (1 - crude)), 2.0])
    return _beta(np.asarray(minimize(cost, start, method="Nelder-Mead", options={"xatol": 1e-3, "fatol": 1e-3}).x))


def posterior(evidence: Known, prior: Beta | Floats, confidence: float) -> Shares:
    """What to believe of each song.

    Args:
        evidence: Of each song.
        prior: One for all, or log probabilities of the grid for each, shape ``(songs, points)``.
        confidence: Of the central interval: 0.9 leaves 5 % on each side.
    """
    parts = [_summary(chances, confidence) for chances in _chances(evidence, prior)]
    empty = np.empty(0)
    return (
        Shares(*(np.concatenate([empty, *column]) for column in zip(*parts, strict=True)))
        if parts
        else Shares(empty, empty, empty, empty)
    )


def coverage(evidence: Known, prior: Beta, yes: Ints, no: Ints, confidence: float) -> float:
    """How often the answers of other listeners lie within the interval that was predicted for them.

    For counts a central interval cannot be met exactly; so each song counts with the share of its predictive step that
    lies within, the non-randomised probability integral transform of Czado, Gneiting & Held (2009).

    Args:
        evidence: Of each song, from some listeners.
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
    for chances in _chances(evidence, prior):
        here = slice(start, start + len(chances))
        start += len(chances)
        asked = yes[here] + no[here]
        below = (binom.cdf(yes[here, None] - 1, asked[:, None], GRID) * chances).sum(axis=1)
        above = (binom.cdf(yes[here, None], asked[:, None], GRID) * chances).sum(axis=1)
        step = np.maximum(above - below, 1e-12)
        inside.append((np.clip((np.minimum(above, high) - np.maximum(below, low)) / step, 0, 1))[asked > 0])
    return float(np.concatenate(inside).mean())


def segment_prior(whole: Shares, evidence: Known, songs: Ints, concentrations: Floats) -> tuple[Floats, float]:
    """Priors that draw each cell (a song in a segment) towards the song's estimate by everybody.

    How strongly, the cells themselves tell: of ``concentrations`` the one under which they are likeliest.

    Args:
        whole: Estimates by everybody.
        evidence: Of each cell.
        songs: Whose cell it is, shape ``(cells,)``.
        concentrations: To choose from.

    Returns:
        Log probabilities of the grid, shape ``(cells, points)``, and the concentration.
    """
    likelihoods = log_likelihoods(evidence)
    best, found, chosen = -np.inf, np.empty((0, POINTS)), 0.0
    for concentration in concentrations:
        a = np.clip(whole.mean[songs], 1e-3, 1 - 1e-3) * concentration
        b = concentration - a
        prior = (a - 1)[:, None] * _LOG_Q + (b - 1)[:, None] * _LOG_NOT
        prior -= np.logaddexp.reduce(prior, axis=1)[:, None]
        total = float(np.logaddexp.reduce(prior + likelihoods, axis=1).sum())
        if total > best:
            best, found, chosen = total, prior, float(concentration)
    return found, chosen


def _chances(evidence: Known, prior: Beta | Floats) -> Iterator[Floats]:
    """Posterior probabilities of the grid, for some songs at a time."""
    for start in range(0, len(evidence), _CHUNK):
        some = slice(start, start + _CHUNK)
        logs = log_likelihoods(evidence.rows(some))
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


def _weights(evidence: Known) -> Floats:
    soft = 0.0 if evidence.soft is None else evidence.soft.sum(axis=1)
    return np.asarray(evidence.yes + evidence.no + soft)


def _beta(point: Floats) -> Beta:
    mean = 1 / (1 + np.exp(-np.clip(point[0], -9, 9)))
    return Beta(float(mean), float(min(np.exp(min(point[1], 20.0)), _LONGEST)))
