"""The flow `training`: pull, every stage of DVC's graph, challenger, comparison, promotion, push.

    python flows/training.py          one run, now
    python flows/serve.py             stay, and run on the schedules of prefect.yaml (`earmark up` does this)
    prefect deploy --all              for a work pool of your own

dvc.yaml alone decides which stages there are and in which order; nothing about them stands here.
"""

from pathlib import Path

from prefect import flow, get_run_logger

from earmark.adapters.prefect import (
    compare_task,
    one_at_a_time,
    promote_task,
    publish,
    pull_task,
    push_task,
    register_task,
    run_pipeline,
)
from earmark.workspace import find_root


@flow(name="training", description="DVC's pipeline, then the registry: is the new model better than the champion?")
def training(
    root: Path = Path(),
    pull: bool = True,
    push: bool = True,
    registry: bool = True,
    stage_timeout_hours: float = 12.0,
) -> dict[str, str]:
    """Bring everything up to date, and the champion with it if the new model is really better.

    Args:
        root: The project, or a folder inside it.
        pull: First bring from DVC's remote what the workspace lacks.
        push: At the end copy to DVC's remote what it does not have.
        registry: Register the result as challenger, compare, promote. Without it the registry is left alone.
        stage_timeout_hours: What one stage, one pull or one push may take.

    Returns:
        What became of each stage: ``Completed``, ``Skipped`` or ``Cached``.
    """
    root = find_root(root)
    timeout_s = stage_timeout_hours * 3600
    get_run_logger().info("One run at a time works in %s", root)
    with one_at_a_time(root):
        if pull:
            pull_task(root, timeout_s)
        outcomes = run_pipeline(root, stage_timeout_s=timeout_s)
        verdict = None
        if registry:
            register_task(root)
            verdict = compare_task(root)
            promote_task(root, verdict)
        publish(root, outcomes, verdict)
        if push:
            push_task(root, timeout_s)
    return outcomes


if __name__ == "__main__":
    training()
