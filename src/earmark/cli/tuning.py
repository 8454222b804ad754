"""`earmark tune`: a search for better values of params.yaml."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from earmark.cli.project import project_of

if TYPE_CHECKING:
    from earmark.adapters.tuning import Tuned


@click.command()
@click.option("--trials", type=click.IntRange(1), help="How many in all [default: tuning.trials in params.yaml].")
@click.option("--timeout-minutes", type=click.FloatRange(0, min_open=True), help="Begin no trial after so long.")
@click.option("--space", type=click.Path(path_type=Path), help="A YAML file in place of tuning.space in params.yaml.")
@click.option("--apply", is_flag=True, help="Write the best values into params.yaml, if they are shown to be better.")
@click.pass_context
def tune(
    ctx: click.Context, trials: int | None, timeout_minutes: float | None, space: Path | None, apply: bool
) -> None:
    """Search for values of params.yaml by which the network answers held-out songs better; test songs have no part.

    Each trial is a run in MLflow. A search that was stopped, or killed, goes on where it was.
    """
    from earmark.adapters.tuning import tune as search
    from earmark.catalogue.imports.using import use_values
    from earmark.model.tuning.search_space import read_space
    from earmark.params import load_params

    root = project_of(ctx)
    params = load_params(root / "params.yaml")
    tuned = search(
        params,
        root,
        params.tuning.space if space is None else read_space(space),
        trials=trials or params.tuning.trials,
        timeout_s=None if timeout_minutes is None else 60 * timeout_minutes,
        say=lambda line: click.echo(line, err=True),
    )
    for line in _lines(tuned):
        click.echo(line)
    if apply and tuned.better:
        use_values(root, tuned.values)
        click.echo("params.yaml has these values now; `dvc repro` trains with them.")
    elif apply:
        click.echo("params.yaml is left as it is.")


def _lines(tuned: "Tuned") -> list[str]:
    said = [f"{tuned.complete} trials complete, {tuned.pruned} pruned."]
    if tuned.difference is None:
        return [*said, "None of them is better than the values of params.yaml."]
    gain = tuned.difference
    width = max(len(name) for name in tuned.values)
    said += [
        f"  {name:{width}}  {value}   (params.yaml: {tuned.present[name]}"
        + (f"; importance {tuned.importance[name]:.2f})" if name in tuned.importance else ")")
        for name, value in tuned.values.items()
    ]
    seeds = f"{tuned.repeats} fresh seed{'' if tuned.repeats == 1 else 's'}"
    said.append(
        f"Held-out loss with {seeds}, best minus present: {gain.value:+.4f} [{gain.low:+.4f}, {gain.high:+.4f}]; "
        + ("better." if tuned.better else "not shown to be better.")
    )
    return said
