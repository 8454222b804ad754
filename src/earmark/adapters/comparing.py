"""Two models on the test tracks of now: fetched, asked, compared, the looks counted, the result logged in MLflow.

In MLflow a comparison is a run of kind `comparison` below the challenger's own run, in the same experiment: its
description is the whole comparison in Markdown, its metrics have the scores, and its artefacts the tables (as MLflow's
page shows tables) and comparison.json with everything. It is the look at the test tracks, too, which it lists.
"""

import hashlib
import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from earmark.adapters.named import COMPARISON, Named
from earmark.adapters.recording import _experiment
from earmark.adapters.worn import PAIR, TEST_SET, TRACKS, TestSet, looked_at, pair_of, warnings_about
from earmark.errors import ModelError, RegistryError
from earmark.model.beside import files_of_predictor
from earmark.model.calibration.abstention import confidence
from earmark.model.comparing import cost
from earmark.model.comparing.comparison import MEASURES, Comparison, Said, Truth, always, compare
from earmark.model.comparing.promises import Promised
from earmark.model.comparing.promotion import Verdict
from earmark.model.comparing.report import as_markdown, gate_table, markdown
from earmark.model.tags import load_tags
from earmark.params import Params, to_dict
from earmark.workspace import CATALOGUE, SPLITS

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from earmark.model.answers import Answers
    from earmark.model.predictor import Predictor

_TEXT = 8000  # characters that MLflow takes in a tag of a run


class Unreadable(ModelError):
    """A model is there, but this earmark cannot read it."""

    def __init__(self, model: Named, said: str) -> None:
        super().__init__(said)
        self.model = model


class OneModel(ModelError):
    """Both names mean one model, so there is nothing to compare."""

    def __init__(self, ours: Named, theirs: Named) -> None:
        both = f"both are {ours.title}"
        super().__init__(
            f"{both if ours.title == theirs.title else f'{ours.title} and {theirs.title} are one model'}: there is "
            "nothing to compare. No look at the test tracks was counted, and no run logged."
        )


@dataclass(frozen=True)
class Compared:
    """What came of it.

    Attributes:
        ours: The first model.
        theirs: The other; None stands for the majority class.
        comparison: None where fewer than 2 groups are left.
        tracks: Test tracks that neither was trained on.
        groups: Of these.
        left_out: Test tracks that one of them was trained on.
        test_set: The tracks that were compared, and how often they were looked at.
        warnings: About worn ones.
        pair: Names the two models, in any order the same.
        key: Names the two models, the tracks and how they were compared: the same again gives the same.
        listed: The tracks: columns ``track_id``, ``genre``, ``content_hash``.
    """

    ours: Named
    theirs: Named | None
    comparison: Comparison | None
    tracks: int
    groups: int
    left_out: int
    test_set: TestSet
    warnings: tuple[str, ...]
    pair: str
    key: str
    listed: pd.DataFrame = field(repr=False, compare=False)

    def to_dict(self) -> dict[str, Any]:
        """As plain values, fit for JSON."""
        return {
            "a": self.ours.title,
            "b": self.theirs.title if self.theirs else "majority class",
            "tracks": self.tracks,
            "groups": self.groups,
            "left_out": self.left_out,
            "test_set": vars(self.test_set),
            "warnings": list(self.warnings),
            "comparison": self.comparison.to_dict() if self.comparison else None,
        }


def compare_on_test_tracks(
    client: "MlflowClient", params: Params, root: Path, ours: Named, theirs: Named | None
) -> Compared:
    """Ask both about the test tracks that neither was trained on. Logged (`log`), it is a look at these tracks.

    Args:
        client: Of tracking server and registry.
        params: Of the project.
        root: Its folder.
        ours: The challenger, or the first of two.
        theirs: The other; None for the majority class of the training tracks.

    Raises:
        OneModel: Both are the same model.
        RegistryError: There are no splits, or a model cannot be had.
        Unreadable: A model was written by another version of earmark.
    """
    if theirs is not None and _same(ours, theirs):
        raise OneModel(ours, theirs)
    tested, trained = test_tracks(root)
    with tempfile.TemporaryDirectory(prefix="earmark-comparison-") as scratch:
        names = [ours] if theirs is None else [ours, theirs]
        folders = [each.fetch(client, params, root, Path(scratch) / str(number)) for number, each in enumerate(names)]
        who = [_identity(folder) for folder in folders]
        if theirs is not None and who[0] == who[1]:
            raise OneModel(ours, theirs)
        models = [_load(each, folder) for each, folder in zip(names, folders, strict=True)]
        heard = frozenset[str]().union(*(model.trained_on for model in models))
        fresh = tested[~tested["content_hash"].isin(heard)].reset_index(drop=True)
        found = None
        if fresh["group"].nunique() >= 2:
            said = [_said(model, fresh, root) for model in models]
            if theirs is None:
                said.append(always(list(trained["genre"]), len(fresh)))
            found = compare(said[0], said[1], _truth(fresh, root), params.evaluation)
            costs = cost.costs_of(models, folders, rounds=params.gates.rounds)
            found = replace(found, our_cost=costs[0], their_cost=costs[1] if len(costs) > 1 else None)
    pair = pair_of(who[0], who[1] if len(who) > 1 else "majority class of " + " ".join(sorted(trained["genre"])))
    test_set = looked_at(client, params, root, fresh, pair if found else None)
    left_out = len(tested) - len(fresh)
    how = json.dumps([who, pair, test_set.digest, to_dict(params.evaluation), to_dict(params.gates)])
    return Compared(
        ours=ours,
        theirs=theirs,
        comparison=found,
        tracks=len(fresh),
        groups=int(fresh["group"].nunique()),
        left_out=left_out,
        test_set=test_set,
        warnings=warnings_about(test_set, left_out, params),
        pair=pair,
        key=hashlib.sha256(how.encode()).hexdigest()[:16],
        listed=fresh[["track_id", "genre", "content_hash"]].sort_values("track_id", ignore_index=True),
    )


def test_tracks(root: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Test tracks with all that the catalogue knows of them, and training tracks.

    Raises:
        RegistryError: The stage `split` has not run here.
    """
    if not (root / SPLITS).is_file() or not (root / CATALOGUE).is_file():
        raise RegistryError(
            f"There is no {SPLITS} or no {CATALOGUE}, so there are no test tracks to compare models on. "
            "`dvc repro split` makes them; in a clone, `dvc pull` brings them."
        )
    tracks = pd.read_parquet(root / SPLITS)
    catalogue = pd.read_parquet(root / CATALOGUE).drop(columns=["split", "group", "genre"])
    tested = tracks[tracks["split"] == "test"].merge(catalogue, on="track_id", validate="one_to_one")
    return tested, tracks[tracks["split"] == "train"]


test_tracks.__test__ = False  # type: ignore[attr-defined]  # pytest collects by name


def log(client: "MlflowClient", params: Params, root: Path, compared: Compared, verdict: Verdict | None) -> str | None:
    """Log a comparison as a run of its own. The same comparison again finds the run that is there.

    Returns:
        The run's id; None where nothing was compared.
    """
    found = compared.comparison
    if found is None:
        return None
    experiment = _experiment(client, params, root)
    where = f"attributes.status = 'FINISHED' and tags.kind = '{COMPARISON}' and tags.comparison = '{compared.key}'"
    if runs := client.search_runs([experiment], where, max_results=1):
        return str(runs[0].info.run_id)
    import mlflow

    theirs = compared.theirs.name if compared.theirs else "majority class"
    tags = {
        "kind": COMPARISON,
        "comparison": compared.key,
        PAIR: compared.pair,
        TEST_SET: compared.test_set.digest,
        "a": compared.ours.name,
        "b": theirs,
        "mlflow.note.content": _note(text(compared, verdict)),
        "mlflow.source.name": "earmark compare",
        "mlflow.source.type": "LOCAL",
    }
    if compared.ours.run_id is not None:
        tags["mlflow.parentRunId"] = compared.ours.run_id
    if verdict is not None:
        tags |= {"verdict": "promote" if verdict.promote else "keep", "verdict.reason": verdict.reason[:_TEXT]}
    name = f"{compared.ours.name} against {theirs}"
    with mlflow.start_run(experiment_id=experiment, run_name=name, tags=tags) as run:
        mlflow.log_params({"a": compared.ours.name, "b": theirs, "test_set": compared.test_set.digest})
        mlflow.log_table(compared.listed, TRACKS)
        mlflow.log_metrics(dict(_metrics(compared)))
        mlflow.log_dict(compared.to_dict() | {"verdict": verdict.to_dict() if verdict else None}, "comparison.json")
        mlflow.log_text(text(compared, verdict), "comparison.md")
        for file, table in _tables(found, verdict).items():
            mlflow.log_table(table, file)
    return str(run.info.run_id)


def text(compared: Compared, verdict: Verdict | None) -> str:
    """The whole comparison in Markdown, the verdict first."""
    found = compared.comparison
    theirs = compared.theirs.name if compared.theirs else "the majority class of the training tracks"
    parts = [f"A is {compared.ours.name}; B is {theirs}."]
    if verdict is not None:
        parts = [verdict.reason, as_markdown(gate_table(verdict.gates)), *parts]
    parts += [f"Warning: {warning}" for warning in compared.warnings]
    parts += [on_which_tracks(compared)]
    return "\n\n".join([*parts, *([markdown(found)] if found else [])]) + "\n"


def on_which_tracks(compared: Compared) -> str:
    """Which test tracks were compared, how often they were looked at, and how many more there are, in a sentence."""
    on = compared.test_set
    pairs = "1 pair" if on.looks == 1 else f"{on.looks} pairs"
    said = f"Test set {on.digest}: {on.tracks} tracks, looked at by {pairs} of models"
    said += f", {on.worn} of them worn." if on.worn else "."
    if compared.left_out:
        said += f" {compared.left_out} more left out, because one of the two was trained on them."
    return said


def _note(whole: str) -> str:
    """As much of it as MLflow takes, in whole lines."""
    if len(whole) <= _TEXT:
        return whole
    rest = "\n\nThe rest stands in the artefact comparison.md.\n"
    return whole[: whole.rindex("\n", 0, _TEXT - len(rest))] + rest


def _metrics(compared: Compared) -> Iterator[tuple[str, float]]:
    found = compared.comparison
    assert found is not None
    for name in MEASURES:
        measure = getattr(found, name)
        yield f"a/{name}", measure.ours.value
        yield f"b/{name}", measure.theirs.value
        yield from measure.difference.flat(f"difference/{name}").items()
    for side, costs in (("a", found.our_cost), ("b", found.their_cost)):
        if costs is not None:
            yield from ((f"{side}/{name}", float(value)) for name, value in vars(costs).items())
    for promise in found.promises:
        for side, score in (("a", promise.ours), ("b", promise.theirs)):
            if score is not None:
                yield f"{side}/{promise.name}", score.value
        if promise.difference is not None:
            yield from promise.difference.flat(f"difference/{promise.name}").items()
    yield "tracks", float(found.tracks)
    yield "groups", float(found.groups)
    yield "test_set_looks", float(compared.test_set.looks)
    yield "test_set_worn", float(compared.test_set.worn)


def _tables(found: Comparison, verdict: Verdict | None) -> dict[str, pd.DataFrame]:
    def row(measure: Any) -> dict[str, float | None]:
        """A promise may be one's own alone."""
        each = {"a": measure.ours, "b": measure.theirs}
        values = {side: None if score is None else score.value for side, score in each.items()}
        return {**values, **(measure.difference.flat("difference") if measure.difference else {})}

    measures = [{"measure": name, **row(getattr(found, name))} for name in MEASURES]
    for each in found.promises:
        promised = dict(zip(("promised_a", "promised_b"), each.promised, strict=True))
        measures.append({"measure": each.name, **row(each), **promised})
    tables = {
        "measures.json": pd.DataFrame(measures),
        "genres.json": pd.DataFrame(
            [
                {"genre": each.genre, "measure": name, "tracks": each.tracks, **row(getattr(each, name))}
                for each in found.classes
                for name in ("recall", "f1")
            ]
        ),
    }
    if found.tags:
        tables["tags.json"] = pd.DataFrame(
            [{"tag": each.tag, "tracks": each.r.tracks, **row(each.r)} for each in found.tags]
        )
    if found.our_cost is not None:
        tables["costs.json"] = _costs(found.our_cost, found.their_cost)
    if verdict is not None:
        tables["gates.json"] = pd.DataFrame([vars(gate) for gate in verdict.gates])
    return tables


def _costs(ours: cost.Cost, theirs: cost.Cost | None) -> pd.DataFrame:
    """``cost, a, b, a_by_b``: latency in milliseconds, size in MiB, parameters; b is null for the majority class."""
    rows = []
    for name, value in vars(ours).items():
        other = None if theirs is None else getattr(theirs, name)
        rows.append({"cost": name, "a": value, "b": other, "a_by_b": value / other if other else None})
    return pd.DataFrame(rows)


def _same(ours: Named, theirs: Named) -> bool:
    """Whether both names are known to mean one model: one version, run or folder."""
    pairs = ((ours.version, theirs.version), (ours.run_id, theirs.run_id), (ours.folder, theirs.folder))
    return any(one is not None and one == other for one, other in pairs)


def _load(named: Named, folder: Path) -> "Predictor":
    from earmark.model.predictor import load_predictor

    try:
        return load_predictor(folder)
    except ModelError as error:
        raise Unreadable(named, str(error).replace(str(folder), named.title)) from error


def _said(model: "Predictor", tracks: pd.DataFrame, root: Path) -> Said:
    """What ``model`` says of catalogue rows. The one place where comparing asks a model."""
    from earmark.model.scoring import answers_of

    answers = answers_of(model, tracks, root)
    return Said(model.labels, answers.genres, model.tags, answers.shares, _promised(model, answers))


def _promised(model: "Predictor", answers: "Answers") -> Promised | None:
    """How sure the model says to be of ``answers``, which are calibrated."""
    sure = model.calibration
    if sure is None:
        return None
    low = high = np.full(answers.shares.shape, np.nan)
    if sure.intervals is not None:
        low, high = sure.intervals.of(answers.shares)
        nothing = [multiple is None for multiple in sure.intervals.multiples]
        low[:, nothing] = high[:, nothing] = np.nan
    return Promised(
        sets=sure.sets.sets(answers.genres),
        abstains=confidence(answers.genres) < sure.threshold,
        low=low,
        high=high,
        set_coverage=sure.sets.coverage,
        interval_coverage=None if sure.intervals is None else sure.intervals.coverage,
    )


def _truth(tracks: pd.DataFrame, root: Path) -> Truth:
    tags = load_tags(root)
    told = tags.of(tracks["track_id"]).astype(np.float64)
    return Truth(tuple(tracks["genre"]), tuple(tracks["group"].astype(str)), tags.names, told)


def _identity(folder: Path) -> str:
    """A predictor by its content, whatever it is called."""
    total = hashlib.sha256()
    for path in files_of_predictor(folder):
        total.update(path.relative_to(folder).as_posix().encode() + b"\0")
        with path.open("rb") as file:
            total.update(hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()
