"""`earmark weights`: what others trained, brought into the project."""

from pathlib import Path

import click

from earmark.cli.project import project_of


@click.group()
def weights() -> None:
    """Bring models that others trained, for small catalogues to stand on; docs/weights.md tells more."""


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
