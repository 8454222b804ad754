"""The client that waits for each answer."""

import time
from collections.abc import Iterable, Mapping
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


class Client:
    """One service; a context manager, and safe to share between threads.

    Every method raises `ClientError` or a child of it, and OSError where a file cannot be read.

    Args:
        address: Where the service is: ``http://127.0.0.1:3000``, also below a path of another server.
        key: An API key, where the service asks for one.
        sticky: A name for whoever asks: all requests under it are answered by the same version of the model while a
            new one is tried on some.
        timeout: Seconds without a byte after which a request is given up.
        retries: How often, and after how long, a request is sent again.
        transport: What carries the requests; for tests.
    """

    def __init__(
        self,
        address: str,
        key: str | None = None,
        *,
        sticky: str | None = None,
        timeout: float = 120.0,
        retries: Retries | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._http = httpx.Client(**talks.connection(address, key, sticky, timeout), transport=transport)
        self._retries = retries or Retries()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def predict(self, recording: Source) -> Answer:
        """What the model says of ``recording``: a path, or the file's bytes."""
        return self._carry(talks.predict(recording, self._retries))

    def predict_batch(self, recordings: Iterable[Source]) -> BatchAnswer:
        """An item for each of ``recordings``, in their order: its answer, or why there is none."""
        return self._carry(talks.predict_batch(recordings, self._retries))

    def predict_long(self, recording: Source, *, progress: Told | None = None, poll_s: float = 1.0) -> LongAnswer:
        """What the model says of a recording that is too long to be answered at once, such as a concert or a set.

        Args:
            recording: A path, or the file's bytes; it is read while it is sent.
            progress: Is called with `Progress` now and then.
            poll_s: Seconds between two questions how far it is.
        """
        return self._carry(talks.predict_long(recording, progress, poll_s, self._retries))

    def explain(self, recording: Source, genre: str | None = None, *, rather_than: str | None = None) -> ExplainAnswer:
        """What in ``recording`` speaks for ``genre`` [default: the most probable], against all others or one."""
        return self._carry(talks.explain(recording, genre, rather_than, self._retries))

    def explain_png(self, recording: Source, genre: str | None = None, *, rather_than: str | None = None) -> bytes:
        """The same as a picture, PNG."""
        return self._carry(talks.explain_png(recording, genre, rather_than, self._retries))

    def similar(
        self, recording: Source | None = None, *, prediction_id: str | None = None, count: int = 10
    ) -> SimilarAnswer:
        """The songs of the catalogue that lie nearest to ``recording``, or to what ``prediction_id`` was said of."""
        return self._carry(talks.similar(recording, prediction_id, count, self._retries))

    def feedback(self, events: Iterable[Event | Mapping[str, Any]]) -> FeedbackAnswer:
        """Tell what listeners did. The same event sent again counts once."""
        return self._carry(talks.feedback(events, self._retries))

    def like(self, prediction_id: str, *, listener: str | None = None) -> FeedbackAnswer:
        """A thumb up for the song of this answer."""
        return self._thumb(prediction_id, 1.0, listener)

    def dislike(self, prediction_id: str, *, listener: str | None = None) -> FeedbackAnswer:
        """A thumb down for the song of this answer."""
        return self._thumb(prediction_id, 0.0, listener)

    def take_back(self, prediction_id: str, *, listener: str | None = None) -> FeedbackAnswer:
        """Neither of both any longer."""
        return self._thumb(prediction_id, None, listener)

    def model(self) -> ModelCard:
        """Which model answers, what it was trained on, how it did at the gates."""
        return self._carry(talks.model(self._retries))

    def lineage(self, prediction_id: str) -> Lineage:
        """The way back from an answer: version, run, commit, data."""
        return self._carry(talks.lineage(prediction_id, self._retries))

    def is_ready(self) -> bool:
        """Whether the service has a champion to answer with; also False where it cannot be reached."""
        return self._carry(talks.is_ready())

    def _thumb(self, prediction_id: str, value: float | None, listener: str | None) -> FeedbackAnswer:
        return self.feedback([talks.thumb(prediction_id, value, listener)])

    def _carry(self, talk: Talk[T]) -> T:
        try:
            step = next(talk)
            while True:
                try:
                    response = self._do(step)
                except BaseException as trouble:
                    step = talk.throw(trouble)
                else:
                    step = talk.send(response)
        except StopIteration as end:
            answer: T = end.value
            return answer

    def _do(self, step: Request | Pause) -> httpx.Response | None:
        if isinstance(step, Pause):
            time.sleep(step.seconds)
            return None
        with step.opened() as arguments:
            return self._http.request(**arguments)
