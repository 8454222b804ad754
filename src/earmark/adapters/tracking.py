"""Where MLflow is, and how to speak with it: quietly, impatiently, and with errors that name the remedy."""

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from earmark.errors import RegistryError
from earmark.files import locked
from earmark.workspace import owner_of

if TYPE_CHECKING:
    from mlflow import MlflowClient

DATABASE = Path("mlflow.db")
ARTEFACTS = Path("mlruns")
_LOCK = Path(".earmark/mlflow.lock")

# MLflow would try for minutes to reach a server that is down, report on its users, and talk on standard output.
_DEFAULTS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "GIT_PYTHON_REFRESH": "quiet",
}
_CHATTY = (
    "mlflow.store.db.utils",
    "mlflow.tracking.fluent",
    "mlflow.models.model",
    "alembic",
    "urllib3.connectionpool",
)


def tracking_uri(root: Path) -> str:
    """Address of MLflow: MLFLOW_TRACKING_URI, else the database in ``root``'s project (as `mlflow ui` there)."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{(owner_of(root) / DATABASE).resolve()}"


def artefacts_of(root: Path) -> Path:
    """Where artefacts lie that no server keeps."""
    return owner_of(root) / ARTEFACTS


def embedded(root: Path) -> bool:
    """Whether MLflow is the database in ``root``, without a server."""
    return tracking_uri(root).startswith("sqlite:")


def shown_uri(root: Path) -> str:
    """The address as it may be written into a file: without a path of this machine, user name or password."""
    if embedded(root):
        return f"sqlite:///{DATABASE}"
    scheme, _, rest = tracking_uri(root).partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"


@contextmanager
def reaching(root: Path) -> Iterator["MlflowClient"]:
    """A client of the tracking server and the registry; what goes wrong in the block becomes a `RegistryError`.

    Raises:
        RegistryError: The server cannot be reached, or refuses.
    """
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.ERROR)
    import mlflow
    import requests
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    uri = tracking_uri(root)
    # What MLflow logs or loads by address alone (models:/…) goes by these.
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    try:
        # MLflow makes its tables when it first opens a database; two programs doing so at once would both fail. Where
        # nothing can be written, nobody makes any, and there is no place for a lock.
        owner = owner_of(root)
        with locked(owner / _LOCK) if embedded(root) and os.access(owner, os.W_OK) else nullcontext():
            client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        yield client
    except (MlflowException, requests.RequestException, SQLAlchemyError) as error:
        raise RegistryError(_explanation(root, error)) from error


@contextmanager
def unless_there() -> Iterator[None]:
    """To make something that another run may have made, just now or long ago: that it is there is no error."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _explanation(root: Path, error: Exception) -> str:
    # MLflow repeats the whole address, password and all.
    said = re.sub(r"://[^/@\s]+@", "://", _first_line(error))
    if embedded(root):
        return (
            f"MLflow's database {DATABASE} in {owner_of(root)} cannot be used: {said}. If another version of MLflow "
            f"wrote it, `mlflow db upgrade {shown_uri(root)}` brings it up to date; if it is damaged, move it aside."
        )
    return (
        f"MLflow at {shown_uri(root)} (from MLFLOW_TRACKING_URI) does not answer as it should: {said}. Is the server "
        "running, and does its --allowed-hosts name this host? Unset MLFLOW_TRACKING_URI to use the database in the "
        "project instead."
    )


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__
