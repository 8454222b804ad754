"""The verified door to a track's audio: in the project, in an archive, on a mount, in a bucket (moto's S3)."""

import hashlib
import multiprocessing
import os
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import s3_server
from earmark.audio.decode import decode
from earmark.catalogue import reading
from earmark.catalogue.reading import archived, read_recording
from earmark.errors import CatalogueError
from made_audio import encode_tone
from s3_server import S3

AUDIO = "data/collections/mine/audio"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture(scope="module")
def s3() -> Iterator[S3]:
    with s3_server.running() as server:
        server.make("music")
        yield server


@pytest.fixture
def archive(tmp_path: Path) -> Callable[..., Path]:
    """``archive({"a.mp3": b"…"})``: data/…/0001.zip in the project."""

    def make(files: dict[str, bytes], name: str = "0001.zip") -> Path:
        path = tmp_path / AUDIO / name
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        with zipfile.ZipFile(part, "w") as into:
            for member, content in files.items():
                into.writestr(zipfile.ZipInfo(member), content)
        part.replace(path)
        return path

    return make


def content_of(found: Path | bytes) -> bytes:
    return found if isinstance(found, bytes) else found.read_bytes()


class TestEveryPlace:
    @pytest.fixture(params=["in the project", "in an archive", "on a mount", "in a bucket"])
    def track(self, request, write, archive, s3, tmp_path) -> tuple[str, str]:
        """Track.path and content_hash of the same recording."""
        song = encode_tone("flac", 0.5, tone_hz=330.0)
        path = {
            "in the project": lambda: str(write(f"{AUDIO}/jazz/a.flac", song).relative_to(tmp_path)),
            "in an archive": lambda: archived("jazz/a.flac", f"{AUDIO}/{archive({'jazz/a.flac': song}).name}"),
            "on a mount": lambda: str(write("mnt/a.flac", song)),
            "in a bucket": lambda: s3.put("music", "jazz/a.flac", song),
        }[request.param]()
        return path, sha256(song)

    def test_gives_what_the_decoder_takes(self, track, tmp_path):
        recording = decode(read_recording(tmp_path, *track))
        assert recording.codec == "flac" and recording.waveform.shape[1] == 24_000

    def test_of_something_else_than_was_imported_is_an_error_and_not_read(self, track, tmp_path):
        path, digest = track
        with pytest.raises(CatalogueError, match=f"not what was imported: its SHA-256 is {digest[:12]}"):
            read_recording(tmp_path, path, sha256(b"another"))


class TestFiles:
    def test_that_are_gone_are_named_with_what_brings_them_back(self, tmp_path):
        with pytest.raises(CatalogueError, match=r"gone\.mp3 cannot be read \(No such file(.|\n)*dvc pull"):
            read_recording(tmp_path, f"{AUDIO}/gone.mp3", sha256(b""))

    def test_that_are_folders_are_errors(self, tmp_path):
        with pytest.raises(CatalogueError, match="Is a directory"):
            read_recording(tmp_path, ".", sha256(b""))


class TestArchives:
    @pytest.mark.parametrize("name", ["../../../etc/passwd", "/etc/passwd", "C:\\a.mp3", "a::b.mp3", "é [1]#?.mp3"])
    def test_a_members_name_is_no_path_on_the_disk_whatever_it_says(self, name, archive, tmp_path):
        archive({name: b"only a name"})
        assert read_recording(tmp_path, archived(name, f"{AUDIO}/0001.zip"), sha256(b"only a name")) == b"only a name"

    def test_one_that_was_replaced_gives_its_new_content(self, archive, tmp_path):
        path = archived("a.mp3", f"{AUDIO}/0001.zip")
        for content in (b"old", b"new", b"longer than before"):
            archive({"a.mp3": content})
            assert read_recording(tmp_path, path, sha256(content)) == content

    def test_one_that_was_deleted_is_gone_though_it_was_open(self, archive, tmp_path):
        path = archived("a.mp3", f"{AUDIO}/0001.zip")
        file = archive({"a.mp3": b"old"})
        read_recording(tmp_path, path, sha256(b"old"))
        file.unlink()
        with pytest.raises(CatalogueError, match="No such file"):
            read_recording(tmp_path, path, sha256(b"old"))

    def test_a_member_that_is_not_there_is_named(self, archive, tmp_path):
        archive({"a.mp3": b"a"})
        with pytest.raises(CatalogueError, match=r"has no file 'b\.mp3'"):
            read_recording(tmp_path, archived("b.mp3", f"{AUDIO}/0001.zip"), sha256(b"b"))

    def test_damage_is_said_to_be_damage(self, archive, tmp_path):
        song = bytes(range(256)) * 20
        file = archive({"a.mp3": song})
        whole = file.read_bytes()
        path = archived("a.mp3", f"{AUDIO}/0001.zip")
        flipped = whole.replace(song, song[:700] + b"\xff" + song[701:])
        for damaged in (whole[:-30], whole[:100], b"no archive", b"", flipped):
            file.write_bytes(damaged)
            with pytest.raises(CatalogueError, match="the archive is damaged"):
                read_recording(tmp_path, path, sha256(song))

    def test_threads_read_one_archive_at_once(self, archive, tmp_path):
        songs = {f"{n}.mp3": os.urandom(20_000) for n in range(40)}
        archive(songs)
        with ThreadPoolExecutor(8) as threads:
            read = threads.map(
                lambda name: read_recording(tmp_path, archived(name, f"{AUDIO}/0001.zip"), sha256(songs[name])),
                [*songs] * 5,
            )
            assert list(read) == [*songs.values()] * 5

    def test_few_stay_open_however_many_there_are(self, archive, tmp_path):
        for number in range(100):
            archive({"a.mp3": b"a"}, f"{number:04d}.zip")
            read_recording(tmp_path, archived("a.mp3", f"{AUDIO}/{number:04d}.zip"), sha256(b"a"))
        held = [str(each.readlink()) for each in Path("/proc/self/fd").iterdir() if each.is_symlink()]
        assert 0 < len([path for path in held if path.startswith(str(tmp_path))]) <= 32


def read_all(root: Path, tracks: list[tuple[str, str]], times: int) -> int:
    for _ in range(times):
        for path, digest in tracks:
            read_recording(root, path, digest)
    return times * len(tracks)


class TestProcesses:
    """A DataLoader forks; spawned processes begin anew."""

    @pytest.mark.parametrize("method", ["fork", "spawn"])
    def test_made_after_the_first_reading_read_on_beside_it(self, method, archive, s3, tmp_path):
        songs = {f"{n}.mp3": os.urandom(30_000) for n in range(20)}
        archive(songs)
        tracks = [(archived(name, f"{AUDIO}/0001.zip"), sha256(song)) for name, song in songs.items()]
        tracks.append((s3.put("music", "b.mp3", b"b"), sha256(b"b")))
        read_all(tmp_path, tracks, 1)
        with multiprocessing.get_context(method).Pool(2) as pool:
            children = [pool.apply_async(read_all, (tmp_path, tracks, 10)) for _ in range(2)]
            assert read_all(tmp_path, tracks, 10) == 210
            assert [child.get(timeout=120) for child in children] == [210, 210]


class TestBuckets:
    @pytest.mark.parametrize("name", ["a b.mp3", "é/ü.mp3", "a::b.mp3", "q?#%20*[1].mp3", "a//b.mp3"])
    def test_odd_names_are_read_as_they_are(self, name, s3, tmp_path):
        assert read_recording(tmp_path, s3.put("music", name, b"odd"), sha256(b"odd")) == b"odd"

    def test_an_object_that_changed_is_an_error_and_once_it_is_back_it_is_read(self, s3, tmp_path):
        address = s3.put("music", "c.mp3", b"old")
        assert read_recording(tmp_path, address, sha256(b"old")) == b"old"
        s3.put("music", "c.mp3", b"new, and longer")
        with pytest.raises(CatalogueError, match="not what was imported"):
            read_recording(tmp_path, address, sha256(b"old"))
        s3.put("music", "c.mp3", b"old")
        assert read_recording(tmp_path, address, sha256(b"old")) == b"old"

    def test_what_was_listed_before_does_not_stand_in_for_what_is_there(self, s3, tmp_path):
        from earmark.catalogue.sources.walking import walk_address

        address = s3.put("music", "listed/d.mp3", b"old")
        assert list(walk_address("s3://music/listed")) == [(address, "d.mp3")]
        s3.put("music", "listed/d.mp3", b"new, and longer")
        assert read_recording(tmp_path, address, sha256(b"new, and longer")) == b"new, and longer"

    @pytest.mark.parametrize("address", ["s3://music/gone.mp3", "s3://no-such-bucket/a.mp3"])
    def test_a_missing_object_or_bucket_is_said_to_be_missing(self, address, s3, tmp_path):
        with pytest.raises(CatalogueError, match=f"{address} cannot be read: nothing is there"):
            read_recording(tmp_path, address, sha256(b""))

    def test_wrong_credentials_are_said_to_be_so(self, s3, tmp_path):
        address = s3.put("music", "e.mp3", b"e")
        with (
            s3.asking_for_credentials(),
            pytest.raises(CatalogueError, match=r"may not be read(.|\n)*AWS_ACCESS_KEY_ID"),
        ):
            read_recording(tmp_path, address, sha256(b"e"))

    def test_a_server_that_does_not_answer_is_no_missing_song(self, s3, tmp_path, monkeypatch):
        import s3fs

        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
        s3fs.S3FileSystem.clear_instance_cache()
        try:
            with pytest.raises(CatalogueError, match=r"cannot be reached(.|\n)*AWS_ENDPOINT_URL"):
                read_recording(tmp_path, "s3://music/f.mp3", sha256(b"f"))
        finally:
            s3fs.S3FileSystem.clear_instance_cache()

    def test_without_the_package_for_it_the_package_is_named(self, monkeypatch, tmp_path):
        def missing(address: str):
            raise ImportError("Install s3fs to access S3")

        monkeypatch.setattr(reading, "opened", missing)
        with pytest.raises(CatalogueError, match=r"Install s3fs(.|\n)*earmark\[s3\]"):
            read_recording(tmp_path, "s3://music/f.mp3", sha256(b"f"))
