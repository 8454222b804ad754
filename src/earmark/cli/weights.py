"""`earmark weights`: what others trained, or what was trained before, brought into the project."""

import os
import sys
from pathlib import Path

import click

from earmark.cli.project import project_of


@click.group()
def weights() -> None:
    """Bring models that were trained elsewhere, for small catalogues to stand on; docs/weights.md tells more."""


@weights.command(name="import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--to",
    "folder",
    type=click.Path(path_type=Path),
    default=Path("weights/musicnn"),
    show_default=True,
    help="A folder, in the project if it is no absolute path.",
)
@click.pass_context
def import_(ctx: click.Context, file: Path, folder: Path) -> None:
    """Take the weights of musicnn out of FILE, its published wheel.

    `pip download musicnn==0.1.0 --no-deps` brings it; it need not be installed.
    """
    from earmark.model.encoders.published import from_wheel

    target = project_of(ctx) / folder
    encoder = from_wheel(file)
    encoder.save(target)
    click.echo(
        f"{encoder.kind} {encoder.digest} is in {folder}: {encoder.dims} numbers for each song. Keep it with "
        f"`dvc add {folder}`, let the models stand on it with machine.encoder: {folder} in params.yaml, "
        "and train with `dvc repro`."
    )


@weights.command()
@click.argument("name")
@click.option(
    "--to",
    "folder",
    required=True,
    type=click.Path(path_type=Path),
    help="A folder, in the project if it is no absolute path: weights/before.",
)
@click.pass_context
def fetch(ctx: click.Context, name: str, folder: Path) -> None:
    """Fetch a model of the registry, for training on another catalogue to start from.

    NAME is a version (3), an alias (champion), a run's id or name, or a predictor's folder, as `earmark compare` takes
    them. The registry of another project is asked where MLFLOW_TRACKING_URI names it.
    """
    from earmark.adapters.fetching import fetch_weights
    from earmark.params import load_params

    if sys.stderr.isatty():  # MLflow's own bar
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "true")
    root = project_of(ctx)
    params = load_params(root / "params.yaml")
    found = fetch_weights(params, root, name, root / folder, say=lambda line: click.echo(line, err=True))
    click.echo(
        f"{found.title}, a {found.kind}, is in {folder}: {found.size / 1e6:.1f} MB, trained on {found.known} "
        f"recordings. Keep it with `dvc add {folder}`."
    )
    if found.network:
        click.echo(f"training.start_from: {folder} in params.yaml lets the network start from it;")
    click.echo(f"machine.encoder: {folder} lets the kernel machines stand on what it hears. Then `dvc repro`.")
