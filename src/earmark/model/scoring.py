"""A predictor's answers for tracks of the catalogue, from the feature cache where it can, else from the audio."""

from collections.abc import Iterable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from earmark.audio.extraction import Job, Wanted, extract
from earmark.audio.features import FeatureCache
from earmark.catalogue.reading import read_recording
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
        CatalogueError: It is not there, or no longer what it was at its import.
    """
    if tracks.empty:
        return np.zeros((0, len(predictor.labels)))
    is_network = isinstance(predictor, NetworkPredictor)
    jobs = [Job(name, partial(read_recording, root, path, name)) for name, path in _pairs(tracks)]
    wanted = Wanted(root / FEATURE_CACHE, predictor.frontend, log_mels=is_network, descriptors=not is_network)
    heard = progress(extract(jobs, wanted), description=f"listen ({predictor.kind})", total=len(tracks))
    if isinstance(predictor, NetworkPredictor):
        cache = FeatureCache(root / FEATURE_CACHE, predictor.frontend)
        return np.stack(
            [
                predictor.probabilities_of_log_mel(cache.get(job.content_hash, job.audio))
                for job, _ in zip(jobs, heard, strict=True)
            ]
        )
    # The forest is asked once for all: one answer costs it about as much as a hundred.
    return predictor.probabilities_of_descriptors(np.stack([features.descriptors for features in heard]))


def _pairs(tracks: pd.DataFrame) -> Iterable[tuple[str, str]]:
    return zip(tracks["content_hash"], tracks["path"], strict=True)
