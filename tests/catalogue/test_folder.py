"""The folder source, and what the files' own tags say."""

import os
import unicodedata
from pathlib import Path

import mutagen
import pytest
from mutagen.id3 import ID3, TPE1, TSRC

from earmark.catalogue.imports.importing import import_collection
from earmark.catalogue.sources.folder import FolderSource
from earmark.catalogue.sources.source import Candidate, Refusal
from earmark.catalogue.tags import Tags, artist_group, read_tags
from earmark.errors import CatalogueError
from earmark.params import load_params
from made_audio import encode_tone
from scratch import CHECKOUT


def entries(folder: Path) -> dict[str, Candidate | Refusal]:
    return {entry.path: entry for entry in FolderSource(folder).candidates()}


class TestGenres:
    def test_are_the_first_folder_below_the_path(self, write, tmp_path):
        write("jazz/a.mp3", b"")
        write("rock/album/disc 2/b.mp3", b"")
        write("c.mp3", b"")
        genres = {path: entry.genre for path, entry in entries(tmp_path).items()}
        assert genres == {"jazz/a.mp3": "jazz", "rock/album/disc 2/b.mp3": "rock", "c.mp3": None}

    def test_are_one_however_the_disk_writes_their_accents(self, write, tmp_path):
        for genre in ("caf\u00e9", "cafe\u0301"):
            write(f"{genre}/{len(genre)}.mp3", b"")
        found = entries(tmp_path)
        assert len(found) == 2 and {entry.genre for entry in found.values()} == {"caf\u00e9"}


class TestWalking:
    def test_lists_every_entry_once(self, write, tmp_path):
        write("jazz/a.mp3", b"")
        write("jazz/cover.jpg", b"")
        write("jazz/.DS_Store", b"")
        write(".git/config", b"")
        write("jazz/x.wav/inside.mp3", b"")
        os.mkfifo(tmp_path / "jazz/pipe.mp3")
        (tmp_path / "jazz/gone.mp3").symlink_to("nowhere.mp3")
        (tmp_path / "jazz/back").symlink_to(tmp_path)
        (tmp_path / "jazz/link.mp3").symlink_to(tmp_path / "jazz/a.mp3")
        found = list(FolderSource(tmp_path).candidates())
        assert [entry.path for entry in found if isinstance(entry, Candidate)] == [
            "jazz/a.mp3",
            "jazz/cover.jpg",
            "jazz/link.mp3",
            "jazz/x.wav/inside.mp3",
        ]
        refused = {entry.path: (entry.kind, entry.reason) for entry in found if isinstance(entry, Refusal)}
        assert {path: kind for path, (kind, _) in refused.items()} == {
            ".git": "ignored",
            "jazz/.DS_Store": "ignored",
            "jazz/back": "refused",
            "jazz/gone.mp3": "refused",
            "jazz/pipe.mp3": "refused",
            "jazz/x.wav": "refused",
        }
        assert "broken link" in refused["jazz/gone.mp3"][1] and "nowhere.mp3" in refused["jazz/gone.mp3"][1]
        assert "a folder" in refused["jazz/x.wav"][1]

    def test_a_name_that_is_no_text_is_written_with_its_bytes(self, tmp_path):
        (tmp_path / "jazz").mkdir()
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/jazz/caf\xe9.mp3")).write_bytes(b"")
        assert list(entries(tmp_path)) == ["jazz/caf\\xe9.mp3"]

    def test_the_order_is_by_name(self, write, tmp_path):
        for name in ("c", "a", "é", "b", "A"):
            write(f"jazz/{name}.mp3", b"")
        assert [path[5:-4] for path in entries(tmp_path)] == ["A", "a", "b", "c", "é"]


class TestErrors:
    def test_a_missing_folder_says_so(self, tmp_path):
        with pytest.raises(CatalogueError, match=r"no folder .*gone"):
            list(FolderSource(tmp_path / "gone").candidates())

    @pytest.mark.parametrize("name", ["x" * 300, "x" * 5_000])
    def test_a_name_that_none_can_have_is_a_missing_folder(self, name, tmp_path):
        for folder in (Path(name), tmp_path / name):
            with pytest.raises(CatalogueError, match="no folder"):
                import_collection(FolderSource(folder), tmp_path, load_params(CHECKOUT / "params.yaml"))

    def test_a_file_is_no_folder(self, write):
        with pytest.raises(CatalogueError, match="is a file"):
            list(FolderSource(write("song.mp3", b"")).candidates())


class TestCollectionName:
    @pytest.mark.parametrize(
        ("folder", "name"),
        [("My Music!", "my-music"), ("音楽", "音楽"), ("_x_", "x"), ("...", "folder"), ("a.b-c", "a.b-c")],
    )
    def test_is_made_of_the_folders(self, folder, name):
        assert FolderSource(Path("/data") / folder).collection == name


TAGS = {"artist": "Nina  Símone", "title": "Feeling Good", "album": "I Put a Spell on You"}


class TestTags:
    @pytest.mark.parametrize("suffix", ["mp3", "m4a", "ogg", "opus", "flac", "wma"])
    def test_are_read_from_every_format_that_ffmpeg_tags(self, suffix, write):
        path = write("x.bin", encode_tone(suffix, 0.5, tags=TAGS))
        assert read_tags(path) == Tags(**TAGS, isrc=None)

    @pytest.mark.parametrize("suffix", ["wav", "aiff"])
    def test_are_read_from_id3_in_wav_and_aiff(self, suffix, write):
        path = write(f"x.{suffix}", encode_tone(suffix, 0.5))
        file = mutagen.File(path)
        file.add_tags()
        file.tags.add(TPE1(encoding=3, text=["Nina Simone"]))
        file.tags.add(TSRC(encoding=3, text=["USPR36500001"]))
        file.save()
        assert read_tags(path) == Tags(artist="Nina Simone", isrc="USPR36500001")

    def test_the_isrc_of_an_mp3_is_read(self, write):
        path = write("x.mp3", encode_tone("mp3", 0.5))
        tags = ID3()
        tags.add(TSRC(encoding=3, text=["USPR36500001"]))
        tags.save(path)
        assert read_tags(path).isrc == "USPR36500001"

    @pytest.mark.parametrize(
        "content", [b"", b"text", b"ID3\x04\0\0\0\0\x0f\x7fTPE1" + bytes(5), b"fLaC" + b"\xff" * 50]
    )
    def test_none_or_damaged_ones_are_empty(self, content, write):
        assert read_tags(write("x.mp3", content)) == Tags()

    def test_line_breaks_in_a_tag_become_spaces(self, write):
        path = write("x.flac", encode_tone("flac", 0.5, tags={"artist": "A\nB", "title": "  "}))
        assert read_tags(path) == Tags(artist="A B")


class TestArtistGroup:
    def test_one_artist_is_one_group_however_written(self):
        writings = ["Nina Símone", " nina   SÍMONE", unicodedata.normalize("NFD", "Nina Símone"), "Ｎina Símone"]
        assert len({artist_group(writing, "x") for writing in writings}) == 1

    @pytest.mark.parametrize("artist", [None, "", "  ", "Unknown Artist", "<unknown>"])
    def test_without_an_artist_a_track_stands_alone(self, artist):
        assert artist_group(artist, "jazz/a.mp3") != artist_group(artist, "jazz/b.mp3")

    def test_an_artist_called_like_a_track_is_not_taken_for_it(self):
        assert artist_group("jazz/a.mp3", "x") != artist_group(None, "jazz/a.mp3")
