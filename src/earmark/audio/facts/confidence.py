"""How sure a measurement is: the probability that it is right, from signs that go with being right.

A logistic regression of "right" on a few signs (Platt, "Probabilistic outputs for support vector machines", 1999). Its
weights are fitted by ``bench/facts.py --fit`` on the side ``fit`` of `bench/facts_music.py`, and stand as constants
beside each measurement; how well they hold is measured on the other side, of other pieces (bench/results/facts.json).
"""

import math
from collections.abc import Sequence

LEAST = 0.2  # a tempo or key that is right less often is none


def probability(weights: Sequence[float], signs: Sequence[float]) -> float:
    """Between 0 and 1, both left out: the first of ``weights`` is the intercept, one more goes with each sign."""
    odds = weights[0] + sum(weight * sign for weight, sign in zip(weights[1:], signs, strict=True))
    return 1 / (1 + math.exp(-max(-30.0, min(30.0, odds))))
