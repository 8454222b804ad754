"""Where the champion comes from: the registry when one is in sight, else the folder that travels with the code."""

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from earmark.errors import ModelError
from earmark.files import read_json
from earmark.params import Params
from earmark.workspace import CHAMPION

if TYPE_CHECKING:
    from earmark.model.predictor import Predictor

# Beside an exported predictor: {"version": …, "run_id": …}. A folder without it was never registered.
NOTE = "champion.json"
UNREGISTERED = "unregistered"


@dataclass(frozen=True)
class Champion:
    """A predictor in memory and where it comes from; never changed, only replaced as a whole."""

    predictor: "Predictor"
    name: str
    version: str
    run_id: str


class Source(Protocol):
    """A place that has a champion."""

    def version(self) -> str | None:
        """The champion's version now, or None where there is none. Cheap: asked every few seconds.

        Raises:
            EarmarkError: The place cannot be reached.
        """
        ...

    def load(self) -> Champion:
        """The champion, loaded.

        Raises:
            EarmarkError: It is gone, cannot be reached or cannot be loaded.
        """
        ...


class RegistrySource:
    """The version of the MLflow registry that carries the alias `champion`."""

    def __init__(self, params: Params, root: Path) -> None:
        self._params = params
        self._root = root

    def version(self) -> str | None:
        """As `Source.version`."""
        from earmark.adapters import mlflow

        return mlflow.champion_version(self._params, self._root)

    def load(self) -> Champion:
        """As `Source.load`."""
        from earmark.adapters import mlflow
        from earmark.model.predictor import load_predictor

        with tempfile.TemporaryDirectory(prefix="earmark-champion-") as folder:
            info = mlflow.fetch_champion(self._params, self._root, Path(folder))
            return Champion(load_predictor(info.folder), self._params.registry.model, info.version, info.run_id or "")


class FolderSource:
    """A predictor's folder with a note of where it came from, as promotion leaves it in models/champion."""

    def __init__(self, folder: Path, *, name: str) -> None:
        self._folder = folder
        self._name = name

    def version(self) -> str | None:
        """As `Source.version`."""
        if not self._folder.is_dir():
            return None
        return self._note()[0]

    def load(self) -> Champion:
        """As `Source.load`."""
        from earmark.model.predictor import load_predictor

        before = self._note()
        predictor = load_predictor(self._folder)
        if self._note() != before:
            raise ModelError(f"{self._folder} was replaced while it was being read. Try again.")
        version, run_id = before
        return Champion(predictor, self._name, version, run_id)

    def _note(self) -> tuple[str, str]:
        """Version and run."""
        try:
            told = read_json(self._folder / NOTE)
            return str(told["version"]), str(told.get("run_id") or "")
        except FileNotFoundError:
            return UNREGISTERED, ""
        except (ValueError, KeyError, TypeError) as error:
            raise ModelError(
                f"{self._folder / NOTE} is damaged ({error!r}). Promoting again writes it anew."
            ) from error


def registry_in_sight(root: Path) -> bool:
    """Whether there is a registry to ask: one named by MLFLOW_TRACKING_URI, or the embedded one beside params.yaml."""
    return bool(os.environ.get("MLFLOW_TRACKING_URI")) or (root / "mlflow.db").is_file()


class ChampionSource:
    """The registry when it is in sight, else the exported folder; decided at each look: either may appear later."""

    def __init__(self, params: Params, root: Path) -> None:
        self._registry: Source = RegistrySource(params, root)
        self._folder: Source = FolderSource(root / CHAMPION, name=params.registry.model)
        self._root = root

    def _source(self) -> Source:
        return self._registry if registry_in_sight(self._root) else self._folder

    def version(self) -> str | None:
        """As `Source.version`."""
        return self._source().version()

    def load(self) -> Champion:
        """As `Source.load`."""
        return self._source().load()
