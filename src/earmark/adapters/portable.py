"""The exported network among the artefacts of the models in MLflow that hold it.

So whoever takes a network from the registry or from its run gets the ONNX file with it, below ``portable/``. Of a blend
it is one part, below another name; a forest and a machine have none (docs/portable.md, "Where to get it"). It lies
beside the predictor's folder, not in it: the service does not carry it, and the size that promotion weighs is that of
what answers.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from earmark.workspace import PORTABLE

if TYPE_CHECKING:
    from mlflow import MlflowClient

# A blend cannot be exported. It gets its network under a name that nobody takes for the whole.
_UNDER = {"network": "portable", "blend": "portable-network-part"}


def log_portable(client: "MlflowClient", model_id: str, root: Path, kind: str) -> None:
    """Put models/portable among the artefacts of the logged model, and so of each version registered from it.

    Args:
        client: Of the tracking server.
        model_id: As `mlflow.pyfunc.log_model` returned it.
        root: The project's folder.
        kind: Of the model; forests and machines hold no network, so they get nothing.
    """
    if kind in _UNDER and (root / PORTABLE).is_dir():
        client.log_model_artifacts(model_id, str(root / PORTABLE), _UNDER[kind])
