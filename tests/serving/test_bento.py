"""A built bento serves from its own folder, away from the checkout."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from serving_tools import Server, environment, export, make_project, serving, tone_wav, untrained

from scratch import CHECKOUT

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def bento(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bento built from a project like this one, moved to another place, the project gone."""
    project = make_project(tmp_path_factory.mktemp("to-build"))
    shutil.copy(CHECKOUT / "requirements.lock", project)
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
    return away


@pytest.fixture(scope="module")
def server(bento: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The bento served from a working folder that has nothing to do with it."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    with serving(elsewhere, str(bento), home=elsewhere / "bentoml", log=elsewhere / "log") as server:
        server.wait_until(lambda: server.answers("/readyz"))
        yield server


class TestBento:
    def test_it_answers_with_the_champion_that_it_was_built_with(self, server):
        answer = server.predict(tone_wav(3.0)).json()
        assert {genre["genre"] for genre in answer["genres"]} == {"polka", "waltz"}
        assert answer["model"]["version"] == "9"

    def test_it_refuses_in_the_same_shape(self, server):
        response = server.predict(b"no music")
        assert (response.status_code, response.json()["error"]["code"]) == (415, "not_audio")

    def test_it_runs_its_own_copy_of_the_code(self, server):
        assert "the copy in the bento" in server.client.get("/docs.json").json()["info"]["description"]

    def test_its_page_is_there(self, server):
        assert "swagger" in server.client.get("/").text

    def test_it_carries_code_model_settings_and_the_exact_versions_and_nothing_else(self, bento):
        inside = {path.name for path in (bento / "src").iterdir()}
        assert inside == {"earmark", "models", "params.yaml", "bentofile.yaml"}
        locked = (CHECKOUT / "requirements.lock").read_text()
        torch_line = next(line for line in locked.splitlines() if line.startswith("torch=="))
        assert torch_line.split()[0] in (bento / "env/python/requirements.txt").read_text()

    def test_the_bento_tells_its_endpoint_in_its_openapi_file(self, bento):
        spec = yaml.safe_load((bento / "apis/openapi.yaml").read_text())
        assert "/predict" in spec["paths"]
        assert "ErrorAnswer" in spec["components"]["schemas"]
