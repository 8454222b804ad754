"""MLflow, for real: a small project is recorded, registered, compared, promoted and rolled back.

With the database in the project, and once the whole way with a server.
"""

import hashlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import textwrap
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import mlflow as client_library
import numpy as np
import pandas as pd
import pytest
import torch
from registry_tools import asking
from sklearn.ensemble import RandomForestClassifier
from tones import COLLECTION, GENRES, RATE, described, genres_of, learnt, tones

from earmark.adapters import mlflow
from earmark.adapters.comparing import _identity, test_tracks
from earmark.adapters.recording import _experiment
from earmark.adapters.supervisor import free_port
from earmark.adapters.tracking import reaching
from earmark.adapters.worn import looked_at
from earmark.audio.decode import decode
from earmark.catalogue.track import Track
from earmark.errors import RegistryError
from earmark.files import read_json, write_json
from earmark.model.blend import BlendPredictor, Weights
from earmark.model.comparing.cost import size_mib
from earmark.model.comparing.promotion import Verdict
from earmark.model.machine.machine import fit_machine
from earmark.model.machine.predictor import MachinePredictor
from earmark.model.network.network import MusicNetwork
from earmark.model.network.predictor import NetworkPredictor
from earmark.model.predictor import Predictor, load_predictor
from earmark.model.trees.predictor import ForestPredictor
from earmark.params import Params, flatten, load_params
from earmark.workspace import CHAMPION, EXAMPLES, MODELS, NEIGHBOURS, PORTABLE
from postgresql_server import DATABASES
from scratch import CHECKOUT
from twice import twice_at_once

PARTS = {"train": 12, "validation": 6, "test": 14}
RIGHT = {"network": 0.5, "forest": 0.8, "machine": 0.7, "blend": 0.9, "majority": 0.4}  # of the test tracks, told
LOSS = {"network": 0.7, "forest": 0.2, "machine": 0.4, "blend": 0.3, "majority": 0.69}  # on held-out songs
YES = Verdict(promote=True, reason="because", challenger="?")


@pytest.fixture(scope="session")
def params() -> Params:
    params = load_params(CHECKOUT / "params.yaml")
    return replace(
        params,
        catalogue=replace(params.catalogue, collection=COLLECTION),
        network=replace(params.network, size="tiny", excerpts=2),
        evaluation=replace(params.evaluation, resamples=300),
        gates=replace(params.gates, max_ece=0.5),  # ten trees that nobody calibrated are right more often than they say
    )


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory, params: Params) -> Path:
    """A project as `evaluate` leaves it: high and low tones, and the models of `_models`."""
    root = tmp_path_factory.mktemp("template")
    shutil.copy(CHECKOUT / "params.yaml", root)
    tracks = tones(root, PARTS)
    known = [track for track in tracks if track.track_id.startswith("train")]
    for kind, predictor in _models(root, known, params).items():
        predictor.save(root / MODELS[kind])
    _reports(root, tracks)
    return root


def _models(root: Path, known: list[Track], params: Params) -> dict[str, Predictor]:
    """The network says "high" of everything; trees and kernels tell the tones apart, so the blend does, too."""
    common, descriptors, answers = learnt(known, params), described(root, known), genres_of(known)
    groups = np.array([track.group for track in known], dtype=object)
    torch.manual_seed(1)
    network = MusicNetwork(params.network, mels=params.frontend.mels, classes=2).eval()
    with torch.no_grad():
        network.genre.weight.zero_()
        network.genre.bias.copy_(torch.tensor([0.2, 0.0]))
    machine = fit_machine([descriptors], answers, groups, np.zeros((len(known), 2, 0), np.float32), params.machine)
    parts: dict[str, Predictor] = {
        "network": NetworkPredictor(**common, networks=(network,), how=params.network),
        "forest": ForestPredictor(
            **common, forest=RandomForestClassifier(10, random_state=1).fit(descriptors, answers)
        ),
        "machine": MachinePredictor(**common, machine=machine),
    }
    blend = BlendPredictor(**common, parts=parts, weights=Weights(np.full(3, 1 / 3), np.zeros((3, 0))))
    return {**parts, "blend": blend}


def _reports(root: Path, tracks: list[Track]) -> None:
    """As `train`, `evaluate` and the stages after it write them: the network is right in half of the cases."""
    reports = root / "reports"
    reports.mkdir()
    rows = []
    for model in MODELS:
        for track in tracks:
            split = track.track_id[:-6]
            if split == "train":
                continue
            predicted = "high" if model == "network" else track.genre
            rows.append({"track_id": track.track_id, "split": split, "group": track.group, "genre": track.genre})
            rows[-1] |= {"model": model, "predicted": predicted, "p_high": 0.6, "p_low": 0.4}
    pd.DataFrame(rows).to_parquet(reports / "predictions.parquet")
    write_json(reports / "metrics.json", _metrics())
    curve = {"epoch": [1, 2, 3], "training_loss": [0.7, 0.6, 0.5], "training_accuracy": [0.5, 0.6, 0.7]}
    curve |= {"validation_loss": [0.7, 0.65, 0.6], "validation_accuracy": [0.4, 0.5, 0.5], "learning_rate": [1e-3] * 3}
    tags = [(model, "word---study", 40, RIGHT[model] / 2, 0.8, RIGHT[model] / 1.6) for model in MODELS]
    tags += [(model, "category---dance · late night", 40, 0.1, None, None) for model in MODELS]
    tables = {
        "learning_curve": curve,
        "per_class": _table(
            "model genre precision recall f1 support",
            [(model, genre, 0.5, 0.5, 0.5, 12) for model in MODELS for genre in GENRES],
        ),
        "tags": _table("model tag songs r ceiling of_ceiling", tags),
        "reliability": _table(
            "model confidence accuracy low high count", [(model, 0.6, RIGHT[model], 0.3, 1.0, 14) for model in MODELS]
        ),
        "risk_coverage": _table(
            "model threshold coverage accuracy risk",
            [(model, 0.6, 1.0, RIGHT[model], 1 - RIGHT[model]) for model in MODELS],
        ),
        "importance_families": _table(
            "class family importance low high", [(genre, "mfcc", 0.3, 0.2, 0.4) for genre in (*GENRES, "all")]
        ),
        "importance": _table(
            "class feature family importance low high",
            [(genre, "mfcc_1_mean", "mfcc", 0.3, 0.2, 0.4) for genre in (*GENRES, "all")],
        ),
        "attribution": _table(
            "class band_hz importance low high",
            [(genre, hz, 0.3, 0.2, 0.4) for genre in GENRES for hz in (100.0, 900.0)],
        ),
        "attribution_moments": _table(
            "class moment importance low high", [(genre, n / 10, 0.1, 0.0, 0.2) for genre in GENRES for n in range(10)]
        ),
        "confusion": {"model": ["network"], "actual": ["low"], "predicted": ["high"]},
        "mistakes": {"model": ["network"], "track_id": ["test01.wav"], "genre": ["low"], "said": ["high"]},
    }
    for name, table in tables.items():
        pd.DataFrame(table).to_csv(reports / f"{name}.csv", index=False)
    for name in ("attribution", "selection"):
        write_json(reports / f"{name}.json", {"songs": 2})
    (reports / "report.html").write_text("<h1>How well it hears music</h1>")
    (root / PORTABLE).mkdir()
    (root / PORTABLE / "network.onnx").write_bytes(b"a graph")
    (root / PORTABLE / "excerpts.onnx").write_bytes(b"another graph")
    for kind in MODELS:
        (root / NEIGHBOURS / kind).mkdir(parents=True)
        (root / NEIGHBOURS / kind / "songs.parquet").write_text(f"songs by the {kind}")
    (root / EXAMPLES).mkdir()
    write_json(root / EXAMPLES / "examples.json", [])


def _table(columns: str, rows: list[tuple[Any, ...]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=columns.split())


def _metrics() -> dict[str, Any]:
    """By held-out songs the forest is the best, by test tracks the blend is: what chooses can be told."""

    def scores(value: float, *names: str) -> dict[str, float]:
        return {f"{name}{end}": value + d for name in names for end, d in (("", 0.0), ("_low", -0.1), ("_high", 0.1))}

    kinds = (*MODELS, "majority")
    return {
        **{kind: scores(RIGHT[kind], "accuracy", "f1_macro") | {"validation_accuracy": 0.6} for kind in kinds},
        "held_out": {kind: scores(0.6, "accuracy") | scores(LOSS[kind], "log_loss") | {"tracks": 6} for kind in kinds},
        "test_tracks": PARTS["test"],
        "test_groups": PARTS["test"],
        "categories": {kind: {"accuracy": 0.4, "songs": 40.0} for kind in kinds},
        "leakage": {"honest_accuracy": 0.6, "random_accuracy": 0.8, "random_minus_honest": 0.2},
    }


@pytest.fixture(scope="session", params=DATABASES)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real tracking server that keeps the artefacts itself; its address."""
    folder = tmp_path_factory.mktemp("server")
    store = f"sqlite:///{folder}/mlflow.db"
    if request.param == "postgresql":
        store = "postgresql:" + request.getfixturevalue("postgresql").database("mlflow")
    port = free_port(5000)
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", store, "--artifacts-destination", str(folder / "kept")]
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **quiet}, cwd=folder)
    address = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 400
        while True:
            try:
                urllib.request.urlopen(f"{address}/health", timeout=2)
                break
            except OSError:
                assert process.poll() is None and time.monotonic() < deadline, (folder / "log").read_text()
                time.sleep(0.3)
        yield address
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture(scope="session")
def recorded(template: Path, tmp_path_factory: pytest.TempPathFactory, params: Params) -> Path:
    """The project with its models recorded. Copies of it find their artefacts here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        root = Path(shutil.copytree(template, tmp_path_factory.mktemp("recorded") / "project"))
        mlflow.record(params, root)
    return root


@pytest.fixture
def root(recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the recorded project, with MLflow's database in it."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return Path(shutil.copytree(recorded, tmp_path / "project"))


def runs(root: Path, params: Params) -> list[Any]:
    experiment = asking(root).get_experiment_by_name(params.registry.experiment)
    return list(asking(root).search_runs([experiment.experiment_id])) if experiment else []


def change_result(root: Path) -> None:
    """As if trained again with another result: other metrics, so another fingerprint."""
    metrics = read_json(root / "reports/metrics.json")
    metrics["forest"]["accuracy"] += 0.01
    write_json(root / "reports/metrics.json", metrics)


def change_losses(root: Path, **losses: float) -> None:
    """As if models of these kinds had come out otherwise on held-out songs."""
    metrics = read_json(root / "reports/metrics.json")
    for kind, loss in losses.items():
        metrics["held_out"][kind]["log_loss"] = loss
    write_json(root / "reports/metrics.json", metrics)


class TestRecord:
    def test_each_kind_of_model_is_a_run_with_the_same_names_for_the_same_things(
        self, root: Path, params: Params
    ) -> None:
        by_kind = {run.data.tags["kind"]: run for run in runs(root, params)}
        assert set(by_kind) == {"network", "forest", "machine", "blend"}
        assert {run.info.status for run in by_kind.values()} == {"FINISHED"}
        for kind, run in by_kind.items():
            found = run.data.metrics
            assert found["test_accuracy"] == RIGHT[kind] and found["held_out/log_loss"] == LOSS[kind]
            assert found["leakage/random_minus_honest"] == 0.2 and found["category/accuracy"] == 0.4
            names = {name for name in found if not name.startswith("epoch/")}
            assert names == set(by_kind["forest"].data.metrics)
            assert run.data.params == {name: str(value) for name, value in ({"kind": kind} | flatten(params)).items()}

    def test_metrics_of_tags_have_names_to_read(self, root: Path, params: Params) -> None:
        run_id = read_json(root / "reports/run.json")["blend"]["run_id"]
        metrics = asking(root).get_run(run_id).data.metrics
        assert (metrics["r/word: study"], metrics["ceiling/word: study"]) == (0.45, 0.8)
        assert metrics["r/category: dance - late night"] == 0.1
        assert "ceiling/category: dance - late night" not in metrics  # not known

    def test_its_description_has_all_kinds_beside_each_other_and_explains_the_metrics(
        self, root: Path, params: Params
    ) -> None:
        run = next(run for run in runs(root, params) if run.data.tags["kind"] == "machine")
        note = run.data.tags["mlflow.note.content"]
        assert note.startswith("The machine, beside what it has to beat, on the same 14 test tracks of 14 groups")
        for kind in (*MODELS, "majority"):
            (row,) = [line.split(" | ") for line in note.splitlines() if line.startswith(f"| {kind}&emsp; |")]
            assert row[1].startswith(f"{RIGHT[kind]:.3f} [") and row[3].startswith(f"{LOSS[kind]:.3f} [")
        explained = {name.partition("/")[0] for name in run.data.metrics if "/" in name}
        assert [name for name in explained if f"`{name}/…`" not in note] == []

    def test_the_experiment_says_what_its_runs_are(self, root: Path, params: Params) -> None:
        experiment = asking(root).get_experiment_by_name(params.registry.experiment)
        assert "run for each kind of model" in experiment.tags["mlflow.note.content"]

    def test_a_run_says_where_it_comes_from(self, root: Path, params: Params) -> None:
        run = runs(root, params)[0]
        catalogue = hashlib.md5((root / "data/catalogue.parquet").read_bytes()).hexdigest()
        assert run.data.tags["data.catalogue_md5"] == catalogue
        assert run.data.tags["data.collection"] == "tones"
        inputs = run.inputs.dataset_inputs
        contexts = {tag.value for one in inputs for tag in one.tags if tag.key == "mlflow.data.context"}
        assert contexts == {"training", "validation", "test"}
        assert {one.dataset.digest for one in inputs} == {catalogue}
        assert {json.loads(one.dataset.profile)["num_rows"] for one in inputs} == set(PARTS.values())

    def test_the_learning_curve_has_a_step_for_each_epoch(self, root: Path, params: Params) -> None:
        run_id = read_json(root / "reports/run.json")["network"]["run_id"]
        history = asking(root).get_metric_history(run_id, "epoch/training_loss")
        assert [(point.step, point.value) for point in history] == [(1, 0.7), (2, 0.6), (3, 0.5)]

    @pytest.mark.parametrize(
        ("kind", "of_its_own"),
        [
            ("network", {"learning_curve", "attribution"}),
            ("forest", {"importance", "importance_matrix"}),
            ("machine", set()),
        ],
    )
    def test_pictures_tables_and_the_report_are_kept(
        self, root: Path, params: Params, kind: str, of_its_own: set[str]
    ) -> None:
        run_id = read_json(root / "reports/run.json")[kind]["run_id"]
        client = asking(root)
        assert {one.path for one in client.list_artifacts(run_id) if not one.is_dir} == {
            *("metrics.json", "params.yaml", "per_class.csv", "tags.csv", "confusion.csv"),
            *("reliability.csv", "risk_coverage.csv", "mistakes.csv"),
            *("importance.csv", "importance_families.csv", "selection.json"),
            *("attribution.csv", "attribution_moments.csv", "attribution.json"),
        }
        assert [one.path for one in client.list_artifacts(run_id, "report")] == ["report/report.html"]
        plots = {one.path for one in client.list_artifacts(run_id, "plots")}
        drawn = {"confusion", "f1_by_genre", "tags", "reliability", "risk_coverage"} | of_its_own
        assert plots == {f"plots/{name}.png" for name in drawn}

    @pytest.mark.parametrize(
        ("kind", "folder"), [("network", "portable"), ("blend", "portable-network-part"), ("forest", None)]
    )
    def test_the_exported_network_goes_with_the_models_that_hold_it(
        self, root: Path, params: Params, kind: str, folder: str | None
    ) -> None:
        model_id = read_json(root / "reports/run.json")[kind]["model_id"]
        logged = {one.path for one in asking(root).list_logged_model_artifacts(model_id)}
        assert {path for path in logged if path.startswith("portable")} == ({folder} if folder else set())

    def test_the_example_in_the_docs_finds_the_exported_network(self, root: Path) -> None:
        (example,) = [
            block
            for block in re.findall(r"```python\n(.*?)```", (CHECKOUT / "docs/portable.md").read_text(), flags=re.S)
            if "reports/run.json" in block
        ]
        done = subprocess.run([sys.executable, "-c", example], cwd=root, capture_output=True, text=True, check=True)
        assert Path(done.stdout.strip()).read_bytes() == b"a graph"

    def test_a_network_in_the_registry_has_it_where_the_docs_say(self, root: Path, params: Params) -> None:
        mlflow.register_challenger(params, root)
        with reaching(root):  # the network is the baseline here, and was registered first
            path = client_library.artifacts.download_artifacts("models:/earmark/1/portable/network.onnx")
        assert Path(path).read_bytes() == b"a graph"

    def test_recording_the_same_files_again_logs_nothing(self, root: Path, params: Params) -> None:
        first = read_json(root / "reports/run.json")
        mlflow.record(params, root)
        assert read_json(root / "reports/run.json") == first
        assert len(runs(root, params)) == 4

    def test_another_result_makes_other_runs(self, root: Path, params: Params) -> None:
        change_result(root)
        mlflow.record(params, root)
        assert len(runs(root, params)) == 8

    @pytest.mark.parametrize("place", [NEIGHBOURS / "forest" / "songs.parquet", EXAMPLES / "examples.json"])
    def test_so_do_other_songs_beside_the_same_models(self, root: Path, params: Params, place: Path) -> None:
        (root / place).write_text("others")
        mlflow.record(params, root)
        assert len(runs(root, params)) == 8

    def test_within_a_flow_it_says_in_which_run_of_it(
        self, root: Path, params: Params, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert not any("prefect.flow_run_id" in run.data.tags for run in runs(root, params))
        change_result(root)
        monkeypatch.setenv("PREFECT__FLOW_RUN_ID", "a-run-of-a-flow")
        mlflow.record(params, root)
        version = mlflow.register_challenger(params, root)
        found = asking(root).get_model_version(params.registry.model, version)
        assert found.tags["prefect.flow_run_id"] == "a-run-of-a-flow"
        assert asking(root).get_run(found.run_id).data.tags["prefect.flow_run_id"] == "a-run-of-a-flow"

    def test_a_run_that_was_killed_in_the_middle_is_marked_and_logged_anew(self, root: Path, params: Params) -> None:
        run_id = read_json(root / "reports/run.json")["forest"]["run_id"]
        here = hashlib.sha256(str(root).encode()).hexdigest()[:12]
        asking(root).set_tag(run_id, "workspace", here)  # the project was copied for this test
        asking(root).update_run(run_id, status="RUNNING")  # what a kill -9 leaves behind
        mlflow.record(params, root)
        assert asking(root).get_run(run_id).info.status == "KILLED"
        assert read_json(root / "reports/run.json")["forest"]["run_id"] != run_id
        assert len(runs(root, params)) == 5

    def test_the_reference_names_no_path_of_this_machine(self, root: Path, recorded: Path) -> None:
        assert str(recorded) not in (root / "reports/run.json").read_text()

    def test_mlflow_itself_can_load_the_model_and_ask_it(self, root: Path, params: Params) -> None:
        version = mlflow.register_challenger(params, root)
        model = client_library.pyfunc.load_model(f"models:/{params.registry.model}/{version}")
        waveform = decode(root / "data/collections/tones/audio/test00.wav").waveform
        answer = model.predict(waveform.numpy())
        assert list(answer.columns) == list(GENRES)
        truth = load_predictor(root / "models/forest").probabilities([waveform[0]])
        np.testing.assert_allclose(answer.to_numpy(), truth)
        assert model.input_example.shape == (1, RATE)


class TestRegister:
    @pytest.mark.parametrize(
        ("losses", "challenger", "baseline"),
        [
            ({}, "forest", "network"),
            ({"network": 0.1}, "network", "forest"),
            ({"machine": 0.1}, "machine", "forest"),
            ({"blend": 0.1}, "blend", "forest"),
            ({"majority": 0.1}, "forest", "network"),  # the commonest genre is no model
        ],
    )
    def test_the_kind_of_the_lowest_loss_on_held_out_songs_is_the_challenger(
        self, root: Path, params: Params, losses: dict[str, float], challenger: str, baseline: str
    ) -> None:
        change_losses(root, **losses)
        version = mlflow.register_challenger(params, root)
        client = asking(root)
        found = client.get_model_version_by_alias(params.registry.model, "challenger")
        assert (str(found.version), found.tags["kind"]) == (version, challenger)
        assert client.get_model_version_by_alias(params.registry.model, "baseline").tags["kind"] == baseline

    def test_without_held_out_songs_it_is_the_network(self, root: Path, params: Params) -> None:
        metrics = read_json(root / "reports/metrics.json")
        metrics["held_out"] = {}
        for kind in MODELS:
            del metrics[kind]["validation_accuracy"]
        write_json(root / "reports/metrics.json", metrics)
        version = mlflow.register_challenger(params, root)
        assert asking(root).get_model_version(params.registry.model, version).tags["kind"] == "network"

    def test_registering_the_same_runs_again_gives_the_same_version(self, root: Path, params: Params) -> None:
        first = mlflow.register_challenger(params, root)
        assert mlflow.register_challenger(params, root) == first
        assert len(asking(root).search_model_versions(f"name = '{params.registry.model}'")) == 2

    def test_runs_that_this_mlflow_does_not_know_are_recorded_first(self, root: Path, params: Params) -> None:
        write_json(root / "reports/run.json", {kind: {"run_id": "0" * 32, "model_id": "m"} for kind in MODELS})
        version = mlflow.register_challenger(params, root)
        found = asking(root).get_model_version(params.registry.model, version)
        assert found.run_id == read_json(root / "reports/run.json")["forest"]["run_id"]

    def test_nothing_trained_is_said_with_the_remedy(self, tmp_path: Path, params: Params) -> None:
        with pytest.raises(RegistryError, match="dvc repro"):
            mlflow.register_challenger(params, tmp_path)


class TestCompare:
    def test_the_first_model_has_to_beat_the_majority_class(self, root: Path, params: Params) -> None:
        version = mlflow.register_challenger(params, root)
        verdict = mlflow.compare(params, root)
        assert verdict.promote
        assert (verdict.challenger, verdict.champion, verdict.opponent) == (version, None, "majority class")
        assert verdict.accuracy == 1.0 and verdict.opponent_accuracy == 0.5
        assert (verdict.tracks, verdict.groups, verdict.left_out) == (14, 14, 0)

    def test_a_first_model_that_guesses_stays_outside(self, root: Path, params: Params) -> None:
        change_losses(root, network=0.1)
        mlflow.register_challenger(params, root)
        verdict = mlflow.compare(params, root)
        assert not verdict.promote
        assert "is not shown to be better than the majority class" in verdict.reason

    def test_a_better_challenger_passes_and_the_verdict_is_noted(self, root: Path, params: Params) -> None:
        worse = promoted_network(root, params)
        version = mlflow.register_challenger(params, root)
        verdict = mlflow.compare(params, root)
        assert verdict.promote and verdict.champion == worse and verdict.difference is not None
        assert verdict.difference.value == pytest.approx(0.5, abs=0.26) and verdict.difference.low > 0
        client = asking(root)
        found = client.get_model_version(params.registry.model, version)
        assert found.tags["verdict"] == "promote" and found.tags["verdict.reason"] == verdict.reason
        assert client.get_run(found.run_id).data.tags["verdict"] == "promote"

    def test_tracks_that_the_champion_was_trained_on_are_left_out(self, root: Path, params: Params) -> None:
        promoted_network(root, params)
        mlflow.register_challenger(params, root)
        splits = pd.read_parquet(root / "data/splits.parquet")
        splits.loc[splits["track_id"].isin([f"train{number:02}.wav" for number in range(10)]), "split"] = "test"
        splits.to_parquet(root / "data/splits.parquet")
        verdict = mlflow.compare(params, root)
        assert (verdict.tracks, verdict.left_out) == (14, 10)
        assert "10 test tracks were left out" in verdict.reason

    def test_a_genre_that_the_champion_does_not_know_counts_as_wrong_and_is_named(
        self, root: Path, params: Params
    ) -> None:
        promoted_network(root, params)
        mlflow.register_challenger(params, root)
        splits = pd.read_parquet(root / "data/splits.parquet")
        splits.loc[splits["split"] == "test", "genre"] = "whistling"
        splits.to_parquet(root / "data/splits.parquet")
        verdict = mlflow.compare(params, root)
        assert verdict.unanswerable == ("whistling",) and verdict.opponent_accuracy == 0.0
        assert "does not know whistling" in verdict.reason

    def test_the_champion_compared_with_itself_is_not_promoted(self, root: Path, params: Params) -> None:
        version = mlflow.register_challenger(params, root)
        mlflow.promote(params, root, version, YES)
        verdict = mlflow.compare(params, root)
        assert not verdict.promote and "is the champion already" in verdict.reason

    def test_without_a_challenger_the_remedy_is_named(self, root: Path, params: Params) -> None:
        with pytest.raises(RegistryError, match="challenger"):
            mlflow.compare(params, root)


def promoted_network(root: Path, params: Params) -> str:
    """Make the guessing network the champion, then set the project back to where the forest is better."""
    before = (root / "reports/metrics.json").read_bytes()
    change_losses(root, network=0.1)
    version = mlflow.register_challenger(params, root)
    mlflow.promote(params, root, version, YES)
    (root / "reports/metrics.json").write_bytes(before)
    return version


class TestPromoteAndRollback:
    def test_the_old_champion_becomes_previous_and_the_new_one_is_exported(self, root: Path, params: Params) -> None:
        old = promoted_network(root, params)
        new = mlflow.register_challenger(params, root)
        mlflow.promote(params, root, new, YES)
        client = asking(root)
        assert mlflow.champion_version(params, root) == new
        assert str(client.get_model_version_by_alias(params.registry.model, "previous").version) == old
        assert load_predictor(root / CHAMPION).kind == "forest"
        note = read_json(root / CHAMPION / "champion.json")
        assert note["version"] == new and note["run_id"] == client.get_model_version(params.registry.model, new).run_id
        made = {"champion", "examples", "neighbours", "portable", *MODELS}
        assert {path.name for path in (root / CHAMPION).parent.iterdir()} == made

    @pytest.mark.parametrize(
        ("kind", "graphs"),
        [("network", {"excerpts.onnx"}), ("blend", {"network/excerpts.onnx"}), ("forest", set()), ("machine", set())],
    )
    def test_songs_examples_and_the_engines_file_travel_with_the_predictor(
        self, root: Path, params: Params, kind: str, graphs: set[str]
    ) -> None:
        change_losses(root, **{kind: 0.01})
        mlflow.promote(params, root, mlflow.register_challenger(params, root), YES)
        champion = root / CHAMPION
        assert load_predictor(champion).kind == kind
        assert (champion / "neighbours/songs.parquet").read_text() == f"songs by the {kind}"
        assert read_json(champion / "examples/examples.json") == []
        assert {str(path.relative_to(champion)) for path in champion.rglob("excerpts.onnx")} == graphs
        assert size_mib(champion) == size_mib(root / MODELS[kind])
        assert _identity(champion) == _identity(root / MODELS[kind])

    def test_the_note_beside_it_has_all_that_the_registry_knows_of_it(self, root: Path, params: Params) -> None:
        version = mlflow.register_challenger(params, root)
        verdict = mlflow.compare(params, root)
        mlflow.promote(params, root, version, verdict, because="it is better")
        note, found = (
            read_json(root / CHAMPION / "champion.json"),
            asking(root).get_model_version(params.registry.model, version),
        )
        # What happened, with the promotion itself, is written down after it.
        assert note["tags"] == {name: value for name, value in found.tags.items() if name != "events"}
        assert {"gate.gain", "verdict", "verdict.gates", "data.catalogue_md5", "data.collection"} <= set(note["tags"])
        assert (note["tags"]["accuracy"], note["tags"]["accuracy_low"], note["tags"]["accuracy_high"]) == (
            "0.8000", "0.7000", "0.9000",
        )  # fmt: skip
        assert note["tags"]["promoted.because"] == "it is better"
        assert note["since"] == note["tags"]["promoted.at"] == json.loads(found.tags["events"])[-1]["at"]
        registered = datetime.fromisoformat(note["registered"]).timestamp() * 1000
        assert registered == pytest.approx(found.creation_timestamp, abs=1)

    def test_after_a_rollback_the_note_is_of_the_one_that_was_put_back(self, root: Path, params: Params) -> None:
        old = promoted_network(root, params)
        mlflow.promote(params, root, mlflow.register_challenger(params, root), YES)
        before = read_json(root / CHAMPION / "champion.json")
        mlflow.rollback(params, root)
        note = read_json(root / CHAMPION / "champion.json")
        assert (note["version"], note["kind"]) == (old, "network") and note["since"] > before["since"]
        assert (root / CHAMPION / "neighbours/songs.parquet").read_text() == "songs by the network"

    def test_promoting_the_champion_again_keeps_previous(self, root: Path, params: Params) -> None:
        old = promoted_network(root, params)
        new = mlflow.register_challenger(params, root)
        for _ in range(2):
            mlflow.promote(params, root, new, YES)
        assert str(asking(root).get_model_version_by_alias(params.registry.model, "previous").version) == old

    def test_rollback_puts_the_previous_one_back_and_forth(self, root: Path, params: Params) -> None:
        old = promoted_network(root, params)
        new = mlflow.register_challenger(params, root)
        mlflow.promote(params, root, new, YES)
        assert mlflow.rollback(params, root) == old == mlflow.champion_version(params, root)
        assert load_predictor(root / CHAMPION).kind == "network"
        assert mlflow.rollback(params, root) == new == mlflow.champion_version(params, root)

    def test_without_a_previous_champion_there_is_no_way_back(self, root: Path, params: Params) -> None:
        mlflow.promote(params, root, mlflow.register_challenger(params, root), YES)
        with pytest.raises(RegistryError, match="no earlier champion"):
            mlflow.rollback(params, root)

    def test_a_version_that_cannot_be_had_is_not_promoted(self, root: Path, params: Params) -> None:
        version = mlflow.register_challenger(params, root)
        mlflow.promote(params, root, version, YES)
        with pytest.raises(RegistryError):
            mlflow.promote(params, root, "99", YES)
        assert mlflow.champion_version(params, root) == version


class TestFetch:
    def test_the_fetched_champion_answers_as_the_trained_model_did(
        self, root: Path, params: Params, tmp_path: Path
    ) -> None:
        version = mlflow.register_challenger(params, root)
        mlflow.promote(params, root, version, YES)
        info = mlflow.fetch_champion(params, root, tmp_path / "here")
        assert (info.version, info.folder) == (version, tmp_path / "here")
        assert info.run_id == read_json(root / "reports/run.json")["forest"]["run_id"]
        waveform = decode(root / "data/collections/tones/audio/test01.wav").waveform[0]
        assert load_predictor(info.folder).predict(waveform) == load_predictor(root / "models/forest").predict(waveform)

    def test_without_a_champion_the_version_is_none_and_fetching_names_the_remedy(
        self, root: Path, params: Params, tmp_path: Path
    ) -> None:
        assert mlflow.champion_version(params, root) is None
        mlflow.register_challenger(params, root)
        assert mlflow.champion_version(params, root) is None
        with pytest.raises(RegistryError, match="is the champion"):
            mlflow.fetch_champion(params, root, tmp_path / "here")


class TestPlaces:
    def test_asking_for_the_champion_makes_no_database(
        self, tmp_path: Path, params: Params, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
        assert mlflow.champion_version(params, tmp_path) is None
        assert list(tmp_path.iterdir()) == []

    def test_programs_that_meet_at_a_new_project_make_its_database_once(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
        code = """
            import sys, mlflow.store.db.utils
            from pathlib import Path
            from earmark.adapters.tracking import reaching
            print("ready", flush=True), input()
            with reaching(Path()) as client:
                print(client.search_experiments()[0].name, client.search_registered_models())
        """
        command = [sys.executable, "-c", textwrap.dedent(code)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        programs = [subprocess.Popen(command, cwd=tmp_path, **pipes) for _ in range(4)]
        for program in programs:
            assert program.stdout.readline() == "ready\n"
        for program in programs:
            program.stdin.write("\n")
            program.stdin.flush()
        assert [program.communicate()[0] for program in programs] == ["Default []\n"] * 4

    def test_two_runs_that_meet_at_a_new_experiment_share_it(self, tmp_path: Path, params: Params) -> None:
        with reaching(tmp_path) as client:
            for name in [f"experiment {number}" for number in range(20)]:
                named = replace(params, registry=replace(params.registry, experiment=name))
                first, second = twice_at_once(_experiment, client, named, tmp_path)
                assert first == second == client.get_experiment_by_name(name).experiment_id

    def test_a_project_that_was_moved_finds_its_champion_where_it_lies_now(
        self, root: Path, params: Params, tmp_path: Path
    ) -> None:
        mlflow.promote(params, root, mlflow.register_challenger(params, root), YES)  # `root` is a copy: moved already
        for about in (root / "mlruns").rglob("predictor.json"):
            write_json(about, read_json(about) | {"data_hash": "as it lies now"})
        info = mlflow.fetch_champion(params, root, tmp_path / "here")
        assert load_predictor(info.folder).data_hash == "as it lies now"

    @pytest.mark.timeout(60)  # MLflow's own way would be to go on trying for minutes
    @pytest.mark.parametrize("call", [mlflow.record, mlflow.champion_version])
    def test_a_server_that_is_down_is_named_soon(
        self, template: Path, params: Params, monkeypatch: pytest.MonkeyPatch, call: Any
    ) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))  # bound and not listening: every connection is refused
            monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://user:secret@127.0.0.1:{taken.getsockname()[1]}")
            with pytest.raises(RegistryError, match="MLFLOW_TRACKING_URI") as caught:
                call(params, template)
        assert "secret" not in str(caught.value)


@pytest.mark.long
def test_the_whole_way_with_a_server(
    template: Path, server: str, tmp_path: Path, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = Path(shutil.copytree(template, tmp_path / "project"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    assert mlflow.champion_version(params, root) is None
    old = promoted_network(root, params)
    assert len(runs(root, params)) == 4

    new = mlflow.register_challenger(params, root)
    verdict = mlflow.compare(params, root)
    assert verdict.promote and (verdict.champion, verdict.challenger) == (old, new)
    with reaching(root) as client:  # the list of what was compared comes from the server
        looked = looked_at(client, params, root, test_tracks(root)[0])
    assert (looked.tracks, looked.looks) == (PARTS["test"], 1)
    mlflow.promote(params, root, new, verdict)
    assert mlflow.champion_version(params, root) == new
    info = mlflow.fetch_champion(params, root, tmp_path / "here")
    assert load_predictor(info.folder).kind == load_predictor(root / CHAMPION).kind == "forest"

    model = client_library.pyfunc.load_model(f"models:/{params.registry.model}@champion")
    assert list(model.predict(model.input_example).columns) == list(GENRES)
    assert mlflow.rollback(params, root) == old == mlflow.champion_version(params, root)
    assert read_json(root / "reports/run.json")["tracking_uri"] == server
    assert not (root / "mlflow.db").exists() and not (root / "mlruns").exists()
