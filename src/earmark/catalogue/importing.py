"""Bring a source's recordings into ``data/collections/<name>/``: copied, probed, catalogued; every entry accounted for.

Importing again into the same name adds to it. A path that is there already with the same content stays; with other
content it is replaced, as by a copy, and the summary says so. What was imported before and is no longer in the source
stays: a collection is an archive, not a mirror.

Killed at any moment, even by ``kill -9``, it leaves the old catalogue, or the new one: copies take their names only
when whole, and tracks.parquet is written last. What was found out until then lies in a journal, and the next run goes
on from there. The result depends neither on the order in which the disk lists files nor on the number of processes.
"""

import csv
import json
import os
import re
import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import cast

import pyarrow.parquet as pq
import yaml

from earmark.catalogue.inspecting import Finding, Task, inspect_all
from earmark.catalogue.journal import Journal
from earmark.catalogue.sources.source import Candidate, Kind, Refusal, Source
from earmark.catalogue.summary import ImportResult
from earmark.catalogue.tags import artist_group
from earmark.catalogue.track import SCHEMA, Track, read_tracks, write_tracks
from earmark.errors import CatalogueError, ParamsError
from earmark.files import replacing
from earmark.params import Params
from earmark.progress import progress
from earmark.workspace import ANSWERS, COLLECTIONS, PARAMS, REFUSED, TRACKS

_SCRATCH = ".importing"
_RESERVED = "songbook"


def import_collection(
    source: Source, root: Path, params: Params, *, name: str | None = None, processes: int | None = None
) -> ImportResult:
    """Import all of ``source``; see this file's opening for what that means.

    Args:
        source: Where the recordings come from.
        root: The project's root.
        params: ``validation.min_duration_s`` is the length below which a recording is refused.
        name: The collection's name; None takes the source's.
        processes: How many to decode with; None takes one for each core.

    Returns:
        What was taken and refused in this run, with a `summary` to print.

    Raises:
        CatalogueError: The source is missing, is a file, is laid out otherwise, overlaps with the collection or holds
            no recording that can be used; or the name will not do.
    """
    name = name or source.collection
    _check_name(name)
    folder = root / COLLECTIONS / name
    _check_apart(source.path, folder)
    candidates, refused = _unique(source.candidates())
    if not candidates:
        raise CatalogueError(_nothing(source, refused))

    scratch = folder / _SCRATCH
    scratch.mkdir(parents=True, exist_ok=True)
    for part in scratch.glob("*.part"):  # of a run that was killed
        part.unlink()
    before = {track.track_id: track for track in _earlier(folder)}
    findings = _inspect(candidates, folder, scratch, params, processes or len(os.sched_getaffinity(0)))

    taken: list[Track] = []
    for candidate in candidates:
        finding = findings[candidate.path]
        if finding.reason is None:
            taken.append(_track(candidate, finding, source, (folder / "audio" / candidate.path).relative_to(root)))
        else:
            refused.append(Refusal(candidate.path, "ignored" if finding.ignored else "refused", finding.reason))
    if not taken and not before:
        reasons = [refusal for refusal in refused if refusal.kind == "refused"] or refused
        shutil.rmtree(scratch)
        with suppress(OSError):  # another's files may lie there
            folder.rmdir()
        raise CatalogueError(_nothing(source, reasons))

    replaced = tuple(
        track.track_id
        for track in taken
        if track.track_id in before and before[track.track_id].content_hash != track.content_hash
    )
    tracks = before | {track.track_id: track for track in taken}
    answered = source.answers(tracks)
    if answered is not None:
        answers, without_track = answered
        refused += without_track
        with replacing(folder / ANSWERS) as part:
            answers.to_parquet(part, index=False)
    refused.sort(key=lambda refusal: (refusal.path, refusal.kind))
    _write_refused(_merged(folder / REFUSED, refused, taken, answered=answered is not None), folder / REFUSED)
    write_tracks(tracks.values(), folder / TRACKS)
    shutil.rmtree(scratch)
    return ImportResult(
        name=name,
        folder=folder,
        taken=tuple(taken),
        refused=tuple(refused),
        replaced=replaced,
        total=len(tracks),
        source=source.describe(),
        licence=source.licence,
        citation=source.citation,
    )


def _inspect(
    candidates: list[Candidate], folder: Path, scratch: Path, params: Params, processes: int
) -> dict[str, Finding]:
    shortest_s = params.validation.min_duration_s
    with Journal(scratch / "journal.jsonl", f"shortest {shortest_s} s") as journal:
        findings: dict[str, Finding] = {}
        for candidate in candidates:
            known = journal.recall(candidate.file)
            if known and (known.reason or (folder / "audio" / candidate.path).is_file()):
                findings[candidate.path] = known
        left = [candidate for candidate in candidates if candidate.path not in findings]
        tasks = [Task(each.file, folder / "audio" / each.path, scratch, shortest_s) for each in left]
        results = inspect_all(tasks, processes=min(processes, max(1, len(tasks))))
        for number, finding in progress(results, description="import", total=len(tasks), unit="file"):
            journal.note(left[number].file, finding)
            findings[left[number].path] = finding
        return findings


def _track(candidate: Candidate, finding: Finding, source: Source, path: Path) -> Track:
    assert finding.info is not None
    return Track(
        track_id=candidate.path,
        path=path.as_posix(),
        content_hash=finding.content_hash,
        duration_s=finding.info.duration_s,
        sample_rate_hz=finding.info.sample_rate_hz,
        channels=finding.info.channels,
        codec=finding.info.codec,
        source=source.name,
        group=artist_group(finding.tags.artist, candidate.path),
        genre=candidate.genre,
        title=finding.tags.title,
        artist=finding.tags.artist,
        album=finding.tags.album,
        isrc=finding.tags.isrc,
        licence=source.licence,
        split=candidate.split,
    )


def _unique(entries: Iterable[Candidate | Refusal]) -> tuple[list[Candidate], list[Refusal]]:
    """Candidates and refusals, apart; of two names that become the same text, the first is taken."""
    candidates: dict[str, Candidate] = {}
    refused: list[Refusal] = []
    for entry in entries:
        if isinstance(entry, Refusal):
            refused.append(entry)
        elif entry.path in candidates:
            refused.append(Refusal(entry.path, "refused", "another file's name reads the same; rename one of them"))
        else:
            candidates[entry.path] = entry
    return list(candidates.values()), refused


def _earlier(folder: Path) -> list[Track]:
    if not (folder / TRACKS).exists():
        return []
    read_tracks(folder / TRACKS)  # says so if it is of another version
    rows = pq.read_table(folder / TRACKS).select(SCHEMA.names).to_pylist()
    return [Track(**{**row, "tags": tuple(row["tags"] or ())}) for row in rows]


def _merged(path: Path, refused: list[Refusal], taken: list[Track], *, answered: bool) -> list[Refusal]:
    """Refusals of this run, and those of earlier runs that this one says nothing about."""
    known = {refusal.path for refusal in refused} | {track.track_id for track in taken}
    earlier = []
    if path.exists():
        with path.open(encoding="utf-8", newline="") as file:
            earlier = [
                Refusal(row["path"], cast(Kind, row["kind"]), row["reason"])
                for row in csv.DictReader(file)
                if row["path"] not in known and not (answered and row["kind"] == "answer")
            ]
    return sorted([*refused, *earlier], key=lambda refusal: (refusal.path, refusal.kind))


def _write_refused(refused: list[Refusal], path: Path) -> None:
    with replacing(path) as part, part.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["path", "kind", "reason"])
        rows.writerows((refusal.path, refusal.kind, refusal.reason) for refusal in refused)


def _check_name(name: str) -> None:
    if not re.fullmatch(r"\w[\w.-]*", name) or name.endswith(".dvc"):
        raise CatalogueError(
            f"{name!r} cannot be a collection's name: it becomes a folder, so letters, digits, '-', '_' and '.' will "
            f"do. Try --name {re.sub(r'[^a-z0-9]+', '-', name.lower()).strip('-') or 'mine'}."
        )
    if name == _RESERVED:
        raise CatalogueError(
            f"{name!r} is the embedded sample, made by `earmark import songbook`. Give another --name."
        )


def _check_apart(path: Path, folder: Path) -> None:
    inner, outer = path.resolve(), folder.resolve()
    if inner == outer or outer in inner.parents:
        raise CatalogueError(
            f"{path} lies inside the collection {folder} itself. Import from a folder outside the project's data."
        )
    if inner in outer.parents:
        raise CatalogueError(
            f"{path} holds the collection {folder} itself, so the import would import its own copies. "
            "Import from a folder outside the project."
        )


def _nothing(source: Source, refused: list[Refusal]) -> str:
    shown = "; ".join(f"{refusal.path}: {refusal.reason}" for refusal in refused[:3]) or "it is empty"
    more = f"; and {len(refused) - 3} more" if len(refused) > 3 else ""
    return (
        f"No recording that can be used was found in {source.path} ({len(refused)} entries: {shown}{more}). "
        "Expected are folders named by genre with audio files in them."
    )


def use_collection(root: Path, name: str) -> None:
    """Make ``name`` the catalogue in params.yaml; every other line, and the comments, stay as they are.

    Raises:
        ParamsError: params.yaml has no line ``collection:`` under ``catalogue:``.
    """
    path = root / PARAMS
    text = path.read_text(encoding="utf-8")
    # Within the section: what is indented, empty or a comment, until the line.
    line = re.compile(
        r"(^catalogue:[^\n]*\n(?:[ \t#][^\n]*\n|\n)*?[ \t]+collection:[ \t]*)([^\s#]+|'[^'\n]*'|\"[^\"\n]*\")([ \t]*)",
        re.M,
    )
    found = line.search(text)
    if not found:
        raise ParamsError(f"{path} has no line `collection:` under `catalogue:`. Write there: collection: {name}")
    value = name if yaml.safe_load(name) == name else json.dumps(name)  # a name such as 2024 must stay text
    room = len(found[2]) + len(found[3])  # keeps a comment in its column
    gap = " " * max(room - len(value), 1) if found[3] else ""
    changed = text[: found.start()] + found[1] + value + gap + text[found.end() :]
    if changed != text:
        with replacing(path) as part:
            part.write_text(changed, encoding="utf-8")
