"""Everything that was not taken, each with its reason: of this run, and of earlier ones."""

import csv
from collections.abc import Iterable
from pathlib import Path

from earmark.catalogue.sources.source import Candidate, Refusal
from earmark.catalogue.sources.walking import folders_above
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


def write_refusals(path: Path, refused: list[Refusal], taken: set[str], origin: str) -> None:
    """List what this run has refused, and what earlier runs have, where this one says nothing about it.

    Args:
        path: The CSV file (path, kind, reason, source), sorted.
        refused: Of this run.
        taken: Paths that this run has taken.
        origin: The source's; it has read its tables anew, so what an earlier run said of their lines is over.
    """
    told = taken | {refusal.path for refusal in refused}
    told.update(folder for path in taken for folder in folders_above(path))  # these could be read after all
    rows: set[tuple[str, str, str, str]] = {(refusal.path, refusal.kind, refusal.reason, origin) for refusal in refused}
    if path.exists():
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                source = row.get("source") or ""
                by_line = row["kind"] == "row"
                if source != origin if by_line else row["path"] not in told:
                    rows.add((row["path"], row["kind"], row["reason"], source))
    with replacing(path) as part, part.open("w", encoding="utf-8", newline="") as file:
        into = csv.writer(file, lineterminator="\n")
        into.writerow(["path", "kind", "reason", "source"])
        into.writerows(sorted(rows))
