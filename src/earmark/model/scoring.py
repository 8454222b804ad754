"""A predictor's answers for tracks of the catalogue, from the feature cache where it can, else from the audio."""

from collections.abc import Iterable
from functools import partial
from itertools import islice, repeat
from pathlib import Path

import numpy as np
import pandas as pd

from earmark.audio.encoding import encode
from earmark.audio.extraction import Job, Wanted, extract
from earmark.audio.features import FeatureCache
from earmark.catalogue.reading import read_recording
from earmark.model.answers import Answers, Inputs, joined
from earmark.model.predictor import Predictor
from earmark.progress import progress
from earmark.workspace import FEATURE_CACHE

_AT_ONCE = 64  # recordings; a forest is hardly slower for so many than for one


def answers_of(predictor: Predictor, tracks: pd.DataFrame, root: Path, *, raw: bool = False) -> Answers:
    """Answers for catalogue rows, in their order.

    Args:
        predictor: Whose answers.
        tracks: Rows with ``content_hash`` and ``path``.
        root: The project's folder, to which the paths are relative.
        raw: Before calibration.

    Raises:
        AudioError: A recording cannot be decoded.
        CatalogueError: It is not there, or no longer what it was at its import.
    """
    if tracks.empty:
        empty = np.zeros((0, len(predictor.labels))), np.zeros((0, len(predictor.tags))), np.zeros((0, 0))
        return Answers(*empty)
    answer = predictor.raw if raw else predictor.answers
    inputs = iter(_inputs(predictor, tracks, root))
    return joined([answer(batch) for batch in iter(lambda: list(islice(inputs, _AT_ONCE)), [])])


def _inputs(predictor: Predictor, tracks: pd.DataFrame, root: Path) -> Iterable[Inputs]:
    names = zip(tracks["content_hash"], tracks["path"], strict=True)
    jobs = [Job(name, partial(read_recording, root, path, name)) for name, path in names]
    wanted = Wanted(
        root / FEATURE_CACHE,
        predictor.frontend,
        log_mels=predictor.needs_log_mel,
        descriptors=predictor.needs_descriptors,
    )
    cache = FeatureCache(root / FEATURE_CACHE, predictor.frontend)
    heard = progress(extract(jobs, wanted), description=f"listen ({predictor.kind})", total=len(tracks))
    encoding = predictor.encoding
    none = repeat(None, len(jobs))
    encoded = none if encoding is None else encode(jobs, encoding, root / FEATURE_CACHE)
    for job, features, vector in zip(jobs, heard, encoded, strict=True):
        yield Inputs(
            log_mel=cache.get(job.content_hash, job.audio) if predictor.needs_log_mel else None,
            descriptors=features.descriptors if predictor.needs_descriptors else None,
            encoded=vector,
        )
