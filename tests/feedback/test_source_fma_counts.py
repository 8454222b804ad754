"""FMA's counts as feedback: plays and likes of a whole service. The table here is made up, of the published layout."""

import csv
import io

import pytest
from telling import events, lay, packed, refused, told, us

from earmark.errors import FeedbackError
from earmark.feedback.event import Event, Song
from earmark.feedback.sources.fma import FmaCounts
from earmark.feedback.sources.source import Refused

# In the order of the real table's columns, as far as they matter; artist.bio runs over lines.
COLUMNS = [
    ("album", "listens"), ("album", "title"), ("artist", "bio"), ("artist", "name"), ("set", "subset"),
    ("track", "comments"), ("track", "date_created"), ("track", "duration"), ("track", "favorites"),
    ("track", "interest"), ("track", "listens"), ("track", "title"),
]  # fmt: skip


def row(number: object, **other: object) -> list[str]:
    usual = {
        "album.listens": "6073", "album.title": "AWOL - A Way Of Life", "artist.bio": "<p>A Way\nOf Life</p>",
        "artist.name": "AWOL", "set.subset": "small", "track.comments": "3", "track.duration": "168",
        "track.date_created": "2008-11-26 01:48:12", "track.favorites": "2", "track.interest": "4656",
        "track.listens": "1293", "track.title": "Food",
    }  # fmt: skip
    values = usual | {name.replace("_", ".", 1): value for name, value in other.items()}
    return [str(number), *(str(values[f"{part}.{name}"]) for part, name in COLUMNS)]


def table(*rows: list[str]) -> str:
    """Three header lines; each row is two lines long, the first on line 4."""
    text = io.StringIO()
    write = csv.writer(text, lineterminator="\n")
    write.writerow(["", *(part for part, _ in COLUMNS)])
    write.writerow(["", *(name for _, name in COLUMNS)])
    write.writerow(["track_id", *[""] * len(COLUMNS)])
    write.writerows(rows)
    return text.getvalue()


def fma(folder, *rows) -> FmaCounts:
    return FmaCounts(lay(folder, {"tracks.csv": table(*rows)}))


def test_a_track_is_its_plays_and_its_likes_by_nobody_in_particular(tmp_path):
    food = Song(
        "fma", "2", "Food", "AWOL", "AWOL - A Way Of Life", duration_s=168.0, track_id="000/000002.mp3",
        since_us=us(2008, 11, 26, 1, 48, 12),
    )  # fmt: skip
    assert told(fma(tmp_path, row(2))) == [
        (
            Event("tracks.csv:4", food, "play", None, times=1293),
            Event("tracks.csv:4", food, "like", None, value=1.0, times=2),
        )
    ]
    assert FmaCounts.anonymous and "Defferrard" in (FmaCounts.citation or "")


@pytest.mark.parametrize(
    ("number", "track_id"), [(2, "000/000002.mp3"), (155320, "155/155320.mp3"), (0, "000/000000.mp3")]
)
def test_a_track_goes_by_its_id_and_its_audio_by_that_in_six_digits(tmp_path, number, track_id):
    assert {(event.song.key, event.song.track_id) for event in events(fma(tmp_path, row(number)))} == {
        (str(number), track_id)
    }


@pytest.mark.parametrize(
    ("listens", "favorites", "counts"),
    [
        ("3560000", "0", {"play": 3_560_000}),
        ("1293.0", "2.0", {"play": 1293, "like": 2}),
        ("-1", "2", {"like": 2}),
        ("5", "-1.0", {"play": 5}),
        ("5", "", {"play": 5}),
    ],
)
def test_counts_that_are_missing_or_nothing_are_left_out(tmp_path, listens, favorites, counts):
    found = events(fma(tmp_path, row(2, track_listens=listens, track_favorites=favorites)))
    assert {event.kind: event.times for event in found} == counts


def test_comments_are_counted_and_not_told(tmp_path):
    assert {event.kind for event in events(fma(tmp_path, row(2, track_comments="99")))} == {"play", "like"}


def test_what_is_not_known_of_a_song_is_none(tmp_path):
    other = {"track_duration": "", "album_title": "", "track_date_created": "", "artist_name": ""}
    (song,) = {event.song for event in events(fma(tmp_path, row(2, **other)))}
    assert (song.duration_s, song.album, song.since_us, song.artist) == (None, None, None, None)


def test_every_row_is_told_or_refused_once(tmp_path):
    bad = [
        row("x"), row(-1), row(5, track_listens="many"), row(6, track_date_created="long ago"), row(7)[:6],
        row(8, track_listens="0", track_favorites="0"), row(1_000_000),
    ]  # fmt: skip
    source = fma(tmp_path, row(2), *bad, row(3, track_favorites="0"))
    rows = told(source)
    assert [type(entry) for entry in rows] == [tuple, *[Refused] * len(bad), Event]
    said = refused(source)
    assert list(said) == [f"tracks.csv:{6 + 2 * n}" for n in range(len(bad))]
    needles = ["'x'", "-1", "'many'", "'long ago'", "6 fields", "nothing told: ", "1000000"]
    assert all(needle in reason for needle, reason in zip(needles, said.values(), strict=True))


@pytest.mark.parametrize("place", ["", "fma_metadata", "fma_metadata/tracks.csv", "fma_metadata.zip"])
def test_the_table_is_found_in_the_data_set_its_folder_its_archive_or_by_itself(tmp_path, place):
    content = table(row(2))
    lay(tmp_path, {"fma/fma_metadata/tracks.csv": content, "fma/fma_small/000/000002.mp3": b""})
    (tmp_path / "fma/fma_metadata.zip").write_bytes(packed({"fma_metadata/tracks.csv": content}))
    assert len(events(FmaCounts(tmp_path / "fma" / place))) == 2


def test_errors_name_what_is_there(tmp_path):
    lay(tmp_path, {"a/fma_small/000/000002.mp3": b"", "b/tracks.csv": "track_id,title\n\n\n1,x\n"})
    with pytest.raises(FeedbackError, match=r"holds no tracks\.csv of fma_metadata\. Found: fma_small"):
        FmaCounts(tmp_path / "a").files()
    with pytest.raises(FeedbackError, match=r"lacks the columns track\.title, track\.listens.*it has track_id, title"):
        told(FmaCounts(tmp_path / "b"))
