"""A warning when a song is unlike anything the model was trained on, so that its answer is a guess.

Distance to the k-th nearest training song among embeddings (Sun, Ming, Zhu and Li, "Out-of-distribution detection with
deep nearest neighbors", ICML 2022), here standardised; turned into a conformal p-value by the distances of held-out
songs (Bates, Candès, Lei, Romano and Sesia, "Testing for outliers with conformal p-values", Annals of Statistics 51,
2023), weighted by artist as in `earmark.model.calibration.conformal`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from earmark.errors import ModelError
from earmark.model.calibration.arrays import Floats, Groups
from earmark.model.calibration.conformal import weights_of

MOST_REFERENCES = 5_000
NEIGHBOURS = 10
_AT_ONCE = 256  # tracks, so that their distances to all references fit in 10 MB


@dataclass(frozen=True, eq=False)
class Familiar:
    """What the model has heard.

    Attributes:
        reference: Standardised embeddings of training songs, shape ``(references, dims)``.
        mean: Of the training songs, shape ``(dims,)``.
        scale: Their standard deviation, shape ``(dims,)``; 1 where they do not differ.
        distances: Of held-out songs to their k-th nearest reference, rising, shape ``(held_out,)``.
        weights: Of these, shape ``(held_out,)``; with that of the song to come they sum to 1.
        neighbours: k.
    """

    reference: NDArray[np.float32]
    mean: Floats
    scale: Floats
    distances: Floats
    weights: Floats
    neighbours: int

    def distance(self, embeddings: NDArray[np.floating]) -> Floats:
        """To the k-th nearest reference, shape ``(tracks,)``; infinite where an embedding is not finite.

        Raises:
            ModelError: The embeddings have another width.
        """
        from scipy.spatial.distance import cdist

        _check(embeddings, len(self.mean))
        found = np.zeros(len(embeddings))
        for start in range(0, len(embeddings), _AT_ONCE):
            some = slice(start, start + _AT_ONCE)
            away = cdist((np.asarray(embeddings[some], dtype=np.float64) - self.mean) / self.scale, self.reference)
            found[some] = np.partition(away, self.neighbours - 1, axis=1)[:, self.neighbours - 1]
        found[np.isnan(found)] = np.inf
        return found

    def p_value(self, embeddings: NDArray[np.floating]) -> Floats:
        """How often a song like those of training lies as far off, shape ``(tracks,)``, in (0, 1].

        Of songs that are like them, at most a share x has a p-value of x or less.
        """
        least = 1.0 - self.weights.sum()
        further = np.append(np.cumsum(self.weights[::-1])[::-1], 0.0)  # weight of those from here on
        place = np.searchsorted(self.distances, self.distance(embeddings), side="left")
        return np.asarray(np.minimum(least + further[place], 1.0), dtype=np.float64)

    def unlike(self, embeddings: NDArray[np.floating], level: float = 0.01) -> NDArray[np.bool_]:
        """Where to warn, shape ``(tracks,)``: at most a share ``level`` of familiar songs is warned of in error.

        With few held out, fewer than 1 / level − 1 artists (songs, without groups), it is warned of what lies further
        off than all of them: of n artists, that is in error for at most 1 / (n + 1) of familiar songs.
        """
        least = 1.0 - self.weights.sum()
        return np.asarray(self.p_value(embeddings) <= max(level, least) * (1 + 1e-9))

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """As arrays, fit for a file."""
        return {
            "reference": self.reference,
            "mean": self.mean,
            "scale": self.scale,
            "distances": self.distances,
            "weights": self.weights,
            "neighbours": np.array(self.neighbours, dtype=np.int64),
        }

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray[np.generic]]) -> "Familiar":
        """Back from `arrays`."""
        wide = {name: np.asarray(arrays[name], dtype=np.float64) for name in ("mean", "scale", "distances", "weights")}
        reference = np.asarray(arrays["reference"], dtype=np.float32)
        return cls(reference=reference, neighbours=int(np.asarray(arrays["neighbours"])), **wide)


def fit_familiar(
    training: NDArray[np.floating], held_out: NDArray[np.floating], *, seed: int, groups: Groups | None = None
) -> Familiar:
    """Learn what is familiar.

    Args:
        training: Embeddings of songs the model was fitted to, shape ``(tracks, dims)``; of more than 5,000 so many are
            drawn.
        held_out: Of songs like them that it was not fitted to, shape ``(held_out, dims)``.
        seed: Of the draw.
        groups: Of the held-out songs, shape ``(held_out,)``.

    Raises:
        ModelError: There is no training song, an embedding is not finite, or they differ in width.
    """
    training = np.asarray(training, dtype=np.float64)
    if training.ndim != 2 or not len(training) or not np.isfinite(training).all():
        raise ModelError(
            f"Finite embeddings of shape (tracks, dims) of at least one training track are needed; these have shape "
            f"{training.shape}. If some are not finite, the model's training may have diverged."
        )
    _check(held_out, training.shape[1])
    mean, spread = training.mean(axis=0), training.std(axis=0)
    scale = np.where(spread > 1e-12 * (1 + np.abs(mean)), spread, 1.0)
    drawn = np.arange(len(training))
    if len(training) > MOST_REFERENCES:
        drawn = np.sort(np.random.default_rng(seed).choice(len(training), MOST_REFERENCES, replace=False))
    reference = ((training[drawn] - mean) / scale).astype(np.float32)
    neighbours = min(NEIGHBOURS, len(reference))
    bare = Familiar(reference, mean, scale, np.zeros(0), np.zeros(0), neighbours)
    distances = bare.distance(held_out)
    order = np.argsort(distances, kind="stable")
    weights = weights_of(groups, len(distances))
    return Familiar(reference, mean, scale, distances[order], weights[order], neighbours)


def _check(embeddings: NDArray[np.floating], dims: int) -> None:
    if np.ndim(embeddings) != 2 or np.shape(embeddings)[1] != dims:
        raise ModelError(
            f"Embeddings of shape (tracks, {dims}) are needed; these have shape {np.shape(embeddings)}. "
            "The calibration belongs to another model: calibrate this one."
        )
