"""What a file says of itself: artist, title, album, ISRC and genre, from ID3, Vorbis comments, MP4, ASF or APE tags.

A genre that earmark itself has written (`earmark predict --write-tags`) is not what somebody says of the song, and is
passed over: a model would learn from its own answers. Such a file says beside it what earmark wrote; a genre that has
been changed since is people's again.

Method: mutagen reads the tags; each format has its own names for the same five things.
"""

import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

ARTIST = "artist:"  # how a group begins that is an artist
ALONE = "track:"  # and one that is a single track, whose artist is unknown
_NAMES = {
    "artist": ("TPE1", "artist", "\xa9ART", "Author", "Artist", "TPE2", "albumartist", "aART", "WM/AlbumArtist"),
    "title": ("TIT2", "title", "\xa9nam", "Title"),
    "album": ("TALB", "album", "\xa9alb", "WM/AlbumTitle", "Album"),
    "isrc": ("TSRC", "isrc", "----:com.apple.iTunes:ISRC", "WM/ISRC", "ISRC"),
    "genre": ("TCON", "genre", "\xa9gen", "WM/Genre", "Genre"),
}
# The fields in which earmark notes what it has written into the usual ones, by what that is.
WROTE = {"genre": "EARMARK_WROTE_GENRE", "bpm": "EARMARK_WROTE_BPM", "key": "EARMARK_WROTE_KEY"}
_NOBODY = frozenset({"unknown artist", "unknown", "<unknown>", "[unknown]", "n/a", "no artist"})


@dataclass(frozen=True)
class Tags:
    """The five that a catalogue keeps; None where the file says nothing."""

    artist: str | None = None
    title: str | None = None
    album: str | None = None
    isrc: str | None = None
    genre: str | None = None


def read_tags(path: Path) -> Tags:
    """The tags of the file at ``path``; empty ones where there are none, or where they are too damaged to read."""
    import mutagen

    try:
        with path.open("rb") as file:  # an open file: mutagen too shall go by the bytes, and the name may be no text
            found = mutagen.File(file)
            tags = None if found is None else found.tags
            if tags is None:
                return Tags()
            machines = {name: _first(tags, _own_names(WROTE[name])) for name in WROTE}
            return Tags(**{ours: _first(tags, names, but=machines.get(ours)) for ours, names in _NAMES.items()})
    except Exception:  # mutagen meets damaged tags with errors of every kind; tags are no reason to refuse a recording
        return Tags()


def artist_group(artist: str | None, track_id: str) -> str:
    """What must stay on one side of a split: all of one artist, however the name is written; else the track alone.

    The prefixes keep an artist called like a track from being taken for it.
    """
    name = " ".join(unicodedata.normalize("NFKC", artist or "").casefold().split())
    return f"{ARTIST}{name}" if name and name not in _NOBODY else f"{ALONE}{track_id}"


def artist_keys(artists: "pd.Series") -> "pd.Series":
    """The group of each artist, equal for one name however it is written; null where the artist is unknown."""
    keys = {name: artist_group(name, "") for name in artists.dropna().unique()}
    return artists.map({name: key for name, key in keys.items() if key.startswith(ARTIST)}).astype("str")


def _own_names(name: str) -> tuple[str, ...]:
    return f"TXXX:{name}", name, f"----:com.apple.iTunes:{name}"


def _first(tags: Any, names: tuple[str, ...], *, but: str | None = None) -> str | None:
    for name in names:
        try:
            value = tags[name]
        except (KeyError, ValueError):  # ValueError: a Vorbis comment cannot have that name at all
            continue
        # An ID3 frame keeps its texts in one of these; a genre there may be a number, which mutagen knows by name.
        values = getattr(value, "genres", None) or getattr(value, "text", value)
        texts = [_text(each) for each in (values if isinstance(values, list | tuple) else [values])]
        if text := next((text for text in texts if text != but), ""):
            return text
    return None


def _text(value: Any) -> str:
    value = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    # Line breaks and other control characters have no place in a name.
    return re.sub(r"[\x00-\x1f\x7f]+", " ", value).encode("utf-8", "replace").decode().strip()
