"""What became of what listeners did: `/feedback`."""

from typing import Literal

from pydantic import BaseModel, Field


class RefusedEvent(BaseModel):
    """An event that was not taken, and why."""

    index: int = Field(ge=0)
    event_id: str | None
    reason: str


class FeedbackAnswer(BaseModel):
    """What became of the events, in numbers that add up."""

    accepted: int = Field(description="Kept; the rules of expectations.yaml judge them within a minute.", ge=0)
    known: int = Field(description="Had been sent before.", ge=0)
    refused: list[RefusedEvent]


class EventAnswer(BaseModel):
    """What became of one event."""

    event_id: str
    state: Literal["waiting", "taken", "refused"]
    reason: str | None
