"""`earmark demo`: the whole road once, for real, saying at each step what happens and where to look.

Servers, pipeline, registry, service, and a question: what does the champion say about songs it has never heard? What
was made stays; what was started is stopped. A second run finds the road built and asks again.
"""

import json
import re
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten
from typing import Any

import click

from earmark.adapters import dvc, processes
from earmark.adapters.supervisor import Supervisor
from earmark.catalogue.reading import read_recording
from earmark.errors import ToolError
from earmark.files import read_json
from earmark.params import Params, load_params
from earmark.stack import Stack, only_one, show, stop_on_signals
from earmark.workspace import CATALOGUE, LOGS, METRICS, MODELS, PARAMS, RUN, SPLITS

INTERRUPTED = 130
SONGS = 8


@dataclass(frozen=True)
class Song:
    """A song held out of training."""

    audio: Path | bytes
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
            songs = held_out_songs(root)
            _say(
                4 if stands else 5,
                "The question",
                "What is this? The first song of each genre that was held out of training is sent to POST /predict.\n",
            )
            _show_answers(root, songs, [ask(f"{stack.service().address}/predict", song.audio) for song in songs])
    except KeyboardInterrupt:
        click.echo(
            "\nInterrupted. What was started is stopped; what was made stays, and the next run goes on from there."
        )
        return INTERRUPTED
    click.echo(f"\nDone in {time.monotonic() - start:.0f} s; everything that was started is stopped.")
    click.echo("`make up` keeps it running (Prefect and its schedules, MLflow, the service), for songs of your own.")
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


def held_out_songs(root: Path) -> list[Song]:
    """The first test song of each genre by track_id, at most `SONGS`: not the lucky ones, always the same ones.

    Raises:
        ToolError: There is no test song.
    """
    import pandas as pd

    splits = pd.read_parquet(root / SPLITS)
    test = splits[splits["split"] == "test"].sort_values("track_id").drop_duplicates("genre").head(SONGS)
    if test.empty:
        raise ToolError(
            f"{SPLITS} has no test song, so there is nothing to ask about. Raise split.test_share in params.yaml."
        )
    tracks = pd.read_parquet(root / CATALOGUE).set_index("track_id").loc[test["track_id"]]
    titles = [
        title if isinstance(title, str) else Path(name).name
        for title, name in zip(tracks["title"], tracks.index, strict=True)
    ]
    return [
        Song(read_recording(root, path, content_hash), title, genre)
        for path, content_hash, title, genre in zip(
            tracks["path"], tracks["content_hash"], titles, tracks["genre"], strict=True
        )
    ]


def ask(url: str, audio: Path | bytes) -> dict[str, Any]:
    """Send a recording as a browser's form would, and return the answer.

    Raises:
        ToolError: The service refuses, or cannot be reached.
    """
    boundary = uuid.uuid4().hex
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="song"\r\n'
    head += "Content-Type: application/octet-stream\r\n\r\n"
    content = audio if isinstance(audio, bytes) else audio.read_bytes()
    body = head.encode() + content + f"\r\n--{boundary}--\r\n".encode()
    request = urllib.request.Request(url, body, {"Content-Type": f"multipart/form-data; boundary={boundary}"})
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # no proxy between a machine and itself
    try:
        with direct.open(request, timeout=120.0) as response:
            answer: dict[str, Any] = json.load(response)
            return answer
    except urllib.error.HTTPError as error:
        said = error.read().decode(errors="replace")
        raise ToolError(f"The service refuses the song with {error.code}: {said}") from None
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
        "Every stage of DVC's graph as a task: the songbook and its listeners, duplicates, validate, split, features; "
        "what listeners did as evidence, targets, categories, tags; network, forest, machine and their blend; "
        "evaluate, importance, explain, review, report, export, record. Then challenger against champion on the same "
        "test tracks.",
    )
    command = [*processes.program("python"), str(root / "flows" / "training.py")]
    finished = processes.run(command, cwd=root, env=stack.env, on_line=_show_line)
    if finished.exit_code != 0:
        raise processes.failure(command, finished, "Mend what it says and repeat: what is done is not done again.")
    _say(
        3,
        "What was made",
        "Data and models: dvc.lock, data/, models/.  All on one page, to read and to listen: reports/report.html.  "
        "Scores: reports/ (`dvc metrics show`, `dvc plots show`).  "
        "Quality of the data: reports/data_docs.  Runs and versions: mlflow.db (`mlflow ui`).  "
        "What listening reveals: `earmark feedback categories`.",
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


def _show_answers(root: Path, songs: Sequence[Song], answers: Sequence[dict[str, Any]]) -> None:
    guesses = [[f"{row['genre']} {row['probability']:.0%}" for row in answer["genres"][:2]] for answer in answers]
    rows = [
        ["it is", "it says", "or else", "song"],
        *([song.genre, *guess, song.title] for song, guess in zip(songs, guesses, strict=True)),
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows:
        cells = "   ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False))
        click.echo(f"   {cells}   {shorten(row[3], 48, placeholder='…')}")
    right = sum(answer["genres"][0]["genre"] == song.genre for song, answer in zip(songs, answers, strict=True))
    scores, model = read_json(root / METRICS), answers[0]["model"]
    tested = f"{scores['test_tracks']} test tracks of {scores['test_groups']} groups"
    click.echo(f"\n   {right} of {len(songs)} right. So few prove nothing; accuracy on all {tested}:")
    for kind in (*MODELS, "majority"):
        own = scores[kind]
        click.echo(f"   {kind:<9} {own['accuracy']:.3f} [{own['accuracy_low']:.3f}, {own['accuracy_high']:.3f}]")
    click.echo(f"   Answered by version {model['version']} of {model['name']}, run {model['run_id']}.")
