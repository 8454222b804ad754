"""The watched folder: what is found in it, whose it is, what it is called, and what must not lie there."""

from pathlib import Path

import pytest

from earmark.errors import FeedbackError
from earmark.feedback.inbox import waiting
from earmark.feedback.sources.registry import feedback_source_names
from earmark.feedback.sources.spotify import SpotifyHistory
from earmark.feedback.sources.table import TableHistory
from exports_made import events, lay_out


def shown(inbox: Path) -> dict[str, tuple[str, str | None]]:
    """File or folder, and whose it is, by what others read."""
    return {each.shown: (each.path.name, each.listener) for each in waiting(inbox)}


class TestWhatIsFound:
    def test_every_file_folder_and_archive_in_order_of_names_by_source(self, tmp_path):
        lay_out(
            tmp_path,
            {"table/likes.csv": "", "spotify/my_spotify_data.zip": b"", "spotify/Extended/endsong_0.json": []},
        )
        assert shown(tmp_path) == {
            "spotify/1": ("Extended", None),
            "spotify/2": ("my_spotify_data.zip", None),
            "table/1": ("likes.csv", None),
        }

    def test_each_is_read_by_the_source_that_its_folder_is_called_after(self, tmp_path):
        lay_out(tmp_path, {"table/plays": "", "spotify/plays": ""})
        sources = [each.source() for each in waiting(tmp_path)]
        assert sources == [SpotifyHistory(tmp_path / "spotify/plays"), TableHistory(tmp_path / "table/plays")]

    @pytest.mark.parametrize("source", feedback_source_names())
    def test_every_source_can_have_a_folder(self, tmp_path, source):
        lay_out(tmp_path, {f"{source}/export": ""})
        (each,) = waiting(tmp_path)
        assert (each.shown, each.source().name) == (f"{source}/1", source)

    def test_where_there_is_no_such_folder_nothing_waits(self, tmp_path):
        assert list(waiting(tmp_path / "inbox")) == []

    def test_an_empty_folder_of_a_source_holds_nothing(self, tmp_path):
        (tmp_path / "spotify").mkdir()
        assert list(waiting(tmp_path)) == []

    def test_what_is_hidden_is_passed_over_at_both_levels(self, tmp_path):
        lay_out(tmp_path, {".DS_Store": "", ".git/config": "", "spotify/.DS_Store": "", "spotify/.part/x.json": ""})
        assert list(waiting(tmp_path)) == []

    def test_the_log_of_a_portable_player_is_hidden_by_its_name_and_found_all_the_same(self, tmp_path):
        log = "#AUDIOSCROBBLER/1.1\n#TZ/UTC\nJoni\tBlue\tRiver\t8\t240\tL\t1714979289\t\n"
        lay_out(tmp_path, {f"audioscrobbler/{name}.scrobbler.log": log for name in ("", "listener=anna/")})
        bare, annas = waiting(tmp_path)
        assert [(each.path.name, each.listener) for each in (bare, annas)] == [
            (".scrobbler.log", None), ("listener=anna", "anna"),
        ]  # fmt: skip
        assert [event.song.title for each in (bare, annas) for event in events(each.source())] == ["River"] * 2


class TestWhoseItIs:
    @pytest.mark.parametrize("name", ["anna", "Anna Maria", "anna=maria", "listener=anna", "Zoë 歌", " anna", ""])
    def test_a_folder_says_so_to_the_letter(self, tmp_path, name):
        lay_out(tmp_path, {f"spotify/listener={name}/endsong_0.json": []})
        assert shown(tmp_path) == {"spotify/1": (f"listener={name}", name)}

    def test_a_file_that_is_called_so_says_nothing(self, tmp_path):
        lay_out(tmp_path, {"spotify/listener=anna.json": []})
        assert shown(tmp_path) == {"spotify/1": ("listener=anna.json", None)}

    def test_what_others_read_has_no_name_in_it(self, tmp_path):
        lay_out(tmp_path, {f"spotify/listener={name}/endsong_0.json": [] for name in ("anna", "ben", "cleo")})
        assert sorted(shown(tmp_path)) == ["spotify/1", "spotify/2", "spotify/3"]

    def test_an_error_about_it_is_told_without_the_name(self, tmp_path):
        lay_out(tmp_path, {"spotify/listener=anna/README.txt": "", "spotify/listener=annabel/x": ""})
        first, second = waiting(tmp_path)
        with pytest.raises(FeedbackError) as caught:
            first.source().files()
        assert "anna" in str(caught.value)
        told = first.without_name(str(caught.value))
        assert "anna" not in told and "README.txt" in told and "spotify/listener=… holds no" in told
        assert "annabel" not in second.without_name(f"{second.path}/x")

    def test_an_error_about_what_is_nobodys_keeps_its_path(self, tmp_path):
        lay_out(tmp_path, {"table/endsong.csv": ""})
        (each,) = waiting(tmp_path)
        assert each.without_name(f"{each.path} is empty") == f"{tmp_path}/table/endsong.csv is empty"


class TestWhatMustNotLieThere:
    @pytest.mark.parametrize("stray", ["sporify/endsong_0.json", "endsong_0.json", "Spotify/endsong_0.json", "spotify"])
    def test_is_named_together_with_the_folders_that_may(self, tmp_path, stray):
        lay_out(tmp_path, {stray: "", "table/likes.csv": ""})
        with pytest.raises(FeedbackError) as caught:
            list(waiting(tmp_path))
        assert str(caught.value).startswith(f"{tmp_path} holds {stray.partition('/')[0]}, and should hold folders")
        assert "listenbrainz, " in str(caught.value) and "Put exports into the folder" in str(caught.value)

    def test_is_told_without_the_listeners_name(self, tmp_path):
        lay_out(tmp_path, {"listener=anna/endsong_0.json": "", "listener=ben.zip": ""})
        with pytest.raises(FeedbackError, match=r"holds listener=…, listener=…, and should hold folders") as caught:
            list(waiting(tmp_path))
        assert "anna" not in str(caught.value) and "ben" not in str(caught.value)

    def test_is_said_before_anything_is_taken(self, tmp_path):
        lay_out(tmp_path, {"apple-music/x.csv": "", "zebra/x.csv": ""})
        with pytest.raises(FeedbackError, match="zebra"):
            next(waiting(tmp_path))

    def test_is_named_three_times_at_most(self, tmp_path):
        lay_out(tmp_path, {f"stray {number}.txt": "" for number in range(40)})
        with pytest.raises(FeedbackError, match=r"stray 0\.txt, stray 1\.txt, stray 10\.txt, and should"):
            list(waiting(tmp_path))
