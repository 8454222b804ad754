"""`earmark catalogue review` and `correct`: labels that look wrong, and the file in which they are put right."""

import json

import click

from earmark.cli.project import project_of

_SHOWN = 20


@click.command()
@click.option("--all", "whole", is_flag=True, help="Every one, not only the worst.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, all of them.")
@click.pass_context
def review(ctx: click.Context, whole: bool, as_json: bool) -> None:
    """Labels that look wrong to models that had not heard the songs, worst first; without those corrected since."""
    from earmark.catalogue.correcting import lines_of, open_reviews

    rows = open_reviews(project_of(ctx))
    if as_json:
        for row in rows:
            click.echo(json.dumps(row, ensure_ascii=False))
        return
    for line in lines_of(rows, shown=None if whole else _SHOWN):
        click.echo(line)


@click.command()
@click.argument("track_id", metavar="TRACK")
@click.argument("genre")
@click.option("--note", default="", help="Why.")
@click.option("--by", default="", help="Who says so; it goes into git with the file.")
@click.option("--collection", help="Whose track [default: the catalogue in params.yaml].")
@click.pass_context
def correct(ctx: click.Context, track_id: str, genre: str, note: str, by: str, collection: str | None) -> None:
    """Say in data/corrections.csv that the GENRE of TRACK (its track_id) is another.

    The genre that it has confirms it, `-` withdraws it: the track is not learnt from.
    """
    from earmark.catalogue.correcting import correct
    from earmark.params import load_params

    root = project_of(ctx)
    name = collection or load_params(root / "params.yaml").catalogue.collection
    click.echo(correct(root, name, track_id, genre, note=note, by=by))
