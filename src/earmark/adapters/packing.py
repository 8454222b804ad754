"""A predictor's folder as an MLflow model: signature, example, exact requirements, and earmark's code beside it.

With it travels what the service wants beside a predictor (`earmark.model.beside`): whoever fetches a version has all of
it in one folder, and so has models/champion.
"""

import math
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from earmark.model.beside import EXAMPLES, NEIGHBOURS
from earmark.workspace import EXAMPLES as MADE_EXAMPLES
from earmark.workspace import NEIGHBOURS as MADE_NEIGHBOURS
from earmark.workspace import PORTABLE

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


@contextmanager
def packed(folder: Path, root: Path | None) -> Iterator[Path]:
    """A copy of the predictor's ``folder`` with all that travels with it, as far as the stages have made it.

    It is gone after the block. Without a ``root`` nothing travels with it, and the folder itself is told.
    """
    if root is None:
        yield folder
        return
    from earmark.model.portable.excerpts import carry

    with tempfile.TemporaryDirectory(prefix="earmark-packing-") as scratch:
        whole = Path(scratch) / folder.name  # by which MLflow calls it
        shutil.copytree(folder, whole)
        for name, made in {NEIGHBOURS: root / MADE_NEIGHBOURS / folder.name, EXAMPLES: root / MADE_EXAMPLES}.items():
            if made.is_dir():
                shutil.copytree(made, whole / name)
        carry(root / PORTABLE, whole)
        yield whole


def log_model(folder: Path, root: Path | None = None) -> Any:
    """Log the predictor in ``folder`` as the model of the active run.

    Args:
        folder: The predictor's, called after its kind.
        root: The project's, whose stages made what travels with it; None: the predictor travels alone.

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
    with packed(folder, root) as whole:
        return mlflow.pyfunc.log_model(
            name=predictor.kind,
            loader_module="earmark.adapters.pyfunc",
            data_path=str(whole),
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
