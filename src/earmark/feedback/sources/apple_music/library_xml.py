"""``Library.xml``, as the Music app (File > Library > Export Library…) or iTunes writes it: counts, ratings, likes.

A property list whose dictionary Tracks has a dictionary for each track: Name, Artist, Album, Total Time
(milliseconds), Play Count, Skip Count, Rating (20 a star; with Rating Computed it is the album's, not the listener's),
Loved or Favorited, Disliked (this last one from memory). Counts are lifetime states without a time. Files of other
kinds stand among the songs, and are refused.

It is read track by track: a library of 200,000 tracks is 300 MB of XML, and `plistlib` would make several gigabytes of
it. Playlists, which come last, are not read at all.
"""

from collections.abc import Iterator
from typing import Any
from xml.etree.ElementTree import Element, ParseError, iterparse

from earmark.catalogue.sources.library import as_text
from earmark.errors import FeedbackError
from earmark.feedback.sources.apple_music.songs import counted, rated, said, song
from earmark.feedback.sources.reading import Part
from earmark.feedback.sources.source import Refused, Row

# What is marked as something else than a song.
_NO_SONG = ("Movie", "TV Show", "Podcast", "Audiobook", "Books", "Music Video", "Has Video", "Voice Memo", "iTunesU")
_SECTION, _TRACK = 3, 4  # how deep the entries of the whole, and each track's dictionary lie


def rows(part: Part) -> Iterator[Row]:
    """Every track, once: all that is told of it, or refused.

    Raises:
        FeedbackError: It is no property list, or has no tracks.
    """
    for number, track in _tracks(part):
        where = f"{part.label}:track {number}"
        yield _track(where, track) if track is not None else Refused(where, "no dictionary with Name and Artist")


def _track(where: str, track: dict[str, Any]) -> Row:
    if kind := next((kind for kind in _NO_SONG if track.get(kind) is True), None):
        return Refused(where, f"no song: it is marked {kind}")
    title, artist = as_text(track.get("Name")), as_text(track.get("Artist")) or as_text(track.get("Album Artist"))
    if not (title and artist):
        return Refused(where, "no song: it lacks the title or the artist")
    of = song(title, artist, as_text(track.get("Album")), track.get("Total Time"))
    own = None if track.get("Rating Computed") is True else track.get("Rating")
    liked = track.get("Loved") is True or track.get("Favorited") is True
    events = (
        *counted(where, of, track.get("Play Count"), track.get("Skip Count")),
        *rated(where, of, own),
        *(said(where, of, "liked") if liked else said(where, of, "disliked") if track.get("Disliked") is True else ()),
    )
    return events or Refused(where, "nothing told: never played, skipped, rated or liked")


def _tracks(part: Part) -> Iterator[tuple[str, dict[str, Any] | None]]:
    """Number and content of each track, from the text as it comes; None where there is no dictionary."""
    section = number = ""
    found = False
    inside: list[Element] = []  # the elements that are open
    try:
        with part.open() as stream:
            for event, element in iterparse(stream, events=("start", "end")):
                if event == "start":
                    inside.append(element)
                    continue
                depth = len(inside)
                inside.pop()
                if depth == _SECTION and element.tag == "key":
                    if found:  # the tracks are through
                        return
                    section = element.text or ""
                    found = section == "Tracks"
                elif depth == _TRACK and section == "Tracks":
                    if element.tag == "key":
                        number = element.text or ""
                    else:
                        yield number, _content(element) if element.tag == "dict" else None
                if depth in (_SECTION, _TRACK):
                    inside[-1].clear()
    except (ParseError, ValueError, LookupError) as error:  # the last two: an encoding that the parser does not know
        raise FeedbackError(
            f"{part.name} is no property list, or damaged ({error}). Needed is Library.xml: in the Music app, File > "
            "Library > Export Library…. What stood before was read."
        ) from None
    if not found:
        raise FeedbackError(f"{part.name} is XML without a dictionary Tracks. Needed is the Music app's Library.xml.")


def _content(element: Element) -> dict[str, Any]:
    """A dictionary of a property list; of values that are no texts, numbers or booleans, the text."""
    pairs = zip(element[::2], element[1::2], strict=False)
    return {key.text or "": _value(value) for key, value in pairs}


def _value(element: Element) -> Any:
    if element.tag in ("true", "false"):
        return element.tag == "true"
    if element.tag in ("integer", "real"):
        try:
            number = float(element.text or "")
            return int(number) if number.is_integer() else number
        except (ValueError, OverflowError):
            return None
    return element.text
