"""A predictor's folder as an MLflow model: signature, example, exact requirements, and earmark's code beside it."""

import math
from importlib.metadata import version
from pathlib import Path
from typing import Any

# What answering needs; said outright, because MLflow would find it out by importing everything in another process.
_REQUIREMENTS = (
    "torch",
    "torchaudio",
    "numpy",
    "pandas",
    "scipy",
    "joblib",
    "scikit-learn",
    "av",
    "pyyaml",
)


def log_model(folder: Path) -> Any:
    """Log the predictor in ``folder`` as the model of the active run.

    Returns:
        MLflow's ``ModelInfo``.
    """
    import mlflow
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types.schema import ColSpec, Schema, TensorSpec

    import earmark
    from earmark.model.predictor import load_predictor

    predictor = load_predictor(folder)
    rate = predictor.frontend.sample_rate_hz
    signature = ModelSignature(
        inputs=Schema([TensorSpec(np.dtype("float32"), (-1, -1))]),
        outputs=Schema([ColSpec("double", genre) for genre in predictor.labels]),
    )
    times = np.arange(math.ceil(predictor.minimum_seconds * rate)) / rate
    example = (0.1 * np.sin(2 * np.pi * 440.0 * times)).round(4).astype(np.float32)[None]  # the note A: (1, time)
    return mlflow.pyfunc.log_model(
        name=predictor.kind,
        loader_module="earmark.adapters.pyfunc",
        data_path=str(folder),
        code_paths=[str(Path(earmark.__file__).parent)],
        signature=signature,
        input_example=example,
        pip_requirements=[f"{name}=={version(name).partition('+')[0]}" for name in _REQUIREMENTS],
        metadata={
            "kind": predictor.kind,
            "labels": list(predictor.labels),
            "sample_rate_hz": rate,
            "minimum_seconds": predictor.minimum_seconds,
            "data_hash": predictor.data_hash,
            "input": "mono waveforms in [-1, 1], float32, shape (recordings, time)",
        },
    )
