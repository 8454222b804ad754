"""The door: whatever an application behind it does, one shape comes out."""

import asyncio

import httpx
import pytest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from earmark.serving.door import FORM_BYTES, Door, refusal_response
from earmark.serving.errors import KINDS, Refusal

MAX_BYTES = 1_000


async def fail(_: Request) -> Response:
    raise RuntimeError("a secret of the inside")


async def answer_with(request: Request) -> Response:
    status = int(request.path_params["status"])
    return JSONResponse({"error": "a secret of the inside"}, status_code=status)


async def raise_with(request: Request) -> Response:
    raise HTTPException(int(request.path_params["status"]), detail="a secret of the inside")


async def refuse(_: Request) -> Response:
    return refusal_response(Refusal("cut_off", "It ends too early."))


async def count(request: Request) -> Response:
    return PlainTextResponse(str(len(await request.body())))


def ask(method: str, path: str, **how: object) -> httpx.Response:
    """One request to an application behind a door."""
    routes = [
        Route("/fail", fail),
        Route("/answer/{status}", answer_with),
        Route("/raise/{status}", raise_with),
        Route("/refuse", refuse),
        Route("/count", count, methods=["POST"]),
    ]
    door = Door(Starlette(routes=routes), max_bytes=MAX_BYTES)

    async def go() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(door), base_url="http://door") as client:
            return await client.request(method, path, **how)

    return asyncio.run(go())


class TestOneShape:
    @pytest.mark.parametrize(
        ("status", "code"),
        [(404, "not_found"), (405, "method_not_allowed"), (415, "unsupported"), (429, "busy"), (500, "failed"),
         (503, "no_champion"), (504, "timed_out"), (400, "malformed"), (418, "malformed"), (502, "failed")],
    )  # fmt: skip
    @pytest.mark.parametrize("way", ["answer", "raise"])
    def test_every_error_status_becomes_the_same_shape_and_tells_no_secret(self, way, status, code):
        response = ask("GET", f"/{way}/{status}")
        assert response.json()["error"]["code"] == code
        assert response.status_code == KINDS[code].status
        assert "secret" not in response.text

    def test_a_crash_behind_it_is_a_500_in_the_same_shape(self):
        response = ask("GET", "/fail")
        assert response.status_code == 500
        assert response.json()["error"]["code"] == "failed"
        assert "secret" not in response.text

    def test_a_refusal_keeps_its_code_and_message(self):
        error = ask("GET", "/refuse").json()["error"]
        assert (error["code"], error["message"]) == ("cut_off", "It ends too early.")

    def test_who_is_refused_for_being_one_too_many_hears_when_to_come_back(self):
        assert int(ask("GET", "/answer/429").headers["retry-after"]) >= 1

    def test_good_answers_pass_unchanged_with_an_id_of_their_own(self):
        first, second = (ask("POST", "/count", content=b"abc") for _ in range(2))
        assert first.text == "3"
        assert first.headers["x-request-id"] != second.headers["x-request-id"]


class TestBytes:
    def test_as_much_as_is_accepted_passes(self):
        assert ask("POST", "/count", content=bytes(MAX_BYTES + FORM_BYTES)).text == str(MAX_BYTES + FORM_BYTES)

    @pytest.mark.parametrize("declared", [True, False])
    def test_one_byte_more_does_not(self, declared):
        async def pieces():
            for _ in range(3):
                yield bytes((MAX_BYTES + FORM_BYTES) // 3 + 1)

        content = bytes(MAX_BYTES + FORM_BYTES + 1) if declared else pieces()
        response = ask("POST", "/count", content=content)
        assert response.status_code == 413
        assert response.json()["error"]["code"] == "too_large"


class TestKinds:
    def test_no_refusal_claims_success(self):
        assert all(400 <= kind.status <= 599 for kind in KINDS.values())
