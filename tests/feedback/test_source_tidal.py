"""Tidal's streaming.csv, by its columns as ListenBrainz reads them."""

from telling import events, lay, packed, refused, us

from earmark.feedback.event import Event, Song, named_key
from earmark.feedback.sources.table import TidalHistory

HEADER = (
    "artist_name,track_title,entry_date,stream_duration_ms,product_type,ip_address,client_name_from_session,"
    "country_name,region_name,city_name,postal_code,time_zone\n"
)


def tidal(folder, *rows: str, **options) -> TidalHistory:
    lay(folder, {"streaming.csv": HEADER + "".join(row + "\n" for row in rows)})
    return TidalHistory(folder / "streaming.csv", **options)


def test_a_play_has_its_time_in_the_zone_of_its_row(tmp_path):
    row = "Joni,River,08/03/2022 19:01,240000.0,TRACK,192.0.2.7,Web,Canada,Ontario,Toronto,A1B,America/Toronto"
    song = Song("tidal", named_key("River", "Joni"), "River", "Joni")
    assert events(tidal(tmp_path, row)) == [
        Event("streaming.csv:2", song, "play", None, at_us=us(2022, 3, 9, 0, 1), ms_played=240_000)
    ]


def test_a_play_without_a_zone_is_in_utc_and_one_in_an_unknown_zone_is_refused(tmp_path):
    rows = (
        f"Joni,River,25/04/2025 17:11,330.00000000000000,TRACK,null,mobile,null,null,null,null,{z}"
        for z in ("null", "X/Y")
    )
    source = tidal(tmp_path, *rows)
    assert [event.at_us for event in events(source)] == [us(2025, 4, 25, 17, 11)]
    assert list(refused(source).values()) == ["no time: the column time_zone holds no time zone such as Europe/Paris"]


def test_what_is_no_song_or_has_no_date_is_refused(tmp_path):
    rows = (
        "Joni,River,25/04/2025 17:11,330.0,VIDEO,null,mobile,null,null,null,null,null",
        "Joni,River,2025-04-25,330.0,TRACK,null,mobile,null,null,null,null,null",
    )
    source = tidal(tmp_path, *rows)
    assert events(source) == []
    assert [reason.partition(":")[0] for reason in refused(source).values()] == ["no song", "no time"]


def test_another_table_may_have_its_columns_named(tmp_path):
    lay(tmp_path, {"mine.csv": "song,by,at\nRiver,Joni,2024-05-06T07:00:00Z\n"})
    source = TidalHistory(tmp_path / "mine.csv", title="song", artist="by", time="at", time_format="")
    assert [event.at_us for event in events(source)] == [us(2024, 5, 6, 7)]


def test_the_export_may_be_an_archive(tmp_path):
    row = "Joni,River,25/04/2025 17:11,330.0,TRACK,null,mobile,null,null,null,null,null\n"
    (tmp_path / "tidal.zip").write_bytes(packed({"data/streaming.csv": HEADER + row}))
    assert len(events(TidalHistory(tmp_path / "tidal.zip"))) == 1
