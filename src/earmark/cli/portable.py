"""`earmark export`: a network for programs that have no earmark, and no torch."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from earmark.cli.project import project_of
from earmark.errors import ModelError

if TYPE_CHECKING:
    from earmark.model.predictor import Predictor


@click.command(name="export")
@click.option(
    "--model", default="@champion", help="A predictor's folder, or an alias, version or run [default: the champion]."
)
@click.option("--part", metavar="NAME", help="Of a blend, that part alone: network.")
@click.option("--to", required=True, type=click.Path(path_type=Path, file_okay=False), help="The folder to write to.")
@click.pass_context
def export(ctx: click.Context, model: str, part: str | None, to: Path) -> None:
    """Write a network as ONNX and as a program of torch.export: from the waveform to calibrated answers.

    ONNX Runtime answers without torch and without earmark. Forests, kernel machines and blends cannot be exported; of a
    blend its network can (--part network), whose answers are not the blend's.
    """
    from earmark.model.portable.files import ABOUT, ONNX, PROGRAM, export_all

    predictor = _part(_loaded(ctx, model), part)
    export_all(predictor, to)
    for name in (ONNX, PROGRAM, ABOUT):
        click.echo(f"{to / name}  {(to / name).stat().st_size:,} bytes")
    if part is not None:
        click.echo(f"They answer as the part {part!r} does, not as the whole.", err=True)


def _loaded(ctx: click.Context, name: str) -> "Predictor":
    from earmark.model.predictor import load_predictor

    if (Path(name) / "predictor.json").is_file():  # without the registry, and without a project
        return load_predictor(Path(name))
    from earmark.adapters.named import find
    from earmark.adapters.tracking import reaching
    from earmark.params import load_params

    root = project_of(ctx)
    params = load_params(root / "params.yaml")
    with reaching(root) as client, tempfile.TemporaryDirectory(prefix="earmark-export-") as folder:
        return load_predictor(find(client, params, root, name).fetch(client, params, root, Path(folder) / "model"))


def _part(predictor: "Predictor", name: str | None) -> "Predictor":
    if name is None:
        return predictor
    parts: dict[str, Predictor] = dict(getattr(predictor, "parts", {}))
    if name not in parts:
        known = f"its parts are {', '.join(parts)}" if parts else "it has no parts: leave --part out"
        raise ModelError(f"This {predictor.kind} has no part {name!r}; {known}.")
    return parts[name]
