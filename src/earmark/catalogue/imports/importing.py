"""Bring a source's recordings into ``data/collections/<name>/``: probed, stored, listed; every entry accounted for.

Importing again into the same name adds to it, and looks only at what is new or has changed. A path that is there
already with the same content stays; with other content it is replaced, as by a copy, and the summary says so. What was
imported before and is no longer in the source stays: a collection is an archive, not a mirror.

Killed at any moment, even by ``kill -9``, it leaves the old catalogue, or the new one: copies take their names only
when whole, and tracks.parquet is written last. What was found out until then lies in a journal, and the next run goes
on from there. The result depends neither on the order in which the disk lists files nor on the number of processes.
"""

import csv
import dataclasses
import json
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import pyarrow.compute as pc
import yaml

from earmark.audio.decode import AudioInfo
from earmark.audio.metering import Measures
from earmark.catalogue.imports import storing
from earmark.catalogue.imports.inspecting import Finding, Task, inspect_all
from earmark.catalogue.imports.journal import Journal
from earmark.catalogue.imports.storing import Packed, Store
from earmark.catalogue.imports.summary import ImportResult
from earmark.catalogue.sources.source import Candidate, Kind, Refusal, Source
from earmark.catalogue.tags import artist_group
from earmark.catalogue.track import SCHEMA, read_table, write_tracks
from earmark.errors import CatalogueError, ParamsError
from earmark.files import locked, replacing, sha256_of
from earmark.params import Params
from earmark.progress import progress
from earmark.workers import cores
from earmark.workspace import ANSWERS, COLLECTIONS, FEATURE_CACHE, IMPORTS, PARAMS, REFUSED, TRACKS

_SCRATCH = ".importing"
_RESERVED = "songbook"
_ROWS_A_PART = 10_000


def import_collection(
    source: Source,
    root: Path,
    params: Params,
    *,
    name: str | None = None,
    store: Store = "auto",
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
            return _import(source, root, params, folder, store, processes or cores())
    except BlockingIOError:
        raise CatalogueError(
            f"Another import into {name!r} is under way. Wait until it has ended, or give another --name."
        ) from None


def _import(source: Source, root: Path, params: Params, folder: Path, store: Store, processes: int) -> ImportResult:
    before = read_table(folder / TRACKS) if (folder / TRACKS).exists() else SCHEMA.empty_table()
    candidates, refused = _unique(source.candidates())
    if not candidates:
        raise CatalogueError(_nothing(source, refused))
    columns = (before[name].to_pylist() for name in ("track_id", "path", "content_hash"))
    earlier = {track_id: (path, content_hash) for track_id, path, content_hash in zip(*columns, strict=True)}
    store = storing.choose(store, len(candidates), (path for path, _ in earlier.values()))
    scratch = folder / _SCRATCH
    scratch.mkdir(parents=True, exist_ok=True)
    for part in scratch.glob("*.part"):  # of a run that was killed
        shutil.rmtree(part) if part.is_dir() else part.unlink()
    storing.remove_unnamed(folder / "audio", (path for path, _ in earlier.values()))

    rows = _Rows(source)
    places = _Places(root, folder, scratch, store, earlier)
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
    old = before.take(pc.index_in(taken["track_id"], value_set=before["track_id"].combine_chunks()))
    same = pc.equal(old["content_hash"], taken["content_hash"])  # null where there was none before
    replaced = taken["track_id"].filter(pc.fill_null(pc.invert(same), False))
    taken = _with_what_was_known(taken, old, pc.fill_null(same, False))
    kept = before.filter(pc.invert(pc.is_in(before["track_id"], value_set=taken["track_id"].combine_chunks())))
    tracks = pa.concat_tables([kept, taken])
    answered = source.answers(tracks["track_id"].to_pylist())
    if answered is not None:
        answers, without_track = answered
        refused += without_track
        with replacing(folder / ANSWERS) as part:
            answers.to_parquet(part, index=False)
    refused.sort(key=lambda refusal: (refusal.path, refusal.kind))
    known = {refusal.path for refusal in refused} | set(taken["track_id"].to_pylist())
    _write_refused(_merged(folder / REFUSED, refused, known, answered=answered is not None), folder / REFUSED)
    write_tracks(tracks, folder / TRACKS)
    shutil.rmtree(scratch)
    return ImportResult(
        name=folder.name,
        folder=folder,
        taken=taken,
        refused=tuple(refused),
        replaced=tuple(sorted(replaced.to_pylist())),
        total=len(tracks),
        source=source.describe(),
        licence=source.licence or source.rights,
        citation=source.citation,
    )


def _with_what_was_known(taken: pa.Table, old: pa.Table, same: pa.ChunkedArray) -> pa.Table:
    """Where the source says nothing of a recording that has not changed, what was known of it stays.

    That is what `earmark label` has brought, genres among the tags included, and what was measured.
    """
    for name in ("genre", "title", "artist", "album", "isrc", *(field.name for field in dataclasses.fields(Measures))):
        known = pc.if_else(same, old[name], None)
        place = taken.schema.get_field_index(name)
        if name == "artist":  # who is known now belongs to a group of his own
            newly = pc.and_(pc.is_null(taken[name]), pc.is_valid(known))
            group = taken.schema.get_field_index("group")
            taken = taken.set_column(group, SCHEMA.field("group"), pc.if_else(newly, old["group"], taken["group"]))
        taken = taken.set_column(place, SCHEMA.field(name), pc.coalesce(taken[name], known))
    tags = taken["tags"].to_pylist()
    for row, (known, unchanged) in enumerate(zip(old["tags"].to_pylist(), same.to_pylist(), strict=True)):
        if unchanged and known:
            tags[row] = list(dict.fromkeys([*tags[row], *(tag for tag in known if tag.startswith("genre---"))]))
    return taken.set_column(
        taken.schema.get_field_index("tags"), SCHEMA.field("tags"), pa.array(tags, SCHEMA.field("tags").type)
    )


def _findings(
    candidates: list[Candidate], journal: Journal, places: "_Places", shortest_s: float, processes: int
) -> Iterator[tuple[Candidate, Finding]]:
    """What is known of each candidate: given by the source, found out earlier, or found out now by decoding it."""
    left: list[Candidate] = []
    for candidate in candidates:
        known = _given(candidate, places) or journal.recall(candidate.file)
        if known and (known.reason or places.holds(candidate, known.content_hash)):
            yield candidate, known
        else:
            left.append(candidate)
    if not left:
        return
    cache = places.root / FEATURE_CACHE
    tasks = [Task(each.file, places.copy(each), places.scratch, shortest_s, cache) for each in left]
    results = inspect_all(tasks, processes=min(processes, len(tasks)))
    for number, finding in progress(results, description="import", total=len(tasks), unit="file"):
        journal.note(left[number].file, finding)
        yield left[number], finding


def _given(candidate: Candidate, places: "_Places") -> Finding | None:
    """The facts that a source vouches for; only for what stays outside, because a copy has to be read anyhow."""
    facts = candidate.facts
    if facts is None or places.store != "outside":
        return None
    info = AudioInfo(facts.duration_s, facts.sample_rate_hz, facts.channels, facts.codec)
    return Finding(facts.content_hash, info)


class _Places:
    """Where the audio of this import goes, and where it is already."""

    def __init__(
        self, root: Path, folder: Path, scratch: Path, store: Store, earlier: dict[str, tuple[str, str]]
    ) -> None:
        self.root, self.folder, self.scratch, self.store = root, folder, scratch, store
        self._earlier = earlier  # track_id → path and content hash, before this import
        self._waiting = scratch / "kept"  # for archives: whole copies, until all are there

    def copy(self, candidate: Candidate) -> Path | None:
        """Where to copy it, or None if it stays outside."""
        if self.store == "outside":
            return None
        return (self.folder / "audio" if self.store == "files" else self._waiting) / candidate.path

    def holds(self, candidate: Candidate, content_hash: str) -> bool:
        """Whether this very content lies where this import wants it, or where an earlier one has put it."""
        copy = self.copy(candidate)
        if copy is None or self._stays(candidate.path, content_hash):
            return True
        return copy.is_file() and sha256_of(copy) == content_hash  # of a run that was killed

    def path(self, candidate: Candidate) -> str:
        """Its ``Track.path``, as far as it is known yet; archives are packed at the end, by `settled`."""
        if self.store == "outside":
            return storing.outside(candidate.file)
        return (self.folder / "audio" / candidate.path).relative_to(self.root).as_posix()

    def settled(self, taken: pa.Table) -> pa.Table:
        """The tracks with the paths at which they lie in the end."""
        if self.store == "outside":
            return taken
        columns = (taken[name].to_pylist() for name in ("track_id", "path", "content_hash"))
        paths: dict[str, str] = {}
        waiting: list[Packed] = []
        for track_id, path, content_hash in zip(*columns, strict=True):
            stays = self._stays(track_id, content_hash)
            paths[track_id] = stays or path
            if self.store == "archives" and not stays:
                waiting.append(Packed(track_id, self._waiting / track_id))
        paths |= storing.pack(waiting, self.folder / "audio", self.root)
        column = pa.array(paths.values(), pa.string())
        return taken.set_column(taken.schema.get_field_index("path"), SCHEMA.field("path"), column)

    def _stays(self, track_id: str, content_hash: str) -> str | None:
        """The path at which an earlier import has stored this very content in the project, or None."""
        path, known = self._earlier.get(track_id, ("", ""))
        return (
            path if known == content_hash and storing.in_project(path) and storing.is_there(self.root, path) else None
        )


class _Rows:
    """Tracks, gathered in pieces of Arrow's: a million of Python's would not fit."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._parts: list[pa.RecordBatch] = []
        self._waiting: list[tuple[Any, ...]] = []

    def add(self, candidate: Candidate, finding: Finding, path: str) -> None:
        """One track: what the source says goes before what the file's own tags say."""
        assert finding.info is not None
        info, tags = finding.info, finding.tags
        artist = candidate.artist or tags.artist
        row = {
            "track_id": candidate.path,
            "path": path,
            "content_hash": finding.content_hash,
            "duration_s": info.duration_s,
            "sample_rate_hz": info.sample_rate_hz,
            "channels": info.channels,
            "codec": info.codec,
            "source": self._source.name,
            "group": candidate.group or artist_group(artist, candidate.path),
            "genre": candidate.genre or (tags.genre if candidate.genre_from_tags else None),
            "tags": candidate.tags,
            "title": candidate.title or tags.title,
            "artist": artist,
            "album": candidate.album or tags.album,
            "isrc": candidate.isrc or tags.isrc,
            "licence": candidate.licence or self._source.licence,
            "split": candidate.split,
            **(dataclasses.asdict(finding.measures) if finding.measures else {}),
        }
        self._waiting.append(tuple(row.get(name) for name in SCHEMA.names))
        if len(self._waiting) >= _ROWS_A_PART:
            self._flush()

    def table(self) -> pa.Table:
        """All rows, sorted by track_id."""
        self._flush()
        return pa.Table.from_batches(self._parts, SCHEMA).sort_by("track_id").combine_chunks()

    def _flush(self) -> None:
        if self._waiting:
            columns = zip(*self._waiting, strict=True)
            arrays = [pa.array(values, field.type) for values, field in zip(columns, SCHEMA, strict=True)]
            self._parts.append(pa.RecordBatch.from_arrays(arrays, schema=SCHEMA))
            self._waiting.clear()


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


def _merged(path: Path, refused: list[Refusal], known: set[str], *, answered: bool) -> list[Refusal]:
    """Refusals of this run, and those of earlier runs that this one, which knows of ``known``, says nothing about."""
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
        f"Expected: {source.expects}"
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
