"""git, as far as a catalogue's history needs it: revisions, the commits that touched a file, a file at a revision."""

import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from earmark.errors import ToolError


@dataclass(frozen=True)
class Commit:
    """One commit: full id, that of its first parent (None for the first of all), author's date and name, subject."""

    id: str
    parent: str | None
    at: datetime
    author: str
    subject: str


def resolve(root: Path, revision: str) -> str:
    """The full id of the commit that ``revision`` names: a branch, a tag, ``HEAD~2`` or the beginning of an id.

    Raises:
        ToolError: ``root`` is in no git repository, or git knows no such commit.
    """
    check_repository(root)
    asked = _git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", revision + "^{commit}")
    if asked.returncode == 0:
        return asked.stdout.strip()
    if _git(root, "rev-parse", "--verify", "--quiet", "HEAD").returncode != 0:
        raise ToolError(
            f"The git repository of {root} has no commit yet, so there is no version to look at: git commit."
        )
    raise ToolError(
        f"git knows no revision {revision!r} in {root}. Give a branch, a tag, an id as in `git log --oneline`, or "
        "HEAD~1 for the commit before the last. In a shallow clone, `git fetch --unshallow` brings the older ones."
    )


def check_repository(root: Path) -> None:
    """Raise where there is no git.

    Raises:
        ToolError: ``root`` is in no git repository, or git is not installed.
    """
    asked = _git(root, "rev-parse", "--is-inside-work-tree")
    if asked.returncode == 0:
        return
    if "dubious ownership" in asked.stderr:
        raise ToolError(
            f"git refuses to look into {root}, because it belongs to another user. It says: {asked.stderr.strip()}"
        )
    raise ToolError(
        f"{root} is not in a git repository, and git is what knows a catalogue's earlier versions. "
        "Was the project copied rather than cloned? Clone it, or run `git init` and commit there."
    )


def commits(root: Path, revision: str | None, files: Sequence[Path]) -> Iterator[Commit]:
    """The commits up to ``revision`` that changed one of ``files`` (relative to ``root``), newest first; None: all."""
    fields = "%x00".join(("%H", "%P", "%aI", "%an", "%s"))
    paths = [file.as_posix() for file in files]
    which = ["--all"] if revision is None else ["--end-of-options", revision]
    said = _git(root, "--literal-pathspecs", "log", f"--format={fields}", *which, "--", *paths)
    if said.returncode != 0:
        raise ToolError(f"`git log` fails in {root}: {said.stderr.strip()}")
    for line in said.stdout.splitlines():
        commit, parents, at, author, subject = line.split("\0")
        yield Commit(commit, parents.split()[0] if parents else None, datetime.fromisoformat(at), author, subject)


def text_at(root: Path, commit: str, file: Path) -> str:
    """``file`` (relative to ``root``) as it was at ``commit``; empty where it was not there."""
    said = _git(root, "show", f"{commit}:./{file.as_posix()}")
    return said.stdout if said.returncode == 0 else ""


def _git(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            ["git", *arguments], cwd=root, capture_output=True, encoding="utf-8", errors="replace", check=False
        )
    except FileNotFoundError:
        raise ToolError("There is no git on this machine's PATH. Install it: apt-get install git") from None
