"""Write a correction into the team's file, and read what is still to be reviewed.

The file is replaced whole, its lines as they were: a killed process leaves the old file or the new one.
"""

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.compute as pc

from earmark.catalogue.corrections import (
    COLUMNS,
    WITHDRAWN,
    Correction,
    genre_named,
    header_of,
    known_genres,
    parse_corrections,
    read_corrections,
    read_text,
)
from earmark.catalogue.taxonomy import Taxonomy, read_taxonomy
from earmark.catalogue.track import read_table
from earmark.errors import CatalogueError
from earmark.files import locked, replacing
from earmark.workspace import COLLECTIONS, CORRECTIONS, CORRECTIONS_LOCK, LABEL_REVIEW, TAXONOMY, TRACKS


def correct(root: Path, collection: str, track_id: str, genre: str, *, note: str = "", by: str = "") -> str:
    """Append a correction to data/corrections.csv, pinned to the audio that the track has now.

    Args:
        root: The project's folder.
        collection: Whose track.
        track_id: Which.
        genre: The right one; the one it has, to confirm it; or `WITHDRAWN`.
        note: Why.
        by: Who says so.

    Returns:
        What was done, for people.

    Raises:
        CatalogueError: There is no such track, or the file says another genre for it, or has no column for the note.
        ParamsError: The genre is unknown, or the file or the taxonomy is not in order.
    """
    tracks = read_table(root / COLLECTIONS / collection / TRACKS)  # says what helps where there is none
    found = tracks.filter(pc.equal(tracks["track_id"], track_id))
    if not len(found):
        raise CatalogueError(_no_track(track_id, collection, tracks["track_id"]))
    taxonomy = read_taxonomy(root / TAXONOMY)
    if genre != WITHDRAWN:
        genre = genre_named(genre, _genres(tracks, taxonomy), taxonomy)
    new = Correction(0, track_id, genre, note, found["content_hash"][0].as_py())
    path = root / CORRECTIONS
    with locked(root / CORRECTIONS_LOCK):
        if not path.exists():
            _replace(path, (",".join(COLUMNS) + "\n").encode())
        text = read_text(path)
        for old in parse_corrections(text):
            if not old.meets(new):
                continue
            if old.genre == genre:
                return f"{track_id}: line {old.line} of {CORRECTIONS} says so already."
            raise CatalogueError(
                f"{CORRECTIONS}, line {old.line}, already says that {track_id} is {old.genre!r}, not {genre!r}. "
                "Change that line, or take it out, if you now know better."
            )
        _replace(path, path.read_bytes() + _line(text, new, by).encode())
    done = "its label is withdrawn" if genre == WITHDRAWN else genre
    return f"{track_id}: {done}. It counts from the next `dvc repro` on; commit {CORRECTIONS} with git."


def open_reviews(root: Path) -> list[dict[str, Any]]:
    """The rows of reports/label_review.csv that data/corrections.csv says nothing of, worst first.

    Raises:
        CatalogueError: There is no list yet.
    """
    try:
        listed = pd.read_csv(root / LABEL_REVIEW, dtype=dict.fromkeys(_TEXTS, "str"), keep_default_na=False)
    except FileNotFoundError:
        raise CatalogueError(
            f"There is no {LABEL_REVIEW} yet: trained models make it. `dvc repro review` brings it."
        ) from None
    done = {each.track_id for each in read_corrections(root / CORRECTIONS)}
    left = listed[~listed["track_id"].isin(done)]
    return [dict(zip(left.columns, row, strict=True)) for row in left.astype(object).to_numpy()]


def lines_of(rows: list[dict[str, Any]], *, shown: int | None) -> Iterator[str]:
    """A table for people; ``shown`` at most, or all of them."""
    if not rows:
        yield "Nothing is left to review."
        return
    cells = [("score", "side", "given", "suggested", "track_id", "what it is")]
    for row in rows[:shown]:
        named = ": ".join(row[name] for name in ("artist", "title") if row[name])
        given, suggested = (f"{row[name]} {row[f'p_{name}']:.0%}" for name in ("given", "suggested"))
        cells.append((f"{row['score']:.2f}", row["side"], given, suggested, row["track_id"], named))
    plain = [[_plain(cell) for cell in line] for line in cells]
    widths = [max(len(line[column]) for line in plain) for column in range(len(cells[0]))]
    for line in plain:
        yield "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
    if left := len(rows) - len(plain) + 1:
        yield f"… and {left:,} more; --all shows them"


_TEXTS = ("track_id", "path", "title", "artist", "given", "suggested", "group", "side", "caution")


def _genres(tracks: Any, taxonomy: Taxonomy) -> frozenset[str]:
    """The collection's genres under the team's names."""
    named = tracks.select(["source", "genre_source", "genre"]).to_pandas().drop_duplicates().dropna(subset="genre")
    givers = named["genre_source"].fillna(named["source"])
    pairs = zip(named["genre"], givers, strict=True)
    return known_genres((taxonomy.genre_of(name, giver) or name for name, giver in pairs), taxonomy)


def _replace(path: Path, content: bytes) -> None:
    with replacing(path) as part:
        part.write_bytes(content)


def _line(text: str, new: Correction, by: str) -> str:
    """One line more for the file's text, in its own columns and line ends."""
    header = header_of(text)
    values = {"note": " ".join(new.note.split()), "by": " ".join(by.split()), "content_hash": new.content_hash or ""}
    values |= {"track_id": new.track_id, "genre": new.genre}
    for name in ("note", "by"):
        if values[name] and name not in header:
            raise CatalogueError(
                f"{CORRECTIONS} has no column {name!r}; its first line is {','.join(header)}. Add it there, or leave "
                f"--{name} out."
            )
    ending = "\r\n" if "\r\n" in text else "\n"
    line = io.StringIO(newline="")
    csv.writer(line, lineterminator=ending).writerow([values[name] for name in header])
    return ("" if text.endswith(("\n", "\r")) else ending) + line.getvalue()


def _no_track(track_id: str, collection: str, ids: Any) -> str:
    near = pc.filter(ids, pc.match_substring(ids, Path(track_id).name or track_id))[:3].to_pylist()
    return f"The collection {collection!r} has no track {track_id!r}. " + (
        f"Perhaps {' or '.join(near)} is meant."
        if near
        else "`earmark catalogue review` lists track_ids; another collection is named by --collection."
    )


def _plain(words: str) -> str:
    """As it is, unless it would disturb a terminal."""
    return words if words.isprintable() else ascii(words)
