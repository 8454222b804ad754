"""Spotify's exports in the layout of real ones, with every trap that they are known for."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from earmark.errors import FeedbackError
from earmark.feedback.event import About, Event, named_key
from earmark.feedback.sources import spotify
from earmark.feedback.sources.source import Refused
from earmark.feedback.sources.spotify import SpotifyHistory, SpotifyLibrary, SpotifyShortHistory
from exports_made import events, items, lay_out, refused, us, zipped

NEW = "Spotify Extended Streaming History/Streaming_History_Audio_2014-2024_0.json"
VIDEO = "Spotify Extended Streaming History/Streaming_History_Video_2024.json"
OLD = "MyData/endsong_0.json"
PRIVATE = ("92.40.248.131", "SM-G960F", "Mozilla", "wanda", "sess-1")  # whatever tells where and on what it was


def play(**other: Any) -> dict[str, Any]:
    """A row as a new export has it."""
    return {
        "ts": "2014-07-27T20:34:47Z",
        "platform": "Android OS 9 API 28 (samsung, SM-G960F)",
        "ms_played": 147_123,
        "conn_country": "GB",
        "ip_addr": "92.40.248.131",
        "master_metadata_track_name": "Communication Breakdown - Remaster",
        "master_metadata_album_artist_name": "Led Zeppelin",
        "master_metadata_album_album_name": "Led Zeppelin",
        "spotify_track_uri": "spotify:track:2whQxHDxButA5STZ32FYme",
        "episode_name": None,
        "episode_show_name": None,
        "spotify_episode_uri": None,
        "audiobook_title": None,
        "audiobook_uri": None,
        "audiobook_chapter_uri": None,
        "audiobook_chapter_title": None,
        "reason_start": "trackdone",
        "reason_end": "trackdone",
        "shuffle": False,
        "skipped": False,
        "offline": False,
        "offline_timestamp": 1_406_493_140,
        "incognito_mode": False,
        **other,
    }


def old_play(**other: Any) -> dict[str, Any]:
    """A row as an old export has it: with a user name, encrypted addresses, no audiobooks, milliseconds."""
    row = play(
        username="wanda",
        ip_addr_decrypted="92.40.248.131",
        user_agent_decrypted="Mozilla%2F5.0",
        skipped=None,
        offline_timestamp=1_406_493_140_123,
    )
    kept = {name: value for name, value in row.items() if name != "ip_addr" and not name.startswith("audiobook")}
    return {**kept, **other}


PODCAST = play(
    master_metadata_track_name=None, master_metadata_album_artist_name=None, master_metadata_album_album_name=None,
    spotify_track_uri=None, episode_name="Episode 1", episode_show_name="A Show", spotify_episode_uri="spotify:episode",
)  # fmt: skip
AUDIOBOOK = play(master_metadata_track_name=None, spotify_track_uri=None, audiobook_title="A Book")
NAMELESS = play(master_metadata_track_name=None)


@pytest.fixture
def history(tmp_path):
    """``history(row, row, …)``: an export with these rows in one new file."""
    return lambda *rows: SpotifyHistory(lay_out(tmp_path / "export", {NEW: list(rows)}))


def only(source) -> Event:
    (event,) = events(source)
    return event


class TestAPlay:
    def test_is_taken_with_its_song_and_the_time_at_which_it_ended(self, history):
        event = only(history(play()))
        assert event.where == "Streaming_History_Audio_2014-2024_0.json:[0]"
        assert (event.kind, event.at_us, event.ms_played, event.times) == (
            "play", us("2014-07-27 20:34:47 +0000"), 147_123, 1,
        )  # fmt: skip
        assert event.song[:5] == (
            "spotify", "spotify:track:2whQxHDxButA5STZ32FYme", "Communication Breakdown - Remaster", "Led Zeppelin",
            "Led Zeppelin",
        )  # fmt: skip
        assert event.song.isrc is None and event.song.duration_s is None

    def test_of_a_new_file_names_no_listener_and_of_an_old_one_does(self, tmp_path, history):
        assert only(history(play())).listener is None
        old = SpotifyHistory(lay_out(tmp_path / "old", {OLD: [old_play()]}))
        assert only(old).listener == "wanda"
        assert only(SpotifyHistory(lay_out(tmp_path / "empty", {OLD: [old_play(username="")]}))).listener is None
        assert not SpotifyHistory.tells_listener

    def test_brings_the_country_and_nothing_else_about_the_listener(self, history, tmp_path):
        for event in (
            only(history(play())),
            only(SpotifyHistory(lay_out(tmp_path / "old", {OLD: [old_play()]}))),
        ):
            assert event.about == About(country="GB")
            assert not any(word in str(event._replace(listener=None)) for word in PRIVATE)

    @pytest.mark.parametrize("country", ["ZZ", "", None, "GBR", "G1", 44])
    def test_from_an_unknown_country_tells_none(self, history, country):
        assert only(history(play(conn_country=country))).about is None

    @pytest.mark.parametrize("offline", [1_406_493_140, 1_406_493_140_123, 0, 1, None])
    def test_has_the_same_time_whatever_offline_timestamp_says(self, history, offline):
        assert only(history(play(offline_timestamp=offline))).at_us == us("2014-07-27 20:34:47 +0000")

    @pytest.mark.parametrize(("written", "read"), [("1234", 1_234), (1234.4, 1_234), (-5, -5), (10**12, 10**12)])
    def test_may_have_its_length_as_a_text_and_an_absurd_one_is_left_to_the_door(self, history, written, read):
        assert only(history(play(ms_played=written))).ms_played == read

    def test_without_a_length_is_one_all_the_same(self, history):
        assert only(history(play(ms_played=None))).ms_played is None

    @pytest.mark.parametrize("written", ["long", True, [1], "nan", "9" * 400])
    def test_whose_length_is_no_number_is_refused(self, history, written):
        assert set(refused(history(play(ms_played=written))).values()) == {"ms_played: it is no number"}

    @pytest.mark.parametrize("written", [None, "", "yesterday", "2014-13-01T00:00:00Z", 1_406_493_287])
    def test_without_a_time_is_refused(self, history, written):
        assert set(refused(history(play(ts=written))).values()) == {"no time: ts is missing, or no date and time"}


class TestHowAPlayEnded:
    @pytest.mark.parametrize(
        ("reason", "kind", "ended"),
        [
            ("trackdone", "play", "complete"),
            ("fwdbtn", "skip", "skipped"), ("nextbtn", "skip", "skipped"), ("clickrow", "skip", "skipped"),
            ("clickside", "skip", "skipped"), ("playbtn", "skip", "skipped"), ("uriopen", "skip", "skipped"),
            ("backbtn", "play", "stopped"), ("endplay", "play", "stopped"), ("logout", "play", "stopped"),
            ("unexpected-exit", "play", "stopped"), ("unexpected-exit-while-paused", "play", "stopped"),
            ("trackerror", "play", "failed"),
            ("remote", "play", None), ("popup", "play", None), ("unknown", "play", None), ("", "play", None),
            ("of tomorrow", "play", None), (None, "play", None), (7, "play", None),
        ],
    )  # fmt: skip
    def test_is_told_by_its_reason(self, history, reason, kind, ended):
        event = only(history(play(reason_end=reason)))
        assert (event.kind, event.ended) == (kind, ended)

    @pytest.mark.parametrize("skipped", [None, False, True])
    def test_by_the_forward_button_is_a_skip_whatever_skipped_says(self, history, skipped):
        assert only(history(play(reason_end="fwdbtn", skipped=skipped))).kind == "skip"

    @pytest.mark.parametrize("reason", ["trackdone", "backbtn", "endplay", "trackerror"])
    def test_is_no_skip_by_other_reasons_even_if_skipped_says_so(self, history, reason):
        assert only(history(play(reason_end=reason, skipped=True))).kind == "play"

    @pytest.mark.parametrize("reason", [None, "", "unknown", "remote"])
    @pytest.mark.parametrize(("skipped", "kind"), [(True, "skip"), ("true", "skip"), ("false", "play"), (None, "play")])
    def test_is_told_by_skipped_where_the_reason_says_nothing(self, history, reason, skipped, kind):
        assert only(history(play(reason_end=reason, skipped=skipped))).kind == kind

    def test_may_be_missing_altogether(self, history):
        row = {name: value for name, value in play().items() if name not in ("reason_end", "reason_start", "skipped")}
        assert only(history(row))[-3:-1] == (None, None)  # started, ended


class TestHowAPlayBegan:
    @pytest.mark.parametrize(
        ("reason", "started"),
        [
            ("clickrow", "chosen"), ("clickside", "chosen"), ("playbtn", "chosen"), ("backbtn", "chosen"),
            ("uriopen", "chosen"), ("trackdone", "continued"), ("fwdbtn", "continued"), ("trackerror", "continued"),
            ("autoplay", "continued"), ("appload", None), ("remote", None), ("unknown", None), ("", None), (None, None),
        ],
    )  # fmt: skip
    def test_is_told_by_its_reason(self, history, reason, started):
        assert only(history(play(reason_start=reason))).started == started

    def test_with_the_play_button_in_shuffle_mode_was_not_the_listeners_choice_of_this_song(self, history):
        assert only(history(play(reason_start="playbtn", shuffle=True))).started == "continued"
        assert only(history(play(reason_start="clickrow", shuffle=True))).started == "chosen"


class TestAPrivateSession:
    @pytest.mark.parametrize("mode", [True, "true", 1])
    def test_is_dropped_and_leaves_no_trace(self, history, mode):
        (item,) = items(history(play(incognito_mode=mode)))
        assert item == Refused("Streaming_History_Audio_2014-2024_0.json:[0]", "incognito: dropped")

    def test_with_a_podcast_is_not_even_called_one(self, history):
        assert set(refused(history({**PODCAST, "incognito_mode": True})).values()) == {"incognito: dropped"}

    @pytest.mark.parametrize("mode", [False, None, "false", 0])
    def test_is_none_where_it_says_no(self, history, mode):
        assert only(history(play(incognito_mode=mode)))


class TestWhatIsNoSong:
    def test_is_refused_each_with_its_kind(self, tmp_path):
        export = lay_out(tmp_path, {NEW: [PODCAST, AUDIOBOOK, NAMELESS], VIDEO: [NAMELESS, play()]})
        assert list(refused(SpotifyHistory(export)).values()) == [
            "no song: it is a podcast", "no song: it is an audiobook chapter", "no song: it has no title",
            "no song: it is a video without a track",
        ]  # fmt: skip
        assert len(events(SpotifyHistory(export))) == 1  # the music video

    def test_is_a_title_of_nothing_but_white_space(self, history):
        assert set(refused(history(play(master_metadata_track_name=" \n"))).values()) == {"no song: it has no title"}


class TestSongs:
    def test_of_one_uri_are_one_object_whatever_they_are_called(self, history):
        first, second = events(history(play(), play(master_metadata_track_name="Communication Breakdown")))
        assert first.song is second.song

    @pytest.mark.parametrize("uri", [None, "", 7])
    def test_without_a_uri_go_by_their_names(self, history, uri):
        song = only(history(play(spotify_track_uri=uri))).song
        assert song.key == named_key("Communication Breakdown - Remaster", "Led Zeppelin")

    def test_are_written_in_one_line_of_valid_unicode(self, history):
        event = only(history(play(master_metadata_track_name="Two\nlines", spotify_track_uri=None)))
        assert event.song.title == "Two lines"

    def test_that_are_many_do_not_fill_the_memory(self, history, monkeypatch):
        monkeypatch.setattr(spotify, "_REMEMBERED", 3)
        rows = [play(spotify_track_uri=f"spotify:track:{number % 7}") for number in range(50)]
        assert [event.song.key for event in events(history(*rows))] == [row["spotify_track_uri"] for row in rows]


class TestTheFiles:
    ROWS = (play(), PODCAST, play(ts=None), play(incognito_mode=True), play(reason_end="fwdbtn"))

    def test_every_row_is_taken_or_refused_once(self, history):
        assert Counter(type(item).__name__ for item in items(history(*self.ROWS))) == {"Event": 2, "Refused": 3}

    def test_may_lie_in_a_folder_or_an_archive_or_be_given_alone(self, tmp_path):
        files = {NEW: list(self.ROWS), OLD: [old_play()], VIDEO: [NAMELESS], "ReadMe.pdf": "%PDF"}
        folder = lay_out(tmp_path / "folder", files)
        archive = zipped(tmp_path / "my_spotify_data.zip", files)
        assert len(items(SpotifyHistory(folder))) == len(items(SpotifyHistory(archive))) == 7
        assert len(items(SpotifyHistory(folder / NEW))) == 5

    def test_are_read_in_the_order_of_their_numbers(self, tmp_path):
        lay_out(tmp_path, {f"endsong_{number}.json": [old_play()] for number in (10, 9)})
        assert [part.label for part in SpotifyHistory(tmp_path).files()] == ["endsong_9.json", "endsong_10.json"]

    def test_of_the_account_data_are_none_and_the_message_says_what_was_found(self, tmp_path):
        lay_out(tmp_path, {"StreamingHistory_music_0.json": []})
        with pytest.raises(FeedbackError, match=r"Streaming_History_Audio.*Found: StreamingHistory_music_0\.json"):
            SpotifyHistory(tmp_path).files()

    @pytest.mark.parametrize("content", ["", "{}", "<html>", "PK"])
    def test_that_are_no_json_array_say_so(self, tmp_path, content):
        source = SpotifyHistory(lay_out(tmp_path, {"endsong_0.json": content}))
        with pytest.raises(FeedbackError, match=r"endsong_0\.json"):
            items(source)

    def test_that_are_cut_off_give_what_is_whole(self, tmp_path):
        text = json.dumps([play(), play()])[:-20]
        source = SpotifyHistory(lay_out(tmp_path, {"endsong_0.json": text}))
        assert len(events(source)) == 1 and set(refused(source).values()) == {"the file is cut off here"}


def short(**other: Any) -> dict[str, Any]:
    return {"endTime": "2019-07-30 12:09", "artistName": "Foo Fighters", "trackName": "Times Like These",
            "msPlayed": 1_509, **other}  # fmt: skip


SHORT = {
    "MyData/StreamingHistory_music_0.json": [
        short(), short(artistName="Unknown Artist", trackName="Unknown Track"), short(endTime=None), short(endTime="?"),
        short(msPlayed="1509"), short(msPlayed="long"), short(trackName=""), short(msPlayed=None),
    ],
    "MyData/StreamingHistory_podcast_0.json": [
        {"endTime": "2019-07-30 12:09", "podcastName": "A Show", "episodeName": "Episode 1", "msPlayed": 5}
    ],
    "MyData/StreamingHistory1.json": [short(trackName="Everlong")],
    "MyData/Streaming_History_Audio_2019_0.json": [play()],
}  # fmt: skip


class TestTheShortHistory:
    def test_tells_song_and_minute(self, tmp_path):
        source = SpotifyShortHistory(lay_out(tmp_path, {"StreamingHistory0.json": [short()]}))
        (event,) = items(source)
        assert event.song == ("spotify", named_key("Times Like These", "Foo Fighters"), "Times Like These",
                              "Foo Fighters", None, None, None, None, None)  # fmt: skip
        assert event == Event(
            "StreamingHistory0.json:[0]", event.song, "play", None, us("2019-07-30 12:09:00 +0000"), 1_509
        )

    @pytest.mark.parametrize("packed", [False, True])
    def test_every_row_is_taken_or_refused_once(self, tmp_path, packed):
        source = SpotifyShortHistory(zipped(tmp_path / "a.zip", SHORT) if packed else lay_out(tmp_path, SHORT))
        assert Counter(refused(source).values()) == {
            "no song: Spotify does not say which": 1,
            "no song: it has no title": 1,
            "no song: it is a podcast": 1,
            "no time: endTime is missing, or no date and time": 2,
            "msPlayed: it is no number": 1,
        }
        assert len(items(source)) == sum(len(rows) for name, rows in SHORT.items() if "History_Audio" not in name)

    def test_names_songs_as_the_extended_one_does_so_that_plays_told_twice_can_be_found(self, tmp_path):
        names = {"trackName": "Two\nlines ", "artistName": " Led  Zeppelin"}
        lay_out(tmp_path, {"StreamingHistory0.json": [short(**names)]})
        lay_out(tmp_path, {"endsong_0.json": [play(master_metadata_track_name="Two\nlines ",
                                                   master_metadata_album_artist_name=" Led  Zeppelin")]})  # fmt: skip
        coarse, exact = only(SpotifyShortHistory(tmp_path)), only(SpotifyHistory(tmp_path))
        assert (coarse.song.title, coarse.song.artist) == (exact.song.title, exact.song.artist)

    def test_without_a_file_says_what_was_found(self, tmp_path):
        with pytest.raises(FeedbackError, match=r"holds no StreamingHistory\*\.json .*Found: endsong_0\.json"):
            SpotifyShortHistory(lay_out(tmp_path, {"endsong_0.json": []})).files()


LIBRARY: dict[str, Any] = {
    "tracks": [
        {"artist": "Muse", "album": "Simulation Theory", "track": "Pressure", "uri": "spotify:track:3eSy"},
        {"artist": "Taylor Swift", "album": 1989, "track": "Style"},
        {"artist": "Nobody", "album": "", "track": ""},
        "spotify:track:3",
    ],
    "albums": [{"artist": "X", "album": "Y", "uri": "spotify:album:1"}],
    "shows": [],
    "bannedTracks": [{"artist": "Banned", "album": "B", "track": "Never", "uri": "spotify:track:9"}],
    "bannedArtists": [{"name": "Spam", "uri": "spotify:artist:1"}],
}


class TestTheLibrary:
    @pytest.fixture(params=["file", "folder", "archive"])
    def library(self, request, tmp_path) -> SpotifyLibrary:
        files = {"MyData/YourLibrary.json": LIBRARY}
        if request.param == "archive":
            return SpotifyLibrary(zipped(tmp_path / "my_spotify_data.zip", files))
        folder = lay_out(tmp_path, files)
        return SpotifyLibrary(folder if request.param == "folder" else folder / "MyData/YourLibrary.json")

    def test_saved_tracks_are_liked_and_banned_ones_disliked_without_a_date(self, library):
        said = [(event.song.title, event.kind, event.value, event.at_us) for event in events(library)]
        assert said == [
            ("Pressure", "like", 1.0, None), ("Style", "like", 1.0, None),
            ("Never", "like", 0.0, None), ("Never", "dislike", 1.0, None),
        ]  # fmt: skip

    def test_songs_go_by_their_uri_else_by_their_names(self, library):
        assert [event.song.key for event in events(library)][:2] == [
            "spotify:track:3eSy", named_key("Style", "Taylor Swift"),
        ]  # fmt: skip
        assert events(library)[1].song.album == "1989"

    def test_every_track_is_taken_or_refused_once(self, library):
        assert refused(library) == {
            "YourLibrary.json:tracks[2]": "no song: it has no title",
            "YourLibrary.json:tracks[3]": "no object",
        }
        assert len(items(library)) == len(LIBRARY["tracks"]) + len(LIBRARY["bannedTracks"])

    @pytest.mark.parametrize(
        "content", ["[]", "{}", '{"tracks": {}}', '{"tracks": [], "bannedTracks": 1}', "{", "<html>"]
    )
    def test_that_is_laid_out_otherwise_says_so(self, tmp_path, content):
        library = SpotifyLibrary(lay_out(tmp_path, {"YourLibrary.json": content}))
        with pytest.raises(FeedbackError, match=r"YourLibrary\.json"):
            items(library)

    def test_that_is_missing_says_what_was_found(self, tmp_path):
        with pytest.raises(FeedbackError, match=r"holds no YourLibrary\.json\. Found: Playlist1\.json"):
            SpotifyLibrary(lay_out(tmp_path, {"Playlist1.json": {}})).files()


class TestEverySource:
    @pytest.mark.parametrize("cls", [SpotifyHistory, SpotifyShortHistory, SpotifyLibrary])
    def test_of_spotify_is_of_one_service_and_needs_to_be_told_the_listener(self, cls):
        assert cls.service == "spotify" and not cls.tells_listener and cls.expects.endswith(".")
        assert cls(Path("my_spotify_data.zip")).describe() == f"{cls.name} in my_spotify_data.zip"

    @pytest.mark.parametrize("cls", [SpotifyHistory, SpotifyShortHistory, SpotifyLibrary])
    def test_where_nothing_is_says_so(self, cls, tmp_path):
        with pytest.raises(FeedbackError, match="cannot be read"):
            cls(tmp_path / "gone").files()
