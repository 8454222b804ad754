"""FMA: 106,574 tracks of the Free Music Archive, with a hierarchy of genres, official splits and counts of listening.

Layout: ``PATH/fma_metadata/tracks.csv`` and ``genres.csv``, and audio in one of ``PATH/fma_small/``, ``fma_medium/``,
``fma_large/`` (30 s clips) or ``fma_full/``: ``000/000002.mp3``, the id in six digits, the folder its first three.

tracks.csv has two header lines and one with the name of its index; some of its texts run over several lines; lists
are Python literals. A row is of the smallest subset that holds it: small ⊂ medium ⊂ large ⊂ full. Of the small subset
098565, 098567 and 098569 are cut short, and 099134, 108925 and 133297 hold no audio: decoding refuses them.

How often each track was listened to is feedback: `earmark.feedback.sources.fma`.

Source: M. Defferrard, K. Benzi, P. Vandergheynst, X. Bresson, "FMA: A Dataset for Music Analysis", ISMIR 2017.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

from earmark.catalogue.sources.matching import Listed, folded, listed, matched
from earmark.catalogue.sources.source import Candidate, Refusal, Source, check_folder, listing, not_laid_out
from earmark.catalogue.sources.tables import Row, genre_or_none, official_split, read_rows, whole
from earmark.catalogue.sources.walking import beside
from earmark.catalogue.track import GENRE_TAG

TRACKS, GENRES = "fma_metadata/tracks.csv", "fma_metadata/genres.csv"
SUBSETS = ("small", "medium", "large", "full")
_COLUMNS = (
    "track_id", "set.split", "set.subset", "track.genre_top", "track.genres_all", "track.title", "track.license",
    "artist.id", "artist.name", "album.title",
)  # fmt: skip


@dataclass(frozen=True)
class _Genre:
    title: str
    root: int


@dataclass(frozen=True)
class FmaSource(Source):
    """FMA, the Free Music Archive's data set: PATH holds fma_metadata/ and fma_small/ (or medium, large, full)."""

    subset: Literal["auto", "small", "medium", "large", "full"] = field(
        default="auto", metadata={"help": "Tracks to take; auto is the largest of which the audio folder lies there."}
    )
    genres: Literal["root", "all"] = field(
        default="root", metadata={"help": "Genres to keep as tags: the top of the hierarchy, or every one."}
    )

    name: ClassVar[str] = "fma"
    rights: ClassVar[str | None] = "each artist's own, see the column licence (the metadata: CC BY 4.0)"
    citation: ClassVar[str | None] = (
        "M. Defferrard, K. Benzi, P. Vandergheynst, X. Bresson: FMA: A Dataset for Music Analysis. ISMIR 2017."
    )
    expects: ClassVar[str] = (
        f"The folder that holds {TRACKS}, {GENRES} and fma_small/, fma_medium/, fma_large/ or fma_full/."
    )

    def describe(self) -> str:
        """What this is, in one line."""
        subset, audio = self._audio()
        return f"FMA in {self.path} (subset {subset}, audio of {audio.name}/)"

    def candidates(self) -> Iterator[Candidate | Refusal]:
        """Every row of tracks.csv and genres.csv, every file of the audio folder, and what lies beside it.

        Raises:
            CatalogueError: The folder is missing or laid out otherwise, or a table has other columns.
        """
        check_folder(self.path)
        subset, audio = self._audio()
        titles, refused = self._genre_table()
        yield from refused
        elsewhere: dict[str, str] = {}  # audio of rows that are not in the subset

        def rows() -> Iterator[Listed | Refusal]:
            for file, entry in self._rows(subset, titles):
                if file and isinstance(entry, Refusal):
                    elsewhere[folded(file)] = entry.reason
                yield entry

        def unlisted(path: str) -> Refusal:
            if folded(path) in elsewhere:
                return Refusal(path, "ignored", elsewhere[folded(path)])
            return Refusal(path, "refused", "tracks.csv has no row of use for it")

        yield from matched(rows(), audio, unlisted=unlisted)
        yield from beside(self.path, audio, [self.path / TRACKS, self.path / GENRES])

    def _rows(self, subset: str, titles: dict[int, _Genre]) -> Iterator[tuple[str | None, Listed | Refusal]]:
        """Of each row of tracks.csv its audio's path, where the row is sound, and what becomes of it."""
        for row in read_rows(self.path / TRACKS, _COLUMNS, multi_line=True, header_lines=3):
            if isinstance(row, Refusal):
                yield None, row
                continue
            try:
                track = self._listed(row, titles)
                its_subset = row["set.subset"]
                if its_subset not in SUBSETS:
                    raise ValueError(f"its subset is {its_subset!r}, none of {', '.join(SUBSETS)}")
            except ValueError as error:
                yield None, Refusal(row.where, "row", str(error))
                continue
            if SUBSETS.index(its_subset) <= SUBSETS.index(subset):
                yield track.key, track
            else:
                reason = f"not in the subset {subset!r}: it is of {its_subset!r}"
                yield track.key, Refusal(row.where, "row", reason)

    def _audio(self) -> tuple[str, Path]:
        """The subset to take, and the smallest folder there that holds it.

        Raises:
            CatalogueError: No audio folder is large enough, or a table is missing.
        """
        there = [name for name in SUBSETS if (self.path / f"fma_{name}").is_dir()]
        tables = all((self.path / table).is_file() for table in (TRACKS, GENRES))
        subset = self.subset if self.subset != "auto" else next(reversed(there), "small")
        large_enough = [name for name in there if SUBSETS.index(name) >= SUBSETS.index(subset)]
        if not (tables and large_enough):
            raise not_laid_out(self, found=f"{listing(self.path)} (for the subset {subset!r})")
        return subset, self.path / f"fma_{large_enough[0]}"

    def _genre_table(self) -> tuple[dict[int, _Genre], list[Refusal]]:
        titles: dict[int, _Genre] = {}
        refused: list[Refusal] = []
        for row in read_rows(self.path / GENRES, ("genre_id", "title", "top_level")):
            if isinstance(row, Refusal):
                refused.append(row)
                continue
            try:
                number = whole(row["genre_id"], "genre_id", 0, 10**6)
                titles[number] = _Genre(row["title"], whole(row["top_level"], "top_level", 0, 10**6))
            except ValueError as error:
                refused.append(Refusal(row.where, "row", str(error)))
        return titles, refused

    def _listed(self, row: Row, titles: dict[int, _Genre]) -> Listed:
        numbers = _numbers(row["track.genres_all"])
        try:
            kept = [titles[number].root for number in numbers] if self.genres == "root" else numbers
            tags = dict.fromkeys(f"{GENRE_TAG}{titles[number].title}" for number in kept)
        except KeyError as error:
            raise ValueError(f"its genre {error.args[0]} is not in genres.csv") from None
        artist = row.get("artist.id")
        return listed(
            row.where,
            audio_of(row),
            genre=genre_or_none(row.get("track.genre_top")),
            tags=tuple(tags),
            split=official_split(row.get("set.split")),
            artist=row.get("artist.name"),
            title=row.get("track.title"),
            album=row.get("album.title"),
            licence=row.get("track.license"),
            group=f"artist:fma:{artist}" if artist else None,
        )


def audio_of(row: Row) -> str:
    """Where a track's audio lies below fma_small/ and the like: ``000/000002.mp3``.

    Raises:
        ValueError: Its id is none.
    """
    digits = f"{whole(row['track_id'], 'track_id', 0, 999_999):06}"
    return f"{digits[:3]}/{digits}.mp3"


def _numbers(text: str) -> list[int]:
    try:
        numbers = ast.literal_eval(text or "[]")
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        numbers = None
    if not (isinstance(numbers, list) and all(type(number) is int for number in numbers)):
        raise ValueError(f"genres_all is {text[:80]!r}, no list of numbers such as [21, 10]")
    return numbers
