"""`earmark feedback`: what listeners did, into the store, out as a snapshot, and forgotten again."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from earmark.cli.fields import command_of, with_fields
from earmark.cli.importing import unusable
from earmark.cli.project import project_of
from earmark.errors import FeedbackError


@click.group()
def feedback() -> None:
    """What listeners did and said: imported, kept without names, turned into targets; docs/feedback.md tells more."""


class _FeedbackSources(click.Group):
    """One command for each source of feedback; made when asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        from earmark.feedback.sources.registry import feedback_source_names

        return feedback_source_names()

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        from earmark.feedback.sources.registry import feedback_source_names, load_feedback_source

        if cmd_name not in feedback_source_names():
            return None
        try:
            return _source_command(load_feedback_source(cmd_name))
        except FeedbackError as error:
            return unusable(cmd_name, error)


@feedback.group(name="import", cls=_FeedbackSources)
def import_() -> None:
    """Bring a listening history or reactions into the store; every row is taken or refused with a reason."""


def _source_command(cls: Any) -> click.Command:
    """`earmark feedback import NAME PATH`: the source's own fields become options."""

    @command_of(cls)
    @click.option(
        "--listener",
        help="Whose export it is: any name, always the same for one person.",
        hidden=cls.tells_listener,  # there it is an error that says why
    )
    @click.option("--again", is_flag=True, help="Read files, too, that were imported before. What is there stays once.")
    @click.option("--new-key", is_flag=True, help="Go on although the key is not the one of before: everybody is new.")
    @click.pass_context
    def command(ctx: click.Context, /, listener: str | None, again: bool, new_key: bool, **fields: Any) -> None:
        _import(project_of(ctx), cls(**fields), listener, again, new_key)

    return with_fields(command, cls)


def _import(root: Path, source: Any, listener: str | None, again: bool, new_key: bool) -> None:
    from earmark.adapters.feedback_rules import judging_feedback
    from earmark.feedback.collecting import importer
    from earmark.feedback.report import nothing_taken, summary
    from earmark.feedback.store import Store
    from earmark.params import load_params
    from earmark.workspace import EXPECTATIONS, REFUSED_FEEDBACK

    params = load_params(root / "params.yaml")
    judge = judging_feedback(root / EXPECTATIONS, params)
    refusals = REFUSED_FEEDBACK / f"{datetime.now(UTC):%Y%m%dT%H%M%S.%f}-{source.name}.csv"
    with Store.of(root) as store:
        result = importer(root, params, store, judge, listener=listener, new_key=new_key).run(
            source, root / refusals, again=again
        )
        click.echo(summary(result, source.describe(), refusals))
    if nothing_taken(result):
        raise FeedbackError(
            f"No row of {source.path} was taken. Is it another source's format? `earmark feedback import --help` lists "
            f"them all; why each row was refused stands in {refusals}."
        )


@feedback.command()
@click.pass_context
def snapshot(ctx: click.Context) -> None:
    """Write the store's snapshot, a file for each day, hand it to DVC, and make it the one in use."""
    from earmark.adapters import dvc
    from earmark.catalogue.imports.using import use
    from earmark.feedback.report import counted
    from earmark.feedback.snapshot import write_snapshot
    from earmark.feedback.store import Store
    from earmark.feedback.tables import ADDRESS, shown
    from earmark.workspace import LISTENING, SNAPSHOTS

    root = project_of(ctx)
    dvc.check_project(root)
    folder = SNAPSHOTS / LISTENING
    with Store.of(root) as store:
        if not store.day_versions():
            raise FeedbackError(
                f"Nothing was ever imported into the store {shown(store.engine)}, so there is nothing to snapshot, and "
                "all stays as it is. Import something first (earmark feedback import --help); or is it in another "
                f"store? {ADDRESS} says in which."
            )
        written = write_snapshot(store, root / folder)
    dvc.add(root, folder)
    use(root, "feedback", "snapshot", LISTENING)
    changed = counted(written.changed, "file")
    click.echo(f"{folder}: {counted(written.days, 'day')}, {changed} new or changed, {written.removed} gone.")
    click.echo("Next: dvc repro")


@feedback.command()
@click.pass_context
def take(ctx: click.Context) -> None:
    """Judge and store what was told to the service; it does so by itself, within a minute."""
    from earmark.params import load_params
    from earmark.serving.taking import take

    root = project_of(ctx)
    try:
        taken, refused = take(root, load_params(root / "params.yaml"))
    except BlockingIOError:
        click.echo("Another process is at it.")
        return
    click.echo(f"{taken} taken, {refused} refused.")


@feedback.command()
@click.argument("listener")
@click.option("--undo", is_flag=True, help="Let the listener be imported again.")
@click.pass_context
def forget(ctx: click.Context, listener: str, undo: bool) -> None:
    """Remove all that LISTENER did, from the store and from the next snapshot, and take it no more.

    LISTENER is what --listener was when the export was imported; where its rows name who listened, the name there.
    """
    from earmark.adapters import history
    from earmark.feedback.collecting import forget, readmit
    from earmark.feedback.identity import load_key
    from earmark.feedback.store import Store

    root = project_of(ctx)
    if not listener.strip():
        raise FeedbackError("LISTENER is empty, and nobody is called so. Say the name under which it was imported.")
    with Store.of(root) as store:
        if undo:
            click.echo(readmit(store, load_key(), listener))
            return
        click.echo(forget(store, load_key(), listener, int(time.time() * 1e6)))
    for line in history.snapshots_before(root):
        click.echo(line)


@feedback.command()
@click.option("--json", "as_json", is_flag=True, help="As JSON, one object a line.")
@click.pass_context
def categories(ctx: click.Context, as_json: bool) -> None:
    """The categories that listening reveals: their names, their most typical songs, and how sure they are."""
    from earmark.feedback.estimates.category_report import category_lines

    for line in category_lines(project_of(ctx), as_json=as_json):
        click.echo(line)


@feedback.command()
@click.pass_context
def status(ctx: click.Context) -> None:
    """What is in the store, and what the snapshot lacks of it."""
    from earmark.feedback.report import standing
    from earmark.feedback.store import Store
    from earmark.workspace import LISTENING, SNAPSHOTS

    root = project_of(ctx)
    with Store.of(root) as store:
        click.echo(standing(store, root / SNAPSHOTS / LISTENING))
