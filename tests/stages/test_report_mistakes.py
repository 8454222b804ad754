"""A few seconds of a song inside a page, the right ones and small; and what in it moved the network."""

import base64
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.io import wavfile

from earmark.audio.decode import decode
from earmark.model.network.network import MusicNetwork
from earmark.model.network.predictor import NetworkPredictor
from earmark.params import load_params
from earmark.stages.report.reasons import as_rows, explaining, loudest_stretch
from earmark.stages.report.sound import RATE_HZ, excerpt
from scratch import CHECKOUT


def bytes_of(address: str) -> bytes:
    kind, _, content = address.partition("base64,")
    assert kind == "data:audio/mpeg;"
    return base64.b64decode(content)


@pytest.fixture
def song(tmp_path):
    """Ten seconds that climb: 500 Hz in the first, 1,000 Hz in the second, and so on."""
    rate = 22_050
    time = np.arange(10 * rate) / rate
    wave = 0.5 * np.sin(2 * np.pi * 500 * (1 + np.floor(time)) * time)
    wavfile.write(tmp_path / "climb.wav", rate, (wave * 32_767).astype(np.int16))
    return tmp_path / "climb.wav"


def pitch_hz(samples, second: float) -> float:
    part = samples[int(second * RATE_HZ) :][: RATE_HZ // 4]
    return float(np.abs(np.fft.rfft(part * np.hanning(len(part)))).argmax() * RATE_HZ / len(part))


class TestExcerpt:
    def test_it_sounds_as_the_song_does_from_there_on(self, song):
        heard = decode(bytes_of(excerpt(song, 3.0, 2.0))).waveform[0].numpy()
        assert len(heard) / RATE_HZ == pytest.approx(2.0, abs=0.1)
        assert pitch_hz(heard, 0.4) == pytest.approx(2_000, abs=10)  # the fourth second
        assert pitch_hz(heard, 1.4) == pytest.approx(2_500, abs=10)

    def test_it_is_small(self, song):
        assert len(excerpt(song, 0.0, 6.0)) < 60_000

    def test_where_the_song_ends_before_it_begins_earlier(self, song):
        heard = decode(bytes_of(excerpt(song, 9.5, 2.0))).waveform[0].numpy()
        assert len(heard) / RATE_HZ == pytest.approx(2.0, abs=0.1)
        assert pitch_hz(heard, 1.5) == pytest.approx(5_000, abs=20)

    def test_a_song_that_is_shorter_is_whole(self, song):
        heard = decode(bytes_of(excerpt(song, 0.0, 30.0))).waveform[0].numpy()
        assert len(heard) / RATE_HZ == pytest.approx(10.0, abs=0.1)

    def test_the_same_sound_is_the_same_bytes(self, song):
        assert excerpt(song, 1.0, 3.0) == excerpt(song, 1.0, 3.0)


class TestReasons:
    LABELS = ("folk", "jazz", "rock")

    @pytest.fixture
    def explained(self):
        """A network of no training, a song of noise, and what speaks for rock rather than folk."""
        params = load_params(CHECKOUT / "params.yaml")
        how = replace(params.network, size="tiny", excerpt_seconds=1.024, excerpts=2)
        torch.manual_seed(0)
        networks = tuple(MusicNetwork(how, mels=params.frontend.mels, classes=3).eval() for _ in range(2))
        predictor = NetworkPredictor(self.LABELS, params.frontend, frozenset(), "hash", networks=networks, how=how)
        material = Songs(params.frontend.mels)
        return predictor, material, explaining(predictor, material)(material.tracks[0], "rock", "folk")

    def test_the_parts_add_up_to_the_log_odds_beyond_those_of_average_music(self, explained):
        predictor, material, found = explained
        heard = predictor.excerpts(material.log_mel(material.tracks[0]))
        average = torch.from_numpy(np.concatenate([material.log_mel(row) for row in material.tracks]).mean(axis=0))
        still = average[None, :, None].expand(1, -1, heard.shape[2])
        with torch.inference_mode():
            song, base = (
                torch.stack([network(part)[0] for network in predictor.networks]).mean(dim=0).mean(dim=0)
                for part in (heard, still)
            )
        expected = float((song[2] - song[0]) - (base[2] - base[0]))
        assert found.difference == pytest.approx(expected, abs=1e-3)
        assert found.bands.sum() == pytest.approx(expected, abs=max(0.05, 2 * found.gap))

    def test_bands_are_joined_without_losing_anything(self, explained):
        found = explained[2]
        rows = as_rows(found, bars=16)
        assert len(rows) == 16
        assert rows["adds"].sum() == pytest.approx(found.bands.sum())
        np.testing.assert_allclose(rows["low_hz"].iloc[1:], rows["high_hz"].iloc[:-1])

    def test_one_listens_where_most_speaks_for_the_genre(self, explained):
        found = explained[2]
        middles = np.arange(10) + 0.5
        there = replace(found, moments=np.array([0, 0, 0, -1, 2, 3, 0, 0, 0, 0.0]), moment_seconds=middles)
        assert loudest_stretch(there, 2.0) == pytest.approx(4.0)


class Songs:
    """As `Material`: four songs of noise, the first of them to be explained."""

    def __init__(self, mels: int) -> None:
        self.table = pd.DataFrame({"place": range(4)})
        self.tracks = list(self.table.itertuples())
        rng = np.random.default_rng(0)
        self._heard = [rng.normal(size=(200, mels)).astype(np.float32) for _ in range(4)]

    def part(self, split: str):
        assert split == "train"
        return self.table

    def log_mel(self, row):
        return self._heard[row.place]
