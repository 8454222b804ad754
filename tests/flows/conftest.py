"""One real Prefect server for all tests of the flows; it takes ten seconds to start, so it starts once."""

import importlib.util
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
from prefect.logging.handlers import APILogHandler
from prefect.settings import PREFECT_API_URL, PREFECT_HOME, temporary_settings

from earmark.adapters import dvc
from earmark.adapters.supervisor import Supervisor
from earmark.stack import Stack
from postgresql_server import DATABASES
from scratch import CHECKOUT, scratch_project


@pytest.fixture(scope="session", params=DATABASES)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment in which every process finds the server; this process is told too."""
    root = tmp_path_factory.mktemp("server")
    stack = Stack.on_free_ports(root)
    (root / ".earmark" / "prefect").mkdir(parents=True)
    service = stack.prefect
    if request.param == "postgresql":
        database = "postgresql+asyncpg:" + request.getfixturevalue("postgresql").database("prefect")
        service = replace(service, env={**service.env, "PREFECT_SERVER_DATABASE_CONNECTION_URL": database})
    settings = {PREFECT_API_URL: stack.env["PREFECT_API_URL"], PREFECT_HOME: stack.env["PREFECT_HOME"]}
    with Supervisor(root) as supervisor:
        supervisor.start(service)
        supervisor.wait_until_ready()
        with temporary_settings(settings):
            yield {name: stack.env[name] for name in ("PREFECT_API_URL", "PREFECT_HOME")}
            APILogHandler().flush()  # what is not sent yet would wait for this server for a minute after its end


@pytest.fixture(scope="session")
def training() -> ModuleType:
    """flows/training.py as a module."""
    return flow_module("training")


@pytest.fixture(scope="session")
def feedback() -> ModuleType:
    """flows/feedback.py as a module."""
    return flow_module("feedback")


def flow_module(name: str) -> ModuleType:
    """A file of flows/ as a module."""
    spec = importlib.util.spec_from_file_location(name, CHECKOUT / "flows" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A scratch project with its collection added, and the flows of this checkout."""
    return with_flows(tmp_path)


@pytest.fixture(scope="class")
def class_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, shared by the tests of one class."""
    return with_flows(tmp_path_factory.mktemp("class"))


def with_flows(folder: Path) -> Path:
    """A scratch project with its collection added, and the flows of this checkout."""
    root = scratch_project(folder)
    (root / "flows").symlink_to(CHECKOUT / "flows")
    dvc.add(root, Path("data/collections/mine"))
    return root
