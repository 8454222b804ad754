"""Features of many recordings: what the cache lacks is computed on every core, or on the GPU, and given in order.

Never more than a window of recordings is under way, so memory does not grow with their number. Where all is in the
cache already, nothing is started and no audio is touched.

Who computes: threads, where torchcodec decodes (it needs no lock of Python's). Else processes, as PyAV takes a step of
Python for each frame of 26 ms; but the first few recordings are done by threads even then, since a process needs
seconds before it has imported torch. On a GPU only the spectrograms are computed, in batches, and only beside threads.
"""

import contextlib
import ctypes
import itertools
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from earmark.audio import shared_cache
from earmark.audio.accepted import decoder, waveform_of
from earmark.audio.descriptors import describe
from earmark.audio.features import Audio, DescriptorCache, Extractor, FeatureCache
from earmark.errors import AudioError
from earmark.params import Frontend
from earmark.workers import Workers, cores, one_torch_thread

_WINDOW = 4  # recordings under way for each worker
_TIDY = 256  # recordings after which a process gives free memory back
_FEW = 16  # as many as threads do before processes are worth their start
_NONE: NDArray[np.float64] = np.zeros(0)
_BATCH, _BATCH_SAMPLES = 64, 1 << 27  # recordings and, padding included, samples: 512 MiB


@dataclass(frozen=True)
class Job:
    """One recording: its content hash, and how to get at its audio should that be needed (to be sent to a process)."""

    content_hash: str
    audio: Audio


@dataclass(frozen=True)
class Wanted:
    """Which features, and where they are kept: the folder of the cache."""

    cache: Path
    frontend: Frontend
    descriptors: bool = True
    log_mels: bool = True


@dataclass(frozen=True)
class Features:
    """Of one recording: frames of its log-mel, and descriptors, shape ``(descriptors,)``; 0 or empty where unwanted."""

    frames: int
    descriptors: NDArray[np.float64]


@dataclass(frozen=True)
class _Done:
    """What a worker hands back: features, or with a GPU the waveform ``(time,)`` whose log-mel is still to be made."""

    features: Features
    waveform: NDArray[np.float32] | None = None
    troubles: tuple[tuple[str, str], ...] = ()


def extract(
    jobs: Iterable[Job], wanted: Wanted, *, workers: int | None = None, device: str | None = None
) -> Iterator[Features]:
    """Features of each job, in order; in the cache from then on.

    Args:
        jobs: Recordings; read only as far ahead as work is under way.
        wanted: Which features.
        workers: How many at a time; by default one a core.
        device: Of the spectrograms: by default ``cuda`` where there is one and threads decode; processes would have to
            hand their waveforms back, which takes longer than the spectrograms (bench/gpu.py). ``cpu`` in so many words
            takes the way of the GPU too, for its tests.

    Raises:
        AudioError, CatalogueError: A recording cannot be decoded, or read.
    """
    if device is None and torch.cuda.is_available() and decoder() == "torchcodec":
        device = "cuda"
    with contextlib.closing(_under_way(jobs, wanted, workers or cores(), batched=device is not None)) as done:
        if device is None:
            yield from (each.features for _, each in _told(done))
        else:
            yield from _on_device(_told(done), wanted, device)


def _under_way(jobs: Iterable[Job], wanted: Wanted, workers: int, *, batched: bool) -> Generator[tuple[Job, _Done]]:
    """Jobs with what became of them, in order."""
    caches = _Caches(wanted)
    waiting: deque[tuple[Job, _Done | Future[_Done]]] = deque()
    with _Pool(workers) as pool:
        for job in jobs:
            found = caches.known(job.content_hash)
            waiting.append((job, pool.submit(job, wanted, batched) if found is None else _Done(found)))
            while waiting and (_is_done(waiting[0][1]) or len(waiting) >= workers * _WINDOW):
                yield _finished(waiting.popleft())
        while waiting:
            yield _finished(waiting.popleft())


def _finished(item: tuple[Job, "_Done | Future[_Done]"]) -> tuple[Job, _Done]:
    job, done = item
    try:
        return job, done if isinstance(done, _Done) else done.result()
    except BrokenProcessPool:
        raise AudioError(
            f"A process ended before it was done, at or near the recording {job.content_hash[:12]}…. The machine may "
            "have run out of memory (see dmesg). What was finished is kept: run it again, and it carries on from there."
        ) from None


def _is_done(done: "_Done | Future[_Done]") -> bool:
    return isinstance(done, _Done) or done.done()


def _told(done: Iterator[tuple[Job, _Done]]) -> Iterator[tuple[Job, _Done]]:
    for job, each in done:
        for trouble in each.troubles:
            shared_cache.tell(*trouble)
        yield job, each


class _Pool:
    """Threads and processes, each started when the first job needs them."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.threads_only = decoder() == "torchcodec"
        self.submitted = 0
        self.torch_threads = torch.get_num_threads()
        self.threads: ThreadPoolExecutor | None = None
        self.processes: Workers | None = None

    def __enter__(self) -> "_Pool":
        return self

    def submit(self, job: Job, wanted: Wanted, batched: bool) -> "Future[_Done]":
        self.submitted += 1
        if self.threads_only or self.submitted <= _FEW:
            self.threads = self.threads or ThreadPoolExecutor(self.count, "features", initializer=one_torch_thread)
            return self.threads.submit(_work, job, wanted, batched)
        self.processes = self.processes or Workers(self.count, one_torch_thread)
        return self.processes.submit(_work, job, wanted, batched)

    def __exit__(self, *_: object) -> None:
        for pool in (self.threads, self.processes):
            if pool is not None:
                pool.shutdown(cancel_futures=True)
        torch.set_num_threads(self.torch_threads)  # some of what `one_torch_thread` set holds for the whole process


class _Caches:
    """The caches as one worker, or the parent, sees them. Troubles with the shared one are kept until asked for."""

    def __init__(self, wanted: Wanted) -> None:
        self.wanted = wanted
        self._troubles: list[tuple[str, str]] = []
        shared = shared_cache.from_environment(lambda *trouble: self._troubles.append(trouble))
        self.log_mels = FeatureCache(wanted.cache, wanted.frontend, shared)
        self.descriptors = DescriptorCache(wanted.cache, wanted.frontend.sample_rate_hz, shared)

    def known(self, content_hash: str) -> Features | None:
        """What is here already, if that is all that is wanted."""
        shape = self.log_mels.shape(content_hash) if self.wanted.log_mels else (0,)
        descriptors = self.descriptors.open(content_hash) if self.wanted.descriptors else _NONE
        return None if shape is None or descriptors is None else Features(shape[0], np.array(descriptors))

    def troubles(self) -> tuple[tuple[str, str], ...]:
        """New ones since the last call."""
        new = tuple(self._troubles)
        del self._troubles[: len(new)]
        return new


_caches = cache(_Caches)  # one for each process: a shared cache that failed is not tried again for every recording


@cache
def _extractor(frontend: Frontend, device: str = "cpu") -> Extractor:
    return Extractor(frontend, device)


def _work(job: Job, wanted: Wanted, batched: bool) -> _Done:
    """Fetch or compute what is missing of one recording, and keep it."""
    if next(_worked) % _TIDY == 0:
        _give_memory_back()
    caches, name = _caches(wanted), job.content_hash
    shape = caches.log_mels.shape(name) if wanted.log_mels else (0,)
    if shape is None and (fetched := caches.log_mels.fetch(name)) is not None:
        shape = fetched.shape
    descriptors = caches.descriptors.open(name) if wanted.descriptors else _NONE
    if descriptors is None:
        descriptors = caches.descriptors.fetch(name)
    waveform = None
    if shape is None or descriptors is None:
        waveform = waveform_of(job.audio(), wanted.frontend.sample_rate_hz)
        if descriptors is None:
            descriptors = describe(waveform, wanted.frontend.sample_rate_hz)
            caches.descriptors.store(name, descriptors)
        if shape is None and not batched:
            log_mel = _extractor(wanted.frontend).log_mel(waveform)
            caches.log_mels.store(name, log_mel)
            shape = log_mel.shape
    features = Features(shape[0] if shape else 0, np.array(descriptors))
    left = waveform.numpy() if waveform is not None and shape is None else None
    return _Done(features, left, caches.troubles())


_worked = itertools.count(1)  # recordings, by this process


def _give_memory_back() -> None:
    """Arrays of many sizes leave holes that glibc keeps for itself: 14 KiB a recording, gigabytes for a million."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # only glibc has it
    if trim:
        trim(0)


def _on_device(done: Iterator[tuple[Job, _Done]], wanted: Wanted, device: str) -> Iterator[Features]:
    """The log-mels that are left to do, in batches on ``device``; features in the order of ``done``."""
    caches = _caches(wanted)
    for batch in _batches(done):
        frames = {}
        for group in _alike([each.waveform for _, each in batch]):
            waveforms = [torch.from_numpy(batch[place][1].waveform) for place in group]
            log_mels = _extractor(wanted.frontend, device).log_mels(waveforms)
            for place, log_mel in zip(group, log_mels, strict=True):
                caches.log_mels.store(batch[place][0].content_hash, log_mel)
                frames[place] = len(log_mel)
        for trouble in caches.troubles():
            shared_cache.tell(*trouble)
        for place, (_, each) in enumerate(batch):
            yield replace(each.features, frames=frames.get(place, each.features.frames))


def _batches(done: Iterator[tuple[Job, _Done]]) -> Iterator[list[tuple[Job, _Done]]]:
    """What comes after each other, as much as may be in memory together."""
    batch: list[tuple[Job, _Done]] = []
    samples = 0
    for item in done:
        batch.append(item)
        samples += 0 if item[1].waveform is None else len(item[1].waveform)
        if len(batch) >= _BATCH or samples >= _BATCH_SAMPLES:
            yield batch
            batch, samples = [], 0
    if batch:
        yield batch


def _alike(waveforms: Sequence[NDArray[np.float32] | None]) -> Iterator[list[int]]:
    """Places of waveforms of similar length: the shortest of a group has at least four fifths of the longest."""
    group: list[int] = []
    longest = 0
    lengths = {place: len(waveform) for place, waveform in enumerate(waveforms) if waveform is not None}
    for place in sorted(lengths, key=lambda place: -lengths[place]):
        if group and lengths[place] < 0.8 * longest:
            yield group
            group = []
        longest = longest if group else lengths[place]
        group.append(place)
    if group:
        yield group
