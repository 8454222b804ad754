"""Targets: what a song is by its listeners, each with an interval and with how much it rests on.

=============  ==========================================================================================
appeal         the share of listeners that would like it
dislike        the share that say they dislike it, where that was asked
feeling        for each emotion that listeners were asked about, the share that felt it
word           for each word of the vocabulary, the share of those who said anything that used it
popularity     its rank among all tracks by how many listen, age taken into account; no share, and no interval
=============  ==========================================================================================

All but popularity are estimated by `earmark.feedback.estimates.shares`. Of each the noise ceiling is told.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from earmark.errors import ParamsError
from earmark.feedback.estimates.ceiling import noise_ceiling
from earmark.feedback.estimates.evidence import Meaning, calibrate, redrawn
from earmark.feedback.estimates.exposure import exposed
from earmark.feedback.estimates.files import Evidence
from earmark.feedback.estimates.shares import (
    Beta,
    Known,
    Shares,
    count,
    coverage,
    fit_prior,
    mixed_posterior,
    posterior,
    segment_prior,
)
from earmark.feedback.estimates.words import OWN_WORDS
from earmark.params import Targets

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

ALL = "all"
COLUMNS = ("track", "segment", "target", "name", "estimate", "low", "high", "sd", "listeners", "evidence")
_PULLS = tuple(float(pull) for pull in np.geomspace(2, 2_000, 13))  # of a segment to all others, to choose from
_DAY_US = 86_400_000_000.0
_ASKED = 0.9  # of the pairs: answers that few volunteer are no sample of what all would say
_NEIGHBOURS, _MOST_GROUPS = 10, 50  # tracks of about one age, and how many such groups
_SURE = 6.0  # log likelihood ratio that stands for an answer, where only the slope of exposure is sought


@dataclass
class Report:
    """What the targets rest on, and how far they can be trusted.

    Attributes:
        ceilings: By target (``appeal``, ``feeling:calmness``): the noise ceiling.
        priors: By target: mean and concentration.
        coverage: By target: how often the answers of half of the listeners lay within the interval that the other half
            predicts; NaN where answers are too few, or volunteered.
        meaning: What doings say about liking; None before it is known.
        withheld: Segments about which nothing is told, because fewer than the least listeners are in them.
        exposure: By how many logits liking grows with affinity, see `exposure` beside this; 0: no correction.
    """

    ceilings: dict[str, float] = field(default_factory=dict)
    priors: dict[str, Beta] = field(default_factory=dict)
    coverage: dict[str, float] = field(default_factory=dict)
    meaning: Meaning | None = None
    withheld: list[str] = field(default_factory=list)
    exposure: float = 0.0


def make_targets(evidence: Evidence, params: Targets, min_listeners: int) -> tuple[pd.DataFrame, Report]:
    """Every target of every track that there is evidence for.

    Args:
        evidence: What listeners did.
        params: How much counts what.
        min_listeners: Nothing about fewer is told: no target, no segment, and no track within a segment.

    Returns:
        Columns `COLUMNS`: ``segment`` is `ALL` or ``age:20–29``; ``name`` is the emotion or word, else empty;
        ``listeners`` how many it rests on, ``evidence`` how many answers that is worth. And a report.

    Raises:
        ParamsError: ``params.segments`` names something that is not known of listeners.
    """
    report, tracks = Report(), len(evidence.track_ids)
    if 0 < evidence.listeners < min_listeners:
        report.withheld.append(ALL)
        evidence = evidence.without_listeners()
    pairs, said = evidence.pairs, evidence.said
    segments = _segments(evidence.attributes, params.segments)
    report.meaning = calibrate(pairs, params)
    questions = _questions(pairs, said, segments, report, params)
    parts = [*_shares(questions, segments, tracks, params, min_listeners, report)]
    parts.append(popularity(pairs, evidence.counts, evidence.now_us))
    rows = [part for part in parts if len(part)]
    table = pd.concat(rows, ignore_index=True) if rows else pd.DataFrame(columns=list(COLUMNS))
    return table[list(COLUMNS)], report


@dataclass(frozen=True)
class Question:
    """One target, as answers and softer evidence of pairs.

    Attributes:
        target, name: As in the table.
        track, listener: Of each pair, shape ``(pairs,)``.
        yes: Share of a yes, 0 to 1, NaN where the listener did not answer.
        log_ratio: Of a pair without an answer.
        weight: Of each pair.
        affinity: Of each pair.
        slope: By how much it counts; 0: exposure is not corrected.
        levels: By segment its mean affinity to each track, by the track's number; from there affinity counts within it.
        others: What ``log_ratio`` might be just as well, by the same pairs; an interval holds that open.
    """

    target: str
    name: str
    track: Ints
    listener: Ints
    yes: Floats
    log_ratio: Floats
    weight: Floats
    affinity: Floats
    slope: float = 0.0
    levels: Mapping[str, Floats] = field(default_factory=dict)
    others: tuple[Floats, ...] = ()

    @property
    def key(self) -> str:
        """What the report calls it."""
        return f"{self.target}:{self.name}" if self.name else self.target

    def known(self, tracks: int, rows: npt.NDArray[Any] | slice, *, corrected: bool = True) -> Known:
        """What some of the pairs tell of each track."""
        return count(
            self.track[rows],
            self.yes[rows],
            tracks,
            log_ratio=self.log_ratio[rows],
            weight=self.weight[rows],
            affinity=self.affinity[rows],
            slope=self.slope if corrected else 0.0,
        )


def _questions(
    pairs: pd.DataFrame, said: pd.DataFrame, segments: dict[str, Ints], report: Report, params: Targets
) -> Iterator[Question]:
    assert report.meaning is not None
    answer, ratios = pairs["answer"].to_numpy(), report.meaning.log_ratio(pairs)
    outright = np.where(answer > 0.5, _SURE, -_SURE)
    met = exposed(pairs, np.where(np.isnan(answer), np.nan_to_num(ratios), outright), params.seed, segments)
    report.exposure = met.slope if params.correct_exposure else 0.0
    yield Question(
        "appeal",
        "",
        pairs["track"].to_numpy(),
        pairs["listener"].to_numpy(),
        answer,
        ratios,
        np.where(np.isnan(answer), 1.0, pairs["weight"].to_numpy()),
        met.affinity,
        report.exposure,
        met.levels,
        tuple(meaning.log_ratio(pairs) for meaning in redrawn(pairs, report.meaning, params)[: _several(len(pairs))]),
    )
    disliked = pairs[pairs["disliked"].notna()] if "disliked" in pairs else pairs.iloc[:0]
    if len(disliked):
        yield _asked("dislike", "", disliked["track"], disliked["listener"], disliked["disliked"])
    felt = said[said["kind"] == "feeling"]
    for name, rows in felt.groupby("word", sort=True):
        once = rows.drop_duplicates(["track", "listener"], keep="last").dropna(subset="value")  # others: taken back
        yield _asked("feeling", str(name), once["track"], once["listener"], once["value"])
    yield from _words(said[said["kind"].isin(OWN_WORDS)])


def _several(pairs: int) -> int:
    """How many redraws there is memory and time for."""
    return 10 if pairs < 2_000_000 else 3


def _words(said: pd.DataFrame) -> Iterator[Question]:
    speakers = said.drop_duplicates(["track", "listener"])[["track", "listener"]]
    for word, rows in said.groupby("word", sort=True):
        used = rows.drop_duplicates(["track", "listener"])
        used = used[["track", "listener"]].assign(value=1.0)
        asked = speakers.merge(used, how="left", on=["track", "listener"])
        yield _asked("word", str(word), asked["track"], asked["listener"], asked["value"].fillna(0.0))


def _asked(target: str, name: str, track: Any, listener: Any, yes: Any) -> Question:
    """A question that everybody counted here has answered."""
    values = np.asarray(yes, dtype=np.float64)
    nothing = np.zeros(len(values))
    ones = np.ones(len(values))
    return Question(target, name, np.asarray(track), np.asarray(listener), values, nothing, ones, nothing)


def _shares(
    questions: Iterator[Question],
    segments: dict[str, Ints],
    tracks: int,
    params: Targets,
    min_listeners: int,
    report: Report,
) -> Iterator[pd.DataFrame]:
    told: set[str] = set()
    for question in questions:
        if len(np.unique(question.listener)) < min_listeners:
            continue
        known = question.known(tracks, slice(None))
        prior = fit_prior(known, params.seed)
        told_by = [(known, prior)]
        for log_ratio in question.others:
            other = replace(question, log_ratio=log_ratio).known(tracks, slice(None))
            told_by.append((other, fit_prior(other, params.seed)))
        whole = mixed_posterior(told_by, params.confidence)
        report.priors[question.key] = prior
        report.ceilings[question.key] = noise_ceiling(
            question.track, question.listener, _expected(question, prior), seed=params.seed
        )
        report.coverage[question.key] = _held_out(question, tracks, params)
        heard = np.bincount(question.track, minlength=tracks)
        there = np.flatnonzero(heard > 0)
        yield _table(question, ALL, there, whole, heard, there)
        for segment, members in segments.items():
            rows = np.flatnonzero(np.isin(question.listener, members))
            if len(np.unique(question.listener[rows])) < min_listeners:
                continue
            told.add(segment)
            yield _of_segment(question, segment, rows, prior, tracks, params, min_listeners)
    report.withheld += [segment for segment in segments if segment not in told]


def _of_segment(
    question: Question, segment: str, rows: Ints, prior: Beta, tracks: int, params: Targets, min_listeners: int
) -> pd.DataFrame:
    heard = np.bincount(question.track[rows], minlength=tracks)
    there = np.flatnonzero(heard >= min_listeners)
    level = question.levels[segment][question.track] if segment in question.levels else 0.0
    known = replace(question, affinity=question.affinity - level).known(tracks, rows).rows(there)
    rest = question.known(tracks, np.setdiff1d(np.arange(len(question.track)), rows)).rows(there)
    priors, _ = segment_prior(known, rest, prior, _PULLS, params.seed)
    return _table(question, segment, there, posterior(known, priors, params.confidence), heard, None)


def _table(
    question: Question, segment: str, there: Ints, shares: Shares, heard: Ints, rows: Ints | None
) -> pd.DataFrame:
    chosen = slice(None) if rows is None else rows
    mean, sd = shares.mean[chosen], shares.sd[chosen]
    return pd.DataFrame(
        {
            "track": there,
            "segment": segment,
            "target": question.target,
            "name": question.name,
            "estimate": mean,
            "low": shares.low[chosen],
            "high": shares.high[chosen],
            "sd": sd,
            "listeners": heard[there],
            # As many answers as would leave it as uncertain: the concentration of a Beta of this mean and spread.
            "evidence": np.maximum(mean * (1 - mean) / np.maximum(sd**2, 1e-12) - 1, 0.0),
        }
    )


def _expected(question: Question, prior: Beta) -> Floats:
    """What each pair says about a yes, as a probability."""
    odds = np.log(prior.mean / (1 - prior.mean)) + question.log_ratio
    return np.where(np.isnan(question.yes), 1 / (1 + np.exp(-np.nan_to_num(odds))), question.yes)


def _held_out(question: Question, tracks: int, params: Targets) -> float:
    """How often the answers of half of the listeners lie in the interval that the rest predicts, or NaN."""
    answered = ~np.isnan(question.yes) & np.isin(question.yes, [0.0, 1.0])
    listeners, place = np.unique(question.listener, return_inverse=True)
    kept = (np.random.default_rng(params.seed).random(len(listeners)) < 0.5)[place]
    if len(listeners) < 4 or (answered & ~kept).sum() < 30 or answered.mean() < _ASKED:
        return float("nan")
    known = question.known(tracks, kept, corrected=False)
    rest = answered & ~kept
    yes = np.bincount(question.track[rest], question.yes[rest], tracks).astype(np.int64)
    no = np.bincount(question.track[rest], minlength=tracks) - yes
    return coverage(known, fit_prior(known, params.seed), yes, no, params.confidence)


def popularity(pairs: pd.DataFrame, counts: pd.DataFrame, now_us: float) -> pd.DataFrame:
    """The rank of each track by its audience for its age, 0 to 1.

    Audiences are heavy-tailed and grow with age. So it is the logarithm that is compared with what tracks of about that
    age have (the median of ten neighbours or more, and isotonic regression over these: an older track's expected
    audience is never smaller), and what is more or less than that is ranked.
    """
    heard = pairs[pairs["plays"] > 0] if len(pairs) else pairs
    audience = pd.Series(heard["track"].value_counts(), dtype="float64")
    since = heard.groupby("track")["first_us"].min()
    told = counts.set_index("track")
    audience = audience.add(told["listens"].astype("float64"), fill_value=0.0).dropna()
    since = told["since_us"].astype("float64").combine_first(since).reindex(audience.index)
    if not len(audience):
        return pd.DataFrame(columns=list(COLUMNS))
    logs = np.log1p(audience.to_numpy())
    age = np.log1p(np.maximum((now_us - since.to_numpy(dtype=np.float64)) / _DAY_US, 0.0))
    known = ~np.isnan(age)
    rest = logs - logs.mean()
    if known.sum() >= _NEIGHBOURS and np.ptp(age[known]) > 0:
        rest[known] = logs[known] - _expected_of_age(age[known], logs[known])
    rank = pd.Series(rest).rank(method="average").to_numpy()
    return pd.DataFrame(
        {
            "track": audience.index.to_numpy(dtype=np.int64),
            "segment": ALL,
            "target": "popularity",
            "name": "",
            "estimate": (rank - 0.5) / len(rank),
            "low": np.nan,
            "high": np.nan,
            "sd": np.nan,
            "listeners": audience.to_numpy().astype(np.int64),
            "evidence": np.nan,
        }
    )


def _expected_of_age(age: Floats, logs: Floats) -> Floats:
    """Audiences as tracks of about the same age have them; shape as ``age``."""
    from sklearn.isotonic import IsotonicRegression

    # By medians of neighbours, so that no track, were it the oldest of all, is compared with itself alone.
    groups = np.array_split(np.argsort(age, kind="stable"), min(len(age) // _NEIGHBOURS, _MOST_GROUPS))
    ages, medians = (np.array([np.median(values[group]) for group in groups]) for values in (age, logs))
    return np.asarray(np.interp(age, ages, IsotonicRegression().fit_transform(ages, medians)))


def _segments(attributes: pd.DataFrame, names: Sequence[str]) -> dict[str, Ints]:
    """``age:20–29`` → the listeners in it.

    Raises:
        ParamsError: Nothing of this name is known of listeners.
    """
    known = [name for name in attributes.columns if name != "listener_id"]
    if unknown := [name for name in names if name not in known]:
        raise ParamsError(
            f"targets.segments names {', '.join(unknown)}, but what is known of listeners is {', '.join(known)}."
        )
    return {
        f"{name}:{value}": rows["listener_id"].to_numpy(dtype=np.int64)
        for name in names
        for value, rows in attributes[attributes[name].notna()].groupby(name, sort=True)
    }
