"""`earmark catalogue`: a collection's versions, and (`earmark.cli.reviewing`) its labels that look wrong."""

from pathlib import Path

import click

from earmark.cli.project import project_of
from earmark.cli.reviewing import correct, review


@click.group()
def catalogue() -> None:
    """A collection's versions (which tracks came, went or changed, by git commit), and its labels that look wrong."""


catalogue.add_command(review)
catalogue.add_command(correct)


_COLLECTION = click.option("--collection", help="Which one [default: the catalogue in params.yaml].")


def _collection(root: Path, name: str | None) -> str:
    from earmark.params import load_params

    return name or load_params(root / "params.yaml").catalogue.collection


@catalogue.command()
@_COLLECTION
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.pass_context
def log(ctx: click.Context, collection: str | None, as_json: bool) -> None:
    """The commits that changed a collection, newest first: +came −went ~changed (moved ones too), and the total."""
    from earmark.adapters import history

    root = project_of(ctx)
    for line in history.log(root, _collection(root, collection), as_json=as_json):
        click.echo(line)


@catalogue.command()
@click.argument("old", metavar="[A]", default="HEAD")
@click.argument("new", metavar="[B]", required=False)
@_COLLECTION
@click.option("--all", "whole", is_flag=True, help="Every track, not only the first of each kind.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line: each track that came, went or changed.")
@click.pass_context
def diff(ctx: click.Context, old: str, new: str | None, collection: str | None, whole: bool, as_json: bool) -> None:
    """Which tracks came, went or changed between the git revisions A [default: HEAD] and B [default: the workspace]."""
    from earmark.adapters import history

    root = project_of(ctx)
    for line in history.diff(root, _collection(root, collection), old, new, whole=whole, as_json=as_json):
        click.echo(line)
