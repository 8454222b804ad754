"""The client for asyncio: the methods of `Client`, to be awaited."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from earmark.client import talks
from earmark.client.retries import Retries
from earmark.client.shapes import Event
from earmark.client.talks import Pause, Request, Source, Talk, Told
from earmark.serving.answers import (
    Answer,
    BatchAnswer,
    ExplainAnswer,
    FeedbackAnswer,
    Lineage,
    LongAnswer,
    ModelCard,
    SimilarAnswer,
)

T = TypeVar("T")


class AsyncClient:
    """As `earmark.client.Client`, with ``async with`` and ``await``; requests may be under way beside each other."""

    def __init__(
        self,
        address: str,
        key: str | None = None,
        *,
        sticky: str | None = None,
        timeout: float = 120.0,
        retries: Retries | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._http = httpx.AsyncClient(**talks.connection(address, key, sticky, timeout), transport=transport)
        self._retries = retries or Retries()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def predict(self, recording: Source) -> Answer:
        """What the model says of ``recording``: a path, or the file's bytes."""
        return await self._carry(talks.predict(recording, self._retries))

    async def predict_batch(self, recordings: Iterable[Source]) -> BatchAnswer:
        """An item for each of ``recordings``, in their order: its answer, or why there is none."""
        return await self._carry(talks.predict_batch(recordings, self._retries))

    async def predict_long(self, recording: Source, *, progress: Told | None = None, poll_s: float = 1.0) -> LongAnswer:
        """What the model says of a recording that is too long to be answered at once, such as a concert or a set.

        Args:
            recording: A path, or the file's bytes; it is read while it is sent.
            progress: Is called with `Progress` now and then.
            poll_s: Seconds between two questions how far it is.
        """
        return await self._carry(talks.predict_long(recording, progress, poll_s, self._retries))

    async def explain(
        self, recording: Source, genre: str | None = None, *, rather_than: str | None = None
    ) -> ExplainAnswer:
        """What in ``recording`` speaks for ``genre`` [default: the most probable], against all others or one."""
        return await self._carry(talks.explain(recording, genre, rather_than, self._retries))

    async def explain_png(
        self, recording: Source, genre: str | None = None, *, rather_than: str | None = None
    ) -> bytes:
        """The same as a picture, PNG."""
        return await self._carry(talks.explain_png(recording, genre, rather_than, self._retries))

    async def similar(
        self, recording: Source | None = None, *, prediction_id: str | None = None, count: int = 10
    ) -> SimilarAnswer:
        """The songs of the catalogue that lie nearest to ``recording``, or to what ``prediction_id`` was said of."""
        return await self._carry(talks.similar(recording, prediction_id, count, self._retries))

    async def feedback(self, events: Iterable[Event | Mapping[str, Any]]) -> FeedbackAnswer:
        """Tell what listeners did. The same event sent again counts once."""
        return await self._carry(talks.feedback(events, self._retries))

    async def like(self, prediction_id: str, *, listener: str | None = None) -> FeedbackAnswer:
        """A thumb up for the song of this answer."""
        return await self._thumb(prediction_id, 1.0, listener)

    async def dislike(self, prediction_id: str, *, listener: str | None = None) -> FeedbackAnswer:
        """A thumb down for the song of this answer."""
        return await self._thumb(prediction_id, 0.0, listener)

    async def take_back(self, prediction_id: str, *, listener: str | None = None) -> FeedbackAnswer:
        """Neither of both any longer."""
        return await self._thumb(prediction_id, None, listener)

    async def model(self) -> ModelCard:
        """Which model answers, what it was trained on, how it did at the gates."""
        return await self._carry(talks.model(self._retries))

    async def lineage(self, prediction_id: str) -> Lineage:
        """The way back from an answer: version, run, commit, data."""
        return await self._carry(talks.lineage(prediction_id, self._retries))

    async def is_ready(self) -> bool:
        """Whether the service has a champion to answer with; also False where it cannot be reached."""
        return await self._carry(talks.is_ready())

    async def _thumb(self, prediction_id: str, value: float | None, listener: str | None) -> FeedbackAnswer:
        return await self.feedback([talks.thumb(prediction_id, value, listener)])

    async def _carry(self, talk: Talk[T]) -> T:
        try:
            step = next(talk)
            while True:
                try:
                    response = await self._do(step)
                except BaseException as trouble:
                    step = talk.throw(trouble)
                else:
                    step = talk.send(response)
        except StopIteration as end:
            answer: T = end.value
            return answer

    async def _do(self, step: Request | Pause) -> httpx.Response | None:
        if isinstance(step, Pause):
            await asyncio.sleep(step.seconds)
            return None
        with step.opened() as arguments:
            if "content" in arguments:
                arguments["content"] = _awaited(arguments["content"])
            return await self._http.request(**arguments)


async def _awaited(pieces: Iterable[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece
