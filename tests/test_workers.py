"""Processes that work for a parent, and Ctrl-C in a terminal, which all of them hear."""

import os
import signal
import subprocess
import sys
import time

from ending import all_end

_SCRIPT = """
import time
from earmark.workers import Workers

if __name__ == "__main__":
    with Workers(2) as pool:
        jobs = [pool.submit(time.sleep, 60) for _ in range(8)]
        print("begun", flush=True)
        jobs[0].result()
"""


class TestCtrlC:
    def test_a_second_time_ends_what_the_first_waits_for(self, tmp_path):
        (tmp_path / "script.py").write_text(_SCRIPT)
        call = [sys.executable, str(tmp_path / "script.py")]
        with subprocess.Popen(
            call, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            process.stdout.readline()
            for _ in range(2):  # the first while its processes are starting
                os.killpg(process.pid, signal.SIGINT)
                time.sleep(1.0)
            try:
                assert process.wait(timeout=30) != 0  # and not after the minute that each job takes
            finally:
                assert all_end(process.pid, seconds=5.0), "a process is left"
            assert "SpawnProcess" not in process.stderr.read()  # what an interrupted worker says
