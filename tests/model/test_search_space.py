"""What can be searched: names and values that params.yaml knows, and nothing else."""

import pytest

from earmark.errors import ParamsError
from earmark.model.tuning.search_space import Choice, Spread, read_space, space_of, with_values
from earmark.params import Among, Between, load_params
from scratch import CHECKOUT

PARAMS = load_params(CHECKOUT / "params.yaml")
RATE = Between("training.learning_rate", 0.0005, 0.01, log=True)


class TestSpaceOf:
    def test_the_projects_own_space_is_in_order(self):
        space = space_of(PARAMS.tuning.space, PARAMS)
        assert list(space.dimensions) == [entry.name for entry in PARAMS.tuning.space]
        assert space.holds(space.present(PARAMS))

    def test_types_are_those_of_params_yaml(self):
        space = space_of(
            [RATE, Between("augmentation.time_mask", 0, 80, log=False), Among("training.compile", [True, False])],
            PARAMS,
        )
        assert space.dimensions == {
            "training.learning_rate": Spread(0.0005, 0.01, log=True, whole=False),
            "augmentation.time_mask": Spread(0, 80, log=False, whole=True),
            "training.compile": Choice((True, False)),
        }

    @pytest.mark.parametrize(
        ("entry", "said"),
        [
            (Between("training.learning_rat", 0.1, 0.2, log=False), "learning_rat is no parameter.*learning_rate"),
            (Between("forest.trees", 10, 20, log=False), "forest.trees is no parameter.*frontend, network"),
            (Between("dropout", 0.1, 0.2, log=False), "dropout is no parameter.*frontend, network"),
            (Between("training.seed", 1, 9, log=False), "training.seed cannot be searched: a seed is luck"),
            (Between("training.devices", 1, 9, log=False), "where to train"),
            (Between("network.dropout", 0.0, 1.5, log=False), "network.dropout: 1.5 is not possible.*from 0 to 1"),
            (Between("training.epochs", 0, 9, log=False), "training.epochs: 0 is not possible.*1 or more"),
            (Between("training.epochs", 1.5, 9, log=False), "training.epochs is a whole number"),
            (Between("network.dropout", 0.5, 0.5, log=False), "low below its high"),
            (Between("network.dropout", 0.0, 0.5, log=True), "above 0"),
            (Between("network.pooling", 0.0, 0.5, log=False), "no number.*choices"),
            (Between("training.compile", 0, 1, log=False), "no number.*choices"),
            (Among("network.pooling", ["mean_max", "max"]), "'max' is not possible.*one of mean_max, attention"),
            (Among("network.pooling", ["attention"]), "two or more choices"),
            (Among("training.batch_size", [16, 16, 32]), "all different"),
            (Among("training.batch_size", [16, 32.5]), "32.5 is not possible"),
        ],
    )
    def test_what_cannot_be_searched_is_named_with_the_reason(self, entry, said):
        with pytest.raises(ParamsError, match=said):
            space_of([entry], PARAMS)

    def test_a_name_that_stands_twice_is_refused(self):
        with pytest.raises(ParamsError, match="learning_rate stands there twice"):
            space_of([RATE, RATE], PARAMS)

    def test_nothing_to_search_is_refused(self):
        with pytest.raises(ParamsError, match=r"empty.*--space"):
            space_of([], PARAMS)


class TestSpread:
    def test_values_are_written_with_three_digits_and_stay_within_the_ends(self):
        spread = Spread(0.00012345, 0.0099951, log=True, whole=False)
        assert spread.tidy(0.00456789) == 0.00457
        assert spread.tidy(0.0001234501) == 0.00012345
        assert spread.tidy(0.00999509) == 0.0099951

    def test_whole_numbers_stay_whole(self):
        value = Spread(0, 80, log=False, whole=True).tidy(37)
        assert value == 37 and type(value) is int


class TestReadSpace:
    def test_a_file_says_the_same_as_params_yaml_would(self, tmp_path):
        (tmp_path / "space.yaml").write_text(
            "- {name: training.learning_rate, low: 0.0005, high: 0.01, log: true}\n"
            "- {name: network.pooling, choices: [mean_max, attention]}\n"
        )
        assert read_space(tmp_path / "space.yaml") == [RATE, Among("network.pooling", ["mean_max", "attention"])]

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("training: {}", "should be a list"),
            ("- {name: a.b, low: 1, high: 2}", r"\[0\]: missing key log"),
            ("- {name: a.b, choices: [1], log: true}", "unknown key log"),
            ("- a.b", "should be a mapping"),
            ("[", "not valid YAML"),
        ],
    )
    def test_what_is_no_space_is_said_to_be_so(self, tmp_path, text, said):
        (tmp_path / "space.yaml").write_text(text)
        with pytest.raises(ParamsError, match=said):
            read_space(tmp_path / "space.yaml")

    def test_a_missing_file_is_named(self, tmp_path):
        with pytest.raises(ParamsError, match=r"no .*space\.yaml"):
            read_space(tmp_path / "space.yaml")


class TestWithValues:
    def test_only_what_is_named_changes(self):
        changed = with_values(PARAMS, {"training.learning_rate": 0.5, "network.pooling": "attention"})
        assert (changed.training.learning_rate, changed.network.pooling) == (0.5, "attention")
        assert changed.training.epochs == PARAMS.training.epochs and changed.forest == PARAMS.forest

    def test_an_impossible_value_is_refused(self):
        with pytest.raises(ParamsError, match="dropout should be from 0 to 1"):
            with_values(PARAMS, {"network.dropout": 2.0})
