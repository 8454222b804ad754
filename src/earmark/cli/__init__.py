"""The command `earmark`. Heavy imports wait inside each command, so that `earmark --help` answers at once."""

import errno
import sys
import traceback
from pathlib import Path
from typing import Any, Literal, NoReturn

import click

from earmark.cli.feedback import feedback
from earmark.cli.history import catalogue
from earmark.cli.importing import import_
from earmark.cli.keys import keys
from earmark.cli.labelling import label
from earmark.cli.models import COMMANDS
from earmark.cli.portable import export
from earmark.cli.pretraining import pretrain
from earmark.cli.project import project_of
from earmark.cli.rollout import rollout
from earmark.cli.stages import stage
from earmark.cli.tuning import tune
from earmark.cli.weights import weights
from earmark.errors import EarmarkError, ToolError

_DISK_ERRORS = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT)


class _Commands(click.Group):
    """A group whose deliberate errors, and Ctrl-C, end with a text and an exit code instead of a stack trace."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except EarmarkError as error:
            _end(error, str(error), error.exit_code)
        except KeyboardInterrupt as error:
            _end(error, "stopped by Ctrl-C. The same command again goes on from there.", 130)
        except OSError as error:
            if error.errno not in _DISK_ERRORS:
                raise
            said = f"{error.filename or 'A file'} cannot be written: {error.strerror}. "
            _end(error, said + "May you write there, and is there room?", ToolError.exit_code)


def _end(error: BaseException, said: str, code: int) -> NoReturn:
    traceback.clear_frames(error.__traceback__)  # a progress bar that was broken off ends its line then
    click.echo(f"earmark: {said}", err=True)
    sys.exit(code)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="earmark", prog_name="earmark")  # asked late: a bento has no package
@click.option("--root", type=click.Path(path_type=Path), help="The project [default: the nearest with a params.yaml].")
@click.pass_context
def main(ctx: click.Context, root: Path | None) -> None:
    """Evaluates musical works: learnt from your catalogue and your listeners.

    Bring music with `earmark import`, train with `dvc repro`, ask with `earmark predict`,
    keep everything running with `earmark up`.
    """
    ctx.obj = root


for _group in (import_, label, feedback, catalogue, weights, pretrain, tune, stage, *COMMANDS, rollout, export, keys):
    main.add_command(_group)


@main.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--model", type=click.Path(path_type=Path), help="A predictor's folder [default: the champion].")
@click.option("--json", "form", flag_value="json", help="One JSON object a line.")
@click.option("--csv", "form", flag_value="csv", help="A table for spreadsheets, with a row for each file.")
@click.option("--write-tags", is_flag=True, help="Write what is heard into the files' own tags, too.")
@click.option("--overwrite", is_flag=True, help="With --write-tags: also in place of a person's genre, tempo or key.")
@click.pass_context
def predict(
    ctx: click.Context,
    files: tuple[Path, ...],
    model: Path | None,
    form: Literal["json", "csv"] | None,
    write_tags: bool,
    overwrite: bool,
) -> None:
    """Say what the champion hears in FILES, without a service. Folders are gone through for recordings.

    A file that cannot be answered goes to standard error with its reason, and decides the exit code; the others are
    answered all the same. --write-tags writes genre, tempo, key and all that earmark says beside them into mp3, m4a,
    mp4, flac, ogg, opus, aiff and wav files; what people have written stays, and the sound does to the bit.
    """
    from earmark.serving.offline import Wanted, predict_files

    if overwrite and not write_tags:
        raise click.UsageError("--overwrite is about tags; it goes with --write-tags.")
    wanted = Wanted(form or "text", tags=write_tags, overwrite=overwrite)
    sys.exit(predict_files(project_of(ctx), files, model=model, wanted=wanted))


@main.command()
@click.pass_context
def up(ctx: click.Context) -> None:
    """Run Prefect (server and schedules), MLflow and the service together, until Ctrl-C."""
    from earmark.stack import up

    sys.exit(up(project_of(ctx)))


@main.command()
@click.pass_context
def demo(ctx: click.Context) -> None:
    """The whole road once: songbook, pipeline, registry, service, an answer."""
    from earmark.demo import demo

    sys.exit(demo(project_of(ctx)))
