"""How MLflow itself opens a recorded model, as in `mlflow.pyfunc.load_model("models:/earmark@champion")`.

MLflow calls `_load_pyfunc` with the predictor's folder. earmark's own service does not come through here: it fetches
the folder and loads the `Predictor`.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from earmark.model.predictor import Predictor, load_predictor


class WaveformModel:
    """Waveforms in, one column of probabilities per genre out."""

    def __init__(self, predictor: Predictor) -> None:
        self.predictor = predictor

    def predict(self, waveforms: NDArray[np.float32], params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Probabilities, one row a recording and one column a genre.

        Args:
            waveforms: Mono, in [-1, 1], at the front-end's sample rate, shape ``(recordings, time)``.
            params: Not used; MLflow may pass it.

        Raises:
            AudioError: The recordings are shorter than the model needs.
        """
        batch = [torch.from_numpy(np.array(waveform, dtype=np.float32)) for waveform in waveforms]
        return pd.DataFrame(self.predictor.probabilities(batch), columns=list(self.predictor.labels))


def _load_pyfunc(path: str) -> WaveformModel:
    return WaveformModel(load_predictor(Path(path)))
