"""Prefect: when, how often again, one at a time, and who is told. What is done, DVC and the registry decide.

Tasks are thin: each calls one function of an adapter and streams its lines into Prefect's log. A stage is not tried
again, for the same inputs give the same failure; what goes over a network is.
"""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from prefect import get_client, get_run_logger, task
from prefect.client.schemas.objects import State
from prefect.concurrency.sync import concurrency
from prefect.states import Completed

from earmark.adapters import dvc
from earmark.adapters.dvc import StageOutcome

_STATE_NAMES = {StageOutcome.RAN: "Completed", StageOutcome.SKIPPED: "Skipped", StageOutcome.CACHED: "Cached"}
_MEANINGS = {
    StageOutcome.RAN: "ran",
    StageOutcome.SKIPPED: "nothing it is made from has changed",
    StageOutcome.CACHED: "made before from the same: brought back from DVC's cache",
}

# A run that was killed gives its place back after this long; Prefect allows no shorter lease.
_LEASE = timedelta(seconds=60)
_NETWORK: Mapping[str, Any] = {"retries": 2, "retry_delay_seconds": [2, 15]}


@contextmanager
def one_at_a_time(root: Path) -> Iterator[None]:
    """Wait until no other run works in ``root``, then keep the place to the end of the block.

    DVC's own locks keep its files whole in any case; this one keeps two runs from taking turns stage by stage, and from
    judging each other's challenger.
    """
    name = f"earmark-{hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:12]}"
    with get_client(sync_client=True) as client:
        client.upsert_global_concurrency_limit_by_name(name, limit=1)  # a limit that does not exist would hold nobody
    seconds = _LEASE.total_seconds()
    with concurrency(name, strict=True, lease_duration=seconds, raise_on_lease_renewal_failure=False):
        yield


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
def stage_task(root: Path, name: str, timeout_s: float) -> Any:
    """One stage of dvc.yaml; its state is named after what DVC did about it."""
    outcome = dvc.run_stage(root, name, on_line=get_run_logger().info, timeout_s=timeout_s)
    return Completed(name=_STATE_NAMES[outcome], message=f"{name}: {_MEANINGS[outcome]}", data=outcome.value)


@task(name="pull", **_NETWORK)
def pull_task(root: Path, timeout_s: float) -> None:
    """Bring from DVC's remote what the workspace lacks."""
    dvc.pull(root, on_line=get_run_logger().info, timeout_s=timeout_s)


@task(name="push", **_NETWORK)
def push_task(root: Path, timeout_s: float) -> None:
    """Copy to DVC's remote what it does not have yet."""
    dvc.push(root, on_line=get_run_logger().info, timeout_s=timeout_s)
