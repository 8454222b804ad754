"""Stay, and run the flows on the schedules of prefect.yaml: `earmark up` does this.

One at a time: both work on the same files. A run that has to wait waits on the server, not as a process.
"""

import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import yaml
from prefect import serve
from prefect.schedules import Schedule

sys.path.insert(0, str(Path(__file__).parent))

from earmark.workspace import find_root
from feedback import feedback
from training import training

FLOWS: dict[str, Any] = {"training": training, "feedback": feedback}


def deployments(root: Path) -> list[Any]:
    """The deployments that prefect.yaml declares for `prefect deploy`, as this process serves them."""
    declared = yaml.safe_load((root / "prefect.yaml").read_text(encoding="utf-8"))["deployments"]
    return [
        FLOWS[one["entrypoint"].rpartition(":")[2]].to_deployment(
            one["name"],
            schedules=[schedule(**each) for each in one.get("schedules", [])],
            **{name: one.get(name) for name in ("parameters", "description", "tags")},
        )
        for one in declared
    ]


def schedule(*, interval: float | None = None, **declared: Any) -> Schedule:
    """A schedule of prefect.yaml: ``cron``, ``rrule``, or ``interval`` in seconds, and what else goes with it."""
    return Schedule(interval=None if interval is None else timedelta(seconds=interval), **declared)


if __name__ == "__main__":
    serve(*deployments(find_root()), pause_on_shutdown=False, limit=1)
