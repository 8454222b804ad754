"""A whole earmark project that is small: tones of three styles, people who listen to them, a small network."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray
from scipy.io import wavfile

from earmark.adapters import dvc, processes
from earmark.catalogue.imports.importing import import_collection
from earmark.catalogue.imports.using import use, use_collection
from earmark.catalogue.sources.folder import FolderSource
from earmark.feedback.event import Event, Song
from earmark.feedback.snapshot import write_snapshot
from earmark.feedback.store import Store
from earmark.params import load_params
from earmark.workspace import LISTENING, SNAPSHOTS
from feedback_tools import DAY_US, NOON_US, play, take
from scratch import CHECKOUT, git

RATE_HZ = 16_000
PER_STYLE = 12
STROKES_HZ = {"slow": 1.0, "steady": 4.0, "fast": 12.0}
CALM = {"slow": 0.9, "steady": 0.5, "fast": 0.1}  # share of those who hear it that say so
TAUGHT = {"feeling---calmness", "category---slow", "category---fast"}
OVERRIDES: dict[str, dict[str, Any]] = {
    "validation": {"min_tracks_per_genre": 5, "min_groups_per_genre": 5},
    "categories": {"count": 2},
    "split": {"test_share": 0.3},  # no tag is scored on fewer than ten songs
    "network": {"size": "tiny", "excerpt_seconds": 1.024, "excerpts": 2},
    "training": {"epochs": 20, "batch_size": 8, "excerpts_per_epoch": 2},
    "forest": {"trees": 20},
    "evaluation": {"resamples": 200, "worst_errors": 2, "excerpt_seconds": 1.0},
    "explanation": {"songs_per_class": 1, "excerpts": 1, "steps": 4, "randoms": 2},
    "gates": {"rounds": 2},
}

# A developer's own MLflow server is left alone: empty means the database in the project.
EMBEDDED = {"MLFLOW_TRACKING_URI": ""}

# What a project consists of, besides the files of the root itself.
_PARTS = ("src/", "flows/", "data/", "weights/", ".dvc/")


def make_project(folder: Path) -> Path:
    """The checkout's own files under git, tones and listening imported and in use; nothing has run yet."""
    root = folder / "project"
    root.mkdir()
    for name in git(CHECKOUT, "ls-files", "--cached", "--others", "--exclude-standard").splitlines():
        wanted = name.startswith(_PARTS) or "/" not in name
        if wanted and (CHECKOUT / name).is_file():  # git still lists what was taken away since the last commit
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
    listen(root, folder)
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "Tones and their listeners")
    return root


def listen(root: Path, folder: Path) -> None:
    """What people did with the tones: a snapshot under DVC, in use; its store lies in ``folder``, and is done with."""
    with Store(f"sqlite:///{folder}/feedback.db", name="small") as store:
        take(store, listening())
        write_snapshot(store, root / SNAPSHOTS / LISTENING)
    dvc.add(root, SNAPSHOTS / LISTENING)
    use(root, "feedback", "snapshot", LISTENING)


def listening() -> Iterator[Event]:
    """Twelve people who hear what is slow, twelve who hear what is fast, and some of what is steady both."""
    random = np.random.default_rng(0)
    for person in range(24):
        crowd = person % 2
        for style, heard in (("slow", crowd == 0), ("fast", crowd == 1), ("steady", True)):
            for index in range(PER_STYLE):
                if not heard or random.random() < 0.1 or (style == "steady" and index % 2 != crowd):
                    continue
                song = Song("radio", f"{style}/{index}", track_id=f"{style}/{index:02d}.wav")
                yield play(f"person {person}", NOON_US - person * DAY_US, song=song, ms_played=4_000)
                calm = float(random.random() < CALM[style])
                yield play(
                    f"person {person}", None, song=song, ms_played=None, kind="feeling", word="calmness", value=calm
                )


def tones(folder: Path) -> Path:
    """Three styles that differ in how fast their tone is struck."""
    for style, strokes_hz in STROKES_HZ.items():
        (folder / style).mkdir(parents=True)
        for index in range(PER_STYLE):
            sound = tone(index, strokes_hz)
            wavfile.write(folder / style / f"{index:02d}.wav", RATE_HZ, (sound * 32_000).astype(np.int16))
    return folder


def tone(index: int, strokes_hz: float) -> NDArray[np.float64]:
    """Four seconds; pitch, level and noise differ from ``index`` to ``index``."""
    time_s = np.arange(round(4.0 * RATE_HZ)) / RATE_HZ
    random = np.random.default_rng([index, round(strokes_hz)])
    sound = np.sin(2 * np.pi * random.uniform(200, 800) * time_s)
    sound *= np.exp(-6.0 * ((time_s * strokes_hz) % 1.0)) * random.uniform(0.2, 0.8)
    return np.asarray(sound + random.normal(0, 0.01, len(time_s)))


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
