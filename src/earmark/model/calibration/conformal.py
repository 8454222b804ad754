"""Split conformal prediction: what held-out scores say about the score of one track more.

The songs of one artist are alike, so single songs are not exchangeable with a song of a new artist; artists are. Each
artist therefore has the same weight, shared among its songs, and the artist to come has that weight too: hierarchical
conformal prediction (Lee, Barber and Willett, "Distribution-free inference with hierarchical data", arXiv:2306.06342,
2023; compare Dunn, Wasserman and Ramdas, "Distribution-free prediction sets for two-layer hierarchical models", JASA
118, 2023, who draw one song of each). What is promised is for a song of an artist drawn at random, not for the average
song of a catalogue in which a few artists have most songs. With one track a group this is the usual
ceil((n + 1) · coverage)-th smallest score (Vovk, Gammerman and Shafer, 2005).
"""

import numpy as np

from earmark.model.calibration.arrays import Floats, Groups, codes

FEWEST = 20  # groups, for a threshold of its own: what it covers then has a standard deviation of 6 points (at 90 %)


def weights_of(groups: Groups | None, tracks: int) -> Floats:
    """Weight of each track, shape ``(tracks,)``; they sum to 1 less the weight 1 / (groups + 1) of the one to come."""
    code = codes(groups, tracks)
    songs = np.bincount(code)
    return np.asarray(1.0 / (songs[code] * (len(songs) + 1.0)), dtype=np.float64)


def enough(groups: Groups | None, tracks: int, coverage: float) -> bool:
    """Whether there are groups enough for a threshold of their own, and for a finite one."""
    count = len(np.unique(codes(groups, tracks)))
    return count >= FEWEST and count / (count + 1) >= coverage - 1e-12


def threshold(scores: Floats, coverage: float, groups: Groups | None = None) -> float:
    """The score that a new track does not exceed, with probability ``coverage`` at least.

    Args:
        scores: Of held-out tracks, shape ``(tracks,)``: the larger, the stranger.
        coverage: In [0, 1].
        groups: Shape ``(tracks,)``.

    Returns:
        One of the scores; infinity where there are too few to say.
    """
    order = np.argsort(scores, kind="stable")
    reached = np.cumsum(weights_of(groups, len(scores))[order]) >= coverage - 1e-12  # sums of weights are rounded
    return float(scores[order][np.argmax(reached)]) if reached.any() else float("inf")
