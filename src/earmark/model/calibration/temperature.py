"""Temperature: one number that makes probabilities as sure as the model is right.

Guo, Pleiss, Sun and Weinberger, "On calibration of modern neural networks", ICML 2017. The order of the labels stays.
"""

import numpy as np

from earmark.model.calibration.arrays import Floats, Labels, validate

LEAST, MOST = 0.25, 4.0
FLOOR = 1e-6  # no model has heard a million songs, so none has grounds to say less; a forest says 0
_PRIOR = 0.5  # standard deviation of log T before any track is heard: a factor of 1.6 either way


def tempered(probabilities: Floats, temperature: float) -> Floats:
    """Softmax of log p / T, shape ``(tracks, labels)``: flatter for T > 1, sharper for T < 1.

    Probabilities below `FLOOR` count as that.
    """
    logits = np.log(np.maximum(np.asarray(probabilities, dtype=np.float64), FLOOR)) / temperature
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True, initial=-np.inf))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True), dtype=np.float64)


def fit_temperature(probabilities: Floats, actual: Labels) -> float:
    """The temperature that makes the log loss of held-out answers least.

    Few tracks say little about it: ten right answers alone would ask for a temperature of 0. So log T is thought to be
    normal around 0 beforehand (its most probable value is returned), which counts as much as a handful of tracks and is
    drowned by a hundred; and T stays within [0.25, 4]: a model further off than that has another ailment.

    Args:
        probabilities: Shape ``(tracks, labels)``.
        actual: Shape ``(tracks,)``.

    Returns:
        1 where there is no track, or one label.

    Raises:
        ModelError: The arrays do not fit together.
    """
    from scipy.optimize import minimize_scalar

    validate(probabilities, actual)
    if not len(actual) or probabilities.shape[1] == 1:
        return 1.0

    def cost(log_t: float) -> float:
        right = tempered(probabilities, np.exp(log_t))[np.arange(len(actual)), actual]
        return float(-np.log(np.maximum(right, 1e-300)).sum() + 0.5 * (log_t / _PRIOR) ** 2)

    found = minimize_scalar(cost, bounds=(np.log(LEAST), np.log(MOST)), method="bounded", options={"xatol": 1e-6})
    return float(np.clip(np.exp(found.x), LEAST, MOST))
