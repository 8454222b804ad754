"""The stage `duplicates`: a collection's tracks in; which of them are copies of one recording, out.

What takes time is decoding, and that is done once for each file: fingerprints already in the cache are found again by
content, so a run that was killed carries on, and a collection that grew pays for what is new.
"""

import dataclasses
import shutil
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from earmark.audio.fingerprint import Fingerprint, fingerprint
from earmark.audio.fingerprint_cache import FingerprintCache
from earmark.catalogue.copies.duplicates import KINDS, Pair, closest_kinds, find_duplicates, groups
from earmark.catalogue.reading import read_recording
from earmark.catalogue.track import read_table
from earmark.errors import AudioError, CatalogueError
from earmark.files import locked, replacing, write_json
from earmark.params import Params
from earmark.progress import progress
from earmark.workers import Workers, cores, one_torch_thread
from earmark.workspace import (
    COLLECTIONS,
    DUPLICATE_PAIRS,
    DUPLICATES,
    DUPLICATES_SUMMARY,
    FEATURE_CACHE,
    SEARCH,
    TRACKS,
)

_SCHEMA = pa.schema(
    [
        pa.field("track_id", pa.string(), nullable=False),
        pa.field("duplicate_group", pa.string()),  # the smallest track_id of its copies and itself
        pa.field("kind", pa.string()),  # the closest: same file, same audio, same recording
        pa.field("unreadable", pa.string()),  # why the audio could not be read, for those that could not
    ]
)
_AT_ONCE = 8  # files given to a process


def run(params: Params, root: Path) -> None:
    """Write data/duplicates.parquet, reports/duplicates.csv (every pair) and reports/duplicates.json.

    A recording that cannot be read any more is no reason to stop: the table says why, and the stage `validate` refuses
    it.

    Raises:
        CatalogueError: The collection is missing.
    """
    table = read_table(root / COLLECTIONS / params.catalogue.collection / TRACKS).sort_by("track_id")
    ids, hashes = table["track_id"].to_pylist(), table["content_hash"].to_pylist()
    places: dict[str, list[str]] = defaultdict(list)
    for content_hash, path in zip(hashes, table["path"].to_pylist(), strict=True):
        places[content_hash].append(path)
    jobs = [_Job(root, paths, content_hash) for content_hash, paths in places.items()]
    done = progress(_fingerprinted(jobs), description="duplicates: fingerprints", total=len(jobs))
    unreadable = {content_hash: reason for content_hash, reason in done if reason}
    read = [number for number, content_hash in enumerate(hashes) if content_hash not in unreadable]
    cached = CachedFingerprints(root / FEATURE_CACHE, [hashes[number] for number in read])
    sounds = table["audio_hash"].take(pa.array(read, pa.int64())).to_pylist()
    with _scratch(root / SEARCH) as scratch:
        found = find_duplicates(
            cached.content_hashes, sounds, cached, params.duplicates, processes=_processes(len(jobs)), scratch=scratch
        )
    pairs = [dataclasses.replace(pair, first=read[pair.first], second=read[pair.second]) for pair in found]
    write(root, ids, pairs, [unreadable.get(content_hash) for content_hash in hashes])


def write(root: Path, ids: Sequence[str], pairs: Sequence[Pair], unreadable: Sequence[str | None]) -> None:
    """The three files; ``ids`` in ascending order, so that a group is called after the smallest of its tracks."""
    group = [ids[first] if first >= 0 else None for first in groups(pairs, len(ids))]
    columns = (ids, group, closest_kinds(pairs, len(ids)), unreadable)
    with replacing(root / DUPLICATES) as part:
        pq.write_table(pa.table([pa.array(column, pa.string()) for column in columns], _SCHEMA), part)
    with replacing(root / DUPLICATE_PAIRS) as part:
        _for_people(ids, pairs).to_csv(part, index=False, lineterminator="\n")
    sizes = Counter(name for name in group if name is not None)
    count = Counter(pair.kind for pair in pairs)
    summary = {
        "tracks": len(ids),
        "tracks_with_copies": sum(sizes.values()),
        "groups": len(sizes),
        "largest_group": max(sizes.values(), default=0),
        "tracks_unreadable": sum(reason is not None for reason in unreadable),
        "pairs": {kind.replace(" ", "_"): count[kind] for kind in KINDS},
    }
    write_json(root / DUPLICATES_SUMMARY, summary)
    print(
        f"duplicates: {summary['tracks_with_copies']} of {len(ids)} tracks have copies, in {len(sizes)} groups; "
        f"every pair: {DUPLICATE_PAIRS}; {summary['tracks_unreadable']} cannot be read",
        file=sys.stderr,
    )


@dataclass(frozen=True)
class CachedFingerprints:
    """The fingerprints of recordings that are all in the cache, by number."""

    folder: Path
    content_hashes: Sequence[str]

    def __len__(self) -> int:
        return len(self.content_hashes)

    def __getitem__(self, number: int) -> Fingerprint:
        found = FingerprintCache(self.folder).open(self.content_hashes[number])
        if found is None:
            raise CatalogueError(
                f"The fingerprint of {self.content_hashes[number][:12]}… has gone from the cache {self.folder} while "
                "it was in use. Run the stage again; it makes what is missing."
            )
        return found


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    """An empty folder on the project's disk: gigabytes for a large collection, and the system's own may be memory.

    What a killed run left there is removed; a second run beside this one waits.
    """
    with locked(folder.with_suffix(".lock")):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _for_people(ids: Sequence[str], pairs: Sequence[Pair]) -> pd.DataFrame:
    rows: list[dict[str, Any]] = []
    for pair in pairs:
        found = pair.alignment
        rows.append(
            {
                "first": ids[pair.first],
                "second": ids[pair.second],
                "kind": pair.kind,
                "offset_s": round(found.offset_s, 2) + 0.0 if found else None,
                "speed": round(found.speed, 4) if found else None,
                "overlap_s": round(found.overlap_s, 1) if found else None,
                "agreement": round(found.agreement, 3) if found else None,
            }
        )
    columns = ["first", "second", "kind", "offset_s", "speed", "overlap_s", "agreement"]
    return pd.DataFrame(rows, columns=columns)


@dataclass(frozen=True)
class _Job:
    """A recording, and every path at which these very bytes should lie."""

    root: Path
    paths: Sequence[str]
    content_hash: str

    def cached(self) -> bool:
        cache = FingerprintCache(self.root / FEATURE_CACHE)
        return cache.open(self.content_hash) is not None or cache.fetch(self.content_hash) is not None


def _processes(jobs: int) -> int:
    """A small collection is done before other processes have started."""
    return 1 if jobs < 2_000 else cores()


def _fingerprinted(jobs: list[_Job]) -> Iterator[tuple[str, str | None]]:
    """Every job's content hash, when its fingerprint is in the cache, or with the reason why it cannot be there.

    A process per core; where nothing is missing, none is started.
    """
    missing = []
    for job in jobs:
        if job.cached():
            yield job.content_hash, None
        else:
            missing.append(job)
    if not missing:
        return
    count = min(cores(), len(missing))
    with Workers(count, one_torch_thread) as pool:
        yield from pool.map(_make, missing, chunksize=max(1, min(_AT_ONCE, len(missing) // count)))


def _make(job: _Job) -> tuple[str, str | None]:
    reason = None
    for path in job.paths:
        try:
            made = fingerprint(read_recording(job.root, path, job.content_hash))
        except (AudioError, CatalogueError) as error:
            reason = reason or str(error)
        else:
            FingerprintCache(job.root / FEATURE_CACHE).store(job.content_hash, made)
            return job.content_hash, None
    return job.content_hash, reason
