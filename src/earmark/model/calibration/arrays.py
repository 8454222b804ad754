"""The arrays that calibration learns from, of tracks that were held out of training, and checks that they fit together.

Conventions of this package: ``probabilities (tracks, labels)``, rows that sum to 1; ``actual (tracks,)``, indices of
labels; ``groups (tracks,)``, each track's artist (or piece), whose songs are alike; without them each track is its own.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from earmark.errors import ModelError

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]
Groups = NDArray[Any]


def validate(probabilities: Floats, actual: Labels, groups: Groups | None = None) -> None:
    """Check that these are answers and truths of the same tracks.

    Raises:
        ModelError: Shapes differ, a probability is none, or a label is unknown.
    """
    if np.ndim(probabilities) != 2 or not np.shape(probabilities)[1]:
        raise ModelError(
            f"Probabilities of shape (tracks, labels) are needed; these have shape {np.shape(probabilities)}. "
            "For one track, put it in a list of its own."
        )
    tracks, labels = np.shape(probabilities)
    if np.shape(actual) != (tracks,) or (groups is not None and np.shape(groups) != (tracks,)):
        raise ModelError(
            f"Probabilities of {tracks} tracks, labels of shape {np.shape(actual)} and groups of shape "
            f"{np.shape(groups) if groups is not None else 'none'}: they must be one each a track."
        )
    if not np.all(np.isfinite(probabilities)) or np.any(np.less(probabilities, 0)):
        raise ModelError("A probability is negative, infinite or no number. The model's training may have diverged.")
    if tracks and not 0 <= np.min(actual) <= np.max(actual) < labels:
        raise ModelError(
            f"Labels lie between {np.min(actual)} and {np.max(actual)}; with {labels} probabilities a track they must "
            f"be 0 … {labels - 1}. Leave out the tracks whose genre the model was not taught."
        )


def codes(groups: Groups | None, tracks: int) -> Labels:
    """Groups as numbers from 0, shape ``(tracks,)``; each track its own where there are none."""
    if groups is None:
        return np.arange(tracks, dtype=np.int64)
    return np.unique(np.asarray(groups).astype(str), return_inverse=True)[1].reshape(tracks).astype(np.int64)
