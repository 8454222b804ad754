"""Where the champion comes from: the registry when one is in sight, else the folder that travels with the code."""

import contextlib
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from earmark.errors import EarmarkError, ModelError
from earmark.files import read_json
from earmark.model.beside import EXAMPLES, NEIGHBOURS, NOTE
from earmark.params import Params
from earmark.workspace import CHAMPION

if TYPE_CHECKING:
    from earmark.adapters.canary import Borne
    from earmark.model.neighbours import Neighbours
    from earmark.model.predictor import Predictor

# A folder without a note was never registered.
UNREGISTERED = "unregistered"

Role = Literal["champion", "canary", "shadow"]

logger = logging.getLogger("bentoml.earmark")


@dataclass(frozen=True)
class Example:
    """A song that may be passed on, for who has none at hand.

    Attributes:
        name: Names it in addresses.
        title: What it is called.
        artist: Who plays it.
        genre: Its own, as the catalogue has it.
        seconds: How long it is.
        licence: Under which it may be passed on.
        audio: Ogg with Opus.
    """

    name: str
    title: str | None
    artist: str | None
    genre: str | None
    seconds: float
    licence: str
    audio: bytes = field(repr=False)


@dataclass(frozen=True, eq=False)
class Champion:
    """A predictor in memory and where it comes from; never changed, only replaced as a whole.

    Attributes:
        predictor: What answers.
        name: The registered model's.
        version: Its number there, or ``unregistered``.
        run_id: The run that made it; empty where it is not known.
        role: Whether it is in service, tried on some requests, or only listens.
        neighbours: The catalogue's songs as it hears them; None where they were not packed with it.
        examples: Songs for the page; None as above.
        tags: The version's.
    """

    predictor: "Predictor"
    name: str
    version: str
    run_id: str
    role: Role = "champion"
    neighbours: "Neighbours | None" = None
    examples: tuple[Example, ...] | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


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
    """The version of the MLflow registry that carries an alias.

    Args:
        params: Of the project.
        root: Its folder.
        alias: ``champion``, ``canary`` or ``challenger``.
        role: What the version is here.
    """

    def __init__(self, params: Params, root: Path, alias: str = "champion", role: Role = "champion") -> None:
        self._params = params
        self._root = root
        self._alias = alias
        self._role: Role = role
        self.seen: Borne | None = None
        """Who bore the alias at the last look that the registry answered."""

    def version(self) -> str | None:
        """As `Source.version`."""
        from earmark.adapters.canary import borne

        self.seen = borne(self._params, self._root, self._alias)
        return None if self.seen is None else self.seen.version

    def load(self) -> Champion:
        """As `Source.load`."""
        from earmark.adapters.canary import fetched
        from earmark.serving.runtime import runtime_folder

        below = None
        with contextlib.suppress(EarmarkError):  # what is killed leaves nothing there; where it cannot be, elsewhere
            below = runtime_folder(self._root)
        with fetched(self._params, self._root, self._alias, below=below) as (info, found):
            name = self._params.registry.model
            return loaded(info.folder, name, info.version, info.run_id or "", role=self._role, tags=found.tags)


class InSightSource(RegistrySource):
    """An alias that is nobody's where no registry is in sight: the canary, the challenger."""

    def version(self) -> str | None:
        """As `Source.version`."""
        if registry_in_sight(self._root):
            return super().version()
        self.seen = None
        return None


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
        before = self._note()
        version, run_id, tags = before
        champion = loaded(self._folder, self._name, version, run_id, tags=tags)
        if self._note() != before:
            raise ModelError(f"{self._folder} was replaced while it was being read. Try again.")
        return champion

    def _note(self) -> tuple[str, str, dict[str, str]]:
        """Version, run and tags."""
        try:
            told = read_json(self._folder / NOTE)
            tags = {str(tag): str(value) for tag, value in (told.get("tags") or {}).items()}
            return str(told["version"]), str(told.get("run_id") or ""), tags
        except FileNotFoundError:
            return UNREGISTERED, "", {}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ModelError(
                f"{self._folder / NOTE} is damaged ({error!r}). Promoting again writes it anew."
            ) from error


def loaded(
    folder: Path,
    name: str,
    version: str,
    run_id: str,
    *,
    role: Role = "champion",
    tags: Mapping[str, str] | None = None,
) -> Champion:
    """Read a predictor's folder and what lies beside it; nothing of it is needed afterwards.

    Raises:
        ModelError: The predictor cannot be read. Damaged neighbours or examples are left out, loudly: the answers do
            not depend on them.
    """
    from earmark.model.predictor import load_predictor

    return Champion(
        load_predictor(folder),
        name,
        version,
        run_id,
        role,
        _optional(folder / NEIGHBOURS, _neighbours),
        _optional(folder / EXAMPLES, _examples),
        dict(tags or {}),
    )


def _optional(folder: Path, read: Any) -> Any:
    if not folder.is_dir():
        return None
    try:
        return read(folder)
    except Exception as error:  # whatever a damaged file may raise
        logger.warning("%s cannot be read and is left out: %s: %s", folder.name, type(error).__name__, error)
        return None


def _neighbours(folder: Path) -> "Neighbours":
    from earmark.model.neighbours import Neighbours

    return Neighbours.load(folder)


def _examples(folder: Path) -> tuple[Example, ...]:
    return tuple(
        Example(
            name=str(told["name"]),
            title=told.get("title"),
            artist=told.get("artist"),
            genre=told.get("genre"),
            seconds=float(told["seconds"]),
            licence=str(told["licence"]),
            audio=(folder / f"{Path(told['name']).name}.opus").read_bytes(),
        )
        for told in read_json(folder / "examples.json")
    )


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
