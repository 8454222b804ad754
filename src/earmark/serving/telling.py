"""What listeners did, told to the service: `POST /feedback` takes events, each by itself, and keeps them at once.

Whether an event can be true, the rules of expectations.yaml say; they are asked soon after, in another process
(`earmark.serving.taking`), and `GET /feedback/{event_id}` tells what became of it.
"""

import json
import math
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from earmark.feedback.event import LONGEST_WORD
from earmark.serving.answers import FeedbackAnswer, RefusedEvent
from earmark.serving.records import Predicted, Records

MOST_EVENTS = 1_000
EVENT_ID = r"^[A-Za-z0-9._:\-]{1,64}$"
_NO_NUL = r"^[^\x00]*$"  # which PostgreSQL takes into no text
_Name = Annotated[str, Field(min_length=1, max_length=500, pattern=_NO_NUL)]

TELLING: dict[str, JsonValue] = {
    "events": [
        {
            "event_id": "5c0c1f0e-2a36-4bd5-9d3e-1c4a1f2f6a11",
            "kind": "like",
            "value": 1,
            "prediction_id": "3f0c9a52d1c94c0d8a53b9f06c1f4f0e",
        },
        {
            "event_id": "play-20260114-000017",
            "kind": "play",
            "track_id": "songbook/jig-0017",
            "listener": "listener 4711",
            "ms_played": 183000,
            "at": "2026-01-14T20:15:31Z",
        },
    ]
}


class EventRequest(BaseModel):
    """One thing that one listener did with a song or said about it."""

    model_config = ConfigDict(extra="forbid")

    event_id: str = Field(
        description="Of your own choice, never used twice: what is sent again under the same id counts once.",
        pattern=EVENT_ID,
    )
    kind: Literal["play", "skip", "like", "dislike", "rating", "feeling", "tag"]
    prediction_id: str | None = Field(None, description="The song that this answer was about.", max_length=64)
    track_id: _Name | None = Field(None, description="Or: a track of the catalogue.")
    isrc: _Name | None = Field(None, description="Or: any song, by its ISRC …")
    title: _Name | None = Field(None, description="… or by its title, together with `artist`.")
    artist: _Name | None = None
    value: float | None = Field(
        None, description="like, dislike, feeling: 1 yes, 0 no, null takes it back; rating: from 0 worst to 1 best."
    )
    word: str | None = Field(
        None, description="Of a feeling or tag.", min_length=1, max_length=LONGEST_WORD, pattern=_NO_NUL
    )
    ms_played: int | None = Field(None, description="For how long it sounded, in milliseconds.", ge=0, le=2**53)
    listener: _Name | None = Field(
        None, description="Who, as you call them; only a keyed hash is kept. Without: somebody new for each prediction."
    )
    at: datetime | None = Field(
        None, description="When, with its time zone. Without, it is a state, and a later one takes its place."
    )

    @model_validator(mode="after")
    def _whole(self) -> Self:
        named = self.prediction_id, self.track_id, self.isrc, self.title
        if sum(each is not None for each in named) != 1:
            raise ValueError("say the song by one of prediction_id, track_id, isrc, or title and artist")
        if (self.title is None) != (self.artist is None):
            raise ValueError("title and artist belong together")
        if (self.word is not None) != (self.kind in ("feeling", "tag")):
            raise ValueError("a feeling or a tag has a word, and nothing else has")
        if self.value is not None:
            if self.kind not in ("like", "dislike", "rating", "feeling"):
                raise ValueError(f"a {self.kind} has no value")
            if not math.isfinite(self.value) or not 0 <= self.value <= 1:
                raise ValueError("value should be from 0 to 1")
        elif self.kind == "rating":
            raise ValueError("a rating has a value from 0 to 1")
        if self.at is not None and self.at.tzinfo is None:
            raise ValueError("at should name its time zone, as in 2026-01-14T20:15:31Z")
        if self.kind == "play" and self.ms_played is None:
            raise ValueError("a play has ms_played")
        if self.ms_played is not None and self.kind not in ("play", "skip"):
            raise ValueError(f"a {self.kind} has no ms_played")
        return self


class FeedbackRequest(BaseModel):
    """Events, in order."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": TELLING})

    events: list[JsonValue] = Field(description="Each an `EventRequest`.", min_length=1, max_length=MOST_EVENTS)


def keep(
    records: Records, events: Sequence[JsonValue], track_of: Callable[[str], str | None] = lambda content_hash: None
) -> FeedbackAnswer:
    """Keep what can be an event; a bad one spoils no other.

    Args:
        records: Where.
        events: As they came in.
        track_of: The catalogue's track whose file has this hash, or None.

    Raises:
        FeedbackError: The database cannot be used; nothing was kept.
    """
    good: list[tuple[str, str]] = []
    refused: list[RefusedEvent] = []
    for index, raw in enumerate(events):
        try:
            event = EventRequest.model_validate(raw)
        except ValidationError as error:
            refused.append(RefusedEvent(index=index, event_id=_event_id(raw), reason=_why(error)))
            continue
        prediction = None
        if event.prediction_id is not None and (prediction := records.prediction(event.prediction_id)) is None:
            refused.append(RefusedEvent(index=index, event_id=event.event_id, reason="no prediction has this id"))
            continue
        good.append((event.event_id, json.dumps(_row(event, prediction, track_of), ensure_ascii=False)))
    new = records.tell(good) if good else []
    return FeedbackAnswer(accepted=sum(new), known=len(new) - sum(new), refused=refused)


def _row(event: EventRequest, prediction: Predicted | None, track_of: Callable[[str], str | None]) -> dict[str, Any]:
    """As `earmark.feedback.sources.service` reads it."""
    song: dict[str, Any] = {
        "track_id": event.track_id,
        "isrc": event.isrc,
        "title": event.title,
        "artist": event.artist,
    }
    listener = event.listener
    if prediction is not None:
        song = {"key": prediction.content_hash, "track_id": track_of(prediction.content_hash)}
        listener = listener or f"prediction {event.prediction_id}"
    row = {
        "event_id": event.event_id,
        "kind": event.kind,
        "listener": listener or f"event {event.event_id}",
        "value": event.value,
        "word": event.word,
        "ms_played": event.ms_played,
        "at_us": None if event.at is None else round(event.at.timestamp() * 1e6),
        **song,
    }
    return {name: value for name, value in row.items() if value is not None}


def _event_id(raw: JsonValue) -> str | None:
    """The id of what is no event, if it can be said: JSON may hold halves of letters, which no text can."""
    given = raw.get("event_id") if isinstance(raw, dict) else None
    if not isinstance(given, str):
        return None
    try:
        given.encode()
    except UnicodeEncodeError:
        return None
    return given


def _why(error: ValidationError) -> str:
    """What is wrong, without what was sent."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    said = str(first["msg"]).removeprefix("Value error, ")
    return f"{place}: {said}"[:300] if place else said[:300]
