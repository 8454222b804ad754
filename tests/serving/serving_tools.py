"""For the service's tests: a real, tiny, untrained predictor, projects with it, and real `bentoml serve` processes."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import wave
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import numpy as np
import torch
import yaml

from earmark.adapters.supervisor import free_port
from earmark.model.network.network import MusicNetwork
from earmark.model.network.predictor import NetworkPredictor
from earmark.params import load_params
from scratch import CHECKOUT

LABELS = ("jig", "reel", "chorale")
TAGS = ("category---sea", "feeling---calmness")
MAX_BYTES, MAX_SECONDS, FOLLOW_SECONDS = 3_000_000, 20.0, 0.3


def untrained(*, seed: int = 1, labels: tuple[str, ...] = LABELS) -> NetworkPredictor:
    """A real predictor with random weights; another ``seed`` gives other answers."""
    params = load_params(CHECKOUT / "params.yaml")
    how = replace(params.network, size="tiny", dropout=0.0, excerpt_seconds=1.024, excerpts=2)
    torch.manual_seed(seed)
    network = MusicNetwork(how, mels=params.frontend.mels, classes=len(labels), tags=len(TAGS)).eval()
    return NetworkPredictor(labels, params.frontend, frozenset(), "none", tags=TAGS, networks=(network,), how=how)


def export(root: Path, predictor: NetworkPredictor, *, version: str, run_id: str = "run-of-the-test") -> None:
    """Put ``predictor`` where promotion leaves the champion's copy, in one step."""
    fresh, folder = root / "models/fresh", root / "models/champion"
    predictor.save(fresh)
    (fresh / "champion.json").write_text(json.dumps({"version": version, "run_id": run_id}))
    if folder.exists():
        folder.rename(root / "models/old")
    fresh.rename(folder)
    shutil.rmtree(root / "models/old", ignore_errors=True)


def make_project(root: Path) -> Path:
    """Make ``root`` a folder that `bentoml serve` can start in: small limits, and no model yet."""
    root.mkdir(parents=True, exist_ok=True)
    params = yaml.safe_load((CHECKOUT / "params.yaml").read_text())
    params["service"] |= {"max_bytes": MAX_BYTES, "max_seconds": MAX_SECONDS, "follow_seconds": FOLLOW_SECONDS}
    (root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    shutil.copy(CHECKOUT / "bentofile.yaml", root)
    return root


@dataclass(frozen=True)
class Server:
    """A running `bentoml serve`: where it listens, where it logs, its process."""

    client: httpx.Client
    log: Path
    process: subprocess.Popen[bytes]

    def predict(self, content: bytes, *, name: str = "song.mp3", kind: str = "audio/mpeg") -> httpx.Response:
        """Upload ``content`` as a browser or curl would."""
        return self.client.post("/predict", files={"file": (name, content, kind)})

    def workers(self) -> set[int]:
        """The process ids below the server's own."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return {int(child) for child in children}

    def wait_until(self, true: Callable[[], bool], *, seconds: float = 180.0) -> None:
        """Wait for ``true()``, or fail with the server's log."""
        end = time.monotonic() + seconds
        while not true():
            assert self.process.poll() is None, f"the server ended:\n{self.log.read_text()}"
            assert time.monotonic() < end, (
                f"still not true after {seconds} s; the server's log:\n{self.log.read_text()}"
            )
            time.sleep(0.1)

    def answers(self, path: str) -> bool:
        """Whether ``path`` is answered with 200."""
        try:
            return self.client.get(path).status_code == 200
        except httpx.TransportError:
            return False


@contextmanager
def serving(cwd: Path, *what: str, home: Path, log: Path) -> Iterator[Server]:
    """`bentoml serve` in ``cwd`` on a free port, from when it is alive until the block ends."""
    port = free_port(3000)
    command = [
        str(Path(sys.executable).with_name("bentoml")),
        "serve",
        *what,
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
    ]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=cwd, env=environment(home), stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
        server = Server(client, log, process)
        try:
            server.wait_until(lambda: server.answers("/livez"))
            yield server
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)  # its workers too
                raise


def environment(home: Path) -> dict[str, str]:
    """What `bentoml` runs with: nothing phones home or is written into it, and there is no registry by accident."""
    without = {"MLFLOW_TRACKING_URI", "EARMARK_ROOT", "PYTHONPATH"}
    quiet = {
        "BENTOML_HOME": str(home),
        "BENTOML_DO_NOT_TRACK": "True",
        "DO_NOT_TRACK": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    return {name: value for name, value in os.environ.items() if name not in without} | quiet


def tone_wav(seconds: float, *, rate_hz: int = 8_000) -> bytes:
    """A mono wav file, made by the standard library alone."""
    samples = (8_000 * np.sin(np.arange(int(seconds * rate_hz)) / 3)).astype("<i2")
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate_hz)
        out.writeframes(samples.tobytes())
    return file.getvalue()
