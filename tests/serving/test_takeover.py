"""A server that starts without a champion, and takes up each one that a real MLflow registry promotes, under load."""

import threading
import time
from collections.abc import Iterator

import mlflow
import pytest
from serving_tools import NetworkPredictor, Server, make_project, serving, tone_wav, untrained

from earmark.adapters.packing import log_model
from earmark.adapters.registry import promote
from earmark.adapters.tracking import reaching
from earmark.model.comparing.promotion import Verdict
from earmark.params import load_params

GENRES = {"1": ("jig", "reel"), "2": ("polka", "waltz", "march")}
SONG = tone_wav(3.0)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return make_project(tmp_path_factory.mktemp("takeover"))


@pytest.fixture(autouse=True)
def no_other_registry(monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    yield
    mlflow.set_tracking_uri(None)
    mlflow.set_registry_uri(None)


@pytest.fixture(scope="module")
def server(root) -> Iterator[Server]:
    with serving(root, home=root / "bentoml", log=root / "log") as server:
        yield server


def make_champion(root, predictor: NetworkPredictor) -> tuple[str, str]:
    """Log, register and promote ``predictor`` in the embedded registry; its version and run."""
    params = load_params(root / "params.yaml")
    folder = root / "fresh"
    predictor.save(folder)
    with reaching(root) as client:
        if client.get_experiment_by_name("earmark") is None:
            client.create_experiment("earmark", artifact_location=(root / "mlruns").as_uri())
            client.create_registered_model("earmark")
        with mlflow.start_run(experiment_id=client.get_experiment_by_name("earmark").experiment_id) as run:
            model = log_model(folder)
        source = f"models:/{model.model_id}"
        made = client.create_model_version("earmark", source, run.info.run_id, model_id=model.model_id)
    version = str(made.version)
    promote(params, root, version, Verdict(promote=True, reason="the test says so", challenger=version))
    return version, run.info.run_id


class TestWithoutChampion:
    def test_it_is_alive_and_not_ready(self, server):
        assert server.client.get("/livez").status_code == 200
        assert server.client.get("/readyz").status_code == 503

    def test_it_answers_503_with_the_remedy_and_no_path(self, server, root):
        response = server.predict(SONG)
        assert response.status_code == 503
        error = response.json()["error"]
        assert error["code"] == "no_champion"
        assert "earmark demo" in error["message"]
        assert str(root) not in response.text
        assert "retry-after" in response.headers

    def test_a_bad_request_is_told_so_even_then(self, server):
        assert server.client.post("/predict", files={"song": SONG}).status_code == 422


class TestTakeover:
    def test_the_first_champion_is_taken_up_and_the_next_replaces_it_without_a_failed_or_mixed_answer(
        self, server, root
    ):
        version, run_id = make_champion(root, untrained(labels=GENRES["1"]))
        server.wait_until(lambda: server.answers("/readyz"), seconds=30)
        told = server.predict(SONG).json()["model"]
        assert (told["name"], told["version"], told["run_id"]) == ("earmark", version, run_id)

        answers, asked_at, done = [], {}, threading.Event()

        def ask_on_and_on() -> None:
            while not done.is_set():
                now = time.monotonic()
                answer = server.predict(SONG)
                answers.append(answer)
                asked_at[id(answer)] = now

        askers = [threading.Thread(target=ask_on_and_on) for _ in range(4)]
        for asker in askers:
            asker.start()
        try:
            version, _ = make_champion(root, untrained(labels=GENRES["2"]))
            promoted_at = time.monotonic()
            server.wait_until(lambda: server.predict(SONG).json()["model"]["version"] == version, seconds=15)
            time.sleep(5.0)
        finally:
            done.set()
            for asker in askers:
                asker.join()

        assert {answer.status_code for answer in answers} == {200}
        # In every worker, though nothing is spared for the loading: four ask on and on.
        old = [asked_at[id(answer)] for answer in answers if answer.json()["model"]["version"] == "1"]
        assert max(old) - promoted_at < 5.0
        told = [answer.json() for answer in answers]
        assert {answer["model"]["version"] for answer in told} == {"1", "2"}
        for answer in told:
            assert {genre["genre"] for genre in answer["genres"]} == set(GENRES[answer["model"]["version"]])

    def test_a_version_that_is_taken_away_stays_in_service(self, server, root):
        with reaching(root) as client:
            client.delete_registered_model_alias("earmark", "champion")
        server.wait_until(lambda: "version 2 stays in service" in server.log.read_text(), seconds=30)
        assert server.predict(SONG).json()["model"]["version"] == "2"
