from pathlib import Path

import pytest
import yaml

from earmark import workspace
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


class TestFindRoot:
    def test_it_is_found_from_a_folder_below(self, tmp_path):
        (tmp_path / "params.yaml").touch()
        (tmp_path / "a" / "b").mkdir(parents=True)
        assert workspace.find_root(tmp_path / "a" / "b") == tmp_path.resolve()

    def test_outside_a_project_the_remedy_is_named(self, tmp_path):
        with pytest.raises(EarmarkError, match="--root"):
            workspace.find_root(tmp_path)
