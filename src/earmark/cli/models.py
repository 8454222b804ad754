"""`earmark compare`, `promote`, `rollback`, `history`: which model is better, which is in service, and which was."""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from earmark.cli.project import project_of
from earmark.errors import GateError

if TYPE_CHECKING:
    from earmark.adapters.comparing import Compared
    from earmark.adapters.events import Event, Lived
    from earmark.model.comparing.promotion import Verdict

_BECAUSE = click.option("--because", metavar="REASON", help="Why; it is kept with the version.")
_BY = click.option("--by", metavar="NAME", help="Who does this, if that shall be kept too.")


@click.command()
@click.argument("a")
@click.argument("b")
@click.option("--json", "as_json", is_flag=True, help="As one JSON object.")
@click.pass_context
def compare(ctx: click.Context, a: str, b: str, as_json: bool) -> None:
    """Compare the models A and B on the test tracks that neither was trained on, and log it in MLflow.

    Each is a version (3), an alias (champion, or @champion), a run's id or name, or a predictor's folder
    (models/network). Differences are A minus B, with intervals. Each comparison of other models counts as a look at the
    test tracks.
    """
    from earmark.adapters.comparing import OneModel, compare_on_test_tracks, log
    from earmark.adapters.named import find
    from earmark.adapters.tracking import reaching
    from earmark.params import load_params

    root = project_of(ctx)
    params = load_params(root / "params.yaml")
    with reaching(root) as client:
        ours, theirs = find(client, params, root, a), find(client, params, root, b)
        try:
            compared = compare_on_test_tracks(client, params, root, ours, theirs)
        except OneModel as same:
            nothing = {"a": ours.title, "b": theirs.title, "same": True, "comparison": None, "run_id": None}
            click.echo(json.dumps(nothing, ensure_ascii=False) if as_json else f"{a} and {b}: {same}")
            return
        run_id = log(client, params, root, compared, None)
    if as_json:
        click.echo(json.dumps(compared.to_dict() | {"same": False, "run_id": run_id}, ensure_ascii=False))
        return
    for line in _comparison(compared, run_id):
        click.echo(line)


@click.command()
@click.argument("version", required=False)
@_BECAUSE
@_BY
@click.option("--json", "as_json", is_flag=True, help="The verdict as one JSON object.")
@click.pass_context
def promote(ctx: click.Context, version: str | None, because: str | None, by: str | None, as_json: bool) -> None:
    """Make VERSION [default: the challenger] the champion, if it passes the gates of params.yaml.

    One that fails is refused, with exit code 9; --because promotes it all the same, and the reason is kept.
    """
    from earmark.adapters import gate, registry
    from earmark.params import load_params

    root = project_of(ctx)
    params = load_params(root / "params.yaml")
    if because is not None and not because.strip():
        raise click.BadParameter("an empty reason says nothing; say why.", param_hint="--because")
    verdict = gate.compare(params, root, version)
    if as_json:
        click.echo(json.dumps(verdict.to_dict(), ensure_ascii=False))
    else:
        for line in _verdict(verdict):
            click.echo(line)
    if verdict.challenger == verdict.champion:
        return
    if not verdict.promote and because is None:
        failed = ", ".join(each.name for each in verdict.failed)
        raise GateError(
            f"Version {verdict.challenger} is not promoted: it does not pass the gate{_s(verdict.failed)} {failed}. "
            "What is needed stands in params.yaml, section gates; to promote it all the same, say why: "
            '--because "…".'
        )
    registry.promote(params, root, verdict.challenger, verdict, because=because, by=by)
    if not as_json:
        before = f"; version {verdict.champion} is kept as previous" if verdict.champion else ""
        click.echo(f"Version {verdict.challenger} is champion now{before}.")


@click.command()
@_BECAUSE
@_BY
@click.pass_context
def rollback(ctx: click.Context, because: str | None, by: str | None) -> None:
    """Put the previous champion back into service; the one that leaves becomes previous."""
    from earmark.adapters import registry
    from earmark.params import load_params

    root = project_of(ctx)
    version = registry.rollback(load_params(root / "params.yaml"), root, because=because, by=by)
    click.echo(f"Version {version} is champion again. The same command once more undoes this.")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, one for each version.")
@click.pass_context
def history(ctx: click.Context, as_json: bool) -> None:
    """The registered versions, newest first: which was promoted when and why, and which was rolled back."""
    from earmark.adapters import events
    from earmark.params import load_params

    root = project_of(ctx)
    params = load_params(root / "params.yaml")
    versions = events.history(params, root)
    for lived in versions:
        if as_json:
            click.echo(json.dumps(lived.to_dict(), ensure_ascii=False))
        else:
            for line in _life(lived):
                click.echo(line)
    if not versions and not as_json:
        click.echo(
            f"No version of {params.registry.model!r} is registered yet. The flow `training` registers them: "
            "`python flows/training.py`."
        )


COMMANDS = (compare, promote, rollback, history)


def _comparison(compared: "Compared", run_id: str | None) -> Iterator[str]:
    from earmark.adapters.comparing import on_which_tracks
    from earmark.model.comparing.report import lines

    assert compared.theirs is not None
    yield f"A  {compared.ours.title}"
    yield f"B  {compared.theirs.title}"
    found = compared.comparison
    if found is None:
        yield (
            f"They cannot be compared: {compared.tracks} test tracks of {compared.groups} groups are left that neither "
            "was trained on, and at least 2 groups are needed. Import music that neither has heard."
        )
    else:
        yield from lines(found)
        for name, genres in (("A", found.unknown_to_ours), ("B", found.unknown_to_theirs)):
            if genres:
                yield f"{name} does not know {', '.join(genres)}; there its answers count as wrong."
    yield ""
    yield on_which_tracks(compared)
    yield from _warned(compared.warnings)
    if run_id is not None:
        yield f"Logged in MLflow as run {run_id}."


def _verdict(verdict: "Verdict") -> Iterator[str]:
    from earmark.model.comparing.report import aligned, gate_table

    yield verdict.reason
    if verdict.gates:
        yield from aligned(gate_table(verdict.gates))
    yield from _warned(verdict.warnings)


def _warned(warnings: tuple[str, ...]) -> Iterator[str]:
    for warning in warnings:
        yield f"Warning: {warning}"


def _life(lived: "Lived") -> Iterator[str]:
    accuracy = "" if lived.accuracy is None else f"accuracy {lived.accuracy:.3f}"
    bears = f"({', '.join(lived.aliases)})" if lived.aliases else ""
    parts = (f"version {lived.version}", bears, lived.kind, accuracy, f"registered {lived.registered[:10]}")
    yield "  ".join(part for part in parts if part)
    for event in reversed(lived.events):
        yield f"    {event.at[:19]}Z  {_happened(event)}"


def _happened(event: "Event") -> str:
    words = {
        "promoted": "promoted" + (f", after version {event.other}" if event.other else ""),
        "rolled back": f"rolled back to version {event.other}",
        "put back": f"put back, for version {event.other}",
    }
    said = words.get(event.what, event.what)
    if event.despite:
        said += f", although it failed {', '.join(event.despite)}"
    if event.by:
        said += f", by {event.by}"
    return f"{said}: {event.because}" if event.because else said


def _s(many: tuple[Any, ...]) -> str:
    return "" if len(many) == 1 else "s"
