"""The whole pipeline on a small project: nothing to do twice, only what depends on a change, and DVC's own reports."""

import json
import re

import pytest
import yaml
from small_project import run_dvc

from earmark.adapters import dvc
from scratch import git

pytestmark = pytest.mark.slow

COLLECTION = "data/collections/tones.dvc"


def ran(said: str) -> list[str]:
    return re.findall(r"Running stage '([^']+)'", said)


class TestGraph:
    def test_the_songbook_is_no_part_of_it_while_another_collection_is_in_use(self, fresh_project):
        assert dvc.stages(fresh_project)[0] == COLLECTION
        assert "data/dvc.yaml:songbook" not in dvc.stages(fresh_project)

    def test_it_holds_all_stages_of_dvc_yaml_and_the_record_comes_last(self, fresh_project):
        declared = set(yaml.safe_load((fresh_project / "dvc.yaml").read_text())["stages"])
        assert set(dvc.stages(fresh_project)) == declared | {COLLECTION}
        assert dvc.stages(fresh_project)[-1] == "record"


def test_a_second_repro_finds_nothing_to_do(built_project):
    assert ran(run_dvc(built_project, "repro", "evaluate")) == []


def test_a_changed_training_parameter_reruns_only_what_depends_on_it_and_dvc_tells_the_difference(
    built_project, copy_of
):
    root = copy_of(built_project)
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "What the first run made")
    before = json.loads((root / "reports" / "metrics.json").read_text())
    content = (root / "params.yaml").read_text()
    assert "epochs: 20" in content
    (root / "params.yaml").write_text(content.replace("epochs: 20", "epochs: 2"))
    assert ran(run_dvc(root, "repro", "evaluate")) == ["train", "evaluate"]

    (changed,) = json.loads(run_dvc(root, "params", "diff", "--json"))["params.yaml"].items()
    assert changed == ("training.epochs", {"old": 20, "new": 2, "diff": -18})

    shown = json.loads(run_dvc(root, "metrics", "show", "--json"))[""]["data"]
    now = json.loads((root / "reports" / "metrics.json").read_text())
    assert shown["reports/metrics.json"]["data"]["network"]["accuracy"] == now["network"]["accuracy"]
    diff = json.loads(run_dvc(root, "metrics", "diff", "--json")).get("reports/metrics.json", {})
    gained = now["network"]["accuracy"] - before["network"]["accuracy"]
    assert diff.get("network.accuracy", {}).get("diff", 0.0) == pytest.approx(gained)

    run_dvc(root, "plots", "show")
    page = (root / "dvc_plots" / "index.html").read_text()
    for title in ("Loss of the network", "Confusion of the network", "F1 by genre"):
        assert title in page
