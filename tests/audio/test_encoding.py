import hashlib

import numpy as np
import pytest
import torch

from earmark.audio.decode import decode
from earmark.audio.encoding import Encoding, EncodingCache, encode
from earmark.audio.extraction import Job
from earmark.errors import AudioError
from made_audio import encode_tone


class Ear:
    """Hears two numbers, and counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, waveform: torch.Tensor) -> np.ndarray:
        self.asked += 1
        return np.array([waveform.std(), len(waveform)], dtype=np.float32)

    def encoding(self, name: str = "ear", rate_hz: int = 8_000) -> Encoding:
        return Encoding(name, 2, rate_hz, self)


@pytest.fixture
def jobs(write):
    made = []
    for number in range(6):
        content = encode_tone("wav", seconds=1.0 + number / 4, tone_hz=200.0 + 100 * number)
        path = write(f"{number}.wav", content)
        made.append(Job(hashlib.sha256(content).hexdigest(), lambda path=path: path))
    return made


class TestEncode:
    def test_each_recording_has_its_own_vector_in_order(self, jobs, tmp_path):
        found = list(encode(jobs, Ear().encoding(), tmp_path, workers=3))
        waveforms = [decode(job.audio(), sample_rate_hz=8_000, mono=True).waveform[0] for job in jobs]
        np.testing.assert_allclose(found, [[w.std(), len(w)] for w in waveforms], rtol=1e-3)

    def test_the_second_time_neither_model_nor_audio_is_asked(self, jobs, tmp_path):
        ear = Ear()
        first = list(encode(jobs, ear.encoding(), tmp_path))
        for job in jobs:
            job.audio().unlink()
        np.testing.assert_array_equal(list(encode(jobs, ear.encoding(), tmp_path)), first)
        assert ear.asked == len(jobs)

    def test_another_model_or_rate_is_asked_anew(self, jobs, tmp_path):
        ear = Ear()
        for encoding in (ear.encoding(), ear.encoding("other"), ear.encoding(rate_hz=4_000)):
            list(encode(jobs[:1], encoding, tmp_path))
        assert ear.asked == 3

    def test_an_interrupted_run_carries_on(self, jobs, tmp_path):
        ear = Ear()
        broken = Job("0" * 64, lambda: (_ for _ in ()).throw(AudioError("cut off")))
        with pytest.raises(AudioError, match="cut off"):
            list(encode([*jobs[:3], broken], ear.encoding(), tmp_path, workers=1))
        list(encode(jobs, ear.encoding(), tmp_path, workers=1))
        assert ear.asked == len(jobs)

    def test_a_damaged_entry_is_made_again(self, jobs, tmp_path):
        ear = Ear()
        first = list(encode(jobs[:1], ear.encoding(), tmp_path))
        path = EncodingCache(tmp_path, ear.encoding()).path(jobs[0].content_hash)
        path.write_bytes(path.read_bytes()[:-1])
        np.testing.assert_array_equal(list(encode(jobs[:1], ear.encoding(), tmp_path)), first)
        assert ear.asked == 2

    def test_torch_has_its_threads_back_afterwards(self, jobs, tmp_path):
        before = torch.get_num_threads()
        list(encode(jobs[:2], Ear().encoding(), tmp_path))
        assert torch.get_num_threads() == before
