"""The stage `validate`: a collection's tracks in; the catalogue, what was refused and why, and the reports out.

The judge is handed in (`earmark.adapters.expectations.judging`), because a stage knows no service tool.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from earmark.catalogue.corrections import OUTCOMES, apply_corrections, read_corrections
from earmark.catalogue.judged import track_table
from earmark.catalogue.reading import size_of
from earmark.catalogue.taxonomy import apply_taxonomy, read_taxonomy
from earmark.catalogue.track import SCHEMA, read_tracks, write_tracks
from earmark.errors import CatalogueError
from earmark.files import replacing, write_json
from earmark.params import Params
from earmark.workspace import (
    CATALOGUE,
    COLLECTIONS,
    CORRECTED,
    CORRECTIONS,
    DATA_DOCS,
    DUPLICATES,
    EXPECTATIONS,
    GENRE_NAMES,
    QUARANTINE,
    TAXONOMY,
    TRACKS,
    VALIDATION,
    WARNINGS,
)

VERDICT_COLUMNS = ("track_id", "rule", "severity", "reason")


@dataclass(frozen=True)
class RuleOutcome:
    """What one rule found.

    Attributes:
        suite: Where the rule stands.
        severity: ``critical`` (refuses rows, or fails the stage), ``warning`` or ``info`` (tell, never stop).
        demands: The rule in words.
        unexpected: How many rows of the suite's table break it; for a rule on a whole column or table 0 or 1.
        success: Nothing breaks it; None where it was not judged.
    """

    suite: str
    severity: str
    demands: str
    unexpected: int
    success: bool | None


@dataclass(frozen=True)
class Judgement:
    """What is fit to enter, what is not, and why.

    Attributes:
        accepted: For each given track, in the given order, whether it enters.
        quarantine: One row for each critical rule that a refused track breaks; columns `VERDICT_COLUMNS`.
        warnings: Likewise for each warning; ``track_id`` is null where it is about no single track.
        rules: Name → outcome, in the order in which they were judged.
        problems: What makes the catalogue as a whole unfit; each a full sentence. Empty when it is fit.
    """

    accepted: pd.Series
    quarantine: pd.DataFrame
    warnings: pd.DataFrame
    rules: Mapping[str, RuleOutcome]
    problems: tuple[str, ...]


# Tracks as from `track_table`; what became of the genre names, as from `apply_taxonomy`; the folder for the Data Docs.
Judge = Callable[[pd.DataFrame, pd.DataFrame, Path], Judgement]


def run(params: Params, root: Path, *, judge: Judge) -> None:
    """Judge the collection that params.yaml names; write catalogue, quarantine, warnings, Data Docs and metrics.

    Args:
        params: All of them.
        root: The project's folder.
        judge: Sees the tracks as from `track_table`.

    Raises:
        CatalogueError: The collection is missing or empty, or what is left is not fit to learn from. All reports are
            written before this is raised, so that they can be read.
        ParamsError: The taxonomy or the file of corrections is not in order.
    """
    taxonomy, corrections = read_taxonomy(root / TAXONOMY), read_corrections(root / CORRECTIONS)
    collection = COLLECTIONS / params.catalogue.collection
    tracks = read_tracks(root / collection / TRACKS)
    if tracks.empty:
        raise CatalogueError(
            f"{collection} has no tracks. Its {collection}/refused.csv says why each file was refused; import it again "
            "when they are mended, or name another collection under `catalogue` in params.yaml."
        )
    tracks, names = apply_taxonomy(taxonomy, tracks)
    tracks, corrected = apply_corrections(corrections, tracks, taxonomy)
    tracks = track_table(
        tracks.assign(
            audio_bytes=pd.Series(
                [size_of(root, path) for path in tracks["path"]], index=tracks.index, dtype="float64"
            ),
            **_what_duplicates_found(tracks["track_id"], root),
        )
    )
    judgement = judge(tracks, names, root / DATA_DOCS)

    _write_csv(judgement.quarantine[list(VERDICT_COLUMNS)], root / QUARANTINE)
    _write_csv(judgement.warnings[list(VERDICT_COLUMNS)], root / WARNINGS)
    _write_csv(names, root / GENRE_NAMES)
    _write_csv(corrected, root / CORRECTED)
    write_json(root / VALIDATION, summary(judgement, names, corrected))
    if judgement.problems:
        raise CatalogueError(_complaint(judgement))
    write_tracks(tracks.loc[judgement.accepted.to_numpy(), SCHEMA.names], root / CATALOGUE)


def summary(judgement: Judgement, names: pd.DataFrame, corrected: pd.DataFrame) -> dict[str, Any]:
    """The judgement, and what became of names and corrections, as `dvc metrics` shows it."""
    accepted = int(judgement.accepted.sum())
    each = names.drop_duplicates(["source", "name"])  # a label and a tag may be one name
    return {
        "tracks_in": len(judgement.accepted),
        "tracks_accepted": accepted,
        "tracks_refused": len(judgement.accepted) - accepted,
        "tracks_warned": int(judgement.warnings["track_id"].nunique()),
        "genre_names": len(each),
        "genre_names_unmapped": int(each["mapped_to"].isna().sum()),
        "corrections": {
            outcome.replace(" ", "_"): int((corrected["outcome"] == outcome).sum()) for outcome in OUTCOMES
        },
        "rules": {
            name: {"severity": rule.severity, "unexpected": rule.unexpected, "success": rule.success}
            for name, rule in judgement.rules.items()
        },
    }


def _write_csv(rows: pd.DataFrame, path: Path) -> None:
    with replacing(path) as part:
        rows.to_csv(part, index=False, lineterminator="\n")


def _what_duplicates_found(track_ids: pd.Series, root: Path) -> dict[str, pd.Series]:
    found = pd.read_parquet(root / DUPLICATES).set_index("track_id")
    return {name: track_ids.map(found[name]).astype("str") for name in ("duplicate_group", "unreadable")}


def _complaint(judgement: Judgement) -> str:
    refused = judgement.quarantine.drop_duplicates(["track_id", "rule"])["rule"].value_counts()
    by_rule = ", ".join(f"{rule} {count}" for rule, count in refused.items()) or "none"
    examples = "".join(f"\n  {row.track_id}: {row.reason}" for row in judgement.quarantine.head(3).itertuples())
    return (
        "The catalogue is not fit to learn from. "
        + " ".join(judgement.problems)
        + f"\nRefused, by rule: {by_rule}.{examples}"
        + f"\nEvery refused track and its reason: {QUARANTINE}; the rules: {DATA_DOCS}/index.html. "
        f"Mend the collection, or change the rules in {EXPECTATIONS}, or their numbers in params.yaml (`validation`)."
    )
