"""What the tests of the flows ask the Prefect server, and this machine."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prefect import get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterDeploymentId,
    FlowRunFilterId,
    LogFilter,
    LogFilterFlowRunId,
)
from prefect.client.schemas.objects import FlowRun, TaskRun


class Watched:
    """What the server knows about one flow run."""

    def __init__(self, run_id: object) -> None:
        self.run_id = run_id

    @property
    def run(self) -> FlowRun:
        with get_client(sync_client=True) as client:
            return client.read_flow_run(self.run_id)

    @property
    def tasks(self) -> dict[str, TaskRun]:
        with get_client(sync_client=True) as client:
            runs = client.read_task_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[self.run_id])))
        return {run.name: run for run in runs}

    def state_names(self) -> dict[str, str]:
        return {name: run.state_name or "" for name, run in self.tasks.items()}

    def log(self) -> list[str]:
        with get_client(sync_client=True) as client:
            logs = client.read_logs(LogFilter(flow_run_id=LogFilterFlowRunId(any_=[self.run_id])))
        return [log.message for log in sorted(logs, key=lambda log: log.timestamp)]


def runs_of(deployment_id: object) -> list[FlowRun]:
    """The flow runs of a deployment."""
    mine = FlowRunFilter(deployment_id=FlowRunFilterDeploymentId(any_=[deployment_id]))
    with get_client(sync_client=True) as client:
        return client.read_flow_runs(flow_run_filter=mine)


def wait_for(condition: Callable[[], Any], seconds: float) -> Any:
    """The first true value of ``condition``, or its last value after ``seconds``."""
    end = time.monotonic() + seconds
    while not (value := condition()) and time.monotonic() < end:
        time.sleep(0.3)
    return value


def running(command: str) -> list[int]:
    """Processes whose command line is ``command``."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode(errors="replace").replace("\0", " ").strip()
        except OSError:
            continue
        if words == command:
            found.append(int(path.parent.name))
    return found
