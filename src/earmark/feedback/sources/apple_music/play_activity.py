"""``Apple Music Play Activity.csv``: a row whenever playback stopped, with its time, its length and why it ended.

About 145 columns, which come and go with the years; these are read:

* Song Name (until about 2020 Content Name), Artist Name (gone since), Album Name, Container Artist Name, Container
  Album Name, Container Type, Media Duration In Milliseconds.
* Event Type: ``PLAY_END`` is a play; so is a row without any (2015 and 2016, before there was the column's content).
  ``PLAY_START`` is told once more by its ``PLAY_END``; ``LYRIC_DISPLAY`` is no listening.
* Media Type (``AUDIO``, ``VIDEO``), Item Type (only ``ITUNES_STORE_CONTENT`` is a song of the catalogue: no adverts,
  radio streams, uploads) and, in old exports, Content Specific Type.
* Event Start, End and Received Timestamp: UTC, ``2018-08-02T17:55:09.011Z``. So UTC Offset In Seconds, which tells the
  listener's clock, is not needed. Where the end is missing it is the start and what was played, or when Apple received
  the row less Milliseconds Since Play.
* Play Duration Milliseconds: how far playback went. It may be below 0, or longer than the song: judged at the door.
* End Reason Type, which may have white space around it: see `ENDS`.

One listening may be several rows: a pause, a suspended app and a jump on the time line end one each. Rows do not come
in order of time, so the pieces are told one by one, each with its own length; whoever counts listenings joins what one
listener heard of one song within minutes. A row that ends with ``SCRUB_END`` is no piece: its length is how far was
jumped, often backwards (Play Duration −147000 from position 147000 to 0, in a public sample).

Feature Name ("library / album_detail", "search", "for_you") tells from where a queue was begun, for all of its songs,
so it does not tell whether this one was picked: `Event.started` stays unknown. "Use Listening History" was FALSE in
all rows of a public sample, whatever was played, so nothing is made of it. The values of Event Type, Item Type and End
Reason Type are those that Apple's own MusicKit JS knows.
"""

from collections.abc import Iterator

from earmark.catalogue.labels.titles import artist_keys
from earmark.catalogue.sources.library import as_text
from earmark.catalogue.sources.tables import Row as TableRow
from earmark.feedback.event import About, Ended, Event
from earmark.feedback.sources.apple_music.clues import Clues
from earmark.feedback.sources.apple_music.songs import song
from earmark.feedback.sources.delimited import table_rows
from earmark.feedback.sources.moments import DAY_US, from_iso
from earmark.feedback.sources.reading import Part
from earmark.feedback.sources.source import Refused, Row
from earmark.feedback.sources.values import whole

NEEDED = (("song name", "content name"), ("event end timestamp", "event start timestamp"))

# Why playback ended. Going back is none of these: the song is heard again, or the one before.
ENDS: dict[str, Ended | None] = {
    "NATURAL_END_OF_TRACK": "complete",
    "TRACK_SKIPPED_FORWARDS": "skipped",
    "MANUALLY_SELECTED_PLAYBACK_OF_A_DIFF_ITEM": "skipped",
    "TRACK_BANNED": "skipped",
    "PLAYBACK_MANUALLY_PAUSED": "stopped",
    "PLAYBACK_SUSPENDED": "stopped",
    "EXITED_APPLICATION": "stopped",
    "PLAYBACK_PAUSED_DUE_TO_INACTIVITY": "stopped",
    "PLAYBACK_STOPPED_DUE_TO_SESSION_TIMEOUT": "stopped",
    "PAUSED_ON_TIMEOUT": "stopped",
    "FAILED_TO_LOAD": "failed",
    "NOT_SUPPORTED_BY_CLIENT": "failed",
    "TRACK_SKIPPED_BACKWARDS": None,
    "SCRUB_BEGIN": None,
    "QUICK_PLAY": None,
    "NOT_APPLICABLE": None,
    "OTHER": None,
}
_JUMP = "SCRUB_END"
_SONG = "ITUNES_STORE_CONTENT"
_MIXED = ("PLAYLIST", "RADIO")  # containers whose artist is not the song's


def rows(part: Part, clues: Clues) -> Iterator[Row]:
    """Every row, once: a play, a skip, or refused.

    Raises:
        FeedbackError: It is another table.
    """
    for row in table_rows(part, NEEDED):
        yield row if isinstance(row, Refused) else _play(row, clues)


def _play(row: TableRow, clues: Clues) -> Row:
    reason = (row.get("end reason type") or "").upper()
    if no_play := _no_play(row, reason):
        return Refused(row.where, no_play)
    title = as_text(row.get("song name") or row.get("content name"))
    if not title:
        return Refused(row.where, "no song: it has no name")
    at_us = _ended_us(row)
    if at_us is None:
        return Refused(row.where, "no time: neither its end nor its start can be read")
    day = at_us // DAY_US
    if clues.left_out(title, day):
        return Refused(row.where, "the listener wants it left out: Ignore For Recommendations")
    album = as_text(row.get("album name") or row.get("container album name"))
    artist = as_text(row.get("artist name")) or _container_artist(row)
    if not artist:
        try:
            artist = clues.artist(title, album, day)
        except LookupError as error:
            return Refused(row.where, f"no artist: {error.args[0]}")
    ended = ENDS.get(reason)
    return Event(
        row.where,
        song(title, artist, album, row.get("media duration in milliseconds")),
        "skip" if ended == "skipped" else "play",
        None,
        at_us=at_us,
        ms_played=whole(row.get("play duration milliseconds")),
        ended=ended,
        about=_about(row.get("iso country")),
    )


def _no_play(row: TableRow, reason: str) -> str | None:
    """Why a row tells of no listening to a song, if it does not."""
    event = (row.get("event type") or "PLAY_END").upper()
    if event == "PLAY_START":
        return "no play: it is a PLAY_START, told by its PLAY_END"
    if event != "PLAY_END":
        return f"no play: its Event Type is {event[:40]}"
    media, item = (row.get("media type") or "AUDIO").upper(), (row.get("item type") or _SONG).upper()
    if media != "AUDIO":
        return f"no song: its Media Type is {media[:40]}"
    if item != _SONG:
        return f"no song: its Item Type is {item[:40]}"
    if (kind := row.get("content specific type")) and kind.casefold() != "song":
        return f"no song: its Content Specific Type is {kind[:40]}"
    if reason == _JUMP:
        return "no play: SCRUB_END tells how far was jumped, not how long was listened"
    return None


def _ended_us(row: TableRow) -> int | None:
    """When playback ended."""
    if (end_us := from_iso(row.get("event end timestamp"))) is not None:
        return end_us
    if (start_us := from_iso(row.get("event start timestamp"))) is not None:
        return start_us + 1000 * max(whole(row.get("play duration milliseconds")) or 0, 0)
    received_us = from_iso(row.get("event received timestamp"))
    since = whole(row.get("milliseconds since play"))
    return received_us - 1000 * since if received_us is not None and since is not None else None


def _container_artist(row: TableRow) -> str | None:
    """The artist of the album or the artist's page that was played; "Various Artists" is nobody."""
    name = as_text(row.get("container artist name"))
    mixed = (row.get("container type") or "").upper() in _MIXED
    return name if name and not mixed and artist_keys([name]) else None


def _about(country: str | None) -> About | None:
    return About(country=country.upper()) if country and len(country) == 2 and country.isalpha() else None
