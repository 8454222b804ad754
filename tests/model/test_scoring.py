import hashlib
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from predictor_tools import made_calibration, made_predictor

from earmark.audio.decode import decode
from earmark.model import scoring
from earmark.model.scoring import answers_of

KINDS = ("network", "forest", "blend")
PARTS = ("genres", "shares", "embeddings")


@pytest.fixture(scope="module")
def made():
    return {kind: made_predictor(kind) for kind in KINDS}


@pytest.fixture(params=KINDS)
def predictor(request, made):
    return made[request.param]


@pytest.fixture
def tracks(tmp_path, encode):
    rows = []
    for hertz in (220.0, 880.0, 330.0):
        content = encode("wav", seconds=2.0, tone_hz=hertz)
        (tmp_path / f"{hertz}.wav").write_bytes(content)
        rows.append({"content_hash": hashlib.sha256(content).hexdigest(), "path": f"{hertz}.wav"})
    return pd.DataFrame(rows)


class TestAnswersOf:
    def test_they_are_what_the_predictor_says_of_each_file(self, predictor, tracks, tmp_path):
        waveforms = [decode(tmp_path / path, sample_rate_hz=8_000, mono=True).waveform[0] for path in tracks["path"]]
        expected = predictor.answers([predictor.inputs(waveform) for waveform in waveforms])
        found = answers_of(predictor, tracks, tmp_path)
        for part, tolerance in zip(PARTS, (1e-5, 1e-5, 1e-3), strict=True):  # descriptors are made in single precision
            np.testing.assert_allclose(getattr(found, part), getattr(expected, part), rtol=tolerance, atol=tolerance)

    @pytest.mark.parametrize("at_once", [1, 2])
    def test_in_batches_they_are_those_of_all_at_once(self, predictor, tracks, tmp_path, monkeypatch, at_once):
        whole = answers_of(predictor, tracks, tmp_path)
        monkeypatch.setattr(scoring, "_AT_ONCE", at_once)
        found = answers_of(predictor, tracks, tmp_path)
        for part in PARTS:
            np.testing.assert_allclose(getattr(found, part), getattr(whole, part), rtol=1e-9)

    def test_raw_they_are_those_before_calibration(self, predictor, tracks, tmp_path):
        before = answers_of(predictor, tracks, tmp_path)
        sure = replace(predictor, calibration=made_calibration(dims=before.embeddings.shape[1]))
        np.testing.assert_array_equal(answers_of(sure, tracks, tmp_path, raw=True).genres, before.genres)
        np.testing.assert_allclose(
            answers_of(sure, tracks, tmp_path).genres, sure.calibration.probabilities(before.genres)
        )

    def test_the_second_time_the_audio_is_not_needed(self, predictor, tracks, tmp_path):
        first = answers_of(predictor, tracks, tmp_path)
        for path in tracks["path"]:
            (tmp_path / path).unlink()
        np.testing.assert_array_equal(answers_of(predictor, tracks, tmp_path).genres, first.genres)

    def test_no_tracks_are_no_answers(self, predictor, tracks, tmp_path):
        none = answers_of(predictor, tracks.iloc[:0], tmp_path)
        assert len(none) == 0 and none.genres.shape == (0, 3) and none.shares.shape == (0, 3)
