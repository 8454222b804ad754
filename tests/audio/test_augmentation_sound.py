"""Changes of what is played and how it is recorded, each held against the same change of a waveform or arithmetic."""

import math

import numpy as np
import pytest
import torch
from torchaudio.functional import resample

from earmark.audio.augmentation.level import equaliser, gain
from earmark.audio.augmentation.noise import SPREAD_DB, noise, noise_like
from earmark.audio.augmentation.pitch import pitch, transposed
from earmark.audio.augmentation.power import to_log_mel, to_power
from earmark.audio.augmentation.timing import at_rate, rotation, tempo
from earmark.audio.spectrogram import LogMel
from earmark.params import Frontend

FRONTEND = Frontend(sample_rate_hz=16_000, n_fft=512, hop=256, mels=64, f_min_hz=30.0, f_max_hz=8000.0)


def chance(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def decibels(after: torch.Tensor, before: torch.Tensor) -> torch.Tensor:
    return 10 * (after / before).log10()


@pytest.fixture
def power() -> torch.Tensor:
    return 10 ** (4 * torch.rand(40, 20, 50, generator=chance(9)))


@pytest.fixture(scope="module")
def song() -> torch.Tensor:
    """Four seconds: notes of eight overtones that begin at random and die away."""
    draw = np.random.default_rng(0)
    time = np.arange(4 * 16_000) / 16_000
    sound = 0.003 * draw.standard_normal(len(time))
    for _ in range(14):
        hertz, start = 110 * 2 ** (draw.integers(36) / 12), 3.5 * draw.random()
        loudness = np.where(time > start, np.exp(-4 * (time - start).clip(0)), 0)
        for overtone in range(1, 9):
            if hertz * overtone < 6000:
                sound += loudness * np.sin(2 * np.pi * hertz * overtone * time) / overtone
    return torch.from_numpy(sound.astype(np.float32))


class TestPower:
    def test_it_is_the_front_ends_own_to_the_last_digits(self):
        power = torch.logspace(-6, 7, 50, dtype=torch.float64)
        torch.testing.assert_close(to_log_mel(power), torch.log10(1 + power))
        torch.testing.assert_close(to_power(to_log_mel(power)), power)
        assert torch.equal(to_power(torch.zeros(3)), torch.zeros(3))


class TestGain:
    def test_it_adds_the_same_decibels_everywhere_in_an_excerpt(self, power):
        added = decibels(gain(power, 6.0, chance()), power)
        torch.testing.assert_close(added, added[:, :1, :1].expand_as(added), rtol=0, atol=1e-4)
        assert added.abs().max() <= 6.001 and added[:, 0, 0].min() < -4 and added[:, 0, 0].max() > 4

    def test_0_db_changes_nothing(self, power):
        assert gain(power, 0.0, chance()) is power


class TestEqualiser:
    def test_a_band_gets_the_same_decibels_at_every_moment_and_never_more_than_asked(self, power):
        added = decibels(equaliser(power, 9.0, chance()), power)
        torch.testing.assert_close(added, added[:, :, :1].expand_as(added), rtol=0, atol=1e-4)
        assert added.abs().max() <= 9.001 and added.abs().max() > 7

    def test_the_curve_is_smooth(self):
        flat = torch.ones(40, 64, 1)
        curve = decibels(equaliser(flat, 9.0, chance()), flat)[:, :, 0]
        # From knot to knot, 63 / 4 bands, by at most 18 dB, nowhere steeper than 1.5 times the straight line.
        assert curve.diff(dim=1).abs().max() <= 1.5 * 18 / (63 / 4) + 0.01
        assert curve.std(dim=1).min() > 0

    def test_0_db_changes_nothing(self, power):
        assert equaliser(power, 0.0, chance()) is power


class TestNoise:
    def test_the_signal_to_noise_ratio_is_between_the_least_and_20_db_more(self):
        power = 10 ** torch.rand(400, 64, 60, generator=chance(2))
        added = noise(power, 1.0, 5.0, FRONTEND, chance()) - power
        snr_db = decibels(power.mean(dim=(1, 2)), added.mean(dim=(1, 2)))
        assert snr_db.min() > 4.5 and snr_db.max() < 25.5
        counts = torch.histc(snr_db, bins=4, min=5.0, max=5.0 + SPREAD_DB)
        assert counts.min() > 60

    def test_so_many_excerpts_get_it_as_were_asked_for_and_the_others_stay(self):
        power = torch.ones(1000, 64, 2)
        noisy = noise(power, 0.3, 10.0, FRONTEND, chance())
        changed = (noisy != power).any(dim=2).any(dim=1)
        assert float(changed.float().mean()) == pytest.approx(0.3, abs=0.05)
        assert torch.equal(noisy[~changed], power[~changed])

    @pytest.mark.parametrize("pink", [False, True])
    def test_alone_it_is_what_the_front_end_makes_of_a_noisy_waveform(self, pink):
        """Mean and spread of the power in each band, against ten seconds of noise made from its spectrum."""
        bins = 80_001
        spectrum = torch.randn(bins, 2, generator=chance(3)).view(-1, 2)
        slope = torch.arange(bins).clamp(min=1) ** (-0.5 if pink else 0.0)
        waveform = torch.fft.irfft(torch.view_as_complex(spectrum) * slope)
        real = 10 ** LogMel(FRONTEND)(waveform)[:, 5:-5] - 1
        made = noise_like(torch.empty(1, 64, 600), torch.tensor([pink]), FRONTEND, chance(4))[0]
        real = real / real.mean()
        difference = decibels(made.mean(dim=1), real.mean(dim=1))
        assert difference[4:].abs().max() < 0.7  # lower, the window's side lobes blur what is pink
        variation = [each.std(dim=1) / each.mean(dim=1) for each in (made, real)]
        torch.testing.assert_close(variation[0][4:], variation[1][4:], rtol=0.2, atol=0.02)

    def test_a_noisy_song_is_what_the_front_end_makes_of_the_song_and_noise_together(self, song):
        white = torch.randn(song.shape, generator=chance(1)) * song.square().mean().sqrt() * 10 ** (-12 / 20)
        real = 10 ** LogMel(FRONTEND)(song + white) - 1
        clean = (10 ** LogMel(FRONTEND)(song) - 1)[None]
        level = clean.mean() * 10 ** (-12 / 10)
        made = clean[0] + level * noise_like(clean, torch.tensor([False]), FRONTEND, chance())[0]
        bands = decibels((made / made.mean()).mean(dim=1), (real / real.mean()).mean(dim=1))
        assert bands.abs().max() < 1.0

    def test_a_share_of_0_changes_nothing(self, power):
        assert noise(power, 0.0, 10.0, FRONTEND, chance()) is power


class TestPitch:
    @pytest.mark.parametrize("semitones", [-5.0, -1.0, 2.0, 7.0])
    @pytest.mark.parametrize("hertz", [440.0, 1000.0, 3000.0])
    def test_a_tone_goes_where_the_shifted_tone_is(self, hertz, semitones):
        def loudest(log_mel: torch.Tensor) -> int:
            return int(log_mel.mean(dim=-1).argmax())

        def tone(frequency: float) -> torch.Tensor:
            return LogMel(FRONTEND)(torch.sin(2 * math.pi * frequency * torch.arange(16_000) / 16_000))

        moved = transposed(tone(hertz)[None], torch.tensor([semitones]), FRONTEND)[0]
        target = loudest(tone(hertz * 2 ** (semitones / 12)))
        assert abs(loudest(moved) - target) <= 1
        assert abs(loudest(tone(hertz)) - target) >= 1

    @pytest.mark.parametrize("semitones", [-7.0, -0.3, 3.0])
    def test_each_band_takes_what_lay_at_its_centres_frequency_before_the_shift(self, semitones):
        edges = 700 * (10 ** (np.linspace(mel(30), mel(8000), 66) / 2595) - 1)
        centres = edges[1:-1]
        expected = np.interp(
            [mel(hertz / 2 ** (semitones / 12)) for hertz in centres], list(map(mel, centres)), range(64)
        )
        slope = torch.arange(64.0)[None, :, None].expand(1, 64, 4)
        moved = transposed(slope, torch.tensor([semitones]), FRONTEND)[0, :, 0].numpy()
        np.testing.assert_allclose(moved, expected, atol=1e-3)

    @pytest.mark.parametrize("rate_hz", [14_000, 15_000, 17_000, 18_000])
    def test_a_song_becomes_what_its_recording_played_faster_is_but_for_the_tempo(self, song, rate_hz):
        """The waveform resampled sounds higher and faster; the tempo is taken back frame by frame."""
        factor = 16_000 / rate_hz
        original, real = LogMel(FRONTEND)(song), LogMel(FRONTEND)(resample(song, 16_000, rate_hz))
        frames = (np.arange(real.shape[1]) * factor).clip(max=original.shape[1] - 1)
        made = transposed(original[None], torch.tensor([12 * math.log2(factor)]), FRONTEND)[0]

        def likeness(log_mel: torch.Tensor) -> float:
            at_its_tempo = [np.interp(frames, np.arange(log_mel.shape[1]), band) for band in log_mel.numpy()]
            # Above 6 kHz the slower recording has no sound left to compare.
            return float(np.corrcoef(np.ravel(at_its_tempo[:54]), real[:54].numpy().ravel())[0, 1])

        assert likeness(made) > 0.95
        assert likeness(made) > likeness(original) + 0.03

    def test_no_shift_is_none(self):
        excerpts = torch.rand(3, 64, 20, generator=chance())
        torch.testing.assert_close(transposed(excerpts, torch.zeros(3), FRONTEND), excerpts, rtol=0, atol=1e-4)
        assert pitch(excerpts, 0.0, FRONTEND, chance()) is excerpts

    def test_beyond_the_last_band_its_level_goes_on(self):
        flat = torch.full((1, 64, 20), 1.5)
        for semitones in (-12.0, 12.0):
            torch.testing.assert_close(transposed(flat, torch.tensor([semitones]), FRONTEND), flat)

    def test_each_excerpt_is_shifted_within_what_is_allowed(self):
        """A slope over the bands shows by how much."""
        slope = torch.arange(64.0)[None, :, None].expand(50, 64, 4)
        moved = slope[:, 45, 0] - pitch(slope, 2.0, FRONTEND, chance())[:, 45, 0]
        centre = 700 * (10 ** ((mel(30) + 46 * (mel(8000) - mel(30)) / 65) / 2595) - 1)
        most = (mel(centre * 2 ** (2 / 12)) - mel(centre)) / ((mel(8000) - mel(30)) / 65)
        assert moved.abs().max() <= most + 1e-3
        assert moved.min() < -0.8 * most and moved.max() > 0.8 * most


def mel(hertz: float) -> float:
    return 2595 * math.log10(1 + hertz / 700)


class TestTempo:
    @pytest.mark.parametrize("rate", [0.8, 0.9, 1.0, 1.1, 1.25])
    def test_the_time_between_onsets_is_divided_by_the_rate(self, rate):
        onsets = np.array([20, 60, 100, 140])
        frames = torch.arange(200.0)
        excerpt = sum((1 - (frames - onset).abs() / 6).clamp(min=0) for onset in onsets)[None, None]
        played = at_rate(excerpt, torch.tensor([rate]))[0, 0, : int(200 / max(rate, 1))]
        peaks = [n for n in range(1, len(played) - 1) if played[n] > 0.7 and played[n - 1] <= played[n] > played[n + 1]]
        assert np.abs(np.array(peaks) - onsets[: len(peaks)] / rate).max() <= 0.5 + 1e-6
        assert len(peaks) >= 3

    def test_between_two_frames_it_is_their_straight_line(self):
        ramp = torch.arange(10.0)[None, None]
        torch.testing.assert_close(at_rate(ramp, torch.tensor([0.75]))[0, 0], 0.75 * torch.arange(10.0))

    def test_a_faster_excerpt_begins_again(self):
        excerpt = torch.rand(1, 5, 10, generator=chance())
        played = at_rate(excerpt, torch.tensor([2.0]))
        assert torch.equal(played[..., :5], excerpt[..., ::2]) and torch.equal(played[..., 5:], played[..., :5])

    def test_each_excerpt_is_changed_within_what_is_allowed(self):
        ramp = torch.arange(100.0).expand(60, 1, 100)
        rates = tempo(ramp, 0.2, chance())[:, 0, 50] / 50
        assert rates.min() >= 0.8 and rates.max() <= 1.2001
        assert rates.min() < 0.84 and rates.max() > 1.16

    def test_a_share_of_0_changes_nothing(self, power):
        assert tempo(power, 0.0, chance()) is power


class TestRotation:
    def test_the_frames_are_the_same_in_the_same_order_round_the_circle(self):
        excerpts = torch.rand(200, 4, 12, generator=chance(1))
        begun = set()
        for before, after in zip(excerpts, rotation(excerpts, chance()), strict=True):
            start = [torch.equal(before.roll(-shift, dims=1), after) for shift in range(12)].index(True)
            begun.add(start)
            assert sorted(before.T.tolist()) == sorted(after.T.tolist())
        assert begun == set(range(12))
