"""`earmark up`: what it would start, and that only one runs; and once the real thing, started, used, killed, gone."""

import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from earmark import stack as stacks
from earmark.adapters.supervisor import answers
from earmark.errors import ToolError
from earmark.stack import Stack, only_one
from scratch import CHECKOUT, scratch_project

EARMARK = str(Path(sys.executable).with_name("earmark"))


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    return Stack.on_free_ports(tmp_path)


def all_services(stack: Stack):
    return [stack.prefect, stack.mlflow, stack.schedules, stack.service()]


def test_nothing_listens_to_other_machines(stack):
    for service in (stack.prefect, stack.mlflow, stack.service()):
        command = list(service.command)
        assert command[command.index("--host") + 1] == "127.0.0.1"
        assert service.address.startswith("http://127.0.0.1:")


def test_everything_that_the_tools_keep_lies_in_the_project(stack, tmp_path):
    for service in all_services(stack):
        assert Path(service.env["PREFECT_HOME"]).is_relative_to(tmp_path)
        assert Path(service.env["BENTOML_HOME"]).is_relative_to(tmp_path)
    assert f"sqlite:///{tmp_path}/mlflow.db" in stack.mlflow.command
    assert str(tmp_path / "mlruns") in stack.mlflow.command


def test_every_service_is_told_where_the_others_are(stack):
    for service in all_services(stack):
        assert service.env["PREFECT_API_URL"] == f"{stack.prefect.address}/api"
        assert service.env["MLFLOW_TRACKING_URI"] == stack.mlflow.address


def test_without_mlflows_server_the_database_in_the_project_is_used(stack, tmp_path):
    assert stack.without_mlflow().service().env["MLFLOW_TRACKING_URI"] == f"sqlite:///{tmp_path}/mlflow.db"


def test_taken_ports_are_avoided_and_no_two_services_share_one(tmp_path):
    first, second = Stack.on_free_ports(tmp_path), Stack.on_free_ports(tmp_path)
    ports = [port for each in (first, second) for port in (each.prefect_port, each.mlflow_port, each.service_port)]
    assert len(set(ports)) == 6


def test_a_second_one_in_the_same_project_is_refused_and_a_killed_ones_lock_is_no_obstacle(tmp_path):
    hold = "import sys, time; from pathlib import Path; from earmark.stack import only_one\n"
    hold += "with only_one(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    first = subprocess.Popen([sys.executable, "-c", hold, str(tmp_path)], stdout=subprocess.PIPE)
    assert first.stdout is not None and first.stdout.readline() == b"held\n"
    with pytest.raises(ToolError, match="is running in"), only_one(tmp_path):
        pass
    first.kill()
    first.wait()
    first.stdout.close()
    with only_one(tmp_path):
        pass


def test_sigterm_ends_things_in_the_same_order_as_ctrl_c():
    with pytest.raises(KeyboardInterrupt), stacks.stop_on_signals():
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)


@pytest.mark.long
def test_up_starts_everything_and_after_ctrl_c_nothing_of_it_is_left(tmp_path):
    root = scratch_project(tmp_path)
    (root / "flows").symlink_to(CHECKOUT / "flows")
    (root / "bentofile.yaml").write_text((CHECKOUT / "bentofile.yaml").read_text())
    env = {
        name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "MLFLOW_", "BENTOML_"))
    }
    with subprocess.Popen([EARMARK, "up"], cwd=root, env=env, stdout=subprocess.PIPE, text=True) as up:
        try:
            use_and_end(up, root)
        finally:
            up.kill()


def use_and_end(up: subprocess.Popen[str], root: Path) -> None:
    assert up.stdout is not None
    addresses = {}
    for line in up.stdout:
        if match := re.match(r"  (\w+) +(http://\S+)", line):
            addresses[match[1]] = match[2]
        if line.startswith("Everything runs"):
            break
    assert set(addresses) == {"prefect", "mlflow", "schedules", "service"}, logs(root)
    for name, schedule in (("training/nightly", b"0 3 * * *"), ("feedback/hourly", b"20 * * * *")):
        with urllib.request.urlopen(f"{addresses['prefect']}/api/deployments/name/{name}") as answer:
            assert schedule in answer.read()
    family = descendants(up.pid)
    assert len(family) >= 8  # four services, four guards
    up.send_signal(signal.SIGINT)
    assert up.wait(60) == 0
    assert [pid for pid in family if Path(f"/proc/{pid}").exists()] == []
    assert not any(answers(address) for address in addresses.values())


def descendants(pid: int) -> list[int]:
    """Every process below ``pid``."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += [int(child), *descendants(int(child))]
    return found


def logs(root: Path) -> str:
    return "\n".join(f"{path}\n{path.read_text()[-2000:]}" for path in (root / ".earmark" / "logs").glob("*.log"))
