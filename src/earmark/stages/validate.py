"""The stage `validate`: a collection's tracks in; the catalogue, the quarantine with its reasons, and the report out.

The judge is handed in (`earmark.adapters.expectations.judge`), because a stage knows no service tool.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from earmark.catalogue.track import SCHEMA, read_tracks, write_tracks
from earmark.errors import CatalogueError
from earmark.files import replacing, write_json
from earmark.params import Params, Validation
from earmark.workspace import CATALOGUE, COLLECTIONS, DATA_DOCS, QUARANTINE, TRACKS, VALIDATION

QUARANTINE_COLUMNS = ("track_id", "rule", "severity", "reason")


@dataclass(frozen=True)
class RuleOutcome:
    """What one rule found.

    Attributes:
        severity: ``critical`` (refuses rows, or fails the stage) or ``warning`` (tells, never stops).
        demands: The rule in words.
        unexpected: How many rows (of tracks, or of genres) break it; for a rule on the whole catalogue 0 or 1.
        success: Nothing breaks it.
    """

    severity: str
    demands: str
    unexpected: int
    success: bool


@dataclass(frozen=True)
class Judgement:
    """What is fit to enter, what is not, and why.

    Attributes:
        accepted: For each given track, in the given order, whether it enters.
        quarantine: One row for each critical rule that a refused track breaks; columns `QUARANTINE_COLUMNS`.
        rules: Name → outcome, in the order in which they were judged.
        problems: What makes the catalogue as a whole unfit; each a full sentence. Empty when it is fit.
    """

    accepted: pd.Series
    quarantine: pd.DataFrame
    rules: Mapping[str, RuleOutcome]
    problems: tuple[str, ...]


Judge = Callable[[pd.DataFrame, Validation, Path], Judgement]


def run(params: Params, root: Path, *, judge: Judge) -> None:
    """Judge the collection that params.yaml names; write catalogue, quarantine, Data Docs and metrics.

    The judge sees the columns of `Track` and ``audio_bytes``: the size of the audio file, 0 where there is none.

    Raises:
        CatalogueError: The collection is missing or empty, or what is left is not fit to learn from. Quarantine,
            Data Docs and metrics are written before this is raised, so that they can be read.
    """
    collection = COLLECTIONS / params.catalogue.collection
    tracks = read_tracks(root / collection / TRACKS)
    if tracks.empty:
        raise CatalogueError(
            f"{collection} has no tracks. Its {collection}/refused.csv says why each file was refused; import it again "
            "when they are mended, or name another collection under `catalogue` in params.yaml."
        )

    sizes = [_size(root / path) for path in tracks["path"]]
    judgement = judge(tracks.assign(audio_bytes=sizes), params.validation, root / DATA_DOCS)

    with replacing(root / QUARANTINE) as part:
        judgement.quarantine.to_csv(part, index=False, columns=list(QUARANTINE_COLUMNS), lineterminator="\n")
    write_json(root / VALIDATION, summary(judgement))
    if judgement.problems:
        raise CatalogueError(_complaint(judgement))
    write_tracks(tracks.loc[judgement.accepted.to_numpy(), SCHEMA.names], root / CATALOGUE)


def summary(judgement: Judgement) -> dict[str, object]:
    """The judgement as `dvc metrics` shows it."""
    accepted = int(judgement.accepted.sum())
    return {
        "tracks_in": len(judgement.accepted),
        "tracks_accepted": accepted,
        "tracks_refused": len(judgement.accepted) - accepted,
        "rules": {
            name: {"severity": rule.severity, "unexpected": rule.unexpected, "success": rule.success}
            for name, rule in judgement.rules.items()
        },
    }


def _size(path: Path) -> int:
    try:
        return path.stat().st_size if path.is_file() else 0
    except OSError:
        return 0


def _complaint(judgement: Judgement) -> str:
    refused = judgement.quarantine.drop_duplicates(["track_id", "rule"])["rule"].value_counts()
    by_rule = ", ".join(f"{rule} {count}" for rule, count in refused.items()) or "none"
    examples = "".join(f"\n  {row.track_id}: {row.reason}" for row in judgement.quarantine.head(3).itertuples())
    return (
        "The catalogue is not fit to learn from. "
        + " ".join(judgement.problems)
        + f"\nRefused, by rule: {by_rule}.{examples}"
        + f"\nEvery refused track and its reason: {QUARANTINE}; the rules: {DATA_DOCS}/index.html. "
        "Mend the collection, or change `validation` in params.yaml."
    )
