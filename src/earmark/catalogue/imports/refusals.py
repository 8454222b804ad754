"""Everything that was not taken, each with its reason: of this run, and of earlier ones."""

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import cast

from earmark.catalogue.sources.source import Candidate, Kind, Refusal
from earmark.files import replacing


def unique(entries: Iterable[Candidate | Refusal]) -> tuple[list[Candidate], list[Refusal]]:
    """Candidates and refusals, apart; of two names that become the same text, the first is taken."""
    candidates: dict[str, Candidate] = {}
    refused: list[Refusal] = []
    for entry in entries:
        if isinstance(entry, Refusal):
            refused.append(entry)
        elif entry.path in candidates:
            refused.append(Refusal(entry.path, "refused", "another file's name reads the same; rename one of them"))
        else:
            candidates[entry.path] = entry
    return list(candidates.values()), refused


def write_refusals(path: Path, refused: list[Refusal], known: set[str], *, answered: bool) -> None:
    """List what this run has refused, and what earlier runs have, where this one says nothing about it.

    Args:
        path: The CSV file (path, kind, reason), sorted.
        refused: Of this run.
        known: All paths that this run knows of, taken or refused.
        answered: Whether this run has read the source's answers anew.
    """
    earlier = []
    if path.exists():
        with path.open(encoding="utf-8", newline="") as file:
            earlier = [
                Refusal(row["path"], cast(Kind, row["kind"]), row["reason"])
                for row in csv.DictReader(file)
                if row["path"] not in known and not (answered and row["kind"] == "answer")
            ]
    listed = sorted([*refused, *earlier], key=lambda refusal: (refusal.path, refusal.kind))
    with replacing(path) as part, part.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["path", "kind", "reason"])
        rows.writerows((refusal.path, refusal.kind, refusal.reason) for refusal in listed)
