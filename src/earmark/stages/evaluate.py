"""Stage `evaluate`: all models and the majority class on the same test tracks, each score with its interval."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from earmark.errors import ModelError
from earmark.files import replacing, write_json
from earmark.model.answers import Answers
from earmark.model.evaluation.choosing import held_out_differences, held_out_scores
from earmark.model.evaluation.leakage import leakage
from earmark.model.evaluation.mistakes import mistakes
from earmark.model.evaluation.per_class import per_class
from earmark.model.evaluation.scores import differences, scores
from earmark.model.evaluation.sureness import reliability, risk_coverage_curves, sureness
from earmark.model.evaluation.tag_scores import category_scores, commonest_category
from earmark.model.evaluation.tags import tag_report, told_of
from earmark.model.evaluation.tested import MAJORITY, Tested
from earmark.model.held_out import HeldOut
from earmark.model.material import Material, load_material
from earmark.model.predictor import Predictor, load_predictor
from earmark.model.scoring import answers_of
from earmark.params import Evaluation, Params
from earmark.workspace import (
    CONFUSION,
    LEAKAGE,
    METRICS,
    MISTAKES,
    MODELS,
    PER_CLASS,
    PREDICTIONS,
    RELIABILITY,
    RISK_COVERAGE,
    TAG_SCORES,
)


def run(params: Params, root: Path) -> None:
    """Write reports/metrics.json and predictions.parquet, and the tables beside them.

    Raises:
        ModelError: A model is missing, or there is no test track.
    """
    material = load_material(root, params.frontend)
    how = params.evaluation
    predictors = {kind: load_predictor(root / folder, device="auto") for kind, folder in MODELS.items()}
    tracks = material.part("test")
    if tracks.empty:
        raise ModelError("There is no track to score. The split left the test part empty; see reports/split.json.")
    tested = tested_of(material, tracks, predictors, root)
    held = {kind: HeldOut.load(root / folder, material) for kind, folder in MODELS.items()}
    kept = _tempered(held, predictors)
    told = told_of(tested, material.tags.ceilings)
    tags = tag_report(tested, told, how)
    metrics = {
        **summarise(tested, how),
        **_of_held_out(material, kept, how),
        "test_tracks": len(tracks),
        "test_groups": len(set(tested.groups)),
        "genres": len(material.labels),
        "leakage": _leakage(material, params),
        "categories": category_scores(
            told, commonest_category(told.names, material.tags.of(material.part("train")["track_id"])), how
        ),
        "tags": _mean_r(tags),
    }
    for kind, found in metrics["held_out"].items():
        metrics[kind]["validation_accuracy"] = found["accuracy"]
    write_json(root / METRICS, metrics)
    tables = {
        TAG_SCORES: tags,
        PER_CLASS: per_class(tested, how),
        CONFUSION: _confusion(tested),
        RELIABILITY: reliability(tested),
        RISK_COVERAGE: risk_coverage_curves(tested),
        MISTAKES: mistakes(tested, tracks),
        LEAKAGE: _both_splits(metrics["leakage"]),
    }
    for path, table in tables.items():
        with replacing(root / path) as part:
            table.to_csv(part, index=False, float_format="%.6g", lineterminator="\n")
    with replacing(root / PREDICTIONS) as part:
        _predictions(material, tracks, tested, kept).to_parquet(part, index=False)
    _tell(metrics)


def tested_of(material: Material, tracks: pd.DataFrame, predictors: dict[str, Predictor], root: Path) -> Tested:
    """What is known of the test ``tracks``, and what each predictor says of them."""
    return Tested(
        labels=material.labels,
        actual=material.indices(tracks),
        groups=tracks["group"].to_numpy(object),
        answers={kind: answers_of(predictor, tracks, root) for kind, predictor in predictors.items()},
        calibrations={kind: predictor.calibration for kind, predictor in predictors.items()},
        training=np.bincount(material.indices(material.part("train")), minlength=len(material.labels)),
        tags=material.tags.names,
        known=material.tags.of(tracks["track_id"]),
    )


def summarise(tested: Tested, how: Evaluation) -> dict[str, Any]:
    """Scores of each model on the test tracks, and differences, as reports/metrics.json holds them."""
    found, sure, gained = scores(tested, how), sureness(tested, how), differences(tested, how)
    first = {"difference": gained["network - forest"]} if "network - forest" in gained else {}
    return {**{kind: {**found[kind], **sure[kind]} for kind in found}, "differences": gained, **first}


def _tempered(held: dict[str, HeldOut], predictors: dict[str, Predictor]) -> dict[str, HeldOut]:
    """Held-out answers as sure as each model has learnt to be; sets and shares are left as they are."""
    found = {}
    for kind, each in held.items():
        sure, raw = predictors[kind].calibration, each.answers
        genres = raw.genres if sure is None else sure.probabilities(raw.genres)
        found[kind] = HeldOut(each.tracks, Answers(genres, raw.shares, raw.embeddings))
    return found


def _of_held_out(material: Material, held: dict[str, HeldOut], how: Evaluation) -> dict[str, Any]:
    """What a challenger is chosen by: each kind by itself, beside the commonest genre, and against each other."""
    first = next(iter(held.values()))
    if any(list(each.tracks["track_id"]) != list(first.tracks["track_id"]) for each in held.values()):
        raise ModelError(
            "The models were held out from different songs, so they cannot be compared: `dvc repro` trains them again."
        )
    actual = material.indices(first.tracks)
    told = {kind: each.answers.genres for kind, each in held.items()}
    training = np.bincount(material.indices(material.part("train")), minlength=len(material.labels))
    prior = np.tile(training / training.sum(), (len(actual), 1))
    gained = held_out_differences(told, actual, first.tracks, how)
    found: dict[str, Any] = {
        "held_out": held_out_scores({**told, MAJORITY: prior}, actual, first.tracks, how),
        "held_out_difference": gained,
    }
    if "forest" in gained.get("network", {}):
        ends = gained["network"]["forest"]
        found["validation_difference"] = {name: ends[name] for name in ("accuracy", "accuracy_low", "accuracy_high")}
    return found


def _leakage(material: Material, params: Params) -> dict[str, float]:
    return leakage(
        material.descriptors(material.tracks),
        material.indices(material.tracks),
        material.tracks["group"].to_numpy(object),
        params.forest,
        params.evaluation,
    )


def _both_splits(found: dict[str, float]) -> pd.DataFrame:
    """``split, accuracy`` and the ends of its interval; no row where it could not be told."""
    names = {"honest": "by group", "random": "at random"} if found else {}
    columns = ("accuracy", "accuracy_low", "accuracy_high")
    rows = [{"split": names[name], **{column: found[f"{name}_{column}"] for column in columns}} for name in names]
    return pd.DataFrame(rows, columns=["split", *columns])


def _mean_r(tags: pd.DataFrame) -> dict[str, float]:
    found = {f"{kind}_r": float(rows["r"].mean()) for kind, rows in tags.groupby("model")}
    if tags["ceiling"].notna().any():
        found["ceiling"] = float(tags["ceiling"].mean())
    return found


def _confusion(tested: Tested) -> pd.DataFrame:
    labels = np.array(tested.labels, dtype=object)
    tables = [
        pd.DataFrame(
            {"model": kind, "actual": labels[tested.actual], "predicted": labels[answers.genres.argmax(axis=1)]}
        )
        for kind, answers in tested.answers.items()
    ]
    return pd.concat(tables, ignore_index=True)


def _predictions(material: Material, tracks: pd.DataFrame, tested: Tested, held: dict[str, HeldOut]) -> pd.DataFrame:
    """Test tracks as the models answer them; ``held_out`` ones as models did that were kept from them."""
    labels = np.array(material.labels, dtype=object)
    tables = []
    for kind, answers in tested.answers.items():
        parts = ((held[kind].tracks, held[kind].answers.genres, True), (tracks, answers.genres, False))
        for rows, probabilities, held_out in parts:
            if rows.empty:
                continue
            table = rows[["track_id", "content_hash", "split", "group", "genre"]].reset_index(drop=True)
            table["model"] = kind
            table["held_out"] = held_out
            table["predicted"] = labels[probabilities.argmax(axis=1)]
            columns = [f"p_{label}" for label in material.labels]
            tables.append(pd.concat([table, pd.DataFrame(probabilities, columns=columns)], axis=1))
    return pd.concat(tables, ignore_index=True)


def _tell(metrics: dict[str, Any]) -> None:
    for name in (*MODELS, MAJORITY):
        value = metrics[name]
        line = (
            f"{name:9s} accuracy {value['accuracy']:.3f} [{value['accuracy_low']:.3f}, {value['accuracy_high']:.3f}]"
            f"   macro-F1 {value['f1_macro']:.3f} [{value['f1_macro_low']:.3f}, {value['f1_macro_high']:.3f}]"
            f"   log loss {value['log_loss']:.3f}"
        )
        if "set_coverage" in value:
            line += f"   sets hold {value['set_coverage']:.3f} of {value['set_nominal']:.2f}"
        print(line, file=sys.stderr)
    for name, value in metrics["categories"].items():
        print(
            f"{name:9s} category {value['accuracy']:.3f} [{value['accuracy_low']:.3f}, {value['accuracy_high']:.3f}]",
            file=sys.stderr,
        )
    for name, value in metrics["tags"].items():
        print(f"tags      mean {name} {value:.3f}", file=sys.stderr)
    if found := metrics["leakage"]:
        print(
            f"leakage   a forest by group {found['honest_accuracy']:.3f}, at random {found['random_accuracy']:.3f}: "
            f"a random split would flatter by {found['random_minus_honest']:+.3f} "
            f"[{found['random_minus_honest_low']:+.3f}, {found['random_minus_honest_high']:+.3f}]",
            file=sys.stderr,
        )
