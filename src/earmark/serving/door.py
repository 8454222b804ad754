"""The outermost layer of the service: who may come in, how much they may bring and how fast, and one shape of errors.

It stands outside BentoML's own layers, so that what they answer themselves (404, 429, 504 …) leaves in the same shape,
with the same headers, under the same id. In order: the id, CORS, the size declared, the path, the key, the rate; then
the application, which reads a body that is counted and timed. What cannot be read as HTTP never comes here: uvicorn
refuses it, see `earmark.serving.protocol`.

BentoML's own access log prints the addresses of who asks: `@bentoml.service(logging={"access": {"enabled": False}})`
switches it off; the door writes a line for each request (`earmark.serving.logs`).
"""

import json
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any

from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from earmark.params import Service
from earmark.serving import logs
from earmark.serving.answers import ErrorAnswer, ErrorDetail
from earmark.serving.body import FORM_BYTES, Body, declared_bytes
from earmark.serving.errors import Refusal
from earmark.serving.headers import (
    CORS_EXPOSED,
    CORS_HEADERS,
    CORS_METHODS,
    answer_headers,
    check_head,
    check_origin,
    request_id_of,
)
from earmark.serving.keys import ApiKey, KeyRing, KeysDamaged, presented_key
from earmark.serving.limits import RateLimited, RateTable, body_limits, caller_of_address
from earmark.serving.paths import HEALTH, METRICS, open_to_all, template_of
from earmark.serving.protocol import guard_connections
from earmark.serving.runtime import leave, rates_file

__all__ = ["FORM_BYTES", "App", "Door", "Message", "Receive", "Scope", "Send", "answering", "refusal_response"]

App = ASGIApp

_RETRY_AFTER_S = 1
# How long, and for how many bytes, a caller is listened to who goes on sending after the answer.
_DRAIN_S, _DRAIN_BYTES = 2.0, 16_000_000
# Of an error from within, whose body is read only to find a refusal in it.
_MOST_OF_AN_ERROR = 65_536
# What an error keeps of the headers that it had within.
_KEPT = (b"allow", b"retry-after", b"vary", b"access-control-")
_VISIT = "earmark.visit"
# In the log only, as nginx writes it: the caller left before there was an answer.
_NOBODY_THERE = 499

BUSY = "The service is working on as many requests as it can. Try again in a second."

logger = logging.getLogger("bentoml.earmark")


class Door:
    """Wraps the service's ASGI application.

    Args:
        app: What stands behind it.
        max_bytes: The largest file that is accepted.
        larger: Path → another limit than ``max_bytes``.
        upload_seconds: In which a body has to come in, beyond a second for each megabyte.
        max_uploads: Requests with bodies of more than 64 KiB at the same time, in this worker; each may hold a file.
        keys: Who may ask; None: everybody.
        rates: Where requests are counted; None: nowhere.
        requests_per_minute: Of one key that has no limit of its own, or of one address where there are no keys.
        cors_origins: Pages of other hosts that may ask.
        told: Hears of every answer, also of those that the application never saw; for metrics.
        ended: Called when the server ends in good order, after the application has.
    """

    def __init__(
        self,
        app: App,
        *,
        max_bytes: int,
        larger: Mapping[str, int] | None = None,
        upload_seconds: float = 120.0,
        max_uploads: int = 64,
        keys: KeyRing | None = None,
        rates: RateTable | None = None,
        requests_per_minute: int = 0,
        cors_origins: Sequence[str] = (),
        told: Callable[[logs.RequestLine], None] | None = None,
        ended: Callable[[], None] | None = None,
    ) -> None:
        self.app = app
        self.max_bytes = max_bytes
        self.larger = dict(larger or {})
        self.upload_seconds = upload_seconds
        self.max_uploads = max_uploads
        self.keys = keys
        self.rates = rates
        self.requests_per_minute = requests_per_minute
        self.cors_origins = tuple(cors_origins)
        self._told = told
        self._ended = ended
        self._uploads = 0
        self._inside: App = self._checked
        if cors_origins:
            self._inside = CORSMiddleware(
                self._checked,
                allow_origins=self.cors_origins,
                allow_methods=CORS_METHODS,
                allow_headers=CORS_HEADERS,
                expose_headers=CORS_EXPOSED,
            )

    @classmethod
    def of(
        cls, app: App, service: Service, root: Path, *, told: Callable[[logs.RequestLine], None] | None = None
    ) -> "Door":
        """The door of a worker of the project ``root``, as params.yaml wants it.

        It sets up the log of the process and its HTTP too, so this belongs before uvicorn begins to serve.

        Raises:
            EarmarkError: The service's folder for temporary files cannot be made.
        """
        logs.configure_logs()
        guard_connections()
        return cls(
            app,
            max_bytes=service.max_bytes,
            larger=body_limits(service),
            upload_seconds=service.upload_seconds,
            keys=KeyRing.of(root),
            rates=RateTable(rates_file(root)),
            requests_per_minute=service.requests_per_minute,
            cors_origins=service.cors_origins,
            told=told,
            ended=lambda: leave(root),
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request (or, passed through, the application's start and end)."""
        if scope["type"] == "websocket":  # nothing here speaks it, and no rule below would hold for it
            await receive()
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            try:
                await self.app(scope, receive, send)
            finally:
                if self._ended:
                    self._ended()
            return
        visit = scope[_VISIT] = _Visit(scope, send)
        context = logs.request_id.set(visit.request_id)
        try:
            await self._inside(scope, receive, visit.send)
        finally:
            line = visit.line()
            if not (scope["path"] in HEALTH or (scope["path"] == METRICS and line.code is None)):
                line.write()
            if self._told:
                self._told(line)
            logs.request_id.reset(context)

    async def _checked(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Behind CORS, so that what is refused here can be read by the pages that may ask."""
        visit: _Visit = scope[_VISIT]

        async def refuse(refusal: Refusal) -> None:
            await refusal_response(refusal)(scope, receive, send)

        try:
            body = visit.body = Body(
                receive,
                declared=declared_bytes(scope["headers"]),
                most=self.larger.get(scope["path"], self.max_bytes),
                seconds=self.upload_seconds,
                refuse=refuse,
            )
            self._admit(scope, visit)
            body.check_declared()
            with self._room(body):
                await self.app(scope, body.receive, send)
        except Exception as error:
            if not visit.over(error):
                await refuse(error if isinstance(error, Refusal) else _refusal(scope, 500))

    def _admit(self, scope: Scope, visit: "_Visit") -> None:
        method, path = scope["method"], scope["path"]
        headers = dict(scope["headers"])
        check_head(path, scope.get("query_string", b""), scope["headers"])
        check_origin(method, headers, self.cors_origins)
        if open_to_all(method, path):
            return
        key = visit.key = self._holder(headers)
        if self.rates is None:
            return
        caller = f"key {key.name}" if key else caller_of_address((scope.get("client") or (None,))[0])
        own = key.requests_per_minute if key else None
        per_minute = self.requests_per_minute if own is None else own
        if (wait_s := self.rates.wait_s(caller, per_minute)) > 0:
            raise RateLimited(per_minute, wait_s)

    def _holder(self, headers: Mapping[bytes, bytes]) -> ApiKey | None:
        try:
            known = self.keys.keys() if self.keys else None
        except KeysDamaged:
            raise Refusal(
                "overloaded", "The service cannot tell at present who may ask; its log says why. Nobody is let in."
            ) from None
        if known is None:
            return None
        presented = presented_key(headers)
        holder = known.holder(presented) if presented else None
        if holder is None:
            found = "The API key is not known, or was revoked." if presented else "The request brings no API key."
            raise Refusal(
                "unauthorized",
                f"{found} Send one as `Authorization: Bearer KEY` or `X-API-Key: KEY`; whoever runs the service makes "
                "one with `earmark keys add`.",
            )
        return holder

    def _room(self, body: Body) -> "_Room":
        if body.is_upload and self._uploads >= self.max_uploads:
            raise Refusal("busy", "As many uploads as the service takes are coming in already. Try again in a second.")
        return _Room(self, body)


class _Room:
    """Counts an upload while its request lasts."""

    def __init__(self, door: Door, body: Body) -> None:
        self._door = door
        self._counts = body.is_upload

    def __enter__(self) -> None:
        self._door._uploads += self._counts

    def __exit__(self, *_: object) -> None:
        self._door._uploads -= self._counts


class _Visit:
    """One request: passes a good answer on as it comes; holds an error back until it is whole, and shapes it.

    Whatever comes from within after that is dropped.
    """

    def __init__(self, scope: Scope, send: Send) -> None:
        self.request_id = request_id_of(scope["headers"])
        self.key: ApiKey | None = None
        self.body: Body | None = None
        self._begin = time.perf_counter()
        self._scope = scope
        self._send = send
        self._status = 0
        self._code: str | None = None
        self._held: Message | None = None
        self._error = b""

    async def send(self, message: Message) -> None:
        """What the application answers."""
        if self._code is not None:
            return
        if message["type"] == "http.response.start":
            if self._status:
                return
            if message["status"] >= 400:
                self._held, self._error = message, b""
                return
            self._held = None
            self._status = message["status"]
            message = {**message, "headers": self._headers(message)}
        if self._held is None:
            await self._send(message)
        elif message["type"] == "http.response.body":
            self._error += message.get("body", b"")[: _MOST_OF_AN_ERROR - len(self._error)]
            if not message.get("more_body", False):
                await self._refuse(_own(self._error) or _refusal(self._scope, self._held["status"]))

    def over(self, error: Exception) -> bool:
        """Whether it is too late to answer now that the application has raised; what the log should know, it knows."""
        left = isinstance(error, ClientDisconnect) or (self.body is not None and self.body.broken_off)
        if not (left or isinstance(error, Refusal)):
            logger.error("%s %s failed", self._scope["method"], template_of(self._scope), exc_info=error)
        if self._code is None and left:
            self._code, self._status = "interrupted", self._status or _NOBODY_THERE
        elif self._code is None and self._status:
            self._code = "failed"  # the answer has begun; the server closes the connection
        return self._code is not None

    def line(self) -> logs.RequestLine:
        """What the log keeps."""
        return logs.RequestLine(
            request_id=self.request_id,
            method=self._scope["method"] if len(self._scope["method"]) < 20 else "(unknown)",
            path=template_of(self._scope),
            status=self._status or _NOBODY_THERE,
            code=self._code or (None if self._status else "interrupted"),
            duration_ms=round((time.perf_counter() - self._begin) * 1e3, 1),
            bytes_in=self.body.received if self.body else 0,
            key=self.key.name if self.key else None,
        )

    async def _refuse(self, refusal: Refusal) -> None:
        if self.body and self.body.broken_off:
            self._code, self._status = "interrupted", _NOBODY_THERE
            return
        self._code, self._status = refusal.code, refusal.status.value
        error = ErrorDetail(code=refusal.code, message=refusal.message, request_id=self.request_id)
        within = (self._held or {}).get("headers", [])
        response = JSONResponse(ErrorAnswer(error=error).model_dump(), status_code=refusal.status)
        for name, value in within:
            if name.lower().startswith(_KEPT):
                response.raw_headers.append((name, value))
        if refusal.status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
            response.headers.setdefault("retry-after", str(_RETRY_AFTER_S))
        if refusal.status == HTTPStatus.UNAUTHORIZED:
            response.headers["www-authenticate"] = "Bearer"
        unread = self.body is not None and not (self.body.complete or self.body.gone)
        if unread or self.body is None:  # what may still be coming is not waited for
            response.headers["connection"] = "close"
        start = {"type": "http.response.start", "status": self._status}
        await self._send({**start, "headers": self._headers({"headers": response.raw_headers})})
        await self._send({"type": "http.response.body", "body": response.body, "more_body": unread})
        if unread and self.body:
            if refusal.code != "slow_upload" and not self._waits_to_be_asked():
                await self.body.drain(most=_DRAIN_BYTES, seconds=_DRAIN_S)
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    def _waits_to_be_asked(self) -> bool:
        expected = dict(self._scope["headers"]).get(b"expect", b"").lower()
        return expected == b"100-continue" and self.body is not None and self.body.received == 0

    def _headers(self, message: Mapping[str, Any]) -> list[tuple[bytes, bytes]]:
        return answer_headers(message.get("headers", []), path=self._scope["path"], request_id=self.request_id)


def refusal_response(refusal: Refusal) -> JSONResponse:
    """How an endpoint hands a refusal to the door."""
    wait = {"retry-after": str(refusal.retry_after_s)} if isinstance(refusal, RateLimited) else None
    return JSONResponse({"refusal": [refusal.code, refusal.message]}, status_code=refusal.status, headers=wait)


def answering(endpoint: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    """A plain route that always answers.

    BentoML's layer for time-outs waits until its end, five minutes, for an answer from a route that raised.
    """

    async def answered(request: Request) -> Response:
        try:
            return await endpoint(request)
        except Refusal as refusal:
            return refusal_response(refusal)
        except ClientDisconnect:
            return refusal_response(Refusal("interrupted", "The upload ended before its end. Send it again."))
        except Exception:
            logger.exception("%s %s failed", request.method, template_of(request.scope))
            return refusal_response(_refusal(request.scope, HTTPStatus.INTERNAL_SERVER_ERROR))

    return answered


def _own(body: bytes) -> Refusal | None:
    try:
        code, message = json.loads(body)["refusal"]
        refusal = Refusal(code, message)
        _ = refusal.status
    except (ValueError, KeyError, TypeError):
        return None
    return refusal


def _refusal(scope: Scope, status: int) -> Refusal:
    """What a bare status from within means to the person outside; never a detail that the inside chose to tell."""
    path, method = scope["path"][:100], scope["method"][:20]
    match status:
        case HTTPStatus.UNAUTHORIZED:
            return Refusal("unauthorized", "This needs an API key. Send it as `Authorization: Bearer KEY`.")
        case HTTPStatus.FORBIDDEN:
            return Refusal("forbidden", "This is not open to you.")
        case HTTPStatus.NOT_FOUND:
            return Refusal("not_found", f"There is nothing at {path}. The page at / lists what there is.")
        case HTTPStatus.METHOD_NOT_ALLOWED:
            return Refusal("method_not_allowed", f"{method} does not work at {path}. The page at / says what does.")
        case HTTPStatus.UNSUPPORTED_MEDIA_TYPE:
            return Refusal(
                "unsupported", "This kind of body is not accepted. Send a multipart form with one audio file."
            )
        case HTTPStatus.TOO_MANY_REQUESTS:
            return Refusal("busy", BUSY)
        case HTTPStatus.SERVICE_UNAVAILABLE:
            return Refusal("no_champion", "The service has no champion yet. Its log says what is missing.")
        case HTTPStatus.GATEWAY_TIMEOUT:
            return Refusal("timed_out", "The request took longer than the service allows. Send a shorter recording.")
    if status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return Refusal("malformed", f"The request is not one that the service understands ({status}).")
    return Refusal("failed", "The service failed on this request; its log says why, under this request's id.")
