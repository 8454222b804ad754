"""Where a result comes from: git commit, DVC's hashes of the data, flow run, and a fingerprint of the result itself."""

import hashlib
import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import yaml

from earmark.params import Params, to_dict
from earmark.workspace import (
    CATALOGUE,
    COLLECTIONS,
    EXAMPLES,
    LEARNING_CURVE,
    METRICS,
    MODELS,
    NEIGHBOURS,
    PREDICTIONS,
    SPLITS,
)

# Changing what the service accepts, or a name in the registry, makes no other model.
_OF_NO_EFFECT = ("service", "rollout", "registry", "gates", "tuning")

FLOW_RUN = "PREFECT__FLOW_RUN_ID"  # in the environment of what Prefect, or one of our flows, starts


@dataclass(frozen=True)
class Lineage:
    """What a run is made from.

    Attributes:
        fingerprint: SHA-256 of models, what travels with them, metrics and parameters: equal results have equal ones.
        git_commit: The commit checked out, or None outside a git repository.
        git_dirty: Whether tracked files differ from that commit.
        collection: Name of the collection.
        collection_md5: DVC's hash of the collection's folder, or None where DVC has not recorded one.
        catalogue_md5: DVC's hash of data/catalogue.parquet.
        splits_md5: DVC's hash of data/splits.parquet.
        flow_run: The id of the Prefect flow run that it happens in, or None outside of one.
    """

    fingerprint: str
    git_commit: str | None
    git_dirty: bool
    collection: str
    collection_md5: str | None
    catalogue_md5: str
    splits_md5: str
    flow_run: str | None = None

    def tags(self) -> dict[str, str]:
        """As tags of a run or of a model version."""
        tags = {
            "fingerprint": self.fingerprint,
            "data.collection": self.collection,
            "data.collection_md5": self.collection_md5,
            "data.catalogue_md5": self.catalogue_md5,
            "data.splits_md5": self.splits_md5,
            "git.dirty": str(self.git_dirty).lower() if self.git_commit else None,
            "git.commit": self.git_commit,
            "prefect.flow_run_id": self.flow_run,
        }
        return {name: value for name, value in tags.items() if value is not None}


def lineage_of(params: Params, root: Path) -> Lineage:
    """The lineage of what lies in ``root`` now."""
    commit = _git(root, "rev-parse", "HEAD")
    collection = COLLECTIONS / params.catalogue.collection
    return Lineage(
        fingerprint=_fingerprint(params, root),
        git_commit=commit,
        # DVC rewrites its locks while it runs: they say what was made, not what it was made with.
        git_dirty=bool(_git(root, "status", "--porcelain", "--untracked-files=no", "--", ".", ":!*dvc.lock")),
        collection=params.catalogue.collection,
        collection_md5=_locked_md5(root, collection),
        catalogue_md5=_md5(root / CATALOGUE),
        splits_md5=_md5(root / SPLITS),
        flow_run=os.environ.get(FLOW_RUN) or None,
    )


def _fingerprint(params: Params, root: Path) -> str:
    sections = {name: values for name, values in to_dict(params).items() if name not in _OF_NO_EFFECT}
    total = hashlib.sha256(json.dumps(sections, sort_keys=True).encode())
    paths = [METRICS, LEARNING_CURVE, PREDICTIONS]
    for folder in (*MODELS.values(), NEIGHBOURS, EXAMPLES):
        paths += [path.relative_to(root) for path in sorted((root / folder).rglob("*")) if path.is_file()]
    for path in paths:
        total.update(path.as_posix().encode() + b"\0" + _digest(root / path, "sha256").encode())
    return total.hexdigest()


def _md5(path: Path) -> str:
    """MD5 of a file's bytes: what DVC calls the file's version."""
    return _digest(path, "md5")


def _digest(path: Path, method: str) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, method).hexdigest()


def _locked_md5(root: Path, path: Path) -> str | None:
    """DVC's hash of a folder that a stage depends on, as dvc.lock has it."""
    try:
        lock = yaml.safe_load((root / "dvc.lock").read_text(encoding="utf-8")) or {}
    except FileNotFoundError:
        return None
    for stage in lock.get("stages", {}).values():
        for dependency in stage.get("deps", []):
            if dependency.get("path") == path.as_posix():
                return str(dependency["md5"])
    return None


def _git(root: Path, *arguments: str) -> str | None:
    try:
        ended = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return None
    return ended.stdout.strip()
