"""What every bench shares: the form of a result, and where it is kept.

A result is ``bench/results/<name>.json``: commit, machine, versions, command, and ``figures``, a flat object of
numbers.
"""

import os
import platform
import subprocess
import sys
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from earmark.files import write_json

RESULTS = Path(__file__).parent / "results"
_VERSIONS = (
    "torch",
    "torchaudio",
    "av",
    "numpy",
    "pandas",
    "scikit-learn",
    "implicit",
    "sqlalchemy",
    "great-expectations",
    "dvc",
    "prefect",
    "mlflow",
    "bentoml",
)


def write_result(name: str, figures: dict[str, float], **notes: Any) -> Path:
    """Write ``bench/results/<name>.json`` and return its path; ``notes`` are kept beside the figures."""
    path = RESULTS / f"{name}.json"
    content = {
        "name": name,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "machine": machine(),
        "versions": {"python": platform.python_version(), **_versions()},
        "command": " ".join(["python", f"bench/{Path(sys.argv[0]).name}", *map(_plain, sys.argv[1:])]),
        **notes,
        "figures": {key: _rounded(value) for key, value in figures.items()},
    }
    write_json(path, content)
    return path


def _rounded(value: float) -> float:
    """To six digits behind the point; of what is smaller than that, to four digits of its own."""
    return round(value, 6) if abs(value) >= 0.001 else float(f"{value:.4g}")


def _versions() -> dict[str, str]:
    """Of the packages that are installed here."""
    found = {}
    for package in _VERSIONS:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def _plain(argument: str) -> str:
    """An argument without the folders of this machine."""
    return Path(argument).name if Path(argument).is_absolute() else argument


@cache
def commit() -> str:
    """The commit that was measured; with ``-dirty`` where tracked files differed from it when first asked.

    BENCH_COMMIT names it where there is no git.
    """
    if given := os.environ.get("BENCH_COMMIT"):
        return given
    described = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parent,
        check=False,
    )
    return described.stdout.strip() or "unknown"


def machine() -> dict[str, Any]:
    """Processor, cores and memory of this machine."""
    cpu = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.exists():
        names = [line.split(":", 1)[1].strip() for line in information.read_text().splitlines() if "model name" in line]
        cpu = names[0] if names else cpu
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {"cpu": cpu, "cores": os.cpu_count(), "memory_gib": round(memory / 2**30, 1), "system": platform.system()}
