from pathlib import Path

import pytest
import yaml

from earmark import workspace
from earmark.adapters import tracking
from earmark.errors import EarmarkError
from scratch import CHECKOUT

# By imports, by people, by promotion, and by data/dvc.yaml.
MADE_ELSEWHERE = {
    *("data/taxonomy.yaml", "data/corrections.csv", "data/collections", "data/feedback", "data/listeners"),
    *("models/champion", "models/pretrained"),
}


class TestPaths:
    def test_dvc_yaml_makes_what_the_rooms_read(self):
        stages = yaml.safe_load((CHECKOUT / "dvc.yaml").read_text())["stages"]
        made = set()
        for stage in stages.values():
            for kind in ("outs", "metrics", "plots"):
                made |= {next(iter(out)) if isinstance(out, dict) else out for out in stage.get(kind, [])}
        places = {str(value) for value in vars(workspace).values() if isinstance(value, Path)}
        named = {place for place in places if place.startswith(("data/", "models/", "reports/"))} - MADE_ELSEWHERE
        assert made == named


class TestRecord:
    def test_a_version_is_recorded_after_all_that_travels_with_it_was_made(self):
        record = yaml.safe_load((CHECKOUT / "dvc.yaml").read_text())["stages"]["record"]
        travels = {*workspace.MODELS.values(), workspace.PORTABLE, workspace.NEIGHBOURS, workspace.EXAMPLES}
        assert {str(path) for path in travels} <= set(record["deps"])


class TestFindRoot:
    def test_it_is_found_from_a_folder_below(self, tmp_path):
        (tmp_path / "params.yaml").touch()
        (tmp_path / "a" / "b").mkdir(parents=True)
        assert workspace.find_root(tmp_path / "a" / "b") == tmp_path.resolve()

    def test_outside_a_project_the_remedy_is_named(self, tmp_path):
        with pytest.raises(EarmarkError, match="--root"):
            workspace.find_root(tmp_path)


class TestOwnerOf:
    @pytest.fixture
    def copy(self, tmp_path):
        """As DVC makes it for a queued experiment."""
        folder = tmp_path / "project" / ".dvc" / "tmp" / "exps" / "tmpab12"
        (folder / ".dvc" / "tmp").mkdir(parents=True)
        for root in (tmp_path / "project", folder):
            (root / "params.yaml").touch()
        return folder

    def test_a_project_owns_itself_even_within_another_one(self, tmp_path, copy):
        (tmp_path / "project" / "inner").mkdir()
        for root in (tmp_path / "project", tmp_path / "project" / "inner", tmp_path / "elsewhere"):
            assert workspace.owner_of(root) == root.resolve()

    def test_the_copy_of_an_experiment_belongs_to_the_project(self, tmp_path, copy):
        assert workspace.owner_of(copy) == (tmp_path / "project").resolve()

    def test_its_features_are_those_of_the_project(self, tmp_path, copy):
        for _ in range(2):
            workspace.share_features(copy)
        (copy / workspace.FEATURE_CACHE / "heard").touch()
        assert (tmp_path / "project" / workspace.FEATURE_CACHE / "heard").is_file()

    def test_a_project_shares_with_itself_without_ado(self, tmp_path, copy):
        workspace.share_features(tmp_path / "project")
        assert not (tmp_path / "project" / ".earmark").exists()

    def test_what_an_experiment_records_lands_in_the_projects_database(self, tmp_path, copy, monkeypatch):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
        project = (tmp_path / "project").resolve()
        assert tracking.tracking_uri(copy) == f"sqlite:///{project}/mlflow.db"
        assert tracking.artefacts_of(copy) == project / "mlruns"
        monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://elsewhere")
        assert tracking.tracking_uri(copy) == "http://elsewhere"
