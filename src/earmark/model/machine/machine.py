"""Kernel machines: what is said of a song follows from how near it lies to the songs that are known.

Where songs are few and a good description of them is at hand, these are hard to beat. Genres come from a support vector
machine (Cortes and Vapnik, "Support-vector networks", Machine Learning 20, 1995) and from L2-regularised logistic
regression, as the geometric mean of their probabilities; shares of tags from kernel ridge regression (Saunders et al.,
ICML 1998). All three see the same blocks of numbers: descriptors, and what an encoder hears.

Every block is standardised, and distances are per column, so that a block counts as much as its share says, however
wide it is. Shares, widths of the kernels and strengths of the penalties are chosen on inner folds by group of what the
machine is fitted to; no other song has a part in it. The margins of the support vector machine become probabilities by
one slope, found on the same folds (Platt, 1999; here for all classes at once).
"""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earmark.model.answers import Answers, Floats
from earmark.params import Machine

Labels = NDArray[np.int64]
Setting = dict[str, Any]

_FOLDS = 5
_SECOND = (0.9, 0.5, 1.0)  # shares of the second block, an encoding's; the first that is listed needs no choice
_SVM = {"gamma": (0.5, 0.25, 1.0), "C": (3.0, 1.0, 10.0, 30.0)}
_LOGISTIC = {"C": (10.0, 1.0, 3.0, 30.0)}
_RIDGE = {"gamma": (0.5, 0.25, 1.0), "alpha": (0.3, 0.1, 1.0)}


@dataclass(frozen=True)
class Scale:
    """How one block is standardised: what does not differ among the songs is dropped.

    Attributes:
        kept: Places of the columns, shape ``(kept,)``.
        mean: Of each of them.
        deviation: Of each of them.
    """

    kept: Labels
    mean: Floats
    deviation: Floats

    @classmethod
    def of(cls, block: Floats) -> "Scale":
        """By these songs, shape ``(tracks, columns)``."""
        mean, deviation = block.mean(axis=0), block.std(axis=0)
        kept = np.flatnonzero(deviation > 1e-9 * (1 + np.abs(mean)))
        return cls(kept, mean[kept], deviation[kept])

    def __call__(self, block: Floats) -> Floats:
        """Shape ``(tracks, columns)`` to ``(tracks, kept)``, the mean square of a row about 1 · kept."""
        return (block[:, self.kept] - self.mean) / self.deviation


@dataclass(frozen=True)
class KernelMachine:
    """What was fitted. Each learner has its ``setting``: ``shares`` of the blocks, ``gamma``, and its penalty.

    Attributes:
        scales: One a block.
        songs: The standardised blocks of the songs that it was fitted to, shape ``(tracks, kept)`` each.
        svm: On the kernel between those songs.
        slope: From its margins to logits.
        logistic: On the blocks side by side.
        ridge: As ``svm``, for all tags at once; None where there are no tags.
        tag_means: Shape ``(tags,)``.
        settings: By learner: ``svm``, ``logistic``, ``ridge``.
        losses: By learner, on the inner folds; log loss, and for ridge the error as a share of the variance. Empty
            where a genre had too few groups for inner folds.
    """

    scales: tuple[Scale, ...]
    songs: tuple[NDArray[np.float32], ...]
    svm: Any
    slope: float
    logistic: Any
    ridge: Any
    tag_means: Floats
    settings: dict[str, Setting]
    losses: dict[str, float]

    def plain(self) -> dict[str, Any]:
        """As plain values, arrays and objects of scikit-learn: a file of them outlives this class's name and place."""
        scales = [vars(scale) for scale in self.scales]
        return {**{field.name: getattr(self, field.name) for field in dataclasses.fields(self)}, "scales": scales}

    @classmethod
    def of(cls, plain: dict[str, Any]) -> "KernelMachine":
        """Back from `plain`."""
        return cls(**{**plain, "scales": tuple(Scale(**scale) for scale in plain["scales"])})

    def __call__(self, blocks: Sequence[Floats]) -> Answers:
        """Answers for songs by their blocks, shape ``(tracks, columns)`` each; the last one is the embedding."""
        scaled = [scale(np.asarray(block, dtype=np.float64)) for scale, block in zip(self.scales, blocks, strict=True)]
        apart = [_apart(each, known.astype(np.float64)) for each, known in zip(scaled, self.songs, strict=True)]
        logs = _log_softmax(self.slope * _margins(self.svm, _kernel(apart, self.settings["svm"])))
        logs = logs + np.log(self.logistic.predict_proba(_side_by_side(scaled, self.settings["logistic"])).clip(1e-12))
        shares = np.zeros((len(scaled[0]), 0))
        if self.ridge is not None:
            told = self.ridge.predict(_kernel(apart, self.settings["ridge"])).reshape(len(shares), -1)
            shares = (self.tag_means + told).clip(0.0, 1.0)
        return Answers(np.exp(_log_softmax(logs / 2)), shares, scaled[-1])


def fit_machine(
    blocks: Sequence[Floats], labels: Labels, groups: NDArray[np.object_], tags: NDArray[np.float32], how: Machine
) -> KernelMachine:
    """Fit all three learners.

    Args:
        blocks: One or two descriptions of the same songs, shape ``(tracks, columns)`` each; an encoding comes second.
        labels: Index of each song's genre, shape ``(tracks,)``; every index from 0 must occur.
        groups: Songs of one group (an artist) never stand on both sides of an inner fold.
        tags: Share and weight, shape ``(tracks, 2, tags)``.
        how: Section ``machine`` of params.yaml.
    """
    chosen = _drawn(labels, how)
    labels, groups, tags = labels[chosen], groups[chosen], tags[chosen]
    own = [np.asarray(block[chosen], dtype=np.float64) for block in blocks]
    scales = tuple(Scale.of(block) for block in own)
    targets, tag_means = _targets(tags)
    folds = list(_folds(labels, groups, how.seed))
    trials = _Trials(own, labels, targets - tag_means, tags, folds)
    svm, slope, svm_loss = trials.svm()
    logistic, logistic_loss = trials.logistic()
    ridge, ridge_loss = trials.ridge() if tags.shape[2] else ({}, 0.0)

    scaled = [scale(block) for scale, block in zip(scales, own, strict=True)]
    apart = [_apart(each, each) for each in scaled]
    return KernelMachine(
        scales=scales,
        songs=tuple(each.astype(np.float32) for each in scaled),
        svm=_svm(svm).fit(_kernel(apart, svm), labels),
        slope=slope,
        logistic=_logistic(logistic).fit(_side_by_side(scaled, logistic), labels),
        ridge=_ridge(ridge).fit(_kernel(apart, ridge), targets - tag_means) if ridge else None,
        tag_means=tag_means,
        settings={"svm": svm, "logistic": logistic, "ridge": ridge},
        losses={"svm": svm_loss, "logistic": logistic_loss, "ridge": ridge_loss} if folds else {},
    )


class _Trials:
    """Every setting on every inner fold, each fold standardised by its own training part."""

    def __init__(
        self,
        blocks: Sequence[Floats],
        labels: Labels,
        targets: Floats,
        tags: NDArray[np.float32],
        folds: Sequence[tuple[Labels, Labels]],
    ) -> None:
        self.labels, self.targets, self.folds = labels, targets, folds
        self.weight = tags[:, 1].astype(np.float64)
        self.shares = [(1.0,)] if len(blocks) == 1 else [(round(1 - second, 6), second) for second in _SECOND]
        self.held = np.concatenate([held for _, held in folds]) if folds else np.zeros(0, dtype=np.int64)
        self.prepared = []
        for fitted, held in folds:
            scales = [Scale.of(block[fitted]) for block in blocks]
            pairs = list(zip(scales, blocks, strict=True))
            self.prepared.append(([s(block[fitted]) for s, block in pairs], [s(block[held]) for s, block in pairs]))
        self.apart = [
            ([_apart(a, a) for a in near], [_apart(b, a) for a, b in zip(near, far, strict=True)])
            for near, far in self.prepared
        ]

    def svm(self) -> tuple[Setting, float, float]:
        """The best setting, its slope, and its log loss."""

        def trial(setting: Setting) -> float:
            margins = [
                _margins(_svm(setting).fit(_kernel(near, setting), self.labels[fitted]), _kernel(far, setting))
                for (fitted, _), (near, far) in zip(self.folds, self.apart, strict=True)
            ]
            slope, loss = _slope(np.concatenate(margins), self.labels[self.held])
            slopes[tuple(setting.items())] = slope
            return loss

        slopes: dict[Any, float] = {}
        setting, loss = self._least(_SVM, trial)
        return setting, slopes.get(tuple(setting.items()), 1.0), loss

    def logistic(self) -> tuple[Setting, float]:
        """The best setting, and its log loss."""

        @cache
        def beside(shares: tuple[float, ...]) -> list[tuple[Floats, Floats]]:
            setting = {"shares": shares}
            return [_turned(*(_side_by_side(each, setting) for each in pair)) for pair in self.prepared]

        def loss(setting: Setting) -> float:
            logs = []
            for (fitted, held), (near, far) in zip(self.folds, beside(setting["shares"]), strict=True):
                told = _logistic(setting).fit(near, self.labels[fitted]).predict_proba(far)
                logs.append(np.log(told[np.arange(len(held)), self.labels[held]].clip(1e-12)))
            return float(-np.concatenate(logs).mean())

        return self._least(_LOGISTIC, loss)

    def ridge(self) -> tuple[Setting, float]:
        """The best setting, and its squared error as a share of the variance, over all tags."""
        weight, actual = self.weight[self.held], self.targets[self.held]
        variance = np.maximum((weight * np.square(actual)).sum(axis=0), 1e-9)

        def loss(setting: Setting) -> float:
            told = [
                _ridge(setting).fit(_kernel(near, setting), self.targets[fitted]).predict(_kernel(far, setting))
                for (fitted, _), (near, far) in zip(self.folds, self.apart, strict=True)
            ]
            errors = np.square(np.concatenate(told).reshape(actual.shape) - actual)
            return float(((weight * errors).sum(axis=0) / variance).mean())

        return self._least(_RIDGE, loss)

    def _least(self, grid: Mapping[str, tuple[float, ...]], loss: Callable[[Setting], float]) -> tuple[Setting, float]:
        """First all but the penalty, which comes last in ``grid``, then the penalty: a third of the work."""
        *names, penalty = grid
        first = [
            {"shares": shares, **dict(zip(names, values, strict=True)), penalty: grid[penalty][0]}
            for shares, *values in product(self.shares, *(grid[name] for name in names))
        ]
        if not self.folds:
            return first[0], 0.0
        setting, least = _smallest(first, loss)
        others = [{**setting, penalty: value} for value in grid[penalty][1:]]
        return min([(setting, least), _smallest(others, loss)], key=lambda found: found[1])


def _smallest(settings: Sequence[Setting], loss: Callable[[Setting], float]) -> tuple[Setting, float]:
    return min(((setting, loss(setting)) for setting in settings), key=lambda found: found[1])


def _svm(setting: Setting) -> Any:
    from sklearn.svm import SVC

    return SVC(C=setting["C"], kernel="precomputed", decision_function_shape="ovo")


def _logistic(setting: Setting) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=setting["C"], max_iter=1000)


def _ridge(setting: Setting) -> Any:
    from sklearn.kernel_ridge import KernelRidge

    return KernelRidge(alpha=setting["alpha"], kernel="precomputed")


def _folds(labels: Labels, groups: NDArray[np.object_], seed: int) -> Iterator[tuple[Labels, Labels]]:
    """Inner folds by group; none where a genre has a single one. A fold without a genre in training is left out."""
    from sklearn.model_selection import StratifiedGroupKFold

    fewest = min(len(set(groups[labels == label])) for label in np.unique(labels))
    if fewest < 2:
        return
    splitter = StratifiedGroupKFold(min(_FOLDS, fewest), shuffle=True, random_state=seed)
    for fitted, held in splitter.split(labels, labels, groups):
        if len(set(labels[fitted])) == len(set(labels)) and len(held):
            yield fitted, held


def _drawn(labels: Labels, how: Machine) -> Labels:
    """At most so many songs, at random but at least one of each genre: a kernel grows with their square."""
    order = np.random.default_rng(how.seed).permutation(len(labels))
    if len(labels) <= how.max_songs:
        return np.arange(len(labels))
    _, firsts = np.unique(labels[order], return_index=True)
    return np.sort(np.concatenate([order[firsts], np.delete(order, firsts)])[: max(how.max_songs, len(firsts))])


def _targets(tags: NDArray[np.float32]) -> tuple[Floats, Floats]:
    """Shares ``(tracks, tags)``, drawn to the tag's mean by as much as they are unsure; and those means."""
    share, weight = tags[:, 0].astype(np.float64), tags[:, 1].astype(np.float64)
    mean = (share * weight).sum(axis=0) / np.maximum(weight.sum(axis=0), 1e-9)
    return mean + weight * (share - mean), mean


def _apart(songs: Floats, known: Floats) -> Floats:
    """Squared distances per column, shape ``(songs, known)``; about 2 between two songs of no relation."""
    squares = np.square(songs).sum(axis=1)[:, None] + np.square(known).sum(axis=1) - 2 * songs @ known.T
    return np.asarray(squares.clip(min=0.0) / max(1, songs.shape[1]))


def _kernel(apart: Iterable[Floats], setting: Setting) -> Floats:
    """Radial basis functions of the blocks' distances, each by its share."""
    together = sum(share * each for share, each in zip(setting["shares"], apart, strict=True))
    return np.asarray(np.exp(-setting["gamma"] * together))


def _side_by_side(blocks: Sequence[Floats], setting: Setting) -> Floats:
    """Blocks ``(tracks, columns)`` as one, whose squares are those that `_kernel` adds up."""
    weights = [np.sqrt(share / max(1, block.shape[1])) for share, block in zip(setting["shares"], blocks, strict=True)]
    return np.hstack([weight * block for weight, block in zip(weights, blocks, strict=True) if weight])


def _turned(near: Floats, far: Floats) -> tuple[Floats, Floats]:
    """The same songs in as many coordinates as they span, which is all that an L2-penalised linear model sees."""
    if near.shape[1] <= near.shape[0]:
        return near, far
    axes = np.linalg.qr(near.T)[0]  # (columns, songs)
    return near @ axes, far @ axes


def _margins(svm: Any, kernel: Floats) -> Floats:
    """For each class the sum of its margins against every other, shape ``(tracks, classes)``."""
    pairs = np.asarray(svm.decision_function(kernel), dtype=np.float64)
    classes = len(svm.classes_)
    if classes == 2:  # one margin, and there it speaks for the second class
        pairs = -pairs.reshape(-1, 1)
    first, second = np.triu_indices(classes, 1)
    signs = np.zeros((len(first), classes))
    signs[np.arange(len(first)), first], signs[np.arange(len(first)), second] = 1.0, -1.0
    return np.asarray(pairs @ signs)


def _slope(margins: Floats, actual: Labels) -> tuple[float, float]:
    """The slope of the least log loss, and that loss."""
    from scipy.optimize import minimize_scalar

    def loss(log_slope: float) -> float:
        logs = _log_softmax(np.exp(log_slope) * margins)
        return float(-logs[np.arange(len(actual)), actual].mean())

    found = minimize_scalar(loss, bounds=(-5.0, 5.0), method="bounded")
    return float(np.exp(found.x)), float(found.fun)


def _log_softmax(logits: Floats) -> Floats:
    shifted = logits - logits.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))
