"""Stage `evaluate`: network, forest and majority class on the same test tracks, each score with its interval."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from earmark.files import replacing, write_json
from earmark.model.leakage import leakage
from earmark.model.material import Material, load_material
from earmark.model.metrics import Labels, accuracy, confusion, difference, f1_macro, score
from earmark.model.predictor import ForestPredictor, NetworkPredictor, load_predictor
from earmark.model.tag_scores import Told, category_scores, commonest_category, tag_table
from earmark.params import Evaluation, Params
from earmark.progress import progress
from earmark.workspace import CONFUSION, FOREST, METRICS, NETWORK, PER_CLASS, PREDICTIONS, TAG_SCORES

Probabilities = NDArray[np.float64]


def run(params: Params, root: Path) -> None:
    """Write reports/metrics.json, predictions.parquet, confusion.csv, per_class.csv and tags.csv.

    Raises:
        ModelError: A model is missing, or there is no test track.
    """
    material = load_material(root, params.frontend)
    heard = pd.concat([material.part("validation"), material.part("test")])
    answers, shares = {}, {}
    answers["network"], shares["network"] = _network(load_predictor(root / NETWORK), material, heard)
    answers["forest"], shares["forest"] = _forest(load_predictor(root / FOREST), material, heard)
    metrics = summarise(material, heard, answers, params.evaluation)
    metrics["leakage"] = leakage(
        material.descriptors(material.tracks),
        material.indices(material.tracks),
        material.tracks["group"].to_numpy(object),
        params.forest,
        params.evaluation,
    )
    tags = _tags(material, heard, shares)
    commonest = commonest_category(tags.names, material.tags.of(material.part("train")["track_id"]))
    metrics["categories"] = category_scores(tags, commonest, params.evaluation)
    tag_scores = tag_table(tags)
    metrics["tags"] = {f"{name}_r": float(rows["r"].mean()) for name, rows in tag_scores.groupby("model")}
    if tag_scores["ceiling"].notna().any():
        metrics["tags"]["ceiling"] = float(tag_scores["ceiling"].mean())
    write_json(root / METRICS, metrics)
    tables = {
        TAG_SCORES: tag_scores,
        PER_CLASS: _per_class(material, heard, answers),
        CONFUSION: _confusion(material, heard, answers["network"]),
    }
    for path, table in tables.items():
        with replacing(root / path) as part:
            table.to_csv(part, index=False, float_format="%.6g", lineterminator="\n")
    with replacing(root / PREDICTIONS) as part:
        _predictions(material, heard, answers).to_parquet(part, index=False)
    for name in ("network", "forest", "majority"):
        value = metrics[name]
        print(
            f"{name:9s} accuracy {value['accuracy']:.3f} [{value['accuracy_low']:.3f}, {value['accuracy_high']:.3f}]"
            f"   macro-F1 {value['f1_macro']:.3f} [{value['f1_macro_low']:.3f}, {value['f1_macro_high']:.3f}]",
            file=sys.stderr,
        )
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


def summarise(
    material: Material, heard: pd.DataFrame, answers: dict[str, Probabilities], how: Evaluation
) -> dict[str, Any]:
    """All scores, as reports/metrics.json holds them.

    Args:
        material: Where labels come from.
        heard: Validation and test tracks.
        answers: By model, probabilities of ``heard``, shape ``(tracks, labels)``.
        how: Section ``evaluation`` of params.yaml.
    """
    test = (heard["split"] == "test").to_numpy()
    actual = material.indices(heard)
    groups = heard["group"].to_numpy(object)
    commonest = int(np.bincount(material.indices(material.part("train"))).argmax())
    predicted = {name: probabilities.argmax(axis=1) for name, probabilities in answers.items()}
    predicted["majority"] = np.full(len(actual), commonest)

    metrics: dict[str, Any] = {}
    for name, labels in predicted.items():
        metrics[name] = {
            **score(accuracy, actual[test], labels[test], groups[test], how).flat("accuracy"),
            **score(f1_macro, actual[test], labels[test], groups[test], how).flat("f1_macro"),
        }
        if not test.all():
            metrics[name]["validation_accuracy"] = float(np.mean(actual[~test] == labels[~test]))
    # Network minus forest. What is said of validation tracks chooses the challenger; test tracks choose nothing.
    for name, part in (("difference", test), ("validation_difference", ~test)):
        if part.any():
            ours, theirs = predicted["network"][part], predicted["forest"][part]
            metrics[name] = difference(accuracy, actual[part], ours, theirs, groups[part], how).flat("accuracy")
    metrics["test_tracks"] = int(test.sum())
    metrics["test_groups"] = len(set(groups[test]))
    metrics["genres"] = len(material.labels)
    return metrics


def _network(
    predictor: NetworkPredictor | ForestPredictor, material: Material, tracks: pd.DataFrame
) -> tuple[Probabilities, Probabilities]:
    assert isinstance(predictor, NetworkPredictor)
    rows = progress(tracks.itertuples(), description="listen", total=len(tracks))
    genres, shares = zip(*(predictor.answer_of_log_mel(material.log_mel(row)) for row in rows), strict=True)
    return np.stack(genres), np.stack(shares)


def _forest(
    predictor: NetworkPredictor | ForestPredictor, material: Material, tracks: pd.DataFrame
) -> tuple[Probabilities, Probabilities]:
    assert isinstance(predictor, ForestPredictor)
    descriptors = material.descriptors(tracks)
    return predictor.probabilities_of_descriptors(descriptors), predictor.shares_of_descriptors(descriptors)


def _tags(material: Material, heard: pd.DataFrame, shares: dict[str, Probabilities]) -> Told:
    """Of the test tracks, what listeners tell, and what the models do."""
    test = (heard["split"] == "test").to_numpy()
    tracks = heard[test]
    answers = {name: answer[test] for name, answer in shares.items()}
    known = material.tags.of(tracks["track_id"])
    return Told(material.tags.names, known, answers, tracks["group"].to_numpy(object), material.tags.ceilings)


def _per_class(material: Material, heard: pd.DataFrame, answers: dict[str, Probabilities]) -> pd.DataFrame:
    test = (heard["split"] == "test").to_numpy()
    actual: Labels = material.indices(heard)[test]
    rows = []
    for name, probabilities in answers.items():
        counts = confusion(actual, probabilities[test].argmax(axis=1), len(material.labels))
        for index, genre in enumerate(material.labels):
            hit, there, said = int(counts[index, index]), int(counts[index].sum()), int(counts[:, index].sum())
            rows.append(
                {
                    "model": name,
                    "genre": genre,
                    "precision": hit / said if said else 0.0,
                    "recall": hit / there if there else 0.0,
                    "f1": 2 * hit / (there + said) if there + said else 0.0,
                    "support": there,
                }
            )
    return pd.DataFrame(rows)


def _confusion(material: Material, heard: pd.DataFrame, probabilities: Probabilities) -> pd.DataFrame:
    test = (heard["split"] == "test").to_numpy()
    predicted = np.array(material.labels, dtype=object)[probabilities[test].argmax(axis=1)]
    return pd.DataFrame({"actual": heard["genre"].to_numpy()[test], "predicted": predicted})


def _predictions(material: Material, heard: pd.DataFrame, answers: dict[str, Probabilities]) -> pd.DataFrame:
    labels = np.array(material.labels, dtype=object)
    tables = []
    for name, probabilities in answers.items():
        table = heard[["track_id", "content_hash", "split", "group", "genre"]].reset_index(drop=True)
        table["model"] = name
        table["predicted"] = labels[probabilities.argmax(axis=1)]
        columns = [f"p_{label}" for label in material.labels]
        tables.append(pd.concat([table, pd.DataFrame(probabilities, columns=columns)], axis=1))
    return pd.concat(tables, ignore_index=True)
