"""What the page is made of: the reports of the stages before, read from their files. Some stages may not have run."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from earmark.files import read_json
from earmark.model.evaluation.choosing import best_by
from earmark.workspace import (
    ATTRIBUTION_SUMMARY,
    CATALOGUE,
    CONFUSION,
    FAMILY_IMPORTANCE,
    IMPORTANCE,
    LABEL_REVIEW,
    METRICS,
    MISTAKES,
    MODELS,
    PER_CLASS,
    RELIABILITY,
    RISK_COVERAGE,
    SELECTION,
    TAG_SCORES,
)


@dataclass(frozen=True)
class Reports:
    """The reports, as they lie on disk.

    Attributes:
        metrics: reports/metrics.json.
        per_class: One row a model and genre.
        confusion: ``model, actual, predicted``, one row a model and song.
        tags: One row a model and tag; often none.
        reliability: Songs about equally sure, by model.
        risk_coverage: The surest songs first, by model.
        mistakes: Wrong answers, the surest first, by model.
        titles: ``title`` and ``artist`` by track_id.
        importance: ``class, feature, family, importance, low, high``; None where it was not computed.
        families: The same of whole families, without ``feature``.
        selection: What came of choosing features; None likewise.
        label_review: Labels that look wrong; None likewise.
        attribution: reports/attribution.json: what the network heeds, and whether that is true; None likewise.
    """

    metrics: dict[str, Any]
    per_class: pd.DataFrame
    confusion: pd.DataFrame
    tags: pd.DataFrame
    reliability: pd.DataFrame
    risk_coverage: pd.DataFrame
    mistakes: pd.DataFrame
    titles: pd.DataFrame
    importance: pd.DataFrame | None = None
    families: pd.DataFrame | None = None
    selection: dict[str, Any] | None = None
    label_review: pd.DataFrame | None = None
    attribution: dict[str, Any] | None = None

    @property
    def kinds(self) -> list[str]:
        """Of models that were scored."""
        return [kind for kind in MODELS if kind in self.metrics]

    @property
    def leader(self) -> str:
        """The kind that did best on held-out songs: the one put forward as challenger. Test songs choose nothing."""
        held = {kind: found for kind, found in self.metrics["held_out"].items() if kind in self.kinds}
        return best_by(held, otherwise=self.kinds[0])


def read_reports(root: Path) -> Reports:
    """From the project's folder."""
    tables = (PER_CLASS, CONFUSION, TAG_SCORES, RELIABILITY, RISK_COVERAGE, MISTAKES)
    # A genre may be called "None" or "nan", and is a genre all the same.
    per_class, confusion, tags, reliability, risk_coverage, mistakes = (_table(root / path) for path in tables)
    return Reports(
        metrics=read_json(root / METRICS),
        per_class=per_class,
        confusion=confusion,
        tags=tags,
        reliability=reliability,
        risk_coverage=risk_coverage,
        mistakes=mistakes,
        titles=pd.read_parquet(root / CATALOGUE, columns=["track_id", "title", "artist"]).set_index("track_id"),
        importance=_if_there(root / IMPORTANCE),
        families=_if_there(root / FAMILY_IMPORTANCE),
        selection=read_json(root / SELECTION) if (root / SELECTION).is_file() else None,
        label_review=_if_there(root / LABEL_REVIEW),
        attribution=read_json(root / ATTRIBUTION_SUMMARY) if (root / ATTRIBUTION_SUMMARY).is_file() else None,
    )


_TEXT = {"model", "genre", "actual", "predicted", "tag", "track_id", "content_hash", "path", "group", "said", "also"}
_TEXT |= {"class", "feature", "family", "given", "suggested", "title", "artist", "side", "caution"}


def _if_there(path: Path) -> pd.DataFrame | None:
    return _table(path) if path.is_file() else None


def _table(path: Path) -> pd.DataFrame:
    head = pd.read_csv(path, nrows=0).columns
    numbers = [name for name in head if name not in _TEXT]
    table = pd.read_csv(path, dtype={name: str for name in head if name in _TEXT}, keep_default_na=False)
    for name in numbers:
        table[name] = pd.to_numeric(table[name], errors="coerce")
    return table
