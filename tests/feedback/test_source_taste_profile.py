"""The Taste Profile of the Million Song Dataset: triplets of listener, song and count, and the file of the titles."""

from collections import Counter

import pytest

from earmark.errors import FeedbackError
from earmark.feedback.event import Event, Song
from earmark.feedback.sources import taste_profile
from earmark.feedback.sources.taste_profile import TasteProfile
from exports_made import events, items, lay_out, refused, zipped

USER = "b80344d063b5ccb3212f76538f3d9e43d87dca9e"
TRIPLETS = f"{USER}\tSOAKIMP12A8C130995\t1\n{USER}\tSOAPDEY12A81C210A9\t12\n"
TITLES = (
    "TRMMMYQ128F932D901<SEP>SOAKIMP12A8C130995<SEP>Jack Johnson<SEP>The Cove\n"
    "TRMMMKD128F425225D<SEP>SOAKIMP12A8C130995<SEP>Somebody Else<SEP>Another Track\n"
    "TRMMMRX128F93187D9<SEP>SOHUDYJ12A8C130996<SEP>AC/DC<SEP>Back <SEP> in Black\n"
    "a line of something else\n"
)


@pytest.fixture
def profile(tmp_path):
    """``profile(text, …)``: a file of triplets."""
    return lambda text, **options: TasteProfile(lay_out(tmp_path, {"train_triplets.txt": text}), **options)


class TestATriplet:
    def test_is_a_count_of_plays_without_a_time(self, profile):
        assert items(profile(TRIPLETS)) == [
            Event("train_triplets.txt:1", Song("millionsong", "SOAKIMP12A8C130995"), "play", USER, times=1),
            Event("train_triplets.txt:2", Song("millionsong", "SOAPDEY12A81C210A9"), "play", USER, times=12),
        ]

    def test_has_a_song_whose_names_another_file_has(self, profile, tmp_path):
        titles = lay_out(tmp_path / "msd", {"unique_tracks.txt": TITLES}) / "unique_tracks.txt"
        first, second = events(profile(TRIPLETS, titles=titles))
        assert (first.song.artist, first.song.title) == ("Jack Johnson", "The Cove")
        assert second.song.title is None
        (third,) = events(profile(f"{USER}\tSOHUDYJ12A8C130996\t1\n", titles=titles.parent))
        assert (third.song.artist, third.song.title) == ("AC/DC", "Back <SEP> in Black")

    def test_of_the_same_song_has_the_same_object(self, profile):
        first, second = events(profile(TRIPLETS.splitlines()[0] + "\n" + TRIPLETS.splitlines()[0].replace("b8", "c8")))
        assert first.song is second.song

    def test_every_one_is_taken_or_refused_once(self, profile):
        broken = [
            f"{USER}\tSO1\t0",
            f"{USER}\tSO1\tmany",
            f"{USER}\tSO1",
            "\tSO1\t1",
            f"{USER}\t\t1",
            f"{USER}\tSO1\t-2",
            f"{USER}\tSO\0001\t1",
        ]
        source = profile(TRIPLETS + "\n".join([*broken, "", f"{USER}\tSO1\t{'9' * 400}", f"{USER}\tSO1\t3\r\n"]))
        assert Counter(refused(source).values()) == {
            "count: it is no number from 1": 4,
            "wrong number of fields: 2 instead of 3": 1,
            "it lacks the listener or the song": 3,
        }
        assert [event.times for event in events(source)] == [1, 12, 3]
        assert USER not in str(refused(source))

    def test_that_are_many_do_not_fill_the_memory(self, profile, monkeypatch):
        monkeypatch.setattr(taste_profile, "_REMEMBERED", 3)
        text = "".join(f"{USER}\tSO{number % 7}\t1\n" for number in range(50))
        assert [event.song.key for event in events(profile(text))] == [f"SO{number % 7}" for number in range(50)]


class TestTheFiles:
    @pytest.mark.parametrize("name", ["train_triplets.txt", "EvalDataYear1/year1_test_triplets_visible.txt"])
    def test_may_lie_in_a_folder_or_an_archive_or_be_given_alone(self, tmp_path, name):
        files = {name: TRIPLETS, "README.txt": "x"}
        folder = lay_out(tmp_path / "folder", files)
        archive = zipped(tmp_path / "train_triplets.txt.zip", files)
        for path in (folder, archive, folder / name):
            assert len(items(TasteProfile(path))) == 2

    def test_that_are_missing_say_what_was_found(self, tmp_path):
        with pytest.raises(FeedbackError, match=r"holds no train_triplets\.txt\. Found: README"):
            TasteProfile(lay_out(tmp_path, {"README": ""})).files()

    @pytest.mark.parametrize("titles", ["gone", "README"])
    def test_of_titles_that_are_none_say_so(self, profile, tmp_path, titles):
        lay_out(tmp_path, {"README": "nothing of the kind\n"})
        with pytest.raises(FeedbackError, match=f"{titles}"):
            items(profile(TRIPLETS, titles=tmp_path / titles))


class TestTheSource:
    def test_says_whose_it_is_and_names_its_listeners(self):
        assert TasteProfile.tells_listener and TasteProfile.names_later
        assert "ISMIR 2011" in TasteProfile.citation and "research" in TasteProfile.licence
