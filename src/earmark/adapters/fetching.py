"""A model of the registry as weights in the project: for training to start from, or for kernel machines to stand on."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from earmark.adapters.named import Named, find
from earmark.adapters.shipping import replace_folder
from earmark.adapters.tracking import reaching
from earmark.errors import ModelError
from earmark.model.beside import copy_predictor, files_of_predictor
from earmark.params import Params
from earmark.workspace import CHAMPION, EXAMPLES, MODELS, NEIGHBOURS, NETWORK, PORTABLE, PRETRAINED

if TYPE_CHECKING:
    from collections.abc import Callable

    from earmark.model.predictor import Predictor


@dataclass(frozen=True)
class Fetched:
    """Weights that lie in the project now.

    Attributes:
        title: The model by its name and aliases.
        kind: Of its predictor.
        network: Whether a network's training can start from it.
        known: How many recordings it was trained on.
        size: In bytes.
    """

    title: str
    kind: str
    network: bool
    known: int
    size: int


def fetch_weights(
    params: Params, root: Path, name: str, target: Path, *, say: "Callable[[str], None]" = lambda line: None
) -> Fetched:
    """Copy the model called ``name`` into the folder ``target``, whole or not at all.

    Args:
        params: Names of registered model and experiment.
        root: The project's folder.
        name: As `earmark.adapters.named.find` takes it.
        target: Where to; a model that lies there is replaced.
        say: Told how far it is.

    Raises:
        ModelError: The folder is one that stages write, or holds something else; or nothing in the model can be built
            on.
        RegistryError: There is no such model, its artefacts are gone, or MLflow cannot be reached.
    """
    _check_free(root, target)
    with reaching(root) as client:
        named = find(client, params, root, name)
        say(f"fetching {named.title}")
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as staging:
            folder = named.fetch(client, params, root, Path(staging) / "model")
            found, parts = _parts(folder, named)
            size = sum(file.stat().st_size for file in files_of_predictor(folder))
            network = any(part.kind == "network" for part in parts)
            if not network and not any(part.encoder for part in parts):
                raise ModelError(
                    f"{named.title} is a {found.kind}, in which there is neither network nor encoder: nothing that "
                    "another catalogue could build on. Name a network, a blend, or a machine that stands on an encoder."
                )
            # Songs and listeners of where it comes from stay there.
            copy_predictor(folder, Path(staging) / "bare")
            replace_folder(target, Path(staging) / "bare")
    return Fetched(named.title, found.kind, network, len(found.trained_on), size)


def _check_free(root: Path, target: Path) -> None:
    place = target.resolve()
    for made in (*MODELS.values(), CHAMPION, EXAMPLES, NEIGHBOURS, PORTABLE, PRETRAINED):
        if place == (root / made).resolve() or (root / made).resolve() in place.parents:
            raise ModelError(
                f"{made} is written by this project's own pipeline: training would wait for itself if it started from "
                f"there, or find something else the next time. Name another folder, such as weights/{NETWORK.name}."
            )
    if target.is_file() or (target.is_dir() and any(target.iterdir()) and not (target / "predictor.json").is_file()):
        raise ModelError(f"{target} holds something else, which is left as it is. Name another folder.")


def _parts(folder: Path, named: Named) -> "tuple[Predictor, list[Predictor]]":
    """The predictor, and all that it consists of."""
    from earmark.model.predictor import load_predictor

    try:
        found = load_predictor(folder)
    except ModelError as error:
        raise ModelError(str(error).replace(str(folder), named.title)) from error
    return found, [found, *getattr(found, "parts", {}).values()]
