"""How often each model is right, and how much more often than the others, on the same songs."""

from itertools import combinations

from earmark.model.evaluation.tested import MAJORITY, Tested
from earmark.model.metrics import accuracy, difference, f1_macro, score
from earmark.params import Evaluation


def scores(tested: Tested, how: Evaluation) -> dict[str, dict[str, float]]:
    """``accuracy`` and ``f1_macro`` with their intervals, by model, the commonest genre in training among them."""
    return {
        kind: {
            **score(accuracy, tested.actual, told.argmax(axis=1), tested.groups, how).flat("accuracy"),
            **score(f1_macro, tested.actual, told.argmax(axis=1), tested.groups, how).flat("f1_macro"),
        }
        for kind, told in tested.probabilities.items()
    }


def differences(tested: Tested, how: Evaluation) -> dict[str, dict[str, float]]:
    """What of each pair the first gains over the second, ``network - forest``, paired: both on the same draws."""
    said = {kind: told.argmax(axis=1) for kind, told in tested.probabilities.items()}
    return {
        f"{ours} - {theirs}": {
            **difference(accuracy, tested.actual, said[ours], said[theirs], tested.groups, how).flat("accuracy"),
            **difference(f1_macro, tested.actual, said[ours], said[theirs], tested.groups, how).flat("f1_macro"),
        }
        for ours, theirs in combinations([*tested.answers, MAJORITY], 2)
    }
