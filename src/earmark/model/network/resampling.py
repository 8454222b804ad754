"""How often each track is drawn in an epoch: each alike, each genre alike, or something between."""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def balanced_counts(labels: ArrayLike, per_epoch: int, balance: float) -> NDArray[np.float64]:
    """How often each track is drawn in an epoch, on average; shape ``(tracks,)``, summing to tracks · ``per_epoch``.

    A track of a genre of n is drawn in proportion to n^(−balance): 0 draws each track alike, 1 each genre alike, and
    0.5 is the square root that Mahajan et al. took ("Exploring the limits of weakly supervised pretraining", ECCV
    2018). Cui et al. ("Class-balanced loss based on effective number of samples", CVPR 2019) go between the same ends
    by another formula. Tracks without a genre are drawn ``per_epoch`` times, whatever the balance of the others.

    Args:
        labels: Index of each track's genre, below 0 where it has none, shape ``(tracks,)``.
        per_epoch: How often a track is drawn where all are drawn alike.
        balance: From 0 to 1.
    """
    labels = np.asarray(labels)
    known = labels >= 0
    counts = np.full(len(labels), float(per_epoch))
    _, genre, sizes = np.unique(labels[known], return_inverse=True, return_counts=True)
    weights = sizes[genre] ** -float(balance)
    counts[known] = len(genre) * per_epoch * weights / weights.sum()
    return counts


def drawn(labels: ArrayLike, *, per_epoch: int, balance: float, rng: np.random.Generator) -> NDArray[np.int64]:
    """The tracks of one epoch in random order, shape ``(tracks · per_epoch,)``.

    Each track comes as often as `balanced_counts` says, rounded down or up by chance (systematic sampling), and so does
    each genre as a whole: chance decides who, hardly how many. With a ``balance`` of 0 each track comes exactly
    ``per_epoch`` times. The same ``rng`` gives the same draws.
    """
    labels = np.asarray(labels)
    tracks = np.arange(len(labels))
    if not balance:
        return rng.permutation(np.repeat(tracks, per_epoch))
    # Genre after genre, each in random order: the counts laid end to end, a needle dropped at every whole step.
    order = np.lexsort((rng.random(len(labels)), labels))
    ends = np.cumsum(balanced_counts(labels, per_epoch, balance)[order])
    needles = (rng.random() + np.arange(len(labels) * per_epoch)) * (1 - 1e-12)  # rounding must not drop the last
    hit = np.searchsorted(ends, needles, side="right").clip(max=len(labels) - 1)
    return rng.permutation(order[hit])
