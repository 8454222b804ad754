import dataclasses
import hashlib
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from earmark.audio.decode import decode
from earmark.audio.descriptors import describe, descriptor_names
from earmark.audio.features import Extractor, FeatureCache
from earmark.audio.spectrogram import frontend_hash
from earmark.catalogue.track import Track, write_tracks
from earmark.errors import CatalogueError
from earmark.params import load_params
from earmark.stages import features
from earmark.workspace import CATALOGUE, DESCRIPTORS, FEATURE_CACHE, FEATURES
from scratch import CHECKOUT

PARAMS = load_params(CHECKOUT / "params.yaml")


def track(track_id: str, path: str, content: bytes) -> Track:
    name = hashlib.sha256(content).hexdigest()
    return Track(track_id, path, name, 2.0, 48_000, 2, "pcm_s16le", source="folder", group=track_id)


@pytest.fixture
def songs(encode):
    return [encode("wav", seconds=2.0 + index, tone_hz=200.0 * (index + 1)) for index in range(4)]


@pytest.fixture
def root(tmp_path, songs):
    """Four tracks: two in the project, one in an archive, one outside."""
    root, outside = tmp_path / "project", tmp_path / "mount" / "c.wav"
    (root / "audio").mkdir(parents=True)
    outside.parent.mkdir()
    for name, content in (("a", songs[0]), ("b", songs[1])):
        (root / "audio" / f"{name}.wav").write_bytes(content)
    outside.write_bytes(songs[2])
    with zipfile.ZipFile(root / "audio" / "0.zip", "w") as archive:
        archive.writestr("d.wav", songs[3])
    paths = ["audio/a.wav", "audio/b.wav", str(outside), "zip://d.wav::audio/0.zip"]
    write_tracks([track(f"{i}", path, songs[i]) for i, path in enumerate(paths)], root / CATALOGUE)
    return root


def written(root: Path) -> dict[Path, bytes]:
    return {path: (root / path).read_bytes() for path in (FEATURES, DESCRIPTORS)}


class TestFeatures:
    def test_each_track_wherever_it_lies_has_its_log_mel_and_its_descriptors(self, root, songs):
        features.run(PARAMS, root)
        index, table = pd.read_parquet(root / FEATURES), pd.read_parquet(root / DESCRIPTORS)
        assert index["track_id"].tolist() == table["track_id"].tolist() == ["0", "1", "2", "3"]
        assert list(table.columns) == ["track_id", *descriptor_names()]
        assert set(index["frontend_hash"]) == {frontend_hash(PARAMS.frontend)}
        extractor, cache = Extractor(PARAMS.frontend), FeatureCache(root / FEATURE_CACHE, PARAMS.frontend)
        for row, content in zip(index.itertuples(), songs, strict=True):
            waveform = decode(content, sample_rate_hz=16_000, mono=True).waveform[0]
            expected = extractor.log_mel(waveform)
            assert row.frames == len(expected)
            np.testing.assert_allclose(cache.open(row.content_hash), expected, rtol=2e-3)
            numbers = table.drop(columns="track_id").to_numpy()[row.Index]
            np.testing.assert_allclose(numbers, describe(waveform, 16_000), rtol=1e-3, atol=1e-4)

    def test_a_second_run_needs_no_audio_and_writes_the_same(self, root):
        features.run(PARAMS, root)
        first = written(root)
        for path in (root / "audio").iterdir():
            path.unlink()
        features.run(PARAMS, root)
        assert written(root) == first

    def test_tables_are_written_piece_by_piece(self, root, monkeypatch):
        features.run(PARAMS, root)
        whole = {path: pd.read_parquet(root / path) for path in (FEATURES, DESCRIPTORS)}
        monkeypatch.setattr(features, "_ROW_GROUP", 3)
        features.run(PARAMS, root)
        for path, table in whole.items():
            assert pq.ParquetFile(root / path).num_row_groups == 2
            pd.testing.assert_frame_equal(pd.read_parquet(root / path), table)

    def test_another_front_end_computes_again(self, root):
        features.run(PARAMS, root)
        other = dataclasses.replace(PARAMS, frontend=dataclasses.replace(PARAMS.frontend, hop=512))
        before = pd.read_parquet(root / FEATURES)["frames"]
        features.run(other, root)
        assert (pd.read_parquet(root / FEATURES)["frames"] == (before - 1) // 2 + 1).all()

    def test_audio_that_is_no_longer_what_was_imported_is_an_error_and_nothing_is_written(self, root, songs):
        (root / "audio" / "b.wav").write_bytes(songs[0])
        with pytest.raises(CatalogueError, match=r"audio/b\.wav is not what was imported"):
            features.run(PARAMS, root)
        assert not (root / FEATURES).exists() and not (root / DESCRIPTORS).exists()

    def test_without_a_catalogue_it_says_how_to_make_one(self, tmp_path):
        with pytest.raises(CatalogueError, match="There is no catalogue"):
            features.run(PARAMS, tmp_path)

    def test_an_empty_catalogue_makes_empty_tables(self, tmp_path):
        write_tracks([], tmp_path / CATALOGUE)
        features.run(PARAMS, tmp_path)
        assert len(pd.read_parquet(tmp_path / FEATURES)) == len(pd.read_parquet(tmp_path / DESCRIPTORS)) == 0
