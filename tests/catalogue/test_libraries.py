"""Every library on files and answers of the documented layout: each row an entry, or refused with its reason."""

import io
import json
import plistlib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from earmark.catalogue.sources.apple_music import AppleMusicExport, AppleMusicLibrary, AppleMusicXml
from earmark.catalogue.sources.calling import Patience
from earmark.catalogue.sources.libraries import library_names, load_library
from earmark.catalogue.sources.library import Entry, Library
from earmark.catalogue.sources.source import Refusal
from earmark.catalogue.sources.spotify import SpotifyExport, SpotifyLibrary
from earmark.catalogue.sources.tidal import TidalLibrary
from earmark.errors import CatalogueError
from streaming_services import (
    DEVELOPER_TOKEN,
    SPOTIFY_TOKEN,
    USER_TOKEN,
    AppleMusic,
    Spotify,
    apple_song,
    spotify_track,
)
from web_service import Answer, serving

QUICK = Patience(timeout_s=5, attempts=3, first_wait_s=0.02, longest_wait_s=2)


def taken(library: Library) -> list[Entry]:
    return [entry for entry in library.entries() if isinstance(entry, Entry)]


def refused(library: Library) -> dict[str, str]:
    return {entry.path: entry.reason for entry in library.entries() if isinstance(entry, Refusal)}


def zipped(**files: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return file.getvalue()


class TestEveryLibrary:
    @pytest.mark.parametrize("name", library_names())
    def test_says_what_it_is(self, name):
        library = load_library(name)
        assert library.name == name and library.expects.endswith(".") and library.__doc__

    @pytest.mark.parametrize("cls", [SpotifyExport, AppleMusicXml, AppleMusicExport, TidalLibrary])
    def test_in_a_file_that_is_not_there_says_so(self, cls, tmp_path):
        with pytest.raises(CatalogueError, match="cannot be read"):
            list(cls(tmp_path / "gone").entries())

    @pytest.mark.parametrize("cls", [SpotifyExport, AppleMusicXml, AppleMusicExport, TidalLibrary])
    @pytest.mark.parametrize(
        "content", [b"", b"\x00\xff" * 50, b"<html></html>", b"{", b"[" * 100_000, b"PK\x03\x04nonsense"]
    )
    def test_in_a_file_of_another_kind_says_so(self, cls, content, write):
        with pytest.raises(CatalogueError):
            list(cls(write("file", content)).entries())


SPOTIFY_EXPORT: dict[str, Any] = {
    "tracks": [
        {"artist": "Nina Simone", "album": "I Put a Spell on You", "track": "Feeling Good", "uri": "spotify:track:1"},
        {"artist": "Taylor Swift", "album": 1989, "track": "Style", "uri": "spotify:track:2"},
        {"artist": "", "album": "", "track": "Untitled", "uri": "spotify:local:::Untitled:200"},
        {"artist": "A\nB", "track": "half \ud800 a letter"},
        "spotify:track:3",
    ],
    "albums": [{"artist": "X", "album": "Y", "uri": "spotify:album:1"}],
    "bannedTracks": [{"artist": "Banned", "album": "B", "track": "Never", "uri": "spotify:track:9"}],
}


class TestSpotifyExport:
    @pytest.fixture
    def library(self, write) -> SpotifyExport:
        return SpotifyExport(write("export/YourLibrary.json", json.dumps(SPOTIFY_EXPORT).encode()))

    def test_brings_names_of_the_saved_tracks(self, library):
        assert taken(library)[:2] == [
            Entry("spotify:track:1", "Feeling Good", ("Nina Simone",), "I Put a Spell on You"),
            Entry("spotify:track:2", "Style", ("Taylor Swift",), "1989"),
        ]

    def test_accounts_for_every_row(self, library):
        assert refused(library) == {
            "YourLibrary.json: tracks[2]": "nothing to match it by: it has no artist and ISRC",
            "YourLibrary.json: tracks[4]": "no object with artist, album, track and uri",
        }
        assert len(list(library.entries())) == len(SPOTIFY_EXPORT["tracks"])

    def test_brings_text_that_can_be_written(self, library):
        odd = taken(library)[2]
        assert (odd.title, odd.artists, odd.id) == ("half ? a letter", ("A B",), "YourLibrary.json: tracks[3]")

    def test_is_found_in_the_exports_folder_and_in_its_archive(self, library, write, tmp_path):
        content = library.path.read_bytes()
        archive = write(
            "my_spotify_data.zip", zipped(**{"Spotify Account Data/YourLibrary.json": content, "Follow.json": b"{}"})
        )
        assert taken(SpotifyExport(tmp_path / "export")) == taken(SpotifyExport(archive)) == taken(library)

    def test_in_a_folder_without_it_or_with_two_is_named(self, library, write, tmp_path):
        write("empty/readme.txt", b"")
        with pytest.raises(CatalogueError, match=r"no file YourLibrary\.json"):
            list(SpotifyExport(tmp_path / "empty").entries())
        write("export/copy/YourLibrary.json", b"{}")
        with pytest.raises(CatalogueError, match=r"2 files YourLibrary\.json"):
            list(SpotifyExport(tmp_path / "export").entries())

    def test_may_begin_with_a_byte_order_mark(self, write):
        path = write("YourLibrary.json", b"\xef\xbb\xbf" + json.dumps(SPOTIFY_EXPORT).encode())
        assert len(taken(SpotifyExport(path))) == 3

    @pytest.mark.parametrize("content", [{}, {"tracks": {}}, [], {"tracks": None}])
    def test_laid_out_otherwise_is_named(self, content, write):
        with pytest.raises(CatalogueError, match='no list "tracks"'):
            list(SpotifyExport(write("YourLibrary.json", json.dumps(content).encode())).entries())


@pytest.fixture
def quick(monkeypatch) -> None:
    monkeypatch.setattr(SpotifyLibrary, "patience", QUICK)
    monkeypatch.setattr(AppleMusicLibrary, "patience", QUICK)
    monkeypatch.setenv("SPOTIFY_TOKEN", SPOTIFY_TOKEN)
    monkeypatch.setenv("APPLE_MUSIC_DEVELOPER_TOKEN", DEVELOPER_TOKEN)
    monkeypatch.setenv("APPLE_MUSIC_USER_TOKEN", USER_TOKEN)


@pytest.mark.usefixtures("quick")
class TestSpotify:
    @pytest.fixture
    def spotify(self) -> Spotify:
        """120 saved tracks on three pages, by seven artists."""
        return Spotify([spotify_track(n) for n in range(120)], {f"artist{n}": ["jazz", f"genre {n}"] for n in range(6)})

    @pytest.fixture
    def web(self, spotify) -> Iterator[Any]:
        with serving(spotify) as web:
            yield web

    @pytest.fixture
    def library(self, web) -> SpotifyLibrary:
        return SpotifyLibrary(web.address + "/v1")

    def test_pages_through_all_saved_tracks(self, library, web):
        entries = taken(library)
        assert [entry.id for entry in entries] == [f"track{n}" for n in range(120)]
        assert [request.query for request in web.requests] == [
            {"limit": "50", "offset": str(offset)} for offset in (0, 50, 100)
        ]
        assert entries[3] == Entry(
            "track3", "Song 3", ("Artist 3",), "Album 3", "USABC2600003", 203.0, artist_id="artist3"
        )

    def test_asks_for_each_artist_once_and_only_for_tracks_that_matched(self, library, web):
        matched = [entry for entry in taken(library) if entry.artist_id in ("artist1", "artist6")]
        web.requests.clear()
        completed = list(library.complete(matched))
        assert web.paths() == ["/v1/artists/artist1", "/v1/artists/artist6"]
        assert [entry.id for entry in completed] == [entry.id for entry in matched]
        genres = {entry.artist_id: entry.genres for entry in completed}
        assert genres == {"artist1": ("jazz", "genre 1"), "artist6": ()}  # Spotify does not know artist6

    def test_traps_are_accounted_for(self, library, spotify):
        local = spotify_track(
            1, id=None, uri="spotify:local:A:B:C:200", is_local=True, external_ids={}, album={"name": ""}
        )
        local["artists"] = [{"id": None, "name": "A", "type": "artist"}]
        spotify.tracks[:] = [
            None,
            spotify_track(0, external_ids={}),
            spotify_track(0, external_ids=None, album=None, duration_ms=0),
            local,
            spotify_track(0, name="", artists=[], external_ids={"isrc": ""}),
            spotify_track(0, artists=[{"id": "a", "name": "One"}, {"id": "b", "name": "Two"}]),
        ]
        entries = taken(library)
        assert [entry.isrc for entry in entries] == [None, None, None, "USABC2600000"]
        assert entries[1].duration_s is None and entries[1].album is None
        assert (entries[2].id, entries[2].artist_id) == ("spotify:local:A:B:C:200", None)
        assert (entries[3].artists, entries[3].artist_id) == (("One", "Two"), "a")
        assert list(refused(library)) == ["saved track 0", "saved track 4"]
        assert "no such track any more" in refused(library)["saved track 0"]
        assert list(library.complete(entries))[2].genres == ()

    def test_pages_that_end_before_the_number_that_is_counted_are_told_of(self, library, spotify, web):
        assert refused(library) == {}
        page = spotify.page(web.requests[0])
        web.before = [Answer({**page, "next": None})]
        assert len(taken(library)) == 50
        web.before = [Answer({**page, "next": None})]
        assert "counts 120, and its pages end after 50" in refused(library)["saved tracks"]

    def test_a_row_of_another_layout_is_not_taken_for_a_song_that_is_gone(self, library, web):
        rows = [{"item": spotify_track(0)}, spotify_track(1), "track2", {"track": None}]
        web.before = [Answer({"items": rows, "next": None, "total": 4})]
        reasons = list(refused(library).values())
        assert all("no object with a track" in reason for reason in reasons[:3]) and "track is null" in reasons[3]

    def test_too_many_requests_are_waited_for(self, library, web, capsys):
        web.before = [
            Answer({"error": {"status": 429, "message": "API rate limit exceeded"}}, 429, {"Retry-After": "1"})
        ]
        assert len(taken(library)) == 120
        assert "too many requests" in capsys.readouterr().err

    def test_a_token_that_expires_in_the_middle_says_how_to_get_a_new_one(self, library, web, spotify):
        def expire() -> None:
            spotify.token = "another"

        found = library.entries()
        next(found)
        web.before = [expire]
        with pytest.raises(CatalogueError, match=r"401 \(The access token expired\).*user-library-read") as caught:
            list(found)
        assert SPOTIFY_TOKEN not in str(caught.value)
        assert len(web.requests) == 2

    def test_without_a_token_it_says_where_to_put_one(self, library, monkeypatch):
        monkeypatch.delenv("SPOTIFY_TOKEN")
        with pytest.raises(CatalogueError, match=r"SPOTIFY_TOKEN is not set.*user-library-read"):
            list(library.entries())

    def test_an_answer_that_links_elsewhere_keeps_the_token_here(self, library, web):
        with serving(Spotify([spotify_track(0)])) as other:
            web.before = [Answer({"items": [], "next": f"{other.address}/v1/me/tracks?offset=50"})]
            with pytest.raises(CatalogueError, match="not followed"):
                list(library.entries())
            assert other.requests == []


@pytest.mark.usefixtures("quick")
class TestAppleMusic:
    @pytest.fixture
    def apple(self) -> AppleMusic:
        """230 library songs on three pages; every fourth is an upload that the catalogue does not know."""
        return AppleMusic(
            [
                apple_song(
                    n,
                    catalogue=None
                    if n % 4 == 3
                    else {"isrc": f"USABC26{n:05d}", "genreNames": ["Jazz", "Music", "Bebop"]},
                )
                for n in range(230)
            ]
        )

    @pytest.fixture
    def web(self, apple) -> Iterator[Any]:
        with serving(apple) as web:
            yield web

    @pytest.fixture
    def library(self, web) -> AppleMusicLibrary:
        return AppleMusicLibrary(web.address)

    def test_pages_through_the_library_with_both_tokens(self, library, web):
        entries = taken(library)
        assert [entry.id for entry in entries] == [f"i.{n}" for n in range(230)]
        assert [request.query["offset"] for request in web.requests] == ["0", "100", "200"]
        assert {request.query["include"] for request in web.requests} == {"catalog"}
        assert {request.headers["music-user-token"] for request in web.requests} == {USER_TOKEN}

    def test_takes_isrc_and_genres_from_the_related_song_of_the_catalogue(self, library):
        entries = taken(library)
        assert entries[2] == Entry("i.2", "Song 2", ("Artist 2",), "Album 2", "USABC2600002", 202.0, ("Jazz", "Bebop"))
        assert (entries[103].isrc, entries[103].genres) == (None, ("Latin",))

    def test_pages_that_end_before_the_number_that_is_counted_are_told_of(self, library, web):
        assert refused(library) == {}
        web.before = [Answer({"data": [apple_song(0)], "meta": {"total": 230}})]
        assert "counts 230, and its pages end after 1" in refused(library)["library songs"]

    @pytest.mark.parametrize("root", ["Music", "Musik", "Musique", "Música", "音楽", "МУЗЫКА"])
    def test_drops_the_root_of_the_genres_in_the_storefronts_language(self, root, library, apple):
        apple.songs[:] = [
            apple_song(0, catalogue={"genreNames": ["Rock", root]}),
            apple_song(1, catalogue={"genreNames": [root]}, genreNames=[root]),
            apple_song(2, genreNames=["World Music", root]),
        ]
        assert [entry.genres for entry in taken(library)] == [("Rock",), (), ("World Music",)]

    def test_traps_are_accounted_for(self, library, apple):
        apple.songs[:] = [
            {"id": "i.0", "type": "library-songs"},
            apple_song(
                1,
                name=None,
                artistName=None,
                catalogue={"name": "Named", "artistName": "There", "isrc": "USABC2600001"},
            ),
            apple_song(2, name="", artistName=""),
            apple_song(3, durationInMillis=None, genreNames=None, albumName=None),
            {**apple_song(4), "relationships": {"catalog": None}},
            "song",
        ]
        entries = taken(library)
        assert [(entry.id, entry.title, entry.artists) for entry in entries[:2]] == [
            ("i.1", "Named", ("There",)), ("i.3", "Song 3", ("Artist 3",)),
        ]  # fmt: skip
        assert entries[1].duration_s is None and entries[1].genres == ()
        assert list(refused(library)) == ["library song 0", "library song 2", "library song 5"]

    @pytest.mark.parametrize(
        ("variable", "message"),
        [
            ("APPLE_MUSIC_DEVELOPER_TOKEN", r"401.*developer token is signed"),
            ("APPLE_MUSIC_USER_TOKEN", r"403 \(Invalid auth.*signs in"),
        ],
    )
    def test_each_token_that_is_refused_is_named_with_what_helps(self, variable, message, library, monkeypatch):
        monkeypatch.setenv(variable, "an-old-one-that-expired")
        with pytest.raises(CatalogueError, match=message) as caught:
            list(library.entries())
        assert "an-old-one" not in str(caught.value)
        monkeypatch.delenv(variable)
        with pytest.raises(CatalogueError, match=f"{variable} is not set"):
            list(library.entries())


def library_xml(*tracks: Any, **more: Any) -> bytes:
    content = {"Major Version": 1, "Tracks": {str(100 + n): track for n, track in enumerate(tracks)}, "Playlists": []}
    return plistlib.dumps(content | more)


class TestAppleMusicXml:
    def test_accounts_for_every_track(self, write):
        song = {"Track ID": 100, "Name": "So What", "Artist": "Miles Davis", "Album": "Kind of Blue", "Genre": "Jazz"}
        path = write(
            "Library.xml",
            library_xml(
                {**song, "Total Time": 545_000, "Persistent ID": "0123456789ABCDEF", "Play Count": 7, "Rating": 100},
                {"Name": "Voices", "Artist": "Host", "Podcast": True},
                {"Name": "Film", "Artist": "Director", "Movie": True, "Has Video": True},
                {"Name": "Nameless"},
                {"Name": "Compiled", "Album Artist": "Band", "Genre": "Musik"},
                "no dictionary",
            ),
        )
        library = AppleMusicXml(path)
        assert taken(library) == [
            Entry("0123456789ABCDEF", "So What", ("Miles Davis",), "Kind of Blue", None, 545.0, ("Jazz",)),
            Entry("104", "Compiled", ("Band",)),
        ]
        reasons = refused(library)
        assert list(reasons) == [f"Library.xml: track {n}" for n in (101, 102, 103, 105)]
        assert "'Podcast'" in reasons["Library.xml: track 101"]

    def test_entities_that_grow_without_end_are_refused_at_once(self, write):
        entities = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 12))
        bomb = (
            f'<?xml version="1.0"?><!DOCTYPE plist [<!ENTITY l0 "lol">{entities}]><plist><string>&l11;</string></plist>'
        )
        with pytest.raises(CatalogueError, match=r"no property list.*entity"):
            list(AppleMusicXml(write("Library.xml", bomb.encode())).entries())

    def test_a_file_that_an_entity_points_to_is_not_read(self, write):
        write("secret.txt", b"secret")
        outer = (
            '<?xml version="1.0"?><!DOCTYPE plist [<!ENTITY x SYSTEM "secret.txt">]><plist><string>&x;</string></plist>'
        )
        with pytest.raises(CatalogueError, match="no property list"):
            list(AppleMusicXml(write("Library.xml", outer.encode())).entries())

    @pytest.mark.parametrize("content", [plistlib.dumps([]), plistlib.dumps({"Tracks": []}), library_xml()[:200]])
    def test_laid_out_otherwise_is_named(self, content, write):
        with pytest.raises(CatalogueError, match=r"Library\.xml"):
            list(AppleMusicXml(write("Library.xml", content)).entries())


class TestAppleMusicExport:
    ROWS = (
        {
            "Content Type": "song", "Track Identifier": 12345, "Title": "So What", "Artist": "Miles Davis",
            "Album": "Kind of Blue", "Genre": "Jazz", "Track Duration": 545_000, "Track Like Rating": "liked",
        },
        {"Content Type": "Music Video", "Title": "Film", "Artist": "Band", "Track Identifier": 1},
        {"Title": "Nobody's", "Track Identifier": 2},
        17,
    )  # fmt: skip

    def test_accounts_for_every_row(self, write):
        library = AppleMusicExport(write("Apple Music Library Tracks.json", json.dumps(self.ROWS).encode()))
        assert taken(library) == [
            Entry("12345", "So What", ("Miles Davis",), "Kind of Blue", None, 545.0, ("Jazz",)),
        ]
        reasons = refused(library)
        assert len(reasons) == 3 and "'Music Video'" in reasons["Apple Music Library Tracks.json: [1]"]

    def test_is_found_packed_twice_as_apple_packs_it(self, write):
        name = "Apple Music Library Tracks.json"
        inner = zipped(**{name: json.dumps(self.ROWS).encode()})
        outer = zipped(**{f"Apple_Media_Services/Apple Music Activity/{name}.zip": inner, "other.csv": b""})
        assert len(taken(AppleMusicExport(write("Apple_Media_Services.zip", outer)))) == 1
        write(f"export/Apple Music Activity/{name}.zip", inner)
        assert len(taken(AppleMusicExport(write("export/x", b"").parent))) == 1


class TestArchivesWithinArchives:
    NAME = "Apple Music Library Tracks.json"
    CONTENT = json.dumps(TestAppleMusicExport.ROWS).encode()

    def test_are_opened_where_the_whole_export_is_packed_in_parts(self, write):
        media = zipped(**{f"x/{self.NAME}.zip": zipped(**{self.NAME: self.CONTENT})})
        parts = zipped(**{"Part/Apple_Media_Services.zip": media, "Part/Other.ZIP": zipped(**{"a.csv": b""})})
        path = write("Apple Media Services information Part 1 of 2.zip", parts)
        assert len(taken(AppleMusicExport(path))) == 1
        with pytest.raises(CatalogueError, match=r"no file YourLibrary\.json"):
            taken(SpotifyExport(path))

    def test_that_hold_it_twice_are_named(self, write):
        inner = zipped(**{self.NAME: self.CONTENT})
        with pytest.raises(CatalogueError, match=r"2 files .*\(a\.zip, b\.zip\)"):
            taken(AppleMusicExport(write("x.zip", zipped(**{"a.zip": inner, "b.zip": inner}))))

    def test_are_opened_one_within_another_no_deeper_than_that(self, write):
        deep = zipped(**{"c.zip": zipped(**{"b.zip": zipped(**{self.NAME: self.CONTENT})})})
        with pytest.raises(CatalogueError, match="no file Apple"):
            taken(AppleMusicExport(write("x.zip", deep)))

    @pytest.mark.parametrize("place", ["yourlibrary.json", "YOURLIBRARY.JSON.ZIP"])
    def test_capitals_in_the_files_name_do_not_matter(self, place, write):
        content = json.dumps(SPOTIFY_EXPORT).encode()
        if place.endswith("ZIP"):
            content = zipped(**{"yourLibrary.json": content})
        archive = write("x.zip", zipped(**{place: content}))
        folder = write(f"export/{place}", content).parent
        assert len(taken(SpotifyExport(archive))) == len(taken(SpotifyExport(folder))) == 3


TIDAL_CSV = '''\ufeffID;Title;Artist;Album;ISRC;Duration;Genre
1;So What;Miles Davis;Kind of Blue;USSM15900113;9:05;Jazz|Cool Jazz
2;"Semi; colon";One;"Al ""bum""";;200;
3;Too;Many;Fields;;1;;
4;;;;;;

5;Long;Artist;;;1:02:03.5;
6;Iso;Artist;;;PT3M25S;
7;Odd;Artist;;;soon;
'''


class TestTidal:
    def test_reads_the_default_columns_from_csv(self, write):
        library = TidalLibrary(write("tidal.csv", TIDAL_CSV.encode()))
        entries = taken(library)
        assert entries[0] == Entry(
            "1", "So What", ("Miles Davis",), "Kind of Blue", "USSM15900113", 545.0, ("Jazz", "Cool Jazz")
        )
        assert (entries[1].title, entries[1].album) == ("Semi; colon", 'Al "bum"')
        assert [entry.duration_s for entry in entries[1:]] == [200.0, 3723.5, 205.0, None]
        reasons = refused(library)
        assert list(reasons) == ["tidal.csv:4", "tidal.csv:5"] and "8 fields, the header 7" in reasons["tidal.csv:4"]

    def test_reads_the_columns_that_the_user_names(self, write):
        text = "Track name,Artist name,ISRC,Length (ms)\nSo What,Miles Davis,USSM15900113,545000\n"
        library = TidalLibrary(
            write("t.csv", text.encode()),
            title="Track Name",
            artist="artist name",
            duration="Length (ms)",
            milliseconds=True,
        )
        assert taken(library) == [Entry("t.csv:2", "So What", ("Miles Davis",), None, "USSM15900113", 545.0)]

    def test_reads_tabs_and_an_isrc_alone(self, write):
        assert taken(TidalLibrary(write("t.tsv", b"isrc\tx\nUSSM15900113\t1\n"))) == [
            Entry("t.tsv:2", isrc="USSM15900113")
        ]

    @pytest.mark.parametrize(
        "wrap",
        [lambda rows: rows, lambda rows: {"items": [{"item": row} for row in rows]}, lambda rows: {"tracks": rows}],
    )
    def test_reads_json_in_the_shapes_that_tools_write(self, wrap, write):
        rows = [
            {
                "id": 7, "title": "So What", "artists": [{"name": "Miles Davis"}, {"name": "Bill Evans"}],
                "album": {"title": "Kind of Blue"}, "isrc": "USSM15900113", "duration": 545,
            },
            {"id": 8, "title": "Plain", "artists": "One; Two", "genre": ["Jazz", "Jazz"]},
        ]  # fmt: skip
        library = TidalLibrary(write("t.json", json.dumps(wrap(rows)).encode()), artist="artists")
        assert taken(library) == [
            Entry("7", "So What", ("Miles Davis", "Bill Evans"), "Kind of Blue", "USSM15900113", 545.0),
            Entry("8", "Plain", ("One", "Two"), genres=("Jazz",)),
        ]

    def test_a_row_that_is_no_object_is_refused(self, write):
        library = TidalLibrary(write("t.json", b'[{"isrc": "USSM15900113"}, 3]'))
        assert refused(library) == {"t.json: [1]": "no object with the track's columns"}

    @pytest.mark.parametrize("content", [b"Name,Singer\nA,B\n", b'[{"name": "A"}]', b"[]", b"\n"])
    def test_without_columns_to_match_by_it_says_what_to_give(self, content, write):
        with pytest.raises(CatalogueError, match=r'--title "Track name"'):
            list(TidalLibrary(write("t", content)).entries())

    def test_a_field_that_is_longer_than_any_may_be_refuses_its_row_alone(self, write):
        library = TidalLibrary(write("t.csv", b"isrc\n" + b"x" * (1 << 24) + b"x\nUSSM15900113\n"))
        assert [entry.id for entry in taken(library)] == ["t.csv:3"]
        assert "field larger than" in refused(library)["t.csv:2"]

    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
    @pytest.mark.parametrize(
        "text", ["isrc,title,artist\n,J\u00f3ga,Bj\u00f6rk\n", '[{"title": "J\u00f3ga", "artist": "Bj\u00f6rk"}]']
    )
    def test_text_is_read_by_its_mark(self, text, encoding, write):
        (entry,) = taken(TidalLibrary(write("t", text.encode(encoding))))
        assert (entry.title, entry.artists) == ("J\u00f3ga", ("Bj\u00f6rk",))

    def test_text_in_another_encoding_is_an_error_that_names_its_line(self, write):
        text = "title,artist\nSo What,Miles Davis\nJ\u00f3ga,Bj\u00f6rk\n"
        with pytest.raises(CatalogueError, match=r"t\.csv is no UTF-8: line 3 .*Save it as UTF-8"):
            list(TidalLibrary(write("t.csv", text.encode("latin-1"))).entries())

    def test_a_stray_quotation_mark_refuses_its_row_alone(self, write):
        text = 'title\tartist\tgenre\nA\tX\trock\n"Heroes\tY\trock\nC\tX\tpop\n12" mix\tZ\tpop\n'
        library = TidalLibrary(write("t.tsv", text.encode()))
        assert [(entry.id, entry.title, entry.genres) for entry in taken(library)] == [
            ("t.tsv:2", "A", ("rock",)), ("t.tsv:4", "C", ("pop",)), ("t.tsv:5", '12" mix', ("pop",)),
        ]  # fmt: skip
        assert "open at the end of its line" in refused(library)["t.tsv:3"]

    def test_a_folder_is_no_file(self, tmp_path: Path):
        with pytest.raises(CatalogueError, match="Give the file itself"):
            list(TidalLibrary(tmp_path).entries())
