"""Comparing, judging and counting looks, for real: a small project's models in MLflow's own database."""

import json
import shutil
import signal
from dataclasses import replace
from functools import partialmethod
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from registry_tools import (
    PARTS,
    TAG,
    VERSION,
    alias,
    aliases,
    asking,
    change_splits,
    params_of,
    register,
    tags_of,
    write_models,
)

from earmark.adapters import events, gate, registry
from earmark.adapters.comparing import Compared, OneModel, _note, _said, compare_on_test_tracks, log, test_tracks
from earmark.adapters.events import undisturbed
from earmark.adapters.named import Named, find
from earmark.adapters.tracking import reaching
from earmark.adapters.worn import TestSet, digest_of, looked_at, warnings_about
from earmark.errors import RegistryError
from earmark.files import read_json, write_json
from earmark.model.calibration.calibration import calibrate
from earmark.model.comparing.cost import Cost, size_mib
from earmark.model.comparing.promotion import Verdict
from earmark.model.predictor import load_predictor
from earmark.model.scoring import answers_of
from earmark.model.tags import load_tags
from earmark.workspace import CHAMPION

PARAMS = params_of()
YES = Verdict(promote=True, reason="because", challenger="?")


def named(root: Path, name: str) -> Named:
    with reaching(root) as client:
        return find(client, PARAMS, root, name)


def compared(root: Path, one: str, other: str, params: Any = PARAMS) -> Compared:
    with reaching(root) as client:
        return compare_on_test_tracks(client, params, root, named(root, one), named(root, other))


def logged(root: Path, one: Compared, verdict: Verdict | None = None) -> str:
    with reaching(root) as client:
        run_id = log(client, PARAMS, root, one, verdict)
    assert run_id is not None
    return run_id


def looked(root: Path, one: str, other: str, params: Any = PARAMS) -> Compared:
    """As `earmark compare` does: compared, and logged."""
    found = compared(root, one, other, params)
    logged(root, found)
    return found


class TestNamed:
    @pytest.mark.parametrize("name", ["champion", "@champion", "2"])
    def test_a_version_is_found_by_its_number_and_its_alias(self, root: Path, name: str) -> None:
        alias(root, champion="good")
        found = named(root, name)
        assert (found.version, found.title) == ("2", "version 2 (champion)")

    def test_a_run_is_found_by_its_name_and_its_id(self, root: Path) -> None:
        found = named(root, "rarely")
        assert found.version is None and found.title == "run rarely"
        assert named(root, found.run_id or "").run_id == found.run_id

    def test_a_run_is_found_however_many_came_after_it(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        first = named(root, "guess").run_id or ""
        looked(root, "good", "many")
        looked(root, "good", "rarely")
        # As if MLflow told two runs at a time, in place of a thousand: both are comparisons.
        monkeypatch.setattr(MlflowClient, "search_runs", partialmethod(MlflowClient.search_runs, max_results=2))
        assert named(root, first).title == named(root, "guess").title == "run guess"
        with pytest.raises(RegistryError, match="rarely, many, good, guess"):
            named(root, "nobody")

    @pytest.mark.parametrize("kind", ["comparison", "deleted", "unknown"])
    def test_an_id_of_no_model_is_unknown(self, root: Path, kind: str) -> None:
        ids = {"comparison": logged(root, compared(root, "good", "guess")), "unknown": "0" * 32}
        ids["deleted"] = named(root, "rarely").run_id or ""
        asking(root).delete_run(ids["deleted"])
        with pytest.raises(RegistryError, match="There is no model"):
            named(root, ids[kind])

    def test_a_folder_is_found_from_the_project_too(self, root: Path) -> None:
        assert named(root, "models/good").folder == named(root, str(root / "models/good")).folder

    def test_a_run_that_was_never_registered_is_fetched_as_it_was_logged(self, root: Path, tmp_path: Path) -> None:
        shutil.rmtree(root / "models")
        with reaching(root) as client:
            folder = named(root, "rarely").fetch(client, PARAMS, root, tmp_path / "here")
        assert read_json(folder / "predictor.json")["kind"] == "forest"

    def test_an_unknown_name_says_what_there_is(self, root: Path) -> None:
        alias(root, champion="good")
        with pytest.raises(RegistryError) as told:
            named(root, "nobody")
        for there in ("no model 'nobody'", "3, 2 (champion), 1", "rarely, many, good, guess", "models/network"):
            assert there in str(told.value)

    @pytest.mark.parametrize("name", ["99", "@good", "it's"])
    def test_what_only_looks_like_a_name_is_unknown(self, root: Path, name: str) -> None:
        with pytest.raises(RegistryError, match="There is no model"):
            named(root, name)

    def test_of_several_runs_of_one_name_the_id_is_asked_for(self, root: Path) -> None:
        client = asking(root)
        ids = [named(root, name).run_id or "" for name in ("rarely", "many")]
        client.set_tag(ids[1], "mlflow.runName", "rarely")
        with pytest.raises(RegistryError, match="2 runs are called 'rarely'") as told:
            named(root, "rarely")
        assert all(run_id in str(told.value) for run_id in ids)


class TestCompare:
    def test_both_are_asked_about_the_same_tracks(self, root: Path) -> None:
        found = compared(root, "good", "guess")
        assert (found.tracks, found.groups, found.left_out) == (PARTS["test"], PARTS["test"], 0)
        assert found.comparison is not None
        assert found.comparison.accuracy.ours.value == 1.0 and found.comparison.accuracy.theirs.value == 0.5
        assert found.comparison.tags[0].tag == TAG and found.comparison.tags[0].r.ours.value > 0.9

    def test_both_costs_are_measured(self, root: Path) -> None:
        found = compared(root, "many", "good").comparison
        assert found is not None and found.our_cost is not None and found.their_cost is not None
        assert found.our_cost.mib > found.their_cost.mib
        assert found.our_cost.parameters > found.their_cost.parameters > 10
        assert found.our_cost.median_ms > 0 < found.their_cost.p95_ms

    def test_tracks_that_one_was_trained_on_are_left_out(self, root: Path) -> None:
        def more(splits: pd.DataFrame) -> None:
            splits.loc[splits["track_id"].isin(["train00.wav", "train01.wav"]), "split"] = "test"

        change_splits(root, more)
        found = compared(root, "good", "guess")
        assert (found.tracks, found.left_out, found.test_set.tracks) == (PARTS["test"], 2, PARTS["test"])
        assert found.test_set.digest == compared_on(root, "test")

    @pytest.mark.parametrize(
        ("one", "other"), [("champion", "challenger"), ("2", "good"), ("good", "models/good"), ("models/good", "2")]
    )
    def test_one_model_by_two_names_is_not_compared_and_no_look(self, root: Path, one: str, other: str) -> None:
        alias(root, champion="good", challenger="good")
        if "models/good" not in (one, other):
            (root / "data/splits.parquet").unlink()  # it is known without asking anything
        with pytest.raises(OneModel, match="nothing to compare"):
            compared(root, one, other)
        assert comparisons(root) == []

    def test_what_a_calibrated_model_promises_is_compared(self, root: Path) -> None:
        calibrate_saved(root, "many")
        found = compared(root, "models/many", "good").comparison
        assert found is not None
        told = {each.name: each for each in found.promises}
        assert told["set_coverage"].promised == (0.9, None) and told["set_coverage"].ours.value == 1.0
        assert told["abstention"].ours.value == 0.0 and told["set_size"].ours.value == 1.0
        # Fitted to these very 24 tracks, the threshold is the ceil(0.9 * 25)-th smallest residual: so many lie within.
        assert told["interval_coverage"].ours.value == 23 / 24 and told["interval_coverage"].theirs is None

    def test_an_interval_from_0_to_1_because_too_little_is_known_promises_nothing(self, root: Path) -> None:
        calibrate_saved(root, "many", known=False)
        with reaching(root) as client:
            folder = find(client, PARAMS, root, "models/many").fetch(client, PARAMS, root, root)
        said = _said(load_predictor(folder), test_tracks(root)[0], root)
        assert said.promised is not None and np.isnan(said.promised.low).all() and np.isnan(said.promised.high).all()

    def test_without_splits_the_remedy_is_named(self, root: Path) -> None:
        (root / "data/splits.parquet").unlink()
        with pytest.raises(RegistryError, match="dvc repro split"):
            compared(root, "good", "guess")


def comparisons(root: Path) -> list[Any]:
    """Their runs."""
    experiment = asking(root).get_experiment_by_name("earmark")
    return list(asking(root).search_runs([experiment.experiment_id], "tags.kind = 'comparison'"))


def compared_on(root: Path, part: str) -> str:
    """The digest of the tracks whose names begin so."""
    catalogue = pd.read_parquet(root / "data/catalogue.parquet")
    return digest_of(catalogue[catalogue["track_id"].str.startswith(part)])


def calibrate_saved(root: Path, name: str, *, known: bool = True) -> None:
    """Give the model in models/ a calibration, by the test tracks themselves."""
    model, tracks = load_predictor(root / "models" / name), test_tracks(root)[0]
    answers = answers_of(model, tracks, root)
    told = load_tags(root).of(tracks["track_id"])
    told[:, 1] *= known
    sure = calibrate(
        probabilities=answers.genres,
        actual=np.array([model.labels.index(genre) for genre in tracks["genre"]]),
        shares=answers.shares,
        known=told,
        coverage=0.9,
        by_class=False,
        least_accuracy=0.0,
        seed=1,
    )
    replace(model, calibration=sure).save(root / "models" / name)


class TestLog:
    def test_it_is_a_run_below_the_first_ones_with_all_that_was_measured(self, root: Path) -> None:
        found = compared(root, "2", "1")
        client = asking(root)
        run = client.get_run(logged(root, found))
        assert run.data.tags["kind"] == "comparison" and run.info.run_name == "version 2 against version 1"
        assert run.data.tags["mlflow.parentRunId"] == client.get_model_version("earmark", "2").run_id
        assert "| accuracy | 1.000 | 0.500 |" in run.data.tags["mlflow.note.content"]
        assert run.data.metrics["difference/accuracy"] == 0.5 and run.data.metrics["a/parameters"] > 10
        files = {file.path for file in client.list_artifacts(run.info.run_id)}
        tables = {"costs.json", "genres.json", "measures.json", "tags.json", "tracks.json"}
        assert files == {"comparison.json", "comparison.md", *tables}

    def test_its_tables_are_those_that_mlflow_shows(self, root: Path, tmp_path: Path) -> None:
        client, run_id = asking(root), logged(root, compared(root, "2", "1"))
        listed = json.loads(client.get_run(run_id).data.tags["mlflow.loggedArtifacts"])
        assert {"path": "genres.json", "type": "table"} in listed
        table = table_of(root, run_id, "genres.json", tmp_path)
        recalls = table[table["measure"] == "recall"].set_index("genre")
        assert recalls.loc["high", "difference"] == 1.0 and recalls.loc["low", "difference"] == 0.0

    def test_the_cost_is_a_table_too(self, root: Path, tmp_path: Path) -> None:
        found = compared(root, "3", "2")
        run_id = logged(root, found)
        told = table_of(root, run_id, "costs.json", tmp_path).set_index("cost")
        assert found.comparison is not None and found.comparison.our_cost is not None
        assert told.loc["median_ms", "a"] == pytest.approx(found.comparison.our_cost.median_ms)
        for row in told.itertuples():
            assert row.a_by_b == pytest.approx(row.a / row.b)

    def test_against_the_majority_class_the_other_cost_is_empty(self, root: Path, tmp_path: Path) -> None:
        alias(root, challenger="good")
        gate.compare(PARAMS, root)
        told = table_of(root, tags_of(root, "good")["verdict.comparison"], "costs.json", tmp_path)
        assert told["a"].notna().all() and told["b"].isna().all() and told["a_by_b"].isna().all()

    def test_what_was_promised_stands_in_the_table_and_among_the_metrics(self, root: Path, tmp_path: Path) -> None:
        calibrate_saved(root, "many")
        run_id = logged(root, compared(root, "models/many", "good"))
        told = table_of(root, run_id, "measures.json", tmp_path).set_index("measure")
        assert told.loc["set_coverage", ["a", "promised_a"]].tolist() == [1.0, 0.9]
        assert pd.isna(told.loc["set_coverage", "b"])
        metrics = asking(root).get_run(run_id).data.metrics
        assert metrics["a/abstention"] == 0.0 and "b/abstention" not in metrics
        assert "| intervals hold the share |" in asking(root).get_run(run_id).data.tags["mlflow.note.content"]

    def test_it_lists_the_tracks_that_were_compared(self, root: Path, tmp_path: Path) -> None:
        told = table_of(root, logged(root, compared(root, "2", "1")), "tracks.json", tmp_path)
        assert set(told["track_id"]) == {f"test{number:02}.wav" for number in range(PARTS["test"])}

    def test_the_same_comparison_again_is_no_further_run(self, root: Path) -> None:
        first = logged(root, compared(root, "2", "1"))
        assert logged(root, compared(root, "2", "1")) == first != logged(root, compared(root, "1", "2"))

    def test_a_description_that_is_too_long_ends_with_a_whole_line_and_says_where_the_rest_is(self) -> None:
        whole = "".join(f"| row {number} |\n" for number in range(2000))
        note = _note(whole)
        assert len(note) <= 8000 and note.endswith("comparison.md.\n")
        assert set(note.splitlines()[:-2]) < set(whole.splitlines())
        assert _note("short\n") == "short\n"


class TestVerdict:
    def test_each_gate_is_noted_on_the_version_and_on_its_run(self, root: Path) -> None:
        alias(root, champion="guess", challenger="good")
        verdict = gate.compare(PARAMS, root)
        assert verdict.promote and (verdict.challenger, verdict.champion) == (VERSION["good"], VERSION["guess"])
        tags = tags_of(root, "good")
        assert tags["verdict"] == "promote" and tags["gate.gain"].startswith("passed: found +0.500 [")
        assert [each["name"] for each in json.loads(tags["verdict.gates"])] == [each.name for each in verdict.gates]
        run = asking(root).get_run(asking(root).get_model_version("earmark", VERSION["good"]).run_id)
        assert run.data.tags["gate.size"] == tags["gate.size"]
        comparison = asking(root).get_run(tags["verdict.comparison"])
        assert comparison.data.tags["verdict"] == "promote"
        assert "| gain | passed |" in comparison.data.tags["mlflow.note.content"]

    def test_a_gate_that_fails_keeps_a_better_model_out(self, root: Path) -> None:
        alias(root, champion="guess", challenger="many")
        verdict = gate.compare(params_of(max_size_mib=0.01), root)
        assert not verdict.promote and [each.name for each in verdict.failed] == ["size"]
        assert tags_of(root, "many")["gate.size"].startswith("failed: found ")

    def test_an_equal_model_is_promoted_only_if_it_is_clearly_cheaper(
        self, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # By its true size; what a busy machine does to the latency is not this test's concern.
        def still(_: Any, folders: list[Path], **__: Any) -> list[Cost]:
            return [Cost(median_ms=50.0, p95_ms=60.0, mib=size_mib(folder), parameters=1) for folder in folders]

        monkeypatch.setattr("earmark.adapters.comparing.cost.costs_of", still)
        alias(root, champion="good", challenger="many")
        assert not gate.compare(PARAMS, root).promote
        alias(root, champion="many", challenger="good")
        verdict = gate.compare(PARAMS, root)
        assert verdict.promote and "as good as, and cheaper than" in verdict.reason

    def test_what_an_earlier_verdict_said_of_a_gate_does_not_stay(self, root: Path) -> None:
        alias(root, champion="guess", challenger="good")
        gate.compare(PARAMS, root)

        def all_heard(splits: pd.DataFrame) -> None:
            splits["split"] = ["test" if name.startswith("train") else "train" for name in splits["track_id"]]

        change_splits(root, all_heard)
        verdict = gate.compare(PARAMS, root)
        assert [each.name for each in verdict.failed] == ["comparable"] and verdict.left_out == PARTS["train"]
        assert {tag for tag in tags_of(root, "good") if tag.startswith("gate.")} == {"gate.comparable"}

    def test_a_champion_that_an_older_earmark_wrote_stops_no_flow(self, root: Path) -> None:
        alias(root, champion="guess", challenger="good")
        for about in (root / "mlruns").rglob("predictor.json"):
            if read_json(about.parent / "predictor.json") and "guess" in _run_name(root, about):
                write_json(about, read_json(about) | {"format": 1})
        verdict = gate.compare(PARAMS, root)
        assert not verdict.promote and "which cannot be read: version 1 (champion) has format 1" in verdict.reason
        assert tags_of(root, "good")["verdict"] == "keep"

    def test_nor_does_one_whose_pickle_names_a_class_that_is_elsewhere_now(self, root: Path) -> None:
        alias(root, champion="guess", challenger="good")
        # A pickle, by hand: the global `gone` of the module `earmark.model.predictor`.
        pickle = b"cearmark.model.predictor\ngone\n."
        for weights in (root / "mlruns").rglob("forest.joblib"):
            if "guess" in _run_name(root, weights):
                weights.write_bytes(pickle)
        verdict = gate.compare(PARAMS, root)
        assert not verdict.promote and "which cannot be read: The weights in version 1 (champion)" in verdict.reason

    def test_a_version_that_was_rolled_back_comes_not_back_by_itself(self, root: Path) -> None:
        alias(root, champion="guess", challenger="good")
        registry.promote(PARAMS, root, VERSION["good"], gate.compare(PARAMS, root))
        registry.rollback(PARAMS, root, because="it hums")
        verdict = gate.compare(PARAMS, root)
        assert [each.name for each in verdict.failed] == ["standing"] and "it hums" in verdict.failed[0].why
        registry.rollback(PARAMS, root)  # undone
        assert gate.compare(PARAMS, root, VERSION["guess"]).failed[-1].name == "standing"

    def test_it_is_no_longer_good_when_another_version_has_become_champion(self, root: Path) -> None:
        alias(root, champion="guess", challenger="good")
        verdict = gate.compare(PARAMS, root)
        alias(root, champion="many")
        with pytest.raises(RegistryError, match="compared with version 1, but meanwhile version 3 is champion"):
            registry.promote(PARAMS, root, VERSION["good"], verdict)
        assert aliases(root)["champion"] == VERSION["many"]

    def test_the_flows_report_shows_gates_and_warnings(self, root: Path) -> None:
        from earmark.adapters.prefect import markdown

        alias(root, champion="good", challenger="guess")
        verdict = gate.compare(params_of(max_looks=1), root)
        text = markdown(root, {}, replace(verdict, warnings=("Test set d is worn.",)))
        assert "| gain | FAILED | -0.500 [" in text and "Warning: Test set d is worn." in text

    def test_two_versions_of_one_model_are_no_comparison(self, root: Path) -> None:
        (again,) = register(root, ["good"])
        alias(root, champion="good")
        verdict = gate.compare(PARAMS, root, again)
        assert not verdict.promote and f"Version {again} and version 2, the champion, are the same" in verdict.reason
        assert comparisons(root) == []

    def test_any_version_can_be_judged_and_nothing_but_versions(self, root: Path) -> None:
        alias(root, champion="guess", challenger="many")
        assert gate.compare(PARAMS, root, VERSION["good"]).challenger == VERSION["good"]
        with pytest.raises(RegistryError, match="only versions can be promoted"):
            gate.compare(PARAMS, root, "rarely")


def table_of(root: Path, run_id: str, name: str, folder: Path) -> pd.DataFrame:
    """A table among a run's artefacts."""
    told = read_json(Path(asking(root).download_artifacts(run_id, name, str(folder))))
    return pd.DataFrame(told["data"], columns=told["columns"])


def _run_name(root: Path, file: Path) -> str:
    """The run whose model holds ``file``: artefacts lie below the model's id."""
    client = asking(root)
    for version in client.search_model_versions("name = 'earmark'"):
        if version.source.rpartition("/")[2] in file.parts:
            return str(client.get_run(version.run_id).info.run_name)
    return ""


class TestWorn:
    def test_a_look_of_other_models_counts_and_the_same_two_do_not_count_again(self, root: Path) -> None:
        assert looked(root, "good", "guess").test_set.looks == 1
        assert looked(root, "guess", "good").test_set.looks == 1  # the other way round
        assert looked(root, "models/good", "1").test_set.looks == 1  # by other names
        assert looked(root, "many", "guess").test_set.looks == 2

    def test_each_verdict_is_a_look_too(self, root: Path) -> None:
        alias(root, challenger="good")
        gate.compare(PARAMS, root)
        assert compared(root, "many", "guess").test_set.looks == 2

    def test_what_was_never_told_is_no_look(self, root: Path) -> None:
        compared(root, "good", "guess")  # killed before it was logged, say
        assert compared(root, "many", "guess").test_set.looks == 1

        def one_group(splits: pd.DataFrame) -> None:
            splits["group"] = "one"

        change_splits(root, one_group)
        found = compared(root, "many", "guess")
        assert found.comparison is None and found.test_set.looks == 0

    def test_a_track_that_goes_leaves_the_others_as_worn_as_they_were(self, root: Path) -> None:
        before = looked(root, "good", "guess")

        def one_less(splits: pd.DataFrame) -> None:
            splits.loc[splits["track_id"] == "test00.wav", "split"] = "validation"

        change_splits(root, one_less)
        less = looked(root, "many", "guess")
        assert less.test_set.digest != before.test_set.digest
        assert (less.test_set.tracks, less.test_set.looks) == (PARTS["test"] - 1, 2)

    def test_a_track_that_comes_is_fresh_among_the_worn(self, root: Path) -> None:
        params = params_of(max_looks=1)

        def less(splits: pd.DataFrame) -> None:
            splits.loc[splits["track_id"].isin(["test00.wav", "test01.wav"]), "split"] = "validation"

        def more(splits: pd.DataFrame) -> None:
            splits.loc[splits["split"] == "validation", "split"] = "test"

        change_splits(root, less)
        looked(root, "good", "guess", params)
        change_splits(root, more)
        found = looked(root, "many", "guess", params)
        assert (found.test_set.looks, found.test_set.worn) == (2, PARTS["test"] - 2)
        assert f"{PARTS['test'] - 2} of the {PARTS['test']} test tracks" in found.warnings[0]
        assert "2 are fresh." in found.warnings[0]

    def test_what_one_was_trained_on_was_not_looked_at(self, root: Path) -> None:
        def more(splits: pd.DataFrame) -> None:
            splits.loc[splits["track_id"] == "train00.wav", "split"] = "test"

        change_splits(root, more)
        looked(root, "good", "guess")
        catalogue = pd.read_parquet(root / "data/catalogue.parquet")
        with reaching(root) as client:
            for name, looks in (("train00.wav", 0), ("test00.wav", 1)):
                its = catalogue[catalogue["track_id"] == name]
                assert looked_at(client, PARAMS, root, its).looks == looks

    def test_a_run_that_was_deleted_was_seen_all_the_same(self, root: Path) -> None:
        run_id = logged(root, compared(root, "good", "guess"))
        asking(root).delete_run(run_id)
        assert compared(root, "many", "guess").test_set.looks == 2

    def test_a_run_whose_list_is_gone_cannot_be_counted_and_stops_nothing(self, root: Path) -> None:
        run_id = logged(root, compared(root, "good", "guess"))
        (Path(url2pathname(urlsplit(asking(root).get_run(run_id).info.artifact_uri).path)) / "tracks.json").unlink()
        assert compared(root, "many", "guess").test_set.looks == 1

    def test_no_look_is_lost_among_many(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for other in ("guess", "many", "rarely"):
            looked(root, "good", other)
        monkeypatch.setattr(MlflowClient, "search_runs", partialmethod(MlflowClient.search_runs, max_results=1))
        assert compared(root, "many", "guess").test_set.looks == 4

    def test_above_the_limit_it_is_warned_of_and_blocks_nothing(self, root: Path) -> None:
        params = params_of(max_looks=1)
        assert looked(root, "many", "guess", params).warnings == ()
        alias(root, champion="guess", challenger="good")
        verdict = gate.compare(params, root)
        assert verdict.promote and "are worn: more than gates.max_looks = 1 pairs" in verdict.warnings[0]
        assert "are worn" in tags_of(root, "good")["verdict.warning"]

    def test_the_warnings_remedy_works(self, root: Path) -> None:
        """The old test set is worn; another split makes other tracks test, of which the champion has learnt most."""
        params = params_of(max_looks=1)
        looked(root, "many", "guess", params)
        worn = looked(root, "good", "guess", params)
        assert f"split.seed in params.yaml to another number than {params.split.seed}" in worn.warnings[0]
        assert "None is fresh" in worn.warnings[0] and worn.test_set.worn == PARTS["test"]

        def anew(splits: pd.DataFrame) -> None:
            """Test are ten that were learnt and four that were test; the others are learnt."""
            ten, four = splits["track_id"].between("train00", "train09.wav"), splits["track_id"] <= "test03.wav"
            splits["split"] = np.where(ten | four, "test", "train")

        alias(root, champion="good")
        change_splits(root, anew)
        splits = pd.read_parquet(root / "data/splits.parquet").drop(columns="genre")
        catalogue = pd.read_parquet(root / "data/catalogue.parquet").drop(columns=["split", "group"])
        learnt = catalogue.merge(splits[splits["split"] == "train"], on="track_id")
        write_models(root, list(learnt.itertuples()), params)  # type: ignore[arg-type]  # rows will do

        first, second = register(root, ["good", "rarely"])
        verdict = gate.compare(params, root, first)
        assert [each.name for each in verdict.failed if each.name != "gain"] == ["comparable"]
        assert (verdict.tracks, verdict.left_out) == (4, 10)
        assert "4 of the 4 test tracks compared are worn" in verdict.warnings[0]
        assert "10 of its test tracks are left out" in verdict.warnings[0] and "--because" in verdict.warnings[0]

        registry.promote(params, root, first, verdict, because="a fresh test set")
        fresh = gate.compare(params, root, second)
        assert (fresh.champion, fresh.tracks, fresh.left_out) == (first, 14, 0)
        assert "comparable" not in [each.name for each in fresh.failed]
        (warning,) = fresh.warnings
        assert "4 of the 14 test tracks compared are worn" in warning and warning.endswith("10 are fresh.")

    def test_the_digest_names_recordings_and_labels_in_any_order(self) -> None:
        table = pd.DataFrame({"content_hash": ["a", "b"], "genre": ["jig", "reel"]})
        assert digest_of(table) == digest_of(table[::-1])
        assert digest_of(table) != digest_of(table.assign(genre=["jig", "jig"]))
        assert digest_of(table) != digest_of(table.assign(genre=["reel", "jig"]))

    def test_without_a_worn_track_there_is_no_reason_to_warn(self) -> None:
        assert warnings_about(TestSet("d", 10, 50, worn=0), 0, PARAMS) == ()
        assert warnings_about(TestSet("d", 10, 51, worn=1), 0, PARAMS)

    def test_exactly_as_many_as_allowed_are_not_too_many(self, root: Path) -> None:
        looked(root, "good", "guess")
        assert compared(root, "many", "guess", params_of(max_looks=2)).test_set.worn == 0
        assert compared(root, "many", "guess", params_of(max_looks=1)).test_set.worn == PARTS["test"]


class TestEvents:
    def test_a_version_keeps_all_that_happened_to_it(self, root: Path) -> None:
        good, many = VERSION["good"], VERSION["many"]
        registry.promote(PARAMS, root, good, YES)
        registry.promote(PARAMS, root, many, YES, because="a test", by="Ada")
        registry.rollback(PARAMS, root, because="it was wrong")
        registry.promote(PARAMS, root, many, YES)
        lived = {each.version: each for each in events.history(PARAMS, root)}
        assert [(event.what, event.other) for event in lived[many].events] == [
            ("promoted", good),
            ("rolled back", good),
            ("promoted", good),
        ]
        first, second, _ = lived[many].events
        assert (first.because, first.by, second.because, second.by) == ("a test", "Ada", "it was wrong", None)
        assert [event.what for event in lived[good].events] == ["promoted", "put back"]
        assert first.at < second.at and lived[good].events[-1].at == second.at

    def test_who_did_it_is_recorded_only_if_it_was_said(self, root: Path) -> None:
        registry.promote(PARAMS, root, VERSION["good"], YES)
        assert "by" not in json.loads(tags_of(root, "good")["events"])[0]

    def test_a_promotion_of_before_there_were_events_is_told_too(self, root: Path) -> None:
        client = asking(root)
        client.set_model_version_tag("earmark", "1", "promoted.at", "2025-01-01T00:00:00+00:00")
        client.set_model_version_tag("earmark", "1", "promoted.because", "old times")
        registry.promote(PARAMS, root, VERSION["guess"], YES)
        lived = events.history(PARAMS, root)[-1]
        assert [event.because for event in lived.events] == ["old times", "because"]

    def test_the_newest_version_is_first_with_its_aliases(self, root: Path) -> None:
        alias(root, champion="good", challenger="many")
        lived = events.history(PARAMS, root)
        assert [(each.version, each.aliases) for each in lived] == [
            ("3", ("challenger",)),
            ("2", ("champion",)),
            ("1", ()),
        ]
        assert lived[0].accuracy == 0.75 and lived[0].kind == "forest"

    def test_asking_makes_no_database(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
        assert events.history(PARAMS, tmp_path) == [] and list(tmp_path.iterdir()) == []


class TestInterruption:
    @pytest.mark.parametrize("at", ["export", "add_event"])
    def test_ctrl_c_waits_until_the_promotion_is_whole(
        self, root: Path, monkeypatch: pytest.MonkeyPatch, at: str
    ) -> None:
        registry.promote(PARAMS, root, VERSION["guess"], YES)
        real = getattr(registry, at)

        def pressing(*arguments: Any) -> Any:
            signal.raise_signal(signal.SIGINT)
            return real(*arguments)

        monkeypatch.setattr(registry, at, pressing)
        with pytest.raises(KeyboardInterrupt):
            registry.promote(PARAMS, root, VERSION["good"], YES)
        assert aliases(root) == {"champion": VERSION["good"], "previous": VERSION["guess"]}
        assert read_json(root / CHAMPION / "champion.json")["version"] == VERSION["good"]
        assert len(json.loads(tags_of(root, "good")["events"])) == 1

    def test_ctrl_c_before_it_changes_nothing(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        registry.promote(PARAMS, root, VERSION["guess"], YES)
        monkeypatch.setattr(registry, "ship", lambda *_: signal.raise_signal(signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):
            registry.promote(PARAMS, root, VERSION["good"], YES)
        assert aliases(root) == {"champion": VERSION["guess"]} and "events" not in tags_of(root, "good")

    def test_a_failure_before_the_aliases_move_moves_none(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        registry.promote(PARAMS, root, VERSION["guess"], YES)

        def fail(*_: Any) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(registry, "export", fail)
        with pytest.raises(OSError, match="No space"):
            registry.promote(PARAMS, root, VERSION["good"], YES)
        assert aliases(root) == {"champion": VERSION["guess"]} and "events" not in tags_of(root, "good")

    def test_the_handler_of_before_is_back_afterwards(self) -> None:
        before = signal.getsignal(signal.SIGINT)
        with undisturbed():
            assert signal.getsignal(signal.SIGINT) != before
        assert signal.getsignal(signal.SIGINT) == before
