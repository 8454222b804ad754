"""Doubtful labels softened by what a model that had not heard the track says of it."""

import numpy as np
from numpy.typing import NDArray

from earmark.errors import ModelError


def relabelled(
    one_hot: NDArray[np.floating], held_out_probabilities: NDArray[np.floating], beta: float
) -> NDArray[np.float64]:
    """(1 − β) · label + β · held-out probability: the "soft bootstrapping" target of Reed et al. (ICLR workshop 2015).

    A label that the held-out model shares hardly changes; one that it doubts loses up to β of its weight to what the
    model takes for true. Reed et al. use the prediction of the network being trained, which soon agrees with every
    label; one that was fitted without the track cannot. (Their β is the label's share, here it is the model's.)

    Args:
        one_hot: The labels, shape ``(tracks, classes)``.
        held_out_probabilities: Shape ``(tracks, classes)``, each row of a model not fitted to that track, or NaN where
            there is none: the label then stays.
        beta: From 0, which changes nothing, to 1.

    Returns:
        Targets, shape ``(tracks, classes)``, rows summing to 1.

    Raises:
        ModelError: The shapes differ, or a row is no distribution.
    """
    one_hot = np.asarray(one_hot, dtype=np.float64)
    told = np.asarray(held_out_probabilities, dtype=np.float64)
    if one_hot.shape != told.shape:
        raise ModelError(
            f"Labels have the shape {one_hot.shape}, held-out probabilities {told.shape}; relabelling needs the same "
            "tracks and genres in both. Probably one is of another split: make the held-out probabilities anew."
        )
    told = np.where(np.isnan(told).any(axis=1, keepdims=True), one_hot, told)
    if (told < 0).any() or not np.allclose(told.sum(axis=1), 1, atol=1e-3):
        raise ModelError(
            "Held-out probabilities have a row that is negative somewhere or does not sum to 1; relabelling needs "
            "probabilities. Probably these are logits: put them through a softmax."
        )
    return (1 - beta) * one_hot + beta * told
