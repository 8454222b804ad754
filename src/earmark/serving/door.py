"""The outermost layer of the service: every request gets an id, no body grows without bound, every error has one shape.

It stands outside BentoML's own layers, so that what they answer themselves (404, 429, 504 …) leaves in the same shape.
"""

import json
import logging
import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import Any

from starlette.responses import JSONResponse

from earmark.serving.answers import ErrorAnswer, ErrorDetail
from earmark.serving.errors import Refusal

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

REQUEST_ID = "x-request-id"
# What a multipart form adds to the file that it carries: boundaries, headers, a few small fields.
FORM_BYTES = 65_536
_RETRY_AFTER_S = 1
# Asked every few seconds by whatever watches over the service; a refusal there is no news.
_UNLOGGED = ("/livez", "/readyz", "/healthz")

logger = logging.getLogger("bentoml.earmark")


class Door:
    """Wraps the service's ASGI application; ``max_bytes`` is the largest file that it accepts."""

    def __init__(self, app: App, *, max_bytes: int) -> None:
        self.app = app
        self.max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request (or, passed through, the application's start and end)."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        answer = _Answer(scope, send)
        try:
            if _declared_bytes(scope) > self.max_bytes + FORM_BYTES:
                raise self._too_large()
            await self.app(scope, self._bounded(receive, answer), answer.send)
        except Refusal as refusal:
            await answer.refuse(refusal)
        except Exception:
            logger.exception("request %s failed", answer.request_id)
            await answer.refuse(_refusal(scope, HTTPStatus.INTERNAL_SERVER_ERROR))

    def _bounded(self, receive: Receive, answer: "_Answer") -> Receive:
        received = 0

        async def bounded() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self.max_bytes + FORM_BYTES:
                answer.reason = self._too_large()  # what stands in between may turn it into a 500 of its own
                raise answer.reason
            return message

        return bounded

    def _too_large(self) -> Refusal:
        return Refusal(
            "too_large",
            f"The upload is larger than the {self.max_bytes:,} bytes that are accepted "
            "(service.max_bytes in params.yaml). Send an excerpt, or a compressed format.",
        )


class _Answer:
    """Passes a good answer on as it comes; holds an error back until it is whole, then sends it in the one shape."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self.request_id = uuid.uuid4().hex
        self.reason: Refusal | None = None
        self._scope = scope
        self._send = send
        self._started = False
        self._held: Message | None = None
        self._body = b""

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            if message["status"] >= 400:
                self._held = message
                return
            self._started = True
            message = {
                **message,
                "headers": [*message.get("headers", []), (REQUEST_ID.encode(), self.request_id.encode())],
            }
        if self._held is None:
            await self._send(message)
        elif message["type"] == "http.response.body":
            self._body += message.get("body", b"")
            if not message.get("more_body", False):
                bare = _refusal(self._scope, HTTPStatus(self._held["status"]))
                await self.refuse(self.reason or _own(self._body) or bare)

    async def refuse(self, refusal: Refusal) -> None:
        if self._started:  # too late for another answer; the server closes the connection
            return
        self._started = True
        if self._scope["path"] not in _UNLOGGED:
            logger.info("request %s refused, %d %s: %s", self.request_id, refusal.status, refusal.code, refusal.message)
        headers = {REQUEST_ID: self.request_id}
        for name, value in (self._held or {}).get("headers", []):
            if name.lower() == b"allow":
                headers["allow"] = value.decode("latin-1")
        if refusal.status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
            headers["retry-after"] = str(_RETRY_AFTER_S)
        content = ErrorAnswer(error=ErrorDetail(code=refusal.code, message=refusal.message, request_id=self.request_id))
        response = JSONResponse(content.model_dump(), status_code=refusal.status, headers=headers)
        await response(self._scope, _nothing, self._send)


def refusal_response(refusal: Refusal) -> JSONResponse:
    """How an endpoint hands a refusal to the door."""
    return JSONResponse({"refusal": [refusal.code, refusal.message]}, status_code=refusal.status)


def _own(body: bytes) -> Refusal | None:
    try:
        code, message = json.loads(body)["refusal"]
    except (ValueError, KeyError, TypeError):
        return None
    return Refusal(code, message)


def _refusal(scope: Scope, status: HTTPStatus) -> Refusal:
    """What a bare status from within means to the person outside; never a detail that the inside chose to tell."""
    path, method = scope["path"][:100], scope["method"]
    match status:
        case HTTPStatus.NOT_FOUND:
            return Refusal("not_found", f"There is nothing at {path}. The page at / lists what there is.")
        case HTTPStatus.METHOD_NOT_ALLOWED:
            return Refusal("method_not_allowed", f"{method} does not work at {path}. The page at / says what does.")
        case HTTPStatus.UNSUPPORTED_MEDIA_TYPE:
            return Refusal(
                "unsupported", "This kind of body is not accepted. Send a multipart form with one audio file."
            )
        case HTTPStatus.TOO_MANY_REQUESTS:
            return Refusal("busy", "The service is working on as many requests as it can. Try again in a second.")
        case HTTPStatus.SERVICE_UNAVAILABLE:
            return Refusal("no_champion", "The service has no champion yet. Its log says what is missing.")
        case HTTPStatus.GATEWAY_TIMEOUT:
            return Refusal("timed_out", "The request took longer than the service allows. Send a shorter recording.")
    if status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return Refusal(
            "malformed", f"The request is not one that the service understands ({status.value} {status.phrase})."
        )
    return Refusal("failed", "The service failed on this request; its log says why, under this request's id.")


def _declared_bytes(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value)
    return 0


async def _nothing() -> Message:
    return {"type": "http.disconnect"}
