"""What each section of the page shows, as plain values and pictures; the sentences stand in the template."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from earmark.model.evaluation.sureness import COVERAGE
from earmark.model.evaluation.tested import MAJORITY
from earmark.model.reasons.importance import ALL, matrix
from earmark.stages.report import charts, words
from earmark.stages.report.reading import Reports

FEW_GROUPS = 10  # in the test, from which on a genre's own scores say something
_TOP_FEATURES = 8
_MATRIX_FEATURES = 30  # as many rows as one looks through
_PROMISES = {"set": "the right genre is in the shortlist", "interval": "the observed share is in the interval"}
_SUSPICIOUS = 15  # labels shown


def scores(reports: Reports) -> dict[str, Any]:
    """How often each kind is right, and whether one is better than another."""
    metrics, leader = reports.metrics, reports.leader
    pairs = []
    for theirs in [*(kind for kind in reports.kinds if kind != leader), MAJORITY]:
        gain = _difference(metrics["differences"], leader, theirs)
        held = metrics["held_out_difference"].get(leader, {}).get(theirs)
        pairs.append({"theirs": theirs, "test": gain, "test_verdict": _verdict(gain), "held": held})
    unsure = [pair["theirs"] for pair in pairs if pair["theirs"] != MAJORITY and _verdict(pair["held"] or {}) == "open"]
    return {"pairs": pairs, "unsure": unsure, "beats_majority": pairs[-1]["test_verdict"] == "better"}


def genres(reports: Reports) -> dict[str, Any]:
    """Genre by genre, the best first, and what is taken for what."""
    leader = reports.leader
    table = reports.per_class
    own = table[table["model"] == leader].sort_values("f1", ascending=False, kind="stable")
    by_kind = {kind: rows.set_index("genre").to_dict("index") for kind, rows in table.groupby("model")}
    rows = [
        {
            "genre": genre,
            "own": by_kind[leader][genre],
            "kinds": {kind: by_kind[kind][genre] for kind in reports.kinds},
        }
        for genre in own["genre"]
    ]
    return {
        "rows": rows,
        "confusions": {kind: _confusion(reports, kind) for kind in reports.kinds},
        "mixed_up": _mixed_up(reports, leader),
        "sets": "set_coverage" in table.columns,
    }


def sure(reports: Reports) -> dict[str, Any]:
    """Whether the kinds are as right as they are sure."""
    tables = {kind: reports.reliability[reports.reliability["model"] == kind] for kind in reports.kinds}
    curves = {kind: reports.risk_coverage[reports.risk_coverage["model"] == kind] for kind in reports.kinds}
    own = tables[reports.leader]
    near = own.iloc[int((own["confidence"] - 0.8).abs().to_numpy().argmin())]
    return {
        "near": near.to_dict(),
        "leaning": {kind: _leaning(reports.metrics[kind], rows) for kind, rows in tables.items()},
        "pictures": {kind: charts.reliability(rows, kind) for kind, rows in tables.items()},
        "curve": charts.risk_coverage(curves),
        "answered": COVERAGE,
    }


def promises(reports: Reports) -> list[dict[str, Any]]:
    """What was promised of sets and intervals, and what was kept; of kinds that know how sure they are."""
    found = []
    for kind in reports.kinds:
        of = reports.metrics[kind]
        for name, what in _PROMISES.items():
            if f"{name}_coverage" in of:
                low, high, nominal = (of[f"{name}_{end}"] for end in ("coverage_low", "coverage_high", "nominal"))
                kept = "kept" if low <= nominal <= high else ("more" if low > nominal else "broken")
                found.append(
                    {
                        "kind": kind,
                        "what": what,
                        "name": name,
                        "nominal": nominal,
                        "of": of,
                        "kept": kept,
                        "size": of.get("set_size") if name == "set" else of.get("interval_width"),
                    }
                )
    return found


def listeners(reports: Reports, *, made_up: bool) -> dict[str, Any]:
    """Tags: what listeners say, liking first, then what is told best."""
    tags, leader = reports.tags, reports.leader
    rows = []
    for name, own in tags.groupby("tag", sort=False):
        by_kind = own.set_index("model").to_dict("index")
        kind, text = words.tag(str(name))
        first = by_kind[leader]
        rows.append({"kind": kind, "tag": text, "own": first, "kinds": by_kind, "proven": first["r_low"] > 0})
    rows.sort(key=lambda row: (row["kind"], -row["own"]["r"]))  # appeal is first of all by its name
    return {
        "rows": rows,
        "proven": sum(row["proven"] for row in rows),
        "liking": next((row for row in rows if row["tag"] == "like it"), None),
        "categories": reports.metrics.get("categories", {}),
        "made_up": made_up,
    }


def features(reports: Reports) -> dict[str, Any] | None:
    """What the forest's answers rest on: by family and class, and the features that matter most."""
    families, single = reports.families, reports.importance
    if families is None or single is None or families.empty or single.empty:
        return None
    wide = families.pivot(index="family", columns="class", values="importance")
    classes = [name for name in wide.columns if name != ALL] + [ALL]
    largest = float(np.nanmax(wide.to_numpy())) or 1.0
    top = single[single["class"] == ALL].sort_values("importance", ascending=False).head(_TOP_FEATURES)
    return {
        "classes": classes,
        "families": [
            {
                "name": family,
                "cells": [
                    {"value": value, "share": max(0.0, value) / largest if math.isfinite(value) else 0.0}
                    for value in (float(row[name]) for name in classes)
                ],
            }
            for family, row in wide.sort_values(ALL, ascending=False).iterrows()
        ],
        "matrix": _matrix(single),
        "top": top.to_dict("records"),
        "selection": _selection(reports.selection or {}),
    }


def heard(reports: Reports) -> dict[str, Any] | None:
    """What the network listens to in songs of each genre, by band and by moment, and whether that is true."""
    found = reports.attribution
    if not found or not found.get("classes"):
        return None
    classes: dict[str, dict[str, Any]] = found["classes"]
    scales = {what: charts.scale_of([one[what] for one in classes.values()]) for what in ("bands", "moments")}
    return {
        **{name: found[name] for name in ("songs", "part", "baseline", "gain", "gain_low", "gain_high", "passes")},
        "passed": sum(one["passes"] for one in classes.values()),
        "genres": [
            {
                "name": name,
                **{key: one[key] for key in ("songs", "artists", "gain", "gain_low", "gain_high", "passes")},
                "bands": charts.heeded_bands(one["bands"], name, scales["bands"]),
                "moments": charts.heeded_moments(one["moments"], name, scales["moments"]),
            }
            for name, one in classes.items()
        ],
    }


def labels(reports: Reports) -> dict[str, Any] | None:
    """Labels that look wrong: the first of them, and how many there are."""
    table = reports.label_review
    if table is None:
        return None
    named = table.assign(name=[_name(row) for row in table.to_dict("records")])
    shown = named.head(_SUSPICIOUS)
    cautions = sorted(set(shown["caution"]) - {""}) if "caution" in shown else []
    return {
        "rows": shown.to_dict("records"),
        "total": len(table),
        "columns": set(table.columns),
        "cautions": cautions,
    }


def split(reports: Reports) -> dict[str, Any] | None:
    """What a split at random would have flattered by."""
    found = reports.metrics["leakage"]
    if not found:
        return None
    low, high = found["random_minus_honest_low"], found["random_minus_honest_high"]
    return {**found, "shown": "more" if low > 0 else ("less" if high < 0 else "open")}


def limits(reports: Reports, *, made_up: bool) -> dict[str, Any]:
    """What all this does not show."""
    own = reports.per_class[reports.per_class["model"] == reports.leader]
    few = own.loc[own["groups"] < FEW_GROUPS, "genre"].tolist()
    return {"few": few, "few_groups": FEW_GROUPS, "made_up": made_up and len(reports.tags) > 0}


def _difference(found: dict[str, Any], ours: str, theirs: str) -> dict[str, float]:
    """Ours minus theirs, whichever way round it was written down."""
    if f"{ours} - {theirs}" in found:
        return dict(found[f"{ours} - {theirs}"])
    other = found[f"{theirs} - {ours}"]
    turned = {"_low": "_high", "_high": "_low"}
    return {
        f"{name}{end}": -other[f"{name}{turned.get(end, '')}"]
        for name in ("accuracy", "f1_macro")
        for end in ("", "_low", "_high")
    }


def _verdict(gain: dict[str, float]) -> str:
    if gain.get("accuracy_low", 0.0) > 0:
        return "better"
    return "worse" if gain.get("accuracy_high", 0.0) < 0 else "open"


def _confusion(reports: Reports, kind: str) -> dict[str, Any]:
    rows = reports.confusion[reports.confusion["model"] == kind]
    names = sorted(set(reports.per_class["genre"]))
    counts = pd.crosstab(rows["actual"], rows["predicted"]).reindex(index=names, columns=names, fill_value=0)
    return {
        "names": names,
        "rows": [
            {
                "name": name,
                "total": int(counts.loc[name].sum()),
                "cells": [
                    {"count": int(count), "share": float(count) / max(1, int(counts.loc[name].sum()))}
                    for count in counts.loc[name]
                ],
            }
            for name in names
        ],
    }


def _mixed_up(reports: Reports, kind: str) -> list[dict[str, Any]]:
    """The three commonest confusions."""
    rows = reports.confusion[reports.confusion["model"] == kind]
    wrong = rows[rows["actual"] != rows["predicted"]]
    totals = rows["actual"].value_counts()
    pairs = wrong.groupby(["actual", "predicted"]).size().rename("count").reset_index()
    worst = pairs.sort_values("count", ascending=False, kind="stable").head(3)
    return [
        {"actual": actual, "predicted": predicted, "count": count, "total": int(totals[actual])}
        for actual, predicted, count in worst.itertuples(index=False, name=None)
    ]


def _leaning(of: dict[str, float], rows: pd.DataFrame) -> str:
    """``as sure as right``, unless it misses by more than chance would make nineteen of twenty honest models miss."""
    if of["ece"] <= of["ece_by_chance_high"]:
        return "even"
    confidence = float(np.average(rows["confidence"], weights=rows["count"]))
    return "too sure" if confidence > of["accuracy"] else "too modest"


def _matrix(single: pd.DataFrame) -> dict[str, Any]:
    """Genres against the features that matter most, and what all others lose by themselves."""
    found = matrix(single, _MATRIX_FEATURES)
    largest = float(np.nanmax(found.values.to_numpy())) or 1.0
    rows = []
    for place, (feature, family) in enumerate(zip(found.values.index, found.families, strict=True)):
        first = place == 0 or found.families[place - 1] != family
        cells = zip(found.values.loc[feature].astype(float), found.sure.loc[feature], strict=True)
        rows.append(
            {
                "feature": feature,
                "name": words.descriptor(str(feature)),
                "family": family if first else None,
                "span": found.families.count(family),
                "cells": [
                    {"value": value, "share": max(0.0, value) / largest, "sure": bool(sure)} for value, sure in cells
                ],
            }
        )
    return {"rows": rows, "rest": found.rest.tolist(), "others": found.others, "largest": largest}


def _selection(found: dict[str, Any]) -> list[dict[str, Any]]:
    """Both forests, with all features and with the chosen ones, on the songs kept aside and on the test songs."""
    titles = {"all": "all features", "selected": "the chosen ones", "difference": "difference"}
    return [
        {
            "title": title,
            "features": found[name].get("features"),
            "held": found[name],
            "test": found.get("test", {}).get(name),
        }
        for name, title in titles.items()
        if name in found
    ]


def _name(row: Mapping[Any, Any]) -> str:
    return str(row.get("title") or row["track_id"])
