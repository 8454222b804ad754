"""Descriptors: true of sounds whose properties are known, and equal to librosa's where librosa has the same ones."""

import math

import numpy as np
import pytest
import torch

from earmark.audio.descriptors import MELS, MFCC, describe, descriptor_names
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


def sounds() -> dict[str, torch.Tensor]:
    """Four seconds each; ``gap`` ends in digital silence."""
    draw = torch.Generator().manual_seed(1)
    noise = 0.2 * torch.randn(4 * RATE, generator=draw)
    plucked = 0.02 * torch.randn(4 * RATE, generator=draw)
    for note in range(8):
        since = time(0.5)
        tone = sum(torch.sin(2 * math.pi * k * 110 * 2 ** (note / 12) * since) / k for k in range(1, 12))
        plucked[note * RATE // 2 :][: RATE // 2] += tone * torch.exp(-6 * since)
    glide = torch.sin(2 * math.pi * (100 * time(4.0) + 737.5 * time(4.0) ** 2)) + 0.01 * noise  # from 100 to 6,000 Hz
    steady = chord([220.0, 277.18, 329.63]) + 0.01 * noise
    gap = torch.cat([steady[: 3 * RATE], torch.zeros(RATE)])
    return {"noise": noise, "chord": steady, "plucked": plucked, "glide": glide, "gap": gap}


class TestAgainstLibrosa:
    """Both by float32, so they differ by its rounding: of frequencies by 1e-4 of them; of logarithms by 1e-3 (decades).

    "The same settings" means here: of the recording at its own level (RMS 0.1), windows of 1,024 samples and steps of
    256 (16 kHz), reflected at the ends; triangles on the mel scale of HTK, each of height 1, from 30 Hz; decades and no
    decibels, nothing cut off 80 dB below the loudest; 1e-10 added to each power, where librosa by itself takes the
    larger of the two.
    """

    FLOOR = 1e-10

    @pytest.fixture(params=["noise", "chord", "plucked", "glide", "gap"])
    def both(self, request):
        """Descriptors by name, and librosa's magnitudes, shape ``(bins, frames)``."""
        import librosa

        waveform = sounds()[request.param]
        level = (0.1 * waveform / waveform.square().mean().sqrt()).numpy()
        magnitudes = np.abs(librosa.stft(level, n_fft=1024, hop_length=256, pad_mode="reflect"))
        return dict(zip(descriptor_names(), describe(waveform, RATE), strict=True)), magnitudes

    def test_mel_frequency_cepstral_coefficients_and_their_changes(self, both):
        from librosa.feature import melspectrogram, mfcc

        ours, magnitudes = both
        mel = melspectrogram(S=magnitudes**2, sr=RATE, n_fft=1024, n_mels=MELS, fmin=30, htk=True, norm=None)
        theirs = mfcc(S=np.log10(self.FLOOR + mel), n_mfcc=MFCC, dct_type=2, norm="ortho")
        for number, curve in enumerate(theirs):
            assert ours[f"mfcc_{number}_mean"] == pytest.approx(curve.mean(), abs=1e-3)
            assert ours[f"mfcc_{number}_std"] == pytest.approx(curve.std(), abs=1e-3)
            assert ours[f"mfcc_change_{number}_std"] == pytest.approx(np.diff(curve).std(), abs=1e-3)

    @pytest.mark.parametrize("name", ["centroid", "bandwidth", "rolloff"])
    def test_centroid_bandwidth_and_rolloff(self, both, name):
        import librosa

        ours, magnitudes = both
        (theirs,) = getattr(librosa.feature, f"spectral_{name}")(S=magnitudes, sr=RATE)  # rolloff: of 85 %
        assert ours[f"{name}_hz_mean"] == pytest.approx(theirs.mean(), rel=1e-4)
        assert ours[f"{name}_hz_std"] == pytest.approx(theirs.std(), rel=1e-3)

    def test_flatness(self, both):
        from librosa.feature import spectral_flatness

        ours, magnitudes = both
        (theirs,) = np.log10(spectral_flatness(S=magnitudes**2 + self.FLOOR, power=1.0))
        assert ours["flatness_mean"] == pytest.approx(theirs.mean(), abs=1e-3)
        assert ours["flatness_std"] == pytest.approx(theirs.std(), abs=1e-3)
