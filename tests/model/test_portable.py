import hashlib
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from itertools import product
from pathlib import Path
from unittest.mock import Mock, call

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from sklearn.ensemble import RandomForestClassifier

from earmark.adapters.portable import log_portable
from earmark.audio.decode import decode
from earmark.audio.descriptors import descriptor_names
from earmark.cli import main
from earmark.errors import ModelError, RegistryError
from earmark.model.blend import BlendPredictor, Weights
from earmark.model.calibration.calibration import Calibration
from earmark.model.calibration.prediction_sets import SetRule
from earmark.model.calibration.share_line import ShareLine
from earmark.model.network.excerpts import starts
from earmark.model.network.network import MusicNetwork
from earmark.model.network.predictor import GRAPH, NetworkPredictor
from earmark.model.portable import agreement, files
from earmark.model.portable.agreement import Difference, by_onnx, by_program, compared, demand
from earmark.model.portable.excerpts import carry, export_excerpts
from earmark.model.portable.files import about, export_all, export_onnx, export_program
from earmark.model.portable.network import PortableNetwork
from earmark.model.predictor import load_predictor
from earmark.model.trees.predictor import ForestPredictor
from earmark.params import Frontend, Network, load_params
from earmark.stages import export
from made_audio import encode_samples
from scratch import CHECKOUT

RATE = 8_000
FRONTEND = Frontend(sample_rate_hz=RATE, n_fft=256, hop=128, mels=16, f_min_hz=30.0, f_max_hz=4000.0)
LABELS, TAGS = ("calm", "löud", "odd"), ("feeling---joy", "word---study")
SETS = SetRule(0.9, (0.8,))
COMMON = {"labels": LABELS, "frontend": FRONTEND, "trained_on": frozenset({"a"}), "data_hash": "d"}


def music(samples: int, seed: int = 0) -> torch.Tensor:
    """Tones that come and go, over noise: excerpts differ from each other."""
    rng = np.random.default_rng(seed)
    time = np.arange(samples) / RATE
    tones = sum(np.sin(2 * np.pi * hz * time) * (np.sin(time * turn) > 0) for hz, turn in rng.uniform(1, 900, (4, 2)))
    return torch.from_numpy((0.1 * tones + 0.02 * rng.standard_normal(samples)).astype(np.float32))


def made(*, tags=TAGS, places=0, networks=1, excerpts=5, seconds=0.512, pooling="mean_max", sure=True):
    how = Network(
        size="tiny", pooling=pooling, dropout=0.3, embedding="none", excerpt_seconds=seconds, excerpts=excerpts
    )
    torch.manual_seed(3)
    found = []
    for _ in range(networks):
        network = MusicNetwork(how, mels=16, classes=3, tags=len(tags), places=places)
        with torch.no_grad():
            network.genre.weight.mul_(20)  # so that answers differ
            network.level.running_var.fill_(0.3)
        found.append(network.eval())
    lines = ShareLine((0.5, 1.4), (0.3, -0.6)) if tags else None
    calibration = Calibration(1.7, SETS, None, 0.4, None, 10, lines) if sure else None
    return NetworkPredictor(**COMMON, tags=tags, networks=tuple(found), how=how, calibration=calibration)


def answered(predictor, waveform):
    told = predictor.answers([predictor.inputs(waveform)])
    return told.genres[0], told.shares[0], told.embeddings[0]


@pytest.fixture(scope="module")
def network():
    return made(networks=2)


@pytest.fixture(scope="module")
def exported(network, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported")
    export_all(network, folder)
    return folder


def blend_of(network):
    table = np.random.default_rng(0).normal(size=(30, len(descriptor_names())))
    forest = ForestPredictor(**COMMON, forest=RandomForestClassifier(5, random_state=0).fit(table, np.arange(30) % 3))
    return BlendPredictor(
        **COMMON, tags=TAGS, parts={"network": network, "forest": forest}, weights=Weights(np.ones(2), np.ones((2, 2)))
    )


class TestPortableNetwork:
    # 0.512 s are 32 frames, 4,096 samples: shorter, as long, a frame longer, and on to where nothing falls together
    @pytest.mark.parametrize("samples", [8_000, 8_063, 8_064, 8_191, 8_192, 12_345, 20_000, 100_003])
    @pytest.mark.parametrize("seconds", [0.512, 1.024, 1.5])
    def test_it_answers_as_the_predictor(self, samples, seconds):
        predictor = made(seconds=seconds, networks=2)
        with torch.inference_mode():
            told = PortableNetwork(predictor).eval()(music(samples))
        for ours, theirs in zip(answered(predictor, music(samples)), told, strict=True):
            np.testing.assert_allclose(theirs.numpy(), ours, atol=2e-5)

    @pytest.mark.parametrize("how", [{"pooling": "attention"}, {"places": 4}, {"sure": False}, {"tags": ()}], ids=str)
    def test_so_it_does_of_every_shape_of_network(self, how):
        predictor = made(**how)
        with torch.inference_mode():
            told = PortableNetwork(predictor).eval()(music(20_000))
        for ours, theirs in zip(answered(predictor, music(20_000)), told, strict=True):
            np.testing.assert_allclose(theirs.numpy(), ours, atol=2e-5)

    def test_silence_and_a_whisper_have_the_predictors_answer(self):
        predictor = made()
        for waveform in (torch.zeros(9_000), 1e-6 * music(9_000), 0.5 * music(9_000)):
            with torch.inference_mode():
                genres = PortableNetwork(predictor).eval()(waveform)[0]
            np.testing.assert_allclose(genres.numpy(), answered(predictor, waveform)[0], atol=2e-5)

    def test_excerpts_begin_where_the_predictors_do_and_each_counts_once(self):
        for count, frames in product((1, 2, 3, 7, 16), (32, 33)):
            portable = PortableNetwork(made(excerpts=count, seconds=frames * 128 / RATE))
            for length in range(20, 120):
                found, weights = portable._starts(torch.tensor([length]))
                expected = starts(length, frames=frames, count=count)
                assert found[weights > 0].tolist() == expected, (count, frames, length)
                np.testing.assert_allclose(weights[weights > 0].numpy(), 1 / len(expected), rtol=1e-6)

    def test_the_networks_that_are_exported_stay_as_they_were(self):
        predictor = made()
        PortableNetwork(predictor)
        assert all(weight.requires_grad for weight in predictor.networks[0].parameters())


class TestFiles:
    @pytest.mark.parametrize("samples", [8_000, 8_192, 8_193, 12_345, 20_000, 100_003])
    def test_both_answer_as_the_predictor(self, network, exported, samples):
        found = compared(network, exported, [music(samples)])
        assert set(found) == {"onnx", "program"}
        assert all(difference.largest < 2e-5 for difference in found.values())

    def test_without_tags_there_are_no_shares(self, tmp_path):
        predictor = made(tags=())
        export_all(predictor, tmp_path)
        assert by_onnx(tmp_path / files.ONNX)(music(9_000)).shares.shape == (1, 0)
        assert max(each.largest for each in compared(predictor, tmp_path, [music(9_000)]).values()) < 2e-5

    def test_the_same_model_makes_the_same_bytes(self, network, exported, tmp_path):
        export_onnx(network, tmp_path / "again.onnx")
        export_program(network, tmp_path / "again.pt2")
        assert (tmp_path / "again.onnx").read_bytes() == (exported / files.ONNX).read_bytes()
        assert (tmp_path / "again.pt2").read_bytes() == (exported / files.PROGRAM).read_bytes()

    def test_no_name_of_a_file_of_this_machine_is_in_them(self, exported):
        for name in (files.ONNX, files.PROGRAM):
            content = (exported / name).read_bytes()
            assert b"site-packages" not in content and b".py" not in content and os.fsencode(CHECKOUT) not in content

    def test_what_one_must_know_is_inside(self, network, exported):
        import onnx
        import onnxruntime

        told = about(network)
        assert (told["labels"], told["tags"], told["sample_rate_hz"]) == (list(LABELS), list(TAGS), RATE)
        assert (told["minimum_samples"], told["data_hash"], told["least_confidence"]) == (8_000, "d", 0.4)
        onnx.checker.check_model(onnx.load(exported / files.ONNX), full_check=True)
        session = onnxruntime.InferenceSession(exported / files.ONNX)
        props = session.get_modelmeta().custom_metadata_map
        assert {
            name: value if isinstance(told[name], str) else json.loads(value) for name, value in props.items()
        } == told
        assert session.get_inputs()[0].shape == ["time"]
        inside = {files.ABOUT_INSIDE: ""}
        torch.export.load(str(exported / files.PROGRAM), extra_files=inside)
        assert json.loads(inside[files.ABOUT_INSIDE]) == told
        beside = json.loads((exported / files.ABOUT).read_text(encoding="utf-8"))
        assert beside.pop("files").keys() == {files.ONNX, files.PROGRAM}
        assert beside == told

    def test_too_short_a_waveform_is_no_answer_of_the_program(self, exported):
        with pytest.raises(AssertionError, match="8000"):
            by_program(exported / files.PROGRAM)(music(7_999))

    def test_a_forest_is_refused_with_what_can_be_exported(self, network, tmp_path):
        with pytest.raises(ModelError, match=r"descriptors.*earmark export --model models/network --to"):
            export_all(blend_of(network).parts["forest"], tmp_path)

    def test_a_blend_is_refused_with_the_name_of_its_network(self, network, tmp_path):
        with pytest.raises(ModelError, match="--part network"):
            export_onnx(blend_of(network), tmp_path / "blend.onnx")
        assert not list(tmp_path.iterdir())


class TestExcerpts:
    @pytest.fixture(scope="class")
    def portable(self, network, tmp_path_factory):
        folder = tmp_path_factory.mktemp("portable")
        export_excerpts(network, folder / GRAPH)
        return folder

    def test_of_any_number_of_excerpts_it_says_what_the_networks_say(self, network, portable):
        import onnxruntime

        session = onnxruntime.InferenceSession(portable / GRAPH)
        (given,) = session.get_inputs()
        assert (given.name, given.shape) == ("excerpts", ["n", 16, 32])
        assert [each.name for each in session.get_outputs()] == ["logits", "tags", "places"]
        for count in (1, 2, 3, 17):
            excerpts = np.random.default_rng(count).random((count, 16, 32)).astype(np.float32)
            told = network.hear(excerpts)
            for ours, theirs in zip(
                (told.logits, told.tags, told.places), session.run(None, {"excerpts": excerpts}), strict=True
            ):
                np.testing.assert_allclose(theirs, ours, atol=1e-4, rtol=1e-5)

    def test_the_same_networks_make_the_same_bytes_which_name_no_file_of_this_machine(
        self, network, portable, tmp_path
    ):
        export_excerpts(network, tmp_path / "again.onnx")
        content = (portable / GRAPH).read_bytes()
        assert (tmp_path / "again.onnx").read_bytes() == content
        assert b"site-packages" not in content and b".py" not in content and os.fsencode(CHECKOUT) not in content

    def test_a_networks_folder_carries_it_and_keeps_it_when_it_is_written_again(self, network, portable, tmp_path):
        network.save(tmp_path / "model")
        assert load_predictor(tmp_path / "model").graph is None
        carry(portable, tmp_path / "model")
        loaded = load_predictor(tmp_path / "model")
        assert loaded.graph == (portable / GRAPH).read_bytes()
        loaded.save(tmp_path / "again")
        assert (tmp_path / "again" / GRAPH).read_bytes() == loaded.graph

    def test_a_blends_part_carries_it_and_a_forest_does_not(self, network, portable, tmp_path):
        blend_of(network).save(tmp_path)
        carry(portable, tmp_path)
        assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob(GRAPH)] == [f"network/{GRAPH}"]
        assert load_predictor(tmp_path).network.graph is not None

    def test_where_nothing_was_exported_nothing_is_carried(self, network, tmp_path):
        network.save(tmp_path / "model")
        carry(tmp_path / "none", tmp_path / "model")
        assert not (tmp_path / "model" / GRAPH).exists()


class TestDemand:
    def test_what_differs_too_much_is_refused(self):
        demand({"onnx": Difference(9e-5, 9e-5, 9e-5)})
        for difference in (Difference(2e-4), Difference(shares=2e-4), Difference(embedding=float("nan"))):
            with pytest.raises(ModelError, match=r"onnx.*make setup"):
                demand({"onnx": difference})

    def test_an_answer_that_is_no_number_is_not_passed_over(self, network):
        ours = network.answers([network.inputs(music(9_000))])
        none = replace(ours, shares=np.full_like(ours.shares, np.nan))
        found = Difference(1e-6, 1e-6, 1e-6).or_larger(ours, none).or_larger(ours, ours)
        assert np.isnan(found.largest) and found.probabilities == 1e-6

    def test_files_of_another_model_are_seen_to_be_others(self, exported):
        other = made(networks=2, excerpts=4)
        assert compared(other, exported, [music(20_000)])["onnx"].largest > agreement.TOLERANCE


class TestCommand:
    def test_it_writes_all_three_from_a_folder(self, network, exported, tmp_path):
        network.save(tmp_path / "model")
        ended = CliRunner().invoke(main, ["export", "--model", str(tmp_path / "model"), "--to", str(tmp_path / "out")])
        assert ended.exit_code == 0, ended.output
        for name in (files.ONNX, files.PROGRAM, files.ABOUT):
            assert (tmp_path / "out" / name).read_bytes() == (exported / name).read_bytes()

    def test_of_a_blend_it_writes_a_part(self, network, tmp_path):
        blend_of(network).save(tmp_path / "model")
        words = ["export", "--model", str(tmp_path / "model"), "--to", str(tmp_path / "out")]
        refused = CliRunner().invoke(main, words)
        assert refused.exit_code == ModelError.exit_code and "--part network" in refused.output
        unknown = CliRunner().invoke(main, [*words, "--part", "trees"])
        assert unknown.exit_code == ModelError.exit_code and "network, forest" in unknown.output
        ended = CliRunner().invoke(main, [*words, "--part", "network"])
        assert ended.exit_code == 0 and "as the part 'network' does, not as the whole" in ended.stderr
        assert (tmp_path / "out" / files.ONNX).is_file()

    def test_an_unknown_model_is_said_to_be_unknown(self, tmp_path):
        (tmp_path / "params.yaml").write_bytes((CHECKOUT / "params.yaml").read_bytes())
        words = ["--root", str(tmp_path), "export", "--model", "@nobody", "--to", str(tmp_path / "out")]
        ended = CliRunner().invoke(main, words)
        assert ended.exit_code == RegistryError.exit_code and "@nobody" in ended.output


class TestStage:
    @pytest.fixture
    def project(self, network, tmp_path):
        """A network, and three test songs beside one of training."""
        rows = []
        for number in range(4):
            content = encode_samples(music(9_000 + 4_000 * number, seed=number).numpy()[None], "flac", RATE)
            (tmp_path / f"{number}.flac").write_bytes(content)
            split, name = "test" if number else "train", hashlib.sha256(content).hexdigest()
            rows.append(
                {"track_id": f"t{number}", "content_hash": name, "path": f"{number}.flac", "split": split}
                | {"group": "g", "genre": LABELS[0]}
            )
        table = pd.DataFrame(rows)
        (tmp_path / "data").mkdir()
        table[["track_id", "content_hash", "path"]].to_parquet(tmp_path / "data" / "features.parquet")
        table[["track_id", "split", "group", "genre"]].to_parquet(tmp_path / "data" / "splits.parquet")
        network.save(tmp_path / "models" / "network")
        return tmp_path

    def test_it_writes_the_files_and_how_far_they_are_from_the_network(self, project, exported):
        export.run(load_params(CHECKOUT / "params.yaml"), project)
        told = json.loads((project / "reports" / "portable.json").read_text())
        assert told["songs"] == 3 and told["tolerance"] == 1e-4
        assert all(0 < told[way]["probabilities"] < 1e-4 for way in ("onnx", "program", "excerpts"))
        assert (project / "models" / "portable" / files.ONNX).read_bytes() == (exported / files.ONNX).read_bytes()
        assert (project / "models" / "portable" / GRAPH).is_file()
        assert not (project / "models" / "network" / GRAPH).exists()  # another stage's

    def test_so_does_a_file_of_excerpts_that_is_another_networks(self, project, monkeypatch):
        other = replace(made(networks=2), networks=made(networks=3).networks[1:])
        monkeypatch.setattr(export, "export_excerpts", lambda predictor, path: export_excerpts(other, path))
        with pytest.raises(ModelError, match=r"excerpts\) differs from the network"):
            export.run(load_params(CHECKOUT / "params.yaml"), project)

    def test_files_that_answer_otherwise_make_it_fail(self, project, monkeypatch):
        other = made(networks=2, excerpts=4)
        monkeypatch.setattr(export, "export_all", lambda predictor, folder: export_all(other, folder))
        with pytest.raises(ModelError, match="differs from the network"):
            export.run(load_params(CHECKOUT / "params.yaml"), project)
        assert not (project / "reports" / "portable.json").exists()


class TestLogPortable:
    @pytest.mark.parametrize(
        ("kind", "place"), [("network", "portable"), ("blend", "portable-network-part"), ("forest", None)]
    )
    def test_it_lies_with_models_that_hold_a_network_and_a_blends_is_called_a_part(self, kind, place, tmp_path):
        (tmp_path / "models" / "portable").mkdir(parents=True)
        client = Mock()
        log_portable(client, "m-1", tmp_path, kind)
        expected = [call("m-1", str(tmp_path / "models" / "portable"), place)] if place else []
        assert client.log_model_artifacts.call_args_list == expected


# Put on a Python's path as sitecustomize, it keeps these modules from being imported.
_WITHOUT = """
import sys

class Refusing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "torchaudio", "torchcodec", "earmark"):
            raise ImportError(f"there is no {name} here")

sys.meta_path.insert(0, Refusing())
"""


class TestConsumerWithoutTorch:
    @pytest.fixture
    def without(self, tmp_path):
        (tmp_path / "site").mkdir()
        (tmp_path / "site" / "sitecustomize.py").write_text(_WITHOUT)

        def run(*words: str) -> subprocess.CompletedProcess:
            return subprocess.run(
                [sys.executable, *words],
                cwd=tmp_path,
                env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
                capture_output=True,
                text=True,
                timeout=120,
            )

        return run

    @pytest.fixture
    def program(self, tmp_path):
        page = (CHECKOUT / "docs" / "portable.md").read_text(encoding="utf-8")
        blocks = re.findall(r"^```python\n(.*?)^```", page, flags=re.M | re.S)
        (block,) = [block for block in blocks if "import onnxruntime" in block]
        (tmp_path / "consumer.py").write_text(block, encoding="utf-8")
        return "consumer.py"

    def recording(self, folder: Path, suffix: str, rate_hz: int, channels: int) -> Path:
        one = music(int(2.5 * rate_hz), seed=rate_hz).numpy()
        samples = np.stack([one, 0.3 * one[::-1]][:channels])
        (folder / f"song.{suffix}").write_bytes(encode_samples(samples, suffix, rate_hz))
        return folder / f"song.{suffix}"

    def test_nothing_can_be_imported_there_that_it_must_not_have(self, without):
        for name in ("torch", "earmark"):
            ended = without("-c", f"import {name}")
            assert ended.returncode != 0 and f"there is no {name} here" in ended.stderr

    @pytest.mark.parametrize(("suffix", "rate_hz", "channels"), [("wav", 8_000, 1), ("flac", 44_100, 2)])
    def test_the_program_in_the_docs_prints_the_predictors_answer(
        self, network, exported, without, program, tmp_path, suffix, rate_hz, channels
    ):
        song = self.recording(tmp_path, suffix, rate_hz, channels)
        ended = without(program, str(exported / files.ONNX), str(song))
        assert ended.returncode == 0, ended.stderr
        told = json.loads(ended.stdout)
        genres, shares, embedding = answered(network, decode(song, sample_rate_hz=RATE, mono=True).waveform[0])
        assert (tuple(told["genres"]), tuple(told["tags"])) == (LABELS, TAGS)
        np.testing.assert_allclose(list(told["genres"].values()), genres, atol=1e-4)
        np.testing.assert_allclose(list(told["tags"].values()), shares, atol=1e-4)
        np.testing.assert_allclose(told["embedding"], embedding, atol=1e-4 * np.linalg.norm(embedding))

    def test_it_says_what_is_too_short(self, exported, without, program, tmp_path):
        (tmp_path / "short.wav").write_bytes(encode_samples(music(4_000).numpy()[None], "wav", RATE))
        ended = without(program, str(exported / files.ONNX), "short.wav")
        assert ended.returncode == 1 and "1.0 s are needed" in ended.stderr


def test_the_model_room_needs_none_of_it_to_be_imported():
    code = (
        "import sys, earmark.model.portable.files, earmark.model.portable.agreement, earmark.cli; "
        "print([name for name in sys.modules if name.startswith('onnx')])"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert ended.stdout.strip() == "[]"
