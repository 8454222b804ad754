"""Files with tags: the five that a catalogue keeps, from ID3, Vorbis comments, MP4 and ASF."""

from types import SimpleNamespace

import mutagen
import pytest
from mutagen.id3 import ID3, TALB, TCON, TIT2, TPE1, TSRC
from mutagen.mp4 import MP4, MP4FreeForm

from earmark.catalogue.sources.tagged import TaggedSource
from earmark.catalogue.tags import Tags, read_tags
from source_tools import candidates, imported, lay_out, tone

EXPECTED = Tags("Nina Simone", "Feeling Good", "I Put a Spell on You", "USPR36500001", "Jazz")


def id3(path, genre: str | list[str] = "Jazz") -> None:
    tags = ID3()
    for frame, text in (
        (TPE1, EXPECTED.artist), (TIT2, EXPECTED.title), (TALB, EXPECTED.album), (TSRC, EXPECTED.isrc), (TCON, genre),
    ):  # fmt: skip
        tags.add(frame(encoding=3, text=text if isinstance(text, list) else [text]))
    tags.save(path, v2_version=4)


def vorbis(path) -> None:
    file = mutagen.File(path)
    for name in ("artist", "title", "album", "isrc", "genre"):
        file[name] = [getattr(EXPECTED, name)]
    file.save()


def mp4(path) -> None:
    file = MP4(path)
    file["\xa9ART"], file["\xa9nam"], file["\xa9alb"], file["\xa9gen"] = (
        [EXPECTED.artist], [EXPECTED.title], [EXPECTED.album], [EXPECTED.genre],
    )  # fmt: skip
    file["----:com.apple.iTunes:ISRC"] = [MP4FreeForm(EXPECTED.isrc.encode())]
    file.save()


def asf(path) -> None:
    file = mutagen.File(path)
    for name, value in {
        "Author": EXPECTED.artist, "Title": EXPECTED.title, "WM/AlbumTitle": EXPECTED.album, "WM/ISRC": EXPECTED.isrc,
        "WM/Genre": EXPECTED.genre,
    }.items():  # fmt: skip
        file[name] = [value]
    file.save()


class TestTags:
    @pytest.mark.parametrize(
        ("suffix", "write_tags"),
        [("mp3", id3), ("flac", vorbis), ("ogg", vorbis), ("opus", vorbis), ("m4a", mp4), ("wma", asf)],
    )
    def test_all_five_are_read_from_each_format(self, suffix, write_tags, write):
        path = write(f"song.{suffix}", tone(suffix))
        write_tags(path)
        assert read_tags(path) == EXPECTED

    @pytest.mark.parametrize("suffix", ["wav", "aiff"])
    def test_genre_is_read_from_id3_in_wav_and_aiff(self, suffix, write):
        path = write(f"song.{suffix}", tone(suffix))
        file = mutagen.File(path)
        file.add_tags()
        file.tags.add(TCON(encoding=3, text=["(8)"]))
        file.save()
        assert read_tags(path).genre == "Jazz"

    @pytest.mark.parametrize(
        ("written", "read"),
        [("(17)", "Rock"), ("17", "Rock"), ("(17)Rock", "Rock"), ("(4)Eurodisco", "Disco"), ("Skiffle", "Skiffle")],
    )
    def test_a_genre_by_number_is_read_by_name(self, written, read, write):
        path = write("song.mp3", tone("mp3"))
        id3(path, written)
        assert read_tags(path).genre == read

    def test_of_several_genres_the_first_counts(self, write):
        path = write("song.mp3", tone("mp3"))
        id3(path, ["Soul", "Jazz"])
        assert read_tags(path).genre == "Soul"

    def test_an_empty_list_of_names_is_no_name(self, write, monkeypatch):
        tags = SimpleNamespace(tags={"artist": [], "albumartist": ["Nina"]})
        monkeypatch.setattr(mutagen, "File", lambda file: tags)
        assert read_tags(write("a.flac", b"")) == Tags(artist="Nina")

    def test_a_genre_by_number_in_mp4_is_read_by_name(self, write):
        """The older atom ``gnre`` holds the number of ID3v1 plus one."""
        path = write("song.m4a", tone("m4a"))
        file = MP4(path)
        file["\xa9gen"] = ["Ro"]
        file.save()
        named = path.read_bytes()
        # ©gen{data(text) "Ro"} becomes gnre{data(implicit) 18}: the same length, so all offsets still hold.
        text = b"\xa9gen\x00\x00\x00\x12data\x00\x00\x00\x01\x00\x00\x00\x00Ro"
        assert named.count(text) == 1
        number = b"gnre\x00\x00\x00\x12data\x00\x00\x00\x00\x00\x00\x00\x00\x00\x12"
        path.write_bytes(named.replace(text, number))
        assert read_tags(path).genre == "Rock"


class TestImport:
    def test_genres_come_from_tags_and_folders_mean_nothing(self, tmp_path):
        music = lay_out(
            tmp_path / "music",
            {"a/1.mp3": tone("mp3", 1), "a/2.flac": tone("flac", 2), "b/3.wav": tone("wav", 3), "b/x.txt": "notes"},
        )
        id3(music / "a/1.mp3", "(17)")
        vorbis(music / "a/2.flac")
        source = TaggedSource(music)
        assert {entry.genre for entry in candidates(source).values()} == {None}
        result, tracks = imported(source, tmp_path / "project")
        assert tracks["genre"].fillna("none").to_dict() == {"a/1.mp3": "Rock", "a/2.flac": "Jazz", "b/3.wav": "none"}
        assert tracks.loc["a/2.flac", "isrc"] == EXPECTED.isrc
        assert tracks.loc["a/1.mp3", "group"] == tracks.loc["a/2.flac", "group"] == "artist:nina simone"
        assert set(tracks["source"]) == {"tagged"} and result.name == "music"
        assert [(refusal.path, refusal.kind) for refusal in result.refused] == [("b/x.txt", "ignored")]
