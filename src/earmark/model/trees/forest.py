"""Trees on descriptors: a random forest, or gradient boosting."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from earmark.params import Forest


def fit_forest(descriptors: NDArray[np.float64], labels: NDArray[np.int64], how: Forest) -> Any:
    """A random forest (Breiman, 2001) or gradient boosting (Friedman, 2001), each class weighing the same.

    Args:
        descriptors: Shape ``(tracks, descriptors)``.
        labels: Index of each track's genre, shape ``(tracks,)``; every index from 0 must occur.
        how: Section ``forest`` of params.yaml.

    Returns:
        A fitted classifier of scikit-learn; the same whatever the number of cores.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier

    if how.kind == "gradient_boosting":
        return HistGradientBoostingClassifier(**_boosting(how), class_weight="balanced").fit(descriptors, labels)
    forest = RandomForestClassifier(**_trees(how), class_weight="balanced")
    forest.fit(descriptors, labels)
    forest.n_jobs = 1  # one song at a time is answered faster without a pool
    return forest


def fit_tag_forest(descriptors: NDArray[np.float64], tags: NDArray[np.float32], how: Forest) -> Any:
    """Trees for the shares of all tags at once; what is not known of a song counts as the tag's mean.

    Args:
        descriptors: Shape ``(tracks, descriptors)``.
        tags: Share and weight, shape ``(tracks, 2, tags)``.
        how: Section ``forest`` of params.yaml.

    Returns:
        A fitted regressor of scikit-learn; None where there are no tags.
    """
    from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
    from sklearn.multioutput import MultiOutputRegressor

    if not tags.shape[2]:
        return None
    share, weight = tags[:, 0].astype(np.float64), tags[:, 1].astype(np.float64)
    mean = (share * weight).sum(axis=0) / np.maximum(weight.sum(axis=0), 1e-9)
    targets = np.where(weight > 0, mean + weight * (share - mean), mean)
    if how.kind == "gradient_boosting":
        return MultiOutputRegressor(HistGradientBoostingRegressor(**_boosting(how))).fit(descriptors, targets)
    forest = RandomForestRegressor(**_trees(how))
    forest.fit(descriptors, targets if targets.shape[1] > 1 else targets.ravel())
    forest.n_jobs = 1
    return forest


def _trees(how: Forest) -> dict[str, Any]:
    return {
        "n_estimators": how.trees,
        "max_features": None if how.max_features == "all" else how.max_features,
        "min_samples_leaf": how.min_samples_leaf,
        "random_state": how.seed,
        "n_jobs": -1,
    }


def _boosting(how: Forest) -> dict[str, Any]:
    return {
        "max_iter": how.trees,
        "learning_rate": how.learning_rate,
        "min_samples_leaf": how.min_samples_leaf,
        "early_stopping": False,
        "random_state": how.seed,
    }
