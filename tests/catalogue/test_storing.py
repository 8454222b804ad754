"""How a collection keeps its audio: files, archives, or only the hashes of what stays outside."""

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pandas as pd
import pytest

from earmark.catalogue.imports import inspecting, storing
from earmark.catalogue.imports.importing import import_collection
from earmark.catalogue.reading import read_recording
from earmark.catalogue.sources.folder import FolderSource
from earmark.catalogue.sources.source import Candidate, Facts, Source
from earmark.catalogue.track import read_tracks, write_tracks
from earmark.errors import CatalogueError
from earmark.files import sha256_of
from earmark.params import load_params
from made_audio import encode_tone
from scratch import CHECKOUT

PARAMS = load_params(CHECKOUT / "params.yaml")


@pytest.fixture(scope="module")
def songs() -> dict[str, bytes]:
    return {f"{genre}/{hz}.flac": encode_tone("flac", 3.2, rate_hz=8_000, channels=1, tone_hz=hz)
            for genre, hz in [("jazz", 200.0), ("jazz", 300.0), ("rock", 400.0)]}  # fmt: skip


@pytest.fixture
def music(tmp_path, songs) -> Path:
    for name, content in songs.items():
        path = tmp_path / "music" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path / "music"


@pytest.fixture
def root(tmp_path) -> Path:
    (tmp_path / "project").mkdir()
    return tmp_path / "project"


def run(music: Path, root: Path, store: str, **how):
    return import_collection(FolderSource(music), root, PARAMS, store=store, processes=1, **how)


def tracks(root: Path) -> pd.DataFrame:
    return read_tracks(root / "data/collections/music/tracks.parquet").set_index("track_id")


def contents(root: Path) -> dict[str, bytes]:
    """Each track's audio, through the one door."""
    found = {}
    for track_id, row in tracks(root).iterrows():
        audio = read_recording(root, row["path"], row["content_hash"])
        found[track_id] = audio if isinstance(audio, bytes) else audio.read_bytes()
    return found


class TestEveryWay:
    @pytest.mark.parametrize("store", ["files", "archives", "outside"])
    def test_gives_back_the_same_bytes(self, store, music, root, songs):
        run(music, root, store)
        assert contents(root) == songs

    @pytest.mark.parametrize("store", ["files", "archives", "outside"])
    def test_a_second_import_decodes_nothing_and_changes_nothing(self, store, music, root, monkeypatch):
        folder = run(music, root, store).folder
        before = {path: sha256_of(path) for path in folder.rglob("*") if path.is_file()}
        monkeypatch.setattr(inspecting, "Workers", lambda processes: pytest.fail("a process was started"))
        assert len(run(music, root, store).taken) == 3
        assert {path: sha256_of(path) for path in folder.rglob("*") if path.is_file()} == before

    @pytest.mark.parametrize("store", ["files", "archives", "outside"])
    def test_a_changed_file_brings_its_new_content(self, store, music, root, songs):
        run(music, root, store)
        (music / "rock/400.0.flac").write_bytes(songs["jazz/200.0.flac"])
        assert run(music, root, store).replaced == ("rock/400.0.flac",)
        assert contents(root)["rock/400.0.flac"] == songs["jazz/200.0.flac"]

    @pytest.mark.parametrize("store", ["files", "archives"])
    def test_a_file_put_back_as_it_was_brings_its_old_content(self, store, music, root, songs, tmp_path):
        song = music / "rock/400.0.flac"
        run(music, root, store)
        song.rename(tmp_path / "aside")  # with its time of change
        song.write_bytes(songs["jazz/200.0.flac"])
        run(music, root, store)
        (tmp_path / "aside").rename(song)
        run(music, root, store)
        assert contents(root) == songs


class TestArchives:
    def test_hold_the_files_as_they_are_and_nothing_else_is_left(self, music, root, songs):
        folder = run(music, root, "archives").folder
        assert [path.name for path in (folder / "audio").iterdir()] == ["0001.zip"]
        with zipfile.ZipFile(folder / "audio/0001.zip") as archive:
            assert {entry.filename: archive.read(entry) for entry in archive.infolist()} == songs
            assert {entry.compress_type for entry in archive.infolist()} == {zipfile.ZIP_STORED}

    def test_are_equal_for_equal_music(self, music, root, tmp_path):
        first = run(music, root, "archives").folder / "audio/0001.zip"
        second = run(music, tmp_path / "other", "archives").folder / "audio/0001.zip"
        assert first.read_bytes() == second.read_bytes()

    def test_grow_by_a_new_one_and_old_ones_stay_as_they_are(self, music, root, songs):
        archive = run(music, root, "archives").folder / "audio/0001.zip"
        before = archive.read_bytes()
        (music / "rock/new.flac").write_bytes(encode_tone("flac", 3.2, rate_hz=8_000, channels=1, tone_hz=500.0))
        run(music, root, "archives")
        assert archive.read_bytes() == before
        with zipfile.ZipFile(archive.with_name("0002.zip")) as second:
            assert second.namelist() == ["rock/new.flac"]
        assert len(contents(root)) == 4

    def test_hold_a_limited_number_of_files_each(self, music, root, monkeypatch):
        monkeypatch.setattr(storing, "_ARCHIVE_FILES", 2)
        audio = run(music, root, "archives").folder / "audio"
        assert [len(zipfile.ZipFile(path).namelist()) for path in sorted(audio.iterdir())] == [2, 1]

    def test_of_a_killed_run_are_packed_anew_and_none_is_left_over(self, music, root, songs, monkeypatch):
        def killed(*_):
            raise KeyboardInterrupt

        with monkeypatch.context() as patched:
            patched.setattr("earmark.catalogue.imports.importing.write_tracks", killed)
            with pytest.raises(KeyboardInterrupt):
                run(music, root, "archives")
        audio = root / "data/collections/music/audio"
        assert [path.name for path in audio.iterdir()] == ["0001.zip"]
        run(music, root, "archives")
        assert [path.name for path in audio.iterdir()] == ["0001.zip"]
        assert contents(root) == songs

    def test_are_what_auto_means_for_many_files_and_for_what_is_added_to_them(self, music, root, songs, monkeypatch):
        monkeypatch.setattr(storing, "FILES_AT_MOST", 2)
        run(music, root, "auto")
        (music / "rock/new.flac").write_bytes(encode_tone("flac", 3.2, rate_hz=8_000, channels=1, tone_hz=500.0))
        monkeypatch.setattr(storing, "FILES_AT_MOST", 100)
        run(music, root, "auto")
        assert set(tracks(root)["path"].str[:6]) == {"zip://"}

    def test_are_not_made_of_few_files(self, music, root):
        run(music, root, "auto")
        assert set(tracks(root)["path"].str[:5]) == {"data/"}


class TestOutside:
    def test_nothing_is_copied(self, music, root):
        folder = run(music, root, "outside").folder
        assert sorted(path.name for path in folder.iterdir()) == ["refused.csv", "tracks.parquet"]
        assert tracks(root).loc["jazz/200.0.flac", "path"] == str(music / "jazz/200.0.flac")

    def test_what_has_changed_since_is_an_error_and_not_read(self, music, root):
        run(music, root, "outside")
        (music / "jazz/200.0.flac").write_bytes(b"other")
        row = tracks(root).loc["jazz/200.0.flac"]
        with pytest.raises(CatalogueError, match="not what was imported"):
            read_recording(root, row["path"], row["content_hash"])


@dataclass(frozen=True)
class Listed(Source):
    """Whatever it is given."""

    entries: tuple[Candidate, ...] = ()
    name: ClassVar[str] = "listed"
    expects: ClassVar[str] = "Nothing."

    def candidates(self):
        return iter(self.entries)


class TestAddresses:
    @pytest.mark.parametrize("store", ["files", "archives", "outside"])
    def test_are_fetched_probed_and_kept_like_files(self, store, music, root, songs):
        entries = tuple(Candidate(f"file://{music}/{name}", name) for name in songs)
        source = Listed(music, entries)
        import_collection(source, root, PARAMS, name="music", store=store, processes=1)
        assert contents(root) == songs
        if store == "outside":
            assert set(tracks(root)["path"]) == {f"file://{music}/{name}" for name in songs}

    def test_where_nothing_is_are_refused_with_the_reason(self, music, root):
        entries = (
            Candidate(f"file://{music}/jazz/200.0.flac", "a.flac"),
            Candidate(f"file://{music}/nowhere.flac", "b.flac"),
        )
        result = import_collection(Listed(music, entries), root, PARAMS, name="music", processes=1)
        (refusal,) = result.refused
        assert refusal.path == "b.flac" and "cannot be fetched: nothing is there" in refusal.reason

    def test_an_object_that_has_not_changed_is_not_fetched_again(self, music, root, songs, monkeypatch):
        source = Listed(music, tuple(Candidate(f"file://{music}/{name}", name) for name in songs))
        import_collection(source, root, PARAMS, name="music", processes=1)
        monkeypatch.setattr(inspecting, "Workers", lambda processes: pytest.fail("a process was started"))
        assert len(import_collection(source, root, PARAMS, name="music", processes=1).taken) == 3


class TestFactsOfTheOwner:
    FACTS = Facts("ab" * 32, 200.0, 44_100, 2, "mp3")

    def test_are_believed_for_what_stays_outside(self, root, tmp_path):
        entry = Candidate("s3://bucket/a.mp3", "a.mp3", genre="jazz", facts=self.FACTS)
        import_collection(Listed(tmp_path / "x", (entry,)), root, PARAMS, name="music", store="outside", processes=1)
        row = tracks(root).loc["a.mp3"]
        assert (row["content_hash"], row["duration_s"], row["codec"], row["path"]) == (
            "ab" * 32, 200.0, "mp3", "s3://bucket/a.mp3",
        )  # fmt: skip

    def test_are_not_believed_for_what_is_copied(self, music, root, songs):
        entry = Candidate(music / "jazz/200.0.flac", "a.flac", facts=self.FACTS)
        import_collection(Listed(music, (entry,)), root, PARAMS, name="music", store="files", processes=1)
        assert tracks(root).loc["a.flac", "codec"] == "flac"
        assert contents(root) == {"a.flac": songs["jazz/200.0.flac"]}


class TestTwoAtOnce:
    def test_the_second_import_into_a_collection_is_told_to_wait(self, music, root):
        from earmark.files import locked

        with locked(root / ".earmark/imports/music.lock"), pytest.raises(CatalogueError, match="under way"):
            run(music, root, "files")


class TestTheJournal:
    def test_a_damaged_line_costs_one_file_only(self, music, root, songs):
        run(music, root, "files")
        journal = root / ".earmark/imports/music.journal"
        lines = journal.read_bytes().splitlines()
        assert len(lines) == 3 and all(json.loads(line.partition(b"\t")[2])["content_hash"] for line in lines)
        journal.write_bytes(b"\n".join([lines[0], lines[1][: len(lines[1]) // 2], lines[2]]))
        assert len(run(music, root, "files").taken) == 3
        assert contents(root) == songs


class TestWhatWasKnown:
    def test_of_an_unchanged_recording_stays_where_the_source_says_nothing(self, music, root, songs):
        run(music, root, "files")
        path = root / "data/collections/music/tracks.parquet"
        known = read_tracks(path)
        known["artist"], known["group"], known["isrc"] = "Nina", "artist:nina", "USABC2400001"
        known["tags"], known["genre"], known["genre_source"] = [["genre---soul"]] * 3, "other", "spotify"
        write_tracks(known, path)
        (music / "rock/400.0.flac").write_bytes(songs["jazz/300.0.flac"])
        run(music, root, "files")
        found = tracks(root)
        row = found.loc["jazz/200.0.flac"]
        assert (row["artist"], row["group"], row["isrc"], list(row["tags"])) == (
            "Nina", "artist:nina", "USABC2400001", ["genre---soul"],
        )  # fmt: skip
        assert row["genre"] == "jazz" and pd.isna(row["genre_source"])  # the folder says so
        changed = found.loc["rock/400.0.flac"]
        assert pd.isna(changed["artist"]) and changed["group"] == "track:rock/400.0.flac" and not len(changed["tags"])

    def test_a_genre_that_stays_keeps_the_library_that_gave_it(self, music, root, songs):
        for name in ("same", "other"):
            (music / f"{name}.flac").write_bytes(songs["jazz/200.0.flac"])  # in no genre's folder
        run(music, root, "files")
        path = root / "data/collections/music/tracks.parquet"
        write_tracks(read_tracks(path).assign(genre="soul", genre_source="spotify"), path)
        (music / "other.flac").write_bytes(songs["rock/400.0.flac"])
        run(music, root, "files")
        found = tracks(root)[["genre", "genre_source"]].fillna("-")
        assert found.loc["same.flac"].to_list() == ["soul", "spotify"]
        assert found.loc["other.flac"].to_list() == ["-", "-"]
