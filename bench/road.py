"""How long does the road take on this machine? From nothing to an answer, and each time after.

A fresh clone of this commit, in a temporary folder, with the environment already installed:

* ``songbook_s``: rendering the songbook alone;
* ``demo_s``: `earmark demo` from nothing, songbook included; ``second_demo_s``: again;
* ``repro_noop_s``: `dvc repro` with nothing to do; ``help_s``: `earmark --help`, the median of five; beside it
  ``dvc_help_s``, `dvc --help`, as a yardstick of what users of such tools are used to.

    make bench-road

Let nothing else run beside it.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from harness import write_result

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent


def main() -> None:
    """Measure, and write bench/results/road.json."""
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="earmark-road-") as folder:
        alone, whole = _clone(Path(folder) / "alone"), _clone(Path(folder) / "whole")
        figures["songbook_s"] = _timed(alone, "dvc", "repro", "data/dvc.yaml:songbook")
        figures["demo_s"] = _timed(whole, "earmark", "demo")
        figures["second_demo_s"] = _timed(whole, "earmark", "demo")
        figures["repro_noop_s"] = _timed(whole, "dvc", "repro")
        figures["help_s"] = statistics.median(_timed(whole, "earmark", "--help", quiet=True) for _ in range(5))
        figures["dvc_help_s"] = statistics.median(_timed(whole, "dvc", "--help", quiet=True) for _ in range(5))
    path = write_result("road", figures)
    for name, seconds in figures.items():
        print(f"{name:15s} {seconds:8.2f}")
    print(f"written: {path.relative_to(ROOT)}")


def _clone(folder: Path) -> Path:
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
    (folder / ".venv").symlink_to(BIN.parent)  # as after `make setup`; the code is this checkout's
    return folder


def _timed(folder: Path, program: str, *arguments: str, quiet: bool = False) -> float:
    began = time.monotonic()
    output = subprocess.DEVNULL if quiet else None
    subprocess.run([str(BIN / program), *arguments], cwd=folder, check=True, stdout=output)
    return time.monotonic() - began


if __name__ == "__main__":
    main()
