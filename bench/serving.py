"""How fast the service is, against the same predictor in a service as it is usually written, and against the floor.

Real songs of Emotify, unheard by the network, their first 30 s as mp3; the load comes from a process of its own.

* ``floor_per_s``: a process a core that decodes and asks the network, without HTTP (`bench/serving_floor.py`).
* ``usual_per_s``: FastAPI, librosa and the predictor (`bench/usual_service.py`), a worker a core, at the number of
  clients that suits it best; ``usual_tuned_per_s``: with one thread for torch in each, which is what it takes to keep
  its workers out of each other's way.
* ``requests_per_s``: earmark's service, at the number of clients that suits it best: its top load.
* ``ratio_vs_usual``, ``ratio_vs_usual_tuned``, ``share_of_floor``: of these.
* ``errors_at_top``: requests at that load that got anything but an answer.
* ``p50_ms``, ``p99_over_p50_at_70``: at 70 % of that load, requests coming evenly, as load testers such as wrk2, vegeta
  and k6 send them. ``…_poisson``: coming at random times. Then some wait for others by chance alone: where two cores
  serve whoever comes first, each one request at a time and each request alike, 3.9 is what theory gives (M/D/2).
* ``refused_share_at_double``, ``other_errors_at_double``: at twice the load. ``answered_at_double_per_s`` is what is
  answered meanwhile, ``refusal_p99_ms`` how long a refusal takes.
* ``accuracy``, ``accuracy_usual``: of the answers to the test songs, with the interval of the first (a bootstrap over
  artists); ``max_difference``: of any probability between the two.

The three are measured in turn, in so many rounds, each at several numbers of clients; for each the number with the
largest median counts.

    make bench-serving DATA=path/to/emotify

Let nothing else run beside it.
"""

import argparse
import os
import statistics
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from earmark.model.metrics import resamples
from earmark.params import load_params
from earmark.workspace import CHAMPION, PARAMS
from harness import write_result
from served import ROOT, Emotify, earmark_service, emotify, excerpts, floor, load, project, settings, usual_service

CLIENTS = (2, 4, 8, 16)


def main() -> None:
    """Measure, and write bench/results/serving.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="the folder that holds data.csv and emotifymusic/")
    parser.add_argument("--seconds", type=float, default=15.0, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    trained = emotify(arguments.data)
    with tempfile.TemporaryDirectory(prefix="earmark-serving-") as folder:
        root = project(Path(folder) / "project", trained.predictor)
        files = excerpts(trained.material, trained.root, Path(folder) / "songs")
        figures = measure(root, files, arguments.seconds, arguments.rounds, cores)
        figures |= quality(trained, root, files, cores)
    path = write_result("serving", figures, cores=cores, service=settings(load_params(ROOT / PARAMS)))
    for name, value in figures.items():
        print(f"{name:28s} {value:10.3f}")
    print(f"written: {path.relative_to(ROOT)}")


class Rates:
    """Answers a second of one service, by the number of clients; one of each in every round."""

    def __init__(self) -> None:
        self._found: dict[int, list[float]] = {clients: [] for clients in CLIENTS}

    def measure(self, port: int, files: list[Path], seconds: float) -> None:
        """One round."""
        load(port, files, min(5.0, seconds), clients=4)  # warms up
        for clients, found in self._found.items():
            found.append(_answered(load(port, files, seconds / 2, clients=clients)))

    def top(self) -> tuple[int, float]:
        """The number of clients that suits it best, and the median of its rounds."""
        medians = {clients: statistics.median(found) for clients, found in self._found.items()}
        return max(medians.items(), key=lambda each: each[1])


def measure(root: Path, files: list[Path], seconds: float, rounds: int, cores: int) -> dict[str, float]:
    """Throughput of the three in turn; then the service at 70 %, and at twice its top."""
    model, log = root / CHAMPION, root / "log"
    floors: list[float] = []
    usual, tuned, ours = Rates(), Rates(), Rates()
    for number in range(rounds):
        floors.append(floor(model, files, seconds, cores))
        for rates, threads in ((usual, ""), (tuned, "1")):
            with usual_service(model, log, workers=cores, threads=threads) as port:
                rates.measure(port, files, seconds)
        with earmark_service(root, log, EARMARK_WORKERS=str(max(2, cores))) as (port, _):
            ours.measure(port, files, seconds)
            if number == rounds - 1:
                clients, top = ours.top()
                at_top = load(port, files, 2 * seconds, clients=clients)
                at_70 = load(port, files, 4 * seconds, rate=0.7 * top, random=False)
                at_random = load(port, files, 4 * seconds, rate=0.7 * top)
                at_double = load(port, files, 2 * seconds, rate=2 * top)
        told = [f"{name} {rates.top()[1]:.1f}" for name, rates in (("usual", usual), ("tuned", tuned), ("ours", ours))]
        print(
            f"after round {number + 1}: floor {statistics.median(floors):.1f}, {', '.join(told)} a second", flush=True
        )
    p50, p99 = _quantiles(at_70)
    p50_random, p99_random = _quantiles(at_random)
    double = Counter(each["status"] for each in at_double)
    refusals = [each["took"] for each in at_double if each["status"] == 429]
    span = max(each["at"] + each["took"] for each in at_double) - min(each["at"] for each in at_double)
    middle = {"floor": statistics.median(floors), "usual": usual.top()[1], "tuned": tuned.top()[1]}
    return {
        "ratio_vs_usual": top / middle["usual"],
        "share_of_floor": top / middle["floor"],
        "requests_per_s": top,
        "p50_ms": 1000 * p50,
        "p99_over_p50_at_70": p99 / p50,
        "errors_at_top": sum(each["status"] != 200 for each in at_top),
        "refused_share_at_double": double[429] / len(at_double),
        "other_errors_at_double": sum(count for status, count in double.items() if status not in (200, 429)),
        "ratio_vs_usual_tuned": top / middle["tuned"],
        "floor_per_s": middle["floor"],
        "usual_per_s": middle["usual"],
        "usual_tuned_per_s": middle["tuned"],
        "p99_ms_at_70": 1000 * p99,
        "p50_ms_poisson": 1000 * p50_random,
        "p99_over_p50_at_70_poisson": p99_random / p50_random,
        "errors_at_70": sum(each["status"] != 200 for each in [*at_70, *at_random]),
        "answered_at_double_per_s": double[200] / span,
        "refusal_p99_ms": 1000 * float(np.quantile(refusals, 0.99)) if refusals else 0.0,
        "requests_at_top": len(at_top),
        "requests_at_70": len(at_70) + len(at_random),
        "requests_at_double": len(at_double),
        "clients_usual": usual.top()[0],
        "clients_tuned": tuned.top()[0],
        "clients_ours": clients,
    }


def _quantiles(told: list[dict[str, Any]]) -> tuple[float, float]:
    """Median and 99th percentile of the seconds that answers took."""
    p50, p99 = np.quantile([each["took"] for each in told if each["status"] == 200], [0.5, 0.99])
    return float(p50), float(p99)


def _answered(told: list[dict[str, Any]]) -> float:
    good = [each for each in told if each["status"] == 200]
    span = max(each["at"] + each["took"] for each in told) - min(each["at"] for each in told)
    return len(good) / float(span)


def quality(trained: Emotify, root: Path, files: list[Path], cores: int) -> dict[str, float]:
    """Whether both answer alike, and how often they are right."""
    params = load_params(root / PARAMS)
    test = trained.material.part("test")
    with earmark_service(root, root / "log", EARMARK_WORKERS="2") as (port, _):
        ours = _asked(port, files)
    with usual_service(root / CHAMPION, root / "log", workers=1, threads="1") as port:
        usual = _asked(port, files)
    labels = sorted(trained.predictor.labels)
    actual = test["genre"].to_numpy(str)
    right = np.array([labels[each.argmax()] for each in ours]) == actual
    weights = np.stack(resamples(test["group"].to_numpy(object), params.evaluation))
    drawn = weights @ right / weights.sum(axis=1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return {
        "accuracy": float(right.mean()),
        "accuracy_low": float(low),
        "accuracy_high": float(high),
        "accuracy_usual": float((np.array([labels[each.argmax()] for each in usual]) == actual).mean()),
        "max_difference": float(np.abs(ours - usual).max()),
        "songs": len(files),
    }


def _asked(port: int, files: list[Path]) -> Any:
    """Probabilities in the order of the labels' names, shape ``(songs, labels)``."""
    rows = []
    with httpx.Client(timeout=60) as client:
        for path in files:
            answer = client.post(f"http://127.0.0.1:{port}/predict", files={"file": (path.name, path.read_bytes())})
            answer.raise_for_status()
            told = {each["genre"]: each["probability"] for each in answer.json()["genres"]}
            rows.append([told[genre] for genre in sorted(told)])
    return np.array(rows)


if __name__ == "__main__":
    main()
