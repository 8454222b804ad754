"""`earmark label`: a command for each streaming library."""

from pathlib import Path
from typing import Any

import click

from earmark.cli.fields import command_of, with_fields
from earmark.cli.project import project_of


class _Libraries(click.Group):
    """One command for each streaming library; made when asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        from earmark.catalogue.sources.libraries import library_names

        return library_names()

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        from earmark.catalogue.sources.libraries import library_names, load_library

        return _library_command(load_library(cmd_name)) if cmd_name in library_names() else None


@click.group(cls=_Libraries)
def label() -> None:
    """Bring names, ISRCs and genres from a streaming library to a collection's tracks; docs/labels.md tells more."""


def _library_command(cls: Any) -> click.Command:
    """`earmark label NAME [PATH]`: the library's own fields become argument and options."""

    @command_of(cls)
    @click.option("--collection", help="Whose tracks [default: the catalogue's in params.yaml].")
    @click.option("--overwrite", is_flag=True, help="Replace the genre of tracks that have one.")
    @click.pass_context
    def command(ctx: click.Context, /, collection: str | None, overwrite: bool, **fields: Any) -> None:
        _label(project_of(ctx), cls(**fields), collection, overwrite)

    return with_fields(command, cls)


def _label(root: Path, library: Any, collection: str | None, overwrite: bool) -> None:
    from earmark.adapters import dvc
    from earmark.catalogue.labels.labelling import label_collection
    from earmark.params import load_params

    collection = collection or load_params(root / "params.yaml").catalogue.collection
    result = label_collection(library, root, collection, overwrite=overwrite)
    dvc.add(root, result.folder)
    click.echo(result.summary())
