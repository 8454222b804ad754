"""The whole songbook as a collection: rendered by several processes, written by one, complete or not there at all.

Workers hand their clips back and write nothing; the folder is filled aside and moved to its place in one step. So a
killed run leaves no clip that a later run could take for its own.
"""

import csv
import dataclasses
import hashlib
import itertools
import shutil
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

from earmark.audio.metering import Measures
from earmark.catalogue.songbook.corpus import Piece, candidates
from earmark.catalogue.songbook.families import Steps, groups
from earmark.catalogue.songbook.opus import CODEC, SUFFIX
from earmark.catalogue.songbook.performance import SAMPLE_RATE_HZ
from earmark.catalogue.songbook.rendering import Clip, Refusal, render
from earmark.catalogue.songbook.workers import mapping
from earmark.catalogue.track import Track, write_tracks
from earmark.errors import CatalogueError
from earmark.params import Songbook
from earmark.progress import progress
from earmark.workspace import COLLECTIONS, REFUSED, SONGBOOK, TRACKS

FEWEST_PIECES = 40  # of a style: with fewer, its scores say little

# On the same disk as the collections, so that moving it is one step, and seen by neither DVC nor git.
UNFINISHED = Path(".earmark/songbook")

Render = Callable[[Iterable[Piece]], Iterable[Clip | Refusal]]


def make_songbook(params: Songbook, root: Path, *, processes: int | None = None) -> Path:
    """Render the songbook into ``root``'s collections, in place of an older one.

    Args:
        params: Which pieces, how many, how long.
        root: The project's root.
        processes: How many render at a time; by default one for each core. The result does not depend on it.

    Returns:
        The collection's folder.

    Raises:
        CatalogueError: The corpus or the soundfont is missing, or has too few usable pieces of a style.
    """
    folder, unfinished = root / COLLECTIONS / SONGBOOK, root / UNFINISHED
    shutil.rmtree(unfinished, ignore_errors=True)
    waiting = candidates(params.seed)
    refusals: list[Refusal] = []
    hashes: dict[str, str] = {}
    measured: dict[str, Measures] = {}
    openings: dict[str, Steps] = {}
    pieces: list[Piece] = []
    with mapping(partial(render, params=params), processes=processes) as render_all:
        clips = _clips(waiting, params.pieces_per_style, render_all, refusals)
        total = sum(min(params.pieces_per_style, len(style)) for style in waiting.values())
        for clip in progress(clips, description="songbook", total=total, unit="piece"):
            path = unfinished / _place(clip.piece)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(clip.audio)
            pieces.append(clip.piece)
            hashes[clip.piece.piece_id] = hashlib.sha256(clip.audio).hexdigest()
            measured[clip.piece.piece_id] = clip.measures
            openings[clip.piece.piece_id] = clip.opening
    _check_enough(pieces, refusals, waiting, params.pieces_per_style)
    family = groups(pieces, openings)
    tracks = [
        _track(piece, hashes[piece.piece_id], family[piece.piece_id], params.clip_seconds, measured[piece.piece_id])
        for piece in pieces
    ]
    write_tracks(tracks, unfinished / TRACKS)
    _write_refused(refusals, unfinished / REFUSED)
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished.replace(folder)
    return folder


def _clips(waiting: dict[str, list[Piece]], wanted: int, render_all: Render, refusals: list[Refusal]) -> Iterator[Clip]:
    """``wanted`` clips of each style, or as many as there are; for each refused piece the next one takes its place."""
    queues = {style: iter(pieces) for style, pieces in waiting.items()}
    missing = dict.fromkeys(waiting, wanted)
    while batch := [piece for style, queue in queues.items() for piece in itertools.islice(queue, missing[style])]:
        for outcome in render_all(batch):
            if isinstance(outcome, Refusal):
                refusals.append(outcome)
            else:
                missing[outcome.piece.style] -= 1
                yield outcome


def _check_enough(pieces: list[Piece], refusals: list[Refusal], waiting: dict[str, list[Piece]], wanted: int) -> None:
    for style, tried in waiting.items():
        found = sum(piece.style == style for piece in pieces)
        needed = min(wanted, FEWEST_PIECES)
        if found < needed:
            first = next(
                (f"; the first refusal: {refusal.reason}" for refusal in refusals if refusal.piece.style == style), ""
            )
            raise CatalogueError(
                f"Only {found} pieces of the style {style} could be rendered, of {len(tried)} in music21's corpus; "
                f"{needed} are needed{first}. "
                "The installed music21 is probably stripped or much newer: install the version in requirements.lock."
            )


def _place(piece: Piece) -> Path:
    """Where a piece's clip lies in the collection: ``audio/<style>/<piece>.opus``."""
    return Path("audio") / f"{piece.piece_id}{SUFFIX}"


def _track(piece: Piece, content_hash: str, group: str, seconds: float, measures: Measures) -> Track:
    place = _place(piece)
    return Track(
        track_id=place.relative_to("audio").as_posix(),
        path=(COLLECTIONS / SONGBOOK / place).as_posix(),
        content_hash=content_hash,
        duration_s=seconds,
        sample_rate_hz=SAMPLE_RATE_HZ,
        channels=1,
        codec=CODEC,
        source=SONGBOOK,
        group=group,
        genre=piece.style,
        title=piece.title,
        artist=piece.artist,
        licence=piece.licence,
        **dataclasses.asdict(measures),
    )


def _write_refused(refusals: list[Refusal], path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["path", "kind", "reason"])
        rows.writerows(sorted((refusal.piece.path, refusal.kind, refusal.reason) for refusal in refusals))
