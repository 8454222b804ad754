"""What the client sends, and what it tells besides the service's own answers."""

import uuid
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

Kind = Literal["like", "dislike", "play", "skip", "rating", "feeling", "tag"]


class Event(BaseModel):
    """Something that a listener did with a song: one that was asked about, one of the catalogue, or any by its name.

    It names itself, so that sending it twice, or after a connection that broke, counts once. What fits together, the
    service says (`POST /feedback` on its page /api).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Kind
    event_id: str = Field(default_factory=lambda: uuid.uuid4().hex)
    prediction_id: str | None = None
    track_id: str | None = None
    isrc: str | None = None
    title: str | None = None
    artist: str | None = None
    value: float | None = None
    word: str | None = None
    ms_played: int | None = None
    listener: str | None = None
    at: AwareDatetime | None = None

    def content(self) -> dict[str, Any]:
        """As it is sent. A ``value`` that was set to None is: it takes a thumb back."""
        told = self.model_dump(mode="json")
        kept = {name for name, value in told.items() if value is not None}
        return {
            name: told[name] for name in told if name in kept or (name == "value" and name in self.model_fields_set)
        }


@dataclass(frozen=True)
class Progress:
    """How far a long recording is.

    Attributes:
        doing: ``sending`` it (``done`` and ``of`` in bytes), then the service is ``hearing`` it (in seconds of music).
        done: So much is done.
        of: Of so much; None where that is not known.
    """

    doing: Literal["sending", "hearing"]
    done: float
    of: float | None
