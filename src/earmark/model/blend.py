"""Several predictors as one: they err differently, so together they are often better than the best of them.

Probabilities are combined as a weighted geometric mean (a logarithmic opinion pool; Genest and Zidek, "Combining
probability distributions", Statistical Science 1986), shares of tags as a weighted mean. The weights are found on
answers to songs that no part was fitted to (stacking; Wolpert, 1992; Breiman, 1996).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from earmark.errors import ModelError
from earmark.model.answers import Answers, Floats, Inputs
from earmark.model.encoders.encoder import Encoder
from earmark.model.predictor import Predictor, load_predictor

if TYPE_CHECKING:
    from earmark.model.network.predictor import NetworkPredictor


@dataclass(frozen=True)
class Weights:
    """How much each part counts.

    Attributes:
        genres: Exponents of the parts' probabilities, shape ``(parts,)``, each at least 0.
        tags: Shares of the parts, shape ``(parts, tags)``, at least 0; each column sums to 1.
    """

    genres: Floats
    tags: Floats


@dataclass(frozen=True)
class BlendPredictor(Predictor):
    """Parts, by name, and how much each counts; embeddings are those of the first."""

    parts: Mapping[str, Predictor]
    weights: Weights

    kind = "blend"

    @property
    def needs_log_mel(self) -> bool:  # type: ignore[override]  # what the parts need, here
        """Whether any part does."""
        return any(part.needs_log_mel for part in self.parts.values())

    @property
    def needs_descriptors(self) -> bool:  # type: ignore[override]
        """Whether any part does."""
        return any(part.needs_descriptors for part in self.parts.values())

    @property
    def encoder(self) -> Encoder | None:
        """That of the part that has one; its folder carries it."""
        return next((part.encoder for part in self.parts.values() if part.encoder is not None), None)

    @property
    def network(self) -> "NetworkPredictor | None":
        """That of the part that has one; None where several do, as what one of them was told is not for the others."""
        found = [part.network for part in self.parts.values() if part.network is not None]
        return found[0] if len(found) == 1 else None

    def raw(self, inputs: Sequence[Inputs]) -> Answers:
        """As `Predictor.raw`."""
        return blended([part.raw(inputs) for part in self.parts.values()], self.weights)

    def heard_of(self, seconds: float) -> float:
        """As much as the part that hears most."""
        return max(part.heard_of(seconds) for part in self.parts.values())

    def _settings(self) -> dict[str, Any]:
        return {
            "parts": list(self.parts),
            "weights": {"genres": self.weights.genres.tolist(), "tags": self.weights.tags.tolist()},
        }

    def _save_weights(self, folder: Path) -> None:
        for name, part in self.parts.items():
            part.save(folder / name)

    @classmethod
    def load(cls, folder: Path, about: dict[str, Any], common: dict[str, Any], device: str) -> Self:
        """From a folder; called by `earmark.model.predictor.load_predictor`."""
        told = about["weights"]
        tags = np.asarray(told["tags"], dtype=np.float64).reshape(len(about["parts"]), -1)
        return cls(
            **common,
            parts={name: load_predictor(folder / name, device=device) for name in about["parts"]},
            weights=Weights(np.asarray(told["genres"], dtype=np.float64), tags),
        )


def blended(parts: Sequence[Answers], weights: Weights) -> Answers:
    """The parts' answers as one."""
    logs = _logs(parts)
    sums = np.einsum("p,ptl->tl", weights.genres, logs)
    genres = np.exp(sums - sums.max(axis=1, keepdims=True))
    shares = np.einsum("pg,ptg->tg", weights.tags, np.stack([part.shares for part in parts]))
    return Answers(genres / genres.sum(axis=1, keepdims=True), shares, parts[0].embeddings)


def fit_weights(parts: Sequence[Answers], actual: NDArray[np.int64], known: NDArray[np.float32]) -> Weights:
    """Weights by held-out answers: for genres those of the least log loss, for each tag those of the least error.

    Both are drawn towards equal weights, as by some songs' worth of evidence: with few songs a weight is mostly noise.

    Args:
        parts: Each part's answers to the same songs, none of which it was fitted to.
        actual: Index of each song's genre, shape ``(tracks,)``.
        known: Share and weight of each tag, shape ``(tracks, 2, tags)``.

    Raises:
        ModelError: There is no song, or the parts answer different numbers of them.
    """
    from scipy.optimize import minimize

    if not len(actual) or any(len(part) != len(actual) for part in parts):
        raise ModelError(
            f"Weights need the same held-out songs of every part: {len(actual)} songs, answers to "
            f"{', '.join(str(len(part)) for part in parts)}."
        )
    count = len(parts)
    logs = _logs(parts)

    def loss(weights: Floats) -> float:
        sums = np.einsum("p,ptl->tl", weights, logs)
        sums = sums - sums.max(axis=1, keepdims=True)
        told = sums[np.arange(len(actual)), actual] - np.log(np.exp(sums).sum(axis=1))
        return float(-told.sum() + _PULL * np.square(weights - weights.mean()).sum())

    found = minimize(loss, np.full(count, 1 / count), bounds=[(0.0, None)] * count)
    tags = np.full((count, parts[0].shares.shape[1]), 1 / count)
    for column in range(tags.shape[1]):
        share, weight = known[:, 0, column].astype(float), known[:, 1, column].astype(float)
        if weight.sum():
            tags[:, column] = _convex(np.stack([part.shares[:, column] for part in parts]), share, weight)
    return Weights(np.asarray(found.x, dtype=np.float64), tags)


_PULL = 10.0  # songs' worth
_DOUBT = 0.02  # of each part: a forest says 0 easily, and no single part may veto what the others are sure of


def _logs(parts: Sequence[Answers]) -> Floats:
    """Log probabilities of the parts with a little doubt, shape ``(parts, tracks, labels)``."""
    genres = np.stack([part.genres for part in parts])
    return np.asarray(np.log((1 - _DOUBT) * genres + _DOUBT / genres.shape[2]))


def _convex(told: Floats, share: Floats, weight: Floats) -> Floats:
    """Weights at least 0 that sum to 1 and err least, ``told`` of shape ``(parts, tracks)``."""
    from scipy.optimize import minimize

    count = len(told)
    scale = float((weight * np.square(share - weight @ share / weight.sum())).sum() / weight.sum()) + 1e-9

    def loss(weights: Floats) -> float:
        error = float((weight * np.square(weights @ told - share)).sum()) / scale
        return error + _PULL * float(np.square(weights - 1 / count).sum())

    found = minimize(
        loss,
        np.full(count, 1 / count),
        bounds=[(0.0, 1.0)] * count,
        constraints={"type": "eq", "fun": lambda weights: weights.sum() - 1},
        method="SLSQP",
    )
    weights = np.asarray(found.x, dtype=np.float64).clip(0.0, 1.0)
    return np.asarray(weights / weights.sum(), dtype=np.float64)
