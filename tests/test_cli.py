import errno
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from earmark.cli import main
from earmark.errors import FeedbackError
from earmark.progress import progress
from scratch import CHECKOUT

EARMARK = Path(sys.executable).parent / "earmark"


class TestCommand:
    def test_help_lists_what_a_user_does(self):
        text = subprocess.run([EARMARK, "--help"], capture_output=True, text=True, check=True).stdout
        assert all(word in text for word in ("import", "predict", "demo", "up"))

    def test_help_loads_no_heavy_library(self):
        """Speed is measured in bench/road.py; here is what it rests on."""
        code = (
            "import sys, earmark.cli\n"
            "try: earmark.cli.main(['--help'])\n"
            "except SystemExit: pass\n"
            "heavy = {'torch', 'pandas', 'numpy', 'mlflow', 'prefect', 'bentoml', 'dvc', 'great_expectations'}\n"
            "print('loaded:', sorted(heavy & set(sys.modules)))"
        )
        printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        assert printed.splitlines()[-1] == "loaded: []"

    def test_importing_earmark_loads_nothing(self):
        code = "import sys; before = set(sys.modules); import earmark; print(sorted(set(sys.modules) - before))"
        printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        assert printed.strip() == "['earmark']"

    def test_a_deliberate_error_is_a_sentence_and_an_exit_code(self, tmp_path):
        (tmp_path / "params.yaml").write_text("catalogue: {}\n")
        result = CliRunner().invoke(main, ["--root", str(tmp_path), "stage", "split"])
        assert result.exit_code == 2
        assert "missing key" in result.output and "Traceback" not in result.output

    @pytest.mark.parametrize(
        ("error", "code", "said"),
        [
            (KeyboardInterrupt(), 130, "goes on from there"),
            (
                PermissionError(errno.EACCES, "Permission denied", "/data"),
                7,
                "/data cannot be written: Permission denied",
            ),
        ],
    )
    def test_what_the_user_or_the_disk_ends_is_a_sentence_too(self, tmp_path, monkeypatch, error, code, said):
        (tmp_path / "params.yaml").write_bytes((CHECKOUT / "params.yaml").read_bytes())

        def fail(*_):
            raise error

        monkeypatch.setattr("earmark.stages.split.run", fail)
        result = CliRunner().invoke(main, ["--root", str(tmp_path), "stage", "split"])
        assert result.exit_code == code and said in result.output and "Traceback" not in result.output

    @pytest.mark.parametrize("error", [KeyboardInterrupt(), FeedbackError("it stops"), OSError(errno.ENOSPC, "full")])
    def test_is_said_behind_the_progress_that_it_breaks_off_on_a_line_of_its_own(self, tmp_path, monkeypatch, error):
        (tmp_path / "params.yaml").write_bytes((CHECKOUT / "params.yaml").read_bytes())

        def broken_off(*_):
            rows = progress(range(10), description="long work")  # by its name the traceback holds on to it
            for number in rows:
                if number == 3:
                    raise error

        monkeypatch.setattr("earmark.stages.split.run", broken_off)
        result = CliRunner().invoke(main, ["--root", str(tmp_path), "stage", "split"])
        *bar, said = result.output.splitlines()
        assert said.startswith("earmark: ") and "long work" not in said
        assert "long work" in "".join(bar) and "earmark: " not in "".join(bar)
