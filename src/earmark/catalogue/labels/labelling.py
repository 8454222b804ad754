"""Bring what a library says of its songs to the tracks of a collection that are those songs.

Written into the collection's folder:

* ``matches.csv``: each entry of the library once: with which track it was matched and by what, or why it was not. Rows
  of other libraries stay.
* ``tracks.parquet``: matched tracks get ISRC, title, artist and album where they had none; each genre as a tag
  ``genre---<name>``; and the first genre as the label, with the library as its ``genre_source``, where they had none.
  Nothing that was there is changed, except these two with ``overwrite``. A track whose artist was unknown and now is
  known joins that artist's group, so that no split parts them.

Both are replaced whole, after the last answer of the service: whatever fails before leaves the collection as it was.
Doing it again adds nothing twice. Where several entries are one track, those matched by ISRC come first, then the
nearest in length, then the order of their ids.
"""

import csv
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pyarrow as pa

from earmark.catalogue.labels.label_report import FILLED, MATCHES, LabelResult
from earmark.catalogue.labels.matching import MATCHED, Known, Match, Matcher
from earmark.catalogue.labels.titles import isrc_key
from earmark.catalogue.sources.library import Entry, Library
from earmark.catalogue.sources.source import Refusal
from earmark.catalogue.tags import artist_group
from earmark.catalogue.track import GENRE_TAG, read_table, write_tracks
from earmark.errors import CatalogueError
from earmark.files import replacing, sha256_of
from earmark.progress import progress
from earmark.workspace import COLLECTIONS, SONGBOOK, TRACKS

COLUMNS = (
    "library", "entry_id", "title", "artist", "album", "isrc", "duration_s", "how", "track_id", "difference_s",
    "reason",
)  # fmt: skip


def label_collection(library: Library, root: Path, name: str, *, overwrite: bool = False) -> LabelResult:
    """Match all of ``library`` with the collection ``name``; see this file's opening for what that writes.

    Args:
        library: Where the labels come from.
        root: The project's root.
        name: The collection.
        overwrite: Let the library's first genre take the place of the one that is there.

    Returns:
        What matched and what did not, with a `summary` to print.

    Raises:
        CatalogueError: There is no such collection, or it is the songbook; the library cannot be read, or has no
            entries; or the collection was changed in the meantime.
    """
    folder = root / COLLECTIONS / name
    _check(folder, name)
    before = sha256_of(folder / TRACKS)
    table = read_table(folder / TRACKS)
    columns = {column: table.column(column).to_pylist() for column in Known._fields}
    matcher = Matcher(map(Known._make, zip(*columns.values(), strict=True)))
    result = LabelResult(
        name, folder, library.describe(), library.licence, len(table), nameless=tuple(matcher.nameless)
    )
    with ExitStack() as stack:
        part = stack.enter_context(replacing(folder / MATCHES))
        rows = csv.writer(stack.enter_context(part.open("w", encoding="utf-8", newline="")), lineterminator="\n")
        rows.writerow(COLUMNS)
        rows.writerows(_of_other_libraries(folder / MATCHES, library.name))
        found = _match_all(library, matcher, columns["track_id"], rows, result)
        if not result.how.total():
            raise CatalogueError(f"There is no song in {library.describe()}. Expected: {library.expects}")
        by_track: dict[int, list[Entry]] = defaultdict(list)
        complete = library.complete(entry for entry, _ in found)
        for (_, match), entry in zip(found, complete, strict=True):
            assert match.row is not None
            by_track[match.row].append(entry)
        result.labelled = len(by_track)
        labelled = _labelled(table, by_track, library.name, overwrite, result)
        if sha256_of(folder / TRACKS) != before:
            raise CatalogueError(
                f"{folder / TRACKS} was changed while the library was read, by an import perhaps. Run the same command "
                "again; nothing was written."
            )
    if labelled is not None:
        write_tracks(labelled.to_pandas(), folder / TRACKS)
    return result


def _match_all(
    library: Library, matcher: Matcher, track_ids: list[str], rows: Any, result: LabelResult
) -> list[tuple[Entry, Match]]:
    """Each entry matched and written down; the matched ones in the order in which they count."""
    found: list[tuple[Entry, Match]] = []
    for entry in progress(library.entries(), description="match", unit="entry"):
        if isinstance(entry, Refusal):
            rows.writerow([library.name, entry.path, *[""] * 5, "refused", "", "", entry.reason])
            result.note("refused", entry.reason, entry.path)
            continue
        match = matcher.match(entry)
        artist = "; ".join(entry.artists)
        rows.writerow(
            [
                library.name,
                entry.id,
                entry.title or "",
                artist,
                entry.album or "",
                isrc_key(entry.isrc) or entry.isrc or "",
                _number(entry.duration_s),
                match.how,
                "" if match.row is None else track_ids[match.row],
                _number(match.difference_s),
                match.reason,
            ]
        )
        result.note(match.how, match.reason, f"{entry.title or entry.id} ({artist or 'no artist'})")
        if match.row is not None:
            found.append((entry, match))
    found.sort(key=lambda pair: (MATCHED.index(pair[1].how), abs(pair[1].difference_s or 0.0), pair[0].id))
    return found


def _labelled(
    table: Any, by_track: dict[int, list[Entry]], library: str, overwrite: bool, result: LabelResult
) -> Any | None:
    """The tracks' table with what the entries say; None where they say nothing new."""
    written = (*FILLED, "genre_source", "tags", "group")
    columns: dict[str, list[Any]] = {column: table.column(column).to_pylist() for column in (*written, "track_id")}
    for row, entries in by_track.items():
        genres = list(dict.fromkeys(genre for entry in entries for genre in entry.genres))
        said = {
            "isrc": next((isrc for entry in entries if (isrc := isrc_key(entry.isrc))), None),
            "title": next((entry.title for entry in entries if entry.title), None),
            "artist": next((", ".join(entry.artists) for entry in entries if entry.artists), None),
            "album": next((entry.album for entry in entries if entry.album), None),
        }
        for column, value in said.items():
            if value and not columns[column][row]:
                columns[column][row] = value
                result.filled[column] += 1
                if column == "artist" and columns["group"][row] == artist_group(None, columns["track_id"][row]):
                    columns["group"][row] = artist_group(value, columns["track_id"][row])
        there = columns["genre"][row], columns["genre_source"][row]
        if genres and (overwrite or not there[0]) and there != (genres[0], library):
            columns["genre"][row], columns["genre_source"][row] = genres[0], library
            result.filled["genre"] += 1
        tags = columns["tags"][row] or []
        both = list(dict.fromkeys([*tags, *(f"{GENRE_TAG}{genre}" for genre in genres)]))
        if len(both) > len(tags):
            columns["tags"][row] = both
            result.filled["tags"] += 1
        result.without_genre += not genres
    if not result.filled:
        return None
    for column in written:
        place = table.schema.get_field_index(column)
        table = table.set_column(
            place, table.schema.field(column), pa.array(columns[column], table.schema.field(column).type)
        )
    return table


def _check(folder: Path, name: str) -> None:
    if name == SONGBOOK:
        raise CatalogueError(
            "The songbook cannot be labelled: it is made by a stage, which would undo it, and its scores are in no "
            "streaming library. Name a collection of your own with --collection; `earmark import folder` makes one."
        )
    if not (folder / TRACKS).is_file():
        others = sorted(path.parent.name for path in folder.parent.glob(f"*/{TRACKS}"))
        raise CatalogueError(
            f"There is no collection {name!r} in {folder.parent}; it has {', '.join(others) or 'none'}. "
            "`dvc pull` brings back what DVC keeps; `earmark import` makes one."
        )


def _of_other_libraries(path: Path, library: str) -> Iterator[list[str]]:
    if path.is_file():
        with path.open(encoding="utf-8", newline="") as file:
            rows = csv.reader(file)
            if tuple(next(rows, ())) != COLUMNS:
                raise CatalogueError(f"{path} has other columns than earmark writes. Move it away and run this again.")
            yield from (row for row in rows if row[:1] != [library])


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
