import dataclasses
import math

import pytest
import torch

from earmark.audio.spectrogram import LogMel, frames_of, frontend_hash
from earmark.errors import AudioError
from earmark.params import Frontend

FRONTEND = Frontend(sample_rate_hz=16_000, n_fft=512, hop=256, mels=64, f_min_hz=30.0, f_max_hz=8000.0)


def tone(hertz: float, *, seconds: float = 1.0, level: float = 0.3) -> torch.Tensor:
    return level * torch.sin(2 * math.pi * hertz * torch.arange(int(seconds * 16_000)) / 16_000)


class TestLogMel:
    def test_the_shape_follows_from_length_and_hop(self):
        assert LogMel(FRONTEND)(torch.randn(2, 16_000)).shape == (2, 64, 1 + 16_000 // 256)

    def test_silence_is_exactly_zero(self):
        assert torch.equal(LogMel(FRONTEND)(torch.zeros(16_000)), torch.zeros(64, 63))

    def test_loudness_does_not_matter(self):
        music = torch.randn(16_000, generator=torch.Generator().manual_seed(0))
        torch.testing.assert_close(LogMel(FRONTEND)(0.5 * music), LogMel(FRONTEND)(0.01 * music), rtol=1e-3, atol=1e-4)

    @pytest.mark.parametrize("hertz", [110.0, 440.0, 1760.0, 5000.0])
    def test_a_tone_is_loudest_in_the_band_of_its_pitch(self, hertz):
        def mel(f):
            return 2595 * math.log10(1 + f / 700)

        low, high = mel(30.0), mel(8000.0)
        centres = [low + (high - low) * (band + 1) / 65 for band in range(64)]
        nearest = min(range(64), key=lambda band: abs(centres[band] - mel(hertz)))
        loudest = int(LogMel(FRONTEND)(tone(hertz)).mean(dim=1).argmax())
        assert abs(loudest - nearest) <= 1

    def test_too_short_a_recording_is_refused_with_the_need(self):
        with pytest.raises(AudioError, match=r"511 samples.*512"):
            LogMel(FRONTEND)(torch.zeros(511))


class TestFrontendHash:
    def test_it_changes_with_every_setting(self):
        changed = [
            dataclasses.replace(FRONTEND, **{field.name: getattr(FRONTEND, field.name) + 1})
            for field in dataclasses.fields(FRONTEND)
        ]
        assert len({frontend_hash(frontend) for frontend in [FRONTEND, *changed]}) == 1 + len(changed)


class TestFramesOf:
    def test_256_frames_are_4096_milliseconds(self):
        assert frames_of(4.096, FRONTEND) == 256
