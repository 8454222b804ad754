"""The log: a line for each request that a program can read, and nothing in it about who asked or what they sent."""

import asyncio
import io
import json
import logging
import re

import httpx
import pytest
from door_tools import ask, behind, logged
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route

from earmark.serving.door import Door
from earmark.serving.keys import KeyRing, add_key
from earmark.serving.logs import TextLines, configure_logs, request_id
from earmark.serving.paths import template_of


class TestRequestLine:
    def test_says_how_a_request_ended(self, tmp_path):
        ring = KeyRing(tmp_path / "keys.json")
        key = add_key(ring.path, "label")
        with logged() as lines:
            ask(behind(keys=ring), "POST", "/predict", content=b"12345", headers={"x-api-key": key})
            ask(behind(keys=ring), "POST", "/predict", content=b"12345")
        answered, refused = (line for line in lines() if "status" in line)
        assert answered.items() >= {
            "level": "info", "method": "POST", "path": "/predict", "status": 200, "bytes_in": 5, "key": "label"
        }.items()  # fmt: skip
        assert "code" not in answered and 0 <= answered["duration_ms"] < 5_000
        assert refused.items() >= {"status": 401, "code": "unauthorized", "path": "/predict"}.items()
        assert "key" not in refused
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", answered["time"])

    def test_holds_neither_who_asked_nor_what_they_sent(self, tmp_path):
        ring = KeyRing(tmp_path / "keys.json")
        key = add_key(ring.path, "label")
        secrets = ["192.0.2.99", "my song.mp3", "3f0c9a52d1c9", "hunter2", "Mozilla", "elsewhere", key]
        headers = {"user-agent": "Mozilla", "referer": "https://elsewhere", "x-api-key": key}
        with logged() as lines:
            door = behind(keys=ring, larger={"/predict": 10**6})
            how = {"client": ("192.0.2.99", 4_711), "headers": headers}
            ask(door, "GET", "/lineage/3f0c9a52d1c9?pass=hunter2", **how)
            ask(door, "GET", "/my%20song.mp3/hunter2", **how)
            ask(door, "POST", "/predict?name=hunter2", files={"file": ("my song.mp3", b"hunter2")}, **how)
            ask(door, "GET", "/fail?hunter2", **how)
        said = json.dumps(lines())
        assert len(lines()) >= 5
        assert not [secret for secret in secrets if secret in said]

    def test_health_and_scraping_leave_none(self):
        with logged() as lines:
            for path in ("/livez", "/readyz", "/healthz", "/metrics"):
                ask(behind(), "GET", path)
        assert lines() == []

    def test_a_stack_trace_stands_in_the_log_under_the_id_of_the_answer(self):
        with logged() as lines:
            response = ask(behind(), "GET", "/fail")
        (failure,) = [line for line in lines() if "stack" in line]
        assert "a secret of the inside" in failure["stack"] and failure["level"] == "error"
        assert failure["request_id"] == response.headers["x-request-id"]

    def test_all_that_a_request_logs_carries_its_id_also_from_threads_and_beside_others(self):
        def work(request: Request) -> Response:  # Starlette runs it in a thread
            logging.getLogger("bentoml.earmark").info("at work on %s", request.query_params["n"])
            return PlainTextResponse(request_id.get())

        door = Door(Starlette(routes=[Route("/", work)]), max_bytes=9)

        async def go() -> list[str]:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(door), base_url="http://door") as asking:
                answers = await asyncio.gather(
                    *(asking.get(f"/?n={n}", headers={"x-request-id": f"id-{n}"}) for n in range(8))
                )
                return [answer.text for answer in answers]

        with logged() as lines:
            assert asyncio.run(go()) == [f"id-{n}" for n in range(8)]
        worked = {line["message"]: line["request_id"] for line in lines() if "status" not in line}
        assert worked == {f"at work on {n}": f"id-{n}" for n in range(8)}
        assert request_id.get() == ""


class TestTemplateOf:
    @pytest.mark.parametrize(
        ("path", "template"),
        [
            ("/", "/"),
            ("/predict_long/status", "/predict_long/status"),
            ("/lineage/3f0c9a52", "/lineage/{prediction_id}"),
            ("/examples/a song", "/examples/{name}"),
            ("/page/js/main.js", "/page/*"),
            ("/static_content/x.css", "/static_content/*"),
            ("/somewhere/private", "(unknown)"),
        ],
    )
    def test_names_a_path_before_anything_has_taken_it(self, path, template):
        assert template_of({"path": path}) == template

    def test_names_the_parameters_of_a_route_that_took_it(self):
        async def fine(_: Request) -> Response:
            return PlainTextResponse("fine")

        routes = [Route("/new/{what}/of/{whom}", fine), Mount("/folder", Route("/{file:path}", fine))]
        heard = []
        door = Door(Starlette(routes=routes), max_bytes=9, told=heard.append)
        for path in ("/new/3f0c/of/ann", "/folder/my/song.mp3", "/new/3f0c"):
            ask(door, "GET", path)
        assert [line.path for line in heard] == ["/new/{what}/of/{whom}", "/folder/*", "(unknown)"]


class TestStyles:
    def test_lines_stay_lines_whatever_is_logged(self):
        with logged() as lines:
            logging.getLogger("bentoml.earmark").warning("a\nb \x1b[31m %s", "é")
        assert [line["message"] for line in lines()] == ["a\nb \x1b[31m é"]
        record = logging.LogRecord("x", logging.WARNING, "", 0, "a\n12:00:00 INFO forged \x1b[31m", (), None)
        assert TextLines().format(record).count("\n") == 0 and "\x1b" not in TextLines().format(record)

    @pytest.mark.parametrize("style", ["json", "text"])
    def test_bentos_handlers_take_the_style_that_the_operator_wants(self, monkeypatch, style):
        monkeypatch.setenv("EARMARK_LOG", style)
        stream = io.StringIO()
        logger = logging.getLogger("bentoml")
        before = (logger.handlers, logger.level, logger.propagate)
        logger.handlers, logger.level = [logging.StreamHandler(stream)], logging.INFO
        try:
            configure_logs()
            ask(behind(), "GET", "/model", headers={"x-request-id": "mine"})
            logging.getLogger("bentoml.serve").info("another part speaks")
        finally:
            logger.handlers, logger.level, logger.propagate = before
        first, second = stream.getvalue().splitlines()
        if style == "json":
            assert json.loads(first)["request_id"] == "mine" and json.loads(second)["message"] == "another part speaks"
        else:
            assert "GET /model 200" in first and "mine" in first and second.endswith("another part speaks")
