"""The door around a real `bentoml serve` with two workers: what they share, what they log, what a killed one leaves."""

import json
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from serving_tools import Server, make_project, serving

from earmark.serving.keys import KEYS, add_key, revoke_key
from earmark.serving.runtime import SERVICE

pytestmark = pytest.mark.slow

PER_MINUTE = 40
SERVICE_FILE = """
from pathlib import Path

import bentoml

from earmark.params import load_params
from earmark.serving.door import Door
from earmark.serving.runtime import runtime_folder

ROOT = Path(__file__).parent


class Guarded(bentoml.Service):
    def to_asgi(self, is_main=True):
        return Door.of(super().to_asgi(is_main=is_main), load_params(ROOT / "params.yaml").service, ROOT)


@bentoml.service(name="small", service_class=Guarded, workers=2, logging={"access": {"enabled": False}})
class Small:
    @bentoml.api
    def greet(self, secret: str) -> str:
        return runtime_folder(ROOT).name

    @bentoml.api
    def fail(self, secret: str) -> str:
        raise RuntimeError("it fails")
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    root = make_project(tmp_path_factory.mktemp("small"))
    params = yaml.safe_load((root / "params.yaml").read_text())
    params["service"]["requests_per_minute"] = PER_MINUTE
    (root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    (root / "service.py").write_text(SERVICE_FILE)
    (root / "bentofile.yaml").unlink()
    with serving(root, "service:Small", home=root / "bentoml", log=root / "log") as server:
        server.wait_until(lambda: len(folders(server)) == 2)
        yield server


def root_of(server: Server) -> Path:
    return server.log.parent


def folders(server: Server) -> set[str]:
    base = root_of(server) / SERVICE
    return {folder.name for folder in base.glob("*-*")} if base.is_dir() else set()


def lines(server: Server) -> list[dict]:
    return [json.loads(line) for line in server.log.read_text().splitlines() if line.startswith("{")]


class TestTwoWorkers:
    def test_count_together_and_take_up_keys_together(self, server):
        root = root_of(server)
        few = add_key(root / KEYS, "few", requests_per_minute=PER_MINUTE)
        # Each request on a connection of its own, so that both workers answer.
        headers = {"x-api-key": few, "connection": "close"}
        answers = [server.client.post("/greet", json={"secret": "x"}, headers=headers) for _ in range(PER_MINUTE + 20)]
        passed = [answer for answer in answers if answer.status_code == 200]
        assert (
            len({answer.json() if "json" in answer.headers["content-type"] else answer.text for answer in passed}) == 2
        )
        assert PER_MINUTE <= len(passed) <= PER_MINUTE + 8  # what the seconds that this takes give
        assert {answer.status_code for answer in answers} == {200, 429}
        assert {server.client.post("/greet", json={"secret": "x"}).status_code for _ in range(4)} == {401}
        revoke_key(root / KEYS, "few")
        assert {server.client.post("/greet", json={"secret": "x"}, headers=headers).status_code for _ in range(6)} == {
            401
        }
        (root / KEYS).unlink()
        assert server.client.post("/greet", json={"secret": "x"}).status_code == 200

    def test_tell_nothing_of_bentoml(self, server):
        for path in ("/greet", "/nowhere"):
            answer = server.client.post(path, json={"secret": "x"})
            assert "server" not in answer.headers
            assert not [name for name in answer.headers if "bento" in name]
            assert answer.headers["x-content-type-options"] == "nosniff"

    def test_write_one_line_of_json_for_each_request_and_no_address(self, server):
        answer = server.client.post("/greet?q=hidden", json={"secret": "hidden"}, headers={"x-request-id": "line-1"})
        failed = server.client.post("/fail", json={"secret": "hidden"}, headers={"x-request-id": "line-2"})
        assert (answer.status_code, failed.status_code) == (200, 500)
        server.wait_until(lambda: "line-2" in server.log.read_text(), seconds=20)
        found = [line for line in lines(server) if line.get("request_id") == "line-1"]
        assert [(line["path"], line["status"]) for line in found] == [("/greet", 200)]
        (stack,) = [line for line in lines(server) if line.get("request_id") == "line-2" and "stack" in line]
        assert "it fails" in stack["stack"]
        text = server.log.read_text()
        assert "hidden" not in text and "127.0.0.1" not in text.replace(f"127.0.0.1:{server.client.base_url.port}", "")

    def test_leave_nothing_when_one_is_killed(self, server):
        victim = next(iter(folders(server)))
        (root_of(server) / SERVICE / victim / "upload").write_bytes(b"a song")
        os.kill(int(victim.split("-")[0]), signal.SIGKILL)
        server.wait_until(lambda: len(folders(server)) == 2 and victim not in folders(server), seconds=60)
        assert not list((root_of(server) / SERVICE).glob("*/upload"))
        server.wait_until(lambda: server.answers("/livez"))

    def test_speak_the_guarded_protocol(self, server):
        with socket.create_connection(("127.0.0.1", server.client.base_url.port), timeout=10) as connection:
            connection.sendall(b"this is no http\r\n\r\n")
            assert b'"malformed"' in connection.recv(65_536) + connection.recv(65_536)

    def test_take_their_folders_along_when_they_end_in_good_order(self, server):
        server.process.send_signal(signal.SIGTERM)
        server.process.wait(60)
        assert folders(server) == set()
