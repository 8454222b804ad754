"""Correcting for exposure: who meets a song is no random choice, so those who met it are no sample of all listeners.

A song that is shown to its admirers looks better than it is. Listeners are grouped by taste (k-means on their factors);
if a group met a song more often than the others did, each of its listeners counts for less there, and the others for
more: inverse propensity weighting (Marlin & Zemel 2009; Schnabel et al., "Recommendations as treatments", ICML 2016),
with the propensity of group and song from counts, drawn towards the song's own, and stabilised and clipped weights.
Unequal weights tell less than equal ones: they are scaled to sum to Kish's (1965) effective number of listeners.

What it cannot correct: selection within a group, and a group that has not met the song at all.
"""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_PULL = 5.0  # listeners; so strongly a propensity is drawn towards that of all groups
_LISTENERS_PER_GROUP = 25  # at least, on average


def taste_groups(factors: npt.NDArray[np.float32], groups: int, seed: int) -> Ints:
    """A group for each listener, by k-means on the directions of their factors; all 0 where they are too few.

    Args:
        factors: Shape ``(listeners, factors)``.
        groups: How many at most.
        seed: Of the k-means.
    """
    from sklearn.cluster import MiniBatchKMeans

    count = min(groups, len(factors) // _LISTENERS_PER_GROUP)
    if count < 2:
        return np.zeros(len(factors), dtype=np.int64)
    directions = factors / np.maximum(np.linalg.norm(factors, axis=1, keepdims=True), 1e-12)
    fitted = MiniBatchKMeans(count, random_state=seed, n_init=5, batch_size=4_096).fit(directions)
    return np.asarray(fitted.labels_, dtype=np.int64)


def exposure_weights(track: Ints, group: Ints, sizes: Ints, most: float) -> Floats:
    """How much each pair of listener and track counts.

    Args:
        track: Of each pair, shape ``(pairs,)``.
        group: Of its listener, shape ``(pairs,)``.
        sizes: How many listeners each group has in all, shape ``(groups,)``.
        most: Weights stay between this and one over it, before they are scaled.

    Returns:
        Shape ``(pairs,)``; of each track they sum to its effective number of listeners.
    """
    tracks, groups = int(track.max()) + 1 if len(track) else 0, len(sizes)
    met = np.bincount(track * groups + group, minlength=tracks * groups).reshape(tracks, groups).astype(np.float64)
    overall = met.sum(axis=1, keepdims=True) / sizes.sum()
    propensity = (met + _PULL * overall) / (sizes + _PULL)
    weight = np.clip(overall / np.maximum(propensity, 1e-12), 1 / most, most)[track, group]
    sums = np.bincount(track, weight, tracks)
    squares = np.bincount(track, weight**2, tracks)
    return np.asarray(weight * (sums / np.maximum(squares, 1e-12))[track])
