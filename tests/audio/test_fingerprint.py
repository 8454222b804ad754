import tracemalloc

import numpy as np
import pytest

from earmark.audio.decode import decode
from earmark.audio.fingerprint import PITCH_STEPS_PER_OCTAVE, RATE_HZ, Fingerprinter, fingerprint
from earmark.audio.fingerprint_cache import FingerprintCache
from earmark.audio.metering import measure
from made_audio import encode_samples
from made_music import RATE_HZ as MUSIC_HZ
from made_music import piece


def of(samples: np.ndarray, chunk: int | None = None) -> np.ndarray:
    """The fingerprint of mono samples at 8 kHz, pushed in chunks."""
    fingerprinter = Fingerprinter()
    for start in range(0, len(samples), chunk or max(1, len(samples))):
        fingerprinter.push(samples[start : start + (chunk or len(samples))].astype(np.float32))
    return fingerprinter.finish()


@pytest.fixture(scope="module")
def music() -> np.ndarray:
    return decode(encode_samples(piece(3), "wav", MUSIC_HZ), sample_rate_hz=RATE_HZ, mono=True).waveform[0].numpy()


class TestFingerprinter:
    @pytest.mark.parametrize("chunk", [160, 1_024, 50_111, 49_152 + 1_344])
    def test_the_pieces_in_which_a_recording_comes_do_not_matter(self, music, chunk):
        assert of(music, chunk).tobytes() == of(music).tobytes()

    @pytest.mark.parametrize(("tone_hz", "at_s"), [(261.63, 1.3), (1000.0, 2.0171), (3000.0, 0.777)])
    def test_a_short_tone_is_found_where_it_is_loudest_and_at_its_pitch(self, tone_hz, at_s):
        time = np.arange(3 * RATE_HZ) / RATE_HZ
        bell = np.exp(-0.5 * ((time - at_s) / 0.05) ** 2)
        peaks = of(0.5 * bell * np.sin(2 * np.pi * tone_hz * time))[:-1]
        loudest = peaks[np.argmax(peaks["strength"])]
        assert abs(int(loudest["time_ms"]) / 1000 - at_s) < 0.004
        assert abs(loudest["pitch"] / PITCH_STEPS_PER_OCTAVE - np.log2(tone_hz / 125)) < 0.005

    def test_half_the_amplitude_gives_the_same_peaks_6_db_lower(self, music):
        loud, soft = of(music), of(music / 2)
        assert np.array_equal(loud[["time_ms", "pitch"]], soft[["time_ms", "pitch"]])
        lower = loud["strength"][:-1].astype(int) - soft["strength"][:-1]
        assert np.abs(lower - 100 * 20 * np.log10(2)).max() <= 1

    def test_what_comes_before_does_not_move_the_peaks_of_what_follows(self, music):
        later = 3 * RATE_HZ  # 125 frames
        whole = of(np.concatenate([music[:later], music]))
        inner = {(time - 3000, pitch) for time, pitch, _ in whole[:-1].tolist()}
        expected = {(time, pitch) for time, pitch, _ in of(music)[:-1].tolist() if time > 1500}
        assert len(expected) > 100
        assert expected <= inner

    def test_there_are_about_eight_peaks_a_second_in_music_and_in_noise(self, music):
        noise = np.random.default_rng(1).normal(0, 0.1, 20 * RATE_HZ)
        for samples in (music, noise):
            assert 5 < len(of(samples)) / (len(samples) / RATE_HZ) < 9

    @pytest.mark.parametrize("samples", [0, 5, 1_535, 1_536, 100_000])
    def test_silence_has_no_peaks_but_a_length(self, samples):
        (end,) = of(np.zeros(samples)).tolist()
        assert end == (round(samples / 8), 0, 0)

    def test_a_tone_has_peaks_of_one_pitch_only(self):
        tone = of(0.5 * np.sin(2 * np.pi * 700 * np.arange(10 * RATE_HZ) / RATE_HZ))[:-1]
        assert np.ptp(tone["pitch"].astype(int)) < 0.01 * PITCH_STEPS_PER_OCTAVE

    def test_memory_does_not_grow_with_the_recording(self):
        def highest(seconds: int) -> int:
            noise = np.random.default_rng(1).normal(0, 0.1, RATE_HZ).astype(np.float32)
            tracemalloc.start()
            fingerprinter = Fingerprinter()
            for _ in range(seconds):
                fingerprinter.push(noise)
            fingerprinter.finish()
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            return peak

        samples_of_it = 4 * 200 * RATE_HZ
        assert highest(300) - highest(100) < samples_of_it / 4


class TestFingerprint:
    def test_a_file_and_its_bytes_have_the_same(self, tmp_path):
        content = encode_samples(piece(4, 8.0), "mp3", MUSIC_HZ)
        (tmp_path / "song.mp3").write_bytes(content)
        assert fingerprint(tmp_path / "song.mp3").tobytes() == fingerprint(content).tobytes()

    def test_the_last_row_is_the_length_in_milliseconds(self):
        assert fingerprint(encode_samples(piece(4, 8.0), "wav", MUSIC_HZ)).tolist()[-1] == (8000, 0, 0)


class TestTheSamePass:
    @pytest.mark.parametrize("level", [0.5, 4.0])  # the second is far over full scale, which decoders cut off
    def test_heard_while_measuring_it_is_the_same_as_by_itself(self, music, level):
        song = encode_samples(level * np.asarray(music, np.float32).reshape(1, -1), "mp3", MUSIC_HZ)
        listening = Fingerprinter()
        measure(song, listener=lambda samples, _: listening.push(samples))
        assert listening.finish().tobytes() == fingerprint(song).tobytes()


class TestFingerprintCache:
    def test_what_was_stored_is_found_again(self, tmp_path, music):
        FingerprintCache(tmp_path).store("ab12", of(music))
        assert FingerprintCache(tmp_path).open("ab12").tobytes() == of(music).tobytes()

    def test_silence_is_remembered_too(self, tmp_path):
        FingerprintCache(tmp_path).store("ab12", of(np.zeros(80)))
        assert FingerprintCache(tmp_path).open("ab12").tolist() == [(10, 0, 0)]

    def test_what_is_missing_or_damaged_is_none(self, tmp_path, music):
        cache = FingerprintCache(tmp_path)
        assert cache.open("ab12") is None
        cache.store("ab12", of(music))
        cache.path("ab12").write_bytes(cache.path("ab12").read_bytes()[:50])
        assert cache.open("ab12") is None
