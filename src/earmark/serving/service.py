"""The BentoML service: HTTP on one side, the champion's Predictor on the other. `bentoml serve` in the root starts it.

Here are the endpoints that take recordings; `earmark.serving.site` has the page and what is asked by GET. `/livez` says
that a worker works, `/readyz` that it has a champion: without one it stays alive, answers 503 with the remedy, and
takes the champion up as soon as there is one. `bentoml build` imports this file: it loads neither torch nor MLflow.
"""

import math
import os
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import bentoml
from pydantic import BaseModel, JsonValue
from starlette.datastructures import UploadFile
from starlette.responses import Response

from earmark.params import load_params
from earmark.serving.answers import Answer, BatchAnswer, ExplainAnswer, FeedbackAnswer, LongAnswer, SimilarAnswer
from earmark.serving.door import App, Door, refusal_response
from earmark.serving.errors import Refusal
from earmark.serving.upload import (
    ExplainUpload,
    FeedbackUpload,
    LongRequest,
    SimilarUpload,
    SongsUpload,
    SongUpload,
)
from earmark.serving.worker import Worker
from earmark.workspace import PARAMS, find_root

DESCRIPTION = (
    "earmark says what a song is: its genre, what listeners will feel, how many will like it, how sure it is and why. "
    "Send a recording in any common format to `POST /predict`; the answer carries the version of the model that "
    "computed it.\n\n"
    "    curl -F file=@song.mp3 http://127.0.0.1:3000/predict\n\n"
    "Every error has one shape, `ErrorAnswer`: a code for programs, a message for people, the request's id."
)
_CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
# Two at least, so that one that dies leaves another; each holds the models in memory.
WORKERS = int(os.environ.get("EARMARK_WORKERS") or max(2, min(_CORES, 8)))
# For computing, and as many decoders, in each worker. Two at least: connections do not come to the workers evenly, and
# one that has several keeps both cores busy while the other has none.
THREADS = max(2, math.ceil(_CORES / WORKERS))
# Above this a request is refused at once (429), which is kinder than a queue that ends in time-outs.
MAX_CONCURRENCY = max(2 * WORKERS, min(16 * _CORES, 128))
PLACES = math.ceil(MAX_CONCURRENCY / WORKERS)
_CURRENT: list[Worker] = []  # this process's, between its start and its end


def current() -> Worker | None:
    """The worker of this process, once it has begun."""
    return _CURRENT[0] if _CURRENT else None


def service_root() -> Path:
    """The folder of params.yaml: EARMARK_ROOT, else beside the package (in a bento), else the working folder or above.

    Raises:
        EarmarkError: There is none.
    """
    if named := os.environ.get("EARMARK_ROOT"):
        return find_root(Path(named))
    bento = Path(__file__).resolve().parents[2]
    return bento if (bento / PARAMS).is_file() else find_root()


class EarmarkService(bentoml.Service[Any]):
    """BentoML's service behind its own door and site, with a true OpenAPI page."""

    def to_asgi(self, is_main: bool = True) -> App:
        """The application that a worker serves."""
        from earmark.serving.site import Site

        root = service_root()
        limits = load_params(root / PARAMS).service
        site = Site(super().to_asgi(is_main=is_main), current, max_files=limits.max_files, places=PLACES)
        return Door.of(site, limits, root)

    @property
    def openapi_spec(self) -> Any:
        """What /docs.json tells."""
        from earmark.serving.openapi import complete

        return complete(super().openapi_spec.asdict(), title="earmark", description=DESCRIPTION)


@bentoml.service(
    name="earmark",
    service_class=EarmarkService,
    workers=WORKERS,
    # 50 MB over a slow line take minutes. What runs in a thread cannot be interrupted: this frees who waits in vain.
    traffic={"timeout": 300, "max_concurrency": MAX_CONCURRENCY},
    logging={"access": {"enabled": False}},  # it prints addresses; the door writes a line for each request
)
class Earmark:
    """Answers with the champion, whichever version that is at the moment."""

    def __init__(self) -> None:
        self.worker = Worker(service_root(), threads=THREADS)

    @bentoml.on_startup
    async def begin(self) -> None:
        """What needs the event loop."""
        await self.worker.begin()
        _CURRENT.append(self.worker)

    @bentoml.on_shutdown
    async def end(self) -> None:
        """Stop all threads and processes."""
        _CURRENT.clear()
        await self.worker.end()

    async def __is_ready__(self) -> bool:
        """What /readyz asks: a service without a champion should get no requests."""
        return self.worker.fleet.champion is not None

    @bentoml.api(input_spec=SongUpload, output_spec=Answer)
    async def predict(self, file: UploadFile | Refusal) -> Response:
        """Say what the champion hears in a recording.

        The answer holds genres, feelings and liking, how sure all of it is, what is heard when, what is measured, and
        the model version that computed it. The recording is sent as the field `file` of a multipart form, in any common
        format; its bytes decide, not its name.
        """
        return await _respond(self.worker.predict(file))

    @bentoml.api(input_spec=SongsUpload, output_spec=BatchAnswer)
    async def predict_batch(self, files: list[UploadFile] | Refusal) -> Response:
        """Say it of several recordings; a bad one spoils no other.

        Each is sent as a field `files` of the form. The answer has an item for each, in that order: its answer, or why
        there is none.
        """
        return await _respond(self.worker.predict_batch(files))

    @bentoml.api(input_spec=ExplainUpload, output_spec=ExplainAnswer)
    async def explain(self, file: UploadFile | Refusal, genre: str | None, rather_than: str | None) -> Response:
        """Say what in a recording moves the decision: which frequency bands, and which moments.

        Integrated gradients of the log odds of a genre, as the network hears it. As JSON, or as a picture (PNG) with
        `?format=png` or `Accept: image/png`. It takes seconds.
        """
        return await _respond(self.worker.explain(file, genre, rather_than))

    @bentoml.api(input_spec=SimilarUpload, output_spec=SimilarAnswer)
    async def similar(self, file: UploadFile | Refusal | None, prediction_id: str | None, count: int) -> Response:
        """Find the songs of the catalogue that sound most like a recording, and what listeners did with them.

        The recording is sent as `file`; or, where it was answered before by the model now in service, as the
        `prediction_id` of that answer.
        """
        return await _respond(self.worker.similar(file, prediction_id, count))

    @bentoml.api(input_spec=FeedbackUpload, output_spec=FeedbackAnswer)
    async def feedback(self, events: list[JsonValue] | Refusal) -> Response:
        """Take in what listeners did: plays, skips, likes, feelings.

        Each event is checked by itself, kept at once, and counts once, however often it is sent. The rules of
        expectations.yaml judge it within a minute; `GET /feedback/{event_id}` says what became of it.
        """
        return await _respond(self.worker.feedback(events))

    @bentoml.task(input_spec=LongRequest, output_spec=LongAnswer)
    async def predict_long(self, upload_id: str | Refusal) -> Response:
        """Listen to a long recording, piece by piece.

        First `POST /uploads` with the file as the body; then `POST /predict_long/submit` with its `upload_id`. `GET
        /predict_long/status?task_id=…` says how far it is, `GET /predict_long/get?task_id=…` has the answer.
        """
        state: Any = Earmark.context.request.state  # type: ignore[attr-defined]  # BentoML makes it a Service
        return await _respond(self.worker.predict_long(upload_id, getattr(state, "task_id", "")))


async def _respond(work: Awaitable[BaseModel | Response]) -> Response:
    """What the endpoint answers, or its refusal."""
    try:
        found = await work
    except Refusal as refusal:
        return refusal_response(refusal)
    return found if isinstance(found, Response) else Response(found.model_dump_json(), media_type="application/json")
