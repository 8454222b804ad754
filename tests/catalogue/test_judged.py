"""The tables that are judged: what stands in them, counted another way."""

from typing import Any

import pandas as pd

from earmark.catalogue.judged import genre_table, samples, split_table, track_table, whole_table
from earmark.catalogue.track import SCHEMA


def table(*rows: dict[str, Any]) -> pd.DataFrame:
    plain = dict.fromkeys(SCHEMA.names) | dict.fromkeys(
        ("audio_bytes", "duplicate_group", "unreadable", "source_genre", "refused_genre", "unknown_tags", "withdrawn")
    )
    given = {"sample_rate_hz": 44_100, "channels": 2, "codec": "mp3", "duration_s": 60.0, "tags": ()}
    own = [{"track_id": str(n), "group": f"track:{n}", "genre": "reel"} for n in range(len(rows))]
    return track_table(pd.DataFrame([plain | given | mine | row for mine, row in zip(own, rows, strict=True)]))


class TestTracks:
    def test_an_artist_has_one_key_however_the_name_is_written_and_nobody_has_none(self) -> None:
        names = ["The Band", "THE  BAND ", "Ｔhe band", "Unknown Artist", "", None]
        keys = list(table(*[{"artist": name} for name in names])["artist_key"].fillna("-"))
        assert keys == ["artist:the band"] * 3 + ["-"] * 3

    def test_bandwidth_is_told_as_a_share_of_what_is_possible_and_audible(self) -> None:
        cases = [(44_100, 16_000.0), (44_100, 22_050.0), (96_000, 22_050.0), (96_000, 40_000.0), (22_050, 11_025.0)]
        rows = table(*[{"sample_rate_hz": rate, "bandwidth_hz": found} for rate, found in cases], {})
        assert [round(share, 3) for share in rows["bandwidth_share"].fillna(-1)] == [0.726, 1, 1, 1, 1, -1]

    def test_lossless_is_what_the_codec_is(self) -> None:
        codecs = {"flac": True, "alac": True, "pcm_s16le": True, "mp3": False, "aac": False, "adpcm_ms": False}
        rows = table(*[{"codec": codec} for codec in codecs])
        assert dict(zip(rows["codec"], rows["lossless"].tolist(), strict=True)) == codecs


class TestGenres:
    def test_tracks_groups_and_known_artists_are_counted(self) -> None:
        rows = table(
            {"genre": "jig", "artist": "A", "group": "artist:a"},
            {"genre": "jig", "artist": "a", "group": "artist:a"},
            {"genre": "jig"},
            {"genre": "reel", "duration_s": 1800.0},
            {"genre": None},
        )
        assert genre_table(rows).to_dict("records") == [
            {"genre": "jig", "tracks": 3, "groups": 2, "artists": 1, "hours": 180 / 3600},
            {"genre": "reel", "tracks": 1, "groups": 1, "artists": 0, "hours": 0.5},
        ]


class TestSplits:
    def test_each_name_has_its_tracks_by_side(self) -> None:
        rows = table(
            {"artist": "A", "group": "artist:a", "genre": "jig", "duplicate_group": "d"},
            {"artist": "a", "group": "track:1", "genre": "jig"},
            {"artist": "B", "group": "artist:b", "genre": "reel", "duplicate_group": "d"},
            {"artist": None, "group": "track:3", "genre": "reel"},
        )
        places = split_table(rows, pd.Series(["train", "test", "train", "validation"]))
        counts = {
            (kind, row[kind]): (row["train"], row["validation"], row["test"], row[sides])
            for kind, sides in (
                ("artist", "artist_sides"),
                ("group", "group_sides"),
                ("duplicate_group", "duplicate_sides"),
                ("genre", "genre_sides"),
            )
            for row in places[places[kind].notna()].to_dict("records")
        }
        assert counts == {
            ("artist", "A"): (1, 0, 1, 2),
            ("artist", "B"): (1, 0, 0, 1),
            ("group", "artist:a"): (1, 0, 0, 1),
            ("group", "artist:b"): (1, 0, 0, 1),
            ("group", "track:1"): (0, 0, 1, 1),
            ("group", "track:3"): (0, 1, 0, 1),
            ("duplicate_group", "d"): (2, 0, 0, 1),
            ("genre", "jig"): (1, 0, 1, 2),
            ("genre", "reel"): (1, 1, 0, 2),
        }
        assert len(places) == len(counts)
        assert (places["tracks"] == places[["train", "validation", "test"]].sum(axis=1)).all()

    def test_an_artist_with_a_group_of_the_sources_own_is_counted_apart(self) -> None:
        rows = table({"artist": "Bach", "group": "bwv 1"}, {"artist": "Bach", "group": "bwv 2"})
        places = split_table(rows, pd.Series(["train", "test"]))
        (bach,) = places[places["artist"].notna()].to_dict("records")
        assert bach["torn_by_source"] == 2 and pd.isna(bach["artist_sides"])


def test_the_whole_says_what_is_left_and_what_was_refused() -> None:
    rows = table({"genre": "jig", "artist": "A"}, {"genre": "reel"}, {"genre": "reel"}, {"genre": "reel"})
    (whole,) = whole_table(rows, pd.Series([True, True, False, True])).to_dict("records")
    assert whole == {
        "tracks_in": 4,
        "tracks": 3,
        "refused": 1,
        "refused_share": 0.25,
        "genres": 2,
        "groups": 3,
        "artists": 1,
        "hours": 0.05,
    }


def test_the_samples_have_the_columns_and_types_of_the_real_tables() -> None:
    tracks = table({"artist": "A", "genre": "jig", "duplicate_group": "d", "tags": ["x"]}, {"bandwidth_hz": 1.0})
    tried = samples()
    real = {
        "tracks": tracks,
        "genres": genre_table(tracks),
        "splits": split_table(tracks, pd.Series(["train", "test"])),
        "catalogue": whole_table(tracks, pd.Series([True, True])),
    }
    for suite, rows in real.items():
        assert list(tried[suite].columns) == list(rows.columns)
        numbers = [name for name in rows.columns if pd.api.types.is_numeric_dtype(rows[name])]
        assert all(pd.api.types.is_numeric_dtype(tried[suite][name]) for name in numbers)
