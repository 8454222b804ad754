"""Which track is which entry: by ISRC, else by names and length; a doubt is reported and not decided."""

import time

import pytest

from earmark.catalogue.labels.matching import MATCHED, Known, Match, Matcher
from earmark.catalogue.sources.library import Entry

A, B = "USABC2600001", "USABC2600002"


def known(track_id: str, duration_s: float = 200.0, **what: str | None) -> Known:
    return Known(
        **{"title": None, "artist": None, "album": None, "isrc": None, **what}, track_id=track_id, duration_s=duration_s
    )


def song(duration_s: float | None = 200.0, **what: object) -> Entry:
    return Entry(**{"id": "e", "title": "Song", "artists": ("Singer",), **what}, duration_s=duration_s)


def match(entry: Entry, *tracks: Known) -> Match:
    return Matcher(tracks).match(entry)


class TestByIsrc:
    def test_comes_before_the_names(self):
        found = match(
            song(isrc=A), known("named", title="Song", artist="Singer"), known("coded", isrc=A, title="Other")
        )
        assert (found.how, found.row) == ("isrc", 1)

    def test_does_not_depend_on_how_it_is_written(self):
        assert match(song(isrc="us-abc-26-00001"), known("x", isrc="USABC2600001")).how == "isrc"

    @pytest.mark.parametrize("isrc", ["00000000", "unknown", "USABC260000"])
    def test_of_no_valid_shape_does_not_match_itself(self, isrc):
        found = match(song(isrc=isrc), known("x", isrc=isrc, title="Other", artist="Singer"))
        assert found.how == "none" and isrc in found.reason

    def test_with_a_length_far_off_is_a_conflict(self):
        found = match(song(240.0, isrc=A), known("x", 200.0, isrc=A, title="Song", artist="Singer"))
        assert (found.how, found.row) == ("conflict", None)
        assert found.difference_s == pytest.approx(40) and "40.0 s less" in found.reason

    def test_with_some_seconds_of_silence_is_none(self):
        assert match(song(206.0, isrc=A), known("x", 200.0, isrc=A)).how == "isrc"

    def test_of_several_tracks_is_the_nearest_in_length(self):
        found = match(
            song(203.0, isrc=A), known("x", 200.0, isrc=A), known("y", 202.5, isrc=A), known("z", 209, isrc=A)
        )
        assert found.row == 1 and found.difference_s == pytest.approx(0.5)

    def test_needs_no_length(self):
        assert match(song(None, isrc=A), known("x", 123.0, isrc=A)) == Match("isrc", 0, None)


class TestByNames:
    def test_and_a_length_within_two_seconds(self):
        track = known("x", 200.0, title="Song", artist="Singer")
        for difference_s, matched in ((0.0, True), (2.0, True), (-2.0, True), (2.01, False), (-2.01, False)):
            found = match(song(200.0 + difference_s), track)
            assert (found.how == "title_artist_duration") == matched, difference_s
            assert found.difference_s == pytest.approx(difference_s)

    def test_too_long_says_by_how_much(self):
        found = match(song(210.0), known("x", 200.0, title="Song", artist="Singer"))
        assert found.how == "none" and "10.0 s less" in found.reason

    def test_one_artist_in_common_is_enough(self):
        found = match(song(artists=("Other", "Singer")), known("x", title="Song", artist="Singer feat. Third"))
        assert found.how == "title_artist_duration"

    def test_another_artist_is_another_song(self):
        assert match(song(), known("x", title="Song", artist="Other")).how == "none"

    def test_a_live_recording_of_the_same_length_is_another(self):
        assert match(song(title="Song (Live)"), known("x", title="Song", artist="Singer")).how == "none"

    def test_the_nearest_of_several_is_taken(self):
        tracks = [known(str(s), s, title="Song", artist="Singer") for s in (199.0, 200.4, 201.5, 300.0)]
        assert match(song(), *tracks).row == 1

    def test_two_alike_are_ambiguous_and_not_matched(self):
        tracks = [known(str(s), s, title="Song", artist="Singer") for s in (200.0, 200.05)]
        found = match(song(), *tracks)
        assert (found.how, found.row) == ("ambiguous", None) and "2 tracks" in found.reason

    def test_two_alike_are_told_apart_by_the_album(self):
        tracks = [
            known(str(s), s, title="Song", artist="Singer", album=a) for s, a in ((200.0, "One"), (200.05, "Two"))
        ]
        found = match(song(album="TWO (Remastered)"), *tracks)
        assert (found.how, found.row) == ("title_artist_duration", 1) and "album" in found.reason

    def test_two_alike_on_the_same_album_stay_ambiguous(self):
        tracks = [known(str(s), s, title="Song", artist="Singer", album="One") for s in (200.0, 200.05)]
        assert match(song(album="One"), *tracks).how == "ambiguous"

    def test_another_isrc_is_said(self):
        found = match(song(isrc=A), known("x", title="Song", artist="Singer", isrc=B))
        assert found.how == "title_artist_duration" and B in found.reason

    @pytest.mark.parametrize("artist", [None, "Various Artists"])
    def test_a_track_without_an_artist_is_no_song_of_anyone(self, artist):
        assert match(song(artists=("Various Artists",)), known("x", title="Song", artist=artist)).how == "none"

    def test_of_another_script_they_match_too(self):
        for title, artist in (("夜に駆ける", "ヨアソビ"), ("Группа крови", "Кино"), ("أنت عمري", "أم كلثوم")):
            entry = song(title=title, artists=(artist,))
            assert match(entry, known("x", title=title, artist=artist)).how == "title_artist_duration"
            assert match(entry, known("x", title="Song", artist=artist)).how == "none"


class TestWithoutALength:
    def test_the_only_one_of_that_name_is_taken(self):
        found = match(
            song(None), known("x", 123, title="Song", artist="Singer"), known("y", title="Other", artist="Singer")
        )
        assert found == Match("title_artist", 0, None)

    def test_two_of_that_name_are_ambiguous_unless_the_album_tells(self):
        tracks = [known(str(s), s, title="Song", artist="Singer", album=a) for s, a in ((100, "One"), (200, "Two"))]
        assert match(song(None), *tracks).how == "ambiguous"
        assert match(song(None, album="Two"), *tracks).row == 1


class TestTracks:
    def test_may_be_several_entries(self):
        matcher = Matcher([known("x", isrc=A, title="Song", artist="Singer")])
        entries = [song(isrc=A, album="Single"), song(isrc=A, album="Album"), song(album="Best of")]
        assert [matcher.match(entry).row for entry in entries] == [0, 0, 0]

    def test_that_nothing_can_match_are_listed(self):
        tracks = [
            known("nothing"),
            known("title", title="Song"),
            known("bad code", isrc="123", artist="Singer"),
            known("code", isrc=A),
            known("names", title="Song", artist="Singer"),
        ]
        assert Matcher(tracks).nameless == ["nothing", "title", "bad code"]


class TestMany:
    def test_of_one_name_take_no_time_each(self):
        """20,000 × 20,000 alike by name: comparing each with each would take minutes."""
        tracks = [known(str(i), 100 + i, title="Untitled", artist="Singer") for i in range(20_000)]
        began = time.process_time()
        matcher = Matcher(tracks)
        rows = [matcher.match(song(100.4 + i, title="Untitled")).row for i in range(20_000)]
        assert rows == list(range(20_000))
        assert time.process_time() - began < 20

    def test_of_one_name_and_length_are_not_all_looked_at(self):
        tracks = [
            known(
                str(i), 100.0, title="Untitled", artist="Singer", isrc=A, album="One" if i in (0, 19_999) else "Other"
            )
            for i in range(20_000)
        ]
        matcher = Matcher(tracks)
        for entry in (song(100.0, title="Untitled", album="One"), song(None, title="Untitled", isrc=A, album="One")):
            found = matcher.match(entry)
            assert found.how == "ambiguous" and "50 or more tracks" in found.reason  # two of 20,000 are on its album

    def test_agree_with_comparing_each_with_each(self):
        """Against a plain reading of the rules on lengths, for tracks whose names are all the same."""
        durations = [round(100 + 37 * i % 50 + (i * i % 11) / 4, 2) for i in range(60)]
        matcher = Matcher([known(str(i), s, title="Song", artist="Singer") for i, s in enumerate(durations)])
        for tenth in range(950, 1_600):
            length = tenth / 10 + 0.03
            near = sorted((abs(s - length), i) for i, s in enumerate(durations) if abs(s - length) <= 2)
            found = matcher.match(song(length))
            if not near:
                assert found.how == "none"
            elif len(near) > 1 and near[1][0] - near[0][0] <= 0.1 + 1e-9:
                assert found.how == "ambiguous"
            else:
                assert found.how in MATCHED and found.row == near[0][1]
