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
    if isinstance(predictor, NetworkPredictor):
        log_mels = FeatureCache(root / FEATURE_CACHE, predictor.frontend)

        def listen(content_hash: str, path: str) -> NDArray[np.float64]:
            return predictor.probabilities_of_log_mel(log_mels.get(content_hash, root / path))
    else:
        tables = DescriptorCache(root / FEATURE_CACHE, predictor.frontend.sample_rate_hz)

        def listen(content_hash: str, path: str) -> NDArray[np.float64]:
            descriptors = tables.open(content_hash)
            if descriptors is None:
                descriptors = describe(predictor.extractor.waveform(root / path), predictor.frontend.sample_rate_hz)
                tables.store(content_hash, descriptors)
            return np.asarray(predictor.probabilities_of_descriptors(descriptors[np.newaxis])[0])

    pairs = zip(tracks["content_hash"], tracks["path"], strict=True)
    rows = [listen(*pair) for pair in progress(pairs, description=f"listen ({predictor.kind})", total=len(tracks))]
    return np.stack(rows) if rows else np.zeros((0, len(predictor.labels)))
