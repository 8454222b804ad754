"""The flow `feedback`: collect → validate → snapshot → DVC → targets; and a training, if enough has changed.

    python flows/feedback.py          one run, now
    python flows/serve.py             stay, and run on the schedules of prefect.yaml (`earmark up` does this)

Collected is what lies in the watched folder (see `earmark.feedback.inbox`); what came into the store by another way,
from the service, say, is validated and snapshotted like it. An export that cannot be read stops no other one: the rest
is done, and then the run fails, with its name.
"""

from pathlib import Path
from typing import Any, cast

from prefect import flow, get_run_logger
from prefect.client.schemas.objects import State

from earmark.adapters import dvc
from earmark.adapters.prefect import one_at_a_time, pull_task, push_task, stage_task
from earmark.adapters.prefect_feedback import (
    Changed,
    changed_since_training,
    collect_task,
    publish,
    snapshot_task,
    train_task,
    validate_task,
    version_task,
)
from earmark.errors import FeedbackError
from earmark.feedback.inbox import waiting
from earmark.feedback.snapshot import Written
from earmark.params import load_params
from earmark.workspace import CATALOGUE, PARAMS, find_root

TARGETS = ("categories", "targets")


@flow(name="feedback", description="What listeners did: collected, validated, versioned, and turned into targets.")
def feedback(
    root: Path = Path(),
    inbox: Path = Path("inbox"),
    pull: bool = False,
    push: bool = False,
    train: bool = True,
    training: str = "training/nightly",
    stage_timeout_hours: float = 4.0,
) -> dict[str, int]:
    """Bring the store, its snapshot and what is made of it up to date.

    Args:
        root: The project, or a folder inside it.
        inbox: The watched folder, seen from the project.
        pull: First bring from DVC's remote what the workspace lacks.
        push: At the end copy to DVC's remote what it does not have.
        train: Start a training if enough has changed, see ``feedback.retrain_share`` in params.yaml.
        training: The deployment that trains.
        stage_timeout_hours: What one stage may take.

    Returns:
        How many events were new, by export.

    Raises:
        FeedbackError: An export could not be read; all others were.
    """
    root = find_root(root)
    timeout_s = stage_timeout_hours * 3600
    collected: dict[str, dict[str, Any]] = {}
    failed: dict[str, str] = {}
    flagged: dict[str, int] = {}
    changed = None
    with one_at_a_time(root):
        if pull:
            pull_task(root, timeout_s)
        try:
            for each in waiting(root / inbox):
                state = collect_task(root, each, return_state=True)
                if state.is_completed():
                    collected[each.shown] = state.result()
                else:
                    failed[each.shown] = str(state.result(raise_on_failure=False))
            flagged = validate_task(root)
            snapshot = cast(State[Written], snapshot_task(root, return_state=True))
            snapshot.result()
            if snapshot.name != "Empty":
                version_task(root)
                changed = _make_targets(root, timeout_s)
            if changed and train and changed.share >= load_params(root / PARAMS).feedback.retrain_share:
                train_task(root, changed, training)
        finally:  # whatever fails: what came in will be known the next time, and is told now or never
            publish(collected, failed, flagged, changed)
        if push:
            push_task(root, timeout_s)
    if failed:
        raise FeedbackError(f"These exports could not be read: {'; '.join(map(': '.join, failed.items()))}")
    return {name: counts["new"] for name, counts in collected.items()}


def _make_targets(root: Path, timeout_s: float) -> Changed | None:
    """Run the stages up to `TARGETS`; None where there is no catalogue yet."""
    if not (root / CATALOGUE).is_file():
        get_run_logger().info("There is no catalogue yet, so there are no targets: dvc repro")
        return None
    for stage in dvc.graph_of(root, *TARGETS):
        stage_task(root, stage, timeout_s)
    return changed_since_training(root)


if __name__ == "__main__":
    feedback()
