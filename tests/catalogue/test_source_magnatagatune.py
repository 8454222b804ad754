"""MagnaTagATune: two tab-separated tables called csv, tags as columns of 0 and 1, a split by folder."""

import pytest

from earmark.catalogue.sources.magnatagatune import MagnaTagATuneSource
from earmark.errors import CatalogueError
from source_tools import candidates, imported, kinds, lay_out, lines, refusals, tone

TAGS = [f"tag {n}" for n in range(185)] + ["no vocals", "no voice", "guitar"]


def quoted(*fields: object) -> str:
    return "\t".join(f'"{field}"' for field in fields)


ANNOTATED = quoted("clip_id", *TAGS, "mp3_path")
TOLD = quoted(
    "clip_id",
    "track_number",
    "title",
    "artist",
    "album",
    "url",
    "segmentStart",
    "segmentEnd",
    "original_url",
    "mp3_path",
)


def clip(number: int, path: str, *tags: str) -> str:
    return quoted(number, *(int(tag in tags) for tag in TAGS), path)


def told(number: int, path: str, title: str = "BWV54", artist: str = "American Bach Soloists") -> str:
    return quoted(number, 1, title, artist, "Solo Cantatas", "http://x", 30, 59, "http://y", path)


def dataset(folder, annotations, clips, audio, below=""):
    tables = {"annotations_final.csv": lines(ANNOTATED, *annotations), "clip_info_final.csv": lines(TOLD, *clips)}
    return lay_out(folder, tables | {below + path: b"" for path in audio})


class TestTags:
    def test_of_all_188_columns_those_with_a_1_are_kept_synonyms_too(self, tmp_path):
        assert len(TAGS) == 188
        path = "f/a-30-59.mp3"
        dataset(tmp_path, [clip(2, path, "no voice", "no vocals", "tag 7")], [], [path])
        (track,) = candidates(MagnaTagATuneSource(tmp_path)).values()
        assert set(track.tags) == {"no voice", "no vocals", "tag 7"} and track.genre is None

    def test_a_clip_without_any_is_taken(self, tmp_path):
        dataset(tmp_path, [clip(2, "0/a.mp3")], [], ["0/a.mp3"])
        assert [track.tags for track in candidates(MagnaTagATuneSource(tmp_path)).values()] == [()]

    def test_that_are_neither_0_nor_1_refuse_the_row(self, tmp_path):
        dataset(tmp_path, [clip(2, "0/a.mp3").replace('"0"', '"2"', 1)], [], ["0/a.mp3"])
        assert refusals(MagnaTagATuneSource(tmp_path))["annotations_final.csv:2"] == (
            "row", "its tag 'tag 0' is '2', neither 0 nor 1",
        )  # fmt: skip


class TestSplit:
    def test_goes_by_folder(self, tmp_path):
        folders = "0123456789abcdef"
        paths = [f"{folder}/{n}.mp3" for n, folder in enumerate(folders)]
        dataset(tmp_path, [clip(n, path) for n, path in enumerate(paths)], [], paths)
        found = candidates(MagnaTagATuneSource(tmp_path))
        assert "".join(path[0] for path, track in found.items() if track.split == "train") == "0123456789ab"
        assert [path[0] for path, track in found.items() if track.split == "validation"] == ["c"]
        assert "".join(path[0] for path, track in found.items() if track.split == "test") == "def"


class TestNames:
    def test_come_from_the_other_table_whatever_its_order(self, tmp_path):
        clips = [told(9, "0/b.mp3", artist='Jacob "Lute" Heringman'.replace('"', '""')), told(2, "0/a.mp3")]
        dataset(tmp_path, [clip(2, "0/a.mp3"), clip(9, "0/b.mp3")], clips, ["0/a.mp3", "0/b.mp3"])
        first, second = candidates(MagnaTagATuneSource(tmp_path)).values()
        assert (first.title, first.artist, first.album) == ("BWV54", "American Bach Soloists", "Solo Cantatas")
        assert second.artist == 'Jacob "Lute" Heringman'

    def test_unknown_ones_are_no_hindrance(self, tmp_path):
        dataset(tmp_path, [clip(2, "0/a.mp3")], [], ["0/a.mp3"])
        (track,) = candidates(MagnaTagATuneSource(tmp_path)).values()
        assert (track.title, track.artist) == (None, None)


class TestAccounting:
    @pytest.mark.parametrize("below", ["", "mp3/", "audio/", "MagnaTagATune/"])
    def test_every_row_and_every_file_is_said_once_wherever_the_folders_lie(self, tmp_path, below):
        dataset(
            tmp_path,
            [clip(2, "0/a.mp3"), clip(3, "c/gone.mp3"), clip(4, "0/a.mp3"), quoted(5, 1)],
            [told(2, "0/a.mp3"), told(3, "c/gone.mp3"), told(77, ""), told(2, "0/a.mp3")],
            ["0/a.mp3", "d/stray.mp3"],
            below,
        )
        lay_out(tmp_path, {"comparisons_final.csv": ""})
        source = MagnaTagATuneSource(tmp_path)
        assert list(candidates(source)) == ["0/a.mp3"]
        stray = "../comparisons_final.csv" if below else "comparisons_final.csv"
        assert kinds(source) == {
            "annotations_final.csv:3": "row", "annotations_final.csv:4": "row", "annotations_final.csv:5": "row",
            "clip_info_final.csv:4": "row", "clip_info_final.csv:5": "row", "d/stray.mp3": "refused", stray: "ignored",
        }  # fmt: skip

    def test_a_clip_without_a_path_says_so_and_is_no_repetition(self, tmp_path):
        dataset(tmp_path, [clip(2, ""), clip(3, ""), clip(4, "0/a.mp3")], [told(2, ""), told(3, "")], ["0/a.mp3"])
        source = MagnaTagATuneSource(tmp_path)
        why = ("row", "it has no mp3_path")
        assert refusals(source) == {"annotations_final.csv:2": why, "annotations_final.csv:3": why}

    def test_capitals_of_a_suffix_lose_no_clip(self, tmp_path):
        dataset(tmp_path, [clip(2, "0/a.mp3", "guitar")], [], ["0/a.MP3"])
        source = MagnaTagATuneSource(tmp_path)
        assert {path: track.tags for path, track in candidates(source).items()} == {"0/a.MP3": ("guitar",)}
        assert kinds(source) == {}

    def test_a_table_separated_by_commas_is_named_as_another(self, tmp_path):
        dataset(tmp_path, [], [], ["0/a.mp3"])
        (tmp_path / "annotations_final.csv").write_text("clip_id,mp3_path\n", encoding="utf-8")
        with pytest.raises(CatalogueError, match=r"annotations_final\.csv lacks the columns clip_id, mp3_path"):
            candidates(MagnaTagATuneSource(tmp_path))

    def test_a_folder_without_audio_is_named_for_what_it_holds(self, tmp_path):
        dataset(tmp_path, [], [], [])
        with pytest.raises(CatalogueError, match=r"Found: annotations_final\.csv, clip_info_final\.csv"):
            candidates(MagnaTagATuneSource(tmp_path))

    def test_import(self, tmp_path):
        paths = ["0/a.mp3", "c/b.mp3", "e/empty.mp3"]
        music = dataset(
            tmp_path / "mtat",
            [clip(n, path, "guitar") for n, path in enumerate(paths)],
            [told(n, path, artist=f"Artist {n}") for n, path in enumerate(paths)],
            paths,
        )
        lay_out(music, {paths[0]: tone("mp3", 0), paths[1]: tone("mp3", 1)})
        result, tracks = imported(MagnaTagATuneSource(music), tmp_path / "project")
        assert tracks["split"].to_dict() == {"0/a.mp3": "train", "c/b.mp3": "validation"}
        assert tracks["group"].tolist() == ["artist:artist 0", "artist:artist 1"]
        assert [list(tags) for tags in tracks["tags"]] == [["guitar"]] * 2
        assert [(refusal.path, refusal.kind) for refusal in result.refused] == [("e/empty.mp3", "refused")]
        assert "BY-NC-SA" in result.summary() and "Law" in result.summary()
