"""Experiments: every number of params.yaml can be tried by `dvc exp run -S`, and `earmark tune` survives a kill."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from mlflow import MlflowClient
from small_project import EMBEDDED, run_dvc

from earmark.adapters import processes
from earmark.params import load_params
from earmark.workspace import MODELS
from scratch import CHECKOUT, git

# What no stage's result depends on: the service, and decisions that are made outside of the graph.
NO_RESULT = {"service", "rollout", "gates", "tuning", "feedback.retrain_share"}

SPACE = """
- {name: training.learning_rate, low: 0.001, high: 0.03, log: true}
- {name: network.dropout, low: 0.0, high: 0.6, log: false}
"""


def leaves() -> dict[str, Any]:
    """Every parameter by its dotted name."""
    content = yaml.safe_load((CHECKOUT / "params.yaml").read_text())
    return {f"{section}.{key}": value for section, values in content.items() for key, value in values.items()}


def named_by_stages() -> set[str]:
    """Sections and keys that some stage is said to depend on."""
    files = (CHECKOUT / "dvc.yaml", CHECKOUT / "data" / "dvc.yaml")
    stages = [stage for file in files for stage in yaml.safe_load(file.read_text())["stages"].values()]
    return {name for stage in stages for name in stage.get("params", [])}


class TestParameters:
    @pytest.mark.parametrize("name", leaves())
    def test_each_reruns_a_stage_or_is_known_to_change_no_result(self, name):
        either = {name, name.partition(".")[0]}
        assert bool(either & named_by_stages()) != bool(either & NO_RESULT)

    def test_no_stage_names_one_that_there_is_not(self):
        known = set(leaves()) | {name.partition(".")[0] for name in leaves()}
        assert named_by_stages() <= known

    def test_each_can_be_set_as_dvc_exp_run_sets_it(self, tmp_path):
        from dvc.utils.hydra import apply_overrides

        shutil.copy(CHECKOUT / "params.yaml", tmp_path)
        plain = {name: value for name, value in leaves().items() if not isinstance(value, list)}
        others = {name: _another(value) for name, value in plain.items()}
        apply_overrides(tmp_path / "params.yaml", [f"{name}={json.dumps(value)}" for name, value in others.items()])
        found = yaml.safe_load((tmp_path / "params.yaml").read_text())
        for name, value in others.items():
            section, key = name.split(".")
            assert found[section][key] == value and type(found[section][key]) is type(value)


def _another(value: Any) -> Any:
    """A value of the same type that differs; whether it makes sense does not matter here."""
    if isinstance(value, bool):
        return not value
    return f"{value}x" if isinstance(value, str) else value + type(value)(1)


def documented(settings: str) -> list[str]:
    """The lines of docs/models.md about queued experiments, in order, with other ``settings``."""
    text = (CHECKOUT / "docs" / "models.md").read_text()
    (block,) = [block for block in text.split("```")[1::2] if "--queue" in block]
    example = "-S training.learning_rate=0.001,0.003"
    assert block.count(example) == 1
    return block.replace(example, settings).strip().splitlines()


@pytest.mark.long
@pytest.mark.timeout(1200)  # two experiments, one of them through all stages
def test_queued_experiments_run_as_documented_and_their_results_show_beside_those_of_the_workspace(
    built_project, copy_of
):
    root = copy_of(built_project)
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "What the first run made")
    before, heard = (root / "params.yaml").read_text(), files_below(root / ".earmark" / "features")
    (root / ".venv").symlink_to(sys.prefix)
    activate, short, *rest = documented("-S training.epochs=1 -S frontend.f_min_hz=40.0 --name short evaluate")
    few_trees = documented("-S forest.trees=3 --name few-trees record")[1]
    # In a shell as a new terminal has it: nothing of this environment is on PATH but what the first line puts there.
    said: list[str] = []
    script = "\n".join(["set -e", activate, short, few_trees, *rest])
    plain = {**EMBEDDED, "PATH": os.defpath, "VIRTUAL_ENV": ""}
    ended = processes.run(["/bin/sh", "-c", script], cwd=root, env=plain, on_line=said.append)
    assert ended.exit_code == 0, "\n".join(said)[-4000:]

    (baseline,) = [each for each in json.loads(run_dvc(root, "exp", "show", "--json")) if each["rev"] != "workspace"]
    shown = {each["name"]: each["revs"][0]["data"] for each in baseline["experiments"]}
    assert set(shown) == {"short", "few-trees"}
    params = {name: each["params"]["params.yaml"]["data"] for name, each in shown.items()}
    assert (params["short"]["training"]["epochs"], params["few-trees"]["forest"]["trees"]) == (1, 3)
    metrics = {name: each["metrics"]["reports/metrics.json"]["data"] for name, each in shown.items()}
    own = json.loads((root / "reports" / "metrics.json").read_text())
    assert metrics["short"]["forest"]["log_loss"] == pytest.approx(own["forest"]["log_loss"])
    assert metrics["short"]["network"]["log_loss"] != pytest.approx(own["network"]["log_loss"])
    assert metrics["few-trees"]["network"]["log_loss"] == pytest.approx(own["network"]["log_loss"])
    assert metrics["few-trees"]["forest"]["log_loss"] != pytest.approx(own["forest"]["log_loss"])
    assert (root / "params.yaml").read_text() == before

    # The copies that they ran in are gone; what they recorded and heard is not.
    assert not list((root / ".dvc" / "tmp" / "exps").glob("tmp*"))
    client = MlflowClient(tracking_uri=f"sqlite:///{root}/mlflow.db")
    runs = client.search_runs([client.get_experiment_by_name("earmark").experiment_id])
    assert {run.data.tags["kind"] for run in runs} == set(MODELS)
    for run in runs:
        assert run.info.status == "FINISHED" and run.data.params["forest.trees"] == "3"
        assert run.info.artifact_uri.startswith((root / "mlruns").as_uri())
        assert client.list_artifacts(run.info.run_id)
    assert files_below(root / ".earmark" / "features") > heard  # those of another front-end came to them


def files_below(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


@pytest.mark.long
def test_a_search_that_is_killed_goes_on_and_ends_as_one_that_ran_through(built_project, copy_of, tmp_path):
    root = copy_of(built_project)
    content = yaml.safe_load((root / "params.yaml").read_text())
    content["training"]["epochs"] = 4
    content["tuning"] |= {"folds": 2, "repeats": 1}
    (root / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    (tmp_path / "space.yaml").write_text(SPACE)
    whole = Path(shutil.copytree(root, tmp_path / "whole", symlinks=True))

    killed = start(root, tmp_path / "space.yaml", stderr=subprocess.PIPE)
    for line in killed.stderr:
        if line.startswith("trial 2/"):
            break
    os.killpg(killed.pid, signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    killed.stderr.close()

    said = {}
    for project in (root, whole):
        process = start(project, tmp_path / "space.yaml", stderr=subprocess.PIPE)
        told, progress = process.communicate()
        assert process.returncode == 0, progress
        said[project] = told
        assert ("carried on after 2 trials" in progress) == (project == root)
    assert said[root] == said[whole]
    assert "4 trials complete, 0 pruned." in said[root]
    assert load_params(root / "params.yaml") == load_params(whole / "params.yaml")


def start(root: Path, space: Path, **streams: Any) -> subprocess.Popen[str]:
    command = [*processes.program("earmark"), "--root", str(root), "tune", "--trials", "4", "--space", str(space)]
    env = processes.environment(EMBEDDED)
    return subprocess.Popen(
        command, cwd=root, env=env, start_new_session=True, text=True, stdout=subprocess.PIPE, **streams
    )
