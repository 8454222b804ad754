import hashlib

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.ensemble import RandomForestClassifier

from earmark.audio.decode import decode
from earmark.audio.descriptors import descriptor_names
from earmark.model.network import GenreNetwork
from earmark.model.predictor import ForestPredictor, NetworkPredictor
from earmark.model.scoring import probabilities_of
from earmark.params import Frontend, Network

FRONTEND = Frontend(sample_rate_hz=8_000, n_fft=256, hop=128, mels=16, f_min_hz=30.0, f_max_hz=4000.0)
SIZE = Network(channels=4, blocks=2, dropout=0.0, excerpt_seconds=0.512, excerpts=2)
COMMON = {"labels": ("a", "b"), "frontend": FRONTEND, "trained_on": frozenset(), "data_hash": "d"}


@pytest.fixture(params=["network", "forest"])
def predictor(request):
    if request.param == "network":
        torch.manual_seed(2)
        return NetworkPredictor(**COMMON, network=GenreNetwork(SIZE, mels=16, classes=2).eval(), size=SIZE)
    table = np.random.default_rng(0).normal(size=(20, len(descriptor_names())))
    return ForestPredictor(**COMMON, forest=RandomForestClassifier(10, random_state=0).fit(table, np.arange(20) % 2))


@pytest.fixture
def tracks(tmp_path, encode):
    rows = []
    for hertz in (220.0, 880.0):
        content = encode("wav", seconds=2.0, tone_hz=hertz)
        (tmp_path / f"{hertz}.wav").write_bytes(content)
        rows.append({"content_hash": hashlib.sha256(content).hexdigest(), "path": f"{hertz}.wav"})
    return pd.DataFrame(rows)


class TestProbabilitiesOf:
    def test_they_are_what_the_predictor_says_of_each_file(self, predictor, tracks, tmp_path):
        waveforms = [decode(tmp_path / path, sample_rate_hz=8_000, mono=True).waveform[0] for path in tracks["path"]]
        expected = predictor.probabilities(waveforms)
        np.testing.assert_allclose(probabilities_of(predictor, tracks, tmp_path), expected, rtol=1e-6)

    def test_the_second_time_the_audio_is_not_needed(self, predictor, tracks, tmp_path):
        first = probabilities_of(predictor, tracks, tmp_path)
        for path in tracks["path"]:
            (tmp_path / path).unlink()
        np.testing.assert_array_equal(probabilities_of(predictor, tracks, tmp_path), first)

    def test_no_tracks_are_no_answers(self, predictor, tracks, tmp_path):
        assert probabilities_of(predictor, tracks.iloc[:0], tmp_path).shape == (0, 2)
