"""Everything that is not an endpoint of BentoML's: the page, what is asked by GET, uploads, and what there is not.

It stands between the door and BentoML, so that only paths that exist reach BentoML, whose metrics have a label for each
path, and a page loads while all places for work are taken.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route, Router
from starlette.staticfiles import StaticFiles

from earmark.errors import EarmarkError
from earmark.serving.answers import EventAnswer, TaskStatus
from earmark.serving.asking import asked, asked_of, parts
from earmark.serving.card import lineage_of, model_card
from earmark.serving.door import BUSY, App, Message, Receive, Scope, Send, answering, refusal_response
from earmark.serving.errors import Refusal
from earmark.serving.pipeline import timed
from earmark.serving.upload import RECEIVED, received, upload_id_of

if TYPE_CHECKING:
    from earmark.serving.worker import Worker

PAGE = Path(__file__).parent / "page"
_FRESH = {"cache-control": "no-cache"}  # kept, and asked each time whether it is still the same
_BENTOML = frozenset(
    {
        "/predict",
        "/predict_batch",
        "/explain",
        "/similar",
        "/feedback",
        "/predict_long",
        "/docs.json",
        "/schema.json",
        "/livez",
        "/readyz",
        "/healthz",
        "/metrics",
    }
)
_RECORDINGS = frozenset({"/predict", "/predict_batch", "/explain", "/similar"})
_SUBMIT, _RESULT = "/predict_long/submit", "/predict_long/get"
_TASKS = frozenset({_SUBMIT, "/predict_long/retry"})
_STATIC = "/static_content/"


class Site:
    """The application of a worker, but for its door.

    Args:
        app: BentoML's.
        service: The worker that answers, once it has begun.
        max_files: In one form.
        places: Requests with recordings that this worker may have at a time.
    """

    def __init__(self, app: App, service: "Callable[[], Worker | None]", *, max_files: int, places: int) -> None:
        self._app, self._service, self._max_files, self._places = app, service, max_files, places
        routes = [
            Route("/", _file("index.html")),
            Route("/api", _file("api.html")),
            Mount("/page", _Files(directory=PAGE)),
            *(
                Route(path, answering(endpoint), methods=[method])
                for method, path, endpoint in (
                    ("GET", "/model", self._model),
                    ("GET", "/lineage/{prediction_id}", self._lineage),
                    ("GET", "/feedback/{event_id}", self._event),
                    ("GET", "/examples", self._examples),
                    ("GET", "/examples/{name}", self._example),
                    ("POST", "/uploads", self._upload),
                    ("GET", "/predict_long/status", self._status),
                    ("GET", "/predict_long/get", self._result),
                    ("PUT", "/predict_long/cancel", self._cancel),
                )
            ),
        ]
        self._router = Router(routes, redirect_slashes=False, default=self._rest)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request (or, passed through, the application's start and end)."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        asked.set(asked_of(scope["headers"], scope["query_string"]))
        await self._router(scope, receive, send)

    async def _rest(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        if path in _RECORDINGS and scope["method"] == "POST":
            await self._recordings(scope, receive, send)
            return
        if path in _TASKS and scope["method"] == "POST":
            await self._task(scope, receive, send)
            return
        if path in _BENTOML or path in _TASKS or path.startswith(_STATIC):
            await self._app(scope, receive, send)
            return
        refusal = Refusal("not_found", f"There is nothing at {path[:100]}. The page at /api lists what there is.")
        await refusal_response(refusal)(scope, receive, send)

    async def _recordings(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take in a form before BentoML counts the request: who sends slowly takes nobody's place.

        While all places are taken, nothing is taken in, and the refusal costs nothing.
        """
        service = self._service()
        if service is not None and service.working >= self._places:
            await refusal_response(Refusal("busy", BUSY))(scope, receive, send)
            return
        scope["earmark.max_files"] = self._max_files
        request = Request(scope, receive)
        with timed("upload"):
            form = await received(request)
        try:
            await self._app({**scope, RECEIVED: form}, _after(receive), send)
        finally:
            await request.close()

    async def _task(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Have BentoML begin a task, if there is anything to begin with: it keeps whatever it is sent for a day."""
        request = Request(scope, receive)
        try:
            if scope["path"] == _SUBMIT:
                upload_id = await upload_id_of(request)
                self._ready().uploads.find(upload_id)
                body = json.dumps({"upload_id": upload_id}).encode()
                headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
                inner, rest = {**scope, "headers": headers}, _after(receive, body)
            else:
                parts(request.url.query, "task_id")
                await self._ended(Request({**scope, "method": "GET", "path": _RESULT}, receive))
                inner, rest = dict(scope), receive
        except Refusal as refusal:
            await refusal_response(refusal)(scope, receive, send)
            return
        await self._app(inner, rest, send)

    def _ready(self) -> "Worker":
        service = self._service()
        if service is None:
            raise Refusal("overloaded", "The service is just starting. Try again in a second.")
        return service

    async def _model(self, request: Request) -> Response:
        service = self._ready()
        champion = service.champion()
        fleet = service.fleet
        return _json(model_card(champion, fleet.canary, fleet.share, fleet.shadow))

    async def _lineage(self, request: Request) -> Response:
        service, prediction_id = self._ready(), request.path_params["prediction_id"]
        prediction = await _asked(service.records.prediction, prediction_id[:64])
        if prediction is None:
            raise Refusal(
                "unknown_prediction",
                "No prediction has this id, or it was forgotten (service.keep_predictions_days in params.yaml).",
            )
        tags = await asyncio.to_thread(service.tags_of, prediction.version)
        return _json(lineage_of(prediction, tags))

    async def _event(self, request: Request) -> Response:
        event_id = request.path_params["event_id"][:64]
        told = await _asked(self._ready().records.told, event_id)
        if told is None:
            raise Refusal("unknown_event", "No event with this id has come in, or it was long ago.")
        return _json(EventAnswer(event_id=event_id, state=told.state, reason=told.reason))

    async def _examples(self, request: Request) -> Response:
        found = self._ready().champion().examples or ()
        names = ("name", "title", "artist", "genre", "seconds", "licence")
        return JSONResponse([{name: getattr(each, name) for name in names} for each in found])

    async def _example(self, request: Request) -> Response:
        name = request.path_params["name"]
        for each in self._ready().champion().examples or ():
            if each.name == name:
                return Response(each.audio, media_type="audio/ogg", headers=_FRESH)
        raise Refusal("not_found", "There is no example of this name. GET /examples lists them.")

    async def _upload(self, request: Request) -> Response:
        return _json(await self._ready().uploads.receive(request.stream()))

    async def _status(self, request: Request) -> Response:
        task_id = parts(request.url.query, "task_id")
        status, told = await self._within(request)
        if status != 200:
            raise _no_task()
        tasks = self._ready().tasks
        progress = tasks.progress(task_id)
        if told["status"] == "in_progress":
            if tasks.cancelled(task_id):
                told["status"] = "canceled"
            elif progress is None and await self._lost(request, task_id):
                told["status"] = "failed"  # whoever was at it is no more
        return _json(
            TaskStatus(
                task_id=task_id,
                status=told["status"],
                created_at=told["created_at"],
                executed_at=told.get("executed_at"),
                progress=progress,
            )
        )

    async def _lost(self, request: Request, task_id: str) -> bool:
        """Whether nobody is at a task; asked again, as it may be about to begin, or just have ended."""
        await asyncio.sleep(0.5)
        _, told = await self._within(request)
        return told.get("status") == "in_progress" and self._ready().tasks.progress(task_id) is None

    async def _result(self, request: Request) -> Response:
        parts(request.url.query, "task_id")
        status, told = await self._ended(request)
        return JSONResponse(told, status_code=status)

    async def _ended(self, request: Request) -> tuple[int, Any]:
        """A task's own answer, or its own refusal.

        Raises:
            Refusal: There is no such task, or it is not done yet.
        """
        status, told = await self._within(request)
        if status in (400, 404) and "refusal" not in told:
            raise _no_task() if status == 404 else _not_done()
        return status, told

    async def _cancel(self, request: Request) -> Response:
        task_id = parts(request.url.query, "task_id")
        if not self._ready().tasks.cancel(task_id):
            raise Refusal("unknown_task", "Nobody is at a task of this id: it is done, or there never was one.")
        return JSONResponse({"task_id": task_id, "status": "canceled"})

    async def _within(self, request: Request) -> tuple[int, Any]:
        """What BentoML itself answers to the request."""
        status, body = 500, b""

        async def keep(message: Message) -> None:
            nonlocal status, body
            if message["type"] == "http.response.start":
                status = message["status"]
            else:
                body += message.get("body", b"")

        scope = {**request.scope, "path_params": {}}
        await self._app(scope, request.receive, keep)
        try:
            return status, json.loads(body)
        except ValueError:
            return status, {}


def _after(receive: Receive, body: bytes = b"") -> Receive:
    """What comes after the body of a request that was read: another, its end, and then whatever the server says."""
    ended = False

    async def rest() -> Message:
        nonlocal ended
        if ended:
            return await receive()
        ended = True
        return {"type": "http.request", "body": body, "more_body": False}

    return rest


class _Files(StaticFiles):
    """The page's files: kept by browsers, and asked each time whether they are still the same."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """As starlette's, and an error in the one shape."""
        from starlette.exceptions import HTTPException

        try:
            response = await super().get_response(path, scope)
        except HTTPException as error:
            if error.status_code == 405:
                refused = refusal_response(Refusal("method_not_allowed", "The page's files can only be read, by GET."))
                refused.headers["allow"] = "GET, HEAD"
                return refused
            return refusal_response(Refusal("not_found", "The page has no such file."))
        response.headers.update(_FRESH)
        return response


async def _asked(question: Callable[[str], Any], about: str) -> Any:
    try:
        return await asyncio.to_thread(question, about)
    except EarmarkError:
        raise Refusal("overloaded", "What the service has written down cannot be read now. Try again later.") from None


def _file(name: str) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        return FileResponse(PAGE / name, headers=_FRESH)

    return endpoint


def _json(content: BaseModel) -> Response:
    return Response(content.model_dump_json(), media_type="application/json")


def _not_done() -> Refusal:
    return Refusal("not_ready", "The task is not done yet. GET /predict_long/status says how far it is.")


def _no_task() -> Refusal:
    return Refusal("unknown_task", "No task has this id. Results are kept for a day, until the service starts anew.")
