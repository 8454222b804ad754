"""A predictor's answers for tracks of the catalogue, from the audio or, where it can, from the feature cache."""

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from earmark.audio.features import FeatureCache
from earmark.model.predictor import NetworkPredictor, Predictor
from earmark.progress import progress
from earmark.workspace import FEATURE_CACHE


def probabilities_of(predictor: Predictor, tracks: pd.DataFrame, root: Path) -> NDArray[np.float64]:
    """Genre probabilities of catalogue rows, shape ``(tracks, labels)``.

    Args:
        predictor: Whose answers.
        tracks: Rows with ``content_hash`` and ``path``.
        root: The project's folder, to which the paths are relative.

    Raises:
        AudioError: A recording cannot be decoded.
    """
    cache = FeatureCache(root / FEATURE_CACHE, predictor.frontend)
    rows = []
    for content_hash, path in progress(
        zip(tracks["content_hash"], tracks["path"], strict=True),
        description=f"listen ({predictor.kind})",
        total=len(tracks),
    ):
        if isinstance(predictor, NetworkPredictor):
            rows.append(predictor.probabilities_of_log_mel(cache.get(content_hash, root / path)))
        else:
            rows.append(predictor.probabilities([predictor.extractor.waveform(root / path)])[0])
    return np.stack(rows) if rows else np.zeros((0, len(predictor.labels)))
