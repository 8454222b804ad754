"""A small project with registered models, built once for all tests that compare and promote them."""

from pathlib import Path

import pytest
from registry_tools import build, copy


@pytest.fixture(scope="session")
def registered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project as `registry_tools.build` leaves it; for copies."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        return build(tmp_path_factory.mktemp("registered") / "project")


@pytest.fixture
def root(registered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project with three registered models, none of which has an alias."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return copy(registered, tmp_path)
