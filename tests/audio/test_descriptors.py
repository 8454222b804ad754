"""Descriptors: true of sounds whose properties are known, and equal to librosa's where librosa has the same ones."""

import math

import numpy as np
import pytest
import torch

from earmark.audio.descriptors import MELS, MFCC, TEMPI_BPM, _chroma_bank, describe, descriptor_names
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


def described(waveform: torch.Tensor) -> dict[str, float]:
    return dict(zip(descriptor_names(), describe(waveform, RATE).tolist(), strict=True))


def hiss(seconds: float, seed: int = 4) -> torch.Tensor:
    """White noise of RMS 1."""
    return torch.randn(int(seconds * RATE), generator=torch.Generator().manual_seed(seed))


def whole_tone(hertz: int, seconds: int = 4) -> torch.Tensor:
    """Whole periods of a cosine, so that reflecting it at its ends carries it on."""
    return torch.cos(2 * math.pi * hertz * torch.arange(seconds * RATE + 1, dtype=torch.float64) / RATE).float()


class TestContrast:
    """In decades of magnitude. Bands: below 100 Hz, six octaves, above 6,400 Hz."""

    @pytest.mark.parametrize("band", range(8))
    def test_a_tone_stands_out_in_its_own_band_alone(self, band):
        middle = (50, 141, 283, 566, 1131, 2263, 4525, 7100)[band]
        noisy, toned = described(hiss(4)), described(hiss(4) + 10 * chord([middle]))
        risen = [toned[f"contrast_{each}_mean"] - noisy[f"contrast_{each}_mean"] for each in range(8)]
        assert risen[band] > 0.1 and max(risen[:band] + risen[band + 1 :]) < 0.05

    @pytest.mark.parametrize("band", [5, 6, 7])  # of a hundred bins and more
    def test_of_white_noise_it_is_that_of_exponential_powers(self, band):
        """Mean logarithms of the highest and the lowest fifth of exponentially distributed powers, by quadrature."""
        share = (np.arange(200_000) + 0.5) / 1e6  # up to a fifth
        expected = 0.5 * (np.log10(-np.log(share)).mean() - np.log10(-np.log1p(-share)).mean())
        assert value(f"contrast_{band}_mean", hiss(8)) == pytest.approx(expected, abs=0.015)

    def test_a_tone_for_half_of_the_time_is_halfway_and_spreads_as_far(self):
        toned = hiss(8, seed=5) + 10 * chord([2263.0], 8)
        apart = [value("contrast_5_mean", sound) for sound in (hiss(8), toned)]
        both = described(torch.cat([hiss(8), toned]))
        within = value("contrast_5_std", hiss(8))
        assert both["contrast_5_mean"] == pytest.approx(np.mean(apart), abs=0.01)
        assert both["contrast_5_std"] == pytest.approx(math.hypot((apart[1] - apart[0]) / 2, within), abs=0.02)

    def test_silence_has_none(self):
        assert all(described(torch.zeros(RATE))[f"contrast_{band}_mean"] == 0 for band in range(8))


class TestChroma:
    """Gaussian in pitch, 0.35 semitones wide. High tones are sharp enough for their window to add nothing to it."""

    @pytest.mark.parametrize("note", range(60, 108))
    def test_a_note_is_of_its_pitch_class(self, note):
        """C first; one semitone higher is one class further."""
        bank, hertz = _chroma_bank(RATE, 4096), 440 * 2 ** ((note - 69) / 12)
        heard = bank[round(hertz / (RATE / 4096))]
        assert int(heard.argmax()) == note % 12 and heard.max() > 0.85

    def test_pitches_out_of_reach_are_not_heard(self):
        """60 to 4,200 Hz."""
        heard = _chroma_bank(RATE, 4096).sum(dim=1).nonzero()[:, 0] * RATE / 4096
        assert 60 <= heard.min() < 64 and 4196 < heard.max() <= 4200

    @pytest.mark.parametrize("hertz", [1760, 2349, 3520])
    def test_a_tone_in_tune_is_nearly_all_of_one_class(self, hertz):
        found, beside = described(whole_tone(hertz)), math.exp(-0.5 / 0.35**2)
        shares = [found[f"chroma_{rank}"] for rank in range(12)]
        whole = 1 + 2 * beside
        assert shares == pytest.approx([1 / whole, beside / whole, beside / whole, *[0.0] * 9], abs=0.005)
        assert found["chroma_peak_mean"] == pytest.approx(shares[0], abs=1e-3) and found["chroma_peak_std"] < 0.001
        assert found["chroma_flux_mean"] < 0.001

    def test_a_tone_between_two_notes_is_of_both_alike(self):
        found = described(chord([1760 * 2 ** (0.5 / 12)]))
        assert [found[f"chroma_{rank}"] for rank in range(3)] == pytest.approx([0.5, 0.5, 0.0], abs=0.02)

    def test_shares_are_in_the_order_of_strength_and_add_up_to_1(self):
        """Three notes of 6, 3 and 1 tenths, moved by a fourth: the same shares, whatever the key."""
        for key in (1, 2 ** (5 / 12)):
            sound = sum(part * chord([hertz * key]) for part, hertz in ((1, 1046.5), (6, 1318.5), (3, 1568.0)))
            shares = [value(f"chroma_{rank}", sound) for rank in range(12)]
            assert shares[:3] == pytest.approx([0.6 * 0.967, 0.3 * 0.967, 0.1 * 0.967], abs=0.015)
            assert shares == sorted(shares, reverse=True) and sum(shares) == pytest.approx(1, abs=1e-5)

    def test_octaves_are_alike(self):
        assert value("chroma_0", chord([880.0, 1760.0, 3520.0])) == pytest.approx(0.96, abs=0.02)

    @pytest.mark.parametrize("changes", [1, 3, 7])
    def test_flux_is_how_often_the_note_changes(self, changes):
        """Each change, half a second of fading over, takes a share of 0.967 from one class and gives it to another."""
        edges = 8 * np.arange(1, changes + 1) / (changes + 1)
        since = np.arange(8 * RATE + 1)[:, None] / RATE - edges
        second = (np.clip(since / 0.5 + 0.5, 0, 1) * (-1.0) ** np.arange(changes)).sum(axis=1)
        sound = whole_tone(1760, 8) * torch.from_numpy(1 - second) + whole_tone(2349, 8) * torch.from_numpy(second)
        found, frames = described(sound.float()), 8 / 0.064 + 1
        assert found["chroma_flux_mean"] == pytest.approx(2 * 0.967 * changes / (frames - 1), rel=0.05)


class TestDynamics:
    """In decades of amplitude, relative to the recording's own level, which is set to RMS 0.1."""

    @pytest.mark.parametrize("decibels", [6.0, 20.0, 40.0])
    def test_levels_that_alternate_are_found(self, decibels):
        quiet = 10 ** (-decibels / 20)
        sound = torch.cat([level * chord([500.0], 2.0) for level in (1, quiet) * 4])
        found, decades = described(sound), decibels / 20
        loud = math.log10(0.1 / math.sqrt((1 + quiet**2) / 2))
        assert found["rms_range"] == pytest.approx(decades, abs=0.01)
        assert found["rms_std"] == pytest.approx(decades / 2, rel=0.03)
        assert found["rms_mean"] == pytest.approx(loud - decades / 2, abs=0.03)

    def test_a_steady_tone_has_none(self):
        found = described(0.3 * chord([500.0]))
        assert found["rms_mean"] == pytest.approx(-1, abs=1e-3)
        assert found["rms_std"] == pytest.approx(0, abs=1e-3) and found["rms_range"] == pytest.approx(0, abs=1e-3)


class TestTempogram:
    @pytest.mark.parametrize("bpm", TEMPI_BPM)
    def test_clicks_repeat_at_their_tempo_and_at_whole_fractions_of_it_alone(self, bpm):
        """Every second, third, … click repeats too."""
        found = described(clicks(bpm, 24.0))
        assert found[f"tempogram_{bpm}"] > 0.35
        far = [other for other in TEMPI_BPM if all(abs(bpm / k / other - 1) > 0.09 for k in range(1, 9))]
        assert far and max(found[f"tempogram_{other}"] for other in far) < 0.1

    def test_noise_repeats_at_no_tempo(self):
        found = described(hiss(24.0))
        assert max(abs(found[f"tempogram_{bpm}"]) for bpm in TEMPI_BPM) < 0.15


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

    def test_dynamics(self, both, request):
        from librosa.feature import rms

        ours, _ = both
        waveform = sounds()[request.node.callspec.params["both"]]
        level = (0.1 * waveform / waveform.square().mean().sqrt()).numpy()
        theirs = np.log10(rms(y=level, frame_length=1024, hop_length=256, center=False)[0] + 1e-5)
        assert ours["rms_mean"] == pytest.approx(theirs.mean(), abs=1e-4)
        assert ours["rms_std"] == pytest.approx(theirs.std(), abs=1e-4)
        assert ours["rms_range"] == pytest.approx(np.subtract(*np.quantile(theirs, [0.95, 0.05])), abs=1e-4)

    def test_contrast(self, both):
        """Only the spectra are librosa's: its contrast takes means before logarithms, and bands that overlap."""
        import librosa

        ours, magnitudes = both
        hertz, edges = librosa.fft_frequencies(sr=RATE, n_fft=1024), [0, *100 * 2.0 ** np.arange(7), np.inf]
        for number in range(8):
            band = np.log10(magnitudes[(hertz >= edges[number]) & (hertz < edges[number + 1])] + 1e-6)
            fifth = max(1, len(band) // 5)
            low, high = (np.partition(sign * band, fifth - 1, axis=0)[:fifth].mean(axis=0) for sign in (1, -1))
            assert ours[f"contrast_{number}_mean"] == pytest.approx((-high - low).mean(), abs=1e-3)
            assert ours[f"contrast_{number}_std"] == pytest.approx((-high - low).std(), abs=1e-3)

    def test_onsets_and_the_tempogram(self, both):
        """The strongest of the lags of whole tempi within 6 % of each, 40 to 300."""
        from librosa import autocorrelate
        from librosa.feature import melspectrogram
        from librosa.onset import onset_strength

        ours, magnitudes = both
        mel = melspectrogram(S=magnitudes**2, sr=RATE, n_fft=1024, n_mels=MELS, fmin=30, htk=True, norm=None)
        onsets = onset_strength(S=np.log10(self.FLOOR + mel), sr=RATE, hop_length=256, lag=1, center=False)[1:]
        assert ours["onset_mean"] == pytest.approx(onsets.mean(), abs=1e-4)
        assert ours["onset_std"] == pytest.approx(onsets.std(), abs=1e-4)
        theirs = autocorrelate(onsets.astype(float) - onsets.mean())
        for bpm in TEMPI_BPM:
            near = range(max(40, round(bpm / 1.06)), min(301, round(bpm * 1.06)))
            strongest = max(theirs[round(60 * RATE / 256 / tempo)] for tempo in near) / theirs[0]
            assert ours[f"tempogram_{bpm}"] == pytest.approx(strongest, abs=1e-3)
