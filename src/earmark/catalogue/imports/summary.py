"""What an import did, for reading: how much of each genre, what was refused and why, and what to do next."""

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from earmark.catalogue.sources.folder import FolderSource
from earmark.catalogue.sources.source import Refusal
from earmark.workspace import REFUSED

_SHOWN = 3


@dataclass(frozen=True)
class ImportResult:
    """The outcome of one run.

    Attributes:
        name: The collection.
        folder: Where it lies.
        taken: Tracks taken in this run, those that were there already included; columns as in `SCHEMA`.
        refused: What was not taken in this run, and why.
        replaced: Paths that held another recording before.
        moved: Earlier path → new one, for the same content.
        gone: Earlier tracks of this source that it does not list any more.
        pruned: Whether these were taken out; otherwise they stay.
        total: Tracks in the collection now.
        genres: How many they have.
        source: The source, in words.
        licence: Of the recordings, where the source knows.
        citation: Whom to name, where the source knows.
    """

    name: str
    folder: Path
    taken: pa.Table
    refused: tuple[Refusal, ...]
    replaced: tuple[str, ...]
    moved: Mapping[str, str]
    gone: tuple[str, ...]
    pruned: bool
    total: int
    genres: int
    source: str
    licence: str | None
    citation: str | None

    def summary(self) -> str:
        """A short text for people."""
        counted = pc.value_counts(pc.fill_null(self.taken["genre"], "(no genre)")).to_pylist()
        genres = {each["values"]: each["counts"] for each in counted}
        groups = pc.count_distinct(self.taken["group"]).as_py()
        lines = [f"{self.name}: {len(self.taken)} tracks taken from {self.source}; {groups} groups (artists)."]
        lines += [f"  {count:6}  {genre}" for genre, count in sorted(genres.items())]
        if self.total > len(self.taken):
            lines.append(f"With what was there before, the collection now holds {self.total} tracks.")
        if self.replaced:
            lines.append(f"Replaced, because the file has changed: {_names(self.replaced)}.")
        if self.moved:
            lines.append(f"Moved: {_names([f'{old} → {new}' for old, new in self.moved.items()])}.")
        if self.gone:
            fate = (
                "Taken out, for it is no longer there"
                if self.pruned
                else "No longer there, but kept (--prune takes it out)"
            )
            lines.append(f"{fate}: {_names(self.gone)}.")
        for kind, said in _KINDS.items():
            lines += _refusals(said, [refusal for refusal in self.refused if refusal.kind == kind])
        if self.refused:
            lines.append(f"Every one of them with its reason: {self.folder / REFUSED}")
        if self.genres < 2:
            by_folder = pc.unique(self.taken["source"]).to_pylist() == [FolderSource.name]
            lines.append(
                "Warning: a model tells genres apart, so it needs two at least." + (_BY_FOLDER if by_folder else "")
            )
        if self.licence:
            lines.append(f"Licence: {self.licence}")
        if self.citation:
            lines.append(f"Please cite: {self.citation}")
        lines.append("Next: dvc repro")
        return "\n".join(lines)


_BY_FOLDER = " The genre is the first folder below the path you gave; perhaps you meant a folder further in or out."
_KINDS = {
    "refused": "refused",
    "ignored": "ignored",
    "row": "rows of the source's tables without a recording",
}


def _refusals(said: str, refusals: list[Refusal]) -> list[str]:
    """Grouped by reason, numbers and names apart; the first few names of each."""
    if not refusals:
        return []
    by_reason: dict[str, list[Refusal]] = defaultdict(list)
    for refusal in refusals:
        # Alike are reasons that begin alike, names and numbers apart; details stand after a colon.
        by_reason[re.sub(r"'[^']*'|\"[^\"]*\"|[\d.,]+", "…", refusal.reason.split(": ")[0])].append(refusal)
    lines = [f"{len(refusals)} {said}:"]
    for group in sorted(by_reason.values(), key=lambda group: (-len(group), group[0].reason)):
        first_sentence = re.split(r"(?<=\.) (?=[A-Z])", group[0].reason)[0].rstrip(".")
        reason = first_sentence if len(group) == 1 else f"{first_sentence} (and alike)"
        lines.append(f"  {len(group):6}  {reason}\n          {_names([refusal.path for refusal in group])}")
    return lines


def _names(paths: tuple[str, ...] | list[str]) -> str:
    shown = ", ".join(repr(path) if not path.isprintable() else path for path in paths[:_SHOWN])
    return shown + (f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else "")
