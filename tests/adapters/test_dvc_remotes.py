"""`dvc push`, `pull`, `status -c` and `gc` with a folder and with an S3 bucket as remote: the same tests for both.

The S3 is moto's server, spoken to over HTTP.
"""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZipFile

import pytest
import yaml

import s3_server
from earmark.adapters import dvc, processes
from earmark.adapters.versions import Versions
from earmark.catalogue.track import SCHEMA
from earmark.errors import ToolError
from s3_server import S3
from scratch import CONFIG, git, scratch_project

MINE = Path("data/collections/mine")
NO_STAGES = "stages: {}\n"
BUCKET = "music"


@pytest.fixture(scope="module")
def s3() -> Iterator[S3]:
    with s3_server.running() as server:
        server.make(BUCKET)
        yield server


@dataclass
class Project:
    """A project with a remote; ``stored`` lists what lies there, by DVC's hash."""

    root: Path
    stored: Callable[[], set[str]]

    def dvc(self, *arguments: str) -> str:
        said: list[str] = []
        finished = processes.run([*processes.program("dvc"), *arguments], cwd=self.root, on_line=said.append)
        assert finished.exit_code == 0, said
        return "\n".join(said)

    def lose(self) -> None:
        """Cache and data are gone; git's files are left."""
        shutil.rmtree(self.root / ".dvc" / "cache")
        shutil.rmtree(self.root / ".dvc" / "tmp")
        shutil.rmtree(self.root / MINE)


def hashes(names: set[str]) -> set[str]:
    """DVC's hashes from the names of its files: …/files/md5/ab/cdef…"""
    return {"".join(name.split("files/md5/")[1].split("/")) for name in names}


@pytest.fixture(params=["folder", "s3"])
def project(request: pytest.FixtureRequest, tmp_path: Path) -> Project:
    if request.param == "folder":
        remote = tmp_path / "remote"
        root = scratch_project(tmp_path, NO_STAGES)
        return Project(root, lambda: hashes({path.as_posix() for path in remote.rglob("*") if path.is_file()}))
    server: S3 = request.getfixturevalue("s3")
    root = scratch_project(tmp_path, NO_STAGES, in_bucket(server, f"{BUCKET}/{tmp_path.name}"))
    place = f"{tmp_path.name}/"
    return Project(root, lambda: hashes({key for key in server.keys(BUCKET) if key.startswith(place)}))


def in_bucket(server: S3, place: str) -> str:
    return CONFIG.replace("url = ../remote", f"url = s3://{place}\n    endpointurl = {server.address}")


def add(root: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        (root / MINE / name).parent.mkdir(parents=True, exist_ok=True)
        (root / MINE / name).write_bytes(content)
    dvc.add(root, MINE)


def recorded(root: Path) -> str:
    return str(yaml.safe_load((root / f"{MINE}.dvc").read_text())["outs"][0]["md5"])


def bytes_below(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def md5(content: bytes) -> str:
    import hashlib

    return hashlib.md5(content).hexdigest()


class TestBothRemotes:
    def test_what_was_pushed_comes_back_byte_for_byte_after_all_is_lost_and_status_tells_each_step(self, project):
        odd = {"jazz/a b.mp3": bytes(range(256)) * 40, "été/ü.flac": b"\0" * 5000, "empty.wav": b""}
        add(project.root, odd)
        before = bytes_below(project.root / MINE)
        assert odd.items() <= before.items()
        assert f"new:                {MINE}/jazz/a b.mp3" in project.dvc("status", "-c")
        dvc.push(project.root)
        assert "in sync" in project.dvc("status", "-c")
        project.lose()
        assert f"deleted:            {MINE}/jazz/a b.mp3" in project.dvc("status", "-c")
        dvc.pull(project.root)
        assert bytes_below(project.root / MINE) == before

    def test_gc_of_the_cloud_keeps_what_the_workspace_uses_and_removes_the_rest(self, project):
        add(project.root, {"old.mp3": b"old", "both.mp3": b"both"})
        dvc.push(project.root)
        first = recorded(project.root)
        (project.root / MINE / "old.mp3").unlink()
        add(project.root, {"new.mp3": b"new"})
        dvc.push(project.root)
        assert {first, recorded(project.root), *map(md5, (b"old", b"both", b"new"))} <= project.stored()
        project.dvc("gc", "--workspace", "--cloud", "--force")
        kept = project.stored()
        assert {recorded(project.root), md5(b"both"), md5(b"new")} <= kept
        assert not {first, md5(b"old")} & kept

    def test_a_new_archive_leaves_the_old_ones_hashes_and_is_all_that_is_pushed(self, project):
        def archive(number: int) -> None:
            with ZipFile(project.root / MINE / f"{number:04d}.zip", "w") as zipped:
                for song in range(20):
                    zipped.writestr(f"jazz/{number}-{song}.mp3", f"{number} {song}".encode() * 100)

        archive(1), archive(2)
        add(project.root, {})
        dvc.push(project.root)
        first = project.stored()
        archive(3)
        add(project.root, {})
        assert first >= {md5((project.root / MINE / f"{number:04d}.zip").read_bytes()) for number in (1, 2)}
        assert "2 files pushed" in project.dvc("push")  # the archive, and the list of the folder
        assert project.stored() - first == {
            md5((project.root / MINE / "0003.zip").read_bytes()),
            recorded(project.root),
        }

    def test_an_earlier_version_of_the_catalogue_is_read_from_the_remote(self, project):
        import pyarrow.parquet as pq

        pq.write_table(SCHEMA.empty_table(), project.root / MINE / "tracks.parquet")
        add(project.root, {})
        git(project.root, "add", "--all")
        git(project.root, "commit", "--quiet", "--message", "Empty")
        dvc.push(project.root)
        project.lose()
        versions = Versions(project.root, "mine")
        assert versions.at("HEAD").schema == SCHEMA
        assert versions.at("HEAD~1").num_rows == 0  # before there was any


class TestWhatGoesWrong:
    @pytest.fixture
    def pushed(self, s3: S3, tmp_path: Path) -> Project:
        root = scratch_project(tmp_path, NO_STAGES, in_bucket(s3, f"{BUCKET}/{tmp_path.name}"))
        add(root, {"a.mp3": b"a"})
        dvc.push(root)
        git(root, "add", "--all")
        git(root, "commit", "--quiet", "--message", "Pushed")
        return Project(root, set)

    def test_a_bucket_that_is_gone_is_named_by_push_and_by_pull(self, pushed, s3):
        config = pushed.root / ".dvc" / "config"
        config.write_text(config.read_text().replace(f"s3://{BUCKET}", "s3://gone"))
        with pytest.raises(ToolError, match=r"NoSuchBucket(.|\n)*create it"):
            dvc.push(pushed.root, on_line=print)
        pushed.lose()
        with pytest.raises(ToolError, match=r"no bucket 'gone'(.|\n)*create it"):
            dvc.pull(pushed.root)

    def test_an_empty_bucket_has_nothing_to_pull_and_that_is_no_error(self, pushed, s3):
        config = pushed.root / ".dvc" / "config"
        config.write_text(config.read_text().replace(f"s3://{BUCKET}", f"s3://{s3.make('empty')}"))
        pushed.lose()
        dvc.pull(pushed.root)
        assert not (pushed.root / MINE).exists()

    @pytest.mark.parametrize("who", ["somebody unknown", "nobody"])
    def test_wrong_or_missing_credentials_end_with_what_to_set(self, pushed, s3, who, monkeypatch):
        if who == "nobody":
            for name in s3_server.CREDENTIALS:
                monkeypatch.delenv(name)
        pushed.lose()
        with s3.asking_for_credentials():
            with pytest.raises(ToolError, match=r"(Forbidden|locate credentials)(.|\n)*Set AWS_ACCESS_KEY_ID"):
                dvc.pull(pushed.root)
            with pytest.raises(ToolError, match=r"cannot be fetched(.|\n)*Set AWS_ACCESS_KEY_ID"):
                Versions(pushed.root, "mine").at("HEAD")

    def test_a_server_that_does_not_answer_ends_with_where_its_address_stands(self, pushed, s3):
        config = pushed.root / ".dvc" / "config"
        config.write_text(config.read_text().replace(s3.address, "http://127.0.0.1:1"))
        pushed.lose()
        with pytest.raises(ToolError, match=r"Could not connect(.|\n)*endpointurl"):
            dvc.pull(pushed.root)
