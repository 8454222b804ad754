"""Spotify's Web API and the Apple Music API as their makers document them, over songs that a test gives."""

from typing import Any

from web_service import Answer, Request

SPOTIFY_TOKEN = "BQspotifySecretToken123"
DEVELOPER_TOKEN, USER_TOKEN = "eyDeveloperSecret456", "AmUserSecretToken789"


def spotify_track(number: int, **changes: Any) -> dict[str, Any]:
    """A saved track's full object, as far as it is documented and stable."""
    track = {
        "album": {"album_type": "album", "id": f"album{number}", "name": f"Album {number}", "type": "album"},
        "artists": [{"id": f"artist{number % 7}", "name": f"Artist {number % 7}", "type": "artist"}],
        "disc_number": 1,
        "duration_ms": 200_000 + 1_000 * number,
        "explicit": False,
        "external_ids": {"isrc": f"USABC26{number:05d}"},
        "id": f"track{number}",
        "is_local": False,
        "name": f"Song {number}",
        "type": "track",
        "uri": f"spotify:track:track{number}",
    }
    return track | changes


class Spotify:
    """``GET /v1/me/tracks`` and ``GET /v1/artists/{id}``."""

    def __init__(self, tracks: list[dict[str, Any] | None], genres: dict[str, list[str]] | None = None) -> None:
        self.tracks, self.genres, self.token = tracks, genres or {}, SPOTIFY_TOKEN

    def __call__(self, request: Request) -> Answer | None:
        if request.headers.get("authorization") != f"Bearer {self.token}":
            return Answer({"error": {"status": 401, "message": "The access token expired"}}, 401)
        if request.path == "/v1/me/tracks":
            return Answer(self.page(request))
        artist = request.path.removeprefix("/v1/artists/")
        if artist != request.path and artist in self.genres:
            return Answer({"id": artist, "name": artist, "genres": self.genres[artist], "type": "artist"})
        return None

    def page(self, request: Request) -> dict[str, Any]:
        limit, offset = int(request.query.get("limit", 20)), int(request.query.get("offset", 0))
        assert 1 <= limit <= 50
        here = f"http://{request.headers['host']}/v1/me/tracks"
        last = offset + limit >= len(self.tracks)
        return {
            "href": f"{here}?offset={offset}&limit={limit}",
            "items": [{"added_at": "2026-01-01T00:00:00Z", "track": t} for t in self.tracks[offset : offset + limit]],
            "limit": limit,
            "next": None if last else f"{here}?offset={offset + limit}&limit={limit}",
            "offset": offset,
            "previous": None,
            "total": len(self.tracks),
        }


def apple_song(number: int, *, catalogue: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """A library song; ``catalogue`` are attributes of the song that it is related to, None for an upload."""
    related = [] if catalogue is None else [{"id": f"{number}", "type": "songs", "attributes": catalogue}]
    attributes = {
        "albumName": f"Album {number}",
        "artistName": f"Artist {number % 7}",
        "discNumber": 1,
        "durationInMillis": 200_000 + 1_000 * number,
        "genreNames": ["Latin"],
        "name": f"Song {number}",
        "releaseDate": "2022-05-06",
        "trackNumber": 1,
    }
    return {
        "id": f"i.{number}",
        "type": "library-songs",
        "href": f"/v1/me/library/songs/i.{number}",
        "attributes": attributes | changes,
        "relationships": {"catalog": {"href": f"/v1/me/library/songs/i.{number}/catalog", "data": related}},
    }


class AppleMusic:
    """``GET /v1/me/library/songs``: relations where ``include`` asks for them, links that keep the offset alone."""

    def __init__(self, songs: list[Any]) -> None:
        self.songs = songs

    def __call__(self, request: Request) -> Answer | None:
        if request.headers.get("authorization") != f"Bearer {DEVELOPER_TOKEN}":
            return Answer(b"", 401)
        if request.headers.get("music-user-token") != USER_TOKEN:
            error = {"id": "X", "title": "Forbidden", "detail": "Invalid authentication", "status": "403"}
            return Answer({"errors": [error]}, 403)
        if request.path != "/v1/me/library/songs":
            return None
        limit, offset = int(request.query.get("limit", 25)), int(request.query.get("offset", 0))
        assert 1 <= limit <= 100
        songs = self.songs[offset : offset + limit]
        if request.query.get("include") != "catalog":
            songs = [{key: value for key, value in song.items() if key != "relationships"} for song in songs]
        page: dict[str, Any] = {"data": songs, "meta": {"total": len(self.songs)}}
        if offset + limit < len(self.songs):
            page["next"] = f"/v1/me/library/songs?offset={offset + limit}"
        return Answer(page)
