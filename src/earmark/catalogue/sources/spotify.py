"""Spotify: a listener's saved tracks, from the account export or over the Web API.

The export (``YourLibrary.json``) was written down from memory and public parsers: ``tracks`` is a list of
``{artist, album, track, uri}``. It holds neither durations nor ISRCs nor genres, so it brings names alone, and its
matches are the weakest. ``bannedTracks``, albums, shows and the rest of the file are no saved tracks and not looked at.

The Web API: ``GET /me/tracks`` pages through the saved tracks with ISRC and duration. A row whose ``track`` is null is
no longer available; a row with ``is_local`` is a file of the listener's own. Genres sit on the artist, so each main
artist of a matched track is asked for once (``GET /artists/{id}``; looking up several at once is closed to most
applications since February 2026). Spotify often knows none, and an artist's genres are not always the song's.
"""

import dataclasses
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote

from earmark.catalogue.sources.calling import Patience, Service, token
from earmark.catalogue.sources.library import (
    Entry,
    Library,
    as_seconds,
    as_text,
    as_texts,
    entry_or_refusal,
    left_out,
    parse_json,
    read_export,
)
from earmark.catalogue.sources.source import Refusal
from earmark.errors import CatalogueError
from earmark.progress import progress

TOKEN = "SPOTIFY_TOKEN"
_FILE = "YourLibrary.json"
_PAGE = 50


@dataclass(frozen=True)
class SpotifyExport(Library):
    """Spotify's account export: the saved tracks in YourLibrary.json (names only)."""

    name: ClassVar[str] = "spotify-export"
    expects: ClassVar[str] = f"{_FILE}, or the folder or zip archive of the account data that holds it."

    path: Path

    def describe(self) -> str:
        """What this is, in one line."""
        return f"Spotify's account export {self.path}"

    def entries(self) -> Iterator[Entry | Refusal]:
        """Every saved track.

        Raises:
            CatalogueError: The file is missing or laid out otherwise.
        """
        content, where = read_export(self.path, _FILE)
        library = parse_json(content, where)
        tracks = library.get("tracks") if isinstance(library, dict) else None
        if not isinstance(tracks, list):
            raise CatalogueError(
                f'{where} has no list "tracks". Needed is {_FILE} of Spotify\'s "account data"; the streaming history '
                "and the playlists are other files."
            )
        for number, row in enumerate(tracks):
            at = f"{Path(where).name}: tracks[{number}]"
            if not isinstance(row, dict):
                yield Refusal(at, "row", "no object with artist, album, track and uri")
                continue
            entry = Entry(
                id=as_text(row.get("uri")) or at,
                title=as_text(row.get("track")),
                artists=as_texts(row.get("artist")),
                album=as_text(row.get("album")),
            )
            yield entry_or_refusal(entry, at)


@dataclass(frozen=True)
class SpotifyLibrary(Library):
    """Spotify's Web API: the saved tracks of the account whose token is in SPOTIFY_TOKEN."""

    name: ClassVar[str] = "spotify"
    licence: ClassVar[str | None] = (
        "Spotify's Developer Policy forbids training machine learning models on what its Web API returns. Train on "
        "these labels only where Spotify has allowed you to; matching and inspecting need no training."
    )
    expects: ClassVar[str] = f"An access token with the scope user-library-read in the environment variable {TOKEN}."
    patience: ClassVar[Patience] = Patience()

    api: str = field(
        default="https://api.spotify.com/v1", metadata={"help": "Where the Web API answers; a proxy, for instance."}
    )

    def describe(self) -> str:
        """What this is, in one line."""
        return "Spotify's Web API (saved tracks)"

    def entries(self) -> Iterator[Entry | Refusal]:
        """Every saved track, the last saved first; without genres (see `complete`).

        Raises:
            CatalogueError: There is no token, or the service refuses it or does not answer as it should.
        """
        with self._service() as service:
            number, total = 0, None
            for page in service.pages("/me/tracks", {"limit": _PAGE, "offset": 0}, rows="items"):
                total = page.get("total")
                for row in page["items"]:
                    yield _entry(row, f"saved track {number}")
                    number += 1
            yield from left_out(total, number, "saved tracks")

    def complete(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        """With the genres of their main artists, each artist asked for once.

        Raises:
            CatalogueError: As `entries`.
        """
        entries = list(entries)
        genres: dict[str | None, tuple[str, ...]] = {None: ()}
        with self._service() as service:
            artists = list(dict.fromkeys(entry.artist_id for entry in entries if entry.artist_id))
            for artist in progress(artists, description="genres", total=len(artists), unit="artist"):
                found = service.get(f"/artists/{quote(artist, safe='')}", missing={})
                genres[artist] = as_texts(found.get("genres"))
        for entry in entries:
            yield dataclasses.replace(entry, genres=genres[entry.artist_id])

    def _service(self) -> Service:
        return Service(
            "Spotify",
            self.api,
            {"Authorization": f"Bearer {token(TOKEN, _HOW_TO_GET_ONE)}"},
            remedies={
                401: f"The token has expired (they last an hour) or is none. {_HOW_TO_GET_ONE}",
                403: "The token lacks the scope user-library-read, or its application is in development mode and this "
                f"account is not on its list of users. {_HOW_TO_GET_ONE}",
            },
            patience=self.patience,
        )


_HOW_TO_GET_ONE = (
    "Get an access token with the scope user-library-read: create an application at "
    "https://developer.spotify.com/dashboard, go through its authorization code flow, and put the access token into "
    f"the environment variable {TOKEN}. Then run the same command again: nothing was changed."
)


def _entry(row: Any, where: str) -> Entry | Refusal:
    if not isinstance(row, dict) or "track" not in row:
        return Refusal(where, "row", "no object with a track, as Spotify's documentation has it")
    track = row["track"]
    if not isinstance(track, dict):
        return Refusal(where, "row", "Spotify has no such track any more (its track is null)")
    external = track.get("external_ids")
    album = track.get("album")
    artists = track.get("artists")
    first = artists[0] if isinstance(artists, list) and artists and isinstance(artists[0], dict) else {}
    entry = Entry(
        id=as_text(track.get("id")) or as_text(track.get("uri")) or where,  # a local file has no id
        title=as_text(track.get("name")),
        artists=as_texts(artists),
        album=as_text(album.get("name")) if isinstance(album, dict) else None,
        isrc=as_text(external.get("isrc")) if isinstance(external, dict) else None,
        duration_s=as_seconds(track.get("duration_ms"), per_second=1_000),
        artist_id=as_text(first.get("id")),
    )
    return entry_or_refusal(entry, where)
