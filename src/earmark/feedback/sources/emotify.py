"""Emotify: what listeners felt while hearing an excerpt, and whether they liked it.

A line of data.csv is one listener's answer about one excerpt. Who it was is not told, nor when; so each line is a
listener of its own, "answer 17" for line 17. It tells eleven things: for each of nine emotions whether it was felt,
and whether the excerpt was liked and disliked (two questions: about 40 % of the answers are neither).

Two traps. ``track id`` in data.csv runs through all genres (classical 1–100, rock 101–200, electronic 201–300,
pop 301–400), while the files of `earmark.catalogue.sources.emotify` are numbered within each: the join is
(genre, (id − 1) mod 100 + 1). And the names in the header begin with a space.

The mood before listening is not read. Ages below 10 or above 98 are taken as not given (in the published data: 5
twice, 99 ten times). Gender is coded 0 and 1 by the authors, and kept as that.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

from earmark.catalogue.sources.emotify import TABLE, EmotifySource
from earmark.catalogue.sources.library import as_text
from earmark.catalogue.sources.tables import Row as TableRow
from earmark.catalogue.sources.tables import whole
from earmark.feedback.event import About, Event, Song
from earmark.feedback.sources.delimited import only_part, table_rows
from earmark.feedback.sources.reading import Part
from earmark.feedback.sources.source import FeedbackSource, Refused, Row

EMOTIONS = (
    "amazement", "solemnity", "tenderness", "nostalgia", "calmness", "power", "joyful_activation", "tension", "sadness",
)  # fmt: skip
_GENRES = ("classical", "rock", "electronic", "pop")  # in the order of their ids
_EXCERPTS_PER_GENRE = 100
_AGES = range(10, 99)

# Column of data.csv → smallest and largest value that an answer may have; gender is coded by its authors.
_NUMBERS: dict[str, tuple[int, int]] = {
    **dict.fromkeys(EMOTIONS, (0, 1)),
    "mood": (1, 5),
    "liked": (0, 1),
    "disliked": (0, 1),
    "age": (0, 150),
    "gender": (0, 9),
}
_COLUMNS = ("track id", "genre", *_NUMBERS, "mother tongue")


@dataclass(frozen=True)
class EmotifyAnswers(FeedbackSource):
    """The Emotify data set's answers: nine felt emotions, liked and disliked, by anonymous listeners."""

    name: ClassVar[str] = "emotify"
    service: ClassVar[str] = "emotify"
    licence: ClassVar[str | None] = EmotifySource.licence
    citation: ClassVar[str | None] = EmotifySource.citation
    expects: ClassVar[str] = f"{TABLE} of the Emotify data set, or the folder or archive with it."
    tells_listener: ClassVar[bool] = True

    def files(self) -> list[Part]:
        """The table.

        Raises:
            FeedbackError: It is not at ``path``.
        """
        return [only_part(self.path, (TABLE,), f"{TABLE} of Emotify")]

    def rows(self, part: Part) -> Iterator[Row]:
        """Every answer, once: eleven events, or refused.

        Raises:
            FeedbackError: It is another table.
        """
        for row in table_rows(part, _COLUMNS):
            if isinstance(row, Refused):
                yield row
                continue
            try:
                yield _answer(row)
            except ValueError as error:
                yield Refused(row.where, f"no answer: {error}")


def _answer(row: TableRow) -> tuple[Event, ...]:
    """What one listener said.

    Raises:
        ValueError: Why the line cannot be used.
    """
    of, numbers = _song(_excerpt_of(row)), _numbers_of(row)
    listener = f"answer {row.where.rpartition(':')[2]}"
    about = _about(numbers["age"], numbers["gender"], as_text(row.get("mother tongue")))
    felt = (
        Event(row.where, of, "feeling", listener, value=float(numbers[word]), word=word, about=about)
        for word in EMOTIONS
    )
    return (
        *felt,
        Event(row.where, of, "like", listener, value=float(numbers["liked"]), about=about),
        Event(row.where, of, "dislike", listener, value=float(numbers["disliked"]), about=about),
    )


def _excerpt_of(row: TableRow) -> str:
    """Which excerpt a line of data.csv is about, as its file lies below ``emotifymusic/``: ``rock/7``.

    Raises:
        ValueError: There is no such track, or its genre is another.
    """
    number = whole(row["track id"], "track id", 1, len(_GENRES) * _EXCERPTS_PER_GENRE)
    genre = _GENRES[(number - 1) // _EXCERPTS_PER_GENRE]
    if row["genre"] != genre:
        raise ValueError(f"its genre is {row['genre']!r}, and track id {number} is one of {genre}")
    return f"{genre}/{(number - 1) % _EXCERPTS_PER_GENRE + 1}"


def _numbers_of(row: TableRow) -> dict[str, int]:
    """What a line of data.csv answers: the nine `EMOTIONS`, mood, liked, disliked, age, gender.

    Raises:
        ValueError: One is no number, or none that such an answer can have.
    """
    return {name: whole(row[name], name, lowest, highest) for name, (lowest, highest) in _NUMBERS.items()}


@lru_cache(maxsize=1_024)
def _song(excerpt: str) -> Song:
    return Song(EmotifyAnswers.service, excerpt, track_id=f"{excerpt}.mp3")


@lru_cache(maxsize=4_096)
def _about(age: int, gender: int, language: str | None) -> About:
    return About(age if age in _AGES else None, str(gender), None, language)
