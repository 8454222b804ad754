import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from earmark.audio.fingerprint_cache import FingerprintCache
from earmark.catalogue.track import Track, write_tracks
from earmark.files import sha256_of
from earmark.params import Catalogue, load_params
from earmark.stages import duplicates
from earmark.workspace import COLLECTIONS, DUPLICATE_PAIRS, DUPLICATES, DUPLICATES_SUMMARY, FEATURE_CACHE, TRACKS
from ending import all_end
from made_audio import encode_samples
from made_music import RATE_HZ, piece
from scratch import CHECKOUT

SONG, OTHER = piece(1, 12.0), piece(2, 12.0)
WAV = encode_samples(SONG, "wav", RATE_HZ)
FILES = {
    "a/again.wav": WAV,
    "a/song.wav": WAV,
    "b/coded.mp3": encode_samples(SONG, "mp3", RATE_HZ),
    "b/lossless.flac": encode_samples(SONG, "flac", RATE_HZ),
    "c/other.mp3": encode_samples(OTHER, "mp3", RATE_HZ),
    "c/silence.wav": encode_samples(np.zeros((1, 8_000), np.float32), "wav", 8_000),
}
SOUNDS = {"a/again.wav": "s", "a/song.wav": "s", "b/lossless.flac": "s"}  # what the importer says of the decoded audio
PARAMS = dataclasses.replace(load_params(CHECKOUT / "params.yaml"), catalogue=Catalogue("mine"))


@pytest.fixture
def project(tmp_path):
    audio = COLLECTIONS / "mine" / "audio"
    tracks = []
    for track_id, content in FILES.items():
        path = audio / track_id
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(content)
        hashes = {"content_hash": sha256_of(tmp_path / path), "audio_hash": SOUNDS.get(track_id)}
        described = {"duration_s": 12.0, "sample_rate_hz": RATE_HZ, "channels": 1, "codec": path.suffix[1:]}
        tracks.append(Track(track_id, path.as_posix(), **hashes, **described, source="folder", group=track_id))
    write_tracks(tracks, tmp_path / COLLECTIONS / "mine" / TRACKS)
    return tmp_path


@pytest.mark.long
def test_copies_are_found_grouped_and_written_for_machines_and_for_people(project):
    duplicates.run(PARAMS, project)

    table = pq.read_table(project / DUPLICATES).to_pydict()
    assert dict(zip(table["track_id"], table["duplicate_group"], strict=True)) == {
        name: "a/again.wav" if name[0] in "ab" else None for name in FILES
    }
    assert dict(zip(table["track_id"], table["kind"], strict=True)) == {
        "a/again.wav": "same file",
        "a/song.wav": "same file",
        "b/coded.mp3": "same recording",
        "b/lossless.flac": "same audio",
        "c/other.mp3": None,
        "c/silence.wav": None,
    }

    pairs = pd.read_csv(project / DUPLICATE_PAIRS)
    assert pairs[["first", "second", "kind"]].to_numpy().tolist() == [
        ["a/again.wav", "a/song.wav", "same file"],
        ["a/again.wav", "b/coded.mp3", "same recording"],
        ["a/again.wav", "b/lossless.flac", "same audio"],
    ]
    assert pairs["speed"].to_list() == pytest.approx([np.nan, 1.0, np.nan], abs=0.001, nan_ok=True)

    assert json.loads((project / DUPLICATES_SUMMARY).read_text()) == {
        "tracks": 6,
        "tracks_with_copies": 4,
        "groups": 1,
        "largest_group": 4,
        "tracks_unreadable": 0,
        "pairs": {"same_file": 1, "same_audio": 1, "same_recording": 1},
    }

    # What was decoded once is not decoded again: the second run does without the audio. A damaged entry is made anew.
    written = (project / DUPLICATES).read_bytes()
    other = COLLECTIONS / "mine" / "audio" / "c" / "other.mp3"
    coded = COLLECTIONS / "mine" / "audio" / "b" / "coded.mp3"
    damaged = FingerprintCache(project / FEATURE_CACHE).path(sha256_of(project / coded))
    damaged.write_bytes(damaged.read_bytes()[:-3])
    (project / other).rename(project / "elsewhere.mp3")
    duplicates.run(PARAMS, project)
    assert (project / DUPLICATES).read_bytes() == written

    # Of equal files one is enough, wherever it stands in the table.
    FingerprintCache(project / FEATURE_CACHE).path(sha256_of(project / COLLECTIONS / "mine/audio/a/song.wav")).unlink()
    for missing in ("again", "song"):
        file = project / COLLECTIONS / f"mine/audio/a/{missing}.wav"
        file.rename(project / "away.wav")
        duplicates.run(PARAMS, project)
        assert (project / DUPLICATES).read_bytes() == written
        (project / "away.wav").rename(file)

    # What cannot be read and was never read is named, with the reason; the others are found all the same.
    FingerprintCache(project / FEATURE_CACHE).path(sha256_of(project / "elsewhere.mp3")).unlink()
    FingerprintCache(project / FEATURE_CACHE).path(sha256_of(project / coded)).unlink()
    (project / coded).write_bytes(b"other bytes")
    duplicates.run(PARAMS, project)
    table = pd.read_parquet(project / DUPLICATES).set_index("track_id")
    reasons = table["unreadable"].dropna()
    assert set(reasons.index) == {"b/coded.mp3", "c/other.mp3"}
    assert "not what was imported" in reasons["b/coded.mp3"] and "cannot be read" in reasons["c/other.mp3"]
    assert set(table.index[table["duplicate_group"].notna()]) == {"a/again.wav", "a/song.wav", "b/lossless.flac"}


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_stopped_or_killed_it_leaves_no_process_and_carries_on(tmp_path, number):
    audio = COLLECTIONS / "mine" / "audio"
    (tmp_path / audio).mkdir(parents=True)
    tracks = []
    for place in range(80):
        path = audio / f"{place}.wav"
        (tmp_path / path).write_bytes(encode_samples(SONG * (1 - place / 100), "wav", RATE_HZ))
        described = {"duration_s": 12.0, "sample_rate_hz": RATE_HZ, "channels": 1, "codec": "pcm_s16le"}
        content_hash = sha256_of(tmp_path / path)
        tracks.append(Track(path.name, path.as_posix(), content_hash, **described, source="folder", group=path.name))
    write_tracks(tracks, tmp_path / COLLECTIONS / "mine" / TRACKS)
    cached = FingerprintCache(tmp_path / FEATURE_CACHE)
    code = (
        "import test_duplicates_stage as test; from pathlib import Path\n"
        f"if __name__ == '__main__': test.duplicates.run(test.PARAMS, Path({str(tmp_path)!r}))\n"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([*sys.path, str(Path(__file__).parent)])}
    child = subprocess.Popen([sys.executable, "-c", code], env=env, start_new_session=True, stderr=subprocess.DEVNULL)
    while not list(cached.folder.rglob("*.npy")):
        assert child.poll() is None
        time.sleep(0.01)
    os.kill(child.pid, number)
    assert child.wait(30) != 0
    assert all_end(child.pid), "a process is still there"
    made = {file: file.stat().st_mtime_ns for file in cached.folder.rglob("*.npy")}
    assert 0 < len(made) < 80
    assert not (tmp_path / DUPLICATES).exists()

    duplicates.run(PARAMS, tmp_path)

    assert pq.read_table(tmp_path / DUPLICATES)["duplicate_group"].to_pylist() == ["0.wav"] * 80
    assert len(list(cached.folder.rglob("*.npy"))) == 80
    assert {file: file.stat().st_mtime_ns for file in made} == made
