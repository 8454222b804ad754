"""A built bento serves from its own folder, away from the checkout."""

import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from serving_tools import Server, environment, export, make_project, serving, tone_wav, untrained

from scratch import CHECKOUT

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Bento:
    """A built bento: where it lies, and which files it had before anybody served it."""

    path: Path
    files: frozenset[str]


@pytest.fixture(scope="module")
def bento(tmp_path_factory: pytest.TempPathFactory) -> Bento:
    """A bento built from a project like this one, moved to another place, the project gone."""
    project = make_project(tmp_path_factory.mktemp("to-build"))
    for name in ("requirements.lock", "expectations.yaml"):
        shutil.copy(CHECKOUT / name, project)
    shutil.copytree(CHECKOUT / "src", project / "src", ignore=shutil.ignore_patterns("__pycache__"))
    # Only the bento's own copy of the code can know this description.
    service = project / "src/earmark/serving/service.py"
    service.write_text(service.read_text().replace("earmark says what", "the copy in the bento says what"))
    export(project, untrained(labels=("polka", "waltz")), version="9")
    home = project / "bentoml"
    command = [str(Path(sys.executable).with_name("bentoml")), "build", "--output", "tag"]
    built = subprocess.run(command, cwd=project, env=environment(home), capture_output=True, text=True, timeout=120)
    assert built.returncode == 0, built.stderr
    tag = built.stdout.strip().splitlines()[-1].removeprefix("__tag__:")
    away = tmp_path_factory.mktemp("away") / "bento"
    shutil.move(home / "bentos" / tag.replace(":", "/"), away)
    shutil.rmtree(project)
    files = (path.relative_to(away / "src").as_posix() for path in (away / "src").rglob("*") if path.is_file())
    return Bento(away, frozenset(files))


@pytest.fixture(scope="module")
def server(bento: Bento, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The bento served from a working folder that has nothing to do with it."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    with serving(elsewhere, str(bento.path), home=elsewhere / "bentoml", log=elsewhere / "log") as server:
        server.wait_until(lambda: server.answers("/readyz"))
        yield server


class TestBento:
    def test_it_answers_with_the_champion_that_it_was_built_with(self, server):
        answer = server.predict(tone_wav(3.0)).json()
        assert {genre["genre"] for genre in answer["genres"]} == {"polka", "waltz"}
        assert answer["model"]["version"] == "9"

    def test_a_container_starts_it_with_the_same_command(self, server, bento):
        program, serve, path, *where = server.process.args
        assert path == str(bento.path)
        told = yaml.safe_load((CHECKOUT / "compose.yaml").read_text())["services"]["service"]["command"]
        assert told[:2] == [Path(program).name, serve]
        assert told[3::2] == where[::2] == ["--host", "--port"]
        assert f"BENTO_PATH={told[2]}\n" in (bento.path / "env/docker/Dockerfile").read_text()

    def test_keys_can_be_made_in_it(self, bento, tmp_path):
        command = [sys.executable, "-m", "earmark.cli", "keys", "add", "shop"]
        env = environment(tmp_path) | {"EARMARK_KEYS": str(tmp_path / "keys.json")}
        done = subprocess.run(command, cwd=bento.path / "src", env=env, capture_output=True, text=True)
        assert (done.returncode, (tmp_path / "keys.json").is_file()) == (0, True), done.stderr

    def test_it_refuses_in_the_same_shape(self, server):
        response = server.predict(b"no music")
        assert (response.status_code, response.json()["error"]["code"]) == (415, "not_audio")

    def test_it_runs_its_own_copy_of_the_code(self, server):
        assert "the copy in the bento" in server.client.get("/docs.json").json()["info"]["description"]

    def test_its_page_is_there_with_all_its_files(self, server, bento):
        assert "<!DOCTYPE html>" in server.client.get("/").text
        page = [
            name.removeprefix("earmark/serving/") for name in bento.files if name.startswith("earmark/serving/page/")
        ]
        assert {Path(name).suffix for name in page} >= {".html", ".js", ".css"}
        checkout = CHECKOUT / "src/earmark/serving/page"
        assert len(page) == sum(path.is_file() for path in checkout.rglob("*"))
        assert [name for name in page if server.client.get(f"/{name}").status_code != 200] == []

    def test_its_openapi_page_is_there(self, server):
        assert "swagger" in server.client.get("/api").text

    def test_feedback_is_judged_by_its_own_rules(self, server):
        answer = server.predict(tone_wav(3.0)).json()
        event = {"event_id": uuid.uuid4().hex, "kind": "like", "value": 1, "prediction_id": answer["prediction_id"]}
        told = server.client.post("/feedback", json={"events": [event]}).json()
        assert told == {"accepted": 1, "known": 0, "refused": []}

        def judged() -> bool:
            return server.client.get(f"/feedback/{event['event_id']}").json()["state"] == "taken"

        server.wait_until(judged)

    def test_it_carries_code_model_settings_and_the_exact_versions_and_nothing_else(self, bento):
        inside = {name.partition("/")[0] for name in bento.files}
        assert inside == {"earmark", "models", "params.yaml", "expectations.yaml", "bentofile.yaml"}
        assert not [name for name in bento.files if "__pycache__" in name or name.endswith(".pyc")]
        packed = (bento.path / "env/python/requirements.txt").read_text()
        for line in (CHECKOUT / "requirements.lock").read_text().splitlines():
            if line.startswith(("torch==", "bentoml==", "usearch==", "onnxruntime==", "av==")):
                assert line.split()[0] in packed

    def test_the_bento_tells_its_endpoints_in_its_openapi_file(self, bento):
        spec = yaml.safe_load((bento.path / "apis/openapi.yaml").read_text())
        assert {"/predict", "/predict_batch", "/explain", "/similar", "/feedback"} <= set(spec["paths"])
        assert "ErrorAnswer" in spec["components"]["schemas"]


def test_the_command_needs_no_installed_package():
    """A bento has earmark as files; what judges feedback there is the command."""
    code = """
import importlib.metadata as metadata
real = metadata.version
def version(name):
    if name == "earmark":
        raise metadata.PackageNotFoundError(name)
    return real(name)
metadata.version = version
from earmark.cli import main
main(["--help"])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
