"""What the client says and understands, without a network: each method of it as a talk.

A talk is a generator. It yields what is to be sent, gets the response (or the trouble) back, and returns the answer in
the end; or it yields a pause. So the client that waits and the one for asyncio share all of it: both only carry.
"""

import contextlib
import os
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel

from earmark.client.errors import Cancelled, ClientError, error_of, trouble_of
from earmark.client.retries import Retries
from earmark.client.shapes import Event, Progress
from earmark.serving.answers import (
    Answer,
    BatchAnswer,
    BatchItem,
    ExplainAnswer,
    FeedbackAnswer,
    Lineage,
    LongAnswer,
    ModelCard,
    RefusedEvent,
    SimilarAnswer,
)

Source = str | os.PathLike[str] | bytes
Told = Callable[[Progress], object]
Shape = TypeVar("Shape", bound=BaseModel)
T = TypeVar("T")

FILES_A_REQUEST = 8
EVENTS_A_REQUEST = 500
_PIECE_BYTES = 1 << 20


@dataclass(frozen=True)
class Pause:
    """Nothing is to be sent for so many seconds."""

    seconds: float


@dataclass(frozen=True)
class Request:
    """One request, which can be sent more than once.

    Attributes:
        method: GET, POST or PUT.
        path: Below the service's address.
        files: (form field, recording) each; opened anew whenever the request is sent, and read while it is.
        body: A recording that is the body itself.
        told: Is called while ``body`` goes out.
        more: Further arguments of `httpx.Client.request`.
        harmless: Whether it may be sent again though it may have been answered.
    """

    method: str
    path: str
    files: tuple[tuple[str, Source], ...] = ()
    body: Source | None = None
    told: Told | None = None
    more: Mapping[str, Any] = field(default_factory=dict)
    harmless: bool = True

    @contextlib.contextmanager
    def opened(self) -> Iterator[dict[str, Any]]:
        """Arguments of `httpx.Client.request`; its files are open until the block ends."""
        with contextlib.ExitStack() as held:
            arguments = {"method": self.method, "url": self.path, **self.more}
            if self.files:
                arguments["files"] = [(name, _opened(held, source)) for name, source in self.files]
            if self.body is not None:
                size = len(self.body) if isinstance(self.body, bytes) else Path(self.body).stat().st_size
                kind = {"content-type": "application/octet-stream", "content-length": str(size)}
                arguments |= {"content": Pieces(_opened(held, self.body)[1], size, self.told), "headers": kind}
            yield arguments


class Pieces:
    """A file as httpx wants a body that it streams: to be gone through once."""

    def __init__(self, file: bytes | BinaryIO, size: int, told: Told | None) -> None:
        self._file, self._size, self._told = file, size, told

    def __iter__(self) -> Iterator[bytes]:
        sent = 0
        whole = [self._file] if isinstance(self._file, bytes) else iter(lambda: self._file.read(_PIECE_BYTES), b"")  # type: ignore[union-attr]
        for piece in whole:
            yield piece
            sent += len(piece)
            if self._told:
                self._told(Progress("sending", sent, self._size))


def connection(address: str, key: str | None, sticky: str | None, timeout_s: float) -> dict[str, Any]:
    """Arguments of httpx's clients."""
    headers = {"accept": "application/json"}
    if key is not None:
        headers["authorization"] = f"Bearer {key}"
    if sticky is not None:
        headers["x-earmark-key"] = sticky
    return {"base_url": address, "headers": headers, "timeout": httpx.Timeout(timeout_s, connect=min(timeout_s, 10.0))}


Talk = Generator[Request | Pause, httpx.Response | None, T]


def asked(request: Request, retries: Retries) -> Talk[httpx.Response]:
    """Send ``request``, again where that helps, and return its good answer.

    Raises:
        ClientError: There is none.
    """
    attempt = 0
    while True:
        try:
            response = yield request
            assert response is not None
            if response.is_success:
                return response
            error = error_of(response)
        except httpx.HTTPError as trouble:
            error = trouble_of(trouble)
        wait_s = retries.wait_s(error, attempt=attempt, harmless=request.harmless)
        if wait_s is None:
            raise error
        yield Pause(wait_s)
        attempt += 1


def read(shape: type[Shape], request: Request, retries: Retries) -> Talk[Shape]:
    """As `asked`; the answer in its shape."""
    response = yield from asked(request, retries)
    try:
        return shape.model_validate_json(response.content)
    except ValueError as error:  # pydantic's is one
        raise _misunderstood(response, error) from error


def read_json(request: Request, retries: Retries) -> Talk[Any]:
    """As `asked`; the answer as plain values."""
    response = yield from asked(request, retries)
    try:
        return response.json()
    except ValueError as error:
        raise _misunderstood(response, error) from error


def predict(source: Source, retries: Retries) -> Talk[Answer]:
    """`POST /predict`."""
    return (yield from read(Answer, Request("POST", "predict", files=(("file", source),)), retries))


def predict_batch(sources: Iterable[Source], retries: Retries) -> Talk[BatchAnswer]:
    """`POST /predict_batch`, as often as it takes."""
    items: list[BatchItem] = []
    for part in _parts(sources, FILES_A_REQUEST):
        request = Request("POST", "predict_batch", files=tuple(("files", source) for source in part))
        answer = yield from read(BatchAnswer, request, retries)
        before = len(items)
        items += [item.model_copy(update={"index": before + item.index}) for item in answer.items]
    return BatchAnswer(items=items)


def explained(source: Source, genre: str | None, rather_than: str | None, *, png: bool) -> Request:
    """`POST /explain`."""
    fields = {"genre": genre, "rather_than": rather_than}
    more: dict[str, Any] = {"data": {name: value for name, value in fields.items() if value is not None}}
    if png:
        more |= {"params": {"format": "png"}, "headers": {"accept": "image/png"}}
    return Request("POST", "explain", files=(("file", source),), more=more)


def explain(source: Source, genre: str | None, rather_than: str | None, retries: Retries) -> Talk[ExplainAnswer]:
    """`POST /explain` for its numbers."""
    return (yield from read(ExplainAnswer, explained(source, genre, rather_than, png=False), retries))


def explain_png(source: Source, genre: str | None, rather_than: str | None, retries: Retries) -> Talk[bytes]:
    """`POST /explain` for its picture."""
    response = yield from asked(explained(source, genre, rather_than, png=True), retries)
    return response.content


def similar(source: Source | None, prediction_id: str | None, count: int, retries: Retries) -> Talk[SimilarAnswer]:
    """`POST /similar`, of a recording or of an answer."""
    if (source is None) == (prediction_id is None):
        raise ValueError("Give either a recording or a prediction_id.")
    fields = {"count": str(count)} | ({} if prediction_id is None else {"prediction_id": prediction_id})
    # httpx sends fields alone as another kind of body; a field without a file's name makes it the form that is read.
    more = {"data": fields} if source is not None else {"files": {name: (None, text) for name, text in fields.items()}}
    files = () if source is None else (("file", source),)
    return (yield from read(SimilarAnswer, Request("POST", "similar", files=files, more=more), retries))


def feedback(events: Iterable[Event | Mapping[str, Any]], retries: Retries) -> Talk[FeedbackAnswer]:
    """`POST /feedback`, as often as it takes. Every event has its id before the first try, so none counts twice."""
    sent = accepted = known = 0
    refused: list[RefusedEvent] = []
    whole = [event if isinstance(event, Event) else Event.model_validate(event) for event in events]
    for part in _parts(whole, EVENTS_A_REQUEST):
        request = Request("POST", "feedback", more={"json": {"events": [event.content() for event in part]}})
        answer = yield from read(FeedbackAnswer, request, retries)
        accepted, known = accepted + answer.accepted, known + answer.known
        refused += [each.model_copy(update={"index": sent + each.index}) for each in answer.refused]
        sent += len(part)
    return FeedbackAnswer(accepted=accepted, known=known, refused=refused)


def thumb(prediction_id: str, value: float | None, listener: str | None) -> Event:
    """A thumb for the song of an answer: 1 up, 0 down, None taken back."""
    return Event(kind="like", prediction_id=prediction_id, value=value, listener=listener)


def model(retries: Retries) -> Talk[ModelCard]:
    """`GET /model`."""
    return (yield from read(ModelCard, Request("GET", "model"), retries))


def lineage(prediction_id: str, retries: Retries) -> Talk[Lineage]:
    """`GET /lineage/…`."""
    return (yield from read(Lineage, Request("GET", f"lineage/{quote(prediction_id, safe='')}"), retries))


def is_ready() -> Talk[bool]:
    """`GET /readyz`, once."""
    try:
        yield from asked(Request("GET", "readyz"), Retries(most=0))
    except ClientError:
        return False
    return True


def predict_long(source: Source, told: Told | None, poll_s: float, retries: Retries) -> Talk[LongAnswer]:
    """Send a long recording up, wait for its task, return the answer. Broken off (Ctrl-C), the task is cancelled.

    Raises:
        Cancelled: Somebody else cancelled the task.
        ClientError: There is no answer.
    """
    upload = yield from read_json(Request("POST", "uploads", body=source, told=told), retries)
    submit = Request("POST", "predict_long/submit", more={"json": {"upload_id": upload["upload_id"]}}, harmless=False)
    task_id = (yield from read_json(submit, retries))["task_id"]
    about: dict[str, Any] = {"params": {"task_id": task_id}}
    try:
        yield from _until_done(about, told, poll_s, retries)
    except GeneratorExit:
        raise
    except BaseException as broken_off:
        if not isinstance(broken_off, ClientError):
            with contextlib.suppress(httpx.HTTPError):
                yield Request("PUT", "predict_long/cancel", more=about)
        raise
    return (yield from read(LongAnswer, Request("GET", "predict_long/get", more=about), retries))


def _until_done(about: dict[str, Any], told: Told | None, poll_s: float, retries: Retries) -> Talk[None]:
    while True:
        state = yield from read_json(Request("GET", "predict_long/status", more=about), retries)
        if told and (progress := state.get("progress")):
            told(Progress("hearing", progress["done_s"], progress["of_s"]))
        if state["status"] == "canceled":
            task = about["params"]["task_id"]
            raise Cancelled("cancelled", f"The task {task} was cancelled. Submit the recording again if it is wanted.")
        if state["status"] not in ("pending", "in_progress"):  # what failed says why when it is fetched
            return
        yield Pause(poll_s)


def _opened(held: contextlib.ExitStack, source: Source) -> tuple[str, bytes | BinaryIO]:
    if isinstance(source, bytes):
        return "recording", source
    path = Path(source)
    return path.name, held.enter_context(path.open("rb"))


def _parts(whole: Iterable[T], size: int) -> Iterator[list[T]]:
    part: list[T] = []
    for each in whole:
        part.append(each)
        if len(part) == size:
            yield part
            part = []
    if part:
        yield part


def _misunderstood(response: httpx.Response, error: ValueError) -> ClientError:
    return ClientError(
        "unknown",
        f"{response.url} answers in a way that this client does not know ({str(error).splitlines()[0]}). "
        "Is it earmark's service, and of the same version?",
        request_id=response.headers.get("x-request-id", ""),
        status=response.status_code,
    )
