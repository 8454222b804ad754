"""Random forests for few songs: all trees are walked down together.

scikit-learn asks one tree after the other, which costs tens of milliseconds for 500 of them, for one song as for a
hundred. Here all trees lie in the same arrays, and each step down is one step of NumPy for all of them. What comes out
is what scikit-learn says.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from earmark.model.answers import Floats

FEW = 64  # songs; for many more scikit-learn is as fast


class Walk:
    """The trees of a random forest of scikit-learn, a classifier's or a regressor's.

    What they say at their leaves stays where scikit-learn has it: it is most of a forest.

    Args:
        forest: Fitted, of one output in classes, or of any number in numbers.
    """

    def __init__(self, forest: Any) -> None:
        trees = [one.tree_ for one in forest.estimators_]
        sizes = np.array([tree.node_count for tree in trees])
        self.firsts = np.concatenate([[0], np.cumsum(sizes)[:-1]])  # (trees,)
        own = np.repeat(self.firsts, sizes)
        here = np.arange(sizes.sum())
        left, right, feature = (
            np.concatenate([getattr(tree, name) for tree in trees])
            for name in ("children_left", "children_right", "feature")
        )
        leaf = left < 0
        sides = [np.where(leaf, here, side + own) for side in (left, right)]  # a leaf leads to itself
        self.next = (
            np.stack(sides, axis=1).ravel().astype(np.int32 if sizes.sum() < 2**30 else np.int64)
        )  # (2 · nodes,)
        self.feature = np.where(leaf, 0, feature).astype(np.int32)  # (nodes,)
        self.threshold = np.concatenate([tree.threshold for tree in trees])
        self.steps = max(tree.max_depth for tree in trees)
        classes = hasattr(forest, "classes_")
        # Views of shape (nodes, labels) or (nodes, outputs), one a tree.
        self.said = [tree.value[:, 0, :] if classes else tree.value[:, :, 0] for tree in trees]

    def __call__(self, table: Floats) -> Floats:
        """As ``predict_proba``, or ``predict``: ``(songs, columns)`` to ``(songs, labels or outputs)``."""
        values = np.ascontiguousarray(table, dtype=np.float32)  # as scikit-learn compares
        rows = np.arange(len(values))[:, None] * values.shape[1]
        flat = values.ravel()
        nodes = np.repeat(self.firsts[None], len(values), axis=0)  # (songs, trees)
        for _ in range(self.steps):
            right = flat[rows + self.feature[nodes]] > self.threshold[nodes]
            nodes = self.next[2 * nodes + right]
        leaves = (nodes - self.firsts).T  # (trees, songs), each tree's own numbers
        told = np.zeros((len(values), self.said[0].shape[1]))
        for said, at in zip(self.said, leaves, strict=True):
            told += said[at]
        return told / len(self.said)


def walked(forest: Any) -> Walk | None:
    """The forest's trees, to be walked down together; None where it is no random forest."""
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    return Walk(forest) if isinstance(forest, RandomForestClassifier | RandomForestRegressor) else None


def suits(table: NDArray[Any]) -> bool:
    """Whether there are few songs, of numbers that can be compared; scikit-learn knows how to refuse others."""
    return 0 < len(table) <= FEW and bool(np.isfinite(table).all())
