"""Push, lose the cache and the audio, pull: everything is back byte for byte, and nothing has to run again."""

import hashlib
import shutil
from pathlib import Path

import pytest
from small_project import run_dvc

from earmark.adapters import dvc

pytestmark = pytest.mark.slow


def hashes_below(root: Path, *folders: str) -> dict[str, str]:
    files = [path for folder in folders for path in (root / folder).rglob("*") if path.is_file()]
    files = [path for path in files if path.name != ".gitignore"]  # git's, not DVC's
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_what_was_pushed_comes_back_byte_for_byte_after_cache_audio_models_and_reports_are_lost(built_project, copy_of):
    root = copy_of(built_project)
    folders = ("data/collections/tones", "data/feedback/listening", "models", "reports")
    before = hashes_below(root, *folders)
    assert len([path for path in before if path.endswith(".wav")]) == 36

    dvc.push(root)
    for folder in (*folders, ".dvc/cache"):
        shutil.rmtree(root / folder)
    dvc.pull(root)

    after = hashes_below(root, *folders)
    assert after == before
    assert "Running stage" not in run_dvc(root, "repro", "evaluate")
