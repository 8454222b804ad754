import io

import numpy as np
import pytest
import torch
from scipy.io import wavfile

from earmark.audio import accepted
from earmark.audio.accepted import decoder, waveform_of, why_not_torchcodec
from earmark.audio.decode import decode
from earmark.audio.features import Extractor
from earmark.errors import AudioError
from earmark.params import Frontend
from made_audio import FORMATS, encode_samples

FRONTEND = Frontend(sample_rate_hz=16_000, n_fft=512, hop=256, mels=64, f_min_hz=30.0, f_max_hz=8000.0)
FAST = ("mp3", "m4a", "aac", "opus", "webm", "flac", "mka", "wav", "aiff", "au", "caf")  # what torchcodec is given

needs_torchcodec = pytest.mark.skipif(
    why_not_torchcodec() is not None,
    reason=f"torchcodec does not work here: {why_not_torchcodec()}",
)


def music(rate_hz: int, channels: int = 2, seconds: float = 3.7) -> np.ndarray:
    """Tones that glide, another in each channel, and noise."""
    time_s = np.arange(round(seconds * rate_hz)) / rate_hz
    tones = [0.4 * np.sin(2 * np.pi * (300 + 200 * c) * time_s * (1 + 0.1 * time_s)) for c in range(channels)]
    return (np.stack(tones) + np.random.default_rng(1).normal(0, 0.05, (channels, len(time_s)))).astype(np.float32)


@pytest.fixture
def by(monkeypatch):
    """``by("pyav", source)``: the recording at 16 kHz, by this decoder."""

    def decoded(name: str, source: bytes) -> torch.Tensor:
        monkeypatch.setenv("EARMARK_DECODER", name)
        return waveform_of(source, 16_000)

    return decoded


@needs_torchcodec
class TestBothDecoders:
    @pytest.mark.parametrize("channels", [1, 2])
    @pytest.mark.parametrize("suffix", FORMATS)
    def test_give_the_same_samples_of_every_format(self, by, suffix, channels):
        if suffix == "ogg" and channels == 1:
            pytest.skip("FFmpeg's own vorbis encoder writes stereo only")
        rate_hz = 48_000 if suffix in ("opus", "webm") else 44_100
        content = encode_samples(music(rate_hz, channels), suffix, rate_hz)
        by_pyav, by_torchcodec = by("pyav", content), by("torchcodec", content)
        assert by_pyav.shape == by_torchcodec.shape
        torch.testing.assert_close(by_torchcodec, by_pyav, rtol=0, atol=2e-7)

    def test_give_the_same_log_mels_but_for_the_last_bit_of_a_few(self, by):
        content, extractor = encode_samples(music(44_100, seconds=20.0), "mp3", 44_100), Extractor(FRONTEND)
        ours, theirs = (extractor.log_mel(by(name, content)) for name in ("pyav", "torchcodec"))
        np.testing.assert_allclose(ours.astype(float), theirs.astype(float), rtol=2**-10, atol=1e-4)
        assert (ours != theirs).mean() < 1e-3

    @pytest.mark.parametrize("suffix", ["mp3", "m4a", "opus"])
    def test_take_off_the_encoders_delay(self, by, suffix):
        click = np.full((2, 3 * 48_000), 1e-4, np.float32)
        click[:, 48_000:48_040] = 0.9
        content = encode_samples(click, suffix, 48_000)
        for name in ("pyav", "torchcodec"):
            assert abs(int(by(name, content).abs().argmax()) - 16_007) < 20

    @pytest.mark.parametrize("suffix", FAST)
    def test_torchcodec_really_decodes_what_it_is_given(self, suffix):
        rate_hz = 48_000 if suffix in ("opus", "webm") else 44_100
        assert accepted._by_torchcodec(encode_samples(music(rate_hz), suffix, rate_hz), 16_000) is not None

    def test_mix_many_channels_to_their_mean(self, by):
        samples = music(16_000, channels=4)
        file = io.BytesIO()
        wavfile.write(file, 16_000, (samples.T * 32_000).astype(np.int16))
        expected = (samples * 32_000).astype(np.int16).mean(axis=0) / 32_768
        for name in ("pyav", "torchcodec"):
            np.testing.assert_allclose(by(name, file.getvalue()).numpy(), expected, atol=1e-5)

    def test_put_up_with_the_same_scratches(self, by):
        whole = encode_samples(music(44_100, seconds=20.0), "mp3", 44_100)
        for seed in range(6):
            random, scratched = np.random.default_rng(seed), bytearray(whole)
            for start in random.integers(3_000, len(whole) - 3_000, seed):
                scratched[start : start + 40] = random.bytes(40)
            torch.testing.assert_close(
                by("torchcodec", bytes(scratched)), by("pyav", bytes(scratched)), rtol=0, atol=2e-7
            )

    @pytest.mark.parametrize("content", [b"", b"no music at all", b"ID3\x03\0\0\0\0\0\0"])
    def test_what_cannot_be_decoded_is_an_error(self, by, content):
        for name in ("pyav", "torchcodec"):
            with pytest.raises(AudioError):
                by(name, content)


class TestDecoder:
    def test_torchcodec_is_taken_where_it_works_and_pyav_elsewhere(self, monkeypatch):
        monkeypatch.delenv("EARMARK_DECODER", raising=False)
        monkeypatch.setattr(accepted, "why_not_torchcodec", lambda: None)
        assert decoder() == "torchcodec"
        monkeypatch.setattr(accepted, "why_not_torchcodec", lambda: "no libavutil")
        assert decoder() == "pyav"

    def test_what_was_asked_for_but_does_not_work_is_an_error_with_a_remedy(self, monkeypatch):
        monkeypatch.setenv("EARMARK_DECODER", "torchcodec")
        monkeypatch.setattr(accepted, "why_not_torchcodec", lambda: "no libavutil")
        with pytest.raises(AudioError, match=r"no libavutil.*apt-get install ffmpeg"):
            decoder()

    def test_an_unknown_one_is_an_error_that_names_the_known(self, monkeypatch):
        monkeypatch.setenv("EARMARK_DECODER", "lame")
        with pytest.raises(AudioError, match=r"'lame'.*torchcodec and pyav"):
            decoder()

    def test_pyav_alone_gives_what_the_strict_door_gives(self, by):
        content = encode_samples(music(44_100), "mp3", 44_100)
        assert torch.equal(by("pyav", content), decode(content, sample_rate_hz=16_000, mono=True).waveform[0])
