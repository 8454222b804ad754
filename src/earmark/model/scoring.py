"""A predictor's answers for tracks of the catalogue, from the feature cache where it can, else from the audio."""

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from earmark.audio.descriptors import describe
from earmark.audio.features import DescriptorCache, FeatureCache
from earmark.model.predictor import ForestPredictor, NetworkPredictor
from earmark.progress import progress
from earmark.workspace import FEATURE_CACHE


def probabilities_of(
    predictor: NetworkPredictor | ForestPredictor, tracks: pd.DataFrame, root: Path
) -> NDArray[np.float64]:
    """Genre probabilities of catalogue rows, shape ``(tracks, labels)``.

    Args:
        predictor: Whose answers.
        tracks: Rows with ``content_hash`` and ``path``.
        root: The project's folder, to which the paths are relative.

    Raises:
        AudioError: A recording cannot be decoded.
    """
    if tracks.empty:
        return np.zeros((0, len(predictor.labels)))
    pairs = progress(
        zip(tracks["content_hash"], tracks["path"], strict=True),
        description=f"listen ({predictor.kind})",
        total=len(tracks),
    )
    if isinstance(predictor, NetworkPredictor):
        log_mels = FeatureCache(root / FEATURE_CACHE, predictor.frontend)
        return np.stack([predictor.probabilities_of_log_mel(log_mels.get(name, root / path)) for name, path in pairs])
    tables = DescriptorCache(root / FEATURE_CACHE, predictor.frontend.sample_rate_hz)

    def describe_once(content_hash: str, path: str) -> NDArray[np.float64]:
        descriptors = tables.open(content_hash)
        if descriptors is None:
            descriptors = describe(predictor.extractor.waveform(root / path), predictor.frontend.sample_rate_hz)
            tables.store(content_hash, descriptors)
        return descriptors

    # The forest is asked once for all: one answer costs it about as much as a hundred.
    return predictor.probabilities_of_descriptors(np.stack([describe_once(*pair) for pair in pairs]))
