"""Events that came in through earmark's own service: `POST /feedback`.

PATH is a file of JSON lines, as `earmark.serving.taking` writes it of what waits in the service's records. Each line is
an object: ``event_id``, ``kind``, ``listener``, and as they are known ``track_id``, ``key`` (what the song is called
where it was uploaded: the hash of its file), ``title``, ``artist``, ``isrc``, ``value``, ``word``, ``ms_played``,
``at_us`` (microseconds since 1970 UTC).
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from earmark.feedback.event import KINDS, Event, Song, named_key
from earmark.feedback.sources.reading import Part, parts_or_itself
from earmark.feedback.sources.source import FeedbackSource, Refused, Row


@dataclass(frozen=True)
class ServiceEvents(FeedbackSource):
    """What was told to earmark's own service: likes, plays and skips, feelings."""

    name: ClassVar[str] = "service"
    service: ClassVar[str] = "earmark"
    expects: ClassVar[str] = "JSON lines, as the service writes them; `earmark feedback take` brings them by itself."
    tells_listener: ClassVar[bool] = True
    names_later: ClassVar[bool] = True

    def files(self) -> list[Part]:
        """The one file."""
        return parts_or_itself(self.path, "*.jsonl")

    def rows(self, part: Part) -> Iterator[Row]:
        """An event a line."""
        with part.open() as stream:
            for number, line in enumerate(stream, start=1):
                told = json.loads(line)
                where = str(told.get("event_id", f"{part.label}:{number}"))
                if told.get("kind") not in KINDS:
                    yield Refused(where, "no kind of event")
                    continue
                title, artist = told.get("title"), told.get("artist")
                song = Song(
                    self.service,
                    told.get("key") or told.get("track_id") or told.get("isrc") or named_key(title, artist),
                    title,
                    artist,
                    isrc=told.get("isrc"),
                    track_id=told.get("track_id"),
                )
                yield Event(
                    where,
                    song,
                    told["kind"],
                    told["listener"],
                    at_us=told.get("at_us"),
                    ms_played=told.get("ms_played"),
                    value=told.get("value"),
                    word=told.get("word"),
                    ended="skipped" if told["kind"] == "skip" else None,
                )
