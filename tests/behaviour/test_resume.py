"""kill -9 in the middle of features and of training: the next `dvc repro` completes, with the very same results."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from small_project import EMBEDDED, results, run_dvc

from earmark.adapters import processes

pytestmark = pytest.mark.long


def kill_when(root: Path, arrived: Callable[[], bool]) -> None:
    """Run `dvc repro`, and kill it with all its children the moment ``arrived`` says so."""
    command = [*processes.program("dvc"), "repro", "evaluate"]
    env = processes.environment(EMBEDDED)
    silent = subprocess.DEVNULL
    repro = subprocess.Popen(command, cwd=root, env=env, start_new_session=True, stdout=silent, stderr=silent)
    while not arrived():
        assert repro.poll() is None, "dvc repro ended before it could be killed"
        time.sleep(0.005)
    os.killpg(repro.pid, signal.SIGKILL)
    assert repro.wait() == -signal.SIGKILL


def files_below(folder: Path, pattern: str) -> list[Path]:
    return [path for path in folder.rglob(pattern) if path.is_file()]


def test_after_kills_in_features_and_in_training_the_next_repro_completes_with_the_same_results(
    fresh_project, built_project, copy_of
):
    root = copy_of(fresh_project)
    cache, checkpoints = root / ".earmark" / "features", root / ".earmark" / "checkpoints"

    kill_when(root, lambda: len(files_below(cache, "*.npy")) >= 8)
    assert not (root / "data" / "features.parquet").exists()
    kept = {path: path.stat().st_mtime_ns for path in files_below(cache, "*.npy")}

    kill_when(root, lambda: files_below(checkpoints, "*.ckpt") != [])
    assert not (root / "models" / "network").exists()
    assert {path: path.stat().st_mtime_ns for path in kept} == kept  # what was done was not done again

    said = run_dvc(root, "repro", "evaluate")
    assert "Stage 'features' didn't change" in said
    assert "Running stage 'train'" in said
    assert results(root) == results(built_project)
