"""A bucket walked like a folder: moto's S3 over HTTP, and what the folder source makes of it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from fsspec.implementations.memory import MemoryFileSystem
from fsspec.spec import AbstractFileSystem

import s3_server
from earmark.catalogue.sources.folder import FolderSource
from earmark.catalogue.sources.source import Candidate, Refusal
from earmark.catalogue.sources.walking import walk, walk_address
from earmark.cli import main
from earmark.errors import CatalogueError
from s3_server import S3

PLAIN = (
    "jazz/a.mp3", "jazz/B.mp3", "jazz/é/ü.flac", "jazz.mp3", "rock/album/disc 2/b.mp3", "jazz/cover.jpg", "c.mp3",
    "jazz/.DS_Store", "rock/.git/config", "rock/.git/x/y.mp3", ".hidden.mp3", "jazz/x.wav/inside.mp3",
    "jazz/x.wav/.also.mp3", "q?#%20*[1] '.mp3", "jazz/a::b.mp3", "back\\slash.mp3", " .mp3",
)  # fmt: skip


@pytest.fixture(scope="module")
def s3() -> Iterator[S3]:
    with s3_server.running() as server:
        server.make("music")
        for name in PLAIN:
            server.put("music", f"all/{name}", b"x")
        server.put("music", "all-else/d.mp3", b"x")
        server.make("odd")
        yield server


def told(entries) -> list[tuple]:
    return [
        (entry.path, entry.kind, entry.reason) if isinstance(entry, Refusal) else (entry[1], "taken", "")
        for entry in entries
    ]


class TestWalkingABucket:
    def test_it_says_the_same_in_the_same_order_as_walking_a_folder_of_these_files(self, s3, write, tmp_path):
        for name in PLAIN:
            write(f"all/{name}", b"x")
        assert told(walk_address("s3://music/all")) == told(walk(tmp_path / "all"))

    def test_a_slash_at_the_end_changes_nothing(self, s3):
        assert list(walk_address("s3://music/all/")) == list(walk_address("s3://music/all"))

    def test_each_address_leads_to_its_object(self, s3):
        taken = {path: where for where, path in (e for e in walk_address("s3://music/all") if isinstance(e, tuple))}
        assert taken["jazz/a::b.mp3"] == "s3://music/all/jazz/a::b.mp3"
        assert all(where == f"s3://music/all/{path}" for path, where in taken.items())

    def test_a_whole_bucket_can_be_walked(self, s3):
        paths = {entry[0] for entry in told(walk_address("s3://music"))}
        assert {"all/jazz/a.mp3", "all-else/d.mp3"} <= paths

    def test_empty_objects_that_stand_for_folders_are_ignored_and_empty_files_are_not(self, s3):
        for name in ("marked/jazz/", "marked/jazz/sub/", "marked/"):
            s3.put("music", name, b"")
        s3.put("music", "marked/jazz/empty.mp3", b"")
        assert [entry[:2] for entry in told(walk_address("s3://music/marked"))] == [
            (".", "ignored"), ("jazz/", "ignored"), ("jazz/empty.mp3", "taken"), ("jazz/sub/", "ignored"),
        ]  # fmt: skip

    @pytest.mark.parametrize("name", ["a//b.mp3", "a/../../../b.mp3", "a/./b.mp3", "/b.mp3", "full/"])
    def test_a_name_that_no_file_can_have_is_refused(self, s3, name):
        s3.put("odd", f"below/{name}", b"x")
        assert (name, "refused", "no file can have this name; rename the object") in told(
            walk_address("s3://odd/below")
        )


class TestErrors:
    @pytest.mark.parametrize("address", ["s3://gone", "s3://gone/music", "s3://music/nothing"])
    def test_where_nothing_is_the_address_is_named(self, s3, address):
        with pytest.raises(CatalogueError, match=f"{address} cannot be imported from: nothing is there"):
            list(walk_address(address))

    def test_an_object_is_no_folder(self, s3):
        with pytest.raises(CatalogueError, match=r"c\.mp3 is a file"):
            list(walk_address("s3://music/all/c.mp3"))

    def test_without_credentials_the_variables_are_named(self, s3, monkeypatch):
        for name in s3_server.CREDENTIALS:
            monkeypatch.delenv(name)
        monkeypatch.setenv("AWS_ENDPOINT_URL", s3.address + "/")  # fsspec keeps a file system with what it knew
        with pytest.raises(CatalogueError, match=r"may not be read(.|\n)*AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"):
            fresh(list, walk_address("s3://music/all"))

    def test_with_wrong_credentials_too(self, s3):
        with (
            s3.asking_for_credentials(),
            pytest.raises(CatalogueError, match=r"may not be read(.|\n)*AWS_ACCESS_KEY_ID"),
        ):
            list(walk_address("s3://music/all"))

    def test_where_no_server_answers_the_endpoint_is_named(self, s3, monkeypatch):
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
        with pytest.raises(CatalogueError, match=r"cannot be reached(.|\n)*AWS_ENDPOINT_URL"):
            fresh(list, walk_address("s3://music/all"))

    def test_an_unknown_kind_of_storage_is_named(self):
        with pytest.raises(CatalogueError, match="gopher:// is no kind of storage"):
            list(walk_address("gopher://music"))

    def test_a_folder_that_cannot_be_read_is_not_passed_over(self, monkeypatch):
        files = MemoryFileSystem()
        for name in ("/music/open/a.mp3", "/music/shut/b.mp3"):
            files.pipe_file(name, b"x")
        assert [path for path, _, _ in told(walk_address("memory://music"))] == ["open/a.mp3", "shut/b.mp3"]
        ls = MemoryFileSystem.ls

        def refuse(self, path, **how):
            if path.endswith("shut"):
                raise PermissionError("not for you")
            return ls(self, path, **how)

        monkeypatch.setattr(MemoryFileSystem, "ls", refuse)
        monkeypatch.setattr(MemoryFileSystem, "find", AbstractFileSystem.find)  # as sftp, webdav and others have it
        with pytest.raises(CatalogueError, match="not for you"):
            list(walk_address("memory://music"))


def fresh(function, *arguments):
    """Called with no file system kept from before."""
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()
    try:
        return function(*arguments)
    finally:
        s3fs.S3FileSystem.clear_instance_cache()


class TestTheFolderSource:
    def test_takes_genres_from_the_first_folder_below_an_address(self, s3):
        found = [each for each in FolderSource("s3://music/all").candidates() if isinstance(each, Candidate)]
        genres = {each.path: (each.genre, each.file) for each in found}
        assert genres["jazz/é/ü.flac"] == ("jazz", "s3://music/all/jazz/é/ü.flac")
        assert genres["c.mp3"] == (None, "s3://music/all/c.mp3")

    @pytest.mark.parametrize(
        ("address", "name"), [("s3://bucket/My Music/", "my-music"), ("s3://bucket", "bucket"), ("s3://", "s3")]
    )
    def test_names_its_collection_by_the_addresss_last_part(self, address, name):
        assert FolderSource(address).collection == name


class TestTheCommand:
    @pytest.fixture
    def given(self, monkeypatch) -> list:
        """What the importer is given, which does nothing here."""
        sources: list = []
        monkeypatch.setattr("earmark.cli.importing._import", lambda root, source, *_: sources.append(source))
        monkeypatch.setattr("earmark.cli.importing.project_of", lambda ctx: Path())
        return sources

    @pytest.mark.parametrize("place", ["s3://bucket//music", "some/folder", "/mnt/a:b"])
    def test_an_address_stays_as_it_is_and_a_path_is_a_path(self, given, place):
        result = CliRunner().invoke(main, ["import", "folder", place])
        assert result.exit_code == 0, result.output
        assert given[0].path == (place if "://" in place else Path(place))

    def test_an_importer_that_reads_folders_only_says_so(self, given):
        result = CliRunner().invoke(main, ["import", "emotify", "s3://bucket/emotify"])
        assert result.exit_code == 2 and "is an address" in result.output and not given
