"""Programs that earmark starts: each is ended together with all its descendants, and none outlives earmark.

DVC, Prefect's server, MLflow's and BentoML's are programs with children of their own. A time-out, Ctrl-C, SIGTERM or
even kill -9 of earmark has to reach the grandchildren too; `guard.py` sees to the last of these.
"""

import codecs
import os
import selectors
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from earmark.errors import ToolError

OnLine = Callable[[str], None]

TAIL_LINES = 20
GRACE_SECONDS = 5.0
_LOOK_SECONDS = 0.5

# No tool asks the network for news or reports home. BentoML's wants the word, not 1.
QUIET = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DVC_NO_ANALYTICS": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "BENTOML_DO_NOT_TRACK": "True",
    "GX_ANALYTICS_ENABLED": "false",
}

_STANDARD_ERROR = 2
_GUARD = Path(__file__).with_name("guard.py")


class TimedOut(ToolError):
    """A program took longer than it was given, and was ended with all its children."""


@dataclass(frozen=True)
class Finished:
    """How a program ended. ``tail`` holds its last lines; empty where it wrote to the terminal itself."""

    exit_code: int
    tail: tuple[str, ...]


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment for a child: the same Python's programs first, quiet, output unbuffered."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    return {**os.environ, "PATH": path, "PYTHONUNBUFFERED": "1", **QUIET, **(extra or {})}


def program(name: str) -> list[str]:
    """The command ``name`` of this very environment, whatever PATH says.

    Raises:
        ToolError: It is not installed beside this Python.
    """
    beside = Path(sys.executable).with_name(name)
    if not beside.is_file():
        raise ToolError(f"There is no {name} in {beside.parent}. Install earmark's requirements there: `make setup`.")
    return [str(beside)]


def start(
    command: Sequence[str],
    *,
    cwd: Path,
    output: Any,
    env: Mapping[str, str] | None = None,
    grace_seconds: float = GRACE_SECONDS,
) -> subprocess.Popen[bytes]:
    """Start ``command`` under its guard; both its streams go to ``output``. Signals of the terminal do not reach it."""
    return subprocess.Popen(
        [sys.executable, "-I", "-S", str(_GUARD), str(os.getpid()), str(grace_seconds), *command],
        cwd=cwd,
        env=environment(env),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def stop(process: subprocess.Popen[bytes]) -> int:
    """End what `start` started, with all its descendants; asked again meanwhile (Ctrl-C), at once. The exit code."""
    process.terminate()
    try:
        return process.wait()
    except BaseException:
        process.terminate()
        process.wait()
        raise


def run(
    command: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    on_line: OnLine | None = None,
    timeout_s: float | None = None,
    grace_seconds: float = GRACE_SECONDS,
) -> Finished:
    """Run ``command`` to its end; when this call is left early, by whatever exception, nothing of it stays behind.

    Args:
        command: Program and arguments; no shell.
        cwd: Its working folder.
        env: Added to `environment`.
        on_line: Called with each line as it comes (a progress bar's carriage returns end lines too). Without it the
            program writes to this process's standard error, where a progress bar can be a real one.
        timeout_s: After this many seconds it is ended, with all its descendants.
        grace_seconds: What it is given to end by itself when told to.

    Raises:
        TimedOut: ``timeout_s`` have passed.
    """
    output = subprocess.PIPE if on_line else _STANDARD_ERROR
    process = start(command, cwd=cwd, env=env, output=output, grace_seconds=grace_seconds)
    tail: deque[str] = deque(maxlen=TAIL_LINES)
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    try:
        if on_line is not None:
            for line in _lines(process, deadline):
                tail.append(line)
                on_line(line)
        process.wait(None if deadline is None else max(deadline - time.monotonic(), 0.0))
    except subprocess.TimeoutExpired:
        stop(process)
        raise TimedOut(
            f"{' '.join(_short(command))} did not end within {timeout_s:g} s and was stopped with all its children. "
            f"{_last(tail)}"
        ) from None
    finally:
        if process.poll() is None:
            stop(process)
        if process.stdout is not None:
            process.stdout.close()
    return Finished(process.returncode, tuple(tail))


def failure(command: Sequence[str], finished: Finished, remedy: str) -> ToolError:
    """The error that says which command failed, how, and what it said last."""
    said = _last(finished.tail)
    return ToolError(f"`{' '.join(_short(command))}` ended with exit code {finished.exit_code}. {said}\n{remedy}")


def _lines(process: subprocess.Popen[bytes], deadline: float | None) -> Iterator[str]:
    """Lines as they come, split at line feeds and carriage returns, empty ones left out."""
    assert process.stdout is not None
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    rest = ""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        ended = False
        while not ended:
            if deadline is not None and time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(process.args, 0.0)
            if not selector.select(_LOOK_SECONDS):
                ended = process.poll() is not None  # gone, though a stray child of its own may still hold the pipe
                continue
            piece = os.read(process.stdout.fileno(), 65536)
            ended = not piece
            *whole, rest = (rest + decoder.decode(piece, final=ended)).replace("\r", "\n").split("\n")
            yield from (line.rstrip() for line in whole if line.strip())
    if rest.strip():
        yield rest.rstrip()


def _short(command: Sequence[str]) -> list[str]:
    return [Path(command[0]).name, *command[1:]]


def _last(tail: Sequence[str]) -> str:
    return "Its last lines:\n  " + "\n  ".join(tail) if tail else "What it said stands above."
