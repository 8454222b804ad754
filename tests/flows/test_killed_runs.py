"""A run and the server killed together: the place that the run held on its workspace comes back by itself."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from earmark.adapters.supervisor import Supervisor
from earmark.stack import Stack

pytestmark = pytest.mark.long

HOLD = """
    import sys, time
    from pathlib import Path
    from earmark.adapters.prefect import one_at_a_time
    with one_at_a_time(Path(sys.argv[1])):
        print("held", flush=True)
        time.sleep(float(sys.argv[2]))
"""


def holder(stack: Stack, root: Path, seconds: float) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", textwrap.dedent(HOLD), str(root), str(seconds)]
    return subprocess.Popen(command, env={**os.environ, **stack.env}, stdout=subprocess.PIPE)


def test_after_run_and_server_were_killed_the_next_run_gets_its_turn(tmp_path):
    stack = Stack.on_free_ports(tmp_path)
    (tmp_path / ".earmark" / "prefect").mkdir(parents=True)
    with Supervisor(tmp_path) as supervisor:
        supervisor.start(stack.prefect)
        supervisor.wait_until_ready()
        with holder(stack, tmp_path, 600) as first:
            assert first.stdout is not None and first.stdout.readline() == b"held\n"
            first.kill()
    with Supervisor(tmp_path) as supervisor:
        supervisor.start(stack.prefect)
        supervisor.wait_until_ready()
        with holder(stack, tmp_path, 0) as second:
            assert second.communicate(timeout=300)[0] == b"held\n"
