"""A collection at a git revision: git knows its hash, DVC has the bytes, in its cache or on the remote."""

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from earmark.adapters import dvc, git
from earmark.adapters.git import Commit
from earmark.catalogue.changes import Changes, compare
from earmark.catalogue.track import SCHEMA, read_table
from earmark.errors import CatalogueError, ToolError
from earmark.workspace import COLLECTIONS, TRACKS

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Entry:
    """One line of a collection's history.

    Attributes:
        commit: What git knows of it.
        changes: Against its first parent; None where one of the two versions is nowhere to be had.
        total: Tracks after it; None where that is not to be had.
        problem: Why something is not to be had.
    """

    commit: Commit
    changes: Changes | None
    total: int | None
    problem: str = ""


class Versions:
    """The versions of one collection.

    Args:
        root: The project's folder.
        name: The collection's.

    Raises:
        ToolError: ``root`` is in no git repository.
    """

    def __init__(self, root: Path, name: str) -> None:
        git.check_repository(root)
        self.root, self.name = root, name
        self.folder = COLLECTIONS / name
        # Neighbours in a history share a version, and a version may be large.
        self._by_hash = lru_cache(maxsize=2)(self._fetch)

    def workspace(self) -> "pa.Table":
        """The tracks as they lie here; none where there is no such collection.

        Raises:
            ToolError: DVC has recorded the collection, but its data is not here.
        """
        if (self.root / self.folder / TRACKS).is_file():
            return read_table(self.root / self.folder / TRACKS)
        try:
            dvc.data_hash(self.root, self.folder)
        except ToolError:
            return SCHEMA.empty_table()
        raise ToolError(
            f"DVC has recorded the collection {self.name!r}, but {self.folder / TRACKS} is not here. "
            f"`dvc checkout {self.folder}` or `dvc pull {self.folder}` brings it."
        )

    def at(self, revision: str) -> "pa.Table":
        """The tracks at a git revision; none where the collection did not exist then.

        Raises:
            ToolError: There is no such revision, or its data is neither in the cache nor on the remote.
        """
        commit = git.resolve(self.root, revision)
        digest = self._hash(commit)
        return SCHEMA.empty_table() if digest is None else self._by_hash(digest, commit)

    def log(self) -> Iterator[Entry]:
        """Every commit up to HEAD that changed the collection, newest first."""
        head = git.resolve(self.root, "HEAD")
        for commit in git.commits(self.root, head, dvc.records_of(self.folder)):
            before = self._hash(commit.parent) if commit.parent else None
            after = self._hash(commit.id)
            if before != after:
                yield self._entry(commit)

    def _entry(self, commit: Commit) -> Entry:
        total = None
        try:
            new = self.at(commit.id)
            total = len(new)
            old = self.at(commit.parent) if commit.parent else SCHEMA.empty_table()
            return Entry(commit, compare(old, new), total)
        except (ToolError, CatalogueError) as error:
            return Entry(commit, None, total, str(error))

    def _hash(self, commit: str) -> str | None:
        try:
            return dvc.recorded_hash(self.folder, lambda file: git.text_at(self.root, commit, file))
        except Exception as error:  # a merge conflict that was committed, or another version's form
            raise ToolError(
                f"What DVC recorded of the collection {self.name!r} at {commit[:7]} cannot be read "
                f"({type(error).__name__}): see `git show {commit[:7]}:./{self.folder}.dvc`."
            ) from error

    def _fetch(self, digest: str, commit: str) -> "pa.Table":
        from dvc.fs import DVCFileSystem, GitFileSystem
        from dvc.repo import Repo

        with tempfile.TemporaryDirectory(prefix="earmark-") as folder:
            copy = Path(folder) / TRACKS
            try:
                with Repo(str(self.root)) as now:
                    # Caches and remotes lie where they are today, not where they were then.
                    config: dict[str, Any] = {part: dict(now.config[part]) for part in ("core", "cache", "remote")}
                    inside = "/" + os.path.relpath(now.root_dir, now.scm.root_dir)
                    files = GitFileSystem(scm=now.scm, rev=commit)
                    with Repo(os.path.normpath(inside), fs=files, scm=now.scm, config=config) as then:
                        DVCFileSystem(repo=then).get_file((self.folder / TRACKS).as_posix(), str(copy), cache=True)
            except Exception as error:  # whatever a remote may raise
                raise _unavailable(self.name, digest, commit, error) from error
            try:
                return read_table(copy)
            except CatalogueError as error:
                raise CatalogueError(f"The collection {self.name!r} of {commit[:7]} cannot be read: {error}") from None


def _unavailable(name: str, digest: str, commit: str, error: Exception) -> ToolError:
    from dvc_data.index import DataIndexDirError

    cause = (error.__cause__ or error) if isinstance(error, DataIndexDirError) else error
    if isinstance(cause, FileNotFoundError):
        return ToolError(
            f"The collection {name!r} of {commit[:7]} (DVC's hash {digest[:12]}…) is nowhere to be had: neither in "
            "DVC's cache nor on its remote. `dvc push` saves only what is in use when it runs; a copy of the project "
            "that still has this version can `dvc push --all-commits`."
        )
    return ToolError(
        f"The collection {name!r} of {commit[:7]} cannot be fetched ({type(cause).__name__}: {cause}). "
        + dvc.remedy(str(cause))
    )


def known_collections(root: Path) -> list[str]:
    """Names of the collections that lie in the workspace or are recorded there."""
    folder = root / COLLECTIONS
    if not folder.is_dir():
        return []
    return sorted(
        {each.name.removesuffix(".dvc") for each in folder.iterdir() if each.is_dir() or each.suffix == ".dvc"}
    )
