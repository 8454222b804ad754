"""The command `earmark`. Heavy imports wait inside each command, so that `earmark --help` answers at once.

Here, and only here, the rooms are put together: a stage asks for a judge or a recorder, the command hands it the tool.
"""

import dataclasses
import sys
import typing
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click

from earmark.errors import CatalogueError, EarmarkError


class _Commands(click.Group):
    """A group whose deliberate errors end with their text and exit code instead of a stack trace."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except EarmarkError as error:
            click.echo(f"earmark: {error}", err=True)
            sys.exit(error.exit_code)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("earmark"), prog_name="earmark")
@click.option("--root", type=click.Path(path_type=Path), help="The project [default: the nearest with a params.yaml].")
@click.pass_context
def main(ctx: click.Context, root: Path | None) -> None:
    """Evaluates musical works: learnt from your catalogue and your listeners.

    Bring music with `earmark import`, train with `dvc repro`, ask with `earmark predict`,
    keep everything running with `earmark up`.
    """
    ctx.obj = root


def _root(ctx: click.Context) -> Path:
    from earmark.workspace import find_root

    return find_root(ctx.obj)


# ---------------------------------------------------------------------------------------------------- import


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
            return _unusable(cmd_name, error)


@main.group(name="import", cls=_Sources)
def import_() -> None:
    """Bring a collection into data/collections/, with every file taken or refused with a reason."""


_NAME = click.option("--name", help="The collection's name; importing again into the same name adds to it.")
_USE = click.option("--use/--no-use", default=True, help="Make it the catalogue in params.yaml.", show_default=True)


_STORE = click.option(
    "--store",
    type=click.Choice(["auto", "files", "archives", "outside"]),
    default="auto",
    show_default=True,
    help="Copy the audio as files, pack it into archives (auto: above 1,000 files), or leave it outside.",
)


class _Place(click.ParamType):  # type: ignore[type-arg]  # only newer versions of click have an argument here
    """A path; or an address (s3://bucket/music) as the text it is, where the source reads addresses."""

    name = "path"

    def __init__(self, *, addresses: bool) -> None:
        self.addresses = addresses

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path | str:
        if isinstance(value, Path) or "://" not in value:
            return Path(value)
        if not self.addresses:
            self.fail(
                f"{value} is an address; this importer reads a folder on this machine, or on a mount.", param, ctx
            )
        return str(value)


def _source_command(cls: Any) -> click.Command:
    """`earmark import NAME PATH`: the source's own fields become options."""

    @_command_of(cls)
    @_NAME
    @_STORE
    @_USE
    @click.pass_context
    def command(ctx: click.Context, /, name: str | None, store: Any, use: bool, **fields: Any) -> None:
        _import(_root(ctx), cls(**fields), name, store, use)

    return _with_fields(command, cls)


def _command_of(cls: Any) -> Callable[[Callable[..., None]], click.Command]:
    """A command named and described by a source or a library."""
    return click.command(name=cls.name, help=_described(cls), short_help=cls.__doc__.splitlines()[0])


def _with_fields(command: click.Command, cls: Any) -> click.Command:
    """The command with the fields of the dataclass ``cls``: ``path`` as an argument, every other as an option."""
    hints = typing.get_type_hints(cls)
    for field in dataclasses.fields(cls):
        if field.name == "path":
            click.argument("path", type=_Place(addresses=str in typing.get_args(hints["path"])))(command)
        else:
            _option(field, hints[field.name])(command)
    return command


def _unusable(name: str, error: CatalogueError) -> click.Command:
    """In place of a package's source that cannot be loaded: it is listed, the others work, using it is the error."""

    def fail(**_: Any) -> None:
        raise error

    words = click.Argument(["words"], nargs=-1)
    anything = {"ignore_unknown_options": True}
    return click.Command(name, anything, fail, [words], help=str(error), short_help="cannot be used: see its --help")


def _option(field: dataclasses.Field[Any], hint: Any) -> Callable[[Any], Any]:
    """A click option for a source's field: a choice for a Literal, a flag for a bool, else text, a number or a path."""
    required = field.default is dataclasses.MISSING
    named: dict[str, Any] = {"help": field.metadata.get("help"), "required": required}
    if not required:
        named |= {"default": field.default, "show_default": field.default is not None}
    flag = "--" + field.name.replace("_", "-")
    if typing.get_origin(hint) is typing.Literal:
        return click.option(flag, type=click.Choice(typing.get_args(hint)), **named)
    if hint is bool:
        return click.option(f"{flag}/--no-{flag[2:]}", **named)
    plain = next((kind for kind in typing.get_args(hint) if kind is not type(None)), hint)  # X from "X | None"
    return click.option(flag, type=click.Path(path_type=Path) if plain is Path else plain, **named)


def _described(cls: Any) -> str:
    parts = [cls.__doc__, f"Expects: {cls.expects}"]
    licence = cls.licence or getattr(cls, "rights", None)  # a library of labels has no rights in recordings
    parts += [f"Licence: {licence}"] if licence else []
    parts += [f"Please cite: {cls.citation}"] if cls.citation else []
    return "\n\n".join(parts)


@import_.command()
@_USE
@click.pass_context
def songbook(ctx: click.Context, use: bool) -> None:
    """The embedded sample: scores of music21's corpus, rendered on this machine."""
    from earmark.adapters import dvc
    from earmark.catalogue.imports.using import use_collection

    root = _root(ctx)
    dvc.repro(root, "data/dvc.yaml:songbook")
    if use:
        use_collection(root, "songbook")


def _import(root: Path, source: Any, name: str | None, store: Any, use: bool) -> None:
    from earmark.adapters import dvc
    from earmark.catalogue.imports.importing import import_collection
    from earmark.catalogue.imports.using import use_collection
    from earmark.params import load_params

    result = import_collection(source, root, load_params(root / "params.yaml"), name=name, store=store)
    dvc.add(root, result.folder)
    if use:
        use_collection(root, result.name)
    click.echo(result.summary())


# ---------------------------------------------------------------------------------------------------- label


class _Libraries(click.Group):
    """One command for each streaming library; made when asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        from earmark.catalogue.sources.libraries import library_names

        return library_names()

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        from earmark.catalogue.sources.libraries import library_names, load_library

        return _library_command(load_library(cmd_name)) if cmd_name in library_names() else None


@main.group(cls=_Libraries)
def label() -> None:
    """Bring names, ISRCs and genres from a streaming library to a collection's tracks; docs/labels.md tells more."""


def _library_command(cls: Any) -> click.Command:
    """`earmark label NAME [PATH]`: the library's own fields become argument and options."""

    @_command_of(cls)
    @click.option("--collection", help="Whose tracks [default: the catalogue's in params.yaml].")
    @click.option("--overwrite", is_flag=True, help="Replace the genre of tracks that have one.")
    @click.pass_context
    def command(ctx: click.Context, /, collection: str | None, overwrite: bool, **fields: Any) -> None:
        _label(_root(ctx), cls(**fields), collection, overwrite)

    return _with_fields(command, cls)


def _label(root: Path, library: Any, collection: str | None, overwrite: bool) -> None:
    from earmark.adapters import dvc
    from earmark.catalogue.labels.labelling import label_collection
    from earmark.params import load_params

    collection = collection or load_params(root / "params.yaml").catalogue.collection
    result = label_collection(library, root, collection, overwrite=overwrite)
    dvc.add(root, result.folder)
    click.echo(result.summary())


# ---------------------------------------------------------------------------------------------------- catalogue


@main.group()
def catalogue() -> None:
    """A collection's versions: which tracks came, went or changed, by git commit."""


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

    root = _root(ctx)
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

    root = _root(ctx)
    for line in history.diff(root, _collection(root, collection), old, new, whole=whole, as_json=as_json):
        click.echo(line)


# ---------------------------------------------------------------------------------------------------- stages


@main.group()
def stage() -> None:
    """One stage of dvc.yaml. `dvc repro` calls these; you rarely do."""


def _stage(name: str, run: Callable[[Any, Path], None], doc: str) -> None:
    @stage.command(name=name, help=doc)
    @click.pass_context
    def command(ctx: click.Context) -> None:
        from earmark.params import load_params

        root = _root(ctx)
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
_stage("train", _run_train, "Train the network.")
_stage("train-forest", _run_train_forest, "Train the random forest.")
_stage("evaluate", _run_evaluate, "Score both on the same test tracks.")
_stage("record", _run_record, "Log both as MLflow runs.")


# ---------------------------------------------------------------------------------------------------- the rest


@main.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--model", type=click.Path(path_type=Path), help="A predictor's folder [default: the champion].")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.pass_context
def predict(ctx: click.Context, files: tuple[Path, ...], model: Path | None, as_json: bool) -> None:
    """Say what the champion hears in FILES, without a service."""
    from earmark.serving.offline import predict_files

    sys.exit(predict_files(_root(ctx), files, model=model, as_json=as_json))


@main.command()
@click.pass_context
def up(ctx: click.Context) -> None:
    """Run Prefect (server and schedules), MLflow and the service together, until Ctrl-C."""
    from earmark.stack import up

    sys.exit(up(_root(ctx)))


@main.command()
@click.pass_context
def demo(ctx: click.Context) -> None:
    """The whole road once: songbook, pipeline, registry, service, an answer."""
    from earmark.demo import demo

    sys.exit(demo(_root(ctx)))


if __name__ == "__main__":
    main()
