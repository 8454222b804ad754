"""For tests of the door: small applications behind it, requests to it in this process, and what it logged."""

import asyncio
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from earmark.serving.door import Door
from earmark.serving.logs import JsonLines, request_id


async def fail(_: Request) -> Response:
    raise RuntimeError("a secret of the inside")


async def count(request: Request) -> Response:
    return PlainTextResponse(str(len(await request.body())))


async def greet(_: Request) -> Response:
    """As BentoML answers: with headers of its own."""
    own = {"server": "BentoML Service/earmark", "X-BentoML-Request-ID": "0123", "X-BentoML-Trace-ID": "4567"}
    return JSONResponse({"heard": request_id.get()}, headers=own)


ROUTES = [
    Route("/", greet),
    Route("/page/main.js", greet),
    Route("/api", greet),
    Route("/docs.json", greet),
    Route("/livez", greet),
    Route("/readyz", greet),
    Route("/healthz", greet),
    Route("/metrics", greet),
    Route("/model", greet),
    Route("/lineage/{prediction_id}", greet),
    Route("/predict", count, methods=["POST"]),
    Route("/predict_batch", count, methods=["POST"]),
    Route("/uploads", count, methods=["POST"]),
    Route("/feedback", count, methods=["POST"]),
    Route("/fail", fail),
]


def behind(**how: Any) -> Door:
    """A door as ``how`` says, with something of each kind behind it."""
    return Door(Starlette(routes=ROUTES), **{"max_bytes": 1_000, **how})


def ask(
    door: Door, method: str, path: str, *, client: tuple[str, int] = ("192.0.2.1", 1), **how: Any
) -> httpx.Response:
    """One request in this process; whatever the door lets through as an exception fails the test."""

    async def go() -> httpx.Response:
        transport = httpx.ASGITransport(door, client=client)
        async with httpx.AsyncClient(transport=transport, base_url="http://door") as asking:
            return await asking.request(method, path, **how)

    return asyncio.run(go())


def speak(door: Door, *messages: Any, head: dict[str, Any]) -> list[dict[str, Any]]:
    """A request as the server would hand it over, message by message; all that was answered.

    A number among the messages is a pause in seconds; a function is shown what was answered so far.
    """
    scope = {"type": "http", "method": "POST", "path": "/predict", "query_string": b"", "headers": [], **head}
    answers: list[dict[str, Any]] = []
    left = list(messages)

    async def receive() -> Any:
        while left:
            message = left.pop(0)
            if isinstance(message, (int, float)):
                await asyncio.sleep(message)
            elif callable(message):
                message(answers)
            else:
                return message
        await asyncio.sleep(3600)

    async def send(message: Any) -> None:
        answers.append(message)

    asyncio.run(asyncio.wait_for(door(scope, receive, send), 20))
    return answers


@contextmanager
def logged() -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """The lines that the service logs until the block ends, as programs read them."""
    lines: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(self.format(record))

    handler, logger = Keep(), logging.getLogger("bentoml.earmark")
    handler.setFormatter(JsonLines())
    level, _ = logger.level, logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield lambda: [json.loads(line) for line in lines]
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
