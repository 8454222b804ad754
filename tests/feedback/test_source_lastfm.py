"""Last.fm: the log of portable players, and lists of scrobbles as several tools write them."""

from collections import Counter

import pytest

from earmark.errors import FeedbackError
from earmark.feedback.event import Event, Song, named_key
from earmark.feedback.sources.lastfm import Audioscrobbler, LastFm
from exports_made import events, items, lay_out, refused, us, zipped

HEADER = "#AUDIOSCROBBLER/1.1\n#TZ/UTC\n#CLIENT/Rockbox ipodvideo $Revision$\n"
AT_US = 1_143_374_412_000_000


def logged(artist="Metallica", album="Metallica", title="Enter Sandman", length="365", rating="L", at="1143374412"):
    return "\t".join([artist, album, title, "1", length, rating, at, "62c2e20a-559e-422f-a44c-9afa7882f0c4"]) + "\n"


@pytest.fixture
def log(tmp_path):
    """``log(text, …)``: a player's log."""
    return lambda text, **options: Audioscrobbler(lay_out(tmp_path, {".scrobbler.log": text}), **options)


class TestALog:
    def test_tells_what_was_listened_to_and_what_was_skipped(self, log):
        heard, skipped = items(log(HEADER + logged() + logged(title="Fuel", rating="S")))
        song = Song(
            "lastfm",
            named_key("Enter Sandman", "Metallica"),
            "Enter Sandman",
            "Metallica",
            "Metallica",
            duration_s=365.0,
        )
        assert heard == Event(".scrobbler.log:4", song, "play", None, AT_US, ended="complete")
        assert (skipped.where, skipped.kind, skipped.ended) == (".scrobbler.log:5", "skip", "skipped")

    def test_counts_every_row_once_and_no_header_line(self, log):
        rows = [
            logged(), logged(rating=""), logged(artist="<Untagged>"), logged(title=""), logged(at="0"),
            logged(at="then"), "Metallica\tFuel\n", logged().replace("\n", "\t\n"), logged(rating="S"),
        ]  # fmt: skip
        source = log("\ufeff" + HEADER.replace("\n", "\r\n") + "\n#CLIENT/another\n".join(rows))
        assert Counter(refused(source).values()) == {
            "rating: it is neither L (listened) nor S (skipped)": 1,
            "no song: it has no artist or no title": 2,
            "no time: the player had no clock": 2,
            "wrong number of fields: 2 instead of 8": 1,
            "wrong number of fields: 9 instead of 8": 1,
        }
        assert len(items(source)) == len(rows)

    def test_of_version_1_0_may_leave_out_the_id(self, log):
        row = "Metallica\tMetallica\tEnter Sandman\t1\t365\tL\t1143374412\n"
        assert [event.at_us for event in events(log("#AUDIOSCROBBLER/1.0\n#TZ/UTC\n" + row))] == [AT_US]

    def test_takes_quotation_marks_as_letters(self, log):
        (event,) = events(log(HEADER + logged(title='"Heroes" 12" mix', album='"open')))
        assert (event.song.title, event.song.album) == ('"Heroes" 12" mix', '"open')

    def test_takes_an_artist_with_a_hash_for_no_header(self, log):
        (event,) = events(log(HEADER + logged(artist="#1 Dads")))
        assert event.song.artist == "#1 Dads"

    @pytest.mark.parametrize("length", ["", "0", "-3", "long"])
    def test_may_know_no_length(self, log, length):
        (event,) = events(log(HEADER + logged(length=length)))
        assert event.song.duration_s is None

    @pytest.mark.parametrize("zone", ["#TZ/UNKNOWN", "#TZ/Unknown", "#TZ/", "#CLIENT/without a word on it"])
    @pytest.mark.parametrize(("hours", "at"), [(0, "2006-03-26 12:00:12"), (5.5, "2006-03-26 06:30:12")])
    def test_by_a_clock_that_knew_no_zone_is_in_utc_or_as_far_from_it_as_you_say(self, log, zone, hours, at):
        (event,) = events(log(HEADER.replace("#TZ/UTC", zone) + logged(), utc_offset_hours=hours))
        assert event.at_us == us(f"{at} +0000")

    def test_in_utc_stays_as_it_is(self, log):
        assert {event.at_us for event in events(log(HEADER + logged(), utc_offset_hours=5.5))} == {AT_US}

    def test_of_two_logs_in_one_file_has_each_its_zone(self, log):
        text = HEADER + logged() + HEADER.replace("UTC", "UNKNOWN") + logged() + HEADER + logged()
        at = [event.at_us - AT_US for event in events(log(text, utc_offset_hours=1))]
        assert at == [0, -3_600_000_000, 0]

    def test_without_a_header_says_so(self, log):
        with pytest.raises(FeedbackError, match=r"\.scrobbler\.log does not begin with #AUDIOSCROBBLER"):
            items(log(logged()))

    def test_ahead_of_utc_by_more_than_a_day_says_so(self, log):
        with pytest.raises(FeedbackError, match="--utc-offset-hours is 25"):
            items(log(HEADER + logged(), utc_offset_hours=25))

    def test_may_lie_in_an_archive_or_have_any_name(self, tmp_path):
        files = {"iPod/.scrobbler.log": HEADER + logged(), "iPod/other.log": "x"}
        assert len(items(Audioscrobbler(zipped(tmp_path / "ipod.zip", files)))) == 1
        lay_out(tmp_path, {"plays.txt": HEADER + logged()})
        assert len(items(Audioscrobbler(tmp_path / "plays.txt"))) == 1

    def test_that_is_missing_says_what_was_found(self, tmp_path):
        with pytest.raises(FeedbackError, match=r"holds no \.scrobbler\.log\. Found: a\.csv"):
            Audioscrobbler(lay_out(tmp_path, {"a.csv": ""})).files()


@pytest.fixture
def scrobbles(tmp_path):
    """``scrobbles(text, …)``: a list of scrobbles."""
    return lambda text, **options: LastFm(lay_out(tmp_path, {"scrobbles.csv": text}), **options)


FORMATS = {
    "without a header": "Blur,The Magic Whip,New World Towers,22 Mar 2021 16:55\n",
    "with a comma in the date": 'Blur,The Magic Whip,New World Towers,"22 Mar 2021, 16:55"\n',
    "with seconds since 1970": "uts,utc_time,artist,artist_mbid,album,album_mbid,track,track_mbid\n"
    '"1616432100","22 Mar 2021, 16:55","Blur","","The Magic Whip","","New World Towers",""\n',
    "of lastfmstats.com": "\ufeffArtist;Album;AlbumId;Track;Date#somebody\n"
    '"Blur";"The Magic Whip";"x-1";"New World Towers";"1616432100000"\n',
    "with tabs": "Artist\tAlbum\tTitle\tDate\nBlur\tThe Magic Whip\tNew World Towers\t2021-03-22T16:55:00Z\n",
    "with a day and a clock": "date,time,artist,track,album\n"
    "2021-03-22,16:55:00,Blur,New World Towers,The Magic Whip\n",
    "for a spreadsheet": "\ufeffArtist;Track;Album;Time\r\nBlur;New World Towers;The Magic Whip;2021-03-22 16:55\r\n",
}


class TestAListOfScrobbles:
    @pytest.mark.parametrize("text", FORMATS.values(), ids=FORMATS)
    def test_is_read_whatever_tool_wrote_it(self, scrobbles, text):
        (event,) = items(scrobbles(text))
        song = Song("lastfm", named_key("New World Towers", "Blur"), "New World Towers", "Blur", "The Magic Whip")
        assert event[1:] == Event("", song, "play", None, us("2021-03-22 16:55:00 +0000"))[1:]
        assert event.where == f"scrobbles.csv:{1 if text.startswith('Blur') else 2}"

    @pytest.mark.parametrize(
        ("columns", "row"),
        [
            ("time,artist,track", "1616432100,Blur,New World Towers"),
            ("date,time,artist,track", "2021-03-22,16:55:00,Blur,New World Towers"),
            ("Track, Artist, -, UTS", "New World Towers,Blur,x,1616432100"),
        ],
    )
    def test_without_a_header_may_have_other_columns_if_you_say_which(self, scrobbles, columns, row):
        (event,) = events(scrobbles(row + "\n", columns=columns))
        assert (event.song.title, event.song.artist, event.at_us) == (
            "New World Towers", "Blur", us("2021-03-22 16:55:00 +0000"),
        )  # fmt: skip

    @pytest.mark.parametrize("text", FORMATS.values(), ids=FORMATS)
    def test_may_be_in_local_time_except_counts_since_1970_and_dates_with_a_zone(self, scrobbles, text):
        (event,) = events(scrobbles(text, utc_offset_hours=1))
        says_itself = "1616432100" in text or "55:00Z" in text
        assert event.at_us == us(f"2021-03-22 {'16' if says_itself else '15'}:55:00 +0000")

    @pytest.mark.parametrize(
        "time",
        ["", "01 Jan 1970 00:00", "0", "-5", "soon", "31 Feb 2021 10:00", "1 Foo 2021 10:00", "1970-05-01 00:00"],
    )
    def test_refuses_what_has_no_time(self, scrobbles, time):
        source = scrobbles(f"Blur,,Song 2,22 Mar 2021 16:55\nBlur,,Song 2,{time}\n")
        assert refused(source) == {"scrobbles.csv:2": "no time: it is missing, of 1970, or none"}

    def test_counts_every_row_once(self, scrobbles):
        source = scrobbles(
            "\n" + 'Blur,,"Song, 2",22 Mar 2021 16:55\n' + ",,Song 2,22 Mar 2021 16:55\n" + "Blur,,,22 Mar 2021 16:55\n"
            + "Blur,,Song 2\n" + 'Blur,"open,Song 2,22 Mar 2021 16:55\n' + ",,,\n" + "Blur,,Song 2,22 Mar 2021 16:55"
        )  # fmt: skip
        said = refused(source)
        assert list(said) == ["scrobbles.csv:3", "scrobbles.csv:4", "scrobbles.csv:5", "scrobbles.csv:6"]
        assert list(said.values())[:3] == [
            *["no song: it has no artist or no title"] * 2,
            "wrong number of fields: 3 instead of 4",
        ]
        assert "open at the end of its line" in said["scrobbles.csv:6"]
        assert [event.song.title for event in events(source)] == ["Song, 2", "Song 2"]

    def test_gives_one_song_as_one_object_and_the_same_key_as_a_log(self, scrobbles, log):
        first, second = events(scrobbles("Metallica,,Enter Sandman,22 Mar 2021 16:55\n" * 2))
        assert first.song is second.song
        assert first.song.key == events(log(HEADER + logged()))[0].song.key

    def test_of_loved_tracks_is_one_of_likes(self, tmp_path):
        (event,) = events(LastFm(lay_out(tmp_path, {"lovedtracks-1.csv": FORMATS["with seconds since 1970"]})))
        assert (event.kind, event.value, event.at_us) == ("like", 1.0, us("2021-03-22 16:55:00 +0000"))
        (event,) = events(LastFm(lay_out(tmp_path / "b", {"recent-beloved.csv": FORMATS["without a header"]})))
        assert (event.kind, event.value) == ("play", None)

    @pytest.mark.parametrize("text", ["Artist;Name;Scrobbles;Rank#somebody\nBlur;Song 2;5;1\n"])
    def test_whose_header_has_no_time_says_so_and_names_nobody(self, scrobbles, text):
        with pytest.raises(FeedbackError, match="no column is called time") as error:
            items(scrobbles(text))
        assert "somebody" not in str(error.value)

    def test_whose_columns_you_named_too_few_says_so(self, scrobbles):
        with pytest.raises(FeedbackError, match="no column is called artist or time"):
            items(scrobbles("Song 2,Blur\n", columns="track,by"))

    def test_that_is_empty_has_no_rows(self, scrobbles):
        assert items(scrobbles("")) == []

    def test_may_lie_in_an_archive_or_have_any_name(self, tmp_path):
        files = {"a/scrobbles.csv": FORMATS["without a header"], "a/readme.md": "x"}
        assert len(items(LastFm(zipped(tmp_path / "a.zip", files)))) == 1
        assert len(items(LastFm(lay_out(tmp_path, {"mine.txt": FORMATS["with tabs"]}) / "mine.txt"))) == 1

    def test_that_is_missing_says_what_was_found(self, tmp_path):
        with pytest.raises(FeedbackError, match=r"holds no CSV file\. Found: a\.json"):
            LastFm(lay_out(tmp_path, {"a.json": ""})).files()


class TestBothSources:
    @pytest.mark.parametrize("cls", [Audioscrobbler, LastFm])
    def test_are_of_one_service_and_need_to_be_told_the_listener(self, cls, tmp_path):
        assert (cls.service, cls.tells_listener) == ("lastfm", False)
        with pytest.raises(FeedbackError, match="cannot be read"):
            cls(tmp_path / "gone").files()
