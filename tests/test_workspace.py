import pytest
import yaml

from earmark import workspace
from earmark.errors import EarmarkError
from scratch import CHECKOUT


class TestPaths:
    def test_dvc_yaml_makes_what_the_rooms_read(self):
        stages = yaml.safe_load((CHECKOUT / "dvc.yaml").read_text())["stages"]
        made = set()
        for stage in stages.values():
            for kind in ("outs", "metrics", "plots"):
                made |= {next(iter(out)) if isinstance(out, dict) else out for out in stage.get(kind, [])}
        named = {
            str(getattr(workspace, name))
            for name in (
                *(
                    "CATALOGUE",
                    "QUARANTINE",
                    "WARNINGS",
                    "GENRE_NAMES",
                    "CORRECTED",
                    "IMPORTANCE",
                    "FAMILY_IMPORTANCE",
                    "SELECTION",
                    "ATTRIBUTION",
                    "ATTRIBUTION_SUMMARY",
                    "LABEL_REVIEW",
                    "LABEL_REVIEW_SUMMARY",
                    "SPLITS",
                    "FEATURES",
                    "DESCRIPTORS",
                    "NETWORK",
                    "FOREST",
                    "MACHINE",
                    "VALIDATION",
                ),
                *("BLEND", "RELIABILITY", "RISK_COVERAGE", "MISTAKES", "REPORT"),
                *("DATA_DOCS", "SPLIT_SUMMARY", "LEARNING_CURVE", "METRICS", "PER_CLASS", "CONFUSION", "PREDICTIONS"),
                *("RUN", "DUPLICATES", "DUPLICATE_PAIRS", "DUPLICATES_SUMMARY", "EVIDENCE", "EVIDENCE_SUMMARY"),
                *(
                    "TARGETS",
                    "TARGETS_SUMMARY",
                    "CATEGORIES",
                    "CATEGORY_NAMES",
                    "CATEGORIES_SUMMARY",
                    "TAGS",
                    "TAG_SCORES",
                ),
            )
        }
        assert made == named


class TestFindRoot:
    def test_it_is_found_from_a_folder_below(self, tmp_path):
        (tmp_path / "params.yaml").touch()
        (tmp_path / "a" / "b").mkdir(parents=True)
        assert workspace.find_root(tmp_path / "a" / "b") == tmp_path.resolve()

    def test_outside_a_project_the_remedy_is_named(self, tmp_path):
        with pytest.raises(EarmarkError, match="--root"):
            workspace.find_root(tmp_path)
