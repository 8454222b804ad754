"""`earmark stage`: what dvc.yaml calls.

Here the rooms are put together: a stage asks for a judge, the command hands it the tool.
"""

from importlib import import_module
from pathlib import Path
from typing import Any

import click

from earmark.cli.project import project_of

_STAGES = {
    "songbook": "Render the embedded sample.",
    "listeners": "Made-up listeners of the songbook, and what they did.",
    "listening": "What they did, through the doors, as a snapshot.",
    "duplicates": "Which tracks are copies of one recording.",
    "validate": "Great Expectations: what is fit to enter.",
    "split": "Training, validation and test, by group.",
    "features": "Log-mel spectrograms and descriptors.",
    "evidence": "What each listener did with each track.",
    "targets": "What each track is by its listeners.",
    "categories": "Categories of songs that listening reveals.",
    "tags": "What of the feedback the model learns.",
    "pretrain": "Let the network learn to hear, without labels.",
    "train": "Train the network.",
    "train-forest": "Train the forest.",
    "train-machine": "Train the kernel machines.",
    "blend": "Weigh them into one model.",
    "evaluate": "Score all models on the same test tracks.",
    "importance": "What the forest listens to, and what selecting it would change.",
    "explain": "What the network listens to, and whether that is true.",
    "report": "All of it on one page, for people who know music.",
    "review": "Labels that look wrong, as a list to listen to.",
    "export": "The network as ONNX and as a program of torch.export.",
    "neighbours": "Similar songs, by what each model hears.",
    "examples": "A few songs to listen to, where they may be copied.",
    "record": "Log them as MLflow runs.",
}


@click.group()
def stage() -> None:
    """One stage of dvc.yaml. `dvc repro` calls these; you rarely do."""


def _command(name: str, doc: str) -> None:
    @stage.command(name=name, help=doc)
    @click.pass_context
    def command(ctx: click.Context) -> None:
        from earmark.params import load_params
        from earmark.workspace import share_features

        root = project_of(ctx)
        share_features(root)
        params = load_params(root / "params.yaml")
        if name == "record":
            from earmark.adapters import mlflow

            mlflow.record(params, root)
            return
        module = import_module(f"earmark.stages.{name.replace('-', '_')}")
        module.run(params, root, **_tools(name, params, root))


def _tools(name: str, params: Any, root: Path) -> dict[str, Any]:
    """What a stage asks for besides."""
    from earmark.workspace import EXPECTATIONS

    if name == "validate":
        from earmark.adapters.expectations import judging

        return {"judge": judging(root / EXPECTATIONS, params)}
    if name == "listening":
        from earmark.adapters.feedback_rules import judging_feedback

        return {"judge": judging_feedback(root / EXPECTATIONS, params)}
    return {}


for _name, _doc in _STAGES.items():
    _command(_name, _doc)
