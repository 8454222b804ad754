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
import pandas as pd
import torch
import yaml

from earmark.adapters.supervisor import free_port
from earmark.model.neighbours import Neighbours
from earmark.model.network.network import MusicNetwork
from earmark.model.network.predictor import NetworkPredictor
from earmark.params import load_params
from scratch import CHECKOUT

LABELS = ("jig", "reel", "chorale")
TAGS = ("category---sea", "feeling---calmness")
MAX_BYTES, MAX_SECONDS, FOLLOW_SECONDS = 3_000_000, 20.0, 0.3


# As the registry has them of a version that was trained by a flow and promoted by the gates.
TAGS_OF_VERSION = {
    "kind": "network",
    "accuracy": "0.7500",
    "accuracy_low": "0.6500",
    "accuracy_high": "0.8400",
    "git.commit": "1f0c" * 10,
    "git.dirty": "false",
    "data.collection": "songbook",
    "data.collection_md5": "c" * 32,
    "data.catalogue_md5": "a" * 32,
    "data.splits_md5": "5" * 32,
    "verdict.reason": "It is better.",
    "verdict.gates": '[{"name": "gain", "passed": true, "found": "+0.1", "needed": "above 0", "why": "it is better"}]',
    "promoted.at": "2026-01-14T20:15:31.000+00:00",
    "promoted.because": "It is better.",
}


def untrained(*, seed: int = 1, labels: tuple[str, ...] = LABELS) -> NetworkPredictor:
    """A real predictor with random weights; another ``seed`` gives other answers."""
    params = load_params(CHECKOUT / "params.yaml")
    how = replace(params.network, size="tiny", dropout=0.0, excerpt_seconds=1.024, excerpts=2)
    torch.manual_seed(seed)
    network = MusicNetwork(how, mels=params.frontend.mels, classes=len(labels), tags=len(TAGS)).eval()
    return NetworkPredictor(labels, params.frontend, frozenset(), "none", tags=TAGS, networks=(network,), how=how)


def export(
    root: Path,
    predictor: NetworkPredictor,
    *,
    version: str,
    run_id: str = "run-of-the-test",
    catalogue: bool = False,
    tags: dict[str, str] | None = None,
) -> None:
    """Put ``predictor`` where promotion leaves the champion's copy, in one step; with ``catalogue``, all beside it."""
    fresh, folder = root / "models/fresh", root / "models/champion"
    predictor.save(fresh)
    if catalogue:
        catalogue_of(predictor).save(fresh / "neighbours")
        add_examples(fresh)
    (fresh / "champion.json").write_text(json.dumps({"version": version, "run_id": run_id, "tags": tags or {}}))
    if folder.exists():
        folder.rename(root / "models/old")
    fresh.rename(folder)
    shutil.rmtree(root / "models/old", ignore_errors=True)


def catalogue_of(predictor: NetworkPredictor) -> Neighbours:
    """Four songs: where the predictor puts three tones, one of them known to listeners, and one far off."""
    rate_hz = predictor.frontend.sample_rate_hz
    tones = [torch.sin(torch.arange(3 * rate_hz) / step) * 0.5 for step in (3.0, 9.0, 27.0)]
    places = [predictor.tell(predictor.inputs(tone)).embedding for tone in tones]
    songs = pd.DataFrame(
        {
            "track_id": ["tones/1", "tones/2", "tones/3", "noise/1"],
            "content_hash": ["1" * 64, "2" * 64, "3" * 64, "4" * 64],
            "title": ["High", "Middle", None, "Far"],
            "artist": ["Tuner", "Tuner", None, "Nobody"],
            "genre": ["jig", "reel", "chorale", None],
            "part": ["train", "test", "train", None],
            "listeners": pd.array([40, None, None, None], dtype="Int64"),
            "liked": [0.6, np.nan, np.nan, np.nan],
            "liked_low": [0.5, np.nan, np.nan, np.nan],
            "liked_high": [0.7, np.nan, np.nan, np.nan],
            "tags": [[{"tag": "feeling---calmness", "share": 0.4}], [], [], []],
            "appeal": [0.2, 0.4, 0.6, 0.8],
        }
    )
    return Neighbours.of(songs, np.stack([*places, -places[0]]))


EXAMPLE_SOUND = b"OggS, as it were"


def add_examples(folder: Path) -> None:
    """One song for the page, beside a predictor."""
    (folder / "examples").mkdir()
    (folder / "examples/jig.opus").write_bytes(EXAMPLE_SOUND)
    told = {"name": "jig", "title": "A jig", "artist": None, "genre": "jig", "seconds": 3.0, "licence": "CC0-1.0"}
    (folder / "examples/examples.json").write_text(json.dumps([told | {"file": "jig.opus", "track_id": "t"}]))


def make_project(root: Path) -> Path:
    """Make ``root`` a folder that `bentoml serve` can start in: small limits, and no model yet."""
    root.mkdir(parents=True, exist_ok=True)
    params = yaml.safe_load((CHECKOUT / "params.yaml").read_text())
    params["service"] |= {"max_bytes": MAX_BYTES, "max_seconds": MAX_SECONDS, "follow_seconds": FOLLOW_SECONDS}
    params["service"]["requests_per_minute"] = 0  # all that a test asks comes from one address
    (root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    for name in ("bentofile.yaml", "expectations.yaml"):
        shutil.copy(CHECKOUT / name, root)
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
