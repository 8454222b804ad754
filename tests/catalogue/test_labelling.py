"""Labels from a library on a collection's tracks: what is written, what is left alone, and what a failure changes."""

import csv
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from earmark.catalogue.labels.labelling import label_collection
from earmark.catalogue.sources.library import Entry, Library
from earmark.catalogue.sources.source import Refusal
from earmark.catalogue.track import Track, read_table, write_tracks
from earmark.errors import CatalogueError
from earmark.files import sha256_of
from made_audio import encode_tone
from scratch import git, scratch_project
from streaming_services import SPOTIFY_TOKEN, Spotify, spotify_track
from web_service import serving

A, B, C = (f"USABC260000{n}" for n in (1, 2, 3))


@dataclass(frozen=True)
class Shelf(Library):
    """A library that a test fills."""

    name: ClassVar[str] = "shelf"
    licence: ClassVar[str | None] = "for tests"
    expects: ClassVar[str] = "Songs."

    songs: tuple[Entry | Refusal, ...] = ()

    def entries(self) -> Iterator[Entry | Refusal]:
        yield from self.songs


class OtherShelf(Shelf):
    name: ClassVar[str] = "other"


def track(track_id: str, duration_s: float = 200.0, **what: Any) -> Track:
    row = Track(
        track_id=track_id, path=f"audio/{track_id}", content_hash=track_id, duration_s=duration_s,
        sample_rate_hz=44_100, channels=2, codec="mp3", source="folder", group=f"track:{track_id}",
    )  # fmt: skip
    return replace(row, **what)


def entry(id: str, **what: Any) -> Entry:
    return Entry(id=id, **{"title": f"Title {id}", "artists": ("Singer",), "duration_s": 200.0, **what})


class Collection:
    """A collection `mine` without audio: labelling looks at the catalogue alone."""

    def __init__(self, root: Path, tracks: Iterable[Track]) -> None:
        self.root, self.folder = root, root / "data/collections/mine"
        write_tracks(tracks, self.folder / "tracks.parquet")

    def label(self, *songs: Entry | Refusal, library: type[Shelf] = Shelf, **how: Any) -> Any:
        return label_collection(library(songs=songs), self.root, "mine", **how)

    def tracks(self) -> dict[str, dict[str, Any]]:
        rows = read_table(self.folder / "tracks.parquet").to_pylist()
        return {row["track_id"]: row for row in rows}

    def matches(self) -> list[dict[str, str]]:
        with (self.folder / "matches.csv").open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    def state(self) -> dict[str, str]:
        return {path.name: sha256_of(path) for path in self.folder.iterdir()}


@pytest.fixture
def mine(tmp_path) -> Collection:
    return Collection(
        tmp_path,
        [
            track("bare", isrc=A),
            track("full", isrc=B, title="Own", artist="Own Artist", album="Own Album", genre="own", tags=("calm",),
                  group="artist:own artist", loudness_lufs=-14.5),
            track("named", title="Title 3", artist="Singer", group="artist:singer"),
            track("silent"),
        ],
    )  # fmt: skip


class TestWhatIsWritten:
    def test_fills_what_a_track_had_not(self, mine):
        mine.label(entry("1", isrc="us-abc-26-00001", artists=("One", "Two"), album="LP", genres=("Jazz", "Bebop")))
        row = mine.tracks()["bare"]
        assert (row["isrc"], row["title"], row["artist"], row["album"]) == (A, "Title 1", "One, Two", "LP")
        assert row["genre"] == "Jazz" and row["tags"] == ["genre---Jazz", "genre---Bebop"]
        assert row["genre_source"] == "shelf"

    def test_leaves_what_a_track_had_but_adds_tags(self, mine):
        before = mine.tracks()["full"]
        mine.label(entry("2", isrc=B, album="LP", genres=("Jazz",)))
        assert mine.tracks()["full"] == {**before, "tags": ["calm", "genre---Jazz"]}

    def test_replaces_the_genre_alone_where_that_is_asked_for(self, mine):
        before = mine.tracks()["full"]
        mine.label(entry("2", isrc=B, album="LP", genres=("Jazz",)), overwrite=True)
        changed = {"genre": "Jazz", "genre_source": "shelf", "tags": ["calm", "genre---Jazz"]}
        assert mine.tracks()["full"] == {**before, **changed}

    def test_an_overwritten_genre_is_the_librarys_even_where_the_word_is_the_same(self, mine):
        said = entry("2", isrc=B, genres=("own",))
        mine.label(said)
        assert mine.tracks()["full"]["genre_source"] is None
        assert mine.label(said, overwrite=True).filled["genre"] == 1
        assert (mine.tracks()["full"]["genre"], mine.tracks()["full"]["genre_source"]) == ("own", "shelf")

    def test_a_library_without_genres_overwrites_none(self, mine):
        mine.label(entry("2", isrc=B), overwrite=True)
        assert mine.tracks()["full"]["genre"] == "own"

    def test_an_artist_who_becomes_known_brings_the_artists_group(self, mine):
        mine.label(entry("1", isrc=A, artists=("Singer",)))
        rows = mine.tracks()
        assert rows["bare"]["group"] == rows["named"]["group"] == "artist:singer"

    def test_tracks_that_match_nothing_stay_as_they_are(self, mine):
        before = mine.tracks()
        mine.label(entry("1", isrc=A, genres=("Jazz",)))
        after = mine.tracks()
        assert {key: after[key] for key in ("full", "named", "silent")} == {
            key: before[key] for key in ("full", "named", "silent")
        }

    def test_of_several_entries_the_one_by_isrc_counts_most_then_the_nearest(self, mine):
        mine.label(
            entry("3", duration_s=200.5, genres=("Far",)),
            entry("x", title="Title 3", duration_s=199.9, genres=("Near",), isrc=C),
            entry("1", isrc=A, genres=("One",), duration_s=205.0, album="By code"),
            entry("1b", isrc=A, genres=("Two",), album="Nearer", duration_s=200.0),
        )
        rows = mine.tracks()
        assert (rows["named"]["genre"], rows["named"]["tags"]) == ("Near", ["genre---Near", "genre---Far"])
        assert rows["named"]["isrc"] == C
        assert (rows["bare"]["album"], rows["bare"]["genre"]) == ("Nearer", "Two")

    def test_again_adds_nothing(self, mine):
        songs = (entry("1", isrc=A, genres=("Jazz",)), entry("3", genres=("Rock",)))
        assert mine.label(*songs).filled["tags"] == 2
        first = mine.state()
        result = mine.label(*songs)
        assert mine.state() == first
        assert not result.filled and "Nothing new" in result.summary()

    def test_the_order_of_the_entries_changes_nothing_of_the_tracks(self, mine, tmp_path):
        songs = [entry(str(n), title="Title 3", duration_s=199 + n / 4, genres=(f"g{n}",)) for n in range(8)]
        mine.label(*songs)
        first = mine.tracks()
        other = Collection(
            tmp_path / "other", [track("named", title="Title 3", artist="Singer", group="artist:singer")]
        )
        other.label(*reversed(songs))
        assert other.tracks()["named"] == first["named"]


class TestMatches:
    def test_list_each_entry_once(self, mine):
        mine.label(
            entry("1", isrc=A, duration_s=201.25),
            entry("3", album="LP, one"),
            entry("gone"),
            entry("far", isrc=B, duration_s=240.0),
            Refusal("row 7", "row", "no song"),
        )
        rows = mine.matches()
        assert [(row["entry_id"], row["how"], row["track_id"]) for row in rows] == [
            ("1", "isrc", "bare"),
            ("3", "title_artist_duration", "named"),
            ("gone", "none", ""),
            ("far", "conflict", ""),
            ("row 7", "refused", ""),
        ]
        assert rows[0]["difference_s"] == "1.250" and rows[1]["album"] == "LP, one"
        assert rows[4]["reason"] == "no song" and {row["library"] for row in rows} == {"shelf"}

    def test_of_another_library_stay(self, mine):
        mine.label(entry("1", isrc=A))
        mine.label(entry("2", isrc=B), library=OtherShelf)
        mine.label(entry("3"))
        assert [(row["library"], row["entry_id"]) for row in mine.matches()] == [("other", "2"), ("shelf", "3")]

    def test_the_summary_counts_and_names_them(self, mine):
        gone = [entry(f"gone {n}") for n in range(5)]
        songs = (entry("1", isrc=A, genres=("Jazz",)), entry("3"), entry("far", isrc=B, duration_s=240.0), *gone)
        text = mine.label(*songs).summary()
        assert "8 entries of shelf; 2 are 2 of 4 tracks" in text
        assert "1  matched by ISRC" in text and "1  matched by title, artist and duration" in text
        assert "5  not matched: no track has its title and artist" in text
        assert "Title gone 0 (Singer), Title gone 1 (Singer), Title gone 2 (Singer) and 2 more" in text
        assert "1  in conflict" in text and "Licence: for tests" in text
        assert "2 tracks are none" in text and "1 tracks have neither a valid ISRC" in text and "silent" in text
        assert "knows no genre" in text


class TestAFailure:
    def test_of_the_library_in_the_middle_changes_nothing(self, mine):
        class Torn(Shelf):
            def entries(self) -> Iterator[Entry]:
                yield entry("1", isrc=A, genres=("Jazz",))
                raise CatalogueError("the service is gone")

        class TornLater(Shelf):
            def complete(self, entries: Iterable[Entry]) -> Iterator[Entry]:
                yield next(iter(entries))
                raise CatalogueError("the service is gone")

        mine.label(entry("2", isrc=B))
        before = mine.state()
        songs = (entry("1", isrc=A, genres=("Jazz",)), entry("3", genres=("Rock",)))
        for library in (Torn, TornLater):
            with pytest.raises(CatalogueError, match="gone"):
                mine.label(*songs, library=library)
            assert mine.state() == before

    def test_a_collection_that_changes_meanwhile_is_not_overwritten(self, mine):
        class Slow(Shelf):
            def complete(self, entries: Iterable[Entry]) -> Iterator[Entry]:
                yield from entries
                write_tracks([track("new")], mine.folder / "tracks.parquet")

        with pytest.raises(CatalogueError, match="changed while"):
            mine.label(entry("1", isrc=A, genres=("Jazz",)), library=Slow)
        assert list(mine.tracks()) == ["new"] and not (mine.folder / "matches.csv").exists()

    def test_an_empty_library_is_one(self, mine):
        with pytest.raises(CatalogueError, match="no song in shelf"):
            mine.label()

    def test_the_songbook_cannot_be_labelled(self, tmp_path):
        with pytest.raises(CatalogueError, match="songbook cannot be labelled"):
            label_collection(Shelf(), tmp_path, "songbook")

    def test_a_collection_that_is_not_there_is_named_with_those_that_are(self, mine):
        with pytest.raises(CatalogueError, match=r"no collection 'yours'.*it has mine"):
            label_collection(Shelf(), mine.root, "yours")

    def test_matches_of_another_hand_are_not_overwritten(self, mine):
        (mine.folder / "matches.csv").write_text("a,b\n1,2\n")
        with pytest.raises(CatalogueError, match="other columns"):
            mine.label(entry("1", isrc=A))
        assert (mine.folder / "matches.csv").read_text() == "a,b\n1,2\n"


class TestTheWholeWay:
    """A folder of real audio with tags, imported, then labelled from Spotify's API and from its export."""

    @pytest.fixture(scope="class")
    def project(self, tmp_path_factory) -> Path:
        tmp = tmp_path_factory.mktemp("labels")
        root = scratch_project(tmp)
        songs = {
            "coded.flac": (4.0, {"isrc": "US-ABC-26-00001"}),
            "named.flac": (5.0, {"title": "Song 2 (Remastered 2011)", "artist": "The Artist 2"}),
            "live.flac": (6.0, {"title": "Song 3 (Live)", "artist": "Artist 3"}),
            "other.flac": (3.5, {"title": "Nobody's", "artist": "Somebody"}),
        }
        for name, (seconds, tags) in songs.items():
            (tmp / "music").mkdir(exist_ok=True)
            (tmp / "music" / name).write_bytes(encode_tone("flac", seconds, tags=tags))
        self.earmark(root, "import", "folder", str(tmp / "music"))
        return root

    @staticmethod
    def earmark(root: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        call = [sys.executable, "-m", "earmark.cli", "--root", str(root), *arguments]
        done = subprocess.run(call, capture_output=True, text=True, env={**os.environ, **environment}, timeout=300)
        assert SPOTIFY_TOKEN not in done.stdout + done.stderr
        if not environment.get("MAY_FAIL"):
            assert done.returncode == 0, done.stderr
        return done

    def test_from_the_api_then_from_the_export(self, project, tmp_path):
        folder = project / "data/collections/music"
        saved = [spotify_track(n, duration_ms=3_000 + 1_000 * n) for n in range(4)]
        spotify = Spotify(saved, {"artist1": ["jazz", "bebop"], "artist2": ["rock"]})
        with serving(spotify) as web:
            arguments = ("label", "spotify", "--api", web.address + "/v1")
            refused = self.earmark(project, *arguments, SPOTIFY_TOKEN="an-old-token", MAY_FAIL="yes")
            assert refused.returncode == 4 and "expired" in refused.stderr and "Traceback" not in refused.stderr
            assert not (folder / "matches.csv").exists()
            done = self.earmark(project, *arguments, SPOTIFY_TOKEN=SPOTIFY_TOKEN)
            asked = [path for path in web.paths() if path.startswith("/v1/artists/")]
        assert asked == ["/v1/artists/artist1", "/v1/artists/artist2"]
        assert "4 entries of Spotify's Web API (saved tracks); 2 are 2 of 4 tracks" in done.stdout
        assert "forbids training" in done.stdout

        rows = {row["track_id"]: row for row in read_table(folder / "tracks.parquet").to_pylist()}
        coded, named = rows["coded.flac"], rows["named.flac"]
        assert (coded["title"], coded["artist"], coded["genre"]) == ("Song 1", "Artist 1", "jazz")
        assert list(coded["tags"]) == ["genre---jazz", "genre---bebop"] and coded["group"] == "artist:artist 1"
        assert (named["isrc"], named["title"], named["genre"]) == ("USABC2600002", "Song 2 (Remastered 2011)", "rock")
        assert rows["live.flac"]["genre"] is None and rows["other.flac"]["genre"] is None

        with (folder / "matches.csv").open(encoding="utf-8", newline="") as file:
            matches = {row["entry_id"]: (row["how"], row["track_id"]) for row in csv.DictReader(file)}
        assert matches == {
            "track0": ("none", ""),
            "track1": ("isrc", "coded.flac"),
            "track2": ("title_artist_duration", "named.flac"),
            "track3": ("none", ""),
        }
        status = subprocess.run(
            [Path(sys.executable).parent / "dvc", "status", "data/collections/music.dvc"],
            cwd=project, capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert "up to date" in status.stdout

        export = tmp_path / "YourLibrary.json"
        liked = [{"artist": "Artist 3", "album": "On Stage", "track": "Song 3 - Live", "uri": "spotify:track:x"}]
        export.write_text(json.dumps({"tracks": liked}))
        done = self.earmark(project, "label", "spotify-export", str(export), "--collection", "music")
        assert "1  matched by title and artist (the library tells no duration)" in done.stdout
        (live,) = (row for row in read_table(folder / "tracks.parquet").to_pylist() if row["track_id"] == "live.flac")
        assert (live["album"], live["title"]) == ("On Stage", "Song 3 (Live)")
        assert git(project, "status", "--short") != ""  # the .dvc file tells of the new labels

    def test_the_songbook_is_refused_by_name(self, project, tmp_path):
        done = self.earmark(project, "label", "tidal", str(tmp_path), "--collection", "songbook", MAY_FAIL="yes")
        assert done.returncode == 4 and "songbook cannot be labelled" in done.stderr
