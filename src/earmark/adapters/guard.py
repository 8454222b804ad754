"""The guard: a few lines between earmark and a program it starts, so that nothing outlives earmark.

`processes.py` starts ``python guard.py PARENT_PID COMMAND…`` as the leader of a new process group. The guard runs the
command and passes its exit code on. When earmark is gone, even by kill -9, the guard ends the whole group. It imports
the standard library alone (it starts in 20 ms) and runs as a script, never as a part of the package.
"""

import os
import signal
import subprocess
import sys
import threading
import time

LOOK_SECONDS = 0.3
GRACE_SECONDS = 5.0


def main(parent: int, command: list[str]) -> int:
    """Run ``command``; end the group when ``parent`` has gone, or when the command has."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a signal to the group is for the command; the guard leaves last
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        child = subprocess.Popen(command, preexec_fn=_default_signals)
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", flush=True)
        return 127
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()
    code = child.wait()
    os.killpg(0, signal.SIGTERM)  # what the command left behind in its group
    return code if code >= 0 else 128 - code


def _default_signals() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(LOOK_SECONDS)
    os.killpg(0, signal.SIGTERM)
    time.sleep(GRACE_SECONDS)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
