"""The folder of one worker process for all that must not outlive it: uploads of tasks, a champion just fetched.

Each worker has ``.earmark/service/<process id>-<start>/``, which only its user may enter. A folder is alive as long as
its process holds the lock of the file ``alive`` in it. The kernel lets go of that lock when the process ends, also by
``kill -9``, and no other process can be taken for it (a process id comes again, and means nothing to another container
on the same disk). Whoever starts next removes the folders that are not alive.
"""

import atexit
import fcntl
import os
import re
import shutil
import time
from pathlib import Path

from earmark.errors import EarmarkError
from earmark.files import locked

SERVICE = Path(".earmark/service")
_RATES = "rates"
_ALIVE = "alive"
_LOCK = ".lock"
_NAME = re.compile(r"[0-9]+-[0-9a-f]+")

# Project → process id, folder and the descriptor that holds its lock: a fork has to make its own.
_mine: dict[Path, tuple[int, Path, int]] = {}


def runtime_folder(root: Path) -> Path:
    """This process's own folder in the project ``root``, made at the first call, which also sweeps.

    Raises:
        EarmarkError: It cannot be written.
    """
    root = root.resolve()
    pid = os.getpid()
    if root not in _mine or _mine[root][0] != pid:
        try:
            _mine[root] = (pid, *_made(root))
        except OSError as error:
            raise EarmarkError(
                f"{root / SERVICE} cannot be written: {error.strerror}. The service keeps uploads there while it works "
                "on them. Give it a disk there on which it may write."
            ) from error
        atexit.register(leave, root)
    return _mine[root][1]


def rates_file(root: Path) -> Path:
    """Where all workers of the project count requests, see `earmark.serving.limits`."""
    runtime_folder(root)
    return root.resolve() / SERVICE / _RATES


def leave(root: Path) -> None:
    """Remove this process's folder, if it has one: at its end."""
    pid, folder, alive = _mine.get(root.resolve(), (0, root, 0))
    if pid == os.getpid():
        del _mine[root.resolve()]
        shutil.rmtree(folder, ignore_errors=True)
        os.close(alive)


def sweep(root: Path) -> list[str]:
    """Remove the folders whose process is gone; their names."""
    base = root.resolve() / SERVICE
    with locked(base / _LOCK):
        return _swept(base)


def _made(root: Path) -> tuple[Path, int]:
    base = root / SERVICE
    base.mkdir(parents=True, exist_ok=True)
    base.chmod(0o700)
    with locked(base / _LOCK):  # nobody sweeps a folder that is just being made
        _swept(base)
        folder = base / f"{os.getpid()}-{time.time_ns():x}"
        folder.mkdir(mode=0o700)
        alive = os.open(folder / _ALIVE, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(alive, fcntl.LOCK_EX)
    return folder, alive


def _swept(base: Path) -> list[str]:
    gone = [folder for folder in base.iterdir() if _NAME.fullmatch(folder.name) and not _is_alive(folder)]
    for folder in gone:
        shutil.rmtree(folder, ignore_errors=True)
    return sorted(folder.name for folder in gone)


def _is_alive(folder: Path) -> bool:
    try:
        alive = os.open(folder / _ALIVE, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False  # killed while it made the folder
    try:
        fcntl.flock(alive, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(alive)
    return False
