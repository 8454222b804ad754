"""Predictors on their way out of the registry: into a folder, and into models/champion for `bentoml build`.

What was packed beside a predictor (`earmark.model.beside`) comes with it.
"""

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from earmark.adapters.tracking import ARTEFACTS, artefacts_of, embedded, tracking_uri
from earmark.errors import RegistryError
from earmark.files import write_json
from earmark.model.beside import NOTE
from earmark.workspace import CHAMPION

if TYPE_CHECKING:
    from mlflow import MlflowClient


@dataclass(frozen=True)
class ChampionInfo:
    """A version that was fetched: its predictor lies in ``folder``."""

    version: str
    run_id: str | None
    folder: Path


def ship(client: "MlflowClient", name: str, version: str, root: Path, into: Path) -> ChampionInfo:
    """Copy the predictor of ``version`` into the folder ``into``.

    Raises:
        RegistryError: Its artefacts hold no predictor.
    """
    found = client.get_model_version(name, version)
    uri = present_location(client.get_model_version_download_uri(name, version), root)
    if not download(uri, root, into):
        raise RegistryError(
            f"Version {version} of {name!r} holds no predictor at {uri}. Its artefacts were removed, or it was "
            "registered by another program. Promote another version."
        )
    return ChampionInfo(version=version, run_id=found.run_id or None, folder=into)


def download(uri: str, root: Path, into: Path) -> bool:
    """Copy the predictor among the artefacts at ``uri`` into the folder ``into``; whether there was one.

    Of a blend it is the whole, and not one of its parts.
    """
    import mlflow

    into.mkdir(parents=True, exist_ok=True)
    where = {"tracking_uri": tracking_uri(root)}
    # Most files are earmark's code, for programs that have none; over a network they would take seconds.
    listed = mlflow.artifacts.list_artifacts(artifact_uri=uri, **where)
    if any(each.is_dir and Path(each.path).name == "data" for each in listed):
        uri = f"{uri.rstrip('/')}/data"
    with tempfile.TemporaryDirectory(dir=into.parent, prefix=f".{into.name}.") as staging:
        mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=staging, **where)
        about = min(Path(staging).rglob("predictor.json"), key=lambda path: len(path.parts), default=None)
        if about is not None:
            shutil.copytree(about.parent, into, dirs_exist_ok=True)
    return about is not None


def present_location(uri: str, root: Path) -> str:
    """``uri``, or where it lies now: MLflow's database holds absolute paths, and projects are moved."""
    marker = f"/{ARTEFACTS}/"
    if not embedded(root) or marker not in uri:
        return uri
    moved = artefacts_of(root) / uri.rpartition(marker)[2]
    return moved.resolve().as_uri() if moved.is_dir() else uri


def export(
    client: "MlflowClient",
    name: str,
    info: ChampionInfo,
    root: Path,
    since: str,
    more: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Put the fetched predictor into models/champion, with a note of where it comes from.

    The note has all that a service without a registry in sight needs to tell: the version's tags, when it was
    registered, and since when it is champion.

    Args:
        client: Of the registry.
        name: Of the registered model.
        info: What was fetched.
        root: The project's folder.
        since: When it becomes champion, in UTC.
        more: Tags that the version is about to get.
    """
    found = client.get_model_version(name, info.version)
    tags: dict[str, str] = {**found.tags, **more}
    registered = datetime.fromtimestamp(found.creation_timestamp / 1000, UTC)
    write_json(
        info.folder / NOTE,
        {
            "model": name,
            "version": info.version,
            "run_id": info.run_id,
            "kind": tags.get("kind"),
            "git_commit": tags.get("git.commit"),
            "data_hash": tags.get("data.catalogue_md5"),
            "registered": registered.isoformat(timespec="milliseconds"),
            "since": since,
            "tags": dict(sorted(tags.items())),
        },
    )
    replace_folder(root / CHAMPION, info.folder)


def replace_folder(target: Path, source: Path) -> None:
    """Copy ``source`` beside ``target``, then let it take its place; killed in between, the old one is found again."""
    target.parent.mkdir(parents=True, exist_ok=True)
    new, old = target.with_name(f".{target.name}.new"), target.with_name(f".{target.name}.old")
    shutil.rmtree(new, ignore_errors=True)
    shutil.copytree(source, new)
    if target.exists():
        shutil.rmtree(old, ignore_errors=True)
        target.rename(old)
    new.rename(target)
    shutil.rmtree(old, ignore_errors=True)
