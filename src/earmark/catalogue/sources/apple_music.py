"""Apple Music: a listener's library over the Apple Music API, as Library.xml, or from the data export.

The API: ``GET /v1/me/library/songs?include=catalog``. A library song's own attributes hold names, length and genres;
the ISRC stands with the catalogue's song that it is related to, under ``relationships.catalog``. Songs that the
listener uploaded have no such relation, and so no ISRC. ``next`` is a path without the host, and may leave out all
parameters but the offset.

The catalogue's ``genreNames`` hold the root of Apple's tree of genres among the others, at any place, in the language
of the storefront ("Music", "Musik", "音楽"). It says nothing, so it is dropped, by `ROOTS`: the word for music in the
languages of Apple's storefronts, assumed and not checked against each of them. A root that is missing there would show
as a tag that all of the tracks have.

Library.xml (in the app: File > Library > Export Library…) was written down from memory and public parsers: a property
list with a dictionary ``Tracks``; Name, Artist, Album, Genre, and Total Time in milliseconds. It has no ISRCs. Films,
podcasts, series, books and music videos are in it too, and are refused.

The data export (privacy.apple.com, "Apple Music Library Tracks.json") by public parsers: a list of objects with Title,
Artist, Album, Genre, Track Duration in milliseconds, Track Identifier and Content Type. No ISRCs either.
"""

import plistlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar
from xml.parsers.expat import ExpatError

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

DEVELOPER_TOKEN, USER_TOKEN = "APPLE_MUSIC_DEVELOPER_TOKEN", "APPLE_MUSIC_USER_TOKEN"
_EXPORT, _XML = "Apple Music Library Tracks.json", "Library.xml"
_PAGE = 100

# fmt: off
ROOTS = frozenset({
    "music", "musik", "musique", "música", "musica", "muziek", "musikk", "musiikki", "muzyka", "hudba", "zene",
    "muzică", "glazba", "muzika", "mūzika", "glasba", "музыка", "музика", "μουσική", "müzik", "musiqi", "音楽",
    "ミュージック", "音乐", "音樂", "음악", "เพลง", "ดนตรี", "âm nhạc", "nhạc", "muzik", "संगीत", "מוזיקה", "מוסיקה",
    "موسيقى", "الموسيقى", "موسیقی", "tónlist", "muusika",
})
# fmt: on

# What Library.xml marks as something else than a song.
_NO_SONG = ("Movie", "TV Show", "Podcast", "Audiobook", "Books", "Music Video", "Has Video", "Voice Memo", "iTunesU")


@dataclass(frozen=True)
class AppleMusicLibrary(Library):
    """The Apple Music API: the library of the listener whose tokens are in the environment."""

    name: ClassVar[str] = "apple-music"
    licence: ClassVar[str | None] = (
        "Apple's developer agreement (MusicKit) says what its data may be used for; read it before training."
    )
    expects: ClassVar[str] = (
        f"A developer token in the environment variable {DEVELOPER_TOKEN} and a Music User Token in {USER_TOKEN}."
    )
    patience: ClassVar[Patience] = Patience()

    api: str = field(
        default="https://api.music.apple.com", metadata={"help": "Where the API answers; a proxy, for instance."}
    )

    def describe(self) -> str:
        """What this is, in one line."""
        return "the Apple Music API (library songs)"

    def entries(self) -> Iterator[Entry | Refusal]:
        """Every library song, in the service's order.

        Raises:
            CatalogueError: A token is missing, or the service refuses it or does not answer as it should.
        """
        with Service(
            "Apple Music",
            self.api,
            {
                "Authorization": f"Bearer {token(DEVELOPER_TOKEN, _DEVELOPER_REMEDY)}",
                "Music-User-Token": token(USER_TOKEN, _USER_REMEDY),
            },
            remedies={
                401: f"The developer token has expired or is none. {_DEVELOPER_REMEDY}",
                403: f"The Music User Token has expired, was withdrawn or is none. {_USER_REMEDY}",
            },
            patience=self.patience,
        ) as service:
            number, meta = 0, None
            params: dict[str, str | int] = {"limit": _PAGE, "offset": 0, "include": "catalog"}
            for page in service.pages("/v1/me/library/songs", params, rows="data"):
                meta = page.get("meta")
                for row in page["data"]:
                    yield _song(row, f"library song {number}")
                    number += 1
            yield from left_out(meta.get("total") if isinstance(meta, dict) else None, number, "library songs")


@dataclass(frozen=True)
class AppleMusicXml(Library):
    """Library.xml, as the Music app (or iTunes) exports it."""

    name: ClassVar[str] = "apple-music-xml"
    expects: ClassVar[str] = f"{_XML}, exported by the Music app (File > Library > Export Library…) or iTunes."

    path: Path

    def describe(self) -> str:
        """What this is, in one line."""
        return f"Apple Music's library file {self.path}"

    def entries(self) -> Iterator[Entry | Refusal]:
        """Every track of the file.

        Raises:
            CatalogueError: The file is missing, is no property list, or has no tracks.
        """
        content, where = read_export(self.path, _XML)
        try:
            library = plistlib.loads(content)
        except (ExpatError, ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise CatalogueError(
                f"{where} is no property list ({error or type(error).__name__}). Needed is {_XML}: in the Music app, "
                "File > Library > Export Library…"
            ) from None
        tracks = library.get("Tracks") if isinstance(library, dict) else None
        if not isinstance(tracks, dict):
            raise CatalogueError(f"{where} is a property list without a dictionary Tracks. Needed is {_XML}.")
        for key, row in tracks.items():
            at = f"{Path(where).name}: track {key}"
            if not isinstance(row, dict):
                yield Refusal(at, "row", "no dictionary with Name, Artist, Album and Genre")
                continue
            if kind := next((kind for kind in _NO_SONG if row.get(kind) is True), None):
                yield Refusal(at, "row", f"no song: it is marked {kind!r}")
                continue
            entry = Entry(
                id=as_text(row.get("Persistent ID")) or as_text(key) or at,
                title=as_text(row.get("Name")),
                artists=as_texts(row.get("Artist") or row.get("Album Artist")),
                album=as_text(row.get("Album")),
                duration_s=as_seconds(row.get("Total Time"), per_second=1_000),
                genres=_without_root(as_texts(row.get("Genre"))),
            )
            yield entry_or_refusal(entry, at)


@dataclass(frozen=True)
class AppleMusicExport(Library):
    """Apple's data export: "Apple Music Library Tracks.json"."""

    name: ClassVar[str] = "apple-music-export"
    expects: ClassVar[str] = f'"{_EXPORT}", or the folder or zip archive of the data export that holds it.'

    path: Path

    def describe(self) -> str:
        """What this is, in one line."""
        return f"Apple's data export {self.path}"

    def entries(self) -> Iterator[Entry | Refusal]:
        """Every track of the library.

        Raises:
            CatalogueError: The file is missing or laid out otherwise.
        """
        content, where = read_export(self.path, _EXPORT)
        tracks = parse_json(content, where)
        if not isinstance(tracks, list):
            raise CatalogueError(f'{where} is no list of tracks. Needed is "{_EXPORT}" of the data export.')
        for number, row in enumerate(tracks):
            at = f"{Path(where).name}: [{number}]"
            if not isinstance(row, dict):
                yield Refusal(at, "row", "no object with Title, Artist, Album and Genre")
                continue
            if (kind := as_text(row.get("Content Type"))) and kind.casefold() not in ("song", "songs", "music"):
                yield Refusal(at, "row", f"no song: its Content Type is {kind!r}")
                continue
            entry = Entry(
                id=as_text(row.get("Track Identifier")) or at,
                title=as_text(row.get("Title")),
                artists=as_texts(row.get("Artist") or row.get("Album Artist")),
                album=as_text(row.get("Album")),
                duration_s=as_seconds(row.get("Track Duration"), per_second=1_000),
                genres=_without_root(as_texts(row.get("Genre"))),
            )
            yield entry_or_refusal(entry, at)


_DEVELOPER_REMEDY = (
    "A developer token is signed with a MusicKit key of your Apple developer account and lasts six months at most "
    '(https://developer.apple.com/documentation/applemusicapi, "Generating Developer Tokens"); put it into '
    f"{DEVELOPER_TOKEN}. Then run the same command again: nothing was changed."
)
_USER_REMEDY = (
    "A Music User Token is given out when the listener signs in to a MusicKit page or app of yours (authorize()); it "
    f"ends with a change of password. Put it into {USER_TOKEN}. Then run the same command again: nothing was changed."
)


def _song(row: Any, where: str) -> Entry | Refusal:
    own = row.get("attributes") if isinstance(row, dict) else None
    if not isinstance(own, dict):
        return Refusal(where, "row", "no song with attributes")
    listed = _catalogue(row)
    genres = (_without_root(as_texts(attributes.get("genreNames"))) for attributes in (listed, own))
    entry = Entry(
        id=as_text(row.get("id")) or where,
        title=as_text(own.get("name")) or as_text(listed.get("name")),
        artists=as_texts(own.get("artistName")) or as_texts(listed.get("artistName")),
        album=as_text(own.get("albumName")) or as_text(listed.get("albumName")),
        isrc=as_text(listed.get("isrc")) or as_text(own.get("isrc")),
        duration_s=as_seconds(own.get("durationInMillis") or listed.get("durationInMillis"), per_second=1_000),
        genres=next(filter(None, genres), ()),
    )
    return entry_or_refusal(entry, where)


def _catalogue(row: dict[str, Any]) -> dict[str, Any]:
    """Attributes of the catalogue's song that this one is related to; empty where it is related to none."""
    found: Any = row
    try:
        found = found["relationships"]["catalog"]["data"][0]["attributes"]
    except (LookupError, TypeError):
        return {}
    return found if isinstance(found, dict) else {}


def _without_root(genres: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(genre for genre in genres if genre.casefold() not in ROOTS)
