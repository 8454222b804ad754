"""Stage `features`: every accepted track's log-mel into the feature cache, and its descriptors into a table.

Work already done is found again by content: a catalogue that grows by 1 % costs 1 %, and a killed run carries on.
"""

import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from earmark.audio.descriptors import describe, descriptor_names
from earmark.audio.features import DescriptorCache, Extractor, FeatureCache
from earmark.catalogue.track import read_tracks
from earmark.files import replacing
from earmark.params import Frontend, Params
from earmark.progress import progress
from earmark.workspace import CATALOGUE, DESCRIPTORS, FEATURE_CACHE, FEATURES


@dataclass(frozen=True)
class _Job:
    audio: Path
    content_hash: str
    cache: Path
    frontend: Frontend


def run(params: Params, root: Path) -> None:
    """Write data/features.parquet (the index of the cache) and data/descriptors.parquet.

    Raises:
        AudioError: A recording that was accepted cannot be decoded any more.
    """
    tracks = read_tracks(root / CATALOGUE)
    jobs = [
        _Job(root / path, content_hash, root / FEATURE_CACHE, params.frontend)
        for path, content_hash in zip(tracks["path"], tracks["content_hash"], strict=True)
    ]
    frames, described = [], []
    for count, descriptors in progress(_extracted(jobs), description="features", total=len(jobs)):
        frames.append(count)
        described.append(descriptors)
    index = pa.table(
        {
            "track_id": pa.array(tracks["track_id"], pa.string()),
            "content_hash": pa.array(tracks["content_hash"], pa.string()),
            "path": pa.array(tracks["path"], pa.string()),
            "frontend_hash": pa.array(
                [FeatureCache(root / FEATURE_CACHE, params.frontend).key] * len(tracks), pa.string()
            ),
            "frames": pa.array(frames, pa.int32()),
        }
    )
    with replacing(root / FEATURES) as part:
        pq.write_table(index, part)
    table = pd.DataFrame(np.stack(described), columns=list(descriptor_names()))
    table.insert(0, "track_id", tracks["track_id"].to_numpy())
    with replacing(root / DESCRIPTORS) as part:
        table.to_parquet(part, index=False)


def _extracted(jobs: list[_Job]) -> Iterator[tuple[int, np.ndarray]]:
    """Frames and descriptors of each job, in order. A process per core, spawned: a fork after torch's threads hangs."""
    workers = os.cpu_count() or 1
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_one_thread) as pool:
        yield from pool.map(_extract, jobs, chunksize=max(1, min(8, len(jobs) // workers)))


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


def _extract(job: _Job) -> tuple[int, np.ndarray]:
    log_mels = FeatureCache(job.cache, job.frontend)
    tables = DescriptorCache(job.cache, job.frontend.sample_rate_hz)
    log_mel, descriptors = log_mels.open(job.content_hash), tables.open(job.content_hash)
    if log_mel is None or descriptors is None:
        extractor = Extractor(job.frontend)
        waveform = extractor.waveform(job.audio)
        log_mel, descriptors = extractor.log_mel(waveform), describe(waveform, job.frontend.sample_rate_hz)
        log_mels.store(job.content_hash, log_mel)
        tables.store(job.content_hash, descriptors)
    return len(log_mel), descriptors
