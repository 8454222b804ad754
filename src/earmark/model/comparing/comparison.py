"""Two models on the same tracks, paired: how good each is, and how sure the difference is.

Intervals are bootstraps over groups (Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, ch. 16; Koehn,
"Statistical significance tests for machine translation evaluation", EMNLP 2004): whole groups (artists) are drawn with
replacement, because tracks of one artist are not independent, and both models are scored on the same draw, because what
is hard for one is mostly hard for the other.

Conventions: ``ours`` is the challenger (or the first of two), ``theirs`` the other, and every difference is ours minus
theirs. The two may know different genres and tags. A genre that a model does not know has probability 0 there.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earmark.errors import ModelError
from earmark.model.answers import Floats
from earmark.model.calibration.reliability import bins_for
from earmark.model.calibration.temperature import FLOOR
from earmark.model.comparing.cost import Cost
from earmark.model.comparing.groups import by_group
from earmark.model.comparing.promises import PROMISES, Kept, Promise, Promised, promises
from earmark.model.metrics import Score
from earmark.params import Evaluation

FEWEST_TRACKS = 10  # of which a tag has to be known
_BLOCK = 200  # draws at a time, so that memory does not grow with their number

LOWER_IS_BETTER = ("log_loss", "ece")
MEASURES = ("accuracy", "f1_macro", *LOWER_IS_BETTER)


@dataclass(frozen=True)
class Said:
    """What a model says of some tracks.

    Attributes:
        labels: The genres it knows.
        genres: Their probabilities, shape ``(tracks, labels)``.
        tags: The tags it knows.
        shares: Their shares, shape ``(tracks, tags)``.
        promised: How sure it says to be; None where it is not calibrated.
    """

    labels: tuple[str, ...]
    genres: Floats
    tags: tuple[str, ...]
    shares: Floats
    promised: Promised | None = None


@dataclass(frozen=True)
class Truth:
    """What is known of the same tracks.

    Attributes:
        genres: Of each track.
        groups: Of each track.
        tags: Names of the tags that listeners tell of.
        told: Share and weight (0 where nothing is known), shape ``(tracks, 2, tags)``.
    """

    genres: tuple[str, ...]
    groups: tuple[str, ...]
    tags: tuple[str, ...]
    told: Floats


@dataclass(frozen=True)
class Measure:
    """One score of both, and ours minus theirs; ``tracks`` it rests on."""

    ours: Score
    theirs: Score
    difference: Score
    tracks: int


@dataclass(frozen=True)
class ClassMeasures:
    """One genre.

    Attributes:
        tracks: Tracks of it.
        groups: Groups of these tracks.
        differing: Groups in which one of the two is right more often than the other.
        recall: Share of its tracks that are recognised.
        f1: Harmonic mean of recall and precision.
        fall: The difference of the recalls, its interval so wide that all genres together keep the confidence
            (Bonferroni's correction).
    """

    genre: str
    tracks: int
    groups: int
    differing: int
    recall: Measure
    f1: Measure
    fall: Score


@dataclass(frozen=True)
class TagMeasures:
    """One tag that both know: Pearson's r with the listeners' shares, weighted by how much is known of each track."""

    tag: str
    r: Measure


@dataclass(frozen=True)
class Comparison:
    """What two models are worth on the same tracks.

    Attributes:
        tracks: How many were compared.
        groups: To how many groups (artists) they belong.
        confidence: Of every interval.
        accuracy: Share of right answers.
        f1_macro: Mean F1 over the genres of the tracks.
        log_loss: As `earmark.model.calibration.reliability.log_loss`.
        ece: As `earmark.model.calibration.reliability.expected_calibration_error`. Chance alone makes it larger than 0,
            and a bootstrap makes it larger once more; so its interval is reflected at the value (the basic bootstrap;
            Davison and Hinkley, "Bootstrap Methods and their Application", 1997, ch. 5).
        classes: By genre, those of the tracks.
        tags: By tag, those that both know and that are known of enough tracks.
        promises: How sets, intervals and abstentions came out, of what at least one of the two promises.
        unknown_to_ours: Genres of the tracks that we do not know; our answers there count as wrong.
        unknown_to_theirs: The same of the other.
        our_cost: What an answer costs; None where it was not measured.
        their_cost: The same of the other.
    """

    tracks: int
    groups: int
    confidence: float
    accuracy: Measure
    f1_macro: Measure
    log_loss: Measure
    ece: Measure
    classes: tuple[ClassMeasures, ...]
    tags: tuple[TagMeasures, ...] = ()
    promises: tuple[Promise, ...] = ()
    unknown_to_ours: tuple[str, ...] = ()
    unknown_to_theirs: tuple[str, ...] = ()
    our_cost: Cost | None = None
    their_cost: Cost | None = None

    def to_dict(self) -> dict[str, Any]:
        """As plain values, fit for JSON."""
        return asdict(self)


def compare(ours: Said, theirs: Said, truth: Truth, how: Evaluation) -> Comparison:
    """Compare two models' answers for the same tracks.

    Raises:
        ModelError: The tracks belong to fewer than 2 groups, or the answers are not one for each track.
    """
    _validate(ours, theirs, truth)
    names, group = np.unique(np.asarray(truth.groups, dtype=str), return_inverse=True)
    genres = sorted({*truth.genres, *ours.labels, *theirs.labels})
    actual = np.array([genres.index(genre) for genre in truth.genres])
    sides = [_Side.of(said, genres, actual, group) for said in (ours, theirs)]
    there = by_group(np.eye(len(genres))[actual], group)
    shared = [tag for tag in truth.tags if tag in ours.tags and tag in theirs.tags and _known(truth, tag)]
    tags = [_Tags.of(said, truth, shared, group) for said in (ours, theirs)]
    kept = [_kept(said, truth, group) for said in (ours, theirs)]

    def statistics(counts: Floats) -> Floats:
        """Of each draw ``(draws, groups)``, all there is to know, shape ``(draws, 2 sides, statistics)``."""
        drawn = counts @ there
        each = [
            np.hstack([side.scores(counts, drawn), of_tags.r(counts), own.shares(counts)])
            for side, of_tags, own in zip(sides, tags, kept, strict=True)
        ]
        return np.stack(each, axis=1)

    value, draws = bootstrap(statistics, len(names), how)
    tracks, count = len(actual), len(genres)
    found = [_measure(value, draws, at, tracks, how.confidence) for at in range(len(MEASURES))]
    classes = [at for at in range(count) if there[:, at].any()]
    together = 1 - (1 - how.confidence) / len(classes)
    # Where recalls, F1s, tags and promises begin.
    firsts = len(MEASURES), len(MEASURES) + count, len(MEASURES) + 2 * count, len(MEASURES) + 2 * count + len(shared)
    sure = [_measure(value, draws, firsts[3] + at, tracks, how.confidence) for at in range(len(PROMISES))]
    return Comparison(
        tracks=tracks,
        groups=len(names),
        confidence=how.confidence,
        accuracy=found[0],
        f1_macro=found[1],
        log_loss=found[2],
        ece=_reflected(found[3]),
        classes=tuple(
            ClassMeasures(
                genre=genres[at],
                tracks=int(there[:, at].sum()),
                groups=int((there[:, at] > 0).sum()),
                differing=int((sides[0].hit[:, at] != sides[1].hit[:, at]).sum()),
                recall=_measure(value, draws, firsts[0] + at, int(there[:, at].sum()), how.confidence),
                f1=_measure(value, draws, firsts[1] + at, int(there[:, at].sum()), how.confidence),
                fall=_measure(value, draws, firsts[0] + at, tracks, together).difference,
            )
            for at in classes
        ),
        tags=tuple(
            TagMeasures(tag, _measure(value, draws, firsts[2] + at, _known(truth, tag), how.confidence))
            for at, tag in enumerate(shared)
        ),
        promises=promises([(each.ours, each.theirs, each.difference) for each in sure], *kept),
        unknown_to_ours=tuple(sorted(set(truth.genres) - set(ours.labels))),
        unknown_to_theirs=tuple(sorted(set(truth.genres) - set(theirs.labels))),
    )


def always(genres: Sequence[str], tracks: int) -> Said:
    """What a model says that only knows how often each of ``genres`` occurred, of any track: the commonest is first.

    This is what the first model has to beat: its accuracy is that of the majority class.
    """
    labels, counts = np.unique(np.asarray(genres, dtype=str), return_counts=True)
    shares = np.tile(counts / counts.sum(), (tracks, 1))
    return Said(tuple(map(str, labels)), shares, (), np.zeros((tracks, 0)))


def bootstrap(
    statistics: Callable[[Floats], Floats], groups: int, how: Evaluation
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """``statistics`` of the groups as they are, and of ``how.resamples`` draws of them with replacement.

    Args:
        statistics: From how often each group was drawn, shape ``(draws, groups)``, to values ``(draws, …)``.
        groups: How many there are.
        how: Seed and number of draws; they are the same as in `earmark.model.metrics`.

    Returns:
        Shapes ``(…)`` and ``(resamples, …)``.
    """
    rng = np.random.default_rng(how.seed)
    blocks = []
    for start in range(0, how.resamples, _BLOCK):
        size = min(_BLOCK, how.resamples - start)
        counts = rng.multinomial(groups, np.full(groups, 1 / groups), size=size)
        blocks.append(statistics(counts.astype(np.float64)))
    return statistics(np.ones((1, groups)))[0], np.concatenate(blocks)


@dataclass(frozen=True)
class _Side:
    """One model's sums over each group, of which every score of any draw of groups is made.

    Attributes:
        hit: Right answers, shape ``(groups, genres)``.
        said: Answers, shape ``(groups, genres)``.
        loss: Of the true genre, shape ``(groups,)``.
        off: Confidence minus right answers, shape ``(groups, bins)``.
    """

    hit: Floats
    said: Floats
    loss: Floats
    off: Floats

    @classmethod
    def of(cls, said: Said, genres: Sequence[str], actual: NDArray[np.int64], group: NDArray[np.int64]) -> "_Side":
        probabilities = np.zeros((len(actual), len(genres)))
        probabilities[:, [genres.index(label) for label in said.labels]] = said.genres
        answer, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
        right = answer == actual
        one_hot = np.eye(len(genres))[answer]
        true = np.maximum(probabilities[np.arange(len(actual)), actual], FLOOR)
        count = bins_for(len(actual))
        edges = np.quantile(confidence, np.arange(1, count) / count, method="inverted_cdf")
        bins = np.eye(count)[np.searchsorted(edges, confidence)]  # equal confidences share a bin
        return cls(
            hit=by_group(one_hot * right[:, None], group),
            said=by_group(one_hot, group),
            loss=by_group(-np.log(true)[:, None], group)[:, 0],
            off=by_group(bins * (confidence - right)[:, None], group),
        )

    def scores(self, counts: Floats, there: Floats) -> Floats:
        """`MEASURES`, then recall and F1 of each genre; NaN for a genre that no drawn track is of.

        Args:
            counts: How often each group was drawn, shape ``(draws, groups)``.
            there: Drawn tracks of each genre, shape ``(draws, genres)``.
        """
        hit, said, tracks = counts @ self.hit, counts @ self.said, there.sum(axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            recall = hit / there
            f1 = np.where(there > 0, 2 * hit / (there + said), np.nan)
        measures = [
            hit.sum(axis=1) / tracks,
            np.nanmean(f1, axis=1),
            counts @ self.loss / tracks,
            np.abs(counts @ self.off).sum(axis=1) / tracks,
        ]
        return np.hstack([np.stack(measures, axis=1), recall, f1])


@dataclass(frozen=True)
class _Tags:
    """Weighted sums over each group of which correlations are made, shape ``(6, groups, tags)``."""

    sums: Floats

    @classmethod
    def of(cls, said: Said, truth: Truth, tags: Sequence[str], group: NDArray[np.int64]) -> "_Tags":
        known = truth.told[:, :, [truth.tags.index(tag) for tag in tags]]
        share, weight = known[:, 0], known[:, 1]
        answer = said.shares[:, [said.tags.index(tag) for tag in tags]]
        share, answer = share - share.mean(axis=0), answer - answer.mean(axis=0)  # small numbers cancel less
        products = (np.ones_like(share), share, answer, share**2, answer**2, share * answer)
        return cls(np.stack([by_group(weight * product, group) for product in products]))

    def r(self, counts: Floats) -> Floats:
        """Weighted Pearson correlation of each draw and tag; 0 where a side is always the same, NaN without tracks."""
        total, x, y, xx, yy, xy = counts @ self.sums
        with np.errstate(invalid="ignore", divide="ignore"):
            x, y = x / total, y / total
            spread = np.sqrt(np.maximum(xx / total - x**2, 0) * np.maximum(yy / total - y**2, 0))
            r = np.where(spread > 1e-12, (xy / total - x * y) / spread, 0.0)
        return np.asarray(np.where(total > 0, r, np.nan))


def _kept(said: Said, truth: Truth, group: NDArray[np.int64]) -> Kept:
    """What ``said`` promises, beside what is true of its own genres and tags."""
    true = np.array([said.labels.index(genre) if genre in said.labels else -1 for genre in truth.genres])
    told = np.zeros((len(true), 2, len(said.tags)))
    for at, tag in enumerate(said.tags):
        if tag in truth.tags:
            told[:, :, at] = truth.told[:, :, truth.tags.index(tag)]
    return Kept.of(said.promised, true, told, group)


def _measure(value: Floats, draws: Floats, at: int, tracks: int, confidence: float) -> Measure:
    """The statistic ``at`` of both sides and its difference, from shapes ``(2, statistics)``, ``(draws, 2, …)``."""
    ours, theirs = draws[:, 0, at], draws[:, 1, at]
    return Measure(
        ours=_score(value[0, at], ours, confidence),
        theirs=_score(value[1, at], theirs, confidence),
        difference=_score(value[0, at] - value[1, at], ours - theirs, confidence),
        tracks=tracks,
    )


def _score(value: float, drawn: Floats, confidence: float) -> Score:
    drawn = drawn[~np.isnan(drawn)]
    if not len(drawn):  # of one draw or two; a thousand do not all miss a genre
        return Score(float(value), float(value), float(value))
    return Score.of(value, drawn, confidence)


def _reflected(measure: Measure) -> Measure:
    def reflect(score: Score, least: float) -> Score:
        ends = 2 * score.value - score.high, 2 * score.value - score.low
        return Score(score.value, max(least, ends[0]), max(least, ends[1]))

    ours, theirs = reflect(measure.ours, 0.0), reflect(measure.theirs, 0.0)
    return Measure(ours, theirs, reflect(measure.difference, -1.0), measure.tracks)


def _known(truth: Truth, tag: str) -> int:
    """Of how many tracks the tag is known; 0 where that is too few to say anything."""
    count = int((truth.told[:, 1, truth.tags.index(tag)] > 0).sum())
    return count if count >= FEWEST_TRACKS else 0


def _validate(ours: Said, theirs: Said, truth: Truth) -> None:
    found = [len(truth.genres), len(truth.groups), len(truth.told), len(ours.genres), len(theirs.genres)]
    if len(set(found)) > 1:
        raise ModelError(f"Genres, groups, tags and both models' answers are {found}: they must be one each a track.")
    if len(set(truth.groups)) < 2:
        raise ModelError(
            f"The {found[0]} tracks belong to {len(set(truth.groups))} group(s), and at least 2 are needed to say how "
            "sure a difference is. Import music of more artists, or raise split.test_share."
        )
