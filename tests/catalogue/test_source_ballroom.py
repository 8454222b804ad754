"""Ballroom: styles by folder, albums by file name."""

import pytest

from earmark.catalogue.sources.ballroom import BallroomSource
from earmark.errors import CatalogueError
from source_tools import candidates, imported, kinds, lay_out, tone

FILES = [
    "ChaChaCha/Albums-Fire-08.wav", "Samba/Albums-Fire-09.wav", "Rumba-Misc/Albums-Latin_Jam2-05.wav",
    "Waltz/Media-104705.wav",
]  # fmt: skip


class TestTracks:
    @pytest.mark.parametrize("below", ["BallroomData/", ""])
    def test_are_found_by_style_from_either_folder(self, tmp_path, below):
        lay_out(tmp_path, {below + file: b"" for file in FILES})
        found = candidates(BallroomSource(tmp_path))
        assert {path: entry.genre for path, entry in found.items()} == {file: file.partition("/")[0] for file in FILES}

    def test_of_one_album_are_one_group_over_styles_because_no_artist_is_named(self, tmp_path):
        lay_out(tmp_path, dict.fromkeys(FILES, b""))
        found = candidates(BallroomSource(tmp_path))
        assert found[FILES[0]].group == found[FILES[1]].group != found[FILES[2]].group
        assert found[FILES[2]].album == "Latin Jam2"
        assert found[FILES[3]].group is None and found[FILES[3]].album is None

    def test_lists_beside_the_styles_are_ignored(self, tmp_path):
        lay_out(tmp_path, {f"BallroomData/{file}": b"" for file in FILES} | {"README": "", "annotations/a.beats": ""})
        assert kinds(BallroomSource(tmp_path)) == {"../README": "ignored", "../annotations": "ignored"}

    def test_import(self, tmp_path):
        files = {f"BallroomData/{file}": tone("wav", n) for n, file in enumerate(FILES)}
        music = lay_out(tmp_path / "data", files | {"BallroomData/allBallroomFiles": "ChaChaCha/Albums-Fire-08.wav\n"})
        result, tracks = imported(BallroomSource(music), tmp_path / "project")
        assert sorted(tracks["genre"]) == ["ChaChaCha", "Rumba-Misc", "Samba", "Waltz"]
        assert tracks["group"].nunique() == 3
        assert [(refusal.path, refusal.kind) for refusal in result.refused] == [("allBallroomFiles", "ignored")]
        assert "Gouyon" in result.summary()

    def test_another_folder_is_named_for_what_it_holds(self, tmp_path):
        lay_out(tmp_path, {"jazz/a.wav": b""})
        with pytest.raises(CatalogueError, match=r"needs\. .*BallroomData.*Found: jazz/"):
            candidates(BallroomSource(tmp_path))
