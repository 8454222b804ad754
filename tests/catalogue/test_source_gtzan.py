"""GTZAN: its layouts, the published fault-filtered split, and that it names no artists."""

from pathlib import Path

import pytest

from earmark.catalogue.sources.gtzan import GtzanSource
from earmark.errors import CatalogueError
from source_tools import candidates, imported, kinds, lay_out, lines, refusals, tone

TRACKS = ["blues/blues.00029", "blues/blues.00030", "hiphop/hiphop.00001", "jazz/jazz.00054"]


def lists(folder, train=(), valid=(), test=()):
    return lay_out(
        folder,
        {
            "train_filtered.txt": lines(*train),
            "valid_filtered.txt": lines(*valid),
            "test_filtered.txt": lines(*test),
        },
    )


def splits(source) -> dict[str, str | None]:
    return {path: entry.split for path, entry in candidates(source).items()}


class TestLayouts:
    @pytest.mark.parametrize("below", ["genres/", "Data/genres_original/", "genres_original/", ""])
    @pytest.mark.parametrize("suffix", ["wav", "au"])
    def test_each_is_found_and_ids_do_not_depend_on_it(self, tmp_path, below, suffix):
        lay_out(tmp_path, {f"{below}{track}.{suffix}": b"" for track in TRACKS})
        found = candidates(GtzanSource(tmp_path))
        assert {path: entry.genre for path, entry in found.items()} == {
            f"{track}.{suffix}": track.partition("/")[0] for track in TRACKS
        }

    def test_what_lies_beside_the_audio_is_listed(self, tmp_path):
        lay_out(
            tmp_path,
            {
                "Data/genres_original/jazz/jazz.00000.wav": b"",
                "Data/features_30_sec.csv": "",
                "Data/images_original/jazz/jazz00000.png": b"",
                "README": "",
            },
        )
        assert kinds(GtzanSource(tmp_path)) == {
            "../features_30_sec.csv": "ignored", "../images_original": "ignored", "../../README": "ignored",
        }  # fmt: skip

    def test_a_folder_of_other_things_is_named_for_what_it_holds(self, tmp_path):
        lay_out(tmp_path, {"polka/a.wav": b""})
        with pytest.raises(CatalogueError, match=r"not what `earmark import gtzan` needs.*Found: polka/"):
            candidates(GtzanSource(tmp_path))


class TestWithoutArtists:
    def test_every_track_is_a_group_of_its_own_and_the_summary_says_what_that_means(self, tmp_path):
        music = lay_out(
            tmp_path / "gtzan", {f"genres/{track}.wav": tone("wav", n) for n, track in enumerate(TRACKS[:3])}
        )
        result, tracks = imported(GtzanSource(music), tmp_path / "project")
        assert tracks["group"].nunique() == 3 and tracks[["artist", "licence"]].isna().all(axis=None)
        assert "no artists known, so any split of it leaks them" in result.summary()

    def test_a_damaged_file_is_refused_by_decoding(self, tmp_path):
        files = {f"genres/{track}.wav": tone("wav", n) for n, track in enumerate(TRACKS)}
        files["genres/jazz/jazz.00054.wav"] = files["genres/jazz/jazz.00054.wav"][:20_000]
        result, tracks = imported(GtzanSource(lay_out(tmp_path / "gtzan", files)), tmp_path / "project")
        assert [(refusal.path, refusal.kind) for refusal in result.refused] == [("jazz/jazz.00054.wav", "refused")]
        assert len(tracks) == 3


class TestSplit:
    @pytest.mark.parametrize("listed_as", ["wav", "au"])
    @pytest.mark.parametrize("suffix", ["wav", "au", "WAV", "mp3"])
    def test_is_read_from_the_lists_whatever_the_suffix(self, tmp_path, listed_as, suffix):
        lay_out(tmp_path / "genres", {f"{track}.{suffix}": b"" for track in TRACKS})
        train, valid, test, _ = (f"{track}.{listed_as}" for track in TRACKS)
        source = GtzanSource(tmp_path, split_lists=lists(tmp_path / "lists", [train], [valid], [test]))
        assert splits(source) == {
            f"{TRACKS[0]}.{suffix}": "train", f"{TRACKS[1]}.{suffix}": "validation", f"{TRACKS[2]}.{suffix}": "test",
        }  # fmt: skip

    @pytest.mark.parametrize("folder", ["hiphop", "hip-hop"])
    @pytest.mark.parametrize("said", ["hiphop", "hip-hop"])
    def test_hip_hop_is_hiphop(self, tmp_path, folder, said):
        lay_out(tmp_path / "genres", {f"{folder}/{folder}.00001.wav": b"", "jazz/jazz.00001.wav": b""})
        line = f"{said}/{said}.00001.wav"
        (entry,) = candidates(GtzanSource(tmp_path, split_lists=lists(tmp_path / "lists", [line]))).values()
        assert (entry.genre, entry.split, entry.path) == ("hiphop", "train", f"{folder}/{folder}.00001.wav")

    def test_a_track_in_no_list_is_ignored_and_a_line_without_audio_is_a_refused_row(self, tmp_path):
        lay_out(tmp_path / "genres", {f"{track}.wav": b"" for track in TRACKS})
        lay_out(tmp_path / "genres", {"bextract_single.mf": ""})
        there = lists(tmp_path / "lists", [f"{TRACKS[0]}.wav", "rock/rock.00099.wav"], [f"{TRACKS[0]}.wav"])
        source = GtzanSource(tmp_path, split_lists=there)
        assert refusals(source) == {
            f"{TRACKS[1]}.wav": ("ignored", "in none of the lists of the fault-filtered split"),
            f"{TRACKS[2]}.wav": ("ignored", "in none of the lists of the fault-filtered split"),
            f"{TRACKS[3]}.wav": ("ignored", "in none of the lists of the fault-filtered split"),
            "bextract_single.mf": ("ignored", "no recording by its name, and in no table"),
            "train_filtered.txt:2": ("row", "there is no audio for it: rock/rock.00099"),
            "valid_filtered.txt:1": ("row", "it lists the same track as train_filtered.txt:1"),
        }

    def test_lists_that_lie_beside_the_audio_are_tables_and_no_strays(self, tmp_path):
        lay_out(tmp_path / "genres", {f"{track}.wav": b"" for track in TRACKS})
        source = GtzanSource(tmp_path, split_lists=lists(tmp_path, [f"{track}.wav" for track in TRACKS]))
        assert len(candidates(source)) == 4 and refusals(source) == {}

    @pytest.mark.parametrize("below", ["", "genres/"])
    def test_lists_are_tables_however_their_folder_is_said(self, tmp_path, below, monkeypatch):
        lay_out(tmp_path / "gt", {f"{below}{track}.wav": b"" for track in TRACKS})
        there = lists(tmp_path / "gt", [f"{track}.wav" for track in TRACKS])
        monkeypatch.chdir(tmp_path)
        for path, split_lists in [("gt", there), (there, "gt"), ("gt", "../" + tmp_path.name + "/gt")]:
            source = GtzanSource(Path(path), split_lists=Path(split_lists))
            assert len(candidates(source)) == 4 and refusals(source) == {}

    def test_every_file_and_every_line_counts_once(self, tmp_path):
        """As published: 1,000 files, 443 + 197 + 290 lines; here one file is missing."""
        names = [f"{genre}/{genre}.{n:05}.wav" for genre in ("blues", "jazz") for n in range(50)]
        lay_out(tmp_path / "genres", dict.fromkeys(names[1:], b""))
        source = GtzanSource(tmp_path, split_lists=lists(tmp_path, names[:40], names[40:60], names[60:90]))
        said = list(kinds(source).values())
        assert (len(candidates(source)), said.count("row"), said.count("ignored")) == (89, 1, 10)

    def test_a_missing_list_is_named(self, tmp_path):
        lay_out(tmp_path, {"genres/jazz/jazz.00000.wav": b"", "lists/train_filtered.txt": ""})
        with pytest.raises(CatalogueError, match=r"lacks valid_filtered\.txt, test_filtered\.txt"):
            candidates(GtzanSource(tmp_path, split_lists=tmp_path / "lists"))

    def test_it_reaches_the_catalogue(self, tmp_path):
        music = lay_out(tmp_path / "gtzan", {f"genres/{track}.au": tone("au", n) for n, track in enumerate(TRACKS)})
        there = lists(tmp_path / "lists", [f"{TRACKS[0]}.wav"], [f"{TRACKS[1]}.wav"], [f"{TRACKS[2]}.wav"])
        result, tracks = imported(GtzanSource(music, split_lists=there), tmp_path / "project")
        assert tracks["split"].to_dict() == {
            f"{TRACKS[0]}.au": "train", f"{TRACKS[1]}.au": "validation", f"{TRACKS[2]}.au": "test",
        }  # fmt: skip
        assert "fault-filtered split" in result.summary() and "Tzanetakis" in result.summary()
