"""compose.yaml says nothing that the tests do not run: commands, ports, variables and paths are held against them."""

import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml

from earmark.adapters.supervisor import free_port
from earmark.stack import Stack
from scratch import CHECKOUT

COMPOSE: dict[str, Any] = yaml.safe_load((CHECKOUT / "compose.yaml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
STACK = Stack(Path("/project"), prefect_port=4200, mlflow_port=5000, service_port=3000)
PORTS = {"prefect": 4200, "mlflow": 5000, "service": 3000}


def flags(command: list[str]) -> set[str]:
    return {part.partition("=")[0] for part in command if part.startswith("--")}


class TestCommands:
    def test_prefect_is_started_as_earmark_up_does(self):
        program, *ours = STACK.prefect.command[-7:]
        assert Path(program).name == "prefect"
        assert SERVICES["prefect"]["command"] == ["prefect", *(part.replace("127.0.0.1", "0.0.0.0") for part in ours)]

    def test_the_service_is_started_as_earmark_up_does_but_for_its_folder(self):
        program, serve, *where = STACK.service().command
        told = SERVICES["service"]["command"]
        assert told[:2] == [Path(program).name, serve]
        assert told[3:] == [part.replace("127.0.0.1", "0.0.0.0") for part in where]

    def test_mlflow_is_started_as_the_tests_of_the_registry_do(self):
        tests = (CHECKOUT / "tests/adapters/test_mlflow.py").read_text()
        (server,) = re.findall(r'command = \[sys.executable, "-m", "mlflow", "server", .*\n.*\n', tests)
        assert flags(SERVICES["mlflow"]["command"]) == set(re.findall(r'"(--[a-z-]+)"', server)) | {"--allowed-hosts"}

    def test_databases_are_spoken_to_by_the_drivers_that_the_tests_use(self):
        prefect = SERVICES["prefect"]["environment"]["PREFECT_SERVER_DATABASE_CONNECTION_URL"]
        mlflow = next(part for part in SERVICES["mlflow"]["command"] if part.startswith("--backend-store-uri"))
        feedback = SERVICES["service"]["environment"]["EARMARK_FEEDBACK_STORE"]
        for address, tests in (
            (prefect, "flows/conftest.py"),
            (mlflow.partition("=")[2], "adapters/test_mlflow.py"),
            (feedback, "feedback_tools.py"),
        ):
            scheme = address.partition("//")[0]
            assert f'"{scheme}" +' in (CHECKOUT / "tests" / tests).read_text()

    def test_each_database_is_made(self):
        made = set(re.findall(r"CREATE DATABASE (\w+);", COMPOSE["configs"]["databases"]["content"]))
        assert set(re.findall(r"@postgres/(\w+)", (CHECKOUT / "compose.yaml").read_text())) == made


class TestPlaces:
    @pytest.mark.parametrize(("name", "port"), PORTS.items())
    def test_ports_are_the_usual_ones_and_open_to_this_machine_alone(self, name, port):
        assert SERVICES[name]["ports"] == [f"127.0.0.1:{port}:{port}"]
        assert str(port) in " ".join(SERVICES[name]["command"])

    @pytest.mark.parametrize(
        ("name", "service"), [("prefect", STACK.prefect), ("mlflow", STACK.mlflow), ("service", STACK.service())]
    )
    def test_health_is_asked_where_earmark_up_asks(self, name, service):
        assert f"'{service.health}'" in SERVICES[name]["healthcheck"]["test"][-1]

    def test_containers_find_each_other(self):
        assert SERVICES["service"]["environment"]["MLFLOW_TRACKING_URI"] == "http://mlflow:5000"
        assert SERVICES["prefect"]["environment"]["PREFECT_UI_API_URL"] == STACK.env["PREFECT_UI_API_URL"]

    def test_every_variable_is_one_that_is_told(self):
        page = (CHECKOUT / "docs/serving.md").read_text()
        for name in SERVICES["service"]["environment"]:
            if name.startswith(("EARMARK_", "MLFLOW_TRACKING")):
                assert f"| `{name}` |" in page
        quiet = (CHECKOUT / "src/earmark/adapters/processes.py").read_text() + (CHECKOUT / "Makefile").read_text()
        assert [name for name in COMPOSE["x-quiet"] if name not in quiet] == []
        known = STACK.env.keys() | COMPOSE["x-quiet"].keys() | {"PREFECT_SERVER_DATABASE_CONNECTION_URL"}
        assert SERVICES["prefect"]["environment"].keys() <= known

    def test_what_is_kept_lies_in_volumes(self):
        for name, service in SERVICES.items():
            for volume in service.get("volumes", []):
                assert volume.partition(":")[0] in COMPOSE["volumes"], name
        state = [volume for volume in SERVICES["service"]["volumes"] if volume.endswith(":/state")]
        assert state and SERVICES["service"]["environment"]["EARMARK_KEYS"].startswith("/state/")


@pytest.mark.slow
def test_mlflow_answers_to_the_name_that_containers_call_it_by(tmp_path):
    port = free_port(5600)
    changed = {
        "--host": "127.0.0.1",
        "--port": str(port),
        "--backend-store-uri": f"sqlite:///{tmp_path}/mlflow.db",
        "--artifacts-destination": str(tmp_path / "kept"),
    }
    command = [sys.executable, "-m"]
    for part in SERVICES["mlflow"]["command"]:
        flag, _, value = part.partition("=")
        command.append(f"{flag}={changed.get(flag, value)}" if value else part)
    log = tmp_path / "log"
    with log.open("w") as output:
        process = subprocess.Popen(
            command, cwd=tmp_path, env=os.environ | SERVICES["mlflow"]["environment"], stdout=output, stderr=output
        )
    try:

        def status(host: str) -> int | None:
            asked = urllib.request.Request(
                f"http://127.0.0.1:{port}/api/2.0/mlflow/registered-models/search", headers={"Host": host}
            )
            try:
                return urllib.request.urlopen(asked, timeout=10).status
            except urllib.error.HTTPError as error:
                return error.code
            except OSError:
                return None

        end = time.monotonic() + 120
        while status("mlflow:5000") is None:
            assert process.poll() is None and time.monotonic() < end, log.read_text()
            time.sleep(0.3)
        assert [status(host) for host in ("mlflow:5000", "127.0.0.1:5000", "localhost:5000")] == [200] * 3
        assert status("evil.example.org") == 403
    finally:
        process.terminate()
        process.wait(30)
