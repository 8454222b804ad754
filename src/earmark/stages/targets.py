"""The stage `targets`: evidence in; what each track is by its listeners, with intervals and noise ceilings, out."""

import math
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from earmark.feedback.estimates.files import read_evidence
from earmark.feedback.estimates.targets import ALL, Report, make_targets
from earmark.files import replacing, write_json
from earmark.params import Params
from earmark.workspace import EVIDENCE, TARGETS, TARGETS_SUMMARY

_WORD = "word:"


def run(params: Params, root: Path) -> None:
    """Write data/targets.parquet and reports/targets.json.

    Raises:
        FeedbackError: There is no evidence.
    """
    evidence = read_evidence(root / EVIDENCE)
    table, report = make_targets(evidence, params.targets, params.feedback.min_listeners)
    table.insert(0, "track_id", [evidence.track_ids[number] for number in table["track"]])
    table = table.drop(columns="track").sort_values(["track_id", "segment", "target", "name"], ignore_index=True)
    with replacing(root / TARGETS) as part:
        table.to_parquet(part, index=False)
    summary = summarise(table, report)
    write_json(root / TARGETS_SUMMARY, summary)
    told_words = [told for name, told in summary["targets"].items() if name.startswith(_WORD)]
    for name, told in summary["targets"].items():
        if name.startswith(_WORD):
            continue
        print(
            f"targets: {name}: {told['tracks']:,} tracks, noise ceiling {_shown(told['ceiling'])}, prior mean "
            f"{told['prior_mean']:.3f} worth {told['prior_answers']:.1f} answers",
            file=sys.stderr,
        )
    if told_words:
        print(
            f"targets: {len(told_words)} words of the listeners' own, for {told_words[0]['tracks']:,} tracks",
            file=sys.stderr,
        )
    if report.withheld:
        few = params.feedback.min_listeners
        print(f"targets: withheld, with fewer than {few} listeners: {', '.join(report.withheld)}", file=sys.stderr)


def summarise(table: Any, report: Report) -> dict[str, Any]:
    """Numbers by target: tracks, ceiling, prior, coverage; and what doings mean, in log odds for liking."""
    whole = table[table["segment"] == ALL]
    tracks = whole.groupby(["target", "name"])["track_id"].nunique()
    return {
        "targets": {
            key: {
                "tracks": int(tracks.get(tuple(key.partition(":")[::2]), 0)),
                "ceiling": _plain(report.ceilings[key]),
                "coverage": _plain(report.coverage[key]),
                "prior_mean": prior.mean,
                "prior_answers": prior.concentration,
            }
            for key, prior in report.priors.items()
        },
        "odds": asdict(report.meaning) if report.meaning else {},
        "exposure_slope": report.exposure,
        "segments_withheld": len(report.withheld),
    }


def _plain(value: float) -> float | None:
    return None if math.isnan(value) else value


def _shown(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.2f}"
