"""Single values of params.yaml are changed, and nothing else in it."""

import pytest

from earmark.catalogue.imports.using import use_values
from earmark.errors import ParamsError
from earmark.params import load_params
from scratch import CHECKOUT


@pytest.fixture
def root(tmp_path):
    (tmp_path / "params.yaml").write_text((CHECKOUT / "params.yaml").read_text())
    return tmp_path


class TestUseValues:
    def test_values_of_every_type_are_read_back_as_they_were_given(self, root):
        use_values(
            root,
            {
                "training.learning_rate": 1e-05,
                "training.epochs": 7,
                "training.compile": True,
                "network.dropout": 0.25,
                "network.pooling": "attention",
                "training.precision": "16",
            },
        )
        found = load_params(root / "params.yaml")
        assert found.training.learning_rate == 1e-05
        assert (found.training.epochs, found.training.compile, found.training.precision) == (7, True, "16")
        assert (found.network.dropout, found.network.pooling) == (0.25, "attention")

    def test_comments_and_all_other_lines_stay_as_they_are(self, root):
        before = (root / "params.yaml").read_text().splitlines()
        use_values(root, {"augmentation.gain_db": 4.5, "forest.learning_rate": 0.1})
        after = (root / "params.yaml").read_text().splitlines()
        changed = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
        assert [new.partition("#")[0].strip() for _, new in changed] == ["gain_db: 4.5", "learning_rate: 0.1"]
        assert [old.partition("#")[2] for old, _ in changed] == [new.partition("#")[2] for _, new in changed]

    def test_a_key_that_two_sections_have_changes_in_the_one_that_is_named(self, root):
        before = load_params(root / "params.yaml")
        use_values(root, {"forest.learning_rate": 0.5})
        after = load_params(root / "params.yaml")
        assert after.forest.learning_rate == 0.5 and after.training == before.training

    def test_where_one_has_no_line_none_is_changed(self, root):
        before = (root / "params.yaml").read_text()
        with pytest.raises(ParamsError, match="no line `lerning_rate:` under `training:`"):
            use_values(root, {"training.epochs": 3, "training.lerning_rate": 0.1})
        assert (root / "params.yaml").read_text() == before
