from pathlib import Path

import pytest
import yaml

from earmark.errors import ParamsError
from earmark.params import Frontend, flatten, from_dict, load_params, to_dict
from scratch import CHECKOUT


@pytest.fixture
def changed(tmp_path):
    """params.yaml with one change: ``changed(section, key, value)``; without a value the key is taken out."""

    def change(section: str, key: str, *value) -> Path:
        content = yaml.safe_load((CHECKOUT / "params.yaml").read_text())
        if value:
            content[section][key] = value[0]
        else:
            del content[section][key]
        path = tmp_path / "params.yaml"
        path.write_text(yaml.safe_dump(content))
        return path

    return change


class TestLoadParams:
    def test_the_projects_own_file_is_read_whole(self):
        content = yaml.safe_load((CHECKOUT / "params.yaml").read_text())
        assert to_dict(load_params(CHECKOUT / "params.yaml")) == content

    def test_an_unknown_key_is_named(self, changed):
        with pytest.raises(ParamsError, match=r"training: unknown key epoch\b.*epochs"):
            load_params(changed("training", "epoch", 3))

    def test_a_missing_key_is_named(self, changed):
        with pytest.raises(ParamsError, match=r"frontend: missing key hop\b"):
            load_params(changed("frontend", "hop"))

    @pytest.mark.parametrize("value", ["many", 2.5, True, None])
    def test_a_value_of_the_wrong_type_is_named(self, changed, value):
        with pytest.raises(ParamsError, match="epochs should be int"):
            load_params(changed("training", "epochs", value))

    def test_a_whole_number_will_do_for_a_float(self, changed):
        assert load_params(changed("training", "learning_rate", 1)).training.learning_rate == 1.0

    def test_an_unknown_section_is_named(self, tmp_path):
        content = yaml.safe_load((CHECKOUT / "params.yaml").read_text()) | {"trainning": {}}
        (tmp_path / "params.yaml").write_text(yaml.safe_dump(content))
        with pytest.raises(ParamsError, match="unknown key trainning"):
            load_params(tmp_path / "params.yaml")

    def test_a_missing_file_says_where_it_was_looked_for(self, tmp_path):
        with pytest.raises(ParamsError, match=r"no .*params\.yaml"):
            load_params(tmp_path / "params.yaml")

    def test_what_is_not_yaml_is_said_to_be_so(self, tmp_path):
        (tmp_path / "params.yaml").write_text("a: [1,")
        with pytest.raises(ParamsError, match="not valid YAML"):
            load_params(tmp_path / "params.yaml")


class TestFlatten:
    def test_every_value_has_a_dotted_name(self):
        params = load_params(CHECKOUT / "params.yaml")
        flat = flatten(params)
        assert flat["training.epochs"] == params.training.epochs
        assert len(flat) == sum(len(section) for section in to_dict(params).values())


class TestFromDict:
    def test_it_undoes_to_dict(self):
        frontend = load_params(CHECKOUT / "params.yaml").frontend
        assert from_dict(Frontend, to_dict(frontend), where="here") == frontend
