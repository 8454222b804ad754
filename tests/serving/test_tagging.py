"""`earmark predict --write-tags`: what earmark writes into files, what it leaves alone, and that the music stays."""

import json
import os
import stat

import mutagen
import numpy as np
import pytest
from mutagen.id3 import ID3, TBPM, TCON, TIT2, TPE1, TXXX, TYER
from mutagen.mp4 import MP4

from earmark.audio.decode import decode
from earmark.catalogue.tags import read_tags
from earmark.serving import tagging
from earmark.serving.answers import EXAMPLE, Answer
from earmark.serving.tagging import NoTags, Said, TagsNotWritten, said_of, write_tags

TAGGED = ("mp3", "m4a", "flac", "ogg", "opus", "aiff", "wav")
UNTAGGED = ("aac", "au", "caf", "wma", "webm", "mka", "wv")
ANSWER = Answer.model_validate(EXAMPLE)
SAID = said_of(ANSWER)


def field(path, name: str) -> str | None:
    """Read by mutagen alone, by each format's own names."""
    tags = mutagen.File(path).tags
    names = {"genre": ("TCON", "genre", "\xa9gen"), "bpm": ("TBPM", "bpm", "tmpo"), "key": ("TKEY", "initialkey")}
    own = (f"TXXX:{name}", name.lower(), f"----:com.apple.iTunes:{'initialkey' if name == 'key' else name}")
    for each in (*names.get(name, ()), *own):
        try:
            value = tags[each]
        except (KeyError, ValueError):
            continue
        value = getattr(value, "text", value)
        value = value[0] if isinstance(value, list) else value
        return value.decode() if isinstance(value, bytes) else str(value)
    return None


def set_genre(path, genre: str) -> None:
    file = mutagen.File(path, easy=path.suffix in (".mp3", ".m4a"))
    if file.tags is None:
        file.add_tags()
    if path.suffix in (".wav", ".aiff"):
        file.tags.add(TCON(encoding=3, text=[genre]))
    else:
        file["genre"] = [genre]
    file.save()


@pytest.fixture(params=TAGGED)
def song(request, write, recordings):
    return write(f"a song 歌.{request.param}", recordings[request.param])


@pytest.fixture
def mp3(write, recordings):
    return write("song.mp3", recordings["mp3"])


class TestWhatIsSaid:
    def test_key_and_tempo_are_written_as_other_programs_read_them(self):
        def said(tonic: str, mode: str, bpm: float) -> Said:
            facts = ANSWER.facts.model_copy(
                update={
                    "key": ANSWER.facts.key.model_copy(update={"tonic": tonic, "mode": mode}),
                    "tempo": ANSWER.facts.tempo.model_copy(update={"bpm": bpm}),
                }
            )
            return said_of(ANSWER.model_copy(update={"facts": facts}))

        assert [said(*key, 100.0).shared["key"] for key in (("C", "major"), ("F♯", "minor"), ("E♭", "minor"))] == [
            "C", "F#m", "Ebm",
        ]  # fmt: skip
        assert (said("C", "major", 112.4).shared["bpm"], said("C", "major", 112.4).own["EARMARK_TEMPO"]) == (
            "112",
            "112.4",
        )

    def test_a_model_that_abstains_names_no_genre(self):
        assert said_of(ANSWER.model_copy(update={"abstains": True})).shared["genre"] is None

    def test_what_is_not_known_is_not_written(self):
        nothing = ANSWER.facts.model_copy(update={"tempo": None, "key": None, "loudness": None})
        said = said_of(ANSWER.model_copy(update={"facts": nothing, "appeal": None, "tags": []}))
        assert (said.shared["bpm"], said.shared["key"]) == (None, None)
        assert {name for name, text in said.own.items() if text} == {"EARMARK_GENRES", "EARMARK_MODEL"}


class TestWriting:
    def test_all_that_is_said_can_be_read_by_others(self, song):
        assert write_tags(song, SAID)
        assert [field(song, name) for name in ("genre", "bpm", "key")] == ["reel", "112", "D"]
        assert json.loads(field(song, "EARMARK_GENRES")) == {"reel": 0.81, "hornpipe": 0.13, "jig": 0.06}
        assert json.loads(field(song, "EARMARK_TAGS"))["feeling---joyful_activation"] == 0.42
        assert [field(song, f"EARMARK_APPEAL{part}") for part in ("", "_LOW", "_HIGH")] == ["0.550", "0.410", "0.680"]
        assert field(song, "EARMARK_MODEL") == "earmark 3"

    def test_the_music_stays_the_same_to_the_bit(self, song):
        before = decode(song).waveform.numpy()
        write_tags(song, SAID)
        np.testing.assert_array_equal(decode(song).waveform.numpy(), before)

    def test_a_second_time_there_is_nothing_to_do(self, song):
        write_tags(song, SAID)
        before = song.read_bytes(), song.stat().st_mtime_ns, song.stat().st_ino
        assert not write_tags(song, SAID)
        assert (song.read_bytes(), song.stat().st_mtime_ns, song.stat().st_ino) == before

    def test_other_tags_stay(self, song):
        set_genre(song, "Jazz")
        file = mutagen.File(song)
        name = "TPE1" if isinstance(file.tags, ID3) else "\xa9ART" if isinstance(file, MP4) else "artist"
        file.tags[name] = TPE1(encoding=3, text=["Nina", "Simone"]) if name == "TPE1" else ["Nina", "Simone"]
        file.save()
        write_tags(song, SAID)
        artist = mutagen.File(song).tags[name]
        assert list(getattr(artist, "text", artist)) == ["Nina", "Simone"]

    def test_the_name_decides_nothing(self, write, recordings):
        path = write("song.txt", recordings["flac"])
        assert write_tags(path, SAID)
        assert field(path, "genre") == "reel"


class TestPeoplesTags:
    def test_a_persons_genre_stays(self, song):
        set_genre(song, "Jazz")
        write_tags(song, SAID)
        assert field(song, "genre") == "Jazz"
        assert read_tags(song).genre == "Jazz"
        assert json.loads(field(song, "EARMARK_GENRES"))["reel"] == 0.81

    def test_unless_it_shall_be_overwritten(self, song):
        set_genre(song, "Jazz")
        assert write_tags(song, SAID, overwrite=True)
        assert field(song, "genre") == "reel"
        assert not write_tags(song, SAID, overwrite=True)

    def test_a_persons_genre_that_the_model_agrees_with_stays_a_persons(self, song):
        set_genre(song, "reel")
        write_tags(song, SAID)
        assert read_tags(song).genre == "reel"

    def test_a_persons_tempo_stays(self, mp3):
        tags = ID3()
        tags.add(TBPM(encoding=3, text=["90"]))
        tags.save(mp3)
        write_tags(mp3, SAID)
        assert (field(mp3, "bpm"), field(mp3, "key")) == ("90", "D")

    def test_earmarks_own_genre_follows_the_model(self, song):
        write_tags(song, SAID)
        write_tags(song, Said({**SAID.shared, "genre": "jig"}, SAID.own))
        assert field(song, "genre") == "jig"
        write_tags(song, Said({**SAID.shared, "genre": None}, SAID.own))
        assert field(song, "genre") is None

    def test_what_a_person_has_corrected_stays(self, song):
        write_tags(song, SAID)
        set_genre(song, "Strathspey")
        write_tags(song, Said({**SAID.shared, "genre": "jig"}, SAID.own))
        assert (field(song, "genre"), read_tags(song).genre) == ("Strathspey", "Strathspey")


class TestImporting:
    """A model must not learn from its own answers."""

    def test_a_genre_that_earmark_wrote_is_no_label(self, song):
        assert read_tags(song).genre is None
        write_tags(song, SAID)
        assert field(song, "genre") == "reel"
        assert read_tags(song).genre is None

    def test_a_genre_that_was_added_to_it_is_one(self, write, recordings):
        path = write("song.flac", recordings["flac"])
        write_tags(path, SAID)
        file = mutagen.File(path)
        file["genre"] = ["reel", "Folk"]
        file.save()
        assert read_tags(path).genre == "Folk"


class TestOldTags:
    def test_id3_of_version_2_3_stays_so_with_all_its_frames(self, mp3):
        tags = ID3()
        for frame in (TIT2(text=["A", "B"]), TYER(text=["1999"]), TXXX(desc="mine", text=["x"])):
            tags.add(frame)
        tags.save(mp3, v2_version=3, v23_sep=None)
        write_tags(mp3, SAID)
        found = ID3(mp3, translate=False)
        assert found.version == (2, 3, 0)
        assert (found["TIT2"].text, found["TYER"].text, found["TXXX:mine"].text) == (["A", "B"], ["1999"], ["x"])
        assert not write_tags(mp3, SAID)

    def test_an_id3v1_tag_is_kept(self, write, recordings):
        old = b"TAG" + b"A title".ljust(30, b"\0") + bytes(60) + b"1999" + bytes(30) + b"\xff"
        path = write("song.mp3", recordings["mp3"] + old)
        write_tags(path, SAID)
        tags = ID3(path)
        assert (str(tags["TIT2"]), str(tags["TDRC"]), str(tags["TCON"])) == ("A title", "1999", "reel")
        assert not write_tags(path, SAID)


class TestFiles:
    @pytest.mark.parametrize("suffix", UNTAGGED)
    def test_a_format_without_tags_is_said_to_have_none(self, suffix, write, recordings):
        path = write(f"song.{suffix}", recordings[suffix])
        before = path.read_bytes()
        with pytest.raises(NoTags, match="mp3, m4a"):
            write_tags(path, SAID)
        assert path.read_bytes() == before

    def test_rights_stay_and_the_time_of_change_is_new(self, mp3):
        mp3.chmod(0o640)
        os.utime(mp3, (1_000_000_000, 1_000_000_000))
        write_tags(mp3, SAID)
        assert stat.S_IMODE(mp3.stat().st_mode) == 0o640
        assert mp3.stat().st_mtime > 1_500_000_000

    def test_a_write_protected_file_stays_as_it_is(self, mp3):
        mp3.chmod(0o444)
        before = mp3.read_bytes()
        with pytest.raises(TagsNotWritten, match="write-protected"):
            write_tags(mp3, SAID)
        assert mp3.read_bytes() == before

    def test_a_link_leads_to_the_file_that_is_written(self, mp3, tmp_path):
        link = tmp_path / "link.mp3"
        link.symlink_to(mp3)
        write_tags(link, SAID)
        assert link.is_symlink() and field(mp3, "genre") == "reel"

    def test_a_file_of_the_catalogue_is_not_touched(self, tmp_path, write, recordings):
        path = write("data/collections/mine/audio/song.mp3", recordings["mp3"])
        with pytest.raises(TagsNotWritten, match="catalogue"):
            write_tags(path, SAID, root=tmp_path)
        assert path.read_bytes() == recordings["mp3"]

    @pytest.mark.parametrize("where", ["_packets", "_like"])
    def test_what_goes_wrong_halfway_leaves_the_old_file_and_nothing_else(self, where, mp3, monkeypatch):
        def fail(*_: object) -> None:
            raise OSError(28, "No space left on device")

        before = mp3.read_bytes()
        monkeypatch.setattr(tagging, where, fail)
        with pytest.raises(TagsNotWritten, match="No space left"):
            write_tags(mp3, SAID)
        assert mp3.read_bytes() == before
        assert list(mp3.parent.iterdir()) == [mp3]

    def test_other_music_in_the_copy_is_noticed(self, mp3, monkeypatch):
        save = tagging._Id3.save

        def spoil(tags: object, part: object) -> None:
            save(tags, part)
            part.write_bytes(part.read_bytes()[:-2_000])

        monkeypatch.setattr(tagging._Id3, "save", spoil)
        with pytest.raises(TagsNotWritten, match="would not be the same"):
            write_tags(mp3, SAID)
        assert field(mp3, "genre") is None

    def test_damaged_tags_are_left_alone(self, write, recordings):
        path = write("song.flac", recordings["flac"][:30])
        with pytest.raises(TagsNotWritten, match="damaged"):
            write_tags(path, SAID)
