"""Engines: whatever computes them, the answers are those of the networks; and what answers otherwise is refused."""

import copy
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch
from predictor_tools import TAGS, made_predictor

from earmark.errors import ModelError
from earmark.model.answers import ExcerptAnswers
from earmark.model.network import engines
from earmark.model.network.engines import (
    TOLERANCE,
    Engine,
    Measured,
    by_onnx,
    difference,
    fastest,
    made_excerpts,
)
from earmark.model.network.predictor import NetworkPredictor, eager
from earmark.model.portable.excerpts import export_excerpts
from model_tools import made_network, noise

SHAPES = ("network", "ensemble", "listeners", "tagless")


def shaped(name: str) -> NetworkPredictor:
    made = made_predictor("network", tags=()) if name == "tagless" else made_predictor(name)
    return replace(made, how=replace(made.how, excerpts=6))


@pytest.fixture(scope="module")
def graphs(tmp_path_factory):
    """The networks as ONNX by the names of `SHAPES`, each made when it is first asked for."""
    known = {}

    def of(name):
        if name not in known:
            path = tmp_path_factory.mktemp(name) / "excerpts.onnx"
            export_excerpts(shaped(name), path)
            known[name] = path.read_bytes()
        return known[name]

    return of


@pytest.fixture(autouse=True)
def threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def random_excerpts(network: NetworkPredictor, count: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.random((count, 16, network.excerpt_frames)).astype(np.float32) * rng.random((count, 1, 1)) * 4


def computes(network: NetworkPredictor, graph: bytes) -> dict[str, Engine]:
    made = {name: make() for name, make in engines._ways(replace(network, graph=graph), 1, compile=False)}
    return {name: Engine(name, 4, compute) for name, compute in made.items()}


class TestEveryEngine:
    @pytest.mark.parametrize("count", [1, 3, 4, 11])
    @pytest.mark.parametrize("name", SHAPES)
    def test_it_says_what_the_networks_say(self, name, count, graphs):
        network = shaped(name)
        excerpts = random_excerpts(network, count).astype(np.float32)
        with torch.inference_mode():
            told = [one(torch.from_numpy(excerpts)) for one in network.networks]
        made = computes(network, graphs(name))
        assert set(made) == {"onnx", "fused", "eager"}
        for engine in made.values():
            found = engine(excerpts)
            assert found.shape == network.shape
            for place, (logits, tags, _) in enumerate(told):
                np.testing.assert_allclose(found.logits[place], logits.numpy(), atol=1e-4, rtol=1e-5)
                np.testing.assert_allclose(found.tags[place], tags.numpy(), atol=1e-4, rtol=1e-5)
            np.testing.assert_allclose(found.places, told[0][2].numpy(), atol=1e-5)
            assert {part.dtype for part in (found.logits, found.tags, found.places)} == {np.dtype(np.float32)}

    def test_so_it_does_of_excerpts_that_lie_otherwise_in_memory(self, graphs):
        network = shaped("network")
        excerpts = network.excerpts(np.random.default_rng(0).random((90, 16)).astype(np.float16))
        assert not excerpts.flags.c_contiguous
        for engine in computes(network, graphs("network")).values():
            assert difference(network.hear(np.ascontiguousarray(excerpts)), engine(excerpts)) < 1e-5

    def test_several_threads_at_once_get_each_its_own_answers(self, graphs):
        network = shaped("ensemble")
        asked = [random_excerpts(network, 5, seed).astype(np.float32) for seed in range(40)]
        for engine in computes(network, graphs("ensemble")).values():
            alone = [engine(each) for each in asked]
            with ThreadPoolExecutor(6) as pool:
                together = list(pool.map(engine, asked))
            assert all(difference(one, other) < 1e-6 for one, other in zip(alone, together, strict=True))

    def test_a_thread_that_is_new_to_torch_takes_as_many_cores_as_it_was_told(self):
        compute = engines._torch(shaped("network"), 1, lambda one: one)
        torch.set_num_threads(2)
        found = []

        def ask():
            compute(random_excerpts(shaped("network"), 1).astype(np.float32))
            found.append(torch.get_num_threads())

        one = threading.Thread(target=ask)
        one.start()
        one.join()
        assert found == [1]

    @pytest.mark.parametrize("name", ["onnx", "fused", "eager"])
    def test_others_run_while_it_computes(self, name, graphs):
        network = shaped("network")
        compute = computes(network, graphs("network"))[name].compute
        excerpts = random_excerpts(network, 4_000).astype(np.float32)
        compute(excerpts[:8])
        for _ in range(5):  # others may have the machine
            started, ended = threading.Event(), threading.Event()
            took = []

            def ask(started=started, ended=ended, took=took):
                started.set()
                begun = time.perf_counter()
                compute(excerpts)
                took.append(time.perf_counter() - begun)
                ended.set()

            one = threading.Thread(target=ask)
            one.start()
            started.wait()
            longest, last = 0.0, time.perf_counter()
            while not ended.is_set():
                now = time.perf_counter()
                longest, last = max(longest, now - last), now
            one.join()
            if longest < 0.5 * took[0]:
                return
        pytest.fail(f"for {longest:.3f} s of {took[0]:.3f} s nobody else could run")

    def test_what_is_more_than_a_batch_is_computed_batch_by_batch_in_order(self):
        seen = []

        def compute(excerpts):
            seen.append(len(excerpts))
            return ExcerptAnswers(excerpts[None, :, :3, 0], excerpts[None, :, :2, 1], excerpts[:, :, 2])

        excerpts = random_excerpts(shaped("network"), 9).astype(np.float32)
        told = Engine("any", 4, compute)(excerpts)
        assert seen == [4, 4, 1]
        np.testing.assert_array_equal(told.places, excerpts[:, :, 2])
        np.testing.assert_array_equal(told.logits[0], excerpts[:, :3, 0])


class TestFastest:
    def test_the_quickest_of_those_that_are_right_is_in_place(self, graphs):
        network = replace(shaped("ensemble"), graph=graphs("ensemble"))
        found = fastest(network, threads=1)
        assert {each.name for each in found.measured} == {"onnx", "fused", "eager"}
        assert not any(each.refused for each in found.measured)
        assert [each.ms for each in found.measured] == sorted(each.ms for each in found.measured)
        assert found.engine == found.measured[0].name == found.predictor.engine.name
        assert found.predictor.engine.batch == found.measured[0].batch
        asked = [network.inputs(noise(3, seed)) for seed in range(3)]
        ours, theirs = network.answers(asked), found.predictor.answers(asked)
        np.testing.assert_allclose(theirs.genres, ours.genres, atol=1e-5)
        np.testing.assert_allclose(theirs.shares, ours.shares, atol=1e-5)
        np.testing.assert_allclose(theirs.embeddings, ours.embeddings, atol=1e-5)
        assert network.engine is None

    def test_of_a_blend_the_network_computes_otherwise_and_all_else_is_as_it_was(self):
        blend = made_predictor("blend")
        found = fastest(blend)
        assert found.predictor.network.engine.name == found.engine and blend.network.engine is None
        assert found.predictor.parts["forest"] is blend.parts["forest"]
        assert list(found.predictor.parts) == list(blend.parts) and found.predictor.weights is blend.weights
        np.testing.assert_allclose(
            found.predictor.probabilities([noise(3)]), blend.probabilities([noise(3)]), atol=1e-5
        )

    def test_what_has_no_network_stays_as_it_is(self):
        forest = made_predictor("forest")
        found = fastest(forest)
        assert (found.predictor, found.engine, found.measured) == (forest, "", ())

    def test_without_a_graph_torch_computes(self):
        found = fastest(shaped("network"))
        assert {each.name for each in found.measured} == {"fused", "eager"}

    @staticmethod
    def told_of(measured, name):
        (one,) = [each for each in measured if each.name == name]
        return one

    def test_a_graph_of_other_networks_is_refused(self, graphs):
        other = replace(shaped("network"), networks=(made_network(seed=5, tags=len(TAGS)),))
        found = fastest(replace(other, graph=graphs("network")))
        refused = self.told_of(found.measured, "onnx")
        assert refused.difference > TOLERANCE and "differs" in refused.refused and np.isnan(refused.ms)
        assert found.engine in ("fused", "eager") and found.measured[-1] == refused

    def test_so_is_one_of_more_networks_or_without_tags(self, graphs):
        for name in ("ensemble", "tagless"):
            found = fastest(replace(shaped("network"), graph=graphs(name)))
            assert np.isinf(self.told_of(found.measured, "onnx").difference) and found.engine != "onnx"

    def test_a_damaged_graph_is_passed_over_with_the_reason(self, graphs):
        found = fastest(replace(shaped("network"), graph=graphs("network")[:999]))
        refused = self.told_of(found.measured, "onnx")
        assert "cannot be had" in refused.refused and refused.batch == 0 and found.engine != "onnx"

    def test_so_is_a_runtime_that_is_not_installed(self, graphs, monkeypatch):
        monkeypatch.setitem(sys.modules, "onnxruntime", None)
        found = fastest(replace(shaped("network"), graph=graphs("network")))
        assert "onnxruntime" in self.told_of(found.measured, "onnx").refused and found.engine != "onnx"

    def test_a_gpu_that_the_runtime_does_not_know_is_no_engine(self, graphs):
        with pytest.raises(ModelError, match="onnxruntime-gpu"):
            by_onnx(graphs("network"), device="cuda")

    def test_what_is_known_to_be_fastest_is_taken_and_no_other_tried(self, graphs):
        network = replace(shaped("network"), graph=graphs("network"))
        found = fastest(network, known=Measured("fused", 2, 1.0, 0.0))
        assert (found.engine, found.predictor.engine.name, found.predictor.engine.batch) == ("fused", "fused", 2)
        assert {each.name for each in found.measured} == {"fused", "eager"}

    def test_but_not_if_it_is_wrong_for_this_one(self, graphs):
        other = copy.deepcopy(shaped("network"))
        torch.nn.init.normal_(other.networks[0].genre.weight)
        found = fastest(replace(other, graph=graphs("network")), known=Measured("onnx", 6, 1.0, 0.0))
        assert found.engine in ("fused", "eager")
        assert found.measured[-1].name == "onnx" and found.measured[-1].refused

    @pytest.mark.parametrize(
        ("how", "why"),
        [("rounded", "differs by 0"), ("no numbers", "differs by nan"), ("swapped", "differs"), ("fails", "no memory")],
    )
    def test_what_is_quick_but_wrong_is_refused(self, how, why, monkeypatch):
        network = shaped("network")
        rounded = copy.deepcopy(network.networks[0]).bfloat16()

        def compute(excerpts):
            told = network.hear(excerpts)
            if how == "fails":
                raise RuntimeError("no memory")
            if how == "rounded":
                return eager([lambda x: tuple(part.float() for part in rounded(x.bfloat16()))], excerpts, "cpu")
            return replace(told, places=told.places[::-1] if how == "swapped" else told.places * np.float32(np.nan))

        monkeypatch.setattr(engines, "_ways", lambda *args, **how: iter([("wrong", lambda: compute)]))
        found = fastest(network)
        refused = self.told_of(found.measured, "wrong")
        assert why in refused.refused and np.isnan(refused.ms)
        assert found.engine == "eager" and found.predictor.engine is None

    def test_how_long_it_may_look_is_limited(self, graphs, monkeypatch):
        network = replace(shaped("network"), graph=graphs("network"))
        monkeypatch.setattr(engines, "_BUDGET_S", 0.0)
        found = fastest(network)
        assert [each.name for each in found.measured if each.name != "eager"] == ["onnx"]
        assert self.told_of(found.measured, "eager").ms > 0  # from the time that the definition took

    def test_it_compiles_only_if_asked_to(self, monkeypatch):
        asked = []
        monkeypatch.setattr(torch, "compile", lambda network, **how: [network, asked.append(how)][0])
        network = shaped("ensemble")
        fastest(network)
        assert not asked
        found = fastest(network, compile=True)
        assert self.told_of(found.measured, "compiled").difference < 1e-5 and len(asked) == 2

    def test_what_they_are_tried_on_is_no_silence_alone_and_each_excerpt_another(self):
        excerpts = made_excerpts(shaped("network"))
        assert excerpts.shape == (6, 16, 32) and len(np.unique(excerpts.reshape(6, -1), axis=0)) == 6
        assert excerpts[0].std() > 0.1 and excerpts[-1].max() == 0


class TestDifference:
    @pytest.fixture
    def told(self):
        rng = np.random.default_rng(0)
        made = (rng.normal(size=shape).astype(np.float32) for shape in ((2, 5, 3), (2, 5, 4), (5, 8)))
        return ExcerptAnswers(*made)

    def test_it_is_none_where_they_are_the_same(self, told):
        assert difference(told, told) == 0

    @pytest.mark.parametrize("part", ["logits", "tags", "places"])
    def test_one_number_of_any_part_tells(self, told, part):
        other = getattr(told, part).copy()
        other.flat[3] += 0.01
        assert 1e-3 < difference(told, replace(told, **{part: other})) <= 0.01
        other.flat[3] = np.nan
        assert np.isnan(difference(told, replace(told, **{part: other})))

    def test_of_large_numbers_it_is_a_share(self, told):
        large = replace(told, places=1e6 * told.places)
        assert difference(large, replace(large, places=large.places * np.float32(1 + 1e-6))) < 1e-5

    def test_other_shapes_are_infinitely_apart(self, told):
        assert difference(told, told[:4]) == np.inf
        assert difference(told, replace(told, tags=told.tags[:, :, :3])) == np.inf
