import hashlib
import itertools
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from earmark.audio import extraction
from earmark.audio.accepted import why_not_torchcodec
from earmark.audio.decode import decode
from earmark.audio.descriptors import describe
from earmark.audio.extraction import Job, Wanted, extract
from earmark.audio.features import DescriptorCache, Extractor, FeatureCache
from earmark.errors import AudioError
from earmark.params import Frontend
from ending import all_end
from made_audio import encode_tone

FRONTEND = Frontend(sample_rate_hz=8_000, n_fft=256, hop=128, mels=16, f_min_hz=30.0, f_max_hz=4000.0)
HERE = Path(__file__).parent
DECODERS = ["pyav"] if why_not_torchcodec() else ["pyav", "torchcodec"]


@dataclass(frozen=True)
class Reader:
    """Hands out a file; what it was asked for stays visible beside it."""

    path: Path

    def __call__(self) -> Path:
        self.path.with_suffix(".asked").touch()
        return self.path


@pytest.fixture
def jobs(tmp_path):
    """Eight recordings of different lengths."""
    jobs = []
    for index in range(8):
        content = encode_tone("wav", seconds=1.0 + 0.37 * index, rate_hz=16_000, tone_hz=200.0 + 100 * index)
        path = tmp_path / f"{index}.wav"
        path.write_bytes(content)
        jobs.append(Job(hashlib.sha256(content).hexdigest(), Reader(path)))
    return jobs


@pytest.fixture
def wanted(tmp_path):
    return Wanted(tmp_path / "cache", FRONTEND)


@pytest.fixture
def early_processes(monkeypatch):
    """PyAV's processes start after two recordings instead of sixteen."""
    monkeypatch.setenv("EARMARK_DECODER", "pyav")
    monkeypatch.setattr(extraction, "_FEW", 2)


def expected(jobs):
    """Log-mels and descriptors, one by one through the strict door."""
    extractor = Extractor(FRONTEND)
    waveforms = [decode(job.audio.path, sample_rate_hz=8_000, mono=True).waveform[0] for job in jobs]
    return [extractor.log_mel(w) for w in waveforms], [describe(w, 8_000) for w in waveforms]


def asked(jobs) -> list[bool]:
    """For which the audio was needed; and forget it."""
    marks = [job.audio.path.with_suffix(".asked") for job in jobs]
    were = [mark.exists() for mark in marks]
    for mark in marks:
        mark.unlink(missing_ok=True)
    return were


def check(found, jobs, wanted) -> None:
    log_mels, descriptors = expected(jobs)
    cache = FeatureCache(wanted.cache, FRONTEND)
    assert [features.frames for features in found] == [len(log_mel) for log_mel in log_mels]
    for features, job, log_mel, numbers in zip(found, jobs, log_mels, descriptors, strict=True):
        np.testing.assert_allclose(features.descriptors, numbers, rtol=1e-3, atol=1e-4)
        entry = cache.open(job.content_hash)
        np.testing.assert_allclose(entry.astype(float), log_mel.astype(float), rtol=2**-10, atol=1e-3)


class TestExtract:
    @pytest.mark.parametrize("name", DECODERS)
    def test_it_gives_the_features_of_each_recording_in_order(self, jobs, wanted, name, monkeypatch):
        monkeypatch.setenv("EARMARK_DECODER", name)
        check(list(extract(jobs, wanted, workers=3)), jobs, wanted)

    def test_processes_give_the_same(self, jobs, wanted, early_processes):
        check(list(extract(jobs, wanted, workers=2)), jobs, wanted)

    def test_batches_for_a_gpu_give_the_same(self, jobs, wanted):
        check(list(extract(jobs, wanted, workers=2, device="cpu")), jobs, wanted)

    def test_batches_from_processes_give_the_same_also_where_half_is_known(self, jobs, wanted, early_processes):
        list(extract(jobs[::2], wanted))
        asked(jobs)
        check(list(extract(jobs, wanted, workers=2, device="cpu")), jobs, wanted)
        assert asked(jobs) == [False, True] * 4

    def test_what_is_known_starts_nothing_and_touches_no_audio(self, jobs, wanted, monkeypatch):
        first = list(extract(jobs, wanted))
        assert asked(jobs) == [True] * 8
        for pool in ("ThreadPoolExecutor", "Workers"):
            monkeypatch.setattr(extraction, pool, None)  # calling it would fail
        again = list(extract(jobs, wanted))
        assert asked(jobs) == [False] * 8
        assert [features.frames for features in again] == [features.frames for features in first]
        for one, other in zip(first, again, strict=True):
            np.testing.assert_array_equal(one.descriptors, other.descriptors)

    def test_one_more_costs_one(self, jobs, wanted):
        list(extract(jobs[:7], wanted))
        asked(jobs)
        assert len(list(extract(jobs, wanted))) == 8
        assert asked(jobs) == [False] * 7 + [True]

    def test_what_was_damaged_in_its_header_is_made_again(self, jobs, wanted):
        list(extract(jobs, wanted))
        asked(jobs)
        entry = FeatureCache(wanted.cache, FRONTEND).path(jobs[3].content_hash)
        entry.write_bytes(entry.read_bytes()[:-1])
        check(list(extract(jobs, wanted)), jobs, wanted)
        assert asked(jobs) == [False] * 3 + [True] + [False] * 4

    def test_only_what_is_wanted_is_computed(self, jobs, wanted):
        log_mels = Wanted(wanted.cache, FRONTEND, descriptors=False)
        assert all(each.frames and not len(each.descriptors) for each in extract(jobs, log_mels))
        assert DescriptorCache(wanted.cache, 8_000).open(jobs[0].content_hash) is None
        descriptors = Wanted(wanted.cache / "other", FRONTEND, log_mels=False)
        assert all(not each.frames and len(each.descriptors) for each in extract(jobs, descriptors))
        assert FeatureCache(wanted.cache / "other", FRONTEND).open(jobs[0].content_hash) is None

    def test_no_more_than_a_window_is_under_way(self, jobs, wanted):
        taken = []

        def endless():
            while True:
                taken.append(jobs[len(taken) % len(jobs)])
                yield taken[-1]

        features = extract(endless(), wanted, workers=2)
        for number in range(1, 60):
            next(features)
            assert len(taken) <= number + 2 * extraction._WINDOW
        features.close()

    @pytest.mark.parametrize("processes", [False, True])
    def test_what_cannot_be_decoded_is_an_error_and_the_rest_is_kept(self, jobs, wanted, processes, request):
        if processes:
            request.getfixturevalue("early_processes")
        path = jobs[6].audio.path
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
        with pytest.raises(AudioError, match=r"6\.wav.*cut off"):
            list(extract(jobs, wanted, workers=1))
        path.write_bytes(whole)
        asked(jobs)
        check(list(extract(jobs, wanted)), jobs, wanted)
        assert asked(jobs)[:6] == [False] * 6

    def test_two_processes_may_fill_the_cache_at_once(self, jobs, wanted):
        spawn = multiprocessing.get_context("spawn")
        both = [spawn.Process(target=_extract_all, args=(jobs, wanted)) for _ in range(2)]
        for process in both:
            process.start()
        for process in both:
            process.join()
        assert [process.exitcode for process in both] == [0, 0]
        asked(jobs)
        check(list(extract(jobs, wanted)), jobs, wanted)
        assert asked(jobs) == [False] * 8
        assert not list(wanted.cache.rglob("*.part"))

    @pytest.mark.parametrize("name, number", [(DECODERS[-1], signal.SIGINT), ("pyav", signal.SIGKILL)])
    def test_stopped_or_killed_it_leaves_no_process_and_carries_on(self, jobs, wanted, name, number):
        program = (
            "import pickle, sys, test_extraction\n"
            "test_extraction.work_until_stopped(*pickle.loads(bytes.fromhex(sys.argv[1])))"
        )
        command = [sys.executable, "-c", program, pickle.dumps((jobs, wanted)).hex()]
        env = {**os.environ, "EARMARK_DECODER": name, "PYTHONPATH": os.pathsep.join([*sys.path, str(HERE)])}
        child = subprocess.Popen(command, env=env, start_new_session=True, stderr=subprocess.DEVNULL)
        cache = FeatureCache(wanted.cache, FRONTEND)
        while not all(cache.path(job.content_hash).exists() for job in jobs):
            assert child.poll() is None
            time.sleep(0.02)
        time.sleep(0.5)
        assert child.poll() is None  # in the midst of what is slow
        os.kill(child.pid, number)
        child.wait(30)
        assert all_end(child.pid), "a process is still there"
        asked(jobs)
        check(list(extract(jobs, wanted)), jobs, wanted)
        assert asked(jobs) == [False] * 8

    def test_a_worker_that_dies_is_an_error_that_says_what_to_do(self, jobs, wanted, early_processes):
        with pytest.raises(AudioError, match="run it again"):
            list(extract([*jobs, Job("ab" * 32, dying)], wanted, workers=1))
        asked(jobs)
        check(list(extract(jobs, wanted)), jobs, wanted)

    def test_torchs_number_of_threads_is_left_as_it_was(self, jobs, wanted):
        import torch

        before = torch.get_num_threads()
        list(extract(jobs, wanted))
        assert torch.get_num_threads() == before


def slow() -> bytes:
    time.sleep(1.0)
    return encode_tone("wav", seconds=1.0)


def dying() -> Path:
    os._exit(1)


def work_until_stopped(jobs, wanted) -> None:
    extraction._FEW = 2
    _extract_all(jobs, wanted)
    endless = (Job(f"{number:064d}", slow) for number in itertools.count())
    for _ in extract(endless, Wanted(wanted.cache / "other", FRONTEND)):
        pass


def _extract_all(jobs, wanted) -> None:
    assert len(list(extract(jobs, wanted))) == len(jobs)
