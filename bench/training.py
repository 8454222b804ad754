"""Does the loader hold the network back, and how long is it from an import to a champion? On Emotify, in one run.

* ``share_of_memory_speed_cpu``: songs a second of training as `fit` does it (log-mels mapped from the cache on disk,
  cut into excerpts by `earmark.model.network.loading`), over those of the same steps on batches that lie ready in
  memory. The two take turns, epoch by epoch for `rounds`, and medians are compared; ``songs_per_s_cpu`` is of the
  first one. ``…_again`` is memory against memory, a second training of the same: as far as that is from 1, nothing is
  known.
* ``share_of_peak_cpu``: arithmetic of the training steps a second (counted by torch's `FlopCounterMode`), over what one
  large product of matrices reaches here in the same precision.
* ``…_gpu``: the same on a GPU, where there is one, for the small network and as ``large_…_gpu`` for the large one.
  Where there is none, those of the last machine that had one are kept, and ``kept`` says which machine it was.
* ``import_to_champion_s``: a fresh clone of this commit, the environment installed; `earmark import emotify`, its
  listeners' answers, a snapshot, and the flow `training`, at whose end a version is champion. Its steps beside it.

    make bench-training DATA=path/to/emotify

Let nothing else run beside it.
"""

import argparse
import dataclasses
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from earmark.files import read_json
from earmark.model.material import load_material
from earmark.model.network.examples import Examples
from earmark.model.network.learning import Heads, Learning, Settings
from earmark.model.network.loading import training_loader
from earmark.model.network.network import MusicNetwork
from earmark.model.network.training import be_deterministic, precision_of, quiet_trainer
from earmark.params import Params, load_params, to_dict
from earmark.workspace import PARAMS, find_root
from emotify_folds import arrange, folder_of, prepare
from harness import RESULTS, write_result

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent


def rounds() -> int:
    """Epochs of each kind, the first of which warms up; on a GPU an epoch is over in a fraction of a second."""
    return 41 if torch.cuda.is_available() else 7


def main() -> None:
    """Measure, and write bench/results/training.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="the folder that holds data.csv and emotifymusic/")
    parser.add_argument("--speed-only", action="store_true", help="leave the way from import to champion out")
    arguments = parser.parse_args()
    params = load_params(ROOT / PARAMS)
    workspace = ROOT / ".earmark" / "bench" / "emotify"
    songs = prepare(arguments.data, workspace, params)
    material = load_material(folder_of(arrange(songs, seed=1)[0], workspace, params, None), params.frontend)
    examples = material.examples(material.tracks)
    device = "gpu" if torch.cuda.is_available() else "cpu"
    figures: dict[str, float] = {}
    figures |= {f"{name}_{device}": value for name, value in speed(examples, params).items()}
    if device == "gpu":
        large = dataclasses.replace(params, network=dataclasses.replace(params.network, size="large"))
        figures |= {f"large_{name}_gpu": value for name, value in speed(examples, large).items()}
    if not arguments.speed_only:
        figures |= import_to_champion(arguments.data.resolve())
    settings = {name: to_dict(getattr(params, name)) for name in ("network", "training")}
    kept, since = _kept(figures)
    path = write_result("training", figures | kept, device=_device(), kept=since, params=settings)
    for name, value in figures.items():
        print(f"{name:28s} {value:10.3f}")
    print(f"written: {path.relative_to(ROOT)}")


def _kept(figures: dict[str, float]) -> tuple[dict[str, float], dict[str, Any]]:
    """Figures of the last result that this machine has not measured, and where they are from."""
    if not (RESULTS / "training.json").is_file():
        return {}, {}
    last = read_json(RESULTS / "training.json")
    kept = {name: value for name, value in last["figures"].items() if name not in figures}
    since = {name: last[name] for name in ("at", "commit", "machine", "versions", "device", "command")}
    return kept, {"figures": sorted(kept), **since} if kept else {}


def _device() -> str:
    return torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"


def speed(examples: Examples, params: Params) -> dict[str, float]:
    """Training from the cache against training from memory, and arithmetic against what the machine can."""
    settings = Settings(params.frontend, params.network, params.training, params.augmentation)
    loader = training_loader(examples, settings.training, frames=settings.frames, epoch=lambda: 0)
    ready = list(loader)
    # One training each, whose epochs take turns: what else the machine does meets all alike.
    batches = {"cache": loader, "memory": Ready(ready), "again": Ready(ready)}
    turns = {name: _epochs(examples, settings, each) for name, each in batches.items()}
    seconds: dict[str, list[float]] = {name: [] for name in turns}
    for number in range(rounds()):
        for name in list(turns) if number % 2 else reversed(turns):
            seconds[name].append(next(turns[name]))
    cache, memory, again = (statistics.median(each[1:]) for each in seconds.values())
    songs = len(examples) * settings.training.excerpts_per_epoch
    return {
        "songs_per_s": songs / cache,
        "songs_per_s_from_memory": songs / memory,
        "share_of_memory_speed": memory / cache,
        "share_of_memory_speed_again": memory / again,
        "share_of_peak": _operations(ready, settings, examples) / cache / _peak(settings),
    }


class Ready(Iterable[Any]):
    """Batches that lie in memory; a bare list would be several loaders to the trainer."""

    def __init__(self, batches: list[Any]) -> None:
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.batches)


def _epochs(examples: Examples, settings: Settings, batches: Any) -> Iterator[float]:
    """Seconds of one epoch after another, of one training."""
    be_deterministic()
    module = _learning(examples, settings, steps=len(batches) * rounds())
    trainer = quiet_trainer(settings.training, epochs=1, callbacks=[])
    for number in range(1, rounds() + 1):
        trainer.fit_loop.max_epochs = number
        began = time.perf_counter()
        trainer.fit(module, batches)
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        yield time.perf_counter() - began


def _learning(examples: Examples, settings: Settings, *, steps: int) -> Learning:
    heads = Heads(examples.genres.shape[1], examples.tags.shape[2], examples.places.shape[1])
    network = MusicNetwork(settings.network, mels=settings.frontend.mels, classes=heads.classes, tags=heads.tags)
    return Learning(network, settings, heads, steps=steps, on_epoch=None)


def _operations(ready: list[Any], settings: Settings, examples: Examples) -> float:
    """Floating point operations of an epoch: forwards and backwards, a product and its sum counting two."""
    network = _learning(examples, settings, steps=1).network.train()
    excerpts = ready[0][0].transpose(1, 2).float()
    with FlopCounterMode(display=False) as counter:
        genres, tags, _ = network(excerpts)
        (genres.sum() + tags.sum()).backward()
    return float(counter.get_total_flops()) / len(excerpts) * sum(len(batch[0]) for batch in ready)


def _peak(settings: Settings) -> float:
    """Operations a second of one large product of matrices, in the precision of the training."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    kinds = {"32-true": torch.float32, "bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}
    side = 8192 if device == "cuda" else 2048
    matrix = torch.randn(side, side, device=device).to(kinds[precision_of(settings.training.precision)])
    best = 0.0
    for _ in range(10):
        began = time.perf_counter()
        matrix @ matrix
        if device == "cuda":
            torch.cuda.synchronize()
        best = max(best, 2 * side**3 / (time.perf_counter() - began))
    return best


def import_to_champion(data: Path) -> dict[str, float]:
    """Seconds of each step that a newcomer types, in a fresh clone."""
    steps = {
        "import_s": ["earmark", "import", "emotify", str(data)],
        "import_feedback_s": ["earmark", "feedback", "import", "emotify", str(data)],
        "snapshot_s": ["earmark", "feedback", "snapshot"],
        "training_flow_s": ["python", "flows/training.py"],
    }
    figures = {}
    with tempfile.TemporaryDirectory(prefix="earmark-champion-") as folder:
        project = Path(folder) / "project"
        subprocess.run(["git", "clone", "--quiet", str(find_root(ROOT)), str(project)], check=True)
        (project / ".venv").symlink_to(BIN.parent)
        env = os.environ | {
            "PYTHONPATH": str(project / "src"),  # this environment's own earmark is the checkout it was installed from
            "XDG_CONFIG_HOME": f"{folder}/config",
            "PREFECT_HOME": f"{project}/.earmark/prefect",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        }
        for name, command in steps.items():
            began = time.perf_counter()
            subprocess.run([str(BIN / command[0]), *command[1:]], cwd=project, env=env, check=True)
            figures[name] = time.perf_counter() - began
        if not (project / "models" / "champion" / "predictor.json").is_file():
            raise SystemExit("The flow ended without a champion: see what it says of the gates above.")
    return {**figures, "import_to_champion_s": sum(figures.values())}


if __name__ == "__main__":
    main()
