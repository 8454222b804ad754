"""Emotify: 400 excerpts in four genres, and what listeners felt while hearing them.

Layout, as published: ``PATH/data.csv`` and ``PATH/emotifymusic/<genre>/<n>.mp3``, n = 1 … 100.

Two traps. ``track id`` in data.csv runs through all genres (classical 1–100, rock 101–200, electronic 201–300,
pop 301–400), while the files are numbered within each: the join is (genre, (id − 1) mod 100 + 1). And the names in the
header begin with a space.

Source: A. Aljanaki, F. Wiering, R. C. Veltkamp, "Studying emotion induced by music through a crowdsourcing game",
Information Processing & Management, 2015.
"""

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path

import pandas as pd

from earmark.catalogue.sources.source import Candidate, Refusal, check_folder
from earmark.catalogue.sources.walking import walk
from earmark.errors import CatalogueError

EMOTIONS = (
    "amazement", "solemnity", "tenderness", "nostalgia", "calmness", "power", "joyful_activation", "tension", "sadness",
)  # fmt: skip
TABLE, AUDIO = "data.csv", "emotifymusic"
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
_COLUMNS = ("track id", "genre", *_NUMBERS, "mother tongue")


class EmotifySource:
    """The data set in the folder ``path``."""

    name = "emotify"
    collection = "emotify"
    licence: str | None = "non-commercial use only (the recordings are Magnatune's)"
    citation: str | None = (
        "A. Aljanaki, F. Wiering, R. C. Veltkamp: Studying emotion induced by music through a crowdsourcing game. "
        "Information Processing & Management, 2015."
    )

    def __init__(self, path: Path) -> None:
        self.path = path

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
            genre, slash, _ = path.partition("/")
            yield Candidate(file, path, genre=genre if slash else None)
        for other in sorted(self.path.iterdir()):
            if other.name not in (TABLE, AUDIO):
                yield Refusal(
                    f"../{other.name}", "ignored", f"no part of the data set's audio ({AUDIO}/) or answers ({TABLE})"
                )

    def answers(self, track_ids: Iterable[str]) -> tuple[pd.DataFrame, list[Refusal]]:
        """Each listener's answer, joined to its track; every line of data.csv is taken or refused.

        Args:
            track_ids: The tracks that were taken.

        Returns:
            One row an answer, in the table's order: ``track_id``, the nine `EMOTIONS` (0 or 1), ``mood`` (1
            to 5, before listening), ``liked``, ``disliked`` (0 or 1), ``age``, ``gender``, ``mother_tongue``;
            and the refusals.

        Raises:
            CatalogueError: data.csv has other columns.
        """
        tracks = {path.rpartition(".")[0]: path for path in track_ids}
        rows, refused = [], []
        with (self.path / TABLE).open(encoding="utf-8-sig", errors="replace", newline="") as file:
            lines = csv.reader(file)
            header = [name.strip() for name in next(lines, [])]
            if missing := [name for name in _COLUMNS if name not in header]:
                raise CatalogueError(
                    f"{self.path / TABLE} lacks the columns {', '.join(missing)}; it has "
                    f"{', '.join(header) or 'none'}. Needed is data.csv of the Emotify data set, as "
                    "its authors publish it."
                )
            for line in lines:
                where = f"{TABLE}:{lines.line_num}"
                try:
                    rows.append(_answer(header, line, tracks))
                except ValueError as error:
                    refused.append(Refusal(where, "answer", str(error)))
        frame = pd.DataFrame(rows, columns=["track_id", *_NUMBERS, "mother_tongue"])
        return frame.astype(dict.fromkeys(_NUMBERS, "int16")), refused

    def _check_layout(self) -> None:
        if (self.path / TABLE).is_file() and (self.path / AUDIO).is_dir():
            return
        names = sorted(entry.name + ("/" if entry.is_dir() else "") for entry in self.path.iterdir())
        found = ", ".join(names[:8]) + (" …" if len(names) > 8 else "") or "nothing"
        raise CatalogueError(
            f"{self.path} is not the Emotify data set: it needs {TABLE} and {AUDIO}/<genre>/<n>.mp3, and "
            f"holds {found}. Give the folder that holds both. For a folder of your own: earmark import folder PATH."
        )


def _answer(header: list[str], line: list[str], tracks: dict[str, str]) -> dict[str, object]:
    """One line, checked and joined.

    Raises:
        ValueError: Why the line cannot be used.
    """
    if len(line) != len(header):
        raise ValueError(f"it has {len(line)} fields, the header {len(header)}")
    values = {name: value.strip() for name, value in zip(header, line, strict=True)}
    number = _whole(values, "track id", 1, 10**6)
    excerpt = f"{values['genre']}/{(number - 1) % EXCERPTS_PER_GENRE + 1}"
    if excerpt not in tracks:
        raise ValueError(f"its track {excerpt} (track id {number}) was not taken")
    answer: dict[str, object] = {"track_id": tracks[excerpt]}
    for name, (lowest, highest) in _NUMBERS.items():
        answer[name] = _whole(values, name, lowest, highest)
    answer["mother_tongue"] = values["mother tongue"] or None
    return answer


def _whole(values: dict[str, str], name: str, lowest: int, highest: int) -> int:
    try:
        number = int(values[name])
    except ValueError:
        raise ValueError(f"{name} is {values[name]!r}, no whole number") from None
    if not lowest <= number <= highest:
        raise ValueError(f"{name} is {number}, not within {lowest} and {highest}")
    return number
