from pathlib import Path

import pytest
import yaml

from earmark.errors import ParamsError
from earmark.feedback.event import About
from earmark.params import Frontend, Network, flatten, from_dict, load_params, to_dict
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

    @pytest.mark.parametrize(
        ("name", "value", "allowed"),
        [
            *(("targets.confidence", value, "more than 0 and less than 1") for value in (1.5, -1, 0, 1, float("nan"))),
            ("targets.like_share", 2.0, "more than 0 and less than 1"),
            ("targets.half_life_days", -1.0, "0 or more"),
            ("targets.half_life_days", float("inf"), "0 or more"),
            ("targets.max_word_share", -0.1, "from 0 to 1"),
            ("targets.min_word_listeners", 0, "1 or more"),
            ("targets.seed", 2**32, "from 0 to 4294967295"),
            ("targets.segments", ["age", "town"], "one of age, gender, country, language"),
            ("targets.segments", "age", "a list"),
            ("feedback.bot_days", -3, "1 or more"),
            ("feedback.min_listeners", 0, "1 or more"),
            ("feedback.max_hours_per_day", -1.0, "more than 0"),
            ("categories.count", -3, "0 or more"),
            *(("categories.factors", value, "from 1 to 512") for value in (-1, 0, 100_000)),
            *((f"categories.{name}", -1, "1 or more") for name in ("iterations", "min_listeners", "redraws")),
            ("categories.regularisation", 0.0, "more than 0"),
            ("categories.max_count", 1, "2 or more"),
            ("tags.min_ceiling", 1.01, "from 0 to 1"),
            ("tags.min_tracks", -5, "1 or more"),
            ("listeners.spotify_share", 1.5, "from 0 to 1"),
            ("listeners.days", 0, "1 or more"),
            ("network.size", "huge", "one of tiny, small, large"),
            ("network.pooling", "max", "one of mean_max, attention"),
            ("network.embedding", "genres", "one of none, listeners"),
            ("training.patience", -1, "0 or more"),
            ("training.balance", 1.5, "from 0 to 1"),
            ("training.averaging", -0.1, "from 0 to 1"),
            ("training.penalty_p", 5, "from 1 to 4"),
            ("training.precision", "8", "one of auto, 32, bf16, 16"),
            ("training.nodes", 0, "1 or more"),
            ("forest.kind", "bush", "one of random_forest, gradient_boosting"),
            ("calibration.coverage", 1.0, "more than 0 and less than 1"),
            ("calibration.folds", -1, "0 or more"),
            ("augmentation.tempo_share", 0.6, "from 0 to 0.5"),
        ],
    )
    def test_an_impossible_value_is_named_with_what_is_allowed(self, changed, name, value, allowed):
        section, key = name.split(".")
        with pytest.raises(ParamsError, match=rf"{section}: {key}\b.* should be {allowed}, but is ") as told:
            load_params(changed(section, key, value))
        assert str(value[-1] if isinstance(value, list) else value) in str(told.value)

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("targets.half_life_days", 0.0),
            ("targets.max_word_share", 1.0),
            ("targets.segments", ["language", "age"]),
            ("categories.count", 0),
            ("feedback.min_listeners", 1),
            ("tags.min_ceiling", 0),
        ],
    )
    def test_a_value_at_the_end_of_what_is_allowed_is_taken(self, changed, name, value):
        section, key = name.split(".")
        assert getattr(getattr(load_params(changed(section, key, value)), section), key) == value

    def test_segments_are_what_is_known_of_listeners(self, changed):
        assert load_params(changed("targets", "segments", [*About._fields])).targets.segments == [*About._fields]

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
    @pytest.mark.parametrize("section", [Frontend, Network])
    def test_it_undoes_to_dict(self, section):
        settings = getattr(load_params(CHECKOUT / "params.yaml"), section.__name__.lower())
        assert from_dict(section, to_dict(settings), where="here") == settings
