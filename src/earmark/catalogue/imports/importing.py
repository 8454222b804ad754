"""Bring a source's recordings into ``data/collections/<name>/``: probed, stored, listed; every entry accounted for.

Importing again into the same name adds to it, and looks only at what is new or has changed. A path that is there
already with the same content stays; with other content it is replaced, as by a copy; the same content under another
path has moved, and takes with it what was known of it. What was imported before and is no longer in the source stays,
for a source may be last week's releases alone, unless the caller wants it taken out. The summary says all of this.

Killed at any moment, even by ``kill -9``, it leaves the old tracks.parquet, which is written last, and copies only
whole ones; of a file that has changed, the new version may be there already. What was found out until then lies in a
journal: the same import again goes on from there, or ``dvc checkout`` of the collection goes back. The result depends
neither on the order in which the disk lists files nor on the number of processes.
"""

import re
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from earmark.audio.decode import AudioInfo
from earmark.catalogue.imports import storing
from earmark.catalogue.imports.inspecting import Finding, Task, inspect_all
from earmark.catalogue.imports.journal import Journal
from earmark.catalogue.imports.places import Places
from earmark.catalogue.imports.refusals import unique, write_refusals
from earmark.catalogue.imports.rows import Rows, with_what_was_known
from earmark.catalogue.imports.since import moves, unlisted
from earmark.catalogue.imports.storing import Store
from earmark.catalogue.imports.summary import ImportResult
from earmark.catalogue.sources.registry import entries_of
from earmark.catalogue.sources.source import LONGEST_NAME, Candidate, Refusal, Source
from earmark.catalogue.track import SCHEMA, read_table, write_tracks
from earmark.errors import CatalogueError
from earmark.files import locked, replacing
from earmark.params import Params
from earmark.progress import progress
from earmark.workers import cores
from earmark.workspace import COLLECTIONS, FEATURE_CACHE, IMPORTS, REFUSED, SONGBOOK, TRACKS

_SCRATCH = ".importing"


def import_collection(
    source: Source,
    root: Path,
    params: Params,
    *,
    name: str | None = None,
    store: Store = "auto",
    prune: bool = False,
    processes: int | None = None,
) -> ImportResult:
    """Import all of ``source``; see this file's opening for what that means.

    Args:
        source: Where the recordings come from.
        root: The project's root.
        params: ``validation.min_duration_s`` is the length below which a recording is refused.
        name: The collection's name; None takes the source's.
        store: ``files`` copies the audio into the collection, ``archives`` packs it there, ``outside`` leaves it where
            it is and keeps its hash; ``auto`` chooses one of the first two by how many files there are.
        prune: Take out what earlier imports from this kind of source have brought and this one does not list.
        processes: How many to decode with; None takes one for each core.

    Returns:
        What was taken and refused in this run, with a `summary` to print.

    Raises:
        CatalogueError: The source is missing, is a file, is laid out otherwise, overlaps with the collection or holds
            no recording that can be used; or the name will not do; or another import into it is under way.
    """
    name = name or source.collection
    _check_name(name)
    folder = root / COLLECTIONS / name
    if isinstance(source.path, Path):
        _check_apart(source.path, folder)
    try:
        with locked(root / IMPORTS / f"{name}.lock", wait=False):
            return _import(source, root, params, folder, store, prune, processes or cores())
    except BlockingIOError:
        raise CatalogueError(
            f"Another import into {name!r} is under way. Wait until it has ended, or give another --name."
        ) from None


def _import(
    source: Source, root: Path, params: Params, folder: Path, store: Store, prune: bool, processes: int
) -> ImportResult:
    before = read_table(folder / TRACKS) if (folder / TRACKS).exists() else SCHEMA.empty_table()
    candidates, refused = unique(entries_of(source))
    if not candidates:
        raise CatalogueError(_nothing(source, refused))
    columns = (before[name].to_pylist() for name in ("track_id", "path", "content_hash"))
    earlier = {track_id: (path, content_hash) for track_id, path, content_hash in zip(*columns, strict=True)}
    store = storing.choose(store, len(candidates), (path for path, _ in earlier.values()))
    scratch = folder / _SCRATCH
    scratch.mkdir(parents=True, exist_ok=True)
    _keep_out_of_git(folder)
    for part in scratch.glob("*.part"):  # of a run that was killed
        shutil.rmtree(part) if part.is_dir() else part.unlink()
    storing.remove_unnamed(folder / "audio", (path for path, _ in earlier.values()))

    rows = Rows(source)
    places = Places(root, folder, scratch, store, earlier)
    journal = Journal(root / IMPORTS / f"{folder.name}.journal", f"shortest {params.validation.min_duration_s} s")
    with journal:
        for candidate, finding in _findings(candidates, journal, places, params.validation.min_duration_s, processes):
            if finding.reason is None:
                try:
                    rows.add(candidate, finding, places.path(candidate))
                    continue
                except CatalogueError as error:
                    finding = Finding(reason=str(error))
            refused.append(Refusal(candidate.path, "ignored" if finding.ignored else "refused", finding.reason or ""))
    taken = rows.table()
    if not len(taken) and not len(before):
        reasons = [refusal for refusal in refused if refusal.kind == "refused"] or refused
        shutil.rmtree(scratch)
        with suppress(OSError):  # another's files may lie there
            folder.rmdir()
        raise CatalogueError(_nothing(source, reasons))

    taken = places.settled(taken)
    taken_ids = taken["track_id"].to_pylist()
    missing = unlisted(before, source.name, candidates, refused)
    moved = moves(before, missing, taken)
    gone = [track_id for track_id in missing if track_id not in moved]
    earlier_id = {new: track_id for track_id, new in moved.items()}
    was = pa.array([earlier_id.get(track_id, track_id) for track_id in taken_ids], pa.string())
    old = before.take(pc.index_in(was, value_set=before["track_id"].combine_chunks()))
    same = pc.equal(old["content_hash"], taken["content_hash"])  # null where there was none before
    replaced = taken["track_id"].filter(pc.fill_null(pc.invert(same), False))
    taken = with_what_was_known(taken, old, pc.fill_null(same, False))
    over = pa.array([*taken_ids, *moved, *(gone if prune else [])], pa.string())
    tracks = pa.concat_tables([before.filter(pc.invert(pc.is_in(before["track_id"], value_set=over))), taken])
    refused.sort(key=lambda refusal: (refusal.path, refusal.kind))
    write_refusals(folder / REFUSED, refused, set(taken_ids), source.origin)
    write_tracks(tracks, folder / TRACKS)
    storing.remove_unused(folder / "audio", root, tracks["path"].to_pylist())
    shutil.rmtree(scratch)
    return ImportResult(
        name=folder.name,
        folder=folder,
        taken=taken,
        refused=tuple(refused),
        replaced=tuple(sorted(replaced.to_pylist())),
        moved=moved,
        gone=tuple(gone),
        pruned=prune,
        total=len(tracks),
        genres=pc.count_distinct(tracks["genre"]).as_py(),
        source=source.describe(),
        licence=source.licence or source.rights,
        citation=source.citation,
    )


def _findings(
    candidates: list[Candidate], journal: Journal, places: Places, shortest_s: float, processes: int
) -> Iterator[tuple[Candidate, Finding]]:
    """What is known of each candidate: given by the source, found out earlier, or found out now by decoding it."""
    left: list[Candidate] = []
    states: list[bytes] = []
    for candidate in candidates:
        known, state = _given(candidate, places), b""
        if not known:
            state = journal.state(candidate.file)
            known = journal.recall(state)
        if known and (known.reason or places.holds(candidate, known.content_hash)):
            yield candidate, known
        else:
            left.append(candidate)
            states.append(state)
    if not left:
        return
    cache = places.root / FEATURE_CACHE
    tasks = [Task(each.file, places.copy(each), places.scratch, shortest_s, cache) for each in left]
    results = inspect_all(tasks, processes=min(processes, len(tasks)))
    for number, finding in progress(results, description="import", total=len(tasks), unit="file"):
        journal.note(states[number], finding)
        yield left[number], finding


def _given(candidate: Candidate, places: Places) -> Finding | None:
    """The facts that a source vouches for; only for what stays outside, because a copy has to be read anyhow."""
    facts = candidate.facts
    if facts is None or places.store != "outside":
        return None
    info = AudioInfo(facts.duration_s, facts.sample_rate_hz, facts.channels, facts.codec)
    return Finding(facts.content_hash, info)


def _keep_out_of_git(folder: Path) -> None:
    """As `dvc add` will, but before the first copy: the audio of an import that was killed is no matter for git."""
    ignore, line = folder.parent / ".gitignore", f"/{folder.name}"
    known = ignore.read_text(encoding="utf-8") if ignore.exists() else ""
    if line not in known.splitlines():
        with replacing(ignore) as part:
            part.write_text(f"{known.rstrip()}\n{line}\n".lstrip(), encoding="utf-8")


def _check_name(name: str) -> None:
    if not re.fullmatch(r"\w[\w.-]*", name) or name.endswith(".dvc") or len(name.encode()) > LONGEST_NAME:
        better = re.sub(r"[^a-z0-9]+", "-", name.lower()[:50]).strip("-") or "mine"
        raise CatalogueError(
            f"{name!r} cannot be a collection's name: it becomes a folder, so up to {LONGEST_NAME} letters, digits, "
            f"'-', '_' and '.' will do. Try --name {better}."
        )
    if name == SONGBOOK:
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
        f"Expected: {source.expects}"
    )
