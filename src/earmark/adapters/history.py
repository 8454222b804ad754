"""`earmark catalogue log` and `diff`: a collection's history as lines to print."""

import json
from collections.abc import Iterator
from pathlib import Path

from earmark.adapters import git
from earmark.adapters.versions import Entry, Versions, known_collections
from earmark.catalogue.change_report import lines_of_json, text
from earmark.catalogue.changes import compare
from earmark.errors import CatalogueError, ToolError
from earmark.workspace import LISTENING, SNAPSHOTS

_ID_DIGITS = 7


def log(root: Path, name: str, *, as_json: bool) -> Iterator[str]:
    """One line for each commit that changed the collection ``name``, newest first.

    Raises:
        CatalogueError: No commit has such a collection.
        ToolError: ``root`` is in no git repository, or has no commit.
    """
    versions = Versions(root, name)
    empty = True
    for entry in versions.log():
        empty = False
        yield _as_json(entry) if as_json else _as_line(entry)
    if empty:
        raise _unknown(root, name, "No commit up to HEAD")


def diff(root: Path, name: str, old: str, new: str | None, *, whole: bool, as_json: bool) -> Iterator[str]:
    """What came, went or changed in the collection ``name`` from revision ``old`` to ``new`` (None: the workspace).

    Raises:
        CatalogueError: Neither has such a collection.
        ToolError: ``root`` is in no git repository, a revision is unknown, or its data is nowhere to be had.
    """
    versions = Versions(root, name)
    before, after = versions.at(old), versions.workspace() if new is None else versions.at(new)
    then, now = _called(root, old), "the workspace" if new is None else _called(root, new)
    if not len(before) and not len(after):
        raise _unknown(root, name, f"Neither {then} nor {now}")
    changes = compare(before, after)
    if as_json:
        yield from lines_of_json(changes)
        return
    yield f"{name}: {then} → {now}, {_total(len(before))} → {_total(len(after))}"
    if changes:
        yield from text(changes, whole=whole)
    else:
        yield "no difference"


def snapshots_before(root: Path) -> Iterator[str]:
    """Which commits hold a snapshot of feedback, and how their data are done away with: for who forgets a listener."""
    record = (SNAPSHOTS / LISTENING).with_name(LISTENING + ".dvc")
    try:
        found = list(git.commits(root, None, [record]))
    except ToolError:
        found = []
    where = "No commit holds a snapshot of feedback yet."
    if found:
        newest, oldest = (f"{each.id[:_ID_DIGITS]} ({each.at:%Y-%m-%d})" for each in (found[0], found[-1]))
        those = f"The commit {newest}" if len(found) == 1 else f"{len(found)} commits, {oldest} to {newest},"
        where = f"{those} may hold it in snapshots of feedback: in DVC's remotes, and in other people's copies."
    yield (
        f"What the listener did may still be in earlier versions, under the keyed hash: in DVC's cache here. {where}"
    )
    yield (
        "To remove it there too: `earmark feedback snapshot`, `dvc repro`, commit, then `dvc gc --workspace --cloud` "
        "here (it keeps only what the workspace needs), and `dvc gc --workspace` in every other copy. Models that "
        "learnt from it are trained anew by `dvc repro`; registered versions are not. Exports (inbox/) are yours to "
        "delete."
    )


def _as_line(entry: Entry) -> str:
    commit, changes = entry.commit, entry.changes
    counted = "its data cannot be had (--json says why)"
    if changes is not None:
        counted = f"+{len(changes.came):,} −{len(changes.went):,} ~{len(changes.after):,}"
    total = "" if entry.total is None else _total(entry.total)
    return (
        f"{commit.id[:_ID_DIGITS]}  {commit.at:%Y-%m-%d}  {counted:14}  {total:>12}  {commit.author}: {commit.subject}"
    )


def _as_json(entry: Entry) -> str:
    commit, changes = entry.commit, entry.changes
    content: dict[str, object] = {
        "commit": commit.id,
        "at": commit.at.isoformat(),
        "author": commit.author,
        "subject": commit.subject,
        "total": entry.total,
    }
    if changes is None:
        content["problem"] = entry.problem
    else:
        content |= {
            "came": len(changes.came),
            "went": len(changes.went),
            "moved": changes.moved,
            "changed": changes.changed,
        }
    return json.dumps(content, ensure_ascii=False)


def _called(root: Path, revision: str) -> str:
    short = git.resolve(root, revision)[:_ID_DIGITS]
    return short if short == revision[:_ID_DIGITS] else f"{revision} ({short})"


def _total(count: int) -> str:
    return f"{count:,} track" + ("" if count == 1 else "s")


def _unknown(root: Path, name: str, where: str) -> CatalogueError:
    here = ", ".join(known_collections(root)) or "none"
    return CatalogueError(
        f"{where} has tracks of a collection {name!r}. Collections in this project: {here}. Give another with "
        "--collection; a version is there once the collection's .dvc file (for the songbook, data/dvc.lock) is "
        "committed to git."
    )
