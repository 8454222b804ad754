"""`earmark stage`: what dvc.yaml calls.

Here the rooms are put together: a stage asks for a judge or a recorder, the command hands it the tool.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from earmark.cli.project import project_of


@click.group()
def stage() -> None:
    """One stage of dvc.yaml. `dvc repro` calls these; you rarely do."""


def _stage(name: str, run: Callable[[Any, Path], None], doc: str) -> None:
    @stage.command(name=name, help=doc)
    @click.pass_context
    def command(ctx: click.Context) -> None:
        from earmark.params import load_params

        root = project_of(ctx)
        run(load_params(root / "params.yaml"), root)


def _run_songbook(params: Any, root: Path) -> None:
    from earmark.stages import songbook

    songbook.run(params, root)


def _run_duplicates(params: Any, root: Path) -> None:
    from earmark.stages import duplicates

    duplicates.run(params, root)


def _run_validate(params: Any, root: Path) -> None:
    from earmark.adapters import expectations
    from earmark.stages import validate
    from earmark.workspace import EXPECTATIONS

    validate.run(params, root, judge=expectations.judging(root / EXPECTATIONS, params))


def _run_split(params: Any, root: Path) -> None:
    from earmark.stages import split

    split.run(params, root)


def _run_features(params: Any, root: Path) -> None:
    from earmark.stages import features

    features.run(params, root)


def _run_listeners(params: Any, root: Path) -> None:
    from earmark.stages import listeners

    listeners.run(params, root)


def _run_listening(params: Any, root: Path) -> None:
    from earmark.adapters.feedback_rules import judging_feedback
    from earmark.stages import listening
    from earmark.workspace import EXPECTATIONS

    listening.run(params, root, judge=judging_feedback(root / EXPECTATIONS, params))


def _run_silence(params: Any, root: Path) -> None:
    from earmark.stages import silence

    silence.run(params, root)


def _run_evidence(params: Any, root: Path) -> None:
    from earmark.stages import evidence

    evidence.run(params, root)


def _run_targets(params: Any, root: Path) -> None:
    from earmark.stages import targets

    targets.run(params, root)


def _run_categories(params: Any, root: Path) -> None:
    from earmark.stages import categories

    categories.run(params, root)


def _run_tags(params: Any, root: Path) -> None:
    from earmark.stages import tags

    tags.run(params, root)


def _run_train(params: Any, root: Path) -> None:
    from earmark.stages import train

    train.run(params, root)


def _run_train_forest(params: Any, root: Path) -> None:
    from earmark.stages import train_forest

    train_forest.run(params, root)


def _run_evaluate(params: Any, root: Path) -> None:
    from earmark.stages import evaluate

    evaluate.run(params, root)


def _run_record(params: Any, root: Path) -> None:
    from earmark.adapters import mlflow

    mlflow.record(params, root)


_stage("songbook", _run_songbook, "Render the embedded sample.")
_stage("duplicates", _run_duplicates, "Which tracks are copies of one recording.")
_stage("validate", _run_validate, "Great Expectations: what is fit to enter.")
_stage("split", _run_split, "Training, validation and test, by group.")
_stage("features", _run_features, "Log-mel spectrograms and descriptors.")
_stage("listeners", _run_listeners, "Made-up listeners of the songbook, and what they did.")
_stage("listening", _run_listening, "What they did, through the doors, as a snapshot.")
_stage("silence", _run_silence, "A snapshot without any events.")
_stage("evidence", _run_evidence, "What each listener did with each track.")
_stage("targets", _run_targets, "What each track is by its listeners.")
_stage("categories", _run_categories, "Categories of songs that listening reveals.")
_stage("tags", _run_tags, "What of the feedback the model learns.")
_stage("train", _run_train, "Train the network.")
_stage("train-forest", _run_train_forest, "Train the random forest.")
_stage("evaluate", _run_evaluate, "Score both on the same test tracks.")
_stage("record", _run_record, "Log both as MLflow runs.")
