"""The canary: a version that answers a share of the requests before it is promoted, or goes back.

All workers and replicas have to agree on it, so its state lives in the registry and nowhere else: the alias `canary`
says which version it is, and the version's tag `canary.share` how much it answers.
"""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from earmark.adapters.events import Event, add_event, undisturbed
from earmark.adapters.registry import _aliased
from earmark.adapters.shipping import ChampionInfo, ship
from earmark.adapters.tracking import DATABASE, embedded, reaching
from earmark.errors import RegistryError
from earmark.params import Params

if TYPE_CHECKING:
    from mlflow import MlflowClient

ALIAS = "canary"
SHARE, SINCE = "canary.share", "canary.since"  # tags of the version

# MLflow itself puts these off until they are needed.
_MODULES = (
    "mlflow.artifacts",
    "mlflow.store.artifact.local_artifact_repo",
    "mlflow.store.model_registry.sqlalchemy_store",
    "mlflow.store.tracking.sqlalchemy_store",
)


@dataclass(frozen=True)
class Borne:
    """The version that bears an alias.

    Attributes:
        version: Its number.
        run_id: The run that made it; empty where it is not known.
        tags: Of the version.
    """

    version: str
    run_id: str
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def share(self) -> float:
        """How much of the requests it answers as canary, in [0, 1]; what cannot be read is nothing."""
        try:
            share = float(self.tags.get(SHARE, 0.0))
        except ValueError:
            return 0.0
        return share if 0.0 <= share <= 1.0 else 0.0

    @property
    def since(self) -> str | None:
        """When this share began, in UTC."""
        return self.tags.get(SINCE)


def warm_up() -> None:
    """Import what asking and fetching need, so that the first new version does not wait for it."""
    for module in _MODULES:
        import_module(module)


def borne(params: Params, root: Path, alias: str) -> Borne | None:
    """The version that bears ``alias`` now, or None. One question to the registry, fit to be asked often.

    Raises:
        RegistryError: MLflow cannot be reached.
    """
    if embedded(root) and not (root / DATABASE).is_file():
        return None  # asking would make one
    with reaching(root) as client:
        return borne_in(client, params, alias)


def borne_in(client: "MlflowClient", params: Params, alias: str) -> Borne | None:
    """As `borne`, with a client that is there."""
    found = _aliased(client, params.registry.model, alias)
    return None if found is None else Borne(str(found.version), found.run_id or "", dict(found.tags))


@contextmanager
def fetched(
    params: Params, root: Path, alias: str, *, below: Path | None = None
) -> Iterator[tuple[ChampionInfo, Borne]]:
    """The version that bears ``alias``, its predictor in a folder that lasts as long as the block.

    Args:
        params: Of the project.
        root: Its folder.
        alias: Whose.
        below: Where the folder is made [default: where temporary ones are].

    Raises:
        RegistryError: No version bears it, its artefacts are gone, or MLflow cannot be reached.
    """
    with tempfile.TemporaryDirectory(prefix=f"earmark-{alias}-", dir=below) as folder:
        with reaching(root) as client:
            found = borne_in(client, params, alias)
            if found is None:
                raise RegistryError(
                    f"No version of {params.registry.model!r} is the {alias} any longer. `earmark history` lists the "
                    "versions and what each is for."
                )
            info = ship(client, params.registry.model, found.version, root, Path(folder))
        yield info, found


def set_share(params: Params, root: Path, version: str, share: float, *, by: str | None = None) -> None:
    """Let ``version`` answer ``share`` of the requests, in (0, 1]; it becomes the canary if it is not.

    Raises:
        RegistryError: Another version is the canary, or MLflow cannot be reached.
    """
    name = params.registry.model
    with reaching(root) as client:
        before = borne_in(client, params, ALIAS)
        if before is not None and before.version != version:
            raise RegistryError(
                f"Version {before.version} is the canary already, at {before.share:.0%} of the requests. One at a "
                "time: `earmark rollout --stop` sends it back, `earmark rollout` carries on with it."
            )
        happened = Event("canary", because=f"it answers {share:.3g} of the requests", by=by)
        with undisturbed():
            add_event(client, name, version, happened)
            # The share first: nobody shall see a canary with the share of an earlier time.
            client.set_model_version_tag(name, version, SINCE, happened.at)
            client.set_model_version_tag(name, version, SHARE, repr(share))
            if before is None:
                client.set_registered_model_alias(name, ALIAS, version)


def stop(params: Params, root: Path, *, why: str, version: str | None = None, by: str | None = None) -> str | None:
    """Back to the champion: nobody is the canary any longer.

    Args:
        params: Of the project.
        root: Its folder.
        why: Kept with the version; empty where that is no event, after a promotion.
        version: Only if the canary is this one.
        by: Who does it, if that shall be known.

    Returns:
        The version that was the canary, or None where there was none, or another one.

    Raises:
        RegistryError: MLflow cannot be reached.
    """
    if embedded(root) and not (root / DATABASE).is_file():
        return None
    name = params.registry.model
    with reaching(root) as client:
        found = borne_in(client, params, ALIAS)
        if found is None or version not in (None, found.version):
            return None
        with undisturbed():
            client.delete_registered_model_alias(name, ALIAS)
            for tag in (SHARE, SINCE):
                if tag in found.tags:
                    client.delete_model_version_tag(name, found.version, tag)
            if why:
                add_event(client, name, found.version, Event("canary stopped", because=why, by=by))
    return found.version
