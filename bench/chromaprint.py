"""The peer: Chromaprint's `fpcalc`, where it is installed, and the comparison of two of its fingerprints.

Compared as AcoustID does: 32 bits about eight times a second, laid over each other at every offset, the share of bits
that differ. Two recordings that have nothing to do with each other differ in half of them.
"""

import json
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.uint32]

SHORTEST_OVERLAP = 40  # codes, about 5 s


def installed() -> bool:
    """Whether there is an `fpcalc` on this machine."""
    return shutil.which("fpcalc") is not None


def codes(recording: bytes) -> Codes:
    """Chromaprint's codes of a whole recording, shape ``(codes,)``; empty where it finds none."""
    with tempfile.NamedTemporaryFile() as file:
        Path(file.name).write_bytes(recording)
        done = subprocess.run(
            ["fpcalc", "-raw", "-json", "-length", "0", file.name], capture_output=True, text=True, check=False
        )
    # At the end of some recordings fpcalc 1.5 complains of the end, after a whole answer: the answer counts.
    return np.array(json.loads(done.stdout)["fingerprint"] if done.stdout.strip() else [], np.uint32)


def difference(one: Codes, two: Codes) -> float:
    """Share of bits that differ at the best offset; 0.5 where they are too short to say."""
    shorter, longer = sorted((one, two), key=len)
    least = 0.5
    for start in range(SHORTEST_OVERLAP - len(shorter), len(longer) - SHORTEST_OVERLAP + 1):
        first, last = max(0, start), min(len(longer), start + len(shorter))
        if last - first >= SHORTEST_OVERLAP:
            bits = np.bitwise_count(longer[first:last] ^ shorter[first - start : last - start]).sum()
            least = min(least, float(bits) / (32 * (last - first)))
    return least
