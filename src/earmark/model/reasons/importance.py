"""Which descriptors a model listens to: importance of each feature, and family of features, for each class.

A feature is as important as the score that is lost on held-out artists when its values are exchanged between songs
(permutation importance: Breiman, "Random forests", 2001). Each song gets the value of another, never its own, which
estimates the model reliance of Fisher, Rudin and Dominici ("All models are wrong, but many are useful", JMLR 20, 2019)
without bias. Features that say the same hide one another: exchange one, and the model still hears the other. So whole
families are exchanged together, too.

The score of a class is the mean log-probability, in nats, with which the model tells the class from the rest: of the
answer "it is" on the class's songs, and of "it is not" on the others, both sides weighing the same. Of ten songs, an
accuracy or an area under a curve moves in jumps and stands still once all are right; this one moves with every answer,
and as a mean over songs it can be drawn anew at little cost. The score of "all" is the mean log-probability of the
actual class, each class weighing the same.

Intervals come from drawing groups (artists) and exchanges anew. Of a class that one artist alone represents they
cannot say how it would go with another.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from earmark.errors import ModelError
from earmark.model.metrics import Labels, resamples
from earmark.params import Evaluation

Table = NDArray[np.float64]
Answer = Callable[[Table], NDArray[np.float64]]  # (tracks, features) -> probabilities (tracks, labels)

ALL = "all"
MOST_SURE = 0.99  # no answer counts as surer than this: a forest says 0 of what its trees have not seen
_BRIGHTNESS = {"centroid", "bandwidth", "rolloff", "flatness", "zero"}
_ROWS_AT_ONCE = 1 << 14  # asked in one call: trees take their time for few rows, too, and many fall out of the cache
_DRAWS_AT_ONCE = 1 << 23


@dataclass(frozen=True)
class Importance:
    """Tidy tables, one row a class and feature, or class and family; the class `ALL` stands for all together.

    Attributes:
        features: ``class, feature, family, importance, low, high``, in nats.
        families: The same without ``feature``: what is lost when the whole family is exchanged.
    """

    features: pd.DataFrame
    families: pd.DataFrame


@dataclass(frozen=True)
class Part:
    """A model, and the tracks that it has not learnt from: their positions in the table."""

    answer: Answer
    held_out: NDArray[np.int64]


def family_of(name: str) -> str:
    """The family of a descriptor (see `earmark.audio.descriptors`): its first word, or ``brightness``."""
    first = name.split("_")[0]
    return "brightness" if first in _BRIGHTNESS else first


@dataclass(frozen=True)
class Matrix:
    """Classes against the features that matter most.

    Attributes:
        values: Importance in nats; features as rows, by family, classes as columns, `ALL` the last.
        sure: Where the whole interval lies above 0; of the same shape.
        families: Of each row.
        rest: What all other features lose, each by itself, added up; by class.
        others: How many these are.
    """

    values: pd.DataFrame
    sure: pd.DataFrame
    families: list[str]
    rest: "pd.Series[float]"
    others: int


def matrix(features: pd.DataFrame, most: int) -> Matrix:
    """Of `Importance.features`, or its file, the ``most`` features that matter most for any class.

    Families stand together, that of the most important feature first.
    """
    classes = [*(name for name in dict.fromkeys(features["class"]) if name != ALL), ALL]
    values, low = (
        features.pivot(index="feature", columns="class", values=name)[classes] for name in ("importance", "low")
    )
    family = features.drop_duplicates("feature").set_index("feature")["family"]
    ranked = values.max(axis=1).sort_values(ascending=False, kind="stable")
    chosen = ranked.index[:most]
    order = {kind: place for place, kind in reversed(list(enumerate(family[chosen])))}
    rows = sorted(chosen, key=lambda name: order[family[name]])  # within a family as ranked
    return Matrix(
        values=values.loc[rows],
        sure=low.loc[rows] > 0,
        families=family[rows].tolist(),
        rest=values.drop(index=rows).sum(),
        others=len(values) - len(rows),
    )


def pooled_importance(
    parts: Sequence[Part],
    table: Table,
    actual: Labels,
    groups: NDArray[np.object_],
    names: Sequence[str],
    labels: Sequence[str],
    how: Evaluation,
    *,
    repeats: int = 10,
    seed: int = 1,
    families: Mapping[str, str] | None = None,
) -> Importance:
    """How much of the models' score rests on each feature and family, on tracks they have not learnt from.

    Each part of the tracks has a model of its own, as after cross-fitting. Values are exchanged within a part. A track
    that is in no part is left out.

    Args:
        parts: Models and their tracks.
        table: Shape ``(tracks, features)``.
        actual: Index of each track's label, shape ``(tracks,)``.
        groups: Artists, shape ``(tracks,)``.
        names: Of the features.
        labels: Of the classes; those that no track has are left out of the tables.
        how: Section ``evaluation`` of params.yaml.
        repeats: How often each feature is exchanged.
        seed: Of the exchanges.
        families: The family of each name; those of `family_of` unless given.

    Raises:
        ModelError: Shapes do not fit, a value is no number, or a part has fewer than two tracks.
    """
    family = {name: family_of(name) for name in names} if families is None else families
    _validate(parts, table, actual, groups, names, labels, family, repeats)
    scores = _Scores(actual, groups, np.concatenate([part.held_out for part in parts]), labels, how)
    alone = [(column,) for column in range(len(names))]
    kinds = list(dict.fromkeys(family[name] for name in names))
    together = [tuple(column for column, name in enumerate(names) if family[name] == kind) for kind in kinds]
    exchanged = list(dict.fromkeys([*alone, *together]))  # a family of one feature is exchanged with it
    found = _Drops(parts, table, scores, repeats=repeats, seed=seed).of(exchanged)
    place = {columns: number for number, columns in enumerate(exchanged)}
    features = {"feature": list(names), "family": [family[name] for name in names]}
    return Importance(
        _table(scores, features, found[..., [place[columns] for columns in alone]]),
        _table(scores, {"family": kinds}, found[..., [place[columns] for columns in together]]),
    )


def _table(scores: "_Scores", first: Mapping[str, Sequence[str]], found: NDArray[np.float64]) -> pd.DataFrame:
    """One row a class and feature or family, named by the columns ``first``; ``found`` as `_Drops.of` gives it."""
    frames = [
        pd.DataFrame({"class": name, **first, "importance": values[0], "low": values[1], "high": values[2]})
        for (name, _, _), values in zip(scores.classes, found, strict=True)
    ]
    return pd.concat(frames, ignore_index=True)


class _Strata:
    """Means over tracks in which each stratum (a side of a class, or a class) weighs the same."""

    def __init__(self, strata: Labels, own: Labels, counts: NDArray[np.float64], *, whole: bool) -> None:
        """``own`` is each track's group, ``counts`` ``(draws, groups)``; ``whole``: no draw without a stratum."""
        key = strata * counts.shape[1] + own
        self._order = np.argsort(key, kind="stable")
        cells, self._first, sizes = np.unique(key[self._order], return_index=True, return_counts=True)
        stratum, group = np.divmod(cells, counts.shape[1])
        self._strata = [np.flatnonzero(stratum == one) for one in np.unique(stratum)]
        tracks = np.stack([counts[:, group[cell]] @ sizes[cell] for cell in self._strata], axis=1)  # (draws, strata)
        complete = (tracks > 0).all(axis=1)
        kept = complete if whole and complete.any() else np.ones(len(counts), dtype=bool)
        self.kept = kept
        there = (tracks > 0).sum(axis=1, keepdims=True)
        shares = np.divide(1, tracks * there, out=np.zeros_like(tracks), where=tracks > 0)[kept]
        self._weights = [counts[kept][:, group[cell]] * shares[:, [place]] for place, cell in enumerate(self._strata)]
        self._plain = [np.full(len(cell), 1 / (sizes[cell].sum() * len(self._strata))) for cell in self._strata]

    def means(self, values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Of ``(tracks, k)``: the means ``(k,)``, and those of each draw ``(draws kept, k)``."""
        sums = np.add.reduceat(values[self._order], self._first, axis=0)
        plain = sum(weights @ sums[cell] for weights, cell in zip(self._plain, self._strata, strict=True))
        drawn = sum(weights @ sums[cell] for weights, cell in zip(self._weights, self._strata, strict=True))
        return np.asarray(plain), np.asarray(drawn)


class _Scores:
    """What is scored, class by class, and how its means are drawn anew."""

    def __init__(
        self, actual: Labels, groups: NDArray[np.object_], heard: Labels, labels: Sequence[str], how: Evaluation
    ) -> None:
        self.actual, self.labels, self.how, self._heard = actual, len(labels), how, heard
        groups = groups[heard]
        _, first, own = np.unique(groups.astype(str), return_index=True, return_inverse=True)
        self.counts = np.stack([weights[first] for weights in resamples(groups, how)])  # (draws, groups)
        actual = actual[heard]
        self.classes: list[tuple[str, int | None, _Strata]] = [
            (labels[index], index, _Strata((actual == index).astype(np.int64), own, self.counts, whole=True))
            for index in np.unique(actual)
        ]
        self.classes.append((ALL, None, _Strata(actual, own, self.counts, whole=False)))

    def of(self, probabilities: NDArray[np.float64], actual: Labels) -> list[NDArray[np.float64]]:
        """Log-probability of what is right, for each of `classes`: ``(…, tracks, labels)`` to ``(…, tracks)``."""
        probabilities = MOST_SURE * probabilities + (1 - MOST_SURE) / self.labels
        logs = []
        for _, index, _ in self.classes:
            if index is None:
                right = np.take_along_axis(
                    probabilities, np.broadcast_to(actual[:, None], (*probabilities.shape[:-1], 1)), axis=-1
                )[..., 0]
            else:
                right = np.where(actual == index, probabilities[..., index], 1 - probabilities[..., index])
            logs.append(np.log(right))
        return logs

    def in_order(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Rows ``(tracks of the table, k)`` in the order of the tracks held out."""
        return values[self._heard]


class _Drops:
    """What the scores lose when columns are exchanged."""

    def __init__(self, parts: Sequence[Part], table: Table, scores: _Scores, *, repeats: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self._parts, self._table, self._scores, self._repeats = parts, table, scores, repeats
        self._donors = [_donors(len(part.held_out), repeats, rng) for part in parts]  # (repeats, tracks) each
        self._before = [
            scores.of(_ask(part, table[part.held_out], scores.labels), scores.actual[part.held_out]) for part in parts
        ]
        draws = len(scores.counts)
        self._exchanges = rng.multinomial(repeats, np.full(repeats, 1 / repeats), size=draws) / repeats

    def of(self, columns: Sequence[Sequence[int]]) -> NDArray[np.float64]:
        """What each class loses by each exchange, with its interval: shape ``(classes, 3, exchanges)``."""
        tail = (1 - self._scores.how.confidence) / 2
        tracks = max(len(part.held_out) for part in self._parts)  # of one call
        at_once = max(
            1,
            min(
                _ROWS_AT_ONCE // (self._repeats * tracks),
                _DRAWS_AT_ONCE // (self._repeats * len(self._exchanges)),
            ),
        )
        found = np.empty((len(self._scores.classes), 3, len(columns)))
        for start in range(0, len(columns), at_once):
            chosen = columns[start : start + at_once]
            for place, drop in enumerate(self._drops(chosen)):
                strata = self._scores.classes[place][2]
                plain, drawn = strata.means(self._scores.in_order(drop.reshape(len(drop), -1)))
                plain = plain.reshape(self._repeats, -1).mean(axis=0)
                drawn = drawn.reshape(len(drawn), self._repeats, -1)
                drawn = np.einsum("drk,dr->dk", drawn, self._exchanges[strata.kept])
                low, high = np.quantile(drawn, [tail, 1 - tail], axis=0)
                found[place, :, start : start + at_once] = plain, low, high
        return found

    def _drops(self, columns: Sequence[Sequence[int]]) -> list[NDArray[np.float64]]:
        """For each class ``(tracks, repeats, columns)``."""
        shape = (len(self._table), self._repeats, len(columns))
        drops = [np.zeros(shape) for _ in self._scores.classes]
        for part, donors, before in zip(self._parts, self._donors, self._before, strict=True):
            own = self._table[part.held_out]
            rows = np.broadcast_to(own, (self._repeats, len(columns), *own.shape)).copy()
            for place, together in enumerate(columns):
                for column in together:
                    rows[:, place, :, column] = own[donors, column]
            answers = _ask(part, rows.reshape(-1, own.shape[1]), self._scores.labels).reshape(*rows.shape[:3], -1)
            after = self._scores.of(answers, self._scores.actual[part.held_out])
            for drop, was, now in zip(drops, before, after, strict=True):
                drop[part.held_out] = (was - now).transpose(2, 0, 1)
        return drops


def _donors(tracks: int, repeats: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Whose value each track gets, shape ``(repeats, tracks)``: a random circle, so that none gets its own."""
    donors = np.empty((repeats, tracks), dtype=np.int64)
    for repeat in range(repeats):
        order = rng.permutation(tracks)
        donors[repeat, order] = np.roll(order, 1)
    return donors


def _ask(part: Part, rows: Table, labels: int) -> NDArray[np.float64]:
    answers = np.asarray(part.answer(rows), dtype=np.float64)
    if answers.shape != (len(rows), labels):
        raise ModelError(
            f"The model answered {len(rows)} tracks with an array of shape {answers.shape}; needed are probabilities "
            f"of shape {(len(rows), labels)}. Give the model's probabilities, not its choice, and all its labels."
        )
    if not (np.isfinite(answers).all() and answers.min() >= 0 and answers.max() <= 1 + 1e-6):
        raise ModelError(
            f"The model's answers go from {answers.min()} to {answers.max()}; needed are probabilities from 0 to 1. "
            "Give probabilities, not logits."
        )
    return answers.clip(max=1)


def _validate(
    parts: Sequence[Part],
    table: Table,
    actual: Labels,
    groups: NDArray[np.object_],
    names: Sequence[str],
    labels: Sequence[str],
    family: Mapping[str, str],
    repeats: int,
) -> None:
    if table.ndim != 2 or table.shape[1] != len(names) or len(set(names)) != len(names):
        raise ModelError(f"A table of shape {table.shape} and {len(names)} names: they must be one each a column.")
    if not len(table) == len(actual) == len(groups):
        raise ModelError(
            f"{len(table)} rows, {len(actual)} labels and {len(groups)} groups: they must be one each a track."
        )
    fewest = min((len(part.held_out) for part in parts), default=0)
    if fewest < 2:
        raise ModelError(
            f"{fewest} held-out track(s) cannot exchange values; at least 2 are needed. Hold out more artists: raise "
            "split.validation_share, or use fewer folds."
        )
    if not np.isfinite(table).all():
        column = int(np.flatnonzero(~np.isfinite(table).all(axis=0))[0])
        raise ModelError(
            f"The feature {names[column]} is not a finite number for every track. Descriptors are finite by "
            "construction, so the table comes from elsewhere, or its file is damaged: make it again."
        )
    if len(actual) and not 0 <= int(actual.min()) <= int(actual.max()) < len(labels):
        raise ModelError(f"Labels go from {actual.min()} to {actual.max()}, but there are {len(labels)} classes.")
    if repeats < 1:
        raise ModelError(f"repeats is {repeats}; a feature must be exchanged at least once.")
    if ALL in labels:
        raise ModelError(f"A class is called {ALL!r}, which here means all classes together. Give it another name.")
    if missing := [name for name in names if name not in family]:
        raise ModelError(f"No family is given for {', '.join(missing[:5])}. Name one for every feature.")
