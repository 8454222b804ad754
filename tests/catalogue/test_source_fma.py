"""FMA: a table with three header lines, nested subsets, official splits, genres by number, counts kept as answers."""

import csv
import io

import pytest

from earmark.catalogue.sources.fma import FmaSource
from earmark.errors import CatalogueError
from source_tools import candidates, imported, kinds, lay_out, lines, refusals, tone

GENRES = lines(
    "genre_id,#tracks,parent,title,top_level", "10,13845,0,Pop,10", "12,32923,0,Rock,12", "21,12706,0,Hip-Hop,21",
    "26,1952,12,Lo-Fi,12", "76,2161,10,Experimental Pop,10",
)  # fmt: skip
# In the order of the real table's columns, as far as they matter; artist.bio runs over lines.
COLUMNS = [
    ("album", "comments"), ("album", "title"), ("artist", "bio"), ("artist", "id"), ("artist", "name"),
    ("set", "split"), ("set", "subset"), ("track", "comments"), ("track", "date_created"), ("track", "favorites"),
    ("track", "genre_top"), ("track", "genres"), ("track", "genres_all"), ("track", "interest"), ("track", "license"),
    ("track", "listens"), ("track", "title"),
]  # fmt: skip


def row(number: object, **other: object) -> list[str]:
    usual = {
        "album.comments": "0", "album.title": "AWOL", "artist.bio": "<p>A Way\nOf Life</p>", "artist.id": "1",
        "artist.name": "AWOL", "set.split": "training", "set.subset": "small", "track.comments": "0",
        "track.date_created": "2008-11-26 01:48:12", "track.favorites": "2", "track.genre_top": "Hip-Hop",
        "track.genres": "[21]", "track.genres_all": "[21]", "track.interest": "4656",
        "track.license": "CC BY-NC-SA 3.0", "track.listens": "1293", "track.title": "Food",
    }  # fmt: skip
    values = usual | {name.replace("_", ".", 1): value for name, value in other.items()}
    return [str(number), *(str(values[f"{part}.{name}"]) for part, name in COLUMNS)]


def table(*rows: list[str], index: str = "track_id") -> str:
    text = io.StringIO()
    write = csv.writer(text, lineterminator="\n")
    write.writerow(["", *(part for part, _ in COLUMNS)])
    write.writerow(["", *(name for _, name in COLUMNS)])
    write.writerow([index, *[""] * len(COLUMNS)])
    write.writerows(rows)
    return text.getvalue()


def fma(folder, *rows, audio=(), **files):
    """A data set whose rows are two lines long each, the first on line 4."""
    tables = {"fma_metadata/tracks.csv": table(*rows), "fma_metadata/genres.csv": GENRES}
    return lay_out(folder, tables | dict.fromkeys(audio, b"") | files)


class TestTracks:
    def test_are_found_by_id_in_six_digits_with_all_that_the_table_says(self, tmp_path):
        fma(tmp_path, row(2), audio=["fma_small/000/000002.mp3"])
        (track,) = candidates(FmaSource(tmp_path)).values()
        assert track.path == "000/000002.mp3" and track.file == tmp_path / "fma_small/000/000002.mp3"
        assert (track.title, track.album, track.artist, track.genre) == ("Food", "AWOL", "AWOL", "Hip-Hop")
        assert (track.split, track.licence) == ("train", "CC BY-NC-SA 3.0")

    def test_of_one_artist_are_one_group_by_id_not_by_name(self, tmp_path):
        fma(
            tmp_path,
            row(2), row(3, artist_name="AWOL (crew)"), row(5, artist_id="7"), row(10, artist_id=""),
            audio=[f"fma_small/000/{n:06}.mp3" for n in (2, 3, 5, 10)],
        )  # fmt: skip
        groups = [track.group for track in candidates(FmaSource(tmp_path)).values()]
        assert groups[0] == groups[1] != groups[2] and groups[3] is None

    def test_official_splits_have_the_names_of_the_catalogue(self, tmp_path):
        fma(
            tmp_path,
            *(row(n, set_split=split) for n, split in enumerate(["training", "validation", "test"])),
            audio=[f"fma_small/000/{n:06}.mp3" for n in range(3)],
        )
        assert [track.split for track in candidates(FmaSource(tmp_path)).values()] == ["train", "validation", "test"]


class TestGenres:
    def tags(self, tmp_path, genres, **of_row):
        fma(tmp_path, row(2, **of_row), audio=["fma_small/000/000002.mp3"])
        (track,) = candidates(FmaSource(tmp_path, genres=genres)).values()
        return track.genre, track.tags

    def test_root_ones_are_tags_once_each(self, tmp_path):
        said = self.tags(tmp_path, "root", track_genre_top="", track_genres_all="[26, 12, 76, 10]")
        assert said == (None, ("genre---Rock", "genre---Pop"))

    def test_all_ones_are_tags_if_asked_for(self, tmp_path):
        said = self.tags(tmp_path, "all", track_genre_top="Rock", track_genres_all="[26, 12]")
        assert said == ("Rock", ("genre---Lo-Fi", "genre---Rock"))

    def test_none_is_no_tags(self, tmp_path):
        assert self.tags(tmp_path, "all", track_genre_top="", track_genres_all="[]") == (None, ())

    def test_none_by_a_word_is_none(self, tmp_path):
        assert self.tags(tmp_path, "root", track_genre_top="nan") == (None, ("genre---Hip-Hop",))

    @pytest.mark.parametrize(
        ("text", "needle"),
        [
            ("__import__('os').system('true')", "no list of numbers"), ("[21", "no list of numbers"),
            ("['21']", "no list of numbers"), ("21", "no list of numbers"), ("[True]", "no list of numbers"),
            ("[999]", "genre 999 is not in genres.csv"), ("(" * 10_000, "no list of numbers"),
        ],
    )  # fmt: skip
    @pytest.mark.parametrize("genres", ["root", "all"])
    def test_that_are_no_list_of_known_numbers_refuse_the_row(self, tmp_path, text, needle, genres):
        fma(tmp_path, row(2, track_genres_all=text), audio=["fma_small/000/000002.mp3"])
        said = refusals(FmaSource(tmp_path, genres=genres))
        assert said["tracks.csv:4"][0] == "row" and needle in said["tracks.csv:4"][1]
        assert said["000/000002.mp3"] == ("refused", "tracks.csv has no row of use for it")


class TestSubsets:
    ROWS = (row(2), row(3, set_subset="medium"), row(5, set_subset="large"))
    IDS = (2, 3, 5)

    @pytest.mark.parametrize(("subset", "taken"), [("small", 1), ("medium", 2), ("large", 3), ("full", 3)])
    def test_hold_each_other(self, tmp_path, subset, taken):
        fma(tmp_path, *self.ROWS, audio=[f"fma_full/000/{n:06}.mp3" for n in self.IDS])
        source = FmaSource(tmp_path, subset=subset)
        assert [track.path for track in candidates(source).values()] == [f"000/{n:06}.mp3" for n in self.IDS[:taken]]
        said = kinds(source)
        assert list(said.values()).count("row") == list(said.values()).count("ignored") == 3 - taken
        assert len(said) == 2 * (3 - taken)

    def test_auto_is_the_largest_whose_audio_lies_there(self, tmp_path):
        audio = ["fma_small/000/000002.mp3", "fma_medium/000/000002.mp3", "fma_medium/000/000003.mp3"]
        fma(tmp_path, *self.ROWS, audio=audio)
        source = FmaSource(tmp_path)
        assert {track.file.parts[-3] for track in candidates(source).values()} == {"fma_medium"}
        assert refusals(source) == {
            "tracks.csv:8": ("row", "not in the subset 'medium': it is of 'large'"),
            "../fma_small": ("ignored", "no part of the audio or of the tables that are read"),
        }
        assert "subset medium, audio of fma_medium/" in source.describe()

    def test_the_audio_of_the_next_larger_one_will_do(self, tmp_path):
        fma(tmp_path, *self.ROWS, audio=["fma_large/000/000002.mp3"])
        assert list(candidates(FmaSource(tmp_path, subset="small"))) == ["000/000002.mp3"]

    def test_the_audio_of_a_smaller_one_will_not(self, tmp_path):
        fma(tmp_path, *self.ROWS, audio=["fma_small/000/000002.mp3"])
        with pytest.raises(CatalogueError, match=r"for the subset 'large'"):
            candidates(FmaSource(tmp_path, subset="large"))


class TestAccounting:
    def test_every_row_and_every_file_is_said_once(self, tmp_path):
        bad = [row("x"), row(-1), row(7, set_split="dev"), row(8, set_subset="huge"), row(2), row(9), row(10)[:5]]
        fma(
            tmp_path, row(2), *bad,
            audio=[
                "fma_small/000/000002.mp3", "fma_small/000/000099.mp3", "fma_small/README.txt", "fma_small/checksums",
                "fma_metadata/features.csv", "README.md",
            ],
        )  # fmt: skip
        source = FmaSource(tmp_path)
        assert list(candidates(source)) == ["000/000002.mp3"]
        said = refusals(source)
        assert {path: kind for path, (kind, _) in said.items()} == {
            **dict.fromkeys((f"tracks.csv:{6 + 2 * n}" for n in range(len(bad))), "row"),
            "000/000099.mp3": "refused", "README.txt": "ignored", "checksums": "ignored",
            "../fma_metadata/features.csv": "ignored", "../README.md": "ignored",
        }  # fmt: skip
        needles = [
            "'x'",
            "-1",
            "'dev'",
            "'huge'",
            "same track as tracks.csv:4",
            "no audio for it: 000/000009",
            "5 fields",
        ]
        for number, needle in enumerate(needles):
            assert needle in said[f"tracks.csv:{6 + 2 * number}"][1]

    def test_capitals_of_a_suffix_lose_no_track(self, tmp_path):
        rows = [row(2), row(3, set_subset="medium")]
        fma(tmp_path, *rows, audio=["fma_small/000/000002.MP3", "fma_small/000/000003.MP3"])
        source = FmaSource(tmp_path)
        assert list(candidates(source)) == ["000/000002.MP3"]
        assert kinds(source) == {"tracks.csv:6": "row", "000/000003.MP3": "ignored"}

    def test_other_columns_are_named(self, tmp_path):
        fma(tmp_path, row(2), audio=["fma_small/000/000002.mp3"])
        (tmp_path / "fma_metadata/tracks.csv").write_text("track_id,title\n1,x\n", encoding="utf-8")
        with pytest.raises(CatalogueError, match=r"lacks the columns .*set\.split"):
            candidates(FmaSource(tmp_path))

    def test_a_folder_without_the_tables_is_named_for_what_it_holds(self, tmp_path):
        lay_out(tmp_path, {"fma_small/000/000002.mp3": b""})
        with pytest.raises(CatalogueError, match=r"not what `earmark import fma` needs.*Found: fma_small/"):
            candidates(FmaSource(tmp_path))


class TestImport:
    """Of the small subset 098565 is cut short and 099134 holds no audio."""

    @pytest.fixture
    def outcome(self, tmp_path):
        song = tone("mp3")
        rows = [
            row(2), row(5, track_listens="3560000", track_favorites="", track_comments="0", track_license=""),
            row(98565), row(99134), row(140, track_interest="many"), row(141, track_date_created="long ago"),
            row(77, set_subset="medium"), row(142),
        ]  # fmt: skip
        audio = {
            "000/000002": song, "000/000005": tone("mp3", 1), "098/098565": song[: len(song) // 2], "099/099134": b"",
            "000/000140": tone("mp3", 2), "000/000141": tone("mp3", 3),
        }  # fmt: skip
        dataset = fma(tmp_path / "fma", *rows, **{f"fma_small/{name}.mp3": content for name, content in audio.items()})
        return imported(FmaSource(dataset), tmp_path / "project")

    def test_every_row_is_taken_or_refused(self, outcome):
        result, tracks = outcome
        assert len(tracks) == 4
        assert {(refusal.path, refusal.kind) for refusal in result.refused} == {
            ("098/098565.mp3", "refused"), ("099/099134.mp3", "refused"),
            ("tracks.csv:16", "row"), ("tracks.csv:18", "row"),  # of another subset, without audio
        }  # fmt: skip

    def test_licences_are_each_tracks_own_or_none(self, outcome):
        result, tracks = outcome
        assert tracks["licence"].fillna("none").tolist() == ["CC BY-NC-SA 3.0", "none", *["CC BY-NC-SA 3.0"] * 2]
        assert "Defferrard" in result.summary()
