import dataclasses
import hashlib

import numpy as np
import pytest

from earmark.audio.decode import decode
from earmark.audio.features import DescriptorCache, Extractor, FeatureCache
from earmark.params import Frontend

FRONTEND = Frontend(sample_rate_hz=8_000, n_fft=256, hop=128, mels=16, f_min_hz=30.0, f_max_hz=4000.0)


def flipped(content: bytes, place: int) -> bytes:
    """One bit of it turned over."""
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


@pytest.fixture
def song(write, encode):
    content = encode("wav", seconds=2.0)
    return write("song.wav", content), hashlib.sha256(content).hexdigest()


class TestFeatureCache:
    def test_what_is_asked_for_twice_is_computed_once(self, tmp_path, song):
        path, content_hash = song
        cache = FeatureCache(tmp_path / "cache", FRONTEND)
        first = cache.get(content_hash, lambda: path)
        path.unlink()
        np.testing.assert_array_equal(cache.get(content_hash, lambda: path), first)

    def test_it_holds_what_the_extractor_hears(self, tmp_path, song):
        path, content_hash = song
        expected = Extractor(FRONTEND).log_mel(decode(path, sample_rate_hz=8_000, mono=True).waveform[0])
        assert expected.dtype == np.float16 and expected.shape[1] == 16
        entry = FeatureCache(tmp_path, FRONTEND).get(content_hash, lambda: path)
        np.testing.assert_allclose(entry.astype(float), expected.astype(float), rtol=2**-10)

    @pytest.mark.parametrize(
        "damage",
        {
            "emptied": lambda b: b"",
            "cut to half": lambda b: b[: len(b) // 2],
            "cut by one byte": lambda b: b[:-1],
            "longer": lambda b: b + b"x",
            "rubbish": lambda b: b"x" * len(b),
            "first byte": lambda b: flipped(b, 0),
            "shape in the header": lambda b: flipped(b, b.index(b"'shape': (") + 10),
            "padding of the header": lambda b: flipped(b, 120),
            "first value": lambda b: flipped(b, 128),
            "a value in the middle": lambda b: flipped(b, len(b) // 2),
            "last value": lambda b: flipped(b, len(b) - 17),
            "digest": lambda b: flipped(b, len(b) - 1),
            "another type": lambda b: b.replace(b"'<f2'", b"'<i2'"),
        }.items(),
        ids=lambda item: item[0],
    )
    def test_a_damaged_entry_is_noticed_and_made_again(self, tmp_path, song, damage):
        path, content_hash = song
        cache = FeatureCache(tmp_path / "cache", FRONTEND)
        whole = np.array(cache.get(content_hash, lambda: path))
        entry = cache.path(content_hash)
        entry.write_bytes(damage[1](entry.read_bytes()))
        assert cache.open(content_hash) is None
        np.testing.assert_array_equal(cache.get(content_hash, lambda: path), whole)

    def test_an_entry_is_not_written_to_by_those_who_read_it(self, tmp_path, song):
        path, content_hash = song
        cache = FeatureCache(tmp_path, FRONTEND)
        cache.get(content_hash, lambda: path)
        entry = cache.open(content_hash)
        with pytest.raises(ValueError, match="read-only"):
            entry[0, 0] = 1.0

    def test_another_recordings_entry_under_this_name_is_noticed(self, tmp_path, song):
        _, content_hash = song
        cache = FeatureCache(tmp_path, FRONTEND)
        cache.store("ab" * 32, np.ones((5, 16), np.float16))
        cache.path(content_hash).parent.mkdir(parents=True)
        cache.path("ab" * 32).replace(cache.path(content_hash))
        assert cache.open(content_hash) is None

    def test_numpy_reads_an_entry_as_it_is(self, tmp_path, song):
        path, content_hash = song
        cache = FeatureCache(tmp_path, FRONTEND)
        np.testing.assert_array_equal(cache.get(content_hash, lambda: path), np.load(cache.path(content_hash)))

    def test_its_shape_is_known_without_reading_all_of_it(self, tmp_path, song):
        path, content_hash = song
        cache = FeatureCache(tmp_path, FRONTEND)
        assert cache.shape(content_hash) is None
        log_mel = cache.get(content_hash, lambda: path)
        assert cache.shape(content_hash) == log_mel.shape == (1 + 2 * 8_000 // 128, 16)

    def test_what_is_there_is_not_asked_for(self, tmp_path, song):
        path, content_hash = song
        cache = FeatureCache(tmp_path, FRONTEND)
        cache.get(content_hash, lambda: path)

        def never():
            raise AssertionError("the audio was asked for")

        cache.get(content_hash, never)

    def test_another_front_end_has_other_entries(self, tmp_path, song):
        path, content_hash = song
        other = dataclasses.replace(FRONTEND, mels=20)
        FeatureCache(tmp_path, FRONTEND).get(content_hash, lambda: path)
        assert FeatureCache(tmp_path, other).open(content_hash) is None
        assert FeatureCache(tmp_path, other).get(content_hash, lambda: path).shape[1] == 20

    def test_a_half_written_entry_is_never_seen(self, tmp_path, song):
        path, content_hash = song
        cache = FeatureCache(tmp_path / "cache", FRONTEND)
        cache.get(content_hash, lambda: path)
        assert [file.name for file in cache.path(content_hash).parent.iterdir()] == [f"{content_hash}.npy"]


class TestDescriptorCache:
    def test_a_table_of_another_length_is_not_taken(self, tmp_path):
        cache = DescriptorCache(tmp_path, 8_000)
        cache.store("ab12", np.zeros(3))
        assert cache.open("ab12") is None
