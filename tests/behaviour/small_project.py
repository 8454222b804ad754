"""A whole earmark project that is small: three styles of tones made by code, a small network, a few epochs."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from scipy.io import wavfile

from earmark.adapters import dvc, processes
from earmark.catalogue.imports.importing import import_collection
from earmark.catalogue.imports.using import use_collection
from earmark.catalogue.sources.folder import FolderSource
from earmark.params import load_params
from scratch import CHECKOUT, git

RATE_HZ = 16_000
PER_STYLE = 12
OVERRIDES: dict[str, dict[str, Any]] = {
    "validation": {"min_tracks_per_genre": 5, "min_groups_per_genre": 5},
    "network": {"channels": 4, "blocks": 2, "excerpt_seconds": 1.024, "excerpts": 2},
    "training": {"epochs": 20, "batch_size": 8, "excerpts_per_epoch": 2},
    "forest": {"trees": 20},
    "evaluation": {"resamples": 200},
}

# A developer's own MLflow server is left alone: empty means the database in the project.
EMBEDDED = {"MLFLOW_TRACKING_URI": ""}

# What a project consists of, besides the files of the root itself.
_PARTS = ("src/", "flows/", "data/", ".dvc/")


def make_project(folder: Path) -> Path:
    """The checkout's own files under git, the tones imported and in use; nothing has run yet."""
    root = folder / "project"
    root.mkdir()
    for name in git(CHECKOUT, "ls-files", "--cached", "--others", "--exclude-standard").splitlines():
        if name.startswith(_PARTS) or "/" not in name:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(CHECKOUT / name, root / name)
    content = yaml.safe_load((root / "params.yaml").read_text())
    for section, values in OVERRIDES.items():
        content[section].update(values)
    (root / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    git(root, "init", "--quiet")
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "A small project")
    result = import_collection(FolderSource(tones(folder / "tones")), root, load_params(root / "params.yaml"))
    dvc.add(root, result.folder)
    use_collection(root, result.name)
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "Tones")
    return root


def tones(folder: Path) -> Path:
    """Three styles that differ in how fast their tone is struck; pitch, level and noise differ from file to file."""
    time_s = np.arange(round(4.0 * RATE_HZ)) / RATE_HZ
    for style, strokes_hz in (("slow", 1.0), ("steady", 4.0), ("fast", 12.0)):
        (folder / style).mkdir(parents=True)
        for index in range(PER_STYLE):
            random = np.random.default_rng([index, round(strokes_hz)])
            tone = np.sin(2 * np.pi * random.uniform(200, 800) * time_s)
            sound = tone * np.exp(-6.0 * ((time_s * strokes_hz) % 1.0)) * random.uniform(0.2, 0.8)
            sound += random.normal(0, 0.01, len(time_s))
            wavfile.write(folder / style / f"{index:02d}.wav", RATE_HZ, (sound * 32_000).astype(np.int16))
    return folder


def run_dvc(root: Path, *arguments: str) -> str:
    """`dvc …` as typed in a terminal; its output.

    Raises:
        AssertionError: It failed.
    """
    said: list[str] = []
    # Under earmark's own guard: a test that is interrupted leaves no stage running.
    finished = processes.run([*processes.program("dvc"), *arguments], cwd=root, env=EMBEDDED, on_line=said.append)
    text = "\n".join(said)
    assert finished.exit_code == 0, f"dvc {' '.join(arguments)}:\n{text[-4000:]}"
    return text


def results(root: Path) -> dict[str, str]:
    """DVC's hash of everything that the stages made from data: weights, features, scores, predictions."""
    stages = yaml.safe_load((root / "dvc.lock").read_text())["stages"]
    return {out["path"]: out["md5"] for name, stage in stages.items() if name != "record" for out in stage["outs"]}
