import hashlib
import os
import uuid

import boto3
import fsspec
import numpy as np
import pytest
from moto.server import ThreadedMotoServer
from s3fs import S3FileSystem

from earmark.audio import shared_cache
from earmark.audio.extraction import Job, Wanted, extract
from earmark.audio.features import FeatureCache
from earmark.params import Frontend

FRONTEND = Frontend(sample_rate_hz=8_000, n_fft=256, hop=128, mels=16, f_min_hz=30.0, f_max_hz=4000.0)


@pytest.fixture(scope="module")
def s3():
    """A real S3 interface over HTTP, with a bucket."""
    settings = {"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s", "AWS_DEFAULT_REGION": "us-east-1"}
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    settings["AWS_ENDPOINT_URL"] = f"http://{host}:{port}"
    before = dict(os.environ)
    os.environ.update(settings)
    boto3.client("s3").create_bucket(Bucket="music")
    yield "s3://music"
    server.stop()
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(params=["memory", "file", "s3"])
def address(request, tmp_path, monkeypatch):
    """A shared cache of each kind, in use."""
    name = uuid.uuid4().hex
    address = {
        "memory": lambda: f"memory://{name}",
        "file": lambda: f"file://{tmp_path}/shared/{name}",
        "s3": lambda: f"{request.getfixturevalue('s3')}/{name}",
    }[request.param]()
    monkeypatch.setenv("EARMARK_FEATURE_CACHE", address)
    return address


@pytest.fixture
def song(write, encode):
    content = encode("wav", seconds=2.0)
    path = write("song.wav", content)
    return Job(hashlib.sha256(content).hexdigest(), lambda: path)


def never():
    raise AssertionError("the audio was asked for")


@pytest.fixture(autouse=True)
def nothing_told_yet(monkeypatch):
    monkeypatch.setattr(shared_cache, "_told", set())


class TestASharedCache:
    def test_what_one_machine_computed_another_only_fetches(self, address, song, tmp_path):
        here = FeatureCache(tmp_path / "here", FRONTEND).get(song.content_hash, song.audio)
        there = FeatureCache(tmp_path / "there", FRONTEND)
        np.testing.assert_array_equal(there.get(song.content_hash, never), here)
        assert there.open(song.content_hash) is not None  # and keeps

    def test_a_damaged_entry_in_it_is_noticed_and_replaced(self, address, song, tmp_path, capsys):
        first = FeatureCache(tmp_path / "a", FRONTEND)
        whole = np.array(first.get(song.content_hash, song.audio))
        files, root = fsspec.url_to_fs(address)
        (entry,) = files.find(root)
        content = bytearray(files.cat_file(entry))
        content[len(content) // 2] ^= 1
        files.pipe_file(entry, bytes(content))
        again = FeatureCache(tmp_path / "b", FRONTEND)
        np.testing.assert_array_equal(again.get(song.content_hash, song.audio), whole)
        np.testing.assert_array_equal(FeatureCache(tmp_path / "c", FRONTEND).get(song.content_hash, never), whole)
        assert capsys.readouterr().err == ""

    def test_extraction_uses_it_in_all_its_workers(self, address, song, tmp_path):
        (first,) = extract([song], Wanted(tmp_path / "a", FRONTEND))
        (second,) = extract([Job(song.content_hash, never)], Wanted(tmp_path / "b", FRONTEND))
        assert first.frames == second.frames
        np.testing.assert_array_equal(first.descriptors, second.descriptors)


class TestASharedCacheThatIsDown:
    @pytest.fixture(
        params=["s3://music/nobody-listens", "nosuchprotocol://x", "http://127.0.0.1:9/cache", "file:///proc/no/way"]
    )
    def down(self, request, monkeypatch):
        for name, value in {
            "EARMARK_FEATURE_CACHE": request.param,
            "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
            "AWS_ACCESS_KEY_ID": "k",
            "AWS_SECRET_ACCESS_KEY": "s",
        }.items():
            monkeypatch.setenv(name, value)
        S3FileSystem.clear_instance_cache()  # fsspec keeps connections, whatever the environment says later
        yield request.param
        S3FileSystem.clear_instance_cache()

    def test_the_work_goes_on_and_somebody_is_told_once(self, down, song, encode, write, tmp_path, capsys):
        cache = FeatureCache(tmp_path / "cache", FRONTEND)
        assert len(cache.get(song.content_hash, song.audio)) == 126
        other = encode("wav", seconds=1.0)
        path = write("other.wav", other)
        jobs = [song, Job(hashlib.sha256(other).hexdigest(), lambda: path)]
        assert [features.frames for features in extract(jobs, Wanted(tmp_path / "cache", FRONTEND))] == [126, 63]
        said = capsys.readouterr().err
        assert said.count("cannot be used") == 1
        assert down in said and "goes on with this machine's own" in said
