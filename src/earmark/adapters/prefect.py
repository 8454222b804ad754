"""Prefect: when, how often again, one at a time, and who is told. What is done, DVC and the registry decide.

Tasks are thin: each calls one function of an adapter and streams its lines into Prefect's log. A stage is not tried
again, for the same inputs give the same failure; what goes over a network is.
"""

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect import get_client, get_run_logger, task
from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.objects import State
from prefect.concurrency.sync import concurrency
from prefect.exceptions import ObjectAlreadyExists
from prefect.runtime import flow_run
from prefect.states import Completed

from earmark.adapters import dvc
from earmark.adapters.dvc import StageOutcome
from earmark.adapters.lineage import FLOW_RUN
from earmark.files import read_json
from earmark.params import load_params
from earmark.workspace import METRICS, MODELS, PARAMS, RUN

if TYPE_CHECKING:
    from earmark.model.comparing.promotion import Verdict

_STATE_NAMES = {StageOutcome.RAN: "Completed", StageOutcome.SKIPPED: "Skipped", StageOutcome.CACHED: "Cached"}
_MEANINGS = {
    StageOutcome.RAN: "ran",
    StageOutcome.SKIPPED: "nothing it is made from has changed",
    StageOutcome.CACHED: "made before from the same: brought back from DVC's cache",
}

# A run that was killed gives its place back after this long; Prefect allows no shorter lease.
_LEASE = timedelta(seconds=60)
DELAYS_S: list[float] = [2, 15]  # a server that restarts, a network that hiccups


@contextmanager
def one_at_a_time(root: Path) -> Iterator[None]:
    """Wait until no other run works in ``root``, then keep the place to the end of the block.

    DVC's own locks keep its files whole in any case; this one keeps two runs from taking turns stage by stage, and from
    judging each other's challenger.
    """
    name = f"earmark-{hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:12]}"
    _make_limit(name)
    seconds = _LEASE.total_seconds()
    with concurrency(name, strict=True, lease_duration=seconds, raise_on_lease_renewal_failure=False):
        yield


def _make_limit(name: str) -> None:
    """See to it that ``name`` lets one in at a time: a limit that does not exist would hold nobody."""
    with get_client(sync_client=True) as client, suppress(ObjectAlreadyExists):  # made by another run just now
        client.upsert_global_concurrency_limit_by_name(name, limit=1)


def run_pipeline(root: Path, *, stage_timeout_s: float) -> dict[str, str]:
    """Run every stage of DVC's graph, each as a task of its own; the first failure ends it.

    Returns:
        What became of each stage: ``Completed``, ``Skipped`` or ``Cached``, in the order in which they ran.

    Raises:
        TimedOut: A stage took longer than ``stage_timeout_s``.
        ToolError: A stage failed.
    """
    done: dict[str, State[Any]] = {}
    for stage in dvc.graph(root):
        needs = [done[name] for name in stage.needs]
        state = stage_task(root, stage.name, stage_timeout_s, wait_for=needs, return_state=True)
        state.result()
        done[stage.name] = state
    return {name: str(state.name) for name, state in done.items()}


@task(name="stage", task_run_name="{name}")
def stage_task(root: Path, name: str, timeout_s: float) -> State[str]:
    """One stage of dvc.yaml; its state is named after what DVC did about it."""
    env = {FLOW_RUN: flow_run.id} if flow_run.id else {}  # a served flow has it already, one that was called has not
    outcome = dvc.run_stage(root, name, on_line=get_run_logger().info, timeout_s=timeout_s, env=env)
    return Completed(name=_STATE_NAMES[outcome], message=f"{name}: {_MEANINGS[outcome]}", data=outcome.value)


@task(name="register", retries=2, retry_delay_seconds=DELAYS_S)
def register_task(root: Path) -> str:
    """Register what the pipeline made as the challenger. Returns its version."""
    from earmark.adapters import mlflow

    version = mlflow.register_challenger(load_params(root / PARAMS), root)
    get_run_logger().info("The challenger is version %s", version)
    return version


@task(name="compare", retries=2, retry_delay_seconds=DELAYS_S)
def compare_task(root: Path) -> "Verdict":
    """Challenger and champion on the same test tracks."""
    from earmark.adapters import mlflow

    verdict = mlflow.compare(load_params(root / PARAMS), root)
    get_run_logger().info(verdict.reason)
    return verdict


@task(name="promote", retries=2, retry_delay_seconds=DELAYS_S)
def promote_task(root: Path, verdict: "Verdict") -> State[bool]:
    """Make the challenger the champion where the verdict says so; else the state is named ``Kept``."""
    from earmark.adapters import mlflow

    if not verdict.promote:
        return Completed(name="Kept", message=verdict.reason, data=False)
    mlflow.promote(load_params(root / PARAMS), root, verdict.challenger, verdict)
    return Completed(name="Promoted", message=verdict.reason, data=True)


def publish(root: Path, outcomes: Mapping[str, str], verdict: "Verdict | None") -> None:
    """Leave the run's scores and verdict as a Markdown artefact, with links to MLflow."""
    create_markdown_artifact(
        key="training", description="Scores and verdict of a training run", markdown=markdown(root, outcomes, verdict)
    )


def markdown(root: Path, outcomes: Mapping[str, str], verdict: "Verdict | None") -> str:
    """The artefact's text: verdict and gates, scores with intervals where there are any, what became of each stage."""
    from earmark.model.comparing.report import as_markdown, gate_table

    parts = ["# Training"]
    if verdict is not None:
        parts += [f"**{'Promoted' if verdict.promote else 'Kept the champion'}.** {verdict.reason}"]
        parts += [as_markdown(gate_table(verdict.gates))] if verdict.gates else []
        parts += [f"Warning: {warning}" for warning in verdict.warnings]
    if (root / METRICS).is_file():
        scores = read_json(root / METRICS)
        kinds = [kind for kind in (*MODELS, "majority") if kind in scores]
        parts += [
            _table(["model", "accuracy", "macro-F1", "MLflow"], [_score_row(root, kind, scores) for kind in kinds])
        ]
    parts += [_table(["stage", "outcome"], [[name, outcome] for name, outcome in outcomes.items()])]
    return "\n\n".join(parts) + "\n"


def _score_row(root: Path, kind: str, scores: Mapping[str, Any]) -> list[str]:
    own = scores[kind]
    cells = [
        f"{own[name]:.3f} [{own[f'{name}_low']:.3f}, {own[f'{name}_high']:.3f}]" for name in ("accuracy", "f1_macro")
    ]
    return [kind, *cells, _run_link(root, kind)]


def _run_link(root: Path, kind: str) -> str:
    recorded = read_json(root / RUN) if (root / RUN).is_file() else {}
    if kind not in recorded:
        return ""
    run_id, server = recorded[kind]["run_id"], os.environ.get("MLFLOW_TRACKING_URI", "")
    if not server.startswith("http"):
        return f"run `{run_id}` (`mlflow ui` shows it)"
    return f"[run {run_id[:8]}]({server}/#/experiments/{recorded['experiment_id']}/runs/{run_id})"


def _table(header: list[str], rows: list[list[str]]) -> str:
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [header, ["---"] * len(header), *rows])


@task(name="pull", retries=2, retry_delay_seconds=DELAYS_S)
def pull_task(root: Path, timeout_s: float) -> None:
    """Bring from DVC's remote what the workspace lacks."""
    dvc.pull(root, on_line=get_run_logger().info, timeout_s=timeout_s)


@task(name="push", retries=2, retry_delay_seconds=DELAYS_S)
def push_task(root: Path, timeout_s: float) -> None:
    """Copy to DVC's remote what it does not have yet."""
    dvc.push(root, on_line=get_run_logger().info, timeout_s=timeout_s)
