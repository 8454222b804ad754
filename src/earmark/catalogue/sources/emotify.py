"""Emotify: 400 excerpts in four genres, and what listeners felt while hearing them.

Layout, as published: ``PATH/data.csv`` and ``PATH/emotifymusic/<genre>/<n>.mp3``, n = 1 … 100.

Two traps. ``track id`` in data.csv runs through all genres (classical 1–100, rock 101–200, electronic 201–300,
pop 301–400), while the files are numbered within each: the join is (genre, (id − 1) mod 100 + 1). And the names in the
header begin with a space.

Source: A. Aljanaki, F. Wiering, R. C. Veltkamp, "Studying emotion induced by music through a crowdsourcing game",
Information Processing & Management, 2015.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from earmark.catalogue.sources.source import Candidate, Refusal, Source, check_folder, listing, not_laid_out
from earmark.catalogue.sources.tables import Row, whole
from earmark.catalogue.sources.walking import beside, top_folder, walk

EMOTIONS = (
    "amazement", "solemnity", "tenderness", "nostalgia", "calmness", "power", "joyful_activation", "tension", "sadness",
)  # fmt: skip
TABLE, AUDIO = "data.csv", "emotifymusic"
GENRES = ("classical", "rock", "electronic", "pop")  # in the order of their ids
EXCERPTS_PER_GENRE = 100

# Column of data.csv → smallest and largest value that an answer may have; gender is coded by its authors.
_NUMBERS: dict[str, tuple[int, int]] = {
    **dict.fromkeys(EMOTIONS, (0, 1)),
    "mood": (1, 5),
    "liked": (0, 1),
    "disliked": (0, 1),
    "age": (0, 150),
    "gender": (0, 9),
}
COLUMNS = ("track id", "genre", *_NUMBERS, "mother tongue")


@dataclass(frozen=True)
class EmotifySource(Source):
    """The Emotify data set: PATH holds data.csv and emotifymusic/."""

    name: ClassVar[str] = "emotify"
    licence: ClassVar[str | None] = "non-commercial use only (the recordings are Magnatune's)"
    citation: ClassVar[str | None] = (
        "A. Aljanaki, F. Wiering, R. C. Veltkamp: Studying emotion induced by music through a crowdsourcing game. "
        "Information Processing & Management, 2015."
    )
    expects: ClassVar[str] = f"The folder that holds {TABLE} and {AUDIO}/<genre>/<n>.mp3, as published."

    def describe(self) -> str:
        """What this is, in one line."""
        return f"the Emotify data set in {self.path}"

    def candidates(self) -> Iterator[Candidate | Refusal]:
        """Every entry of ``emotifymusic/``, and as ignored what else lies beside it.

        Raises:
            CatalogueError: The folder is missing, or lacks data.csv or emotifymusic/.
        """
        check_folder(self.path)
        self._check_layout()
        for entry in walk(self.path / AUDIO):
            if isinstance(entry, Refusal):
                yield entry
                continue
            file, path = entry
            yield Candidate(file, path, genre=top_folder(path))
        yield from beside(self.path, self.path / AUDIO, [self.path / TABLE])

    def _check_layout(self) -> None:
        if (self.path / TABLE).is_file() and (self.path / AUDIO).is_dir():
            return
        raise not_laid_out(self, found=listing(self.path))


def excerpt_of(row: Row) -> str:
    """Which excerpt a line of data.csv is about, as its file lies below ``emotifymusic/``: ``rock/7``.

    Raises:
        ValueError: There is no such track, or its genre is another.
    """
    number = whole(row["track id"], "track id", 1, len(GENRES) * EXCERPTS_PER_GENRE)
    genre = GENRES[(number - 1) // EXCERPTS_PER_GENRE]
    if row["genre"] != genre:
        raise ValueError(f"its genre is {row['genre']!r}, and track id {number} is one of {genre}")
    return f"{genre}/{(number - 1) % EXCERPTS_PER_GENRE + 1}"


def numbers_of(row: Row) -> dict[str, int]:
    """What a line of data.csv answers: the nine `EMOTIONS`, mood, liked, disliked, age, gender.

    Raises:
        ValueError: One is no number, or none that such an answer can have.
    """
    return {name: whole(row[name], name, lowest, highest) for name, (lowest, highest) in _NUMBERS.items()}
