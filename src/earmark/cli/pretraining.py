"""`earmark pretrain`: the network learns to hear before it is taught."""

import click

from earmark.cli.project import project_of


@click.command()
@click.option("--use", is_flag=True, help="Let training start from it: training.start_from in params.yaml.")
@click.pass_context
def pretrain(ctx: click.Context, use: bool) -> None:
    """Let the network learn to hear from all music of the collection, labelled or not, but that of the test side.

    It is a stage of data/dvc.yaml: `dvc repro` runs it by itself, while training starts from models/pretrained.
    """
    from earmark.adapters import dvc
    from earmark.catalogue.imports.using import use as write
    from earmark.workspace import PRETRAINED

    root = project_of(ctx)
    dvc.repro(root, "data/dvc.yaml:pretrain")
    if use:
        write(root, "training", "start_from", PRETRAINED.as_posix())
        click.echo(f"Training starts from {PRETRAINED} now; `dvc repro` trains.")
    else:
        click.echo(
            f"It is in {PRETRAINED}; training.start_from: {PRETRAINED} in params.yaml lets training start there."
        )
