"""The command `earmark`. Heavy imports wait inside each command, so that `earmark --help` answers at once.

Here, and only here, the rooms are put together: a stage asks for a judge or a recorder, the command hands it the tool.
"""

import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click

from earmark.errors import EarmarkError


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


@main.group(name="import")
def import_() -> None:
    """Bring a collection into data/collections/, with every file taken or refused with a reason."""


_NAME = click.option("--name", help="The collection's name; importing again into the same name adds to it.")
_USE = click.option("--use/--no-use", default=True, help="Make it the catalogue in params.yaml.", show_default=True)
_PATH = click.argument("path", type=click.Path(path_type=Path))


@import_.command()
@_PATH
@_NAME
@_USE
@click.pass_context
def folder(ctx: click.Context, path: Path, name: str | None, use: bool) -> None:
    """A folder of audio: PATH/<genre>/…; artist, title and album come from the files' own tags."""
    from earmark.catalogue.sources.folder import FolderSource

    _import(_root(ctx), FolderSource(path), name, use)


@import_.command()
@_PATH
@_NAME
@_USE
@click.pass_context
def emotify(ctx: click.Context, path: Path, name: str | None, use: bool) -> None:
    """The Emotify data set: PATH holds data.csv and emotifymusic/."""
    from earmark.catalogue.sources.emotify import EmotifySource

    _import(_root(ctx), EmotifySource(path), name, use)


@import_.command()
@_USE
@click.pass_context
def songbook(ctx: click.Context, use: bool) -> None:
    """The embedded sample: scores of music21's corpus, rendered on this machine."""
    from earmark.adapters import dvc
    from earmark.catalogue.importing import use_collection

    root = _root(ctx)
    dvc.repro(root, "data/dvc.yaml:songbook")
    if use:
        use_collection(root, "songbook")


def _import(root: Path, source: Any, name: str | None, use: bool) -> None:
    from earmark.adapters import dvc
    from earmark.catalogue.importing import import_collection, use_collection
    from earmark.params import load_params

    result = import_collection(source, root, load_params(root / "params.yaml"), name=name)
    dvc.add(root, result.folder)
    if use:
        use_collection(root, result.name)
    click.echo(result.summary())


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


def _run_validate(params: Any, root: Path) -> None:
    from earmark.adapters import expectations
    from earmark.stages import validate

    validate.run(params, root, judge=expectations.judge)


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
