import dataclasses
import hashlib

import numpy as np
import pytest

from earmark.audio.features import DescriptorCache, Extractor, FeatureCache
from earmark.params import Frontend

FRONTEND = Frontend(sample_rate_hz=8_000, n_fft=256, hop=128, mels=16, f_min_hz=30.0, f_max_hz=4000.0)


@pytest.fixture
def song(write, encode):
    content = encode("wav", seconds=2.0)
    return write("song.wav", content), hashlib.sha256(content).hexdigest()


class TestFeatureCache:
    def test_what_is_asked_for_twice_is_computed_once(self, tmp_path, song):
        path, content_hash = song
        cache = FeatureCache(tmp_path / "cache", FRONTEND)
        first = cache.get(content_hash, path)
        path.unlink()
        np.testing.assert_array_equal(cache.get(content_hash, path), first)

    def test_it_holds_what_the_extractor_hears(self, tmp_path, song):
        path, content_hash = song
        extractor = Extractor(FRONTEND)
        expected = extractor.log_mel(extractor.waveform(path))
        assert expected.dtype == np.float16 and expected.shape[1] == 16
        np.testing.assert_array_equal(FeatureCache(tmp_path, FRONTEND).get(content_hash, path), expected)

    @pytest.mark.parametrize("damage", [lambda b: b"", lambda b: b[: len(b) // 2], lambda b: b"x" * len(b)])
    def test_a_damaged_entry_is_noticed_and_made_again(self, tmp_path, song, damage):
        path, content_hash = song
        cache = FeatureCache(tmp_path / "cache", FRONTEND)
        whole = np.array(cache.get(content_hash, path))
        entry = cache.path(content_hash)
        entry.write_bytes(damage(entry.read_bytes()))
        assert cache.open(content_hash) is None
        np.testing.assert_array_equal(cache.get(content_hash, path), whole)

    def test_another_front_end_has_other_entries(self, tmp_path, song):
        path, content_hash = song
        other = dataclasses.replace(FRONTEND, mels=20)
        FeatureCache(tmp_path, FRONTEND).get(content_hash, path)
        assert FeatureCache(tmp_path, other).open(content_hash) is None
        assert FeatureCache(tmp_path, other).get(content_hash, path).shape[1] == 20

    def test_a_half_written_entry_is_never_seen(self, tmp_path, song):
        path, content_hash = song
        cache = FeatureCache(tmp_path / "cache", FRONTEND)
        cache.get(content_hash, path)
        assert [file.name for file in cache.path(content_hash).parent.iterdir()] == [f"{content_hash}.npy"]


class TestDescriptorCache:
    def test_a_table_of_another_length_is_not_taken(self, tmp_path):
        cache = DescriptorCache(tmp_path, 8_000)
        cache.store("ab12", np.zeros(3))
        assert cache.open("ab12") is None
