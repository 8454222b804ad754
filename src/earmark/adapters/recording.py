"""The stage `record`: each kind of model as a run of one MLflow experiment, logged from files alone.

All runs have the same names for the same things, so that MLflow's own comparison view puts them side by side.
"""

import contextlib
import hashlib
import logging
import math
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from earmark.adapters.lineage import Lineage, lineage_of
from earmark.adapters.tracking import artefacts_of, embedded, reaching, shown_uri, unless_there
from earmark.errors import RegistryError
from earmark.files import read_json, write_json
from earmark.params import Params, flatten
from earmark.workspace import (
    ATTRIBUTION,
    ATTRIBUTION_MOMENTS,
    ATTRIBUTION_SUMMARY,
    CATALOGUE,
    CONFUSION,
    DATA_DOCS,
    FAMILY_IMPORTANCE,
    IMPORTANCE,
    LABEL_REVIEW,
    LEARNING_CURVE,
    METRICS,
    MISTAKES,
    MODELS,
    PARAMS,
    PER_CLASS,
    PREDICTIONS,
    RELIABILITY,
    REPORT,
    RISK_COVERAGE,
    RUN,
    SELECTION,
    SPLITS,
    TAG_SCORES,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient

_EXPERIMENT = (
    "A training leaves a run for each kind of model: network, forest, machine, blend.\n\nThe end of their names is the "
    "result that they share. Songs that were held out choose which of them is registered as `challenger`; "
    "`A against B` is a comparison. The report for all lies among the artefacts of each: report/report.html."
)
_NAMES_OF_METRICS = (
    "Names of metrics: `test_…` on the test tracks; `held_out/…` on songs that the models which answered them had not "
    "heard; `precision/…`, `recall/…`, `f1/…` by genre. Of tags: `r/…` the correlation with what listeners tell, "
    "`ceiling/…` the highest that so few listeners allow, `of_ceiling/…` the one as a share of the other; `category/…` "
    "the category of a song by its listeners. `majority/…` always says the commonest; `leakage/…` is what a random "
    "split would flatter by; `epoch/…` is how the network learnt. `_low` and `_high` end an interval."
)


def record(params: Params, root: Path) -> None:
    """Log the models as MLflow runs, and write their reference to reports/run.json.

    Recording the same files again finds the runs that are there and logs nothing. A run that an earlier, killed
    recording left unfinished is marked as killed and logged anew.

    Raises:
        RegistryError: MLflow cannot be reached, or refuses.
    """
    lineage = lineage_of(params, root)
    with reaching(root) as client, _quiet():
        experiment = _experiment(client, params, root)
        workspace = hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:12]
        _mark_killed(client, experiment, workspace)
        runs = {}
        for kind, folder in MODELS.items():
            run_id = _finished_run(client, experiment, kind, lineage.fingerprint)
            if run_id is None:
                tags = {**lineage.tags(), "workspace": workspace, "kind": kind}
                run_id = _record_one(client, params, root, kind, folder, experiment, tags, lineage)
            runs[kind] = {"run_id": run_id, "model_id": _model_id(client, run_id)}
    write_json(
        root / RUN,
        {
            **runs,
            "experiment": params.registry.experiment,
            "experiment_id": experiment,
            "tracking_uri": shown_uri(root),
            "fingerprint": lineage.fingerprint,
        },
    )


def _experiment(client: "MlflowClient", params: Params, root: Path) -> str:
    name = params.registry.experiment
    found = client.get_experiment_by_name(name)
    if found is None:
        # Without a server MLflow would put artefacts below the current folder, wherever that is.
        location = (artefacts_of(root) / name).resolve().as_uri() if embedded(root) else None
        tags = {
            "mlflow.experimentKind": "custom_model_development",  # MLflow's page opens on runs, not on prompts
            "mlflow.note.content": _EXPERIMENT,
        }
        with unless_there():
            client.create_experiment(name, artifact_location=location, tags=tags)
        found = client.get_experiment_by_name(name)
    if found.lifecycle_stage != "active":
        raise RegistryError(
            f"MLflow's experiment {name!r} was deleted. `mlflow experiments restore -x {found.experiment_id}` brings "
            "it back, or name another one under `registry` in params.yaml."
        )
    if embedded(root) and found.artifact_location.startswith("mlflow-artifacts:"):
        raise RegistryError(
            f"The artefacts of experiment {name!r} are kept by a tracking server, which is not asked here. Set "
            "MLFLOW_TRACKING_URI to its address, or name another experiment under `registry` in params.yaml."
        )
    return str(found.experiment_id)


def _mark_killed(client: "MlflowClient", experiment: str, workspace: str) -> None:
    """Runs of this workspace that still count as running: their recording is dead, for one records at a time."""
    where = f"attributes.status = 'RUNNING' and tags.workspace = '{workspace}'"
    for run in client.search_runs([experiment], where):
        client.set_terminated(run.info.run_id, "KILLED")


def _finished_run(client: "MlflowClient", experiment: str, kind: str, fingerprint: str) -> str | None:
    where = f"attributes.status = 'FINISHED' and tags.kind = '{kind}' and tags.fingerprint = '{fingerprint}'"
    runs = client.search_runs([experiment], where, max_results=1, order_by=["attributes.start_time ASC"])
    return runs[0].info.run_id if runs else None


def _model_id(client: "MlflowClient", run_id: str) -> str:
    return str(client.get_run(run_id).outputs.model_outputs[0].model_id)


def _record_one(
    client: "MlflowClient",
    params: Params,
    root: Path,
    kind: str,
    folder: Path,
    experiment: str,
    tags: dict[str, str],
    lineage: Lineage,
) -> str:
    import mlflow

    from earmark.adapters.packing import log_model
    from earmark.adapters.portable import log_portable

    about = {
        "mlflow.note.content": _note(root, kind, lineage),
        "mlflow.source.name": "earmark stage record",
        "mlflow.source.type": "LOCAL",
    }
    if lineage.git_commit:
        about["mlflow.source.git.commit"] = lineage.git_commit
    name = f"{kind} {lineage.fingerprint[:7]}"
    with mlflow.start_run(experiment_id=experiment, run_name=name, tags={**tags, **about}) as run:
        run_id = str(run.info.run_id)
        mlflow.log_params({"kind": kind, **flatten(params)})
        _log_inputs(root, params.catalogue.collection, lineage)
        _log_metrics(client, run_id, root, kind)
        _log_pictures(root, kind)
        tables = (PER_CLASS, TAG_SCORES, CONFUSION, RELIABILITY, RISK_COVERAGE, MISTAKES)
        reasons = (IMPORTANCE, FAMILY_IMPORTANCE, SELECTION, ATTRIBUTION, ATTRIBUTION_MOMENTS, ATTRIBUTION_SUMMARY)
        for path in (PARAMS, METRICS, *tables, *reasons, LABEL_REVIEW):
            if (root / path).is_file():
                mlflow.log_artifact(str(root / path))
        if (root / REPORT).is_file():
            mlflow.log_artifact(str(root / REPORT), "report")
        if (root / DATA_DOCS).is_dir():
            mlflow.log_artifacts(str(root / DATA_DOCS), "data_docs")
        log_portable(client, log_model(root / folder, root).model_id, root, kind)
    return run_id


def _log_metrics(client: "MlflowClient", run_id: str, root: Path, kind: str) -> None:
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    scores = read_json(root / METRICS)
    # The same names for all kinds; what holds for the test tracks says so.
    values = {name if name.startswith("validation") else f"test_{name}": value for name, value in scores[kind].items()}
    values |= {f"majority/{name}": value for name, value in scores["majority"].items()}
    values |= {f"held_out/{name}": value for name, value in scores.get("held_out", {}).get(kind, {}).items()}
    values |= {f"leakage/{name}": value for name, value in scores["leakage"].items()}
    values |= {"test_tracks": scores["test_tracks"], "test_groups": scores["test_groups"]}
    # What is told of tags out of feedback, where there are any.
    if found := scores.get("categories"):
        values |= {f"category/{name}": value for name, value in found[kind].items()}
        values |= {f"majority/category_{name}": value for name, value in found["majority"].items()}
    told = pd.read_csv(root / TAG_SCORES)
    for column in ("r", "ceiling", "of_ceiling"):
        if column not in told:
            continue
        known = told[(told["model"] == kind) & told[column].notna()]
        names = known["tag"].map(_metric_name)
        values |= {f"{column}/{name}": value for name, value in zip(names, known[column], strict=True)}
    per_class = pd.read_csv(root / PER_CLASS)
    for row in per_class[per_class["model"] == kind].itertuples():
        for name in ("precision", "recall", "f1"):
            values[f"{name}/{_metric_name(str(row.genre))}"] = getattr(row, name)
    # What there is no number for, as the precision of a genre without a test track, is left out.
    known_values = {name: float(value) for name, value in values.items() if math.isfinite(value)}
    metrics = [Metric(name, value, now, 0) for name, value in known_values.items()]
    if kind == "network":
        curve = pd.read_csv(root / LEARNING_CURVE)
        for column in curve.columns.drop("epoch"):
            steps = zip(curve["epoch"], curve[column], strict=True)
            metrics += [Metric(f"epoch/{column}", float(value), now, int(epoch)) for epoch, value in steps]
    for start in range(0, len(metrics), 1000):  # as many as MLflow takes at once
        client.log_batch(run_id, metrics=metrics[start : start + 1000])


def _metric_name(name: str) -> str:
    """A genre or tag (``word---study``) as ``word: study``, without what MLflow refuses, or takes for a folder."""
    said = name.replace("---", ": ").replace(" · ", " - ")
    return "".join(letter if letter.isalnum() or letter in "_- .:" else "_" for letter in said)


def _log_inputs(root: Path, collection: str, lineage: Lineage) -> None:
    import mlflow

    columns = ["track_id", "content_hash", "duration_s", "source"]
    tracks = pd.read_parquet(root / SPLITS).merge(pd.read_parquet(root / CATALOGUE, columns=columns), on="track_id")
    for split, context in (("train", "training"), ("validation", "validation"), ("test", "test")):
        with warnings.catch_warnings():
            # A path "can be interpreted in multiple ways", all of them alike.
            warnings.filterwarnings("ignore", message="The specified dataset source")
            dataset = mlflow.data.from_pandas(
                tracks[tracks["split"] == split].drop(columns="split").reset_index(drop=True),
                source=CATALOGUE.as_posix(),
                targets="genre",
                name=f"{collection} {context}",
                digest=lineage.catalogue_md5,
            )
        hashes = {"dvc.catalogue_md5": lineage.catalogue_md5, "dvc.splits_md5": lineage.splits_md5}
        mlflow.log_input(dataset, context=context, tags=hashes)


def _log_pictures(root: Path, kind: str) -> None:
    import mlflow

    from earmark.adapters import plots

    answers = pd.read_parquet(root / PREDICTIONS, columns=["model", "split", "genre", "predicted"])
    tested = answers[(answers["model"] == kind) & (answers["split"] == "test")]
    figures = {
        "confusion": plots.confusion(tested["genre"], tested["predicted"], kind=kind),
        "f1_by_genre": plots.by_genre(pd.read_csv(root / PER_CLASS), kind=kind),
    }
    tags = pd.read_csv(root / TAG_SCORES)
    if len(tags):
        figures["tags"] = plots.by_tag(tags, kind=kind)
    if (root / RELIABILITY).is_file():
        figures["reliability"] = plots.reliability(pd.read_csv(root / RELIABILITY), kind=kind)
    if (root / RISK_COVERAGE).is_file():
        figures["risk_coverage"] = plots.risk_coverage(pd.read_csv(root / RISK_COVERAGE), kind=kind)
    if kind == "forest" and (root / FAMILY_IMPORTANCE).is_file():
        families = pd.read_csv(root / FAMILY_IMPORTANCE)
        if len(families):
            figures["importance"] = plots.importance(families)
    if kind == "forest" and (root / IMPORTANCE).is_file():
        single = pd.read_csv(root / IMPORTANCE)
        if len(single):
            figures["importance_matrix"] = plots.importance_matrix(single)
    if kind == "network" and (root / ATTRIBUTION).is_file() and (root / ATTRIBUTION_MOMENTS).is_file():
        heeded = (pd.read_csv(root / path) for path in (ATTRIBUTION, ATTRIBUTION_MOMENTS))
        figures["attribution"] = plots.attribution(*heeded)
    if kind == "network":
        figures["learning_curve"] = plots.learning_curve(pd.read_csv(root / LEARNING_CURVE))
    with tempfile.TemporaryDirectory(prefix="earmark-plots-") as folder:
        for name, figure in figures.items():
            figure.savefig(Path(folder) / f"{name}.png", dpi=140)
        mlflow.log_artifacts(folder, "plots")


def _note(root: Path, kind: str, lineage: Lineage) -> str:
    """The run's description, as MLflow's page shows it (Markdown)."""
    scores: dict[str, Any] = read_json(root / METRICS)
    held_out = scores.get("held_out", {})
    gap = "&emsp;"  # MLflow's page leaves none between columns
    rows = "\n".join(
        f"| {name}{gap} | {_interval(scores[name], 'accuracy')}{gap} | {_interval(scores[name], 'f1_macro')}{gap} | "
        f"{_interval(held_out[name], 'log_loss') if name in held_out else '–'} |"
        for name in (*MODELS, "majority")
        if name in scores
    )
    return (
        f"The {kind}, beside what it has to beat, on the same {scores['test_tracks']} test tracks of "
        f"{scores['test_groups']} groups:\n\n| model | accuracy | macro F1 | log loss on held-out songs |\n"
        f"|---|---|---|---|\n{rows}\n\n"
        "Held-out songs choose the challenger, by the lowest log loss; test tracks choose nothing.\n\n"
        f"Collection `{lineage.collection}`, catalogue `{lineage.catalogue_md5[:8]}`, result "
        f"`{lineage.fingerprint[:7]}`. Among the artefacts: the report (report/report.html), pictures, Data Docs.\n\n"
        f"{_NAMES_OF_METRICS}"
    )


def _interval(scores: dict[str, float], name: str) -> str:
    return f"{scores[name]:.3f} [{scores[f'{name}_low']:.3f}, {scores[f'{name}_high']:.3f}]"


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without MLflow's hints about things that are as they should be."""
    chatty = [logging.getLogger(name) for name in ("mlflow.models", "mlflow.pyfunc", "mlflow.types", "mlflow.utils")]
    levels = [logger.level for logger in chatty]
    for logger in chatty:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(chatty, levels, strict=True):
            logger.setLevel(level)
