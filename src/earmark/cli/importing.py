"""`earmark import`: a command for each source."""

from pathlib import Path
from typing import Any

import click

from earmark.cli.fields import command_of, with_fields
from earmark.cli.project import project_of
from earmark.errors import CatalogueError, EarmarkError
from earmark.workspace import SONGBOOK


class _Sources(click.Group):
    """One command for each source, earmark's own and those that packages add; made when asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        from earmark.catalogue.sources.registry import source_names

        return sorted([*super().list_commands(ctx), *source_names()])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        from earmark.catalogue.sources.registry import load_source, source_names

        if cmd_name not in source_names():
            return super().get_command(ctx, cmd_name)
        try:
            return _source_command(load_source(cmd_name))
        except CatalogueError as error:
            return unusable(cmd_name, error)


@click.group(name="import", cls=_Sources)
def import_() -> None:
    """Bring a collection into data/collections/, with every file taken or refused with a reason."""


_NAME = click.option("--name", help="The collection's name; importing again into the same name adds to it.")
_PRUNE = click.option(
    "--prune", is_flag=True, help="Take out what earlier imports from this source brought and PATH lacks."
)
_USE = click.option("--use/--no-use", default=True, help="Make it the catalogue in params.yaml.", show_default=True)


def _source_command(cls: Any) -> click.Command:
    """`earmark import NAME PATH`: the source's own fields become options."""
    from earmark.catalogue.imports.storing import STORES

    @command_of(cls)
    @_NAME
    @click.option(
        "--store",
        type=click.Choice(STORES),
        default="auto",
        show_default=True,
        help="Copy the audio as files, pack it into archives (auto: above 1,000 files), or leave it outside.",
    )
    @_PRUNE
    @_USE
    @click.pass_context
    def command(ctx: click.Context, /, name: str | None, store: Any, prune: bool, use: bool, **fields: Any) -> None:
        _import(project_of(ctx), cls(**fields), name, store, prune, use)

    return with_fields(command, cls)


def unusable(name: str, error: EarmarkError) -> click.Command:
    """In place of a package's source that cannot be loaded: it is listed, the others work, using it is the error."""

    def fail(**_: Any) -> None:
        raise error

    words = click.Argument(["words"], nargs=-1)
    anything = {"ignore_unknown_options": True}
    return click.Command(name, anything, fail, [words], help=str(error), short_help="cannot be used: see its --help")


@import_.command()
@_USE
@click.pass_context
def songbook(ctx: click.Context, use: bool) -> None:
    """The embedded sample: scores of music21's corpus, rendered on this machine."""
    from earmark.adapters import dvc
    from earmark.catalogue.imports.using import use_collection

    root = project_of(ctx)
    dvc.repro(root, "data/dvc.yaml:songbook")
    if use:
        use_collection(root, SONGBOOK)


def _import(root: Path, source: Any, name: str | None, store: Any, prune: bool, use: bool) -> None:
    from earmark.adapters import dvc
    from earmark.catalogue.imports.importing import import_collection
    from earmark.catalogue.imports.using import use_collection
    from earmark.params import load_params

    dvc.check_project(root)
    result = import_collection(source, root, load_params(root / "params.yaml"), name=name, store=store, prune=prune)
    dvc.add(root, result.folder)
    if use:
        use_collection(root, result.name)
    click.echo(result.summary())
