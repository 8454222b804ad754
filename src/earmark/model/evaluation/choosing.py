"""By what a challenger is chosen: held-out songs, each answered by a model that was not fitted to it.

Test songs choose nothing, so that what is said of them stays honest. With ``calibration.folds`` above 0 the models that
are shipped have heard the validation part, too, so that it says nothing of them either: what counts is what models of
the same kind, kept from each part in turn, said of it (`earmark.model.held_out`).

Two things lean a little. Each model's temperature was fitted to these songs: one number each. The blend's weights were,
too: as many numbers as it has parts, drawn towards equal ones.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from earmark.errors import ModelError
from earmark.model.answers import Floats
from earmark.model.calibration.temperature import FLOOR
from earmark.model.evaluation.draws import Draws
from earmark.model.metrics import Labels
from earmark.params import Evaluation


def held_out_scores(
    told: Mapping[str, Floats], actual: Labels, tracks: pd.DataFrame, how: Evaluation
) -> dict[str, dict[str, float]]:
    """By kind ``accuracy`` and ``log_loss`` with intervals, and ``tracks``; nothing where none were held out.

    Args:
        told: By kind, tempered probabilities of the same held-out songs, shape ``(tracks, labels)``.
        actual: Their genres, shape ``(tracks,)``.
        tracks: Their rows, with ``group``.
        how: Section ``evaluation`` of params.yaml.

    Raises:
        ModelError: Kinds were asked about different numbers of songs.
    """
    _same(told, len(actual))
    if not len(actual):
        return {}
    draws = Draws(tracks["group"].to_numpy(object), how)
    return {
        kind: {
            **draws.mean(_right(probabilities, actual)).flat("accuracy"),
            **draws.mean(_losses(probabilities, actual)).flat("log_loss"),
            "tracks": len(actual),
        }
        for kind, probabilities in told.items()
    }


def held_out_differences(
    told: Mapping[str, Floats], actual: Labels, tracks: pd.DataFrame, how: Evaluation
) -> dict[str, dict[str, dict[str, float]]]:
    """``[ours][theirs]``: ``accuracy`` and ``log_loss`` of ours minus theirs, paired, with intervals; as above."""
    _same(told, len(actual))
    if not len(actual):
        return {}
    draws = Draws(tracks["group"].to_numpy(object), how)
    return {
        ours: {
            theirs: {
                **draws.mean(_right(told[ours], actual) - _right(told[theirs], actual)).flat("accuracy"),
                **draws.mean(_losses(told[ours], actual) - _losses(told[theirs], actual)).flat("log_loss"),
            }
            for theirs in told
            if theirs != ours
        }
        for ours in told
    }


def best_by(held_out: Mapping[str, Mapping[str, float]], *, otherwise: str) -> str:
    """The kind of the lowest log loss on held-out songs, by `held_out_scores`; ``otherwise`` where none were held out.

    Log loss rather than accuracy: on some tens of songs it tells models apart that are right equally often.
    """
    return min(held_out, key=lambda kind: held_out[kind]["log_loss"], default=otherwise)


def _right(probabilities: Floats, actual: Labels) -> Floats:
    return np.asarray(probabilities.argmax(axis=1) == actual, dtype=np.float64)


def _losses(probabilities: Floats, actual: Labels) -> Floats:
    return np.asarray(-np.log(np.maximum(probabilities[np.arange(len(actual)), actual], FLOOR)))


def _same(told: Mapping[str, Floats], tracks: int) -> None:
    if any(len(probabilities) != tracks for probabilities in told.values()):
        raise ModelError(
            f"The kinds answered {', '.join(f'{kind} {len(each)}' for kind, each in told.items())} held-out songs, and "
            f"{tracks} genres are known. They were trained on different songs: train them again."
        )
