"""One small project, built once by `dvc repro`, for all tests of the whole."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from small_project import make_project, run_dvc


@pytest.fixture(scope="session")
def fresh_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Imported, nothing run; to be copied, not changed."""
    return make_project(tmp_path_factory.mktemp("fresh"))


@pytest.fixture(scope="session")
def built_project(fresh_project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """After one `dvc repro` that nothing disturbed, MLflow left out; to be copied, not changed."""
    root = tmp_path_factory.mktemp("built") / "project"
    shutil.copytree(fresh_project, root, symlinks=True)
    run_dvc(root, "repro", "evaluate")
    return root


@pytest.fixture
def copy_of(tmp_path: Path) -> Callable[[Path], Path]:
    """A copy of a project, to be changed."""

    def copy(project: Path) -> Path:
        return Path(shutil.copytree(project, tmp_path / "project", symlinks=True))

    return copy
