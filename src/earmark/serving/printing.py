"""Answers about files as text for people, JSON for programs, CSV for tables."""

import csv
import io
import json
import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from earmark.serving.answers import Answer

# How many genres a line names; JSON and CSV give them all.
_SHOWN = 3
# How a spreadsheet knows a formula, also in the full-width letters of some keyboards.
_FORMULAS = "=+-@＝＋－＠"

COLUMNS = (
    "file", "genre", "probability", "genre_set", "abstains", "appeal", "appeal_low", "appeal_high", "tempo_bpm", "key",
    "loudness_lufs", "unlike", "duration_s", "model_version", "error",
)  # fmt: skip


_Cell = str | float | None


class Form(ABC):
    """How answers are printed; what is returned lacks its last line break."""

    end = "\n"

    def header(self) -> str | None:
        """What stands before all; None: nothing."""
        return None

    @abstractmethod
    def answered(self, file: Path, answer: Answer, error: str | None = None) -> str:
        """A file and what is said of it; ``error``: what went wrong all the same."""

    def refused(self, file: Path, error: str) -> str | None:
        """A file without an answer; None: errors have another place."""
        return None


class Text(Form):
    """A line for each file, and one for each warning."""

    def answered(self, file: Path, answer: Answer, error: str | None = None) -> str:
        genres = "  ".join(f"{each.genre} {each.probability:6.1%}" for each in answer.genres[:_SHOWN])
        warnings = "".join(f"\n    {warning}" for warning in answer.warnings)
        return f"{as_text(file)}  {answer.duration_s:8.1f} s  {genres}{warnings}"


class Json(Form):
    """An object a line: the service's answer (`earmark.serving.answers`) about ``file``, without what only it knows."""

    def answered(self, file: Path, answer: Answer, error: str | None = None) -> str:
        told = answer.model_dump(mode="json", exclude={"prediction_id": True, "model": {"role"}})
        return json.dumps({"file": as_text(file), **told}, ensure_ascii=False)


class Csv(Form):
    """A row for each file by RFC 4180, those without an answer too: `COLUMNS`, then the share of each tag.

    No cell is taken for a formula: a text that begins like one has an apostrophe before it, as spreadsheets want it.
    """

    end = "\r\n"

    def __init__(self, tags: Sequence[str]) -> None:
        self._tags = tuple(tags)

    def header(self) -> str:
        return self._row([*COLUMNS, *self._tags])

    def answered(self, file: Path, answer: Answer, error: str | None = None) -> str:
        appeal, facts = answer.appeal, answer.facts
        shares = {each.tag: each.share for each in answer.tags}
        cells: dict[str, _Cell] = {
            "file": as_text(file),
            "genre": answer.genres[0].genre,
            "probability": answer.genres[0].probability,
            "genre_set": " | ".join(answer.genre_set),
            "abstains": "true" if answer.abstains else "false",
            "appeal": appeal.share if appeal else None,
            "appeal_low": appeal.low if appeal else None,
            "appeal_high": appeal.high if appeal else None,
            "tempo_bpm": facts.tempo.bpm if facts.tempo else None,
            "key": f"{facts.key.tonic} {facts.key.mode}" if facts.key else None,
            "loudness_lufs": facts.loudness.lufs if facts.loudness else None,
            "unlike": answer.unlike,
            "duration_s": answer.duration_s,
            "model_version": answer.model.version,
            "error": error,
        }
        return self._row([*(cells[name] for name in COLUMNS), *(shares.get(tag) for tag in self._tags)])

    def refused(self, file: Path, error: str) -> str:
        cells: dict[str, _Cell] = {"file": as_text(file), "error": error}
        return self._row([*(cells.get(name) for name in COLUMNS), *(None for _ in self._tags)])

    def _row(self, cells: Sequence[_Cell]) -> str:
        line = io.StringIO()
        csv.writer(line, lineterminator="").writerow([_cell(cell) for cell in cells])
        return line.getvalue()


def form_of(name: str, tags: Sequence[str]) -> Form:
    """``text``, ``json`` or ``csv``, for a model that knows ``tags``."""
    forms: dict[str, Any] = {"text": Text, "json": Json}
    return Csv(tags) if name == "csv" else forms[name]()


def as_text(file: Path) -> str:
    r"""A path that can be printed: bytes that are no text (UTF-8) as ``\xe9``."""
    return os.fsencode(file).decode("utf-8", "backslashreplace")


def _cell(cell: _Cell) -> str:
    if cell is None:
        return ""
    if isinstance(cell, float):
        return f"{cell:.6g}"
    begins = cell.lstrip()[:1]
    return f"'{cell}" if (begins and begins in _FORMULAS) or cell[:1] in ("\t", "\r", "\n") else cell
