"""Shared by all tests: recordings made by code; and how `pytest -n 2` divides them."""

import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

# Workers share the cores as they are: threads of two torches on the same cores mostly wait for each other.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import postgresql_server
from made_audio import FORMATS, encode_tone

# What takes longest starts first.
SLOWEST_FIRST = ("behaviour", "flows", "test_killed_runs", "test_stack", "test_mlflow", "serving")

# A shell that runs this in the background has Ctrl-C ignored, and every program started from here would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def group_of(nodeid: str) -> str:
    """What has to stay on one worker: a file, or a whole folder whose files share a server or a built project."""
    path = Path(nodeid.partition("::")[0])
    return path.parent.name if path.parent.name in SLOWEST_FIRST and path.stem not in SLOWEST_FIRST else path.stem


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if "PYTEST_XDIST_WORKER" in os.environ:
        places = {name: place for place, name in enumerate(SLOWEST_FIRST)}
        items.sort(key=lambda item: places.get(group_of(item.nodeid), len(places)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    from xdist.scheduler import LoadScopeScheduling

    class ByGroup(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return group_of(nodeid)

    return ByGroup(config, log)


@pytest.fixture(scope="session")
def bench() -> Iterator[Any]:
    """bench/hostile.py: files that mean no good, or are rare."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parent.parent / "bench"))
        import hostile
    yield hostile
    sys.modules.pop("hostile", None)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[postgresql_server.PostgreSQL]:
    """A real server; `postgresql.database(name)` makes a database."""
    # Not below pytest's own folder, which nobody else may enter: the server runs as another user where this is root.
    with (
        tempfile.TemporaryDirectory(prefix="earmark-postgresql-") as folder,
        postgresql_server.running(Path(folder)) as server,
    ):
        yield server


@pytest.fixture(scope="session")
def encode() -> Callable[..., bytes]:
    """``encode("mp3", seconds=4.0, tone_hz=440.0, …)``: a tone as a file's bytes."""
    return encode_tone


@pytest.fixture(scope="session")
def recordings() -> dict[str, bytes]:
    """The same four seconds in every format: suffix → a file's bytes."""
    return {suffix: encode_tone(suffix) for suffix in FORMATS}


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, bytes], Path]:
    """Put bytes under a path below the test's folder."""

    def put(name: str, content: bytes) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    return put
