"""What Prefect's adapter writes for people to read; the flow itself is tested on a server, in tests/flows."""

import json
import logging
from pathlib import Path

import pytest

from earmark.adapters import prefect as adapter
from earmark.adapters.dvc import StageOutcome
from earmark.adapters.prefect import markdown, stage_task
from earmark.model.comparing.promotion import Verdict

SCORES = {
    "network": {"accuracy": 0.7, "accuracy_low": 0.65, "accuracy_high": 0.755, "f1_macro": 0.6},
    "majority": {"accuracy": 0.125, "accuracy_low": 0.1, "accuracy_high": 0.15, "f1_macro": 0.03},
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "reports").mkdir()
    scores = {kind: {**own, "f1_macro_low": 0.5, "f1_macro_high": 0.9} for kind, own in SCORES.items()}
    (tmp_path / "reports" / "metrics.json").write_text(json.dumps(scores))
    runs = {"experiment_id": "7", "network": {"run_id": "0123456789abcdef"}}
    (tmp_path / "reports" / "run.json").write_text(json.dumps(runs))
    return tmp_path


def test_scores_stand_in_a_table_with_their_intervals(root):
    assert "| network | 0.700 [0.650, 0.755] | 0.600 [0.500, 0.900] |" in markdown(root, {}, None)
    assert "| majority | 0.125 [0.100, 0.150] | 0.030 [0.500, 0.900] |" in markdown(root, {}, None)


def test_with_an_mlflow_server_the_run_is_a_link_to_it(root, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow.example:5000")
    text = markdown(root, {}, None)
    assert "[run 01234567](http://mlflow.example:5000/#/experiments/7/runs/0123456789abcdef)" in text


def test_without_one_the_run_is_named(root, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert "run `0123456789abcdef`" in markdown(root, {}, None)


@pytest.mark.parametrize(("promote", "words"), [(True, "**Promoted.**"), (False, "**Kept the champion.**")])
def test_the_verdict_comes_first_with_its_reason(root, promote, words):
    verdict = Verdict(promote=promote, reason="Version 2 is what it is.", challenger="2")
    assert markdown(root, {}, verdict).splitlines()[2] == f"{words} Version 2 is what it is."


def test_every_stage_has_a_row_in_the_order_of_running(tmp_path):
    rows = markdown(tmp_path, {"split": "Skipped", "train": "Cached"}, None).splitlines()
    assert rows[-2:] == ["| split | Skipped |", "| train | Cached |"]


def test_without_any_result_there_is_still_the_table_of_stages(tmp_path):
    assert "accuracy" not in markdown(tmp_path, {"validate": "Completed"}, None)


@pytest.mark.parametrize(("run", "told"), [("0190-run", {"PREFECT__FLOW_RUN_ID": "0190-run"}), (None, {})])
def test_a_stage_is_told_in_which_flow_run_it_runs(monkeypatch, tmp_path, run, told):
    found = {}

    def run_stage(root, name, **how):
        found.update(how["env"])
        return StageOutcome.RAN

    if run:
        monkeypatch.setenv("PREFECT__RUNTIME__FLOW_RUN__ID", run)  # as Prefect lets tests say it
    monkeypatch.setattr(adapter.dvc, "run_stage", run_stage)
    monkeypatch.setattr(adapter, "get_run_logger", lambda: logging.getLogger("a stage"))
    stage_task.fn(tmp_path, "record", 9.0)
    assert found == told
