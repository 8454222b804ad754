"""The random forest: the model that learns from descriptors."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from earmark.params import Forest


def fit_forest(descriptors: NDArray[np.float64], labels: NDArray[np.int64], how: Forest) -> Any:
    """A random forest (Breiman, 2001), each class weighing the same.

    Args:
        descriptors: Shape ``(tracks, descriptors)``.
        labels: Index of each track's genre, shape ``(tracks,)``; every index from 0 must occur.
        how: Section ``forest`` of params.yaml.

    Returns:
        A fitted ``sklearn.ensemble.RandomForestClassifier``; the same whatever the number of cores.
    """
    from sklearn.ensemble import RandomForestClassifier

    forest = RandomForestClassifier(
        n_estimators=how.trees,
        max_features=how.max_features,
        min_samples_leaf=how.min_samples_leaf,
        class_weight="balanced",
        random_state=how.seed,
        n_jobs=-1,
    )
    forest.fit(descriptors, labels)
    forest.n_jobs = 1  # one song at a time is answered faster without a pool
    return forest


def fit_tag_forest(descriptors: NDArray[np.float64], tags: NDArray[np.float32], how: Forest) -> Any:
    """A random forest for the shares of all tags at once; what is not known of a song counts as the tag's mean.

    Args:
        descriptors: Shape ``(tracks, descriptors)``.
        tags: Share and weight, shape ``(tracks, 2, tags)``.
        how: Section ``forest`` of params.yaml.

    Returns:
        A fitted ``sklearn.ensemble.RandomForestRegressor``; None where there are no tags.
    """
    from sklearn.ensemble import RandomForestRegressor

    if not tags.shape[2]:
        return None
    share, weight = tags[:, 0].astype(np.float64), tags[:, 1].astype(np.float64)
    mean = (share * weight).sum(axis=0) / np.maximum(weight.sum(axis=0), 1e-9)
    forest = RandomForestRegressor(
        n_estimators=how.trees,
        max_features=how.max_features,
        min_samples_leaf=how.min_samples_leaf,
        random_state=how.seed,
        n_jobs=-1,
    )
    targets = np.where(weight > 0, mean + weight * (share - mean), mean)
    forest.fit(descriptors, targets if targets.shape[1] > 1 else targets.ravel())
    forest.n_jobs = 1
    return forest
