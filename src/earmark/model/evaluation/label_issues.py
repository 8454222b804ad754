"""Labels that look wrong, by what models say of songs that they have not heard.

Method: confident learning (Northcutt, Jiang and Chuang, "Confident learning: estimating uncertainty in dataset labels",
JAIR 70, 2021), by its authors' library cleanlab. How often each label is given in place of each other is estimated from
the songs whose probability of the other is at least what is usual among songs of that label. Listed are, of each label,
as many songs as it is so given wrongly: those to which it fits least (the paper's pruning by class, which of its rules
found most wrong labels in simulations, with hardly more false alarms).

A weak model's own errors look like wrong labels: where it is right for 82 % of the songs, it calls 8 % of perfect
labels wrong (simulated: four classes, 600 songs).
"""

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from earmark.errors import ModelError


@dataclass(frozen=True)
class LabelIssues:
    """What was found among songs, by their row.

    Attributes:
        listed: Rows of the labels that look wrong, worst first, shape ``(listed,)``.
        score: Quality of each label, 0 (surely wrong) to 1, shape ``(tracks,)``: half of one plus what its probability
            is above that of the best other.
        suggested: Index of the most probable label, shape ``(tracks,)``.
        wrong: Estimated share of the songs of each label that are something else, shape ``(labels,)``; NaN where a
            label is given to no song.
        wrong_of_all: The same of all songs; NaN without any.
    """

    listed: NDArray[np.int64]
    score: NDArray[np.float64]
    suggested: NDArray[np.int64]
    wrong: NDArray[np.float64]
    wrong_of_all: float


def label_issues(given: NDArray[np.int64], probabilities: NDArray[np.float64]) -> LabelIssues:
    """The labels that look wrong.

    Args:
        given: Index of each song's label, shape ``(tracks,)``.
        probabilities: By models that were not fitted to the song, shape ``(tracks, labels)``; each row sums to 1.

    Raises:
        ModelError: The arrays do not fit together.
    """
    if probabilities.ndim != 2 or len(given) != len(probabilities):
        raise ModelError(
            f"{len(given)} labels need probabilities of shape (tracks, labels) for the same songs; they have shape "
            f"{probabilities.shape}."
        )
    if not len(given):
        none = np.zeros(0)
        return LabelIssues(
            none.astype(np.int64), none, none.astype(np.int64), np.full(probabilities.shape[1], np.nan), float("nan")
        )
    from cleanlab.count import compute_confident_joint, estimate_joint
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores

    counts = compute_confident_joint(given, probabilities)
    joint = np.asarray(estimate_joint(given, probabilities, confident_joint=counts), dtype=np.float64)  # given, true
    # One process: those that cleanlab would fork after PyTorch has started its threads hang.
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", message="May not flag all", category=UserWarning
        )  # labels that few songs have
        found = find_label_issues(given, probabilities, confident_joint=counts, filter_by="prune_by_class", n_jobs=1)
    score = np.asarray(get_label_quality_scores(given, probabilities, method="normalized_margin"), dtype=np.float64)
    listed = np.flatnonzero(found)
    there = np.bincount(given, minlength=probabilities.shape[1]) > 0
    with np.errstate(invalid="ignore"):
        wrong = np.where(there, 1 - joint.diagonal() / joint.sum(axis=1), np.nan)
    return LabelIssues(
        listed=listed[np.argsort(score[listed], kind="stable")],
        score=score,
        suggested=probabilities.argmax(axis=1).astype(np.int64),
        wrong=wrong,
        wrong_of_all=float(1 - joint.trace()),
    )
