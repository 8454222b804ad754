"""Corrections: labels that somebody has listened to and knows better, in a file that the team keeps in git.

data/corrections.csv (UTF-8, commas) has one line a track:

    track_id,genre,note,by,content_hash
    rock/07.mp3,jazz,a trio without drums,,9f86d0…

``genre`` is one of the team's genres, or ``-``: the label is withdrawn and the track is not learnt from. The genre that
the track has already confirms it: it is not put up for review again. ``content_hash``, where it is given, pins the
line to that audio, so that it does not hit another file that came under the same name. ``note`` and ``by`` are for
people; only ``track_id`` and ``genre`` must be there.

Corrections come after the taxonomy (`earmark.catalogue.taxonomy`), so they speak of the team's own genres.
"""

import csv
import io
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import pandas as pd

from earmark.catalogue.taxonomy import Taxonomy, comparable
from earmark.errors import ParamsError
from earmark.workspace import CORRECTIONS, TAXONOMY

COLUMNS = ("track_id", "genre", "note", "by", "content_hash")
NEEDED = ("track_id", "genre")
WITHDRAWN = "-"
CORRECTION = "correction"  # as a track's genre_source

# What became of a line.
OUTCOMES = ("corrected", "confirmed", "withdrawn", "unknown track", "other audio")


@dataclass(frozen=True)
class Correction:
    """One line of the file.

    Attributes:
        line: Its number, from 1; the header is the first.
        track_id: Whose label it is about.
        genre: As written; `WITHDRAWN` for none.
        note: Why.
        content_hash: The audio that was listened to; None for whatever bears the name.
    """

    line: int
    track_id: str
    genre: str
    note: str = ""
    content_hash: str | None = None

    def meets(self, other: "Correction") -> bool:
        """Whether both can be about one track."""
        pinned = {self.content_hash, other.content_hash} - {None}
        return self.track_id == other.track_id and len(pinned) < 2


def read_corrections(path: Path) -> tuple[Correction, ...]:
    """The corrections at ``path``, in their order; none without a file.

    Raises:
        ParamsError: It is no CSV in UTF-8, lacks a column or has an unknown one, or a line says too little or too much,
            or contradicts one above it.
    """
    return parse_corrections(read_text(path)) if path.exists() else ()


def read_text(path: Path) -> str:
    """The file's text with its own line ends, without a byte-order mark.

    Raises:
        ParamsError: It is not UTF-8.
    """
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _wrong(f"it is not UTF-8 ({error}). Save it as CSV UTF-8.") from None


def header_of(text: str) -> list[str]:
    """The names of the columns.

    Raises:
        ParamsError: One is missing, unknown, or there twice.
    """
    header = [name.strip() for name in next(csv.reader(io.StringIO(text)), [])]
    missing = [name for name in NEEDED if name not in header]
    unknown = [name for name in header if name not in COLUMNS]
    if missing or unknown or len(set(header)) < len(header):
        raise _wrong(
            f"its first line is {','.join(header)!r}; needed are {','.join(NEEDED)}, and there may be "
            f"{','.join(COLUMNS[2:])}, with commas between them (a spreadsheet may have written semicolons)."
        )
    return header


def parse_corrections(text: str) -> tuple[Correction, ...]:
    """As `read_corrections`, of the file's text.

    Raises:
        ParamsError: As there.
    """
    header = header_of(text)
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    found: defaultdict[str, list[Correction]] = defaultdict(list)
    try:
        next(rows)
        for cells in rows:
            if not any(cell.strip() for cell in cells):
                continue
            line = rows.line_num
            if len(cells) > len(header):
                raise _wrong(
                    f"line {line}: {len(cells)} fields for {len(header)} columns. Quote what has a comma in it."
                )
            new = _correction(line, dict(zip(header, cells, strict=False)))
            for old in found[new.track_id]:
                if old.meets(new) and old.genre != new.genre:
                    raise _wrong(
                        f"line {line}: {new.track_id} is {new.genre!r} here and {old.genre!r} in line {old.line}. "
                        "Keep one of the two."
                    )
            found[new.track_id].append(new)
    except csv.Error as error:
        raise _wrong(f"line {rows.line_num}: {error}.") from None
    return tuple(sorted((each for same in found.values() for each in same), key=lambda each: each.line))


def apply_corrections(
    corrections: Sequence[Correction], tracks: pd.DataFrame, taxonomy: Taxonomy
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The tracks with their corrected labels, and what became of each correction.

    Args:
        corrections: As read.
        tracks: As from `earmark.catalogue.taxonomy.apply_taxonomy`, under the team's names.
        taxonomy: Whose genres are known besides those that the tracks have.

    Returns:
        The tracks: ``genre`` is the corrected one, and null where it was withdrawn; ``genre_source`` is `CORRECTION`;
        ``refused_genre`` is null there; and a new column ``withdrawn`` says why there is no label (else null). And the
        report: one row a correction, columns ``track_id, before, after, outcome`` (one of `OUTCOMES`), ``reason``.

    Raises:
        ParamsError: A genre is unknown.
    """
    tracks = tracks.reset_index(drop=True)
    known = known_genres(tracks["genre"].dropna().unique(), taxonomy)
    places = _rows_by_id(tracks, {each.track_id for each in corrections})
    columns = {name: tracks[name].astype(object).tolist() for name in ("genre", "genre_source", "refused_genre")}
    withdrawn: list[str | None] = [None] * len(tracks)
    report: list[tuple[str | None, ...]] = []
    for each in corrections:
        rows = places.get(each.track_id, [])
        hit = [row for row in rows if each.content_hash in (None, tracks["content_hash"][row])]
        if not hit:
            reason = (
                f"{each.track_id} is other audio than the one that was corrected; listen to it again"
                if rows
                else "no track of the collection in use has this track_id"
            )
            report.append((each.track_id, None, None, "other audio" if rows else "unknown track", reason))
            continue
        genre = None if each.genre == WITHDRAWN else genre_named(each.genre, known, taxonomy, line=each.line)
        for row in hit:
            before = tracks["genre"][row] if pd.notna(tracks["genre"][row]) else None
            columns["genre"][row], columns["genre_source"][row], columns["refused_genre"][row] = genre, CORRECTION, None
            if genre is None:
                why = f": {each.note}" if each.note else ""
                withdrawn[row] = f"its label ({before or 'none'}) was withdrawn in {CORRECTIONS}{why}"
            outcome = "withdrawn" if genre is None else "confirmed" if genre == before else "corrected"
            report.append((each.track_id, before, genre, outcome, each.note or None))
    told = pd.DataFrame(report, columns=["track_id", "before", "after", "outcome", "reason"]).astype("str")
    columns["withdrawn"] = withdrawn
    return tracks.assign(
        **{name: pd.Series(values, index=tracks.index, dtype="str") for name, values in columns.items()}
    ), told


def known_genres(genres: Iterable[str], taxonomy: Taxonomy) -> frozenset[str]:
    """The team's genres: those that tracks have, and those of the taxonomy."""
    return frozenset(genre for genre in genres if genre.strip()) | frozenset(taxonomy.genres.values())


def genre_named(name: str, known: frozenset[str], taxonomy: Taxonomy, *, line: int | None = None) -> str:
    """The team's genre that ``name`` means, by the taxonomy's rules of comparing.

    Raises:
        ParamsError: None.
    """
    alike = {comparable(genre): genre for genre in sorted(known, reverse=True)}
    key = comparable(name)
    if name in known:
        return name
    if found := taxonomy.genres.get(key) or alike.get(key):
        return found
    near = get_close_matches(key, sorted(alike), n=1)
    raise _wrong(
        (f"line {line}: " if line else "")
        + f"{name!r} is none of your genres ({_some(known)}). "
        + (f"Perhaps {alike[near[0]]!r} is meant; else add" if near else "Add")
        + f" it under `genres` in {TAXONOMY} (`{name}: []` will do). `{WITHDRAWN}` withdraws a label."
    )


def _correction(line: int, row: dict[str, str]) -> Correction:
    told = {name: row.get(name, "").strip() for name in COLUMNS}
    track_id, genre, pinned = row.get("track_id", ""), told["genre"], told["content_hash"].lower()
    if not track_id.strip():
        raise _wrong(f"line {line}: it names no track.")
    if not genre:
        raise _wrong(f"line {line}: {track_id} gets no genre. Name one, or `{WITHDRAWN}` to withdraw its label.")
    if pinned and (len(pinned) != 64 or set(pinned) - set("0123456789abcdef")):
        raise _wrong(
            f"line {line}: the content_hash {pinned!r} is no SHA-256. Leave it empty, or take it from the list."
        )
    return Correction(line, track_id, genre, told["note"], pinned or None)


def _rows_by_id(tracks: pd.DataFrame, named: Iterable[str]) -> dict[str, list[int]]:
    there = tracks["track_id"].isin(list(named)).to_numpy()
    found: defaultdict[str, list[int]] = defaultdict(list)
    for row in there.nonzero()[0].tolist():
        found[tracks["track_id"][row]].append(row)
    return found


def _some(genres: frozenset[str]) -> str:
    shown = sorted(genres)
    return ", ".join(shown[:20]) + (f" and {len(shown) - 20} more" if len(shown) > 20 else "") or "none yet"


def _wrong(what: str) -> ParamsError:
    return ParamsError(f"{CORRECTIONS}: {what}")
