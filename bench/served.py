"""For the benches of the service: a project with a champion, real songs to send, servers and load on them."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

from earmark.adapters.supervisor import free_port
from earmark.files import write_json
from earmark.model.material import Material, load_material
from earmark.model.network.predictor import NetworkPredictor
from earmark.model.portable.excerpts import export_excerpts
from earmark.model.predictor import load_predictor
from earmark.params import Params, load_params
from earmark.stages import train
from earmark.workspace import CHAMPION, EXPECTATIONS, NETWORK, PARAMS
from emotify import recipe
from emotify_folds import arrange, folder_of, prepare

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent
HERE = Path(__file__).parent
EXCERPT_S = 30.0


@dataclass(frozen=True)
class Emotify:
    """A network that was trained on some artists' songs, and the songs of the others.

    Attributes:
        predictor: Four networks, calibrated: those of the first fold of `bench/emotify.py`.
        material: Its songs and their genres; part ``test`` is unheard.
        root: Where their paths begin.
    """

    predictor: NetworkPredictor
    material: Material
    root: Path


def emotify(data: Path) -> Emotify:
    """The network of the first fold, by the recipe of `bench/emotify.py`; trained if it is not there yet (minutes)."""
    params = recipe(load_params(ROOT / PARAMS))
    workspace = ROOT / ".earmark" / "bench" / "emotify"
    songs = prepare(data, workspace, params)
    fold = arrange(songs, seed=1)[0]
    root = folder_of(fold, workspace, params, None)
    if not (root / NETWORK / "predictor.json").exists():
        from emotify_folds import _params

        train.run(_params(params, fold, None), root)
    predictor = load_predictor(root / NETWORK)
    assert isinstance(predictor, NetworkPredictor)
    return Emotify(with_graph(predictor), load_material(root, params.frontend), root)


def with_graph(predictor: NetworkPredictor) -> NetworkPredictor:
    """With its networks as ONNX beside it, as a registered version has them."""
    with tempfile.TemporaryDirectory() as folder:
        export_excerpts(predictor, Path(folder) / "excerpts.onnx")
        return dataclasses.replace(predictor, graph=(Path(folder) / "excerpts.onnx").read_bytes())


def project(root: Path, predictor: NetworkPredictor, **service: Any) -> Path:
    """A folder that `bentoml serve` can start in, with ``predictor`` as its champion."""
    root.mkdir(parents=True, exist_ok=True)
    settings = yaml.safe_load((ROOT / PARAMS).read_text(encoding="utf-8"))
    settings["service"] |= {"requests_per_minute": 0, **service}  # all load comes from one address
    (root / PARAMS).write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
    (root / EXPECTATIONS).write_bytes((ROOT / EXPECTATIONS).read_bytes())
    predictor.save(root / CHAMPION)
    write_json(root / CHAMPION / "champion.json", {"version": "1", "run_id": "bench"})
    return root


def excerpts(material: Material, root: Path, into: Path) -> list[Path]:
    """The test songs' first 30 s, as they were coded: mp3 frames are copied."""
    import av

    into.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, source in enumerate(material.part("test")["path"]):
        path = into / f"{number:03d}.mp3"
        with av.open(str(_file(root, source))) as song, av.open(str(path), "w") as out:
            stream = song.streams.audio[0]
            copy = out.add_stream_from_template(stream)
            for packet in song.demux(stream):
                if packet.dts is not None and float(packet.pts * packet.time_base) < EXCERPT_S:
                    packet.stream = copy
                    out.mux(packet)
        paths.append(path)
    return paths


def _file(root: Path, path: str) -> Path:
    return Path(path) if Path(path).is_absolute() else root / path


@contextmanager
def running(command: list[str], cwd: Path, env: dict[str, str], port: int, log: Path) -> Iterator[int]:
    """A server, from when it answers /readyz until the block ends; its process id."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=cwd, env=os.environ | env, stdout=output, stderr=output, start_new_session=True
        )
    try:
        end = time.monotonic() + 180
        while True:
            with suppress(httpx.TransportError):
                if httpx.get(f"http://127.0.0.1:{port}/readyz").status_code == 200:
                    break
            if process.poll() is not None or time.monotonic() > end:
                raise SystemExit(f"{command[0]} does not serve:\n{log.read_text(errors='replace')[-3000:]}")
            time.sleep(0.2)
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)


@contextmanager
def earmark_service(root: Path, log: Path, **env: str) -> Iterator[tuple[int, int]]:
    """`bentoml serve` in ``root``; its port and process id, once every worker is ready."""
    port = free_port(3100)
    command = [str(BIN / "bentoml"), "serve", "earmark.serving.service:Earmark", "--host", "127.0.0.1"]
    settings = {
        "EARMARK_ROOT": str(root),
        "BENTOML_HOME": str(root / "bentoml"),
        "BENTOML_DO_NOT_TRACK": "True",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "XDG_CONFIG_HOME": str(root / "config"),
        **env,
    }
    with running([*command, "--port", str(port)], root, settings, port, log) as pid:
        end = time.monotonic() + 60
        workers = 1
        while time.monotonic() < end:  # each answers for itself
            text = log.read_text(errors="replace")
            workers = text.count("Completed async startup hook")
            if workers >= int(env.get("EARMARK_WORKERS", "2")):
                break
            time.sleep(0.2)
        yield port, pid


@contextmanager
def usual_service(model: Path, log: Path, *, workers: int, threads: str = "") -> Iterator[int]:
    """The usual one; its port."""
    port = free_port(3200)
    command = [str(BIN / "uvicorn"), "usual_service:app", "--workers", str(workers), "--port", str(port)]
    env = {"EARMARK_MODEL": str(model), "USUAL_THREADS": threads, "PYTHONPATH": str(HERE)}
    with running([*command, "--log-level", "warning"], HERE, env, port, log):
        time.sleep(3.0)  # the other workers load, too
        yield port


def load(port: int, files: list[Path], seconds: float, **how: Any) -> list[dict[str, Any]]:
    """What a load of its own process met; see `bench/load.py`."""
    plan = {"port": port, "path": "/predict", "field": "file", "files": [str(path) for path in files]}
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(plan | {"seconds": seconds} | how, file)
        file.flush()
        ended = subprocess.run(
            [sys.executable, str(HERE / "load.py"), file.name], capture_output=True, check=True, text=True
        )
    told: list[dict[str, Any]] = json.loads(ended.stdout)
    return told


def floor(model: Path, files: list[Path], seconds: float, processes: int) -> float:
    """Files a second that so many processes get through, all together."""
    command = [sys.executable, str(HERE / "serving_floor.py"), str(model), str(seconds), *map(str, files)]
    started = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(processes)
    ]
    for process in started:
        assert process.stdout is not None and process.stdout.readline().strip() == "ready"
    for process in started:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    return sum(float(process.communicate()[0].strip()) for process in started)


def settings(params: Params) -> dict[str, Any]:
    """Of the service, for the record."""
    return dict(vars(params.service))
