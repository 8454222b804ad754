"""Costs: asked in turn, warm, with a clock of the test's own."""

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier

from earmark.model.comparing.cost import costs_of, made_song, parameters_of, size_mib
from earmark.model.trees.predictor import ForestPredictor
from earmark.params import Frontend

FRONTEND = Frontend(8000, 256, 128, 16, 30.0, 4000.0)


@dataclass
class Asked:
    """Models that only take time, by one clock for all."""

    seconds: float = 0.0
    order: list[str] = field(default_factory=list)
    heard: list[torch.Tensor] = field(default_factory=list)

    def clock(self) -> float:
        return self.seconds

    def model(self, name: str, *takes: float) -> Any:
        """One that takes ``takes`` seconds in turn, and the last of them from then on."""
        left = list(takes)

        def predict(waveform: torch.Tensor) -> None:
            self.order.append(name)
            self.heard.append(waveform)
            self.seconds += left.pop(0) if len(left) > 1 else left[0]

        return SimpleNamespace(predict=predict, frontend=FRONTEND)


@pytest.fixture
def asked() -> Asked:
    return Asked()


def cost(asked: Asked, tmp_path: Path, *models: Any, rounds: int = 3) -> Any:
    return costs_of(models, [tmp_path] * len(models), rounds=rounds, clock=asked.clock)


class TestLatency:
    def test_models_are_asked_in_turn_about_the_same_songs(self, asked: Asked, tmp_path: Path) -> None:
        cost(asked, tmp_path, asked.model("a", 1.0), asked.model("b", 1.0))
        assert asked.order == ["a", "b"] * (len(asked.order) // 2)
        for ours, theirs in zip(asked.heard[::2], asked.heard[1::2], strict=True):
            assert torch.equal(ours, theirs)
        assert {len(waveform) for waveform in asked.heard} == {30 * 8000}

    def test_the_first_answers_only_warm_up(self, asked: Asked, tmp_path: Path) -> None:
        (found,) = cost(asked, tmp_path, asked.model("a", 9.0, 9.0, 0.2))
        assert found.median_ms == found.p95_ms == pytest.approx(200)

    def test_median_and_95_percent_are_in_milliseconds(self, asked: Asked, tmp_path: Path) -> None:
        times = [0.001 * number for number in range(1, 21)]
        (found,) = cost(asked, tmp_path, asked.model("a", 9.0, 9.0, *times), rounds=10)
        assert found.median_ms == pytest.approx(10.5)
        assert found.p95_ms == pytest.approx(np.quantile(range(1, 21), 0.95))


class TestSong:
    def test_it_is_always_the_same_and_no_two_are_alike(self) -> None:
        assert torch.equal(made_song(1, 8000), made_song(1, 8000))
        assert not torch.equal(made_song(1, 8000), made_song(2, 8000))

    def test_it_is_a_waveform_that_can_be_heard_and_is_not_clipped(self) -> None:
        song = made_song(0, 16000)
        assert song.dtype == torch.float32 and song.shape == (30 * 16000,)
        assert 0.1 < song.abs().max() < 1.0


class TestSize:
    def test_all_files_count_but_what_only_travels_with_the_predictor(self, tmp_path: Path) -> None:
        for name in ("parts", "neighbours", "examples"):
            (tmp_path / name).mkdir()
        for name in ("champion.json", "neighbours/songs.parquet", "examples/1.opus", "parts/excerpts.onnx"):
            (tmp_path / name).write_bytes(bytes(2**19))
        (tmp_path / "parts" / "weights").write_bytes(bytes(2**20))
        (tmp_path / "predictor.json").write_bytes(bytes(2**19))
        assert size_mib(tmp_path) == 1.5


class TestParameters:
    TABLE, GENRES = np.random.default_rng(1).normal(size=(40, 3)), np.arange(40) % 2

    def predictor(self, forest: Any, tag_forest: Any = None) -> ForestPredictor:
        return ForestPredictor(("a", "b"), FRONTEND, frozenset(), "d", forest=forest, tag_forest=tag_forest)

    def test_of_a_forest_they_are_its_nodes(self) -> None:
        forest = RandomForestClassifier(3, random_state=1).fit(self.TABLE, self.GENRES)
        nodes = sum(tree.tree_.node_count for tree in forest.estimators_)
        assert parameters_of(self.predictor(forest)) == nodes
        other = RandomForestClassifier(3, random_state=2).fit(self.TABLE, self.GENRES)
        assert parameters_of(self.predictor(forest, other)) > nodes

    def test_boosted_trees_have_nodes_too(self) -> None:
        boosted = HistGradientBoostingClassifier(max_iter=4, min_samples_leaf=5).fit(self.TABLE, self.GENRES)
        assert parameters_of(self.predictor(boosted)) >= 4 * 3

    def test_of_a_network_they_are_its_weights(self) -> None:
        assert parameters_of(torch.nn.Linear(3, 2)) == 3 * 2 + 2
        assert parameters_of([torch.nn.Linear(3, 2), torch.nn.Linear(2, 1)]) == 8 + 3

    def test_of_a_blend_they_are_those_of_its_parts(self) -> None:
        forest = RandomForestClassifier(3, random_state=1).fit(self.TABLE, self.GENRES)
        part = self.predictor(forest)
        assert parameters_of({"forest": part, "network": torch.nn.Linear(3, 2)}) == parameters_of(part) + 8

    def test_what_is_in_two_places_counts_once(self) -> None:
        shared = torch.nn.Linear(3, 2)
        assert parameters_of({"one": shared, "other": [shared]}) == 8

    def test_what_has_neither_has_none(self) -> None:
        assert parameters_of(self.predictor(None)) == 0
