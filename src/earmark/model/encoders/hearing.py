"""What an encoder hears in tracks of the catalogue, from the feature cache where it can, else from the audio."""

from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from earmark.audio.encoding import encode
from earmark.audio.extraction import Job
from earmark.catalogue.reading import read_recording
from earmark.model.encoders.encoder import Encoder
from earmark.progress import progress
from earmark.workspace import FEATURE_CACHE


def encodings_of(encoder: Encoder, tracks: pd.DataFrame, root: Path, sample_rate_hz: int) -> NDArray[np.float32]:
    """Vectors of catalogue rows, in their order, shape ``(tracks, dims)``.

    Args:
        encoder: Whose.
        tracks: Rows with ``content_hash`` and ``path``.
        root: The project's folder, to which the paths are relative.
        sample_rate_hz: At which recordings are decoded: the front-end's, as where the model is asked.

    Raises:
        AudioError: A recording cannot be decoded.
        CatalogueError: It is not there, or no longer what it was at its import.
    """
    names = zip(tracks["content_hash"], tracks["path"], strict=True)
    jobs = [Job(name, partial(read_recording, root, path, name)) for name, path in names]
    heard = encode(jobs, encoder.encoding(sample_rate_hz), root / FEATURE_CACHE)
    vectors = list(progress(heard, description=f"encode ({encoder.kind})", total=len(jobs)))
    return np.stack(vectors) if vectors else np.zeros((0, encoder.dims), dtype=np.float32)
