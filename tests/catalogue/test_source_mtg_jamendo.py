"""MTG-Jamendo: rows that grow to the right by a tag a field, five official splits, names and licences beside them."""

from pathlib import Path

import pytest

from earmark.catalogue.sources.mtg_jamendo import MtgJamendoSource
from earmark.errors import CatalogueError
from source_tools import candidates, imported, kinds, lay_out, lines, refusals, tone

HEADER = "TRACK_ID\tARTIST_ID\tALBUM_ID\tPATH\tDURATION\tTAGS"
NAMES = "TRACK_ID\tARTIST_ID\tALBUM_ID\tTRACK_NAME\tARTIST_NAME\tALBUM_NAME\tRELEASEDATE\tURL"


def row(number: int, *tags: str, artist: int = 14) -> str:
    path = f"{number % 100:02}/{number}.mp3"
    return "\t".join([f"track_{number:07}", f"artist_{artist:06}", "album_000031", path, "124.6", *tags])


def tables(*, train=(), validation=(), test=(), split=0, subset="autotagging") -> dict[str, str]:
    parts = {"train": train, "validation": validation, "test": test}
    return {
        f"data/splits/split-{split}/{subset}-{part}.tsv": lines(HEADER, *rows) for part, rows in parts.items()
    } | {f"data/{subset}.tsv": lines(HEADER, *train, *validation, *test)}  # fmt: skip


def audio(*numbers: int, folder: str = "audio", suffix: str = ".mp3") -> dict[str, bytes]:
    return {f"{folder}/{number % 100:02}/{number}{suffix}": b"" for number in numbers}


class TestTags:
    def tags(self, tmp_path, *tags):
        lay_out(tmp_path, tables(train=[row(214, *tags)]) | audio(214))
        (track,) = candidates(MtgJamendoSource(tmp_path)).values()
        return track.tags, track.genre

    def test_are_each_a_field_of_its_own_and_all_are_kept(self, tmp_path):
        tags = ("genre---punkrock", "instrument---guitar", "mood/theme---energetic")
        assert self.tags(tmp_path, *tags) == (tags, "punkrock")

    def test_one_genre_tag_is_the_genre(self, tmp_path):
        assert self.tags(tmp_path, "genre---metal")[1] == "metal"

    def test_of_several_genre_tags_none_is(self, tmp_path):
        assert self.tags(tmp_path, "genre---folk", "genre---instrumentalpop")[1] is None

    def test_without_a_genre_tag_there_is_none(self, tmp_path):
        assert self.tags(tmp_path, "mood/theme---dark") == (("mood/theme---dark",), None)

    def test_no_tag_at_all_is_taken(self, tmp_path):
        assert self.tags(tmp_path, "") == ((), None)

    def test_a_quotation_mark_does_not_swallow_rows(self, tmp_path):
        lay_out(tmp_path, tables(train=[row(214, 'genre---"rock'), row(215, "genre---pop")]) | audio(214, 215))
        assert len(candidates(MtgJamendoSource(tmp_path))) == 2

    def test_of_another_form_refuse_the_row(self, tmp_path):
        lay_out(tmp_path, tables(train=[row(214, "genre---pop", "rock")]) | audio(214))
        said = refusals(MtgJamendoSource(tmp_path))
        assert said["data/splits/split-0/autotagging-train.tsv:2"] == (
            "row", "its tag 'rock' is not of the form category---tag",
        )  # fmt: skip


class TestSplits:
    @pytest.mark.parametrize("number", ["0", "4"])
    def test_are_read_from_the_three_tables_of_the_one_asked_for(self, tmp_path, number):
        lay_out(
            tmp_path,
            tables(train=[row(1, "genre---a")], validation=[row(2, "genre---a")], test=[row(3, "genre---a")])
            | tables(train=[row(3, "genre---a")], validation=[row(1, "genre---a")], test=[row(2, "genre---a")], split=4)
            | audio(1, 2, 3),
        )
        splits = [track.split for track in candidates(MtgJamendoSource(tmp_path, split=number)).values()]
        assert splits == {"0": ["train", "validation", "test"], "4": ["validation", "test", "train"]}[number]

    def test_none_reads_the_whole_table_without_a_split(self, tmp_path):
        lay_out(tmp_path, tables(train=[row(1, "genre---a")], test=[row(2, "genre---a")]) | audio(1, 2))
        source = MtgJamendoSource(tmp_path, split="none")
        assert [track.split for track in candidates(source).values()] == [None, None]
        assert "../data/autotagging.tsv" not in refusals(source)

    def test_a_subset_has_tables_of_its_own(self, tmp_path):
        lay_out(tmp_path, tables(train=[row(1, "genre---a")], subset="autotagging_genre") | audio(1, 2))
        source = MtgJamendoSource(tmp_path, subset="autotagging_genre")
        assert list(candidates(source)) == ["01/1.mp3"]
        assert refusals(source)["02/2.mp3"] == ("ignored", "in no table of 'autotagging_genre' that is read")

    def test_a_missing_table_is_named_with_those_that_are_there(self, tmp_path):
        lay_out(tmp_path, tables(subset="autotagging_genre") | audio(1))
        with pytest.raises(CatalogueError, match=r"lacks data/splits/split-0/autotagging-train.*autotagging_genre\."):
            candidates(MtgJamendoSource(tmp_path))

    def test_one_track_in_two_of_them_is_refused_once(self, tmp_path):
        lay_out(tmp_path, tables(train=[row(1, "genre---a")], test=[row(1, "genre---a")]) | audio(1))
        source = MtgJamendoSource(tmp_path)
        assert [track.split for track in candidates(source).values()] == ["train"]
        assert kinds(source)["data/splits/split-0/autotagging-test.tsv:2"] == "row"


class TestAudio:
    @pytest.mark.parametrize("folder", ["audio", "audio-low", "raw_30s/audio", "raw_30s/audio-low"])
    @pytest.mark.parametrize("suffix", [".mp3", ".low.mp3", ".MP3", ".low.MP3"])
    def test_is_found_in_each_folder_in_either_quality(self, tmp_path, folder, suffix):
        lay_out(tmp_path, tables(train=[row(214, "genre---a")]) | audio(214, folder=folder, suffix=suffix))
        (track,) = candidates(MtgJamendoSource(tmp_path)).values()
        assert track.path == f"14/214{suffix}" and track.file == tmp_path / folder / track.path

    def test_may_lie_elsewhere(self, tmp_path):
        lay_out(tmp_path / "repo", tables(train=[row(214, "genre---a")]) | {"README.md": ""})
        lay_out(tmp_path, audio(214, 215, folder="disk"))
        source = MtgJamendoSource(tmp_path / "repo", audio=tmp_path / "disk")
        assert list(candidates(source)) == ["14/214.mp3"]
        assert kinds(source) == {
            "15/215.mp3": "ignored", "../README.md": "ignored", "../data/autotagging.tsv": "ignored",
        }  # fmt: skip

    def test_may_be_said_from_where_one_is(self, tmp_path, monkeypatch):
        lay_out(tmp_path / "jam", tables(train=[row(214, "genre---a")], split=0) | audio(214, folder="aud2"))
        monkeypatch.chdir(tmp_path)
        source = MtgJamendoSource(tmp_path / "jam", audio=Path("jam/aud2"))
        assert list(candidates(source)) == ["14/214.mp3"]
        assert kinds(source) == {"../data/autotagging.tsv": "ignored"}

    def test_of_both_qualities_one_is_taken(self, tmp_path):
        lay_out(tmp_path, tables(train=[row(1, "genre---a")]) | audio(1) | audio(1, suffix=".low.mp3"))
        source = MtgJamendoSource(tmp_path)
        assert len(candidates(source)) == 1 and "the same track as" in refusals(source)["01/1.mp3"][1]

    def test_nowhere_is_an_error_that_names_the_folders(self, tmp_path):
        lay_out(tmp_path, tables())
        with pytest.raises(CatalogueError, match=r"raw_30s/audio-low/.*Found: data/"):
            candidates(MtgJamendoSource(tmp_path))


class TestNamesAndLicences:
    def dataset(self, tmp_path):
        names = lines(
            NAMES,
            'track_0000214\tartist_000014\talbum_000031\tThe 12" mix\tDiablo Swing\t"Best of\t2004-12-28\thttp://x/214',
            "track_0000215\tartist_000014\talbum_000031\tAmici\t\tDiablo Swing\tBest of\t2004-12-28\thttp://x/215",
            "track_0000999\tartist_000099\talbum_000099\tElsewhere\tNobody\tNothing\t2004-12-28\thttp://x/999",
            "track_0001000\tartist_000099",
        )
        licences = (
            '14/214.mp3\nThe 12" mix by Diablo Swing from Jamendo: http://www.jamendo.com/track/214\n'
            "Available under a Creative Commons Attribution-NonCommercial license: http://cc.org/by-nc/3.0/\n\n"
            "15/215.mp3\nAmici by Diablo Swing from Jamendo: http://www.jamendo.com/track/215\nSome other words\n\n"
            "99/999.mp3\nElsewhere\nAvailable under an Art Libre licence: http://artlibre.org/lal\n\nhalf a block\n"
        )
        rows = [row(214, "genre---a"), row(215, "genre---a"), row(216, "genre---a", artist=15)]
        return lay_out(
            tmp_path,
            tables(train=rows) | audio(214, 215, 216) | {"data/raw.meta.tsv": names, "audio_licenses.txt": licences},
        )

    def test_are_joined_where_they_lie_there(self, tmp_path):
        first, second, third = candidates(MtgJamendoSource(self.dataset(tmp_path))).values()
        assert (first.title, first.artist, first.album) == ('The 12" mix', "Diablo Swing", '"Best of')
        assert (second.title, second.artist, second.album) == ("Amici", "Diablo Swing", "Best of")
        assert (third.title, third.artist, third.album) == (None, None, None)
        assert first.licence == "Creative Commons Attribution-NonCommercial (http://cc.org/by-nc/3.0/)"
        assert (second.licence, third.licence) == ("Some other words", None)

    def test_artists_are_groups_by_their_id(self, tmp_path):
        groups = [track.group for track in candidates(MtgJamendoSource(self.dataset(tmp_path))).values()]
        assert groups[0] == groups[1] != groups[2]

    def test_every_row_of_theirs_is_used_or_listed(self, tmp_path):
        said = refusals(MtgJamendoSource(self.dataset(tmp_path)))
        assert {path: reason for path, (kind, reason) in said.items() if kind == "row"} == {
            "data/raw.meta.tsv:4": "the tables that are read have no such track",
            "data/raw.meta.tsv:5": "it has 2 fields, the header 8",
            "audio_licenses.txt:9": "the tables that are read have no such track",
            "audio_licenses.txt:13": "a block of 1 lines, not of path, title and licence",
        }


class TestAccounting:
    def test_every_row_and_every_file_is_said_once(self, tmp_path):
        rows = [row(1, "genre---a"), row(2, "genre---a"), "track_0000003\tartist"]
        lay_out(
            tmp_path,
            tables(train=rows, test=[row(4, "genre---a")])
            | audio(1, 4, 5)
            | {"data/autotagging_genre.tsv": "", "data/splits/split-1/autotagging-train.tsv": "", "scripts/x.py": ""},
        )
        source = MtgJamendoSource(tmp_path)
        assert list(candidates(source)) == ["01/1.mp3", "04/4.mp3"]
        assert kinds(source) == {
            "data/splits/split-0/autotagging-train.tsv:3": "row", "data/splits/split-0/autotagging-train.tsv:4": "row",
            "05/5.mp3": "ignored", "../scripts": "ignored", "../data/autotagging.tsv": "ignored",
            "../data/autotagging_genre.tsv": "ignored", "../data/splits/split-1": "ignored",
        }  # fmt: skip

    def test_a_row_without_a_path_says_so_and_is_no_repetition(self, tmp_path):
        rows = [row(number, "genre---a").replace(f"{number:02}/{number}.mp3", "") for number in (1, 2)]
        named = lines(NAMES, *(f"track_{n:07}\ta\tb\tTitle\tArtist\tAlbum\t2020\turl" for n in (1, 2)))
        lay_out(tmp_path, tables(train=rows) | audio(3) | {"data/raw.meta.tsv": named})
        said = refusals(MtgJamendoSource(tmp_path))
        assert {path: reason for path, (kind, reason) in said.items() if kind == "row"} == {
            f"data/splits/split-0/autotagging-train.tsv:{line}": "it has no PATH" for line in (2, 3)
        }

    def test_import(self, tmp_path):
        files = {f"audio/{n % 100:02}/{n}.low.mp3": tone("mp3", n) for n in (1, 2)}
        rows = tables(train=[row(1, "genre---metal")], test=[row(2, "genre---pop", "genre---folk", artist=15)])
        result, tracks = imported(MtgJamendoSource(lay_out(tmp_path / "mtg", rows | files)), tmp_path / "project")
        assert tracks["split"].to_dict() == {"01/1.low.mp3": "train", "02/2.low.mp3": "test"}
        assert [list(tags) for tags in tracks["tags"]] == [["genre---metal"], ["genre---pop", "genre---folk"]]
        assert tracks["licence"].isna().all() and tracks["group"].nunique() == 2  # no audio_licenses.txt, no licence
        assert "Bogdanov" in result.summary()
