"""The floor: a process that decodes and asks the network, one file after the other, without a service around it.

    python bench/serving_floor.py MODEL SECONDS FILE…

Prints how many files a second. One process a core runs at a time; what they do together, no service on this machine can
do faster with these parts.
"""

import sys
import time
from pathlib import Path

import torch

from earmark.audio.decode import decode
from earmark.model.network.engines import fastest
from earmark.model.predictor import load_predictor


def main() -> None:
    """Count files."""
    torch.set_num_threads(1)
    predictor = fastest(load_predictor(Path(sys.argv[1])), threads=1).predictor
    seconds, contents = float(sys.argv[2]), [Path(path).read_bytes() for path in sys.argv[3:]]

    def one(content: bytes) -> None:
        recording = decode(content, sample_rate_hz=predictor.frontend.sample_rate_hz, mono=True)
        predictor.predict(recording.waveform[0])

    one(contents[0])
    print("ready", flush=True)
    sys.stdin.readline()  # all begin together
    begun, count = time.perf_counter(), 0
    while time.perf_counter() - begun < seconds:
        one(contents[count % len(contents)])
        count += 1
    print(count / (time.perf_counter() - begun), flush=True)


if __name__ == "__main__":
    main()
