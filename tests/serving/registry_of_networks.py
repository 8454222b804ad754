"""Tiny networks in a real MLflow registry, beside a project that the service can start in."""

from pathlib import Path

import mlflow
from mlflow import MlflowClient
from serving_tools import NetworkPredictor

from earmark.adapters.packing import log_model
from earmark.adapters.tracking import reaching, unless_there


def register(root: Path, predictor: NetworkPredictor) -> str:
    """Log ``predictor`` in the embedded registry; its version, without an alias."""
    folder = root / "fresh"
    predictor.save(folder)
    with reaching(root) as client:
        if client.get_experiment_by_name("earmark") is None:
            client.create_experiment("earmark", artifact_location=(root / "mlruns").as_uri())
        with unless_there():
            client.create_registered_model("earmark")
        with mlflow.start_run(experiment_id=client.get_experiment_by_name("earmark").experiment_id) as run:
            model = log_model(folder)
        made = client.create_model_version(
            "earmark", f"models:/{model.model_id}", run.info.run_id, model_id=model.model_id, tags={"kind": "network"}
        )
    return str(made.version)


def asking(root: Path) -> MlflowClient:
    """MLflow, without earmark between."""
    uri = f"sqlite:///{root}/mlflow.db"
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def alias(root: Path, name: str, version: str | None) -> None:
    """Give an alias to a version, or take it away."""
    if version is None:
        asking(root).delete_registered_model_alias("earmark", name)
    else:
        asking(root).set_registered_model_alias("earmark", name, version)
