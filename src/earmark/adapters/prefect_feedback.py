"""Prefect's tasks for feedback: one for each export in the watched folder, then validate, snapshot, version, train."""

import re
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

from prefect import get_run_logger, task
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.client.schemas.objects import FlowRun, State
from prefect.states import Completed

from earmark.adapters import dvc
from earmark.adapters.prefect import DELAYS_S
from earmark.errors import EarmarkError, FeedbackError
from earmark.feedback.collecting import importer
from earmark.feedback.inbox import Waiting
from earmark.feedback.judged import Judge
from earmark.feedback.report import counted
from earmark.feedback.snapshot import Written, changed_days, write_snapshot
from earmark.feedback.store import Store
from earmark.files import read_json, sha256_of, write_json
from earmark.params import load_params
from earmark.workspace import (
    EVIDENCE_SUMMARY,
    EXPECTATIONS,
    LISTENING,
    PARAMS,
    REFUSED_FEEDBACK,
    SNAPSHOTS,
    TRAINED_WITH,
)


@dataclass(frozen=True)
class Changed:
    """How much the feedback has changed since a training was last started because of it.

    Attributes:
        before: Events of tracks then, flagged ones left out; 0 where none was.
        now: Events of tracks now, likewise.
    """

    before: int
    now: int

    @property
    def share(self) -> float:
        """Change, as a share of what there was."""
        return abs(self.now - self.before) / max(self.before, 1)


@task(name="collect", task_run_name="collect {waiting.shown}", retries=1, retry_delay_seconds=DELAYS_S[0])
def collect_task(root: Path, waiting: Waiting) -> dict[str, Any]:
    """One export of the watched folder into the store. Returns what was counted."""
    logger = get_run_logger()
    refusals = root / REFUSED_FEEDBACK / f"{waiting.shown.replace('/', '-')}.csv"
    try:
        with Store.of(root) as store:
            whose = "a folder listener=NAME around it"
            params = load_params(root / PARAMS)
            door = importer(root, params, store, _judge(root), listener=waiting.listener, whose=whose)
            result = door.run(waiting.source(), refusals)
    except Exception as error:
        if waiting.listener is None and not isinstance(error, EarmarkError):
            raise
        # Errors name paths, and Prefect keeps and shows them with all that they were raised from.
        text = str(error) if isinstance(error, EarmarkError) else repr(error)
        raise FeedbackError(_without_names(text, waiting)) from None
    logger.info("%s read, %d taken, %s new", counted(result.rows, "row"), result.told, counted(result.new, "event"))
    for reason, count in result.refused.most_common():
        logger.info("%s refused: %s", counted(count, "row"), reason)
    return result.counts()


def _without_names(text: str, waiting: Waiting) -> str:
    """``text`` without the listener's name; where nobody says whose an export is, its own name may be a person's."""
    if waiting.listener is not None:
        return waiting.without_name(text)
    return re.sub(rf"(?<!\w){re.escape(waiting.path.name)}(?!\w)", waiting.shown, text)


@task(name="validate", task_run_name="validate", retries=1, retry_delay_seconds=DELAYS_S[0])
def validate_task(root: Path) -> dict[str, int]:
    """Judge every listener's days that have changed since the last snapshot, whoever brought the events."""
    flagged: Counter[str] = Counter()
    with Store.of(root) as store:
        door = importer(root, load_params(root / PARAMS), store, _judge(root))
        door.flag(changed_days(store, root / SNAPSHOTS / LISTENING), flagged)
    for rule, count in flagged.most_common():
        get_run_logger().info("%s of a listener: %s", counted(count, "day"), rule)
    return dict(flagged)


@task(name="snapshot", task_run_name="snapshot", retries=1, retry_delay_seconds=DELAYS_S[0])
def snapshot_task(root: Path) -> State[Written]:
    """The store's snapshot brought up to date; the state is named ``Unchanged`` where nothing had to be written.

    ``Empty``: nothing was ever in this store. Then it has no snapshot, and one that lies there is another store's.
    """
    with Store.of(root) as store:
        if not store.day_versions():
            return Completed(name="Empty", message="Nobody has listened yet", data=Written(0, 0, 0))
        written = write_snapshot(store, root / SNAPSHOTS / LISTENING)
    changed_files = counted(written.changed, "file")
    text = f"{counted(written.days, 'day')}, {changed_files} new or changed, {written.removed} gone"
    get_run_logger().info(text)
    changed = bool(written.changed or written.removed)
    return Completed(name="Completed" if changed else "Unchanged", message=text, data=written)


@task(name="version", task_run_name="version")
def version_task(root: Path) -> None:
    """The snapshot into DVC's care, and into use."""
    from earmark.catalogue.imports.using import use

    dvc.add(root, SNAPSHOTS / LISTENING)
    use(root, "feedback", "snapshot", LISTENING)


def changed_since_training(root: Path) -> Changed:
    """What `TRAINED_WITH` remembers, beside what the stage `evidence` has counted."""
    before = read_json(root / TRAINED_WITH)["events_of_tracks"] if (root / TRAINED_WITH).is_file() else 0
    told = read_json(root / EVIDENCE_SUMMARY)
    return Changed(before, told["events_of_tracks"] - told["events_flagged"])


@task(name="start training", task_run_name="start training", retries=2, retry_delay_seconds=DELAYS_S)
def train_task(root: Path, changed: Changed, deployment: str) -> State[str]:
    """Ask for a run of the flow `training`; it begins when this one has ended. ``Missing``: nobody serves that flow."""
    from prefect.deployments import run_deployment
    from prefect.exceptions import ObjectNotFound

    # Asked for again after a kill or a lost answer, the same change is the same run.
    key = f"{dvc.data_hash(root, SNAPSHOTS / LISTENING)} {changed.before} {changed.now}"
    try:
        run = cast(FlowRun, run_deployment(deployment, timeout=0, as_subflow=False, idempotency_key=key))
    except ObjectNotFound:
        text = f"There is no deployment {deployment}; `earmark up` serves it. Train by hand: python flows/training.py"
        get_run_logger().warning(text)
        return Completed(name="Missing", message=text, data="")
    write_json(root / TRAINED_WITH, {"events_of_tracks": changed.now, "flow_run": str(run.id), "at": time.time()})
    get_run_logger().info("Flow run %s was asked for: events of tracks %d → %d", run.id, changed.before, changed.now)
    return Completed(name="Started", message=str(run.id), data=str(run.id))


def publish(
    collected: Mapping[str, dict[str, Any]],
    failed: Mapping[str, str],
    flagged: Mapping[str, int],
    changed: Changed | None,
) -> None:
    """Leave tables of what came in, of what was refused and why, and of who was flagged, as artefacts of the run."""
    rows = [
        {
            "export": name,
            "rows": counts["rows"],
            "taken": counts["told"],
            "refused": sum(counts["refused"].values()),
            "events": counts["events"],
            "new": counts["new"],
            "of tracks": counts["of_tracks"],
            "files": counts["parts"],
            "files known": counts["before"],
        }
        for name, counts in collected.items()
    ]
    create_table_artifact(key="feedback-collected", table=rows, description="What came in")
    refused = [
        {"export": name, "reason": reason, "rows": count}
        for name, counts in collected.items()
        for reason, count in sorted(counts["refused"].items(), key=lambda item: -item[1])
    ]
    create_table_artifact(key="feedback-refused", table=refused, description="What was refused, and why")
    create_markdown_artifact(
        key="feedback", description="A run of feedback", markdown=_markdown(rows, failed, flagged, changed)
    )


def _markdown(
    rows: list[dict[str, Any]], failed: Mapping[str, str], flagged: Mapping[str, int], changed: Changed | None
) -> str:
    new = sum(row["new"] for row in rows)
    lines = ["# Feedback", f"{counted(new, 'new event')} from {counted(len(rows), 'export')}."]
    lines += [f"- **{name} failed**: {text}" for name, text in failed.items()]
    lines += [f"- flagged: {counted(count, 'day')} of a listener: {rule}" for rule, count in flagged.items()]
    if changed is not None:
        lines.append(
            f"Events of tracks: {changed.now:,}; {changed.before:,} when a training was last started because of them."
        )
    return "\n\n".join(lines[:2]) + "\n\n" + "\n".join(lines[2:]) + "\n"


def _judge(root: Path) -> Judge:
    return _judge_by(root, sha256_of(root / EXPECTATIONS), sha256_of(root / PARAMS))


@lru_cache(maxsize=4)
def _judge_by(root: Path, rules: str, params: str) -> Judge:
    """Great Expectations takes seconds to come; one judge does for all tasks of a run."""
    from earmark.adapters.feedback_rules import judging_feedback

    return judging_feedback(root / EXPECTATIONS, load_params(root / PARAMS))
