"""The champion changes under load, ten times: whether a request fails or an answer is mixed, and how soon it is known.

A registry (MLflow on SQLite) with two versions whose networks answer differently; the service with two workers; clients
that ask without a pause. One version and the other are promoted in turn, as the flow `training` does it.

* ``failed_requests``: that got anything but an answer, of ``requests``.
* ``mixed_answers``: whose genres are not what the version that they name says of that very song, asked without a
  service (or that name another version's run).
* ``slowest_takeover_s``: from the return of the promotion to the beginning of the last request that the version before
  answered, over all workers; ``median_takeover_s`` beside it.

    make bench-promotion DATA=path/to/emotify
"""

import argparse
import dataclasses
import json
import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import torch

from earmark.adapters.packing import log_model
from earmark.adapters.registry import promote
from earmark.adapters.tracking import reaching
from earmark.audio.decode import decode
from earmark.model.comparing.promotion import Verdict
from earmark.model.network.predictor import NetworkPredictor
from earmark.model.predictor import load_predictor
from earmark.params import load_params
from earmark.workspace import CHAMPION, PARAMS
from harness import write_result
from served import ROOT, earmark_service, emotify, excerpts, load, project, with_graph

PROMOTIONS = 10
_BETWEEN_S = 12.0
_CLIENTS = 4
_SONGS = 8


def main() -> None:
    """Measure, and write bench/results/promotion.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="the folder that holds data.csv and emotifymusic/")
    parser.add_argument("--promotions", type=int, default=PROMOTIONS)
    arguments = parser.parse_args()
    trained = emotify(arguments.data)
    with tempfile.TemporaryDirectory(prefix="earmark-promotion-") as folder:
        root = project(Path(folder) / "project", trained.predictor)
        files = excerpts(trained.material, trained.root, Path(folder) / "songs")[:_SONGS]
        versions = register(root, [trained.predictor, other(trained.predictor)])
        figures = measure(root, files, versions, _expected(root, files, versions), arguments.promotions)
    path = write_result("promotion", figures)
    for name, value in figures.items():
        print(f"{name:24s} {value:10.3f}")
    print(f"written: {path.relative_to(ROOT)}")


def other(predictor: NetworkPredictor) -> NetworkPredictor:
    """The same with other weights in the last layer, so that it answers otherwise."""
    networks = []
    for number, network in enumerate(predictor.networks):
        changed = type(network)(
            predictor.how,
            mels=predictor.frontend.mels,
            classes=len(predictor.labels),
            tags=len(predictor.tags),
            places=0 if network.place is None else network.place.out_features,
        )
        changed.load_state_dict(network.state_dict())
        torch.manual_seed(number)
        torch.nn.init.normal_(changed.genre.weight, std=0.3)
        networks.append(changed.eval())
    return with_graph(dataclasses.replace(predictor, networks=tuple(networks)))


def register(root: Path, predictors: list[NetworkPredictor]) -> list[str]:
    """Log and register them; the first is promoted."""
    import mlflow

    params = load_params(root / PARAMS)
    versions = []
    with reaching(root) as client:
        made = client.create_experiment(params.registry.experiment, artifact_location=(root / "mlruns").as_uri())
        client.create_registered_model(params.registry.model)
        for number, predictor in enumerate(predictors):
            predictor.save(root / f"fresh{number}")
            with mlflow.start_run(experiment_id=made) as run:
                model = log_model(root / f"fresh{number}")
            version = client.create_model_version(
                params.registry.model, f"models:/{model.model_id}", run.info.run_id, model_id=model.model_id
            )
            versions.append(str(version.version))
    _promote(root, versions[0])
    return versions


def _promote(root: Path, version: str) -> float:
    """Make ``version`` the champion; the time when that was done."""
    verdict = Verdict(promote=True, reason="the bench says so", challenger=version)
    promote(load_params(root / PARAMS), root, version, verdict)
    return time.time()


Genres = dict[str, float]


def _expected(root: Path, files: list[Path], versions: list[str]) -> dict[tuple[int, str], Genres]:
    """What each version says of each song: probabilities by genre."""
    told = {}
    for number, version in enumerate(versions):
        predictor = load_predictor(root / f"fresh{number}")
        for place, path in enumerate(files):
            recording = decode(path, sample_rate_hz=predictor.frontend.sample_rate_hz, mono=True)
            prediction = predictor.predict(recording.waveform[0])
            told[place, version] = {each.genre: each.probability for each in prediction.genres}
    return told


def measure(
    root: Path,
    files: list[Path],
    versions: list[str],
    expected: dict[tuple[int, str], Genres],
    promotions: int,
) -> dict[str, float]:
    """Promote under load."""
    seconds = _BETWEEN_S * (promotions + 1)
    told: list[dict[str, Any]] = []
    with earmark_service(root, root / "log") as (port, _):
        loading = threading.Thread(
            target=lambda: told.extend(load(port, files, seconds, clients=_CLIENTS, bodies=True))
        )
        loading.start()
        done: list[tuple[float, str]] = []
        for number in range(promotions):
            time.sleep(_BETWEEN_S)
            version = versions[(number + 1) % 2]
            done.append((_promote(root, version), version))
        loading.join()
    good = [{**each, **_answer(each["body"])} for each in told if each["status"] == 200]
    takeovers = []
    for (at, version), after in zip(done, [*(at for at, _ in done[1:]), float("inf")], strict=True):
        late = [each["at"] for each in good if at <= each["at"] < after and each["version"] != version]
        takeovers.append(max(late, default=at) - at)
    assert (root / CHAMPION).is_dir()
    return {
        "failed_requests": len(told) - len(good),
        "mixed_answers": _mixed(good, expected),
        "slowest_takeover_s": max(takeovers),
        "median_takeover_s": statistics.median(takeovers),
        "promotions": promotions,
        "requests": len(told),
        "requests_per_s": len(good) / seconds,
        "p99_ms": 1000 * sorted(each["took"] for each in good)[int(0.99 * len(good))],
    }


def _answer(body: str) -> dict[str, Any]:
    content = json.loads(body)
    genres = {each["genre"]: each["probability"] for each in content["genres"]}
    return {"version": content["model"]["version"], "run": content["model"]["run_id"], "genres": genres}


def _mixed(good: list[dict[str, Any]], expected: dict[tuple[int, str], Genres]) -> int:
    """Answers that say anything but what their version says of that song, or name another version's run."""
    runs: dict[str, str] = {}
    mixed = 0
    for each in good:
        truth = expected.get((each["file"], each["version"]), {})
        run = runs.setdefault(each["version"], each["run"])
        apart = max((abs(each["genres"].get(genre, 9.0) - share) for genre, share in truth.items()), default=9.0)
        mixed += int(apart > 1e-3 or each["run"] != run)
    return mixed


if __name__ == "__main__":
    main()
