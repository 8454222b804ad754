"""MTG-Jamendo: 55,000 full tracks with tags for genre, instrument and mood or theme, and five official splits.

Layout: PATH is the data set's repository with its ``data/`` folder, and the audio lies in one of the folders below it
that are named in `AUDIO`, or at --audio: ``14/214.mp3``, or ``14/214.low.mp3`` of the smaller copy.

In the tables **each tag is one more tab-separated field**, ``category---tag``. All tags are kept. A track's genre is
its genre tag where it has exactly one. Of several, none is the first (they stand in alphabetical order), so such a
track has tags and no genre. The files of a split leave out a few rare tags, so that all splits have the same.

Names come from ``data/raw.meta.tsv`` and licences from ``audio_licenses.txt`` where these lie there. In the former a
``"`` is a character like any other, and two rows have an empty field too many between title and artist.

Source: D. Bogdanov, M. Won, P. Tovstogan, A. Porter, X. Serra, "The MTG-Jamendo dataset for automatic music tagging",
Machine Learning for Music Discovery Workshop, ICML 2019.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

from earmark.catalogue.sources.matching import Listed, listed, matched
from earmark.catalogue.sources.source import Candidate, Refusal, Source, check_folder, listing, not_laid_out
from earmark.catalogue.sources.tables import Asides, Row, read_rows
from earmark.catalogue.sources.walking import beside
from earmark.catalogue.track import GENRE_TAG
from earmark.errors import CatalogueError

AUDIO = ("audio", "audio-low", "raw_30s/audio", "raw_30s/audio-low")
NAMES, LICENCES = "data/raw.meta.tsv", "audio_licenses.txt"
_COLUMNS = ("TRACK_ID", "ARTIST_ID", "ALBUM_ID", "PATH", "DURATION", "TAGS")
_NAME_COLUMNS = ("TRACK_ID", "ARTIST_ID", "ALBUM_ID", "TRACK_NAME", "ARTIST_NAME", "ALBUM_NAME", "RELEASEDATE", "URL")


@dataclass(frozen=True)
class MtgJamendoSource(Source):
    """MTG-Jamendo: PATH is the data set's repository (data/…); audio in audio/, raw_30s/audio/ or at --audio."""

    subset: str = field(
        default="autotagging",
        metadata={"help": "A table in data/: autotagging, autotagging_genre, _instrument, _moodtheme, _top50tags …"},
    )
    split: Literal["0", "1", "2", "3", "4", "none"] = field(
        default="0", metadata={"help": "The official split to read; none reads data/SUBSET.tsv, without a split."}
    )
    audio: Path | None = field(default=None, metadata={"help": "The folder that holds 00/ … 99/, if it is elsewhere."})

    name: ClassVar[str] = "mtg-jamendo"
    rights: ClassVar[str | None] = "each track's own Creative Commons licence (the metadata: CC BY-NC-SA 4.0)"
    citation: ClassVar[str | None] = (
        "D. Bogdanov, M. Won, P. Tovstogan, A. Porter, X. Serra: The MTG-Jamendo dataset for automatic music tagging. "
        "Machine Learning for Music Discovery Workshop, ICML 2019."
    )
    expects: ClassVar[str] = (
        "The folder that holds data/autotagging.tsv, data/splits/split-0/ … and the audio in audio/, audio-low/, "
        "raw_30s/audio/ or raw_30s/audio-low/ (NN/ID.mp3 or NN/ID.low.mp3), unless --audio says where."
    )

    def describe(self) -> str:
        """What this is, in one line."""
        split = "without a split" if self.split == "none" else f"split {self.split}"
        return f"MTG-Jamendo in {self.path} ({self.subset}, {split})"

    def candidates(self) -> Iterator[Candidate | Refusal]:
        """Every row of the tables that are read, every file of the audio folder, and what lies beside it.

        Raises:
            CatalogueError: The folder is missing or laid out otherwise, or a table has other columns.
        """
        check_folder(self.path)
        audio = self._audio()
        tables = self._tables()
        names, licences = self.path / NAMES, self.path / LICENCES
        named = Asides(_name_rows(names) if names.is_file() else (), _names)
        licensed = Asides(_licence_rows(licences) if licences.is_file() else (), _licence)

        def rows() -> Iterator[Listed | Refusal]:
            for table, split in tables.items():
                shown = table.relative_to(self.path).as_posix()
                for row in read_rows(table, _COLUMNS, delimiter="\t", quotes=False, open_ended=True, shown=shown):
                    yield row if isinstance(row, Refusal) else _listed(row, split, named, licensed)

        def unlisted(path: str) -> Refusal:
            return Refusal(path, "ignored", f"in no table of {self.subset!r} that is read")

        yield from matched(rows(), audio, key=_key, unlisted=unlisted)
        yield from named.unused("the tables that are read have no such track")
        yield from licensed.unused("the tables that are read have no such track")
        yield from beside(self.path, audio, [*tables, names, licences])

    def _audio(self) -> Path:
        if self.audio:
            check_folder(self.audio)
            return self.audio
        for folder in AUDIO:
            if (self.path / folder).is_dir():
                return self.path / folder
        raise not_laid_out(self, found=listing(self.path))

    def _tables(self) -> dict[Path, str | None]:
        """The tables to read, each with its split."""
        data = self.path / "data"
        tables: dict[Path, str | None] = {data / f"{self.subset}.tsv": None}
        if self.split != "none":
            folder = data / "splits" / f"split-{self.split}"
            tables = {folder / f"{self.subset}-{split}.tsv": split for split in ("train", "validation", "test")}
        if missing := [table.relative_to(self.path).as_posix() for table in tables if not table.is_file()]:
            there = ", ".join(sorted(table.stem for table in data.glob("autotagging*.tsv"))) or "none"
            raise CatalogueError(
                f"{self.path} lacks {', '.join(missing)}, which --subset {self.subset} --split {self.split} asks for. "
                f"Tables in data/: {there}."
            )
        return tables


def _listed(
    row: Row, split: str | None, named: Asides[tuple[str | None, ...]], licensed: Asides[str]
) -> Listed | Refusal:
    title, artist, album = named.get(row["TRACK_ID"], (None, None, None))
    licence = licensed.get(row["PATH"])
    if not row["PATH"]:
        return Refusal(row.where, "row", "it has no PATH")
    tags = (*([row["TAGS"]] if row["TAGS"] else ()), *row.beyond)
    if strange := [tag for tag in tags if "---" not in tag]:
        return Refusal(row.where, "row", f"its tag {strange[0]!r} is not of the form category---tag")
    genres = [tag.partition("---")[2] for tag in tags if tag.startswith(GENRE_TAG)]
    return listed(
        row.where,
        row["PATH"],
        genre=genres[0] if len(genres) == 1 else None,
        tags=tags,
        split=split,
        title=title,
        artist=artist,
        album=album,
        licence=licence,
        group=f"artist:mtg-jamendo:{row['ARTIST_ID']}" if row["ARTIST_ID"] else None,
    )


def _key(path: str) -> str:
    return re.sub(r"\.low\.mp3$", ".mp3", path, flags=re.IGNORECASE)


def _name_rows(table: Path) -> Iterator[Row | Refusal]:
    return read_rows(table, _NAME_COLUMNS, delimiter="\t", quotes=False, open_ended=True, shown=NAMES)


def _names(row: Row) -> tuple[str, tuple[str | None, ...]]:
    fields = [field.strip() for field in row.fields]
    if len(fields) == len(_NAME_COLUMNS) + 1 and not fields[4]:
        del fields[4]
    if len(fields) != len(_NAME_COLUMNS):
        raise ValueError(f"it has {len(fields)} fields, the header {len(_NAME_COLUMNS)}")
    return fields[0], tuple(name or None for name in fields[3:6])


def _licence_rows(text: Path) -> Iterator[Row]:
    """Blocks of three lines, apart by an empty one: path, title and artist, licence."""
    block: list[str] = []
    lines = text.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    for number, line in enumerate([*lines, ""], start=1):
        if line.strip():
            block.append(line)
        elif block:
            yield Row(f"{LICENCES}:{number - len(block)}", block, {})
            block = []


def _licence(row: Row) -> tuple[str, str]:
    if len(row.fields) != 3:
        raise ValueError(f"a block of {len(row.fields)} lines, not of path, title and licence")
    path, _, licence = (line.strip() for line in row.fields)
    said = re.fullmatch(r"Available under an? (.+?) licen[cs]e: (\S+)", licence)
    return path, f"{said[1]} ({said[2]})" if said else licence
