"""The supervisor with small real programs: ready, dead, slow, deaf, and ports that are taken."""

import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from earmark.adapters.supervisor import HOST, Service, Supervisor, answers, free_port
from earmark.errors import ToolError

SERVER = """
import http.server, os, sys
print("listening", os.environ.get("MOOD"), flush=True)
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), http.server.SimpleHTTPRequestHandler).serve_forever()
"""
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + SERVER
SOUR = "import sys, time; print('no strings on this fiddle'); time.sleep(0.5); sys.exit(4)"


@pytest.fixture
def supervisor(tmp_path: Path):
    with Supervisor(tmp_path) as supervisor:
        yield supervisor


def service(name: str, code: str, **how) -> Service:
    port = free_port(18_000)
    address = f"http://{HOST}:{port}"
    command = [sys.executable, "-c", code, str(port)]
    return Service(name, "a test", command, health=address, address=address, **how)


def test_a_service_is_ready_when_it_answers_and_silent_after_stop(supervisor):
    ready = []
    fiddle = service("fiddle", SERVER)
    supervisor.start(fiddle)
    supervisor.wait_until_ready(timeout_s=20, on_ready=lambda each: ready.append(each.name))
    assert ready == ["fiddle"]
    assert answers(fiddle.health)
    supervisor.stop()
    assert not answers(fiddle.health)


def test_each_is_reported_ready_once_though_one_waits_again_for_those_started_later(supervisor):
    ready = []
    for name in ("fiddle", "pipe"):
        supervisor.start(service(name, SERVER))
        supervisor.wait_until_ready(timeout_s=20, on_ready=lambda each: ready.append(each.name))
    assert ready == ["fiddle", "pipe"]


def test_the_environment_reaches_it_and_what_it_says_is_in_its_log(supervisor):
    supervisor.start(service("fiddle", SERVER, env={"MOOD": "dorian"}))
    supervisor.wait_until_ready(timeout_s=20)
    assert supervisor.log("fiddle").read_text().startswith("listening dorian")


def test_one_that_dies_before_it_is_ready_is_reported_with_its_last_words(supervisor):
    supervisor.start(service("bass", SOUR))
    with pytest.raises(ToolError, match=r"bass ended with exit code 4(.|\n)*no strings on this fiddle"):
        supervisor.wait_until_ready(timeout_s=20)


def test_watch_returns_only_when_one_has_died(supervisor):
    supervisor.start(service("fiddle", SERVER))
    supervisor.wait_until_ready(timeout_s=20)
    supervisor.start(service("bass", SOUR))
    with pytest.raises(ToolError, match="bass ended with exit code 4"):
        supervisor.watch()


def test_one_that_never_answers_is_named_after_the_time_out(supervisor):
    supervisor.start(service("bass", "import time; time.sleep(60)"))
    with pytest.raises(ToolError, match="bass does not answer"):
        supervisor.wait_until_ready(timeout_s=1)


def test_one_that_ignores_sigterm_is_gone_after_its_grace(tmp_path):
    deaf = service("deaf", DEAF, grace_seconds=0.5)
    with Supervisor(tmp_path) as supervisor:
        supervisor.start(deaf)
        supervisor.wait_until_ready(timeout_s=20)
        start = time.monotonic()
    assert deaf.grace_seconds <= time.monotonic() - start < Service.grace_seconds  # its own grace, not the usual one
    assert not answers(deaf.health)


class TestFreePort:
    def test_the_preferred_one_when_it_is_free(self):
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            port = probe.getsockname()[1]
        assert free_port(port) == port

    @pytest.mark.parametrize("host", [HOST, "0.0.0.0"])
    def test_the_next_one_when_somebody_listens_there_on_whatever_address(self, host):
        with socket.socket() as taken:
            taken.bind((host, 0))
            taken.listen(1)
            port = taken.getsockname()[1]
            assert free_port(port) > port

    def test_the_same_one_is_given_only_once_though_nobody_listens_there_yet(self):
        port = free_port(18_500)
        assert free_port(port) > port

    def test_nor_to_another_process_as_long_as_this_one_lives(self):
        code = (
            "import sys, time; from earmark.adapters.supervisor import free_port; print(free_port(18_700), flush=True)"
        )
        with subprocess.Popen([sys.executable, "-c", code + "; time.sleep(60)"], stdout=subprocess.PIPE) as other:
            assert other.stdout is not None
            theirs = int(other.stdout.readline())
            assert free_port(theirs) > theirs
            other.kill()
            other.wait()
        assert free_port(theirs) == theirs
