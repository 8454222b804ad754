"""Stage `features`: every accepted track's log-mel into the feature cache, and its descriptors into a table.

Work already done is found again by content: a catalogue that grows by 1 % costs 1 %, and a killed run carries on.
Tracks stream through, so memory does not grow with the catalogue.
"""

from collections import deque
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from earmark.audio.descriptors import descriptor_names
from earmark.audio.extraction import Features, Job, Wanted, extract
from earmark.audio.spectrogram import frontend_hash
from earmark.catalogue.reading import read_recording
from earmark.catalogue.track import iter_rows, number_of_rows
from earmark.files import replacing
from earmark.params import Params
from earmark.progress import progress
from earmark.workspace import CATALOGUE, DESCRIPTORS, FEATURE_CACHE, FEATURES

_COLUMNS = ("track_id", "content_hash", "path")
_ROW_GROUP = 1024

Row = dict[str, str]


def run(params: Params, root: Path) -> None:
    """Write data/features.parquet (the index of the cache) and data/descriptors.parquet.

    Raises:
        AudioError: A recording that was accepted cannot be decoded any more.
        CatalogueError: There is no catalogue; or a recording is not there, or no longer what it was at its import.
    """
    rows: deque[Row] = deque()  # handed out as jobs, not yet back

    def jobs() -> Iterator[Job]:
        for row in iter_rows(root / CATALOGUE, _COLUMNS):
            rows.append(row)
            yield Job(row["content_hash"], partial(read_recording, root, row["path"], row["content_hash"]))

    found = extract(jobs(), Wanted(root / FEATURE_CACHE, params.frontend))
    found = progress(found, description="features", total=number_of_rows(root / CATALOGUE))
    key = frontend_hash(params.frontend)
    index = pa.schema(
        [*((name, pa.string()) for name in _COLUMNS), ("frontend_hash", pa.string()), ("frames", pa.int32())]
    )
    table = pa.schema([("track_id", pa.string()), *((name, pa.float64()) for name in descriptor_names())])
    with (
        replacing(root / FEATURES) as features_part,
        replacing(root / DESCRIPTORS) as descriptors_part,
        pq.ParquetWriter(features_part, index) as features_file,
        pq.ParquetWriter(descriptors_part, table) as descriptors_file,
    ):
        for group in _groups((rows.popleft(), features) for features in found):
            names = {name: [row[name] for row, _ in group] for name in _COLUMNS}
            frames = [features.frames for _, features in group]
            values = np.stack([features.descriptors for _, features in group])  # (tracks, descriptors)
            features_file.write_table(
                pa.table({**names, "frontend_hash": [key] * len(group), "frames": frames}, schema=index)
            )
            descriptors_file.write_table(pa.table([pa.array(names["track_id"]), *values.T], schema=table))


def _groups(items: Iterator[tuple[Row, Features]]) -> Iterator[list[tuple[Row, Features]]]:
    """As many as make one row group of the tables."""
    group: list[tuple[Row, Features]] = []
    for item in items:
        group.append(item)
        if len(group) == _ROW_GROUP:
            yield group
            group = []
    if group:
        yield group
