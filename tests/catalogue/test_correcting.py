"""`earmark catalogue review` and `correct`: the list shrinks as the file grows, and the file is never half of one."""

import json
import subprocess
import sys
from dataclasses import replace

import pandas as pd
import pytest
from click.testing import CliRunner

from earmark.catalogue.correcting import correct
from earmark.catalogue.corrections import COLUMNS, read_corrections
from earmark.catalogue.track import Track, write_tracks
from earmark.cli import main
from earmark.errors import CatalogueError, ParamsError
from earmark.stages import review
from earmark.workspace import CORRECTIONS, LABEL_REVIEW, TAXONOMY
from scratch import CHECKOUT
from twice import twice_at_once

HASHES = {"a.mp3": "aa" * 32, "b.mp3": "bb" * 32, "c  c.mp3": "cc" * 32}
GENRES = {"a.mp3": "jazz", "b.mp3": "rock", "c  c.mp3": None}


@pytest.fixture
def root(tmp_path):
    plain = Track("", "", "", 12.0, 22_050, 1, "flac", "folder", group="artist:x")
    tracks = [
        replace(plain, track_id=name, path=f"x/{name}", content_hash=content, genre=GENRES[name])
        for name, content in HASHES.items()
    ]
    write_tracks(tracks, tmp_path / "data/collections/mine/tracks.parquet")
    params = (CHECKOUT / "params.yaml").read_text()
    (tmp_path / "params.yaml").write_text(params)
    (tmp_path / CORRECTIONS).write_text(",".join(COLUMNS) + "\n")
    return tmp_path


def lines(root):
    return (root / CORRECTIONS).read_bytes().decode().splitlines()[1:]


class TestCorrect:
    def test_appends_a_line_that_is_pinned_to_the_audio(self, root):
        correct(root, "mine", "a.mp3", "Rock", note="loud,\nvery", by="Ann")
        correct(root, "mine", "b.mp3", "-")
        correct(root, "mine", "c  c.mp3", "jazz")
        assert lines(root) == [
            f'a.mp3,rock,"loud, very",Ann,{"aa" * 32}', f"b.mp3,-,,,{'bb' * 32}", f"c  c.mp3,jazz,,,{'cc' * 32}",
        ]  # fmt: skip
        assert [each.track_id for each in read_corrections(root / CORRECTIONS)] == list(HASHES)

    def test_what_is_there_stays_byte_for_byte(self, root):
        before = "\ufeffgenre,note,track_id\r\n jazz ,\"Bj\u00f6rk, 'live'\",elsewhere.mp3\r\n\r\n-,,other.mp3".encode()
        (root / CORRECTIONS).write_bytes(before)
        correct(root, "mine", "a.mp3", "rock")
        assert (root / CORRECTIONS).read_bytes() == before + b"\r\nrock,,a.mp3\r\n"

    def test_makes_the_file_where_there_is_none(self, root):
        (root / CORRECTIONS).unlink()
        correct(root, "mine", "a.mp3", "rock")
        assert len(read_corrections(root / CORRECTIONS)) == 1

    def test_the_same_again_adds_nothing(self, root):
        correct(root, "mine", "a.mp3", "rock")
        assert "says so already" in correct(root, "mine", "a.mp3", "ROCK")
        assert len(lines(root)) == 1

    def test_another_genre_for_the_same_audio_is_refused_with_the_line(self, root):
        correct(root, "mine", "b.mp3", "-")
        correct(root, "mine", "a.mp3", "rock")
        with pytest.raises(CatalogueError, match=r"line 3, already says that a\.mp3 is 'rock', not 'jazz'"):
            correct(root, "mine", "a.mp3", "jazz")
        assert len(lines(root)) == 2

    def test_an_unknown_genre_is_refused_and_the_taxonomy_names_more(self, root):
        with pytest.raises(ParamsError, match=r"'metal' is none of your genres \(jazz, rock\)"):
            correct(root, "mine", "a.mp3", "metal")
        (root / TAXONOMY).write_text("genres: {metal: [Heavy Metal], jazz: []}\n")
        correct(root, "mine", "a.mp3", "heavy metal")
        assert lines(root)[0].startswith("a.mp3,metal,")

    def test_an_unknown_track_is_refused_and_near_ones_are_named(self, root):
        with pytest.raises(CatalogueError, match=r"no track 'b'. Perhaps b\.mp3 is meant"):
            correct(root, "mine", "b", "rock")
        with pytest.raises(CatalogueError, match=r"no track 'zz\.wav'.*catalogue review"):
            correct(root, "mine", "zz.wav", "rock")
        assert lines(root) == []

    def test_a_note_for_which_there_is_no_column_is_refused(self, root):
        (root / CORRECTIONS).write_text("track_id,genre\n")
        with pytest.raises(CatalogueError, match="no column 'note'"):
            correct(root, "mine", "a.mp3", "rock", note="why")

    def test_two_at_once_write_one_line(self, root):
        twice_at_once(correct, root, "mine", "a.mp3", "rock")
        assert len(lines(root)) == 1

    def test_killed_in_the_middle_it_leaves_the_old_file_whole(self, root):
        correct(root, "mine", "a.mp3", "rock")
        before = (root / CORRECTIONS).read_bytes()
        code = (
            "import os, signal, sys; from pathlib import Path; from earmark.catalogue.correcting import correct\n"
            "write = Path.write_bytes\n"
            "def half(path, content):\n"
            "    write(path, content[: len(content) // 2]); os.kill(os.getpid(), signal.SIGKILL)\n"
            "Path.write_bytes = half\n"
            "correct(Path(sys.argv[1]), 'mine', 'b.mp3', 'jazz')\n"
        )
        ended = subprocess.run([sys.executable, "-c", code, str(root)], capture_output=True)
        assert ended.returncode == -9
        assert (root / CORRECTIONS).read_bytes() == before
        correct(root, "mine", "b.mp3", "jazz")
        assert len(lines(root)) == 2


class TestCommands:
    @pytest.fixture
    def listed(self, root):
        rows = [
            dict.fromkeys(review.COLUMNS, "") | {
                "track_id": name, "given": "jazz", "suggested": "rock", "p_given": 0.02, "p_suggested": 0.9,
                "score": score, "side": "test", "title": "None", "artist": "Nina\x1b[31m",
            }
            for name, score in (("a.mp3", 0.06), ("b.mp3", 0.2))
        ]  # fmt: skip
        (root / "reports").mkdir()
        pd.DataFrame(rows).to_csv(root / LABEL_REVIEW, index=False)
        return root

    def run(self, root, *words):
        return CliRunner().invoke(main, ["--root", str(root), "catalogue", *words])

    def test_review_lists_what_nobody_has_corrected_yet(self, listed):
        assert "a.mp3" in self.run(listed, "review").output and "b.mp3" in self.run(listed, "review").output
        done = self.run(listed, "correct", "a.mp3", "rock", "--note", "heard it", "--collection", "mine")
        assert done.exit_code == 0 and "dvc repro" in done.output
        head, row = self.run(listed, "review").output.splitlines()
        assert head.split() == ["score", "side", "given", "suggested", "track_id", "what", "it", "is"]
        assert row.split()[:7] == ["0.20", "test", "jazz", "2%", "rock", "90%", "b.mp3"]
        assert "\x1b" not in row and ": None" in row
        (told,) = map(json.loads, self.run(listed, "review", "--json").output.splitlines())
        assert (told["track_id"], told["score"], told["title"]) == ("b.mp3", 0.2, "None")

    def test_a_dash_withdraws(self, listed):
        assert self.run(listed, "correct", "b.mp3", "-", "--collection", "mine").exit_code == 0
        assert lines(listed) == [f"b.mp3,-,,,{'bb' * 32}"]

    def test_of_a_long_list_the_worst_are_shown(self, listed):
        table = pd.read_csv(listed / LABEL_REVIEW)
        many = pd.concat([table.iloc[:1].assign(track_id=f"{n}.mp3") for n in range(30)])
        many.to_csv(listed / LABEL_REVIEW, index=False)
        assert self.run(listed, "review").output.splitlines()[-1] == "… and 10 more; --all shows them"
        assert len(self.run(listed, "review", "--all").output.splitlines()) == 31

    def test_before_there_is_a_list_the_way_to_it_is_named(self, root):
        result = self.run(root, "review")
        assert result.exit_code == 4 and "dvc repro review" in result.output

    def test_an_empty_list_is_said_to_be_empty(self, listed):
        pd.DataFrame(columns=list(review.COLUMNS)).to_csv(listed / LABEL_REVIEW, index=False)
        assert self.run(listed, "review").output == "Nothing is left to review.\n"
