"""The noise ceiling: how well the best of models could predict what some listeners say, given how they differ.

The listeners are put in a random order, the same for all songs, and each song's are halved at their middle; the halves'
averages are compared over the songs. (Were each song halved by an order of its own, a lenient listener of many songs
would stand now on this side and now on that: noise that the averages do not have.) Their Pearson r, stepped up to the
whole by Spearman and Brown's formula (1910), is the reliability of the averages. Its square root is the highest
correlation that anything can have with them, true averages included (Spearman 1904).
"""

import numpy as np
import numpy.typing as npt

HALVINGS = 30
_ROUNDING = 1e-9  # averages that differ by less are the same


def noise_ceiling(
    songs: npt.NDArray[np.int64],
    listeners: npt.NDArray[np.int64],
    values: npt.NDArray[np.float64],
    *,
    halvings: int = HALVINGS,
    seed: int = 0,
) -> float:
    """The ceiling of averages over listeners.

    Args:
        songs: Whose value it is, one for each listener and song; shape ``(pairs,)``.
        listeners: Whose they are; shape ``(pairs,)``.
        values: What that listener says; shape ``(pairs,)``.
        halvings: Over how many random halvings the ceiling is averaged.
        seed: Of the halvings.

    Returns:
        Between 0 (the halves have nothing in common) and 1; NaN where fewer than three songs have two listeners.
    """
    _, songs, counts = np.unique(songs, return_inverse=True, return_counts=True)
    several = counts >= 2
    if several.sum() < 3:
        return float("nan")
    kept = several[songs]
    songs, values = songs[kept], values[kept]
    everybody, listener = np.unique(listeners[kept], return_inverse=True)
    rng = np.random.default_rng(seed)
    firsts = np.cumsum(np.bincount(songs, minlength=len(counts))) - np.bincount(songs, minlength=len(counts))
    found = []
    for _ in range(halvings):
        order = np.lexsort((rng.random(len(everybody))[listener], songs))
        place = np.arange(len(songs)) - firsts[songs[order]]
        left = place < counts[songs[order]] // 2
        halves = []
        for half in (left, ~left):
            whose, said = songs[order][half], values[order][half]
            sums, sizes = np.bincount(whose, said, len(counts)), np.bincount(whose, minlength=len(counts))
            halves.append(sums[several] / sizes[several])
        if min(np.ptp(half) for half in halves) < _ROUNDING:
            found.append(0.0)
            continue
        r = float(np.corrcoef(halves[0], halves[1])[0, 1])
        found.append(float(np.sqrt(max(2 * r / (1 + r), 0.0))) if r > -1 else 0.0)
    return float(np.mean(found))
