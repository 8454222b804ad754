"""The C library keeps what is freed, so that the next recording finds its pages warm."""

import subprocess
import sys

import pytest

COUNT = """
import resource, sys
import numpy as np
from earmark.serving.memory import keep_memory
if {keep}:
    assert keep_memory()
np.zeros(4_000_000)[::512].fill(1)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    np.empty(4_000_000).fill(1)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(keep: bool) -> int:
    ended = subprocess.run([sys.executable, "-c", COUNT.format(keep=keep)], capture_output=True, text=True, check=True)
    return int(ended.stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc")
def test_large_blocks_are_not_faulted_in_each_time():
    assert faults(keep=True) < faults(keep=False) / 5
