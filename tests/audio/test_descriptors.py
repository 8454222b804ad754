import math

import numpy as np
import pytest
import torch

from earmark.audio.descriptors import describe, descriptor_names
from earmark.errors import AudioError

RATE = 16_000


def time(seconds: float) -> torch.Tensor:
    return torch.arange(int(seconds * RATE)) / RATE


def chord(hertz: list[float], seconds: float = 4.0) -> torch.Tensor:
    return sum(torch.sin(2 * math.pi * f * time(seconds)) for f in hertz) / len(hertz)


def clicks(bpm: float, seconds: float = 12.0) -> torch.Tensor:
    wave = torch.zeros(int(seconds * RATE))
    for beat in range(int(seconds * bpm / 60)):
        start = int(beat * 60 / bpm * RATE)
        wave[start : start + 800] = torch.randn(800, generator=torch.Generator().manual_seed(beat))[: len(wave) - start]
    return wave


def value(name: str, waveform: torch.Tensor) -> float:
    return float(describe(waveform, RATE)[descriptor_names().index(name)])


class TestDescribe:
    def test_there_is_one_finite_number_a_name_also_for_silence(self):
        for waveform in (torch.zeros(RATE), torch.randn(3 * RATE)):
            numbers = describe(waveform, RATE)
            assert numbers.shape == (133,) == (len(descriptor_names()),) and np.isfinite(numbers).all()

    def test_names_are_unique(self):
        assert len(set(descriptor_names())) == len(descriptor_names())

    @pytest.mark.parametrize("hertz", [500.0, 2000.0])
    def test_the_centroid_of_a_tone_is_its_frequency(self, hertz):
        assert value("centroid_hz_mean", chord([hertz])) == pytest.approx(hertz, rel=0.03)

    def test_noise_is_flatter_than_a_tone(self):
        noise = torch.randn(2 * RATE, generator=torch.Generator().manual_seed(1))
        assert value("flatness_mean", noise) > value("flatness_mean", chord([440.0])) + 1

    @pytest.mark.parametrize("bpm", [90, 120, 150])
    def test_the_tempo_of_clicks_is_found(self, bpm):
        assert value("tempo_bpm", clicks(bpm)) == pytest.approx(bpm, rel=0.05)

    def test_clicks_are_counted(self):
        assert value("onset_rate_hz", clicks(120)) == pytest.approx(2.0, abs=0.3)

    def test_steady_noise_has_a_weaker_tempo_than_clicks(self):
        noise = torch.randn(12 * RATE, generator=torch.Generator().manual_seed(2))
        assert value("tempo_strength", noise) < 0.5 * value("tempo_strength", clicks(120))

    def test_transposing_a_chord_leaves_its_harmony(self):
        major = [261.63, 329.63, 392.00]
        higher = [f * 2 ** (3 / 12) for f in major]
        for name in (f"interval_{semitones}_mean" for semitones in range(1, 7)):
            assert value(name, chord(major)) == pytest.approx(value(name, chord(higher)), abs=0.02)

    def test_a_fifth_is_told_from_a_tritone(self):
        fifth, tritone = chord([261.63, 392.00]), chord([261.63, 369.99])
        assert value("interval_5_mean", fifth) > 2 * value("interval_5_mean", tritone)
        assert value("interval_6_mean", tritone) > 2 * value("interval_6_mean", fifth)

    def test_loudness_does_not_matter(self):
        music = chord([200.0, 300.0]) + 0.1 * torch.randn(4 * RATE, generator=torch.Generator().manual_seed(3))
        np.testing.assert_allclose(describe(0.5 * music, RATE), describe(0.05 * music, RATE), rtol=1e-2, atol=1e-2)

    def test_too_short_a_recording_is_refused_with_the_need(self):
        with pytest.raises(AudioError, match=r"0\.40 s.*0\.50 s"):
            describe(torch.zeros(6400), RATE)
