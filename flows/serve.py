"""Stay, and run the flows on the schedules of prefect.yaml: `earmark up` does this.

One at a time: both work on the same files. A run that has to wait waits on the server, not as a process.
"""

import sys
from pathlib import Path
from typing import Any

import yaml
from prefect import serve

sys.path.insert(0, str(Path(__file__).parent))

from earmark.workspace import find_root
from feedback import feedback
from training import training

FLOWS: dict[str, Any] = {"training": training, "feedback": feedback}


def schedules(root: Path) -> dict[str, dict[str, Any]]:
    """Name, schedule and parameters of each flow's deployment, as prefect.yaml declares them for `prefect deploy`."""
    found = {}
    for declared in yaml.safe_load((root / "prefect.yaml").read_text(encoding="utf-8"))["deployments"]:
        flow = declared["entrypoint"].rpartition(":")[2]
        found[flow] = {
            "name": declared["name"],
            "cron": [one["cron"] for one in declared["schedules"]],
            "parameters": declared["parameters"],
        }
    return found


if __name__ == "__main__":
    declared = schedules(find_root())
    serve(*(FLOWS[name].to_deployment(**declared[name]) for name in declared), pause_on_shutdown=False, limit=1)
