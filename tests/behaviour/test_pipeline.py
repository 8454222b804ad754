"""The whole pipeline on a small project: nothing to do twice, only what depends on a change, and DVC's own reports."""

import json
import re

import pandas as pd
import pytest
import torch
import yaml
from small_project import STROKES_HZ, TAUGHT, run_dvc, tone

from earmark.adapters import dvc
from earmark.catalogue.imports.using import use
from earmark.model.predictor import load_predictor
from earmark.workspace import MODELS, SILENCE
from scratch import git

pytestmark = pytest.mark.slow

ADDED = {"data/collections/tones.dvc", "data/feedback/listening.dvc"}


def ran(said: str) -> list[str]:
    return re.findall(r"Running stage '([^']+)'", said)


class TestGraph:
    def test_the_songbook_and_its_listeners_are_no_part_of_it_while_others_are_in_use(self, fresh_project):
        assert not [name for name in dvc.stages(fresh_project) if name.startswith("data/dvc.yaml:")]

    def test_it_holds_all_stages_of_dvc_yaml_and_the_record_comes_last(self, fresh_project):
        declared = set(yaml.safe_load((fresh_project / "dvc.yaml").read_text())["stages"])
        assert set(dvc.stages(fresh_project)) == declared | ADDED
        assert dvc.stages(fresh_project)[-1] == "record"


def test_a_second_repro_finds_nothing_to_do(built_project):
    assert ran(run_dvc(built_project, "repro", "evaluate")) == []


class TestTags:
    def test_what_listeners_tell_is_taught_to_all_models_and_scored_on_songs_that_they_have_not_heard(
        self, built_project
    ):
        for folder in MODELS.values():
            assert set(json.loads((built_project / folder / "predictor.json").read_text())["tags"]) == TAUGHT
        scores = pd.read_csv(built_project / "reports" / "tags.csv").set_index(["model", "tag"])
        assert set(scores.index) == {(kind, tag) for kind in MODELS for tag in TAUGHT}
        assert scores.loc[("forest", "feeling---calmness"), "r"] > 0.4
        assert scores.loc[("forest", "feeling---calmness"), "ceiling"] > 0.8

    def test_they_are_assigned_to_a_song_that_nobody_has_heard_yet(self, built_project):
        forest = load_predictor(built_project / "models" / "forest")
        told = {}
        for style, strokes_hz in STROKES_HZ.items():
            answers = [forest.predict(torch.from_numpy(tone(index, strokes_hz)).float()) for index in range(50, 55)]
            shares = pd.DataFrame([{each.tag: each.share for each in answer.tags} for answer in answers])
            told[style] = shares.mean()
        assert told["slow"]["feeling---calmness"] > told["fast"]["feeling---calmness"] + 0.2
        assert told["slow"]["category---slow"] > told["fast"]["category---slow"] + 0.2
        assert told["fast"]["category---fast"] > told["slow"]["category---fast"] + 0.2

    @pytest.mark.long
    def test_where_nobody_has_listened_all_goes_on_without_any(self, built_project, copy_of):
        root = copy_of(built_project)
        use(root, "feedback", "snapshot", SILENCE)
        content = (root / "params.yaml").read_text()
        (root / "params.yaml").write_text(content.replace("epochs: 20", "epochs: 1"))
        learning = {"train", "train_forest", "train_machine", "blend"}
        stages = {"evidence", "targets", "categories", "tags", *learning, "evaluate"}
        assert set(ran(run_dvc(root, "repro", "evaluate"))) == stages
        for folder in MODELS.values():
            assert json.loads((root / folder / "predictor.json").read_text())["tags"] == []
        metrics = json.loads((root / "reports" / "metrics.json").read_text())
        assert (metrics["tags"], metrics["categories"]) == ({}, {})
        assert metrics["forest"]["accuracy"] > metrics["majority"]["accuracy"]


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
    assert ran(run_dvc(root, "repro", "evaluate")) == ["train", "blend", "evaluate"]

    (changed,) = json.loads(run_dvc(root, "params", "diff", "--json"))["params.yaml"].items()
    assert changed == ("training.epochs", {"old": 20, "new": 2, "diff": -18})

    shown = json.loads(run_dvc(root, "metrics", "show", "--json", "reports/metrics.json"))[""]["data"]
    now = json.loads((root / "reports" / "metrics.json").read_text())
    assert shown["reports/metrics.json"]["data"]["network"]["accuracy"] == now["network"]["accuracy"]
    diff = json.loads(run_dvc(root, "metrics", "diff", "--json", "--targets", "reports/metrics.json")).get(
        "reports/metrics.json", {}
    )
    gained = now["network"]["accuracy"] - before["network"]["accuracy"]
    assert diff.get("network.accuracy", {}).get("diff", 0.0) == pytest.approx(gained)

    run_dvc(root, "plots", "show")
    page = (root / "dvc_plots" / "index.html").read_text()
    plots = [plot for each in yaml.safe_load((root / "dvc.yaml").read_text())["plots"] for plot in each.values()]
    made = [plot["title"] for plot in plots if all((root / file).is_file() for file in plot["y"])]
    assert len(made) >= 8 and not [title for title in made if title not in page]
