"""`earmark tune`, with networks that are made up: what MLflow shows, what is held against what, and what is written."""

import dataclasses
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from mlflow import MlflowClient

from earmark.adapters import tuning
from earmark.catalogue.imports.using import use_values
from earmark.cli import main
from earmark.errors import ModelError
from earmark.model.held_out import Part
from earmark.model.material import Material
from earmark.model.network.training import Epoch
from earmark.model.tuning.tuning import Held
from earmark.params import load_params
from earmark.workspace import FEATURES, SPLITS
from scratch import CHECKOUT

TRACKS = pd.DataFrame({"track_id": [f"{i:02d}" for i in range(20)], "group": [f"artist {i // 2}" for i in range(20)]})
GOOD = 0.002  # the learning rate at which the made-up networks lose least


class Made:
    """Losses that follow from the learning rate, and hardly from luck."""

    def __init__(self) -> None:
        self.seeds: list[int] = []
        self.kill_at: int | None = None
        self.slope = 1.0

    def __call__(self, held: Held, params: Any, *, on_epoch: Any = None) -> Any:
        if len(self.seeds) == self.kill_at:
            self.kill_at = None
            raise KeyboardInterrupt
        self.seeds.append(params.training.seed)
        off = self.slope * abs(np.log10(params.training.learning_rate / GOOD))
        for epoch in range(1, 4):
            if on_epoch is not None:
                on_epoch(0, Epoch(epoch, 1.0, 0.5, 1.0 + off, 0.5, 0.001))
        luck = np.random.default_rng(params.training.seed).normal(0, 0.01, len(TRACKS))
        return 0.5 + off + luck


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Made:
    made = Made()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    monkeypatch.setattr(tuning, "losses", made)
    monkeypatch.setattr(tuning, "load_material", lambda root, frontend, **_: None)
    held = Held(Material(TRACKS, CHECKOUT, None), (Part(TRACKS[:0], TRACKS),), 0.5)  # type: ignore[arg-type]
    monkeypatch.setattr(tuning, "held_for_tuning", lambda material, params: held)
    monkeypatch.setattr(tuning, "key_of", lambda held, space, params: "the search")
    return made


@pytest.fixture
def root(tmp_path: Path) -> Path:
    shutil.copy(CHECKOUT / "params.yaml", tmp_path)
    use_values(tmp_path, {"training.learning_rate": 0.009})
    for made_before in (FEATURES, SPLITS):
        (tmp_path / made_before).parent.mkdir(exist_ok=True)
        (tmp_path / made_before).touch()
    (tmp_path / "space.yaml").write_text("- {name: training.learning_rate, low: 0.0005, high: 0.01, log: true}\n")
    return tmp_path


def tune(root: Path, *arguments: str) -> Any:
    return CliRunner().invoke(
        main, ["--root", str(root), "tune", "--space", str(root / "space.yaml"), *arguments], catch_exceptions=False
    )


def runs(root: Path, database: str = "mlflow.db") -> tuple[Any, list[Any]]:
    """The search's run, and those of the trials, the oldest first."""
    client = MlflowClient(tracking_uri=f"sqlite:///{root}/{database}")
    experiment = client.get_experiment_by_name("earmark-tuning").experiment_id
    found = client.search_runs([experiment], order_by=["attributes.start_time ASC"])
    (parent,) = [run for run in found if run.data.tags["kind"] == "search"]
    children = [run for run in found if run.data.tags["kind"] == "trial"]
    assert all(run.data.tags["mlflow.parentRunId"] == parent.info.run_id for run in children)
    return parent, children


class TestTune:
    def test_better_values_are_found_proved_and_written_with_every_other_line_as_it_was(self, root, made):
        before = (root / "params.yaml").read_text().splitlines()
        result = tune(root, "--trials", "12", "--apply")
        assert result.exit_code == 0 and "; better." in result.stdout
        after = (root / "params.yaml").read_text().splitlines()
        (line,) = [i for i, (old, new) in enumerate(zip(before, after, strict=True)) if old != new]
        found = load_params(root / "params.yaml").training.learning_rate
        assert abs(np.log10(found / GOOD)) < abs(np.log10(0.009 / GOOD)) / 2
        assert after[line].strip() == f"learning_rate: {found}"

    def test_best_and_present_are_compared_by_fresh_seeds(self, root, made):
        result = tune(root, "--trials", "6")
        params = load_params(root / "params.yaml")
        conclusion = made.seeds[-2 * params.tuning.repeats :]
        assert params.training.seed not in conclusion
        assert conclusion[::2] == conclusion[1::2] and len(set(conclusion)) == params.tuning.repeats
        assert set(made.seeds[: -2 * params.tuning.repeats]) == {params.training.seed}
        assert f"{params.tuning.repeats} fresh seeds" in result.stdout

    def test_what_is_not_shown_to_be_better_is_a_result_and_nothing_is_written(self, root, made):
        before = (root / "params.yaml").read_text()
        made.slope = 0.0
        result = tune(root, "--trials", "5", "--apply")
        assert result.exit_code == 0
        assert "not shown to be better" in result.stdout or "None of them is better" in result.stdout
        assert "left as it is" in result.stdout
        assert (root / "params.yaml").read_text() == before

    def test_without_apply_nothing_is_written(self, root, made):
        before = (root / "params.yaml").read_text()
        assert "; better." in tune(root, "--trials", "8").stdout
        assert (root / "params.yaml").read_text() == before

    def test_every_trial_is_a_run_below_the_searchs_own_with_its_curve_and_how_it_ended(self, root, made):
        tune(root, "--trials", "8")
        parent, children = runs(root)
        assert parent.info.status == "FINISHED" and parent.data.tags["better"] == "true"
        assert parent.data.metrics["trials_complete"] + parent.data.metrics["trials_pruned"] == len(children) == 8
        states = {run.data.tags["state"] for run in children}
        assert states == {"complete", "pruned"}
        client = MlflowClient(tracking_uri=f"sqlite:///{root}/mlflow.db")
        for run in children:
            rate = float(run.data.params["training.learning_rate"])
            curve = client.get_metric_history(run.info.run_id, "fold_1/validation_loss")
            assert curve[0].step == 1 and curve[0].value == pytest.approx(1 + abs(np.log10(rate / GOOD)))
            assert ("held_out_loss" in run.data.metrics) == (run.data.tags["state"] == "complete")
        assert float(children[0].data.params["training.learning_rate"]) == 0.009  # the present one comes first

    def test_after_ctrl_c_the_same_command_goes_on_where_it_was(self, root, made):
        made.kill_at = 3
        result = tune(root, "--trials", "6")
        assert result.exit_code == 130 and "goes on from there" in result.output
        parent, children = runs(root)
        assert parent.info.status == "KILLED" and len(children) == 4
        result = tune(root, "--trials", "6")
        assert result.exit_code == 0 and "carried on after 3 trials" in result.output
        parent, children = runs(root)
        assert parent.info.status == "FINISHED" and len(children) == 7
        stopped, again = children[3], children[4]
        assert (stopped.info.status, stopped.data.tags["state"]) == ("KILLED", "killed")
        assert again.data.params == stopped.data.params
        assert [run.data.tags["state"] for run in children].count("killed") == 1

    def test_stopped_while_best_and_present_are_compared_it_does_not_begin_that_anew(self, root, made):
        made.kill_at = 6 + 3
        assert tune(root, "--trials", "6").exit_code == 130
        first = list(made.seeds)
        assert tune(root, "--trials", "6").exit_code == 0
        repeats = load_params(root / "params.yaml").tuning.repeats
        assert len(made.seeds) == 6 + 2 * repeats and made.seeds[: len(first)] == first

    def test_when_time_is_over_no_trial_is_begun(self, root, made):
        result = tune(root, "--trials", "50", "--timeout-minutes", "0.000001")
        assert result.exit_code == 5 and "--timeout-minutes" in result.output

    def test_a_second_search_beside_the_first_is_refused(self, root, made):
        with tuning.one_at_a_time(root / ".earmark" / "tuning.db"):
            result = tune(root)
        assert result.exit_code == 7 and "Another `earmark tune`" in result.output

    def test_a_wrong_name_is_named_before_anything_runs(self, root, made):
        (root / "space.yaml").write_text("- {name: training.lerning_rate, low: 0.1, high: 0.2, log: false}\n")
        result = tune(root)
        assert result.exit_code == 2 and "lerning_rate is no parameter" in result.output
        assert not (root / ".earmark" / "tuning.db").exists() and not made.seeds

    def test_weights_that_know_held_out_songs_are_refused_before_anything_runs(self, root, made, monkeypatch):
        def refuse(*_: Any) -> list[str]:
            raise ModelError("they know them")

        monkeypatch.setattr(tuning, "check_starts", refuse)
        result = tune(root)
        assert result.exit_code == ModelError.exit_code and "they know them" in result.output
        assert not (root / ".earmark" / "tuning.db").exists() and not made.seeds

    def test_weights_of_which_nothing_is_known_are_said_to_be_such(self, root, made, monkeypatch):
        monkeypatch.setattr(tuning, "check_starts", lambda *_: ["weights/x.pt"])
        result = tune(root, "--trials", "1")
        assert result.exit_code == 0 and "weights/x.pt: Nothing is known of what the weights" in result.stderr

    def test_before_the_stages_have_run_the_command_for_them_is_named(self, root, made):
        (root / FEATURES).unlink()
        result = tune(root)
        assert result.exit_code == 4 and "dvc repro features tags" in result.output

    def test_a_search_of_whose_runs_mlflow_knows_nothing_goes_on_with_new_ones(self, root, made, monkeypatch):
        made.kill_at = 2
        tune(root, "--trials", "4")
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{root}/other.db")
        assert tune(root, "--trials", "4").exit_code == 0
        parent, children = runs(root, "other.db")
        assert parent.info.status == "FINISHED" and len(children) == 2

    def test_the_present_values_tried_first_and_still_the_best_are_not_compared_with_themselves(self, root, made):
        use_values(root, {"training.learning_rate": 0.002000001})
        result = tune(root, "--trials", "1")
        assert "None of them is better" in result.stdout and len(made.seeds) == 1

    def test_without_a_complete_trial_there_is_nothing_to_conclude(self, root, made, monkeypatch):
        monkeypatch.setattr(tuning, "losses", lambda *_, **__: np.full(len(TRACKS), np.nan))
        params = load_params(root / "params.yaml")
        with pytest.raises(ModelError, match="No trial ran through"):
            tuning.tune(params, root, params.tuning.space, trials=2)

    def test_the_projects_own_space_is_searched_where_no_other_is_given(self, root, made):
        result = CliRunner().invoke(main, ["--root", str(root), "tune", "--trials", "1"], catch_exceptions=False)
        assert result.exit_code == 0
        _, (child,) = runs(root)
        params = load_params(root / "params.yaml")
        assert set(child.data.params) == {entry.name for entry in params.tuning.space}


def test_the_lock_falls_with_its_holder(root):
    database = root / ".earmark" / "tuning.db"
    child = os.fork()
    if not child:
        tuning.one_at_a_time(database).__enter__()
        os._exit(0)
    os.waitpid(child, 0)
    with tuning.one_at_a_time(database):
        assert dataclasses.is_dataclass(tuning.Tuned)
