"""bench/transfer.py on a made-up Emotify of a few seconds: which weights each way gets, and what figures are called."""

import dataclasses
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch

from earmark.model.network.network import MusicNetwork
from earmark.model.network.predictor import NetworkPredictor
from earmark.params import Params, load_params
from made_audio import encode_tone
from scratch import CHECKOUT

GENRES = {"classical": 200.0, "electronic": 500.0, "pop": 1200.0, "rock": 3000.0}
FELT = "amazement solemnity tenderness nostalgia calmness power joyful_activation tension sadness liked disliked"


@pytest.fixture(scope="module")
def transfer():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(CHECKOUT / "bench"))
        import transfer

        patch.setattr(transfer, "PER_CLASS", 3)
        yield transfer
        for name in ("transfer", "emotify_folds", "harness"):
            sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def params() -> Params:
    found = load_params(CHECKOUT / "params.yaml")
    tiny = {"size": "tiny", "excerpt_seconds": 1.024, "excerpts": 2}
    return dataclasses.replace(
        found,
        network=dataclasses.replace(found.network, **tiny),
        training=dataclasses.replace(found.training, epochs=1, precision="32", devices=1),
        calibration=dataclasses.replace(found.calibration, folds=0),
        evaluation=dataclasses.replace(found.evaluation, resamples=20),
    )


@pytest.fixture(scope="module")
def emotify(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, rows = tmp_path_factory.mktemp("emotify"), []
    for place, (genre, hertz) in enumerate(GENRES.items()):
        (folder / "emotifymusic" / genre).mkdir(parents=True)
        for number in range(1, 7):
            sound = encode_tone("mp3", 3.5, tone_hz=hertz * (1 + number / 50), tags={"artist": f"{genre} {number}"})
            (folder / "emotifymusic" / genre / f"{number}.mp3").write_bytes(sound)
            rows.append([100 * place + number, genre, *[0] * len(FELT.split())])
    pd.DataFrame(rows, columns=["track id", "genre", *FELT.split()]).to_csv(folder / "data.csv", index=False)
    return folder


@pytest.fixture
def start(params, tmp_path) -> Path:
    torch.manual_seed(1)
    network = MusicNetwork(params.network, mels=params.frontend.mels, classes=2).eval()
    learnt = NetworkPredictor(("march", "waltz"), params.frontend, frozenset({"x"}), "d", (network,), params.network)
    learnt.save(tmp_path / "start")
    return tmp_path / "start"


def test_each_way_gets_its_own_weights_and_no_others(transfer, params, start):
    ways = transfer.ways_of(start, start, None)
    told = {name: way.params(params) for name, way in ways.items()}
    assert {name: how.training.start_from for name, how in told.items() if how.training.start_from} == {
        "fine_tuned": str(start)
    }
    assert {name: how.machine.encoder for name, how in told.items() if how.machine.encoder} == {"transfer": str(start)}
    assert ways["fine_tuned"].stage == ways["from_scratch"].stage != ways["transfer"].stage
    assert "fine_tuned_pretrained" in transfer.ways_of(start, start, start)


@pytest.mark.slow
def test_the_network_that_started_elsewhere_is_scored_and_timed_beside_the_others(
    transfer, params, emotify, start, tmp_path
):
    ways = transfer.ways_of(start, start, None)
    figures = transfer.measure(emotify, tmp_path / "work", params, ways, draws=1, timed=1)
    for name in ("accuracy_20_per_class", "accuracy_from_scratch", "fine_tuned_accuracy", "accuracy_descriptors"):
        assert 0 <= figures[f"{name}_low"] <= figures[name] <= figures[f"{name}_high"] <= 1
    assert figures["seconds_20_per_class"] > 0 and figures["fine_tuned_seconds"] > 0
    gain = figures["fine_tuned_accuracy"] - figures["accuracy_from_scratch"]
    assert figures["fine_tuned_minus_from_scratch"] == pytest.approx(gain)
    assert (figures["songs"], figures["tested"]) == (12, 12)
