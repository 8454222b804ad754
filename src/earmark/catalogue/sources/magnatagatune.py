"""MagnaTagATune: 25,863 clips of 29 s with the 188 tags that players of the game TagATune agreed on.

Layout: ``PATH/annotations_final.csv`` and ``clip_info_final.csv``, and the audio in folders ``0`` … ``f``, in PATH or
in one of the folders in `AUDIO` below it. Both tables are tab-separated in spite of their names, with quoted fields.

All tags are kept as they are, synonyms too (``no vocals``, ``no voice``): putting them together is a taxonomy's task.
A clip without tags is taken. No tag is a genre by itself, so tracks have none. The usual split goes by folder: 0–b, c,
d–f. clip_info_final.csv also tells of clips that nobody annotated; they lead to no audio. Three published files are
empty, which decoding refuses.

Source: E. Law, K. West, M. Mandel, M. Bay, J. S. Downie, "Evaluation of algorithms using games: the case of music
tagging", ISMIR 2009.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from earmark.catalogue.sources.matching import Listed, listed, matched
from earmark.catalogue.sources.source import Candidate, Refusal, Source, check_folder, listing, not_laid_out
from earmark.catalogue.sources.tables import Asides, Row, read_rows
from earmark.catalogue.sources.walking import beside, top_folder

ANNOTATIONS, CLIPS = "annotations_final.csv", "clip_info_final.csv"
AUDIO = ("mp3", "audio", "MagnaTagATune", ".")
_NO_TAGS = ("clip_id", "mp3_path")
_SPLITS = dict.fromkeys("0123456789ab", "train") | {"c": "validation"} | dict.fromkeys("def", "test")


@dataclass(frozen=True)
class MagnaTagATuneSource(Source):
    """MagnaTagATune: PATH holds annotations_final.csv, clip_info_final.csv and the folders 0 … f."""

    name: ClassVar[str] = "magnatagatune"
    licence: ClassVar[str | None] = "CC BY-NC-SA 3.0 (the recordings are Magnatune's)"
    citation: ClassVar[str | None] = (
        "E. Law, K. West, M. Mandel, M. Bay, J. S. Downie: Evaluation of algorithms using games: the case of music "
        "tagging. ISMIR 2009."
    )
    expects: ClassVar[str] = (
        f"The folder that holds {ANNOTATIONS}, {CLIPS} and the audio folders 0 … f, these also in mp3/ or audio/."
    )

    def describe(self) -> str:
        """What this is, in one line."""
        return f"MagnaTagATune in {self.path}"

    def candidates(self) -> Iterator[Candidate | Refusal]:
        """Every row of both tables, every file of the audio folders, and what lies beside them.

        Raises:
            CatalogueError: The folder is missing or laid out otherwise, or a table has other columns.
        """
        check_folder(self.path)
        tables = [self.path / ANNOTATIONS, self.path / CLIPS]
        audio = next((self.path / name for name in AUDIO if _holds_clips(self.path / name)), None)
        if audio is None or not all(table.is_file() for table in tables):
            raise not_laid_out(self, found=listing(self.path))
        clips = Asides(
            read_rows(tables[1], ("clip_id", "title", "artist", "album"), delimiter="\t"),
            lambda row: (row["clip_id"], (row.get("title"), row.get("artist"), row.get("album"))),
        )

        def rows() -> Iterator[Listed | Refusal]:
            for row in read_rows(tables[0], _NO_TAGS, delimiter="\t"):
                yield row if isinstance(row, Refusal) else _listed(row, clips)

        yield from matched(
            rows(),
            audio,
            unlisted=lambda path: Refusal(path, "refused", f"{ANNOTATIONS} has no row of use for it"),
            tables=tables,
        )
        yield from clips.unused(f"{ANNOTATIONS} has no such clip")
        yield from beside(self.path, audio, tables)


def _holds_clips(folder: Path) -> bool:
    return any((folder / name).is_dir() for name in _SPLITS)


def _listed(row: Row, clips: Asides[tuple[str | None, str | None, str | None]]) -> Listed | Refusal:
    title, artist, album = clips.get(row["clip_id"], (None, None, None))
    path = row["mp3_path"]
    if not path:
        return Refusal(row.where, "row", "it has no mp3_path")
    tags = []
    for name in row.places:
        if name not in _NO_TAGS:
            if row[name] not in ("0", "1"):
                return Refusal(row.where, "row", f"its tag {name!r} is {row[name]!r}, neither 0 nor 1")
            if row[name] == "1":
                tags.append(name)
    return listed(
        row.where,
        path,
        tags=tuple(tags),
        split=_SPLITS.get(top_folder(path) or ""),
        title=title,
        artist=artist,
        album=album,
    )
