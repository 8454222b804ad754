"""Programs under guard: lines as they come, time-outs, and nothing left behind however earmark ends."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from earmark.adapters import processes
from earmark.errors import ToolError


def python(code: str) -> list[str]:
    return [sys.executable, "-c", textwrap.dedent(code)]


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


def wait_for(condition, seconds: float = 10.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return bool(condition())


# A program with a child in its group and one that has escaped into a session of its own; both ignore SIGTERM.
FAMILY = """
    import os, signal, subprocess, sys, time
    deaf = "from signal import *; signal(SIGTERM, SIG_IGN); print('deaf', flush=True); import time; time.sleep(300)"
    near = subprocess.Popen([sys.executable, "-c", deaf], stdout=subprocess.PIPE)
    far = subprocess.Popen([sys.executable, "-c", deaf], stdout=subprocess.PIPE, start_new_session=True)
    near.stdout.readline(), far.stdout.readline()
    print(os.getpid(), near.pid, far.pid, flush=True)
    time.sleep(300)
"""


class TestRun:
    @pytest.mark.timeout(60)
    def test_lines_come_one_by_one_while_the_program_still_runs(self, tmp_path):
        heard = tmp_path / "heard"
        code = f"""
            import os, time
            print("first")
            while not os.path.exists({str(heard)!r}): time.sleep(0.05)
            print("second")
        """
        lines = []
        processes.run(python(code), cwd=tmp_path, on_line=lambda line: (lines.append(line), heard.touch()))
        assert lines == ["first", "second"]

    def test_a_progress_bars_carriage_returns_end_lines_too(self, tmp_path):
        lines = []
        processes.run(python(r"print('10 %\r50 %\r100 %\n\ndone', end='')"), cwd=tmp_path, on_line=lines.append)
        assert lines == ["10 %", "50 %", "100 %", "done"]

    def test_both_streams_arrive_and_letters_cut_in_two_are_put_together(self, tmp_path):
        lines = []
        code = """
            import os, time
            os.write(2, b'M\\xc3'); time.sleep(0.2); os.write(2, b'\\xa4rz\\n')
            os.write(1, b'\\xff bad\\n')
        """
        processes.run(python(code), cwd=tmp_path, on_line=lines.append)
        assert lines == ["März", "\ufffd bad"]

    @pytest.mark.parametrize(
        ("code", "expected"), [("raise SystemExit(5)", 5), ("import os; os.kill(os.getpid(), 9)", 137)]
    )
    def test_the_exit_code_is_the_programs_own_or_128_and_the_signal(self, tmp_path, code, expected):
        assert processes.run(python(code), cwd=tmp_path, on_line=lambda line: None).exit_code == expected

    def test_a_program_that_does_not_exist_ends_with_127_as_in_a_shell(self, tmp_path):
        finished = processes.run(["/no/such/program"], cwd=tmp_path, on_line=lambda line: None)
        assert finished.exit_code == 127
        assert "No such file" in finished.tail[-1]

    def test_after_the_time_out_children_and_escaped_grandchildren_are_gone(self, tmp_path):
        lines = []
        start = time.monotonic()
        with pytest.raises(processes.TimedOut, match=r"within 5 s"):
            processes.run(python(FAMILY), cwd=tmp_path, on_line=lines.append, timeout_s=5, grace_seconds=0.5)
        assert time.monotonic() - start < 5 + processes.GRACE_SECONDS  # its own grace, not the usual one
        pids = [int(pid) for pid in lines[0].split()]
        assert len(pids) == 3
        assert [pid for pid in pids if is_running(pid)] == []

    def test_a_program_that_never_stops_talking_is_timed_out_all_the_same(self, tmp_path):
        with pytest.raises(processes.TimedOut):
            processes.run(python("while True: print('la')"), cwd=tmp_path, on_line=lambda line: None, timeout_s=0.5)

    def test_an_exception_while_listening_ends_the_program(self, tmp_path):
        pids = []

        def stumble(line: str) -> None:
            pids.extend(int(pid) for pid in line.split())
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            processes.run(python(FAMILY), cwd=tmp_path, on_line=stumble, grace_seconds=0.5)
        assert len(pids) == 3
        assert [pid for pid in pids if is_running(pid)] == []

    def test_a_child_left_behind_by_a_program_that_ended_well_is_ended_too(self, tmp_path):
        lines = []
        code = "import subprocess; print(subprocess.Popen(['sleep', '300'], start_new_session=True).pid)"
        finished = processes.run(python(code), cwd=tmp_path, on_line=lines.append)
        assert finished.exit_code == 0
        assert not is_running(int(lines[0]))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_when_earmark_itself_is_killed_nothing_it_started_stays(tmp_path, number):
    code = f"""
        from pathlib import Path
        from earmark.adapters import processes
        say = lambda line: print(line, flush=True)
        processes.run({python(FAMILY)!r}, cwd=Path({str(tmp_path)!r}), on_line=say, grace_seconds=0.5)
    """
    earmark = subprocess.Popen(python(code), stdout=subprocess.PIPE, text=True)
    assert earmark.stdout is not None
    pids = [int(pid) for pid in earmark.stdout.readline().split()]
    assert len(pids) == 3 and all(is_running(pid) for pid in pids)
    os.kill(earmark.pid, number)
    earmark.wait()
    assert wait_for(lambda: not any(is_running(pid) for pid in pids))
    earmark.stdout.close()


class TestProgram:
    def test_it_is_the_one_beside_this_python_whatever_path_says(self, monkeypatch):
        monkeypatch.setenv("PATH", "/nowhere")
        assert processes.program("dvc") == [str(Path(sys.executable).with_name("dvc"))]

    def test_a_program_that_is_not_installed_is_named(self):
        with pytest.raises(ToolError, match="no frobnicate in"):
            processes.program("frobnicate")


def test_children_are_told_to_keep_quiet_and_find_this_environments_programs_first():
    env = processes.environment({"EXTRA": "1"})
    assert env["PATH"].split(os.pathsep)[0] == str(Path(sys.executable).parent)
    assert env["BENTOML_DO_NOT_TRACK"] == "True"
    assert env["EXTRA"] == "1"
