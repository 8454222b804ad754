"""Which features a model should learn from: chosen by their importance on inner held-out artists, never on the test's.

Features that say the same share their importance, so that none of them looks important (Strobl et al., "Conditional
variable importance for random forests", 2008). They are therefore put into groups by their rank correlation, exchanged
together, and of each group that matters the best one is kept: scikit-learn's example "Permutation importance with
multicollinear or correlated features".

The choice belongs to the training: whoever scores the model that learnt from the chosen features must score it on
tracks that had no part in the choice.
"""

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from earmark.errors import ModelError
from earmark.model.metrics import Labels
from earmark.model.reasons.importance import ALL, Answer, Importance, Part, Table, pooled_importance
from earmark.params import Evaluation

Fit = Callable[[Table, Labels], Answer]  # labels from 0, each of which occurs

ALIKE = 0.7  # rank correlation, either sign, from which two features say the same


def importance_of_training(
    table: Table,
    actual: Labels,
    groups: NDArray[np.object_],
    names: Sequence[str],
    labels: Sequence[str],
    fit: Fit,
    how: Evaluation,
    *,
    folds: int = 5,
    repeats: int = 10,
    seed: int = 1,
    alike: float = ALIKE,
) -> Importance:
    """Importance within the training part: each track is asked of a model that has not heard its group.

    Args:
        table: Of the training part alone, shape ``(tracks, features)``.
        actual: Index of each track's label, shape ``(tracks,)``.
        groups: Artists, shape ``(tracks,)``.
        names: Of the features.
        labels: Of the classes.
        fit: From a table and labels to what answers with probabilities.
        how: Section ``evaluation`` of params.yaml.
        folds: How many models; fewer where a class has fewer groups, but two at least.
        repeats: How often each feature is exchanged.
        seed: Of the folds and the exchanges.
        alike: See `correlated`.

    Returns:
        What `select` takes: the families are `correlated` features, not those of `earmark.model.reasons.importance`.

    Raises:
        ModelError: There are fewer than two groups or two classes, or as `pooled_importance`.
    """
    parts = _parts(table, actual, groups, fit, folds, seed, labels=len(labels))
    family = dict(zip(names, (names[first] for first in correlated(table, alike=alike)), strict=True))
    return pooled_importance(
        parts, table, actual, groups, names, labels, how, repeats=repeats, seed=seed, families=family
    )


def correlated(table: Table, *, alike: float = ALIKE) -> NDArray[np.int64]:
    """Groups of features any two of which have a rank correlation (Spearman) of ``alike`` at least, of either sign.

    Args:
        table: Shape ``(tracks, features)``.
        alike: Above 0, up to 1.

    Returns:
        For each feature the position of its group's first feature, shape ``(features,)``. A feature that never changes
        is alone.
    """
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform
    from scipy.stats import rankdata

    features = table.shape[1]
    if features < 2:
        return np.arange(features)
    ranks = rankdata(table, axis=0)
    ranks -= ranks.mean(axis=0)
    length = np.sqrt((ranks**2).sum(axis=0))
    ranks = np.divide(ranks, length, out=np.zeros_like(ranks), where=length > 0)
    away = 1 - np.abs(ranks.T @ ranks).clip(max=1)
    np.fill_diagonal(away, 0)
    # Complete linkage: the threshold holds between any two of a group, not only from one to the next in a chain.
    tree = linkage(squareform(away, checks=False), method="complete")
    cluster = fcluster(tree, t=1 - alike + 1e-9, criterion="distance")
    _, first, own = np.unique(cluster, return_index=True, return_inverse=True)
    return np.asarray(first[own], dtype=np.int64)


def select(importance: Importance, keep: int | Literal["sure"]) -> tuple[str, ...]:
    """The features to learn from, in the table's order: those that matter for all classes together.

    Args:
        importance: Of `importance_of_training`.
        keep: How many; or ``"sure"``: the best feature of each family that is surely important, as a whole or by one
            of its features (interval above 0). Where none is, nothing speaks for leaving any out, and all stay.
            A number takes the best feature of each family first, families by their importance; then the second best;
            and families without any importance last.

    Raises:
        ModelError: ``keep`` is neither ``"sure"`` nor from 1 to the number of features.
    """
    features = importance.features[importance.features["class"] == ALL].reset_index(drop=True)
    families = importance.families[importance.families["class"] == ALL].set_index("family")
    features["rank"] = features.groupby("family")["importance"].rank(method="first", ascending=False)
    if keep == "sure":
        sure = {*families.index[families["low"] > 0], *features.loc[features["low"] > 0, "family"]}
        chosen = features[features["family"].isin(sure) & (features["rank"] == 1)]
        return tuple(chosen["feature"] if len(chosen) else features["feature"])
    if isinstance(keep, bool) or not isinstance(keep, int) or not 1 <= keep <= len(features):
        raise ModelError(f"keep is {keep!r}; it should be 'sure' or a number from 1 to {len(features)}.")
    features["whole"] = families["importance"].reindex(features["family"]).to_numpy()
    features["idle"] = features["whole"] <= 0
    ranked = features.sort_values(["idle", "rank", "whole"], ascending=[True, True, False], kind="stable")
    return tuple(features.loc[sorted(ranked.index[:keep]), "feature"])


def _parts(
    table: Table, actual: Labels, groups: NDArray[np.object_], fit: Fit, folds: int, seed: int, *, labels: int
) -> list[Part]:
    """A model for each fold, and the tracks of the groups that it has not heard."""
    import warnings

    from sklearn.model_selection import StratifiedGroupKFold

    classes = np.unique(actual)
    if len(classes) < 2 or len(set(groups)) < 2:
        raise ModelError(
            f"The training part has {len(classes)} class(es) in {len(set(groups))} group(s); importance on held-out "
            "groups needs at least 2 of each. Import more labelled music, by more artists."
        )
    fewest = min(len(set(groups[actual == label])) for label in classes)
    splitter = StratifiedGroupKFold(max(2, min(folds, fewest)), shuffle=True, random_state=seed)
    parts = []
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The least populated class")  # it is asked, though never learnt
        try:
            split = list(splitter.split(table, actual, groups))
        except ValueError as error:
            raise ModelError(f"The training part cannot be cut into folds by group: {error}") from None
    for train, held_out in split:
        if len(held_out) > 1 and len(np.unique(actual[train])) > 1:
            parts.append(Part(_fitted(table[train], actual[train], fit, labels), held_out))
    return parts


def _fitted(table: Table, actual: Labels, fit: Fit, labels: int) -> Answer:
    """A model that answers for all ``labels``, also where some do not occur: those get 0."""
    known, compact = np.unique(actual, return_inverse=True)
    answer = fit(table, compact.astype(np.int64))

    def answer_all(rows: Table) -> NDArray[np.float64]:
        wide = np.zeros((len(rows), labels))
        wide[:, known] = answer(rows)
        return wide

    return answer_all
