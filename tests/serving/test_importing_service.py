"""`bentoml build` and `bentoml serve` import the service before any worker exists: that must stay cheap."""

import subprocess
import sys

import pytest
from serving_tools import make_project

from earmark.errors import EarmarkError
from earmark.serving.service import service_root


class TestImporting:
    def test_the_service_is_imported_without_torch_mlflow_or_decoder(self):
        heavy = ("torch", "mlflow", "av", "pandas")
        code = f"import sys, earmark.serving.service; print([name for name in {heavy} if name in sys.modules])"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == "[]"


class TestServiceRoot:
    def test_it_is_the_working_folder_or_above(self, tmp_path, monkeypatch):
        root = make_project(tmp_path / "project")
        (root / "below").mkdir()
        monkeypatch.chdir(root / "below")
        monkeypatch.delenv("EARMARK_ROOT", raising=False)
        assert service_root() == root

    def test_it_can_be_named(self, tmp_path, monkeypatch):
        root = make_project(tmp_path / "project")
        monkeypatch.setenv("EARMARK_ROOT", str(root))
        assert service_root() == root

    def test_without_any_there_is_an_error(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        monkeypatch.delenv("EARMARK_ROOT", raising=False)
        with pytest.raises(EarmarkError, match=r"params\.yaml"):
            service_root()
