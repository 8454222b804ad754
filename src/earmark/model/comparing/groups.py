"""Sums over groups, of which a score of any draw of groups is made at once."""

import numpy as np
from numpy.typing import NDArray

from earmark.model.answers import Floats


def by_group(values: Floats, group: NDArray[np.int64]) -> Floats:
    """Sums of ``values``, shape ``(tracks, k)``, over each group, shape ``(groups, k)``.

    Args:
        values: One row a track.
        group: The number of each track's group, shape ``(tracks,)``.
    """
    sums = np.zeros((int(group.max()) + 1, values.shape[1]))
    np.add.at(sums, group, values)
    return sums
