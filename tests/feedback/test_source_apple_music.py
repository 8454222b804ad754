"""Apple Music's export: five formats, whatever of them is there; nothing told twice, nothing without an artist."""

import csv
import io
import json
import plistlib
import tracemalloc
from pathlib import Path

import pytest
from telling import events, lay, packed, refused, told, us

from earmark.errors import FeedbackError
from earmark.feedback.event import About, Event, Song, named_key
from earmark.feedback.sources.apple_music import AppleMusicHistory
from earmark.feedback.sources.source import Refused
from earmark.feedback.store import Store
from feedback_tools import importer

ACTIVITY, DAILY = "Apple Music Play Activity.csv", "Apple Music - Play History Daily Tracks.csv"
LIBRARY, HISTORY = "Apple Music Library Tracks.json", "Apple Music - Track Play History.csv"
LIKES, FAVORITES = "Apple Music Likes and Dislikes.csv", "Apple Music - Favorites.csv"

# As in exports of 2023, in their order; the columns in between are left out.
COLUMNS = (
    "Album Name", "Apple ID Number", "Auto Play", "Client IP Address", "Container Album Name", "Container Artist Name",
    "Container Type", "End Position In Milliseconds", "End Reason Type", "Evaluation Variant", "Event End Timestamp",
    "Event Received Timestamp", "Event Start Timestamp", "Event Timestamp", "Event Type", "Feature Name", "ISO Country",
    "Item Type", "Media Duration In Milliseconds", "Media Type", "Milliseconds Since Play", "Offline",
    "Play Duration Milliseconds", "Shuffle Play", "Song Name", "Start Position In Milliseconds",
    "Use Listening History", "UTC Offset In Seconds",
)  # fmt: skip
USUAL = {
    "Album Name": "Blue", "Apple ID Number": "177", "Client IP Address": "192.0.2.7", "Container Artist Name": "Joni",
    "Container Type": "ALBUM", "End Reason Type": "NATURAL_END_OF_TRACK", "Event Type": "PLAY_END",
    "Evaluation Variant": '[{"areaId":"a","bucket":1}]', "Event Start Timestamp": "2018-08-02T17:53:22.607Z",
    "Event End Timestamp": "2018-08-02T17:57:22.607Z", "Event Received Timestamp": "2018-08-02T18:07:22.607Z",
    "Milliseconds Since Play": "600000", "Feature Name": "library / album_detail", "Item Type": "ITUNES_STORE_CONTENT",
    "Media Duration In Milliseconds": "240000", "Media Type": "AUDIO", "Play Duration Milliseconds": "240000",
    "Song Name": "River", "Use Listening History": "FALSE", "UTC Offset In Seconds": "-14400",
}  # fmt: skip
END_US = us(2018, 8, 2, 17, 57, 22) + 607_000


def table(columns, rows) -> str:
    text = io.StringIO()
    write = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    write.writeheader()
    write.writerows(rows)
    return text.getvalue()


def activity(*rows: dict[str, str]) -> str:
    return table(COLUMNS, [USUAL | row for row in rows])


DAY_COLUMNS = (
    "Country", "Track Identifier", "Media type", "Date Played", "Hours", "Play Duration Milliseconds",
    "End Reason Type", "Source Type", "Play Count", "Skip Count", "Ignore For Recommendations",
    "Track Reference", "Track Description",
)  # fmt: skip
USUAL_DAY = {
    "Country": "United States", "Track Identifier": "724436401", "Media type": "N/A", "Date Played": "20150630",
    "Hours": "16", "Play Duration Milliseconds": "240000", "End Reason Type": "NATURAL_END_OF_TRACK",
    "Source Type": "IPHONE", "Play Count": "1", "Skip Count": "0", "Track Reference": "N/A",
    "Track Description": "Joni - River",
}  # fmt: skip


def daily(*rows: dict[str, str]) -> str:
    return table(DAY_COLUMNS, [USUAL_DAY | row for row in rows])


def library(*tracks: dict) -> str:
    return json.dumps(
        [{"Content Type": "Song", "Title": "River", "Artist": "Joni", "Album": "Blue"} | t for t in tracks]
    )


def xml(*tracks: dict, **playlists) -> bytes:
    entries = {str(n): {"Track ID": n, "Name": "River", "Artist": "Joni"} | t for n, t in enumerate(tracks, start=100)}
    return plistlib.dumps({"Major Version": 1, "Tracks": entries, "Playlists": [playlists]}, sort_keys=False)


@pytest.fixture
def export(tmp_path):
    def of(**files: str | bytes) -> AppleMusicHistory:
        names = {
            "activity": ACTIVITY, "daily": DAILY, "library": LIBRARY, "history": HISTORY, "likes": LIKES,
            "favorites": FAVORITES, "xml": "Library.xml",
        }  # fmt: skip
        return AppleMusicHistory(lay(tmp_path / "export", {names[name]: text for name, text in files.items()}))

    return of


def only(source) -> Event:
    (event,) = events(source)
    return event


class TestAPlay:
    def test_has_song_time_length_and_end(self, export):
        river = Song("apple-music", named_key("River", "Joni"), "River", "Joni", "Blue", duration_s=240.0)
        assert only(export(activity=activity({}))) == Event(
            f"{ACTIVITY}:2", river, "play", None, at_us=END_US, ms_played=240_000, ended="complete"
        )

    @pytest.mark.parametrize(
        ("reasons", "kind", "ended"),
        [
            ("NATURAL_END_OF_TRACK", "play", "complete"),
            ("TRACK_SKIPPED_FORWARDS MANUALLY_SELECTED_PLAYBACK_OF_A_DIFF_ITEM TRACK_BANNED", "skip", "skipped"),
            ("PLAYBACK_MANUALLY_PAUSED PLAYBACK_SUSPENDED EXITED_APPLICATION PAUSED_ON_TIMEOUT", "play", "stopped"),
            ("PLAYBACK_PAUSED_DUE_TO_INACTIVITY PLAYBACK_STOPPED_DUE_TO_SESSION_TIMEOUT", "play", "stopped"),
            ("FAILED_TO_LOAD NOT_SUPPORTED_BY_CLIENT", "play", "failed"),
            ("TRACK_SKIPPED_BACKWARDS SCRUB_BEGIN QUICK_PLAY NOT_APPLICABLE OTHER A_NEW_ONE", "play", None),
        ],
    )
    def test_ends_as_its_reason_says(self, export, reasons, kind, ended):
        found = events(export(activity=activity(*({"End Reason Type": reason} for reason in reasons.split()))))
        assert [(event.kind, event.ended) for event in found] == [(kind, ended)] * len(reasons.split())

    def test_ends_so_with_white_space_around_the_reason_too_and_unknown_without_one(self, export):
        rows = ({"End Reason Type": " TRACK_SKIPPED_FORWARDS\t"}, {"End Reason Type": ""})
        assert [event.ended for event in events(export(activity=activity(*rows)))] == ["skipped", None]

    @pytest.mark.parametrize("length", ["-147000", "999999999", "0", ""])
    def test_is_as_long_as_it_says_however_long_that_is(self, export, length):
        event = only(export(activity=activity({"Play Duration Milliseconds": length})))
        assert event.ms_played == (int(length) if length else None)

    def test_is_not_known_to_have_been_chosen_wherever_its_queue_began(self, export):
        features = ("search", "library / album_detail", "for_you", "siri", "now_playing", "")
        found = events(export(activity=activity(*({"Feature Name": feature} for feature in features))))
        assert [event.started for event in found] == [None] * len(features)

    def test_without_an_event_type_is_one_as_before_2016(self, export):
        assert only(export(activity=activity({"Event Type": ""}))).kind == "play"

    def test_of_an_old_export_has_its_artist_and_numbers_with_a_point(self, export):
        columns = (
            "Apple Id Number", "Artist Name", "Content Name", "Content Specific Type", "End Reason Type",
            "Event End Timestamp", "Event Type", "Item Type", "Media Duration In Milliseconds", "Media Type",
            "Play Duration Milliseconds", "Store Country Name", "UTC Offset In Seconds",
        )  # fmt: skip
        row = USUAL | {
            "Artist Name": "Queen, David Bowie", "Content Name": "Under Pressure", "Content Specific Type": "Song",
            "Media Duration In Milliseconds": "237520.0", "Media Type": "", "Store Country Name": "Vietnam",
        }  # fmt: skip
        text = table(columns, [{name: row.get(name, "") for name in columns}])
        event = only(export(activity=text))
        assert (event.song.title, event.song.artist) == ("Under Pressure", "Queen, David Bowie")
        assert event.song.duration_s == pytest.approx(237.52)

    def test_tells_the_country_where_the_export_does_in_two_letters(self, export):
        found = events(export(activity=activity({"ISO Country": "us"}, {"ISO Country": "United States"}, {})))
        assert [event.about for event in found] == [About(country="US"), None, None]

    def test_of_one_song_hands_out_one_song(self, export):
        first, second = events(export(activity=activity({}, {"Event End Timestamp": "2019-01-01T00:00:00Z"})))
        assert first.song is second.song


class TestTheTimeOfAPlay:
    def test_is_its_end_in_utc_whatever_the_listeners_clock_said(self, export):
        offsets = ("-14400", "32400", "25200.0", "")
        found = events(export(activity=activity(*({"UTC Offset In Seconds": offset} for offset in offsets))))
        assert [event.at_us for event in found] == [END_US] * len(offsets)

    def test_is_its_start_and_its_length_where_the_end_is_missing(self, export):
        lengths = ("100000", "-5000", "")  # from 17:53:22.607
        rows = ({"Event End Timestamp": "", "Play Duration Milliseconds": length} for length in lengths)
        start_us = us(2018, 8, 2, 17, 53, 22) + 607_000
        assert [event.at_us for event in events(export(activity=activity(*rows)))] == [
            start_us + 100_000_000, start_us, start_us,
        ]  # fmt: skip

    def test_is_how_long_before_apple_received_it_where_both_are_missing(self, export):
        row = {"Event End Timestamp": "", "Event Start Timestamp": ""}
        assert only(export(activity=activity(row))).at_us == END_US  # received 600 s later

    def test_has_to_be_there(self, export):
        row = {"Event End Timestamp": "soon", "Event Start Timestamp": "", "Milliseconds Since Play": ""}
        assert refused(export(activity=activity(row))) == {
            f"{ACTIVITY}:2": "no time: neither its end nor its start can be read"
        }


class TestRowsThatAreNoPlay:
    @pytest.mark.parametrize(
        ("row", "reason"),
        [
            ({"Event Type": "PLAY_START"}, "no play: it is a PLAY_START, told by its PLAY_END"),
            ({"Event Type": "LYRIC_DISPLAY"}, "no play: its Event Type is LYRIC_DISPLAY"),
            ({"Media Type": "VIDEO"}, "no song: its Media Type is VIDEO"),
            ({"Item Type": "STREAM"}, "no song: its Item Type is STREAM"),
            (
                {"Item Type": "AGGREGATE_NON_CATALOG_PLAY_TIME"},
                "no song: its Item Type is AGGREGATE_NON_CATALOG_PLAY_TIME",
            ),
            ({"Item Type": "AUDIO_AD", "Song Name": ""}, "no song: its Item Type is AUDIO_AD"),
            ({"Song Name": ""}, "no song: it has no name"),
        ],
    )
    def test_are_refused_with_what_they_are(self, export, row, reason):
        assert refused(export(activity=activity(row))) == {f"{ACTIVITY}:2": reason}

    def test_are_jumps_on_the_time_line_whose_length_is_how_far(self, export):
        pieces = activity(
            {"End Reason Type": "SCRUB_BEGIN", "Play Duration Milliseconds": "60000"},
            {"End Reason Type": "SCRUB_END", "Play Duration Milliseconds": "-147000", "Event Start Timestamp": ""},
            {"End Reason Type": "NATURAL_END_OF_TRACK", "Play Duration Milliseconds": "180000"},
        )
        source = export(activity=pieces)
        assert [event.ms_played for event in events(source)] == [60_000, 180_000]
        assert list(refused(source)) == [f"{ACTIVITY}:3"] and "jumped" in refused(source)[f"{ACTIVITY}:3"]

    def test_and_cannot_be_read_are_refused_alone(self, export):
        broken = activity({}, {}, {}).replace("River,", 'R"iver,', 1).splitlines()
        broken[2] = broken[2].replace("Blue", '"Blue', 1)
        source = export(activity="\n".join([*broken, "too,few"]) + "\n")
        assert len(events(source)) == 2
        assert list(refused(source)) == [f"{ACTIVITY}:3", f"{ACTIVITY}:5"]

    def test_tell_nothing_of_the_listener_in_their_reasons(self, export):
        rows = ({"Event Type": "X"}, {"Media Type": "VIDEO"}, {"Song Name": ""}, {"Container Artist Name": ""})
        reasons = " ".join(refused(export(activity=activity(*rows))).values())
        assert "192.0.2.7" not in reasons and "177" not in reasons


class TestTheArtistOfAPlay:
    """Play Activity of today names none."""

    def artists(self, source) -> list[str | None]:
        return [event.song.artist for event in events(source) if event.where.startswith(ACTIVITY)]

    def missing(self, source) -> str:
        return refused(source)[f"{ACTIVITY}:2"]

    @pytest.mark.parametrize(
        ("kind", "name", "artist"),
        [("ALBUM", "Joni", "Joni"), ("ARTIST", "Joni", "Joni"), ("PLAYLIST", "Joni", None), ("RADIO", "Joni", None),
         ("ALBUM", "Various Artists", None), ("ALBUM", "", None)],
    )  # fmt: skip
    def test_is_the_containers_unless_that_is_a_mixture(self, export, kind, name, artist):
        source = export(activity=activity({"Container Type": kind, "Container Artist Name": name}))
        assert self.artists(source) == ([artist] if artist else [])
        if artist is None:
            assert self.missing(source) == "no artist: no other file of the export names one for this title"

    @pytest.mark.parametrize(
        "other",
        [
            {"daily": daily({"Track Description": "Joni Mitchell - RIVER "})},
            {"library": library({"Artist": "Joni Mitchell", "Album": "Another"})},
            {"history": "Track Name,Last Played Date,Is User Initiated\nJoni Mitchell - River,1734735040257,true\n"},
        ],
        ids=["daily", "library", "history"],
    )
    def test_is_the_only_one_that_another_file_has_for_the_title(self, export, other):
        source = export(activity=activity({"Container Artist Name": ""}), **other)
        assert self.artists(source) == ["Joni Mitchell"]

    def test_written_in_two_ways_is_one(self, export):
        source = export(
            activity=activity({"Container Artist Name": ""}),
            daily=daily({"Track Description": "Beyoncé - River"}), library=library({"Artist": "BEYONCE"}),
        )  # fmt: skip
        assert self.artists(source) == ["Beyoncé"]

    def test_of_several_is_the_one_with_that_album(self, export):
        source = export(
            activity=activity({"Container Artist Name": ""}),
            library=library({"Album": "Blue"}, {"Artist": "Leon", "Album": "Good Thing"}),
        )
        assert self.artists(source) == ["Joni"]

    @pytest.mark.parametrize("day", ["20180802", "20180801", "20180803"])
    def test_of_several_is_else_the_one_who_was_played_around_that_day(self, export, day):
        source = export(
            activity=activity({"Container Artist Name": ""}),
            daily=daily({"Date Played": day}, {"Track Description": "Leon - River", "Date Played": "20180901"}),
        )
        assert self.artists(source) == ["Joni"]

    def test_of_several_is_nobody_where_neither_tells(self, export):
        source = export(
            activity=activity({"Container Artist Name": ""}),
            daily=daily({"Date Played": "20180802"}, {"Track Description": "Leon - River", "Date Played": "20180802"}),
        )
        assert self.artists(source) == []
        assert self.missing(source).startswith("no artist: several have a song of this title")

    def test_has_no_dash_in_it_but_the_title_may(self, export):
        source = export(
            activity=activity({"Container Artist Name": "", "Song Name": "River - Live"}),
            daily=daily({"Track Description": "Joni - River - Live"}),
        )
        assert self.artists(source) == ["Joni"]


class TestCountsOfADay:
    @pytest.mark.parametrize(
        ("plays", "skips", "reason", "told_"),
        [
            ("1", "0", "NATURAL_END_OF_TRACK", [("play", 1, "complete", 240_000)]),
            ("1", "0", "PLAYBACK_MANUALLY_PAUSED", [("play", 1, "stopped", 240_000)]),
            ("1", "0", "N/A", [("play", 1, None, 240_000)]),
            ("1", "0", "", [("play", 1, None, 240_000)]),
            ("1", "1", "TRACK_SKIPPED_FORWARDS", [("skip", 1, "skipped", 240_000)]),
            ("0", "1", "TRACK_SKIPPED_FORWARDS", [("skip", 1, "skipped", 240_000)]),
            ("1", "1", "NATURAL_END_OF_TRACK", [("play", 1, "complete", None), ("skip", 1, "skipped", None)]),
            ("2", "1", "TRACK_SKIPPED_FORWARDS", [("play", 1, None, None), ("skip", 1, "skipped", None)]),
            ("4", "1", "NOT_APPLICABLE", [("play", 3, None, None), ("skip", 1, "skipped", None)]),
            ("1", "3", "TRACK_SKIPPED_FORWARDS", [("skip", 3, "skipped", None)]),
            ("3", "0", "NATURAL_END_OF_TRACK", [("play", 3, None, None)]),
            ("3", "", "NATURAL_END_OF_TRACK", [("play", 3, None, None)]),
            ("2.0", "0.0", "N/A", [("play", 2, None, None)]),
        ],
    )
    def test_are_plays_and_skips_as_many_as_are_sure(self, export, plays, skips, reason, told_):
        row = {"Play Count": plays, "Skip Count": skips, "End Reason Type": reason}
        found = events(export(daily=daily(row)))
        assert [(event.kind, event.times, event.ended, event.ms_played) for event in found] == told_

    @pytest.mark.parametrize(
        ("date", "hours", "time"),
        [("20150630", "16", (2015, 6, 30, 16)), ("20150630", "18, 19", (2015, 6, 30, 19)),
         ("2015-06-30", "", (2015, 6, 30, 12)), ("20160229", "0", (2016, 2, 29, 0)),
         ("20150630", f"7, {'9' * 5_000}", (2015, 6, 30, 7))],
    )  # fmt: skip
    def test_are_of_the_last_hour_named(self, export, date, hours, time):
        assert only(export(daily=daily({"Date Played": date, "Hours": hours}))).at_us == us(*time)

    def test_name_the_song_by_artist_and_title_parted_at_the_first_dash(self, export):
        song = only(export(daily=daily({"Track Description": "Daft Punk & Pharrell - Get Lucky - Radio Edit"}))).song
        assert (song.artist, song.title) == ("Daft Punk & Pharrell", "Get Lucky - Radio Edit")
        assert song.key == named_key("Get Lucky - Radio Edit", "Daft Punk & Pharrell")

    @pytest.mark.parametrize(
        ("row", "reason"),
        [
            ({"Track Description": "Apple Music 1"}, "no artist: "),
            ({"Date Played": "20151301"}, "no time: Date Played is '20151301'"),
            ({"Date Played": ""}, "no time: "),
            ({"Media type": "VIDEO"}, "no song: its Media type is video"),
            ({"Play Count": "0", "Skip Count": "0"}, "no play: its counts are 0"),
            ({"Play Count": "many", "Skip Count": "-1"}, "no count: "),
            ({"Ignore For Recommendations": "true"}, "the listener wants it left out: "),
        ],
    )
    def test_that_are_none_are_refused(self, export, row, reason):
        source = export(daily=daily(row))
        assert events(source) == [] and refused(source)[f"{DAILY}:2"].startswith(reason)

    def test_are_read_without_the_columns_that_newer_exports_lack(self, export):
        columns = [name for name in DAY_COLUMNS if name != "End Reason Type"]
        text = table(columns, [{name: USUAL_DAY.get(name, "") for name in columns} | {"Media type": "AUDIO"}])
        assert only(export(daily=text)).ended is None


class TestNothingIsToldTwice:
    def test_days_that_play_activity_tells_are_refused(self, export):
        source = export(
            activity=activity({}),  # of 2 August 2018
            daily=daily({"Date Played": "20180802"}, {"Date Played": "20180804"}, {"Date Played": "20180802"}),
        )
        assert [event.where for event in events(source)] == [f"{DAILY}:3", f"{ACTIVITY}:2"]
        assert refused(source) == dict.fromkeys(
            [f"{DAILY}:2", f"{DAILY}:4"], "told in full by Play Activity: it has the plays of this day"
        )

    def test_a_play_over_midnight_tells_of_both_days(self, export):
        over = {"Event End Timestamp": "2018-08-03T00:01:00Z", "Play Duration Milliseconds": "240000"}
        source = export(activity=activity(over), daily=daily({"Date Played": "20180802"}, {"Date Played": "20180803"}))
        assert list(refused(source)) == [f"{DAILY}:2", f"{DAILY}:3"]

    @pytest.mark.parametrize("row", [{"Event Type": "PLAY_START"}, {"Container Artist Name": "", "Song Name": "Rain"}])
    def test_a_day_of_which_no_play_could_be_told_is_taken(self, export, row):
        source = export(activity=activity(row), daily=daily({"Date Played": "20180802"}))
        assert [event.where for event in events(source)] == [f"{DAILY}:2"]

    def test_plays_that_the_listener_wants_left_out_are_left_out_of_both(self, export):
        source = export(
            activity=activity({}, {"Song Name": "Carey"}, {"Event End Timestamp": "2018-08-20T12:00:00Z"}),
            daily=daily({"Date Played": "20180802", "Ignore For Recommendations": "TRUE"}),
        )
        assert [event.where for event in events(source)] == [f"{ACTIVITY}:3", f"{ACTIVITY}:4"]
        left_out = "the listener wants it left out: Ignore For Recommendations"
        assert refused(source) == dict.fromkeys([f"{DAILY}:2", f"{ACTIVITY}:2"], left_out)

    def test_counts_of_the_library_have_no_time(self, export):
        source = export(activity=activity({}), library=library({"Track Play Count": 7}), xml=xml({"Play Count": 7}))
        undated = [event for event in events(source) if event.at_us is None]
        assert [(event.kind, event.times) for event in undated] == [("play", 7)] * 2
        assert len({event.song.key for event in events(source)}) == 1


class TestTheLibrary:
    @pytest.mark.parametrize(
        ("track", "told_"),
        [
            ({"Track Play Count": 26, "Skip Count": 1}, [("play", 26, None), ("skip", 1, None)]),
            ({"Track Play Count": 26, "Skip Count": 0}, [("play", 26, None)]),
            ({"Track Like Rating": "LIKED"}, [("like", 1, 1.0), ("dislike", 1, 0.0)]),
            ({"Track Like Rating": "liked"}, [("like", 1, 1.0), ("dislike", 1, 0.0)]),
            ({"Track Like Rating": "DISLIKED"}, [("like", 1, 0.0), ("dislike", 1, 1.0)]),
            ({"Track Like Rating": "NONE"}, [("like", 1, None), ("dislike", 1, None)]),
            ({"Favorite Status - Track": True}, [("like", 1, 1.0), ("dislike", 1, 0.0)]),
            ({"Track Like Rating": "none", "Favorite Status - Track": True}, [("like", 1, 1.0), ("dislike", 1, 0.0)]),
            ({"Rating": 100}, [("rating", 1, 1.0)]),
            ({"Rating": 60.0}, [("rating", 1, 0.5)]),
            ({"Rating": 20}, [("rating", 1, 0.0)]),
            ({"Rating": 3}, [("rating", 1, 0.5)]),
        ],
    )
    def test_tells_counts_likes_and_ratings(self, export, track, told_):
        found = events(export(library=library(track)))
        assert [(event.kind, event.times, event.value) for event in found] == told_
        assert {event.at_us for event in found} == {None}

    def test_tells_which_song(self, export):
        track = {"Track Play Count": 1, "Track Duration": 199_080, "Artist": "", "Album Artist": "Joni"}
        event = only(export(library=library(track)))
        assert event.where == f"{LIBRARY}:[0]"
        assert event.song == Song("apple-music", named_key("River", "Joni"), "River", "Joni", "Blue", duration_s=199.08)

    @pytest.mark.parametrize(
        ("track", "reason"),
        [
            ({"Content Type": "Music Video"}, "no song: its Content Type is Music Video"),
            ({"Artist": None}, "no song: it lacks the title or the artist"),
            ({"Track Play Count": 0, "Skip Count": 0, "Rating": 0}, "nothing told: "),
            ({"Album Like Rating": "LIKED"}, "nothing told: "),  # of the album, not of the song
        ],
    )
    def test_rows_that_tell_nothing_are_refused(self, export, track, reason):
        source = export(library=library(track))
        assert events(source) == [] and refused(source)[f"{LIBRARY}:[0]"].startswith(reason)


class TestLikes:
    def test_are_said_on_both_scales_with_their_time(self, export):
        rows = [("LIKE", 1.0, 0.0), ("LOVE", 1.0, 0.0), ("dislike", 0.0, 1.0)]
        text = "Item Description,Preference,Created,Last Modified,Item Reference\n" + "".join(
            f"Joni - River,{word},2016-01-01T00:00:00Z,2017-02-03T04:05:06Z,1\n" for word, _, _ in rows
        )
        found = [row for row in told(export(likes=text)) if isinstance(row, tuple)]
        assert [tuple((event.kind, event.value) for event in row) for row in found] == [
            (("like", like), ("dislike", dislike)) for _, like, dislike in rows
        ]
        assert {event.at_us for row in found for event in row} == {us(2017, 2, 3, 4, 5, 6)}

    @pytest.mark.parametrize(
        ("time", "at_us"),
        [("1486094706000", us(2017, 2, 3, 4, 5, 6)), ("", None), ("2016-01-01", us(2016, 1, 1)), ("0", None),
         ("9" * 400, None), ("9" * 5_000, None)],
    )  # fmt: skip
    def test_have_their_time_in_whichever_way_it_is_written(self, export, time, at_us):
        text = f"Favorite Type,Item Reference,Item Description,Last Modified,Preference\nSONG,1,J - R,{time},LIKE\n"
        assert {event.at_us for event in events(export(favorites=text))} == {at_us}

    @pytest.mark.parametrize(
        ("row", "reason"),
        [
            ("ARTIST,Joni,LIKE", "no song: it is of type ARTIST"),
            ("ALBUM,Joni - Blue,LIKE", "no song: it is of type ALBUM"),
            ("SONG,Joni - River,MAYBE", "no like or dislike: "),
            ("SONG,River,LIKE", "no artist: "),
        ],
    )
    def test_of_anything_but_songs_are_refused(self, export, row, reason):
        source = export(favorites=f"Favorite Type,Item Description,Preference\n{row}\n")
        assert events(source) == [] and refused(source)[f"{FAVORITES}:2"].startswith(reason)


class TestLibraryXml:
    @pytest.mark.parametrize(
        ("track", "told_"),
        [
            ({"Play Count": 56, "Skip Count": 3}, [("play", 56, None), ("skip", 3, None)]),
            ({"Rating": 80}, [("rating", 1, 0.75)]),
            ({"Rating": 80, "Rating Computed": True, "Play Count": 1}, [("play", 1, None)]),
            ({"Loved": True}, [("like", 1, 1.0), ("dislike", 1, 0.0)]),
            ({"Favorited": True}, [("like", 1, 1.0), ("dislike", 1, 0.0)]),
            ({"Disliked": True}, [("like", 1, 0.0), ("dislike", 1, 1.0)]),
        ],
    )
    def test_tells_counts_ratings_and_likes(self, export, track, told_):
        found = events(export(xml=xml(track)))
        assert [(event.kind, event.times, event.value) for event in found] == told_

    def test_tells_which_song(self, export):
        event = only(export(xml=xml({"Play Count": 1, "Album": "Blue & Co", "Total Time": 240_000})))
        assert event.where == "Library.xml:track 100"
        assert event.song == Song(
            "apple-music", named_key("River", "Joni"), "River", "Joni", "Blue & Co", duration_s=240.0
        )

    def test_refuses_what_is_no_song_or_tells_nothing(self, export):
        tracks = ({"Podcast": True}, {"Has Video": True}, {"Name": ""}, {}, {"Loved": False, "Rating": 0})
        reasons = list(refused(export(xml=xml(*tracks))).values())
        assert [reason.partition(":")[0] for reason in reasons] == [*["no song"] * 3, *["nothing told"] * 2]

    def test_adds_up_to_what_the_whole_list_has(self, export):
        tracks = [{"Name": f"Song {n}", "Play Count": n % 5, "Skip Count": n % 3} for n in range(200)]
        content = xml(*tracks)
        whole = plistlib.loads(content)["Tracks"].values()
        found = events(export(xml=content))
        for kind, key in (("play", "Play Count"), ("skip", "Skip Count")):
            assert sum(e.times for e in found if e.kind == kind) == sum(track[key] for track in whole)

    def test_is_read_to_the_end_of_the_tracks_and_no_further(self, export):
        content = xml({"Play Count": 1}, Name="Library", Items=list(range(1000)))
        assert len(events(export(xml=content[: content.index(b"<key>Playlists") + 60]))) == 1

    def test_is_read_in_little_memory(self, tmp_path):
        track = b"<key>7</key><dict><key>Name</key><string>A</string><key>Artist</key><string>B</string></dict>"
        file = tmp_path / "Library.xml"
        file.write_bytes(b"<plist><dict><key>Tracks</key><dict>" + track * 50_000 + b"</dict></dict></plist>")
        source = AppleMusicHistory(file)
        (part,) = source.files()
        tracemalloc.start()
        count = sum(1 for _ in source.rows(part))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert count == 50_000 and peak < 2_000_000  # of 5 MB

    @pytest.mark.parametrize(
        ("content", "needle"),
        [
            (b"no XML", "is no property list, or damaged"),
            (b"<plist><dict><key>Playlists</key><array/></dict></plist>", "without a dictionary Tracks"),
            (b"<plist><dict><key>Tracks</key><dict><key>1</key><dict>", "is no property list, or damaged"),
            (b'<?xml version="1.0" encoding="klingon"?><plist/>', "damaged .unknown encoding: klingon"),
            (b'<?xml version="1.0" encoding="utf-32"?><plist/>', "damaged .multi-byte encodings are not supported"),
        ],
    )
    def test_that_is_none_is_an_error_that_says_so(self, export, content, needle):
        with pytest.raises(FeedbackError, match=needle):
            told(export(xml=content))


class TestTheExport:
    FILES = {  # noqa: RUF012
        f"Apple Music Activity/{ACTIVITY}": activity({}, {"Container Artist Name": ""}, {"Event Type": "PLAY_START"}),
        f"Apple Music Activity/{DAILY}": daily({}, {"Date Played": "20180802"}, {"Track Description": "Radio"}),
        f"Apple Music Activity/{LIBRARY}.zip": packed({LIBRARY: library({"Track Play Count": 3}, {})}),
        f"Apple Music Activity/{FAVORITES}": (
            "Favorite Type,Item Description,Preference\nSONG,Joni - River,LIKE\nARTIST,Joni,LIKE\n"
        ),
        "Apple Music Activity/Apple Music - Recently Played Tracks.csv": "Track Description,Total plays\nJ - R,5\n",
        f"Apple Music Activity/{HISTORY}": "Track Name,Last Played Date\nJoni - River,1\n",
        "Apple TV/Video Play Activity.csv": "Title,Event Type\nSilo,PLAY\n",
        "Stores Activity/Purchases.csv": "a,b\n1,2\n",
    }
    ROWS = 3 + 3 + 2 + 2

    @pytest.fixture(params=["folder", "zip of a zip", "folder of parts"])
    def whole(self, request, tmp_path) -> Path:
        inside = {f"Apple_Media_Services/{name}": content for name, content in self.FILES.items()}
        if request.param == "folder":
            return lay(tmp_path / "unpacked", inside)
        names = list(inside)
        if request.param == "zip of a zip":
            file = tmp_path / "Apple Media Services information.zip"
            file.write_bytes(packed({"Apple_Media_Services.zip": packed(inside)}))
            return file
        halves = {f"part {n}.zip": packed({name: inside[name] for name in names[n::2]}) for n in range(2)}
        return lay(tmp_path / "parts", halves)

    def test_tells_of_every_row_once(self, whole):
        rows = told(AppleMusicHistory(whole))
        assert len(rows) == self.ROWS
        where = [row.where if isinstance(row, Event | Refused) else row[0].where for row in rows]
        assert len(set(where)) == self.ROWS
        kinds = [event.kind for event in events(AppleMusicHistory(whole))]
        assert {kind: kinds.count(kind) for kind in kinds} == {"play": 4, "like": 1, "dislike": 1}

    def test_is_read_in_files_of_known_names_only(self, whole):
        labels = [part.label for part in AppleMusicHistory(whole).files()]
        assert sorted(labels) == sorted([ACTIVITY, DAILY, FAVORITES, LIBRARY, HISTORY])

    def test_with_nothing_but_the_track_play_history_tells_nothing(self, tmp_path):
        lay(tmp_path, {HISTORY: "Track Name,Last Played Date\nJoni - River,1\n"})
        with pytest.raises(FeedbackError, match="holds no file of Apple Music's data export"):
            AppleMusicHistory(tmp_path).files()

    def test_to_which_the_track_play_history_is_added_later_is_read_anew(self, tmp_path):
        lay(tmp_path, {ACTIVITY: activity({"Container Artist Name": ""})})
        with Store(f"sqlite:///{tmp_path}/feedback.db") as store:
            run = importer(store, listener="ann").run
            assert run(AppleMusicHistory(tmp_path), tmp_path / "refused.csv").told == 0
            lay(tmp_path, {HISTORY: "Track Name,Last Played Date\nJoni - River,1\n"})
            assert run(AppleMusicHistory(tmp_path), tmp_path / "refused.csv").new == 1

    @pytest.mark.parametrize(
        "name",
        ["apple music play activity.csv", "Apple Music Play Activity (1).csv", "Apple Music Play Activity small.csv"],
    )
    def test_may_be_one_file_however_it_is_called_by_now(self, tmp_path, name):
        lay(tmp_path, {name: activity({})})
        assert only(AppleMusicHistory(tmp_path / name)).kind == "play"

    def test_says_nothing_of_the_listener(self, whole):
        assert {event.listener for event in events(AppleMusicHistory(whole))} == {None}
        assert not AppleMusicHistory.tells_listener

    def test_of_something_else_is_named_for_what_it_holds(self, tmp_path):
        lay(tmp_path, {"x/Streaming_History_Audio_0.json": "[]"})
        with pytest.raises(FeedbackError, match=r"holds no file of Apple Music's data export.*Found: x/Streaming"):
            AppleMusicHistory(tmp_path).files()

    def test_with_another_table_under_a_known_name_is_an_error_that_names_its_columns(self, export):
        with pytest.raises(FeedbackError, match=r"lacks the columns song name or content name, .*has 2 other columns"):
            told(export(activity="a,b\n1,2\n"))
        with pytest.raises(FeedbackError, match=r"lacks the columns date played, track description, play count"):
            told(export(activity=activity({}), daily="a,b\n1,2\n"))
