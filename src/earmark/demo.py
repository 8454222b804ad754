"""`earmark demo`: the whole road once, for real, saying at each step what happens and where to look.

Servers, pipeline, registry, service, and a question: what does the champion say about a song it has never heard? What
was made stays; what was started is stopped. A second run finds the road built and asks again.
"""

import json
import re
import time
import urllib.error
import urllib.request
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from earmark.adapters import dvc, processes
from earmark.adapters.supervisor import Supervisor
from earmark.errors import ToolError
from earmark.files import read_json
from earmark.params import Params, load_params
from earmark.stack import Stack, only_one, show, stop_on_signals
from earmark.workspace import CATALOGUE, LOGS, METRICS, PARAMS, RUN, SPLITS

INTERRUPTED = 130


@dataclass(frozen=True)
class Song:
    """A song held out of training."""

    path: Path
    title: str
    genre: str


def demo(root: Path) -> int:
    """Go the road in ``root``; returns the exit code.

    Raises:
        EarmarkError: A step failed; the text says which and what helps.
    """
    start = time.monotonic()
    root = root.resolve()
    params = load_params(root / PARAMS)
    try:
        with stop_on_signals(), only_one(root), Supervisor(root) as supervisor:
            stack = Stack.on_free_ports(root)
            stands = _stands_already(params, root, stack, supervisor)
            if not stands:
                supervisor.stop()
                _train(root, stack, supervisor)
                _say(4, "The service", "BentoML serves the champion of the registry.")
                supervisor.start(stack.service(ready="readyz"))
            supervisor.wait_until_ready(on_ready=show)
            song = held_out_song(root)
            _say(4 if stands else 5, "The question", f"{song.title}, held out of training, is sent to POST /predict.")
            answer = ask(f"{stack.service().address}/predict", song.path)
            _show_answer(root, song, answer)
    except KeyboardInterrupt:
        click.echo(
            "\nInterrupted. What was started is stopped; what was made stays, and the next run goes on from there."
        )
        return INTERRUPTED
    click.echo(f"\nDone in {time.monotonic() - start:.0f} s; everything that was started is stopped.")
    click.echo("`make up` keeps it running: Prefect and its schedules, MLflow, the service.")
    return 0


def _stands_already(params: Params, root: Path, stack: Stack, supervisor: Supervisor) -> bool:
    """Whether the flow would change nothing, no stage and no alias; then the service is starting when this returns."""
    if not (root / RUN).is_file() or not dvc.is_current(root):
        return False
    _say(1, "The pipeline", "`dvc status`: every stage is up to date. Prefect is not needed for doing nothing.")
    _say(2, "The service", "BentoML serves the champion; it takes some seconds to start.")
    supervisor.start(stack.without_mlflow().service(ready="readyz"))
    from earmark.adapters import mlflow

    mlflow.register_challenger(params, root)  # finds what is registered already
    verdict = mlflow.compare(params, root)
    _say(3, "The registry", verdict.reason)
    return not verdict.promote


def held_out_song(root: Path) -> Song:
    """The first test song by track_id: not a lucky one, always the same one.

    Raises:
        ToolError: There is no test song.
    """
    import pandas as pd

    tracks = pd.read_parquet(root / CATALOGUE).set_index("track_id")
    splits = pd.read_parquet(root / SPLITS)
    held_out = sorted(splits.loc[splits["split"] == "test", "track_id"])
    if not held_out:
        raise ToolError(
            f"{SPLITS} has no test song, so there is nothing to ask about. Raise split.test_share in params.yaml."
        )
    track = tracks.loc[held_out[0]]
    title = track["title"] if isinstance(track["title"], str) else Path(held_out[0]).name
    return Song(root / str(track["path"]), title, str(track["genre"]))


def ask(url: str, path: Path) -> dict[str, Any]:
    """Send ``path`` as a browser's form would, and return the answer.

    Raises:
        ToolError: The service refuses, or cannot be reached.
    """
    boundary = uuid.uuid4().hex
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="song{path.suffix}"\r\n'
    head += "Content-Type: application/octet-stream\r\n\r\n"
    body = head.encode() + path.read_bytes() + f"\r\n--{boundary}--\r\n".encode()
    request = urllib.request.Request(url, body, {"Content-Type": f"multipart/form-data; boundary={boundary}"})
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # no proxy between a machine and itself
    try:
        with direct.open(request, timeout=120.0) as response:
            answer: dict[str, Any] = json.load(response)
            return answer
    except urllib.error.HTTPError as error:
        said = error.read().decode(errors="replace")
        raise ToolError(f"The service refuses {path.name} with {error.code}: {said}") from None
    except OSError as error:
        raise ToolError(f"The service at {url} does not answer: {error}. Its log: {LOGS}/service.log") from None


def _train(root: Path, stack: Stack, supervisor: Supervisor) -> None:
    _say(1, "The servers", "Prefect runs the flow, MLflow keeps what was tried. Open them while this runs:")
    supervisor.start(stack.prefect)
    supervisor.start(stack.mlflow)
    supervisor.wait_until_ready(on_ready=show)
    _say(
        2,
        "The flow `training`",
        "Every stage of DVC's graph as a task: songbook, validate, split, features, train, train_forest, evaluate, "
        "record; then challenger against champion on the same test tracks.",
    )
    command = [*processes.program("python"), str(root / "flows" / "training.py")]
    finished = processes.run(command, cwd=root, env=stack.env, on_line=_show_line)
    if finished.exit_code != 0:
        raise processes.failure(command, finished, "Mend what it says and repeat: what is done is not done again.")
    _say(
        3,
        "What was made",
        "Data and models: dvc.lock, data/, models/.  Scores: reports/ (`dvc metrics show`, `dvc plots show`).  "
        "Quality of the data: reports/data_docs.  Runs and versions: mlflow.db (`mlflow ui`).",
    )


def _say(number: int, title: str, text: str) -> None:
    click.echo(f"\n{number}. {title}\n   {text}")


_PREFECT_LINE = re.compile(r"[\d:.]+ \| (?P<level>\w+) +\| (?:Flow|Task) run '(?P<name>[^']*)' - (?P<text>.*)")

# Hints of the tools about what one might type next; the log files have them.
_HINTS = re.compile(
    r"To track the changes|\s*git add|To enable auto|\s*dvc config|Use `dvc push|(Upda|Genera)ting lock file|>"
)


def _show_line(line: str) -> None:
    """One line of the flow: the stage's name, then what it says."""
    if " INFO mlflow." in line:
        return
    told = _PREFECT_LINE.match(line)
    if told and _HINTS.match(told["text"]):
        return
    # data/dvc.yaml:songbook is long for a name; its end says enough.
    click.echo(f"   {told['name'].rpartition(':')[2]:<14.14} {told['text']}" if told else f"   {line}")


def _show_answer(root: Path, song: Song, answer: dict[str, Any]) -> None:
    model = answer["model"]
    best = answer["genres"][0]["genre"]
    click.echo(f"\n   {'style':<16} {'probability':>11}")
    for row in answer["genres"][:5]:
        note = "  <- what it is" if row["genre"] == song.genre else ""
        click.echo(f"   {row['genre']:<16} {row['probability']:>11.1%}{note}")
    verdict = "right" if best == song.genre else "wrong"
    click.echo(f"\n   It says {best}; it is {song.genre}: {verdict}.")
    click.echo(f"   Answered by version {model['version']} of {model['name']}, run {model['run_id']}.")
    scores = read_json(root / METRICS)
    for kind in ("network", "forest", "majority"):
        own = scores[kind]
        interval = f"[{own['accuracy_low']:.3f}, {own['accuracy_high']:.3f}]"
        click.echo(f"   Test accuracy, {kind:<9} {own['accuracy']:.3f} {interval}")
    click.echo(f"   ({scores['test_tracks']} test tracks of {scores['test_groups']} groups)")
