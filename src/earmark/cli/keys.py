"""`earmark keys`: who may ask the service, where not everybody may."""

import click

from earmark.cli.project import project_of


@click.group()
def keys() -> None:
    """API keys of the service: without one everybody may ask; with one, only who has one."""


@keys.command()
@click.argument("name")
@click.option(
    "--requests-per-minute",
    type=click.IntRange(min=0),
    help="Its own limit; 0: none [default: service.requests_per_minute of params.yaml].",
)
@click.pass_context
def add(ctx: click.Context, name: str, requests_per_minute: int | None) -> None:
    """Make a key called NAME and print it, once.

    Running services ask for a key from the next request on. The name stands in their logs.
    """
    from earmark.serving.keys import add_key, keys_path

    path = keys_path(project_of(ctx))
    key = add_key(path, name, requests_per_minute=requests_per_minute)
    click.echo(key)  # alone on standard output, for a pipe into a vault
    click.echo(f"This is shown once; {path} keeps only its hash. It is sent as: Authorization: Bearer KEY", err=True)


@keys.command(name="list")
@click.pass_context
def list_(ctx: click.Context) -> None:
    """Show the names of the keys, when they were made, and what they may ask a minute."""
    from earmark.serving.keys import keys_path, read_keys

    path = keys_path(project_of(ctx))
    try:
        found = read_keys(path).keys
    except FileNotFoundError:
        click.echo("There are no keys: everybody who reaches the service may ask. `earmark keys add` makes the first.")
        return
    if not found:
        click.echo(f"Every key was revoked: nobody may ask. `earmark keys add`, or remove {path} to let everybody in.")
    width = max((len(key.name) for key in found), default=0)
    for key in found:
        limits = {None: "as params.yaml says", 0: "no limit"}
        limit = limits.get(key.requests_per_minute, f"{key.requests_per_minute} a minute")
        click.echo(f"{key.name:<{width}}  {key.created}  {limit}")


@keys.command()
@click.argument("name")
@click.pass_context
def revoke(ctx: click.Context, name: str) -> None:
    """Let the key called NAME open nothing any more, from the next request on."""
    from earmark.serving.keys import keys_path, revoke_key

    path = keys_path(project_of(ctx))
    left = revoke_key(path, name)
    click.echo(f"{name} is revoked.")
    if not left:
        click.echo(f"It was the last key, so nobody may ask now. `earmark keys add` makes another; without {path} "
                   "everybody may.")  # fmt: skip
