"""A small supervisor: starts services, waits until each answers, notices when one dies, ends them all.

Each service runs under its guard (`processes.py`) and writes to ``.earmark/logs/NAME.log``.
"""

import contextlib
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from earmark.adapters import processes
from earmark.errors import ToolError
from earmark.files import locked
from earmark.workspace import LOGS

HOST = "127.0.0.1"  # nothing here asks for a password, so nothing here listens to other machines
_LOOK_SECONDS = 0.25
_SHOWN_LINES = 15


@dataclass(frozen=True)
class Service:
    """A program that is meant to keep running.

    Attributes:
        name: What it is called on the screen, and its log file.
        about: What one finds there, in a few words.
        command: Program and arguments.
        health: A URL that answers 200 when the service is ready.
        address: What a person opens.
        env: Added to this process's environment.
        grace_seconds: How long it may take to end by itself when told to.
    """

    name: str
    about: str
    command: Sequence[str]
    health: str
    address: str
    env: Mapping[str, str] = field(default_factory=dict)
    grace_seconds: float = 10.0


class Supervisor:
    """The services of one project; a context manager that leaves nothing running behind it."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._running: dict[str, tuple[Service, subprocess.Popen[bytes]]] = {}
        self._ready: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def log(self, name: str) -> Path:
        """Where the service writes."""
        return self._root / LOGS / f"{name}.log"

    def start(self, service: Service) -> None:
        """Start ``service``; it is not yet ready when this returns."""
        log = self.log(service.name)
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as file:
            process = processes.start(
                service.command, cwd=self._root, env=service.env, output=file, grace_seconds=service.grace_seconds
            )
        self._running[service.name] = (service, process)

    def wait_until_ready(
        self, *, timeout_s: float = 300.0, on_ready: Callable[[Service], None] = lambda service: None
    ) -> None:
        """Wait until every service answers that has not yet.

        Raises:
            ToolError: One has died meanwhile, or does not answer within ``timeout_s``; its last lines are in the text.
        """
        deadline = time.monotonic() + timeout_s
        waiting = [service for service, _ in self._running.values() if service.name not in self._ready]
        while waiting:
            self.check()
            for service in [service for service in waiting if answers(service.health)]:
                waiting.remove(service)
                self._ready.add(service.name)
                on_ready(service)
            if waiting and time.monotonic() > deadline:
                name = waiting[0].name
                raise ToolError(
                    f"{name} does not answer at {waiting[0].health} after {timeout_s:g} s. {self._said(name)}\n"
                    "Is the machine very busy? Then repeat; else the whole log tells more."
                )
            time.sleep(_LOOK_SECONDS if waiting else 0)

    def check(self) -> None:
        """Look once whether all are alive.

        Raises:
            ToolError: One has ended by itself; its last lines are in the text.
        """
        for name, (_, process) in self._running.items():
            code = process.poll()
            if code is not None:
                raise ToolError(f"{name} ended with exit code {code}. {self._said(name)}")

    def watch(self) -> None:
        """Keep looking; never returns.

        Raises:
            ToolError: As `check`.
        """
        while True:
            self.check()
            time.sleep(_LOOK_SECONDS)

    def stop(self) -> None:
        """End all services at once, with all their descendants; returns when they are gone."""
        for _, process in self._running.values():
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
        try:
            for _, process in self._running.values():
                process.wait()
        except BaseException:
            for _, process in self._running.values():
                processes.stop(process)
            raise
        finally:
            self._running.clear()

    def _said(self, name: str) -> str:
        lines = self.log(name).read_text(encoding="utf-8", errors="replace").splitlines()[-_SHOWN_LINES:]
        return f"The end of {self.log(name)}:\n" + "\n".join(f"  {line}" for line in lines)


def answers(url: str) -> bool:
    """Whether ``url`` answers with success."""
    try:
        with _DIRECT.open(url, timeout=2.0) as answer:
            return bool(200 <= answer.status < 300)
    except (urllib.error.URLError, OSError, ValueError):
        return False


def free_port(preferred: int) -> int:
    """The first free port of this machine from ``preferred`` upwards; it is this process's from now on.

    A server takes up to a minute before it listens. Until then a lock, which falls with this process, keeps other
    runs of earmark on this machine from choosing the same port.

    Raises:
        ToolError: None of the next hundred is free.
    """
    for port in range(preferred, preferred + 100):
        if _is_free(port) and _reserve(port):
            return port
    raise ToolError(f"No port from {preferred} to {preferred + 99} is free on {HOST}. End what is listening there.")


_reserved = contextlib.ExitStack()  # the locks of this process's ports; they fall with it


def _reserve(port: int) -> bool:
    try:
        _reserved.enter_context(locked(Path(tempfile.gettempdir()) / f"earmark-port-{port}.lock", wait=False))
    except OSError:
        return False  # taken already, by this run or another, or another user's, who may be about to listen there
    return True


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # else a port just left counts as taken
        try:
            probe.bind((HOST, port))
            probe.listen(1)
        except OSError:
            return False
    return True


# A proxy in the environment must not stand between a machine and itself.
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
