"""`earmark rollout`: a version takes over step by step, while it is watched."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import click

from earmark.cli.project import project_of


@click.command()
@click.argument("version", required=False)
@click.option("--service", "services", multiple=True, metavar="URL", help="A service to watch, once for each replica.")
@click.option("--key", envvar="EARMARK_API_KEY", help="An API key for the services' /metrics.")
@click.option("--because", metavar="REASON", help="Why, though the gates are against it; it is kept with the version.")
@click.option("--by", metavar="NAME", help="Who does this, if that shall be kept too.")
@click.option(
    "--timeout-minutes",
    type=click.FloatRange(0, min_open=True),
    help="Go back when no request comes for so long [default: wait for ever].",
)
@click.option("--status", "ask", is_flag=True, help="Only say where the rollout stands.")
@click.option("--stop", "end", is_flag=True, help="Send the canary back: the champion answers all requests.")
@click.pass_context
def rollout(
    ctx: click.Context,
    version: str | None,
    services: tuple[str, ...],
    key: str | None,
    because: str | None,
    by: str | None,
    timeout_minutes: float | None,
    ask: bool,
    end: bool,
) -> None:
    """Let VERSION [default: the challenger] answer a growing share of live requests, then promote it, or go back.

    The steps and limits stand in params.yaml, section rollout. Errors, latency and disagreement with the champion are
    read from the services' metrics. One that goes back ends with exit code 9; so does one that the gates are against,
    unless --because says why. Ctrl-C puts the champion back; a rollout that was killed is carried on where it was by
    the same command.
    """
    from earmark.adapters import canary
    from earmark.adapters import rollout as adapter
    from earmark.params import load_params

    root = project_of(ctx)
    params = load_params(root / "params.yaml")
    if because is not None and not because.strip():
        raise click.BadParameter("an empty reason says nothing; say why.", param_hint="--because")
    if end:
        why = because or "by `earmark rollout --stop`"
        stopped = canary.stop(params, root, why=why, version=version, by=by)
        if stopped is None:
            click.echo("There is no canary: the champion answers all requests already.")
        else:
            click.echo(f"Version {stopped} is the canary no longer; the champion answers all requests.")
        return
    if ask:
        click.echo(_standing(adapter.status(params, root)))
        return
    try:
        with _terminated_as_by_ctrl_c():
            adapter.rollout(
                params,
                root,
                version,
                services=services or (adapter.SERVICE,),
                key=key,
                because=because,
                by=by,
                timeout_s=None if timeout_minutes is None else 60 * timeout_minutes,
                say=click.echo,
            )
    except KeyboardInterrupt:
        click.echo("earmark: stopped by Ctrl-C. The same command begins anew, at the first step.", err=True)
        sys.exit(130)


COMMANDS = (rollout,)


def _standing(status: object) -> str:
    from earmark.adapters.rollout import Status

    if not isinstance(status, Status):
        return "There is no canary: the champion answers all requests."
    since = f", since {status.since[:19]}Z" if status.since else ""
    return (
        f"Version {status.version} is the canary and answers {status.share:.3g} of the requests{since}: step "
        f"{status.step} of {status.of}. Version {status.champion} answers the rest. `earmark rollout` carries on, "
        "unless one is on its way; `earmark rollout --stop` sends it back."
    )


@contextmanager
def _terminated_as_by_ctrl_c() -> Iterator[None]:
    """SIGTERM, too, puts the champion back."""

    def interrupt(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
