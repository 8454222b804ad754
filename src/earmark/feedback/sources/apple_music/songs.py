"""Apple Music's songs, and what a listener says of them, as events."""

from functools import lru_cache
from typing import Literal

from earmark.catalogue.sources.library import as_seconds, as_text
from earmark.feedback.event import Event, Song, named_key

SERVICE = "apple-music"

Opinion = Literal["liked", "disliked", "taken back"]

# What several formats and years write, without regard to case.
OPINIONS: dict[str, Opinion] = {
    "like": "liked", "liked": "liked", "love": "liked", "loved": "liked", "favorite": "liked", "favorited": "liked",
    "dislike": "disliked", "disliked": "disliked", "none": "taken back", "neutral": "taken back",
}  # fmt: skip
_VALUES: dict[Opinion, tuple[float | None, float | None]] = {
    "liked": (1.0, 0.0), "disliked": (0.0, 1.0), "taken back": (None, None),
}  # fmt: skip


@lru_cache(maxsize=65_536)
def song(title: str, artist: str, album: str | None = None, milliseconds: object = None) -> Song:
    """A song by its names; ``milliseconds`` is its length as the file has it."""
    duration_s = as_seconds(milliseconds, per_second=1_000)
    return Song(SERVICE, named_key(title, artist), title, artist, album, duration_s=duration_s)


def artist_and_title(description: str | None) -> tuple[str, str] | None:
    """The two names in "artist - title"; None where it is no such text ("Apple Music 1", a radio station).

    It is parted at the first " - ": titles with one ("Hello - Live") are many, artists few.
    """
    artist, dash, title = (as_text(description) or "").partition(" - ")
    return (artist, title) if dash and artist and title else None


def said(where: str, of: Song, opinion: Opinion, at_us: int | None = None) -> tuple[Event, Event]:
    """A like or a dislike: Apple has one scale for both, so each is said on both."""
    like, dislike = _VALUES[opinion]
    return (
        Event(where, of, "like", None, at_us=at_us, value=like),
        Event(where, of, "dislike", None, at_us=at_us, value=dislike),
    )


def rated(where: str, of: Song, rating: object) -> tuple[Event, ...]:
    """A rating of 20 (one star) to 100; 0 is none. A number up to 5 is taken for stars (assumed)."""
    if isinstance(rating, bool) or not isinstance(rating, int | float) or not 0 < rating <= 100:
        return ()
    stars = rating if rating <= 5 else rating / 20
    return (Event(where, of, "rating", None, value=max(stars - 1, 0) / 4),)


def counted(where: str, of: Song, plays: object, skips: object) -> tuple[Event, ...]:
    """How often a song was played and how often skipped, ever: states, which a later import brings up to date."""
    pairs: tuple[tuple[Literal["play", "skip"], object], ...] = (("play", plays), ("skip", skips))
    return tuple(
        Event(where, of, kind, None, times=int(times), ended="skipped" if kind == "skip" else None)
        for kind, times in pairs
        if isinstance(times, int | float) and not isinstance(times, bool) and 1 <= times < float("inf")
    )
