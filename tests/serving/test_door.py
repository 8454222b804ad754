"""The door: whatever an application behind it does, one shape comes out; who may come in, with what, how fast."""

import asyncio
import contextlib
import json
import time
from dataclasses import dataclass

import httpx
import pytest
from door_tools import ask as knock
from door_tools import behind, logged, speak
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from earmark.params import load_params
from earmark.serving.door import FORM_BYTES, Door, answering, refusal_response
from earmark.serving.errors import KINDS, Refusal
from earmark.serving.keys import KeyRing, add_key, revoke_key
from earmark.serving.limits import RateTable, body_limits
from scratch import CHECKOUT

MAX_BYTES = 1_000
CHUNKED = [(b"transfer-encoding", b"chunked")]


@dataclass
class Clock:
    """Nanoseconds that pass when a test says so."""

    now: int = 10**12

    def __call__(self) -> int:
        return self.now


def status_of(answers: list[dict]) -> int:
    return answers[0]["status"]


def code_of(answers: list[dict]) -> str:
    return json.loads(b"".join(answer.get("body", b"") for answer in answers))["error"]["code"]


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


class TestLargerBodies:
    def test_a_path_may_have_a_limit_of_its_own(self):
        door = behind(larger={"/uploads": 500_000})
        assert knock(door, "POST", "/uploads", content=bytes(500_000)).text == "500000"
        assert knock(door, "POST", "/predict", content=bytes(500_000)).status_code == 413
        assert knock(door, "POST", "/uploads", content=bytes(500_001 + FORM_BYTES)).status_code == 413

    def test_the_service_takes_most_for_tasks_and_little_for_feedback(self):
        service = load_params(CHECKOUT / "params.yaml").service
        found = body_limits(service)
        assert found["/uploads"] == service.long_max_bytes
        assert service.max_bytes < found["/predict_batch"] <= service.max_files * service.max_bytes
        assert found["/feedback"] < service.max_bytes

    def test_who_has_heard_that_it_is_too_large_may_send_on_for_a_moment_and_the_connection_ends(self):
        piece = {"type": "http.request", "body": bytes(80_000), "more_body": True}
        answers = speak(behind(), piece, piece, piece, {**piece, "more_body": False}, head={"headers": CHUNKED})
        assert status_of(answers) == 413
        assert (b"connection", b"close") in answers[0]["headers"]
        assert answers[-1].get("more_body", False) is False


class TestTime:
    def test_a_body_that_does_not_come_in_is_refused_when_its_time_is_over(self):
        piece = {"type": "http.request", "body": b"a", "more_body": True}
        began = time.monotonic()
        answers = speak(
            behind(upload_seconds=0.2), piece, 0.05, piece, 30, head={"headers": [(b"content-length", b"9")]}
        )
        assert time.monotonic() - began < 5
        assert (status_of(answers), code_of(answers)) == (408, "slow_upload")
        assert (b"connection", b"close") in answers[0]["headers"]

    def test_drops_every_now_and_then_do_not_help(self):
        drops = [part for _ in range(60) for part in ({"type": "http.request", "body": b"a", "more_body": True}, 0.02)]
        assert code_of(speak(behind(upload_seconds=0.3), *drops, head={"headers": CHUNKED})) == "slow_upload"

    def test_a_larger_body_has_a_second_more_for_each_megabyte(self):
        first = {"type": "http.request", "body": bytes(1_000_000), "more_body": True}
        large = [(b"content-length", b"1000900")]
        door = behind(upload_seconds=0.1, max_bytes=2_000_000)
        rest = {**first, "body": bytes(900), "more_body": False}
        assert status_of(speak(door, first, 0.4, rest, head={"headers": large})) == 200

    def test_that_it_is_going_to_be_large_gives_it_no_more(self):
        first = {"type": "http.request", "body": b"a", "more_body": True}
        large = [(b"content-length", b"1000000")]
        door = behind(upload_seconds=0.1, max_bytes=2_000_000)
        assert code_of(speak(door, first, 0.4, {**first, "more_body": False}, head={"headers": large})) == "slow_upload"

    def test_computing_is_not_timed(self):
        async def slow(request: Request) -> Response:
            await request.body()
            await asyncio.sleep(0.3)
            return PlainTextResponse("done")

        door = Door(Starlette(routes=[Route("/", slow, methods=["POST"])]), max_bytes=10, upload_seconds=0.1)
        assert knock(door, "POST", "/", content=b"abc").text == "done"

    def test_one_that_swallows_the_refusal_cannot_hold_the_answer_back(self):
        async def stubborn(scope, receive, send):
            with contextlib.suppress(Refusal):
                while True:
                    await receive()
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"all is well"})

        answers = speak(Door(stubborn, max_bytes=10, upload_seconds=0.1), 9, head={"headers": CHUNKED})
        assert status_of(answers) == 408
        assert b"all is well" not in b"".join(answer.get("body", b"") for answer in answers)


class TestUploadsAtATime:
    def test_one_too_many_is_refused_and_the_next_is_not(self):
        async def go() -> list[int]:
            door = behind(max_uploads=2, max_bytes=200_000)
            arrived, released = asyncio.Semaphore(0), asyncio.Event()

            async def slowly():
                yield bytes(1_000)
                arrived.release()
                await released.wait()
                yield bytes(1_000)

            async with httpx.AsyncClient(transport=httpx.ASGITransport(door), base_url="http://door") as asking:
                first = [asyncio.create_task(asking.post("/uploads", content=slowly())) for _ in range(2)]
                for _ in first:
                    await asyncio.wait_for(arrived.acquire(), 10)
                third = await asking.post("/uploads", content=bytes(100_000))
                small = await asking.post("/feedback", content=b"{}")
                released.set()
                done = await asyncio.gather(*first)
                last = await asking.post("/uploads", content=bytes(100_000))
                assert third.json()["error"]["code"] == "busy" and int(third.headers["retry-after"]) >= 1
                return [third.status_code, small.status_code, *(one.status_code for one in done), last.status_code]

        assert asyncio.run(go()) == [429, 200, 200, 200, 200]


class TestWhoLeaves:
    def test_is_no_error(self):
        with logged() as lines:
            answers = speak(
                behind(),
                {"type": "http.request", "body": b"ab", "more_body": True},
                {"type": "http.disconnect"},
                head={"headers": [(b"content-length", b"900")]},
            )
        assert answers == []
        (line,) = lines()
        assert (line["level"], line["code"], line["status"], line["bytes_in"]) == ("info", "interrupted", 499, 2)


class TestOddRequests:
    @pytest.mark.parametrize(
        ("headers", "code"),
        [
            ([(b"content-length", b"99999999999999999999999999")], "too_large"),
            ([(b"content-length", b"9" * 5_000)], "too_large"),
            ([(b"content-length", b"-1")], "malformed"),
            ([(b"content-length", b"0x10")], "malformed"),
            ([(b"content-length", b"3"), (b"content-length", b"4")], "malformed"),
            ([(b"content-length", b"3"), (b"transfer-encoding", b"chunked")], "malformed"),
            ([(b"transfer-encoding", b"gzip, chunked")], "malformed"),
        ],
    )
    def test_a_body_whose_end_is_unsure_is_refused_unread(self, headers, code):
        answers = speak(behind(), {"type": "http.disconnect"}, head={"headers": headers})
        assert code_of(answers) == code and status_of(answers) in (400, 413)
        assert (b"connection", b"close") in answers[0]["headers"]

    @pytest.mark.parametrize(
        "path", ["/page/../model", "/page/..\\model", "/..", "/model\x00.js", "/a\r\nb", "/" + "a" * 9_000]
    )
    @pytest.mark.parametrize("method", ["GET", "POST", "BREW"])
    def test_a_path_that_climbs_or_holds_what_no_path_holds_is_refused(self, path, method):
        answers = speak(behind(), head={"path": path, "method": method})
        assert (status_of(answers), code_of(answers)) == (400, "malformed")

    @pytest.mark.parametrize("method", ["TRACE", "CONNECT", "BREW", "A" * 3_000, "DELETE"])
    def test_a_method_that_nobody_knows_does_not_work_here(self, method):
        answers = speak(behind(), head={"method": method})
        assert (status_of(answers), code_of(answers)) == (405, "method_not_allowed")

    def test_headers_without_end_are_refused(self):
        answers = speak(behind(), head={"headers": [(b"x-%d" % n, b"a" * 100) for n in range(1_000)]})
        assert (status_of(answers), code_of(answers)) == (400, "malformed")

    def test_an_unknown_status_from_within_keeps_its_class(self):
        async def odd(scope, receive, send):
            await send({"type": "http.response.start", "status": int(scope["path"][1:]), "headers": []})
            await send({"type": "http.response.body", "body": b"a secret"})

        assert status_of(speak(Door(odd, max_bytes=9), head={"path": "/499"})) == 400
        assert status_of(speak(Door(odd, max_bytes=9), head={"path": "/599"})) == 500

    def test_a_websocket_is_closed_at_once(self):
        answers = speak(behind(), {"type": "websocket.connect"}, head={"type": "websocket"})
        assert [answer["type"] for answer in answers] == ["websocket.close"]

    @settings(max_examples=300, deadline=None)
    @given(
        path=st.text(max_size=60).map(lambda text: "/" + text),
        method=st.sampled_from(["GET", "POST", "PUT", "OPTIONS", "HEAD", "X"]),
        headers=st.lists(
            st.tuples(
                st.sampled_from(
                    [b"content-length", b"transfer-encoding", b"origin", b"host", b"authorization", b"x-api-key",
                     b"x-request-id", b"sec-fetch-site", b"access-control-request-method", b"expect", b"accept"]
                ),
                st.binary(max_size=40).filter(lambda value: not set(value) & set(b"\r\n\0")),
            ),
            max_size=6,
        ),
        query=st.binary(max_size=30),
    )  # fmt: skip
    def test_whatever_comes_the_answer_is_whole_and_has_one_shape(self, path, method, headers, query):
        head = {"path": path, "method": method, "headers": headers, "query_string": query}
        answers = speak(
            behind(cors_origins=["https://music.example.org"]),
            {"type": "http.request", "body": b"x", "more_body": False},
            head=head,
        )
        start, *bodies = answers
        assert start["type"] == "http.response.start" and start["status"] < 500
        names = [name for name, _ in start["headers"]]
        assert names.count(b"x-request-id") == names.count(b"content-security-policy") == 1
        assert all(value.isascii() and b"\n" not in value for name, value in start["headers"] if name != b"location")
        assert bodies[-1].get("more_body", False) is False
        if start["status"] >= 400:
            content = json.loads(b"".join(body["body"] for body in bodies))
            assert set(content) == {"error"} and set(content["error"]) == {"code", "message", "request_id"}
            assert KINDS[content["error"]["code"]].status == start["status"]


class TestKeys:
    @pytest.fixture
    def ring(self, tmp_path):
        ring = KeyRing(tmp_path / "keys.json")
        ring.key = add_key(ring.path, "label")
        return ring

    @pytest.mark.parametrize("path", ["/", "/page/main.js", "/api", "/docs.json", "/livez", "/readyz", "/healthz"])
    def test_the_page_and_health_are_open_to_all(self, ring, path):
        assert knock(behind(keys=ring), "GET", path).status_code == 200

    @pytest.mark.parametrize(
        ("method", "path"),
        [("GET", "/model"), ("GET", "/lineage/7"), ("POST", "/predict"), ("GET", "/metrics"), ("GET", "/nowhere"),
         ("POST", "/"), ("GET", "/page"), ("GET", "/pages/x"), ("OPTIONS", "/model"), ("GET", "/livez/x")],
    )  # fmt: skip
    def test_nothing_else_is(self, ring, method, path):
        response = knock(behind(keys=ring), method, path)
        assert response.status_code == 401
        assert response.json()["error"]["code"] == "unauthorized"
        assert response.headers["www-authenticate"] == "Bearer"

    @pytest.mark.parametrize("header", ["Bearer", "bearer", "X-API-Key"])
    def test_a_key_opens_however_it_is_sent(self, ring, header):
        sent = {header: ring.key} if header == "X-API-Key" else {"Authorization": f"{header} {ring.key}"}
        assert knock(behind(keys=ring), "GET", "/model", headers=sent).status_code == 200

    @pytest.mark.parametrize(
        "sent",
        ["", "Bearer", "Basic YTpi", "Bearer earmark_", "Bearer é", "Bearer " + "a" * 20_000, "{key}", "Bearer {key}x"],
    )
    def test_anything_else_does_not(self, ring, sent):
        header = sent.format(key=ring.key).encode()
        assert knock(behind(keys=ring), "GET", "/model", headers={"authorization": header}).status_code == 401

    def test_a_revoked_key_opens_nothing_from_the_next_request_on_and_the_last_leaves_it_closed(self, ring):
        door, sent = behind(keys=ring), {"x-api-key": ring.key}
        assert knock(door, "GET", "/model", headers=sent).status_code == 200
        revoke_key(ring.path, "label")
        assert knock(door, "GET", "/model", headers=sent).status_code == 401
        assert knock(door, "GET", "/model").status_code == 401

    def test_a_new_key_opens_without_a_restart(self, ring):
        door = behind(keys=ring)
        assert knock(door, "GET", "/model").status_code == 401
        fresh = add_key(ring.path, "another")
        assert knock(door, "GET", "/model", headers={"x-api-key": fresh}).status_code == 200

    def test_without_a_file_everybody_may_ask(self, tmp_path):
        assert knock(behind(keys=KeyRing(tmp_path / "none.json")), "GET", "/model").status_code == 200

    def test_where_the_file_that_somebody_named_is_missing_nobody_may(self, tmp_path, monkeypatch):
        monkeypatch.setenv("EARMARK_KEYS", str(tmp_path / "none.json"))
        with logged() as lines:
            assert knock(behind(keys=KeyRing.of(tmp_path)), "GET", "/model").status_code == 503
        assert any("EARMARK_KEYS" in line["message"] for line in lines())

    @pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"null", b'{"pepper": "00", "keys": []}', b"\xff\xfe"])
    def test_a_damaged_file_closes_the_service_and_the_log_says_so_once(self, ring, damage):
        door, sent = behind(keys=ring), {"x-api-key": ring.key}
        whole = ring.path.read_bytes()
        assert knock(door, "GET", "/model", headers=sent).status_code == 200
        ring.path.write_bytes(damage)
        with logged() as lines:
            for _ in range(3):
                response = knock(door, "GET", "/model", headers=sent)
                assert response.status_code == 503 and str(ring.path) not in response.text
            assert knock(door, "GET", "/livez").status_code == 200
        (said,) = [line for line in lines() if line["level"] == "error"]
        assert str(ring.path) in said["message"] and "closed" in said["message"]
        ring.path.write_bytes(whole)
        assert knock(door, "GET", "/model", headers=sent).status_code == 200

    def test_who_has_no_key_is_answered_before_any_of_the_body_is_read(self, ring):
        then = []
        answers = speak(
            behind(keys=ring, max_bytes=10**9),
            lambda answered: then.extend(answered),
            {"type": "http.disconnect"},
            head={"headers": [(b"content-length", b"900000000")]},
        )
        assert (status_of(then), code_of(then)) == (401, "unauthorized")
        assert then == answers[: len(then)]

    def test_and_one_that_waits_to_be_asked_for_its_body_is_never_asked(self, ring):
        asked = []
        waits = [(b"content-length", b"900000000"), (b"expect", b"100-continue")]
        answers = speak(behind(keys=ring, max_bytes=10**9), asked.append, 1, head={"headers": waits})
        assert status_of(answers) == 401 and asked == []


class TestRates:
    def test_one_too_many_of_an_address_hears_when_there_is_room_again(self, tmp_path):
        clock = Clock()
        door = behind(rates=RateTable(tmp_path / "rates", clock=clock), requests_per_minute=3)
        assert [knock(door, "GET", "/model").status_code for _ in range(3)] == [200] * 3
        refused = knock(door, "GET", "/model")
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "rate_limited")
        assert refused.headers["retry-after"] == "20"  # a third of a minute
        assert knock(door, "GET", "/model", client=("192.0.2.2", 1)).status_code == 200
        clock.now += 19_000_000_000
        assert knock(door, "GET", "/model").headers["retry-after"] == "1"
        clock.now += 1_000_000_000
        assert knock(door, "GET", "/model").status_code == 200

    def test_the_page_and_health_do_not_count(self, tmp_path):
        door = behind(rates=RateTable(None), requests_per_minute=1)
        assert {
            knock(door, "GET", path).status_code for path in ("/", "/page/main.js", "/livez") for _ in range(3)
        } == {200}
        assert [knock(door, "GET", "/model").status_code for _ in range(2)] == [200, 429]

    def test_a_key_has_its_own_limit_wherever_it_is_used(self, tmp_path):
        ring = KeyRing(tmp_path / "keys.json")
        few, free, usual = (
            add_key(ring.path, "few", requests_per_minute=2),
            add_key(ring.path, "free", requests_per_minute=0),
            add_key(ring.path, "usual"),
        )
        door = behind(keys=ring, rates=RateTable(None), requests_per_minute=3)
        passed = {
            key: [
                knock(door, "GET", "/model", headers={"x-api-key": key}, client=(f"192.0.2.{n}", 1)).status_code
                for n in range(5)
            ].count(200)
            for key in (few, free, usual)
        }
        assert passed == {few: 2, free: 5, usual: 3}

    def test_who_is_not_let_in_does_not_count(self, tmp_path):
        ring = KeyRing(tmp_path / "keys.json")
        key = add_key(ring.path, "label", requests_per_minute=1)
        door = behind(keys=ring, rates=RateTable(None))
        assert {knock(door, "GET", "/model").status_code for _ in range(3)} == {401}
        assert knock(door, "GET", "/model", headers={"x-api-key": key}).status_code == 200


class TestOtherPages:
    THEIRS = "https://music.example.org"

    @pytest.mark.parametrize("path", ["/model", "/nowhere", "/fail"])
    def test_no_page_of_another_host_may_read_anything(self, path):
        response = knock(behind(), "GET", path, headers={"origin": self.THEIRS})
        assert not [name for name in response.headers if name.startswith("access-control")]

    @pytest.mark.parametrize(
        "sent",
        [{"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}, {"origin": THEIRS}, {"origin": "null"}],
    )
    def test_nor_send_a_form(self, sent):
        response = knock(behind(), "POST", "/feedback", content=b"{}", headers=sent)
        assert (response.status_code, response.json()["error"]["code"]) == (403, "forbidden")

    @pytest.mark.parametrize(
        "sent",
        [
            {},
            {"sec-fetch-site": "same-origin", "origin": "https://by.proxy"},
            {"origin": "http://door"},
            {"sec-fetch-site": "none"},
        ],
    )
    def test_its_own_page_and_programs_may(self, sent):
        assert knock(behind(), "POST", "/feedback", content=b"{}", headers=sent).status_code == 200

    @pytest.mark.parametrize(
        ("method", "path", "status"),
        [
            ("GET", "/model", 200),
            ("GET", "/nowhere", 404),
            ("GET", "/fail", 500),
            ("POST", "/predict", 413),
            ("GET", "/metrics", 429),
        ],
    )
    def test_a_page_that_may_ask_reads_answers_and_errors(self, method, path, status):
        door = behind(cors_origins=[self.THEIRS], rates=RateTable(None), requests_per_minute=1)
        if status == 429:
            knock(door, "GET", "/model")
        content = bytes(100_000) if status == 413 else None
        sent = {"origin": self.THEIRS, "sec-fetch-site": "cross-site"}
        response = knock(door, method, path, headers=sent, content=content)
        assert response.status_code == status
        assert response.headers["access-control-allow-origin"] == self.THEIRS
        assert {"x-request-id", "retry-after"} == set(
            response.headers["access-control-expose-headers"].lower().split(", ")
        )
        assert "origin" in response.headers["vary"].lower()

    def test_it_may_ask_before_with_a_key_among_its_headers(self, tmp_path):
        ring = KeyRing(tmp_path / "keys.json")
        add_key(ring.path, "label")
        asked = {
            "origin": self.THEIRS,
            "access-control-request-method": "POST",
            "access-control-request-headers": "authorization,content-type,x-api-key",
        }
        response = knock(behind(cors_origins=[self.THEIRS], keys=ring), "OPTIONS", "/predict", headers=asked)
        assert response.status_code == 200
        assert response.headers["access-control-allow-origin"] == self.THEIRS
        assert "POST" in response.headers["access-control-allow-methods"]
        assert {"authorization", "x-api-key"} <= set(
            response.headers["access-control-allow-headers"].lower().split(", ")
        )

    @pytest.mark.parametrize(
        "origin",
        ["https://music.example.org.evil.org", "http://music.example.org", "https://music.example.org:444", "null"],
    )
    def test_its_neighbours_may_not(self, origin):
        asked = {"origin": origin, "access-control-request-method": "POST"}
        response = knock(behind(cors_origins=[self.THEIRS]), "OPTIONS", "/predict", headers=asked)
        assert response.status_code == 400 and "access-control-allow-origin" not in response.headers
        assert response.json()["error"]["code"] == "malformed"


class TestTold:
    def test_whoever_counts_hears_of_every_answer_once(self, tmp_path):
        ring, heard = KeyRing(tmp_path / "keys.json"), []
        key = add_key(ring.path, "label")
        door = behind(keys=ring, told=heard.append)
        knock(door, "GET", "/model")
        knock(door, "GET", "/lineage/3f0c9a52", headers={"x-api-key": key})
        knock(door, "GET", "/fail", headers={"x-api-key": key})
        assert [(line.path, line.status, line.code, line.key) for line in heard] == [
            ("/model", 401, "unauthorized", None),
            ("/lineage/{prediction_id}", 200, None, "label"),
            ("/fail", 500, "failed", "label"),
        ]


class TestAnswering:
    def test_a_plain_route_answers_whatever_happens_in_it(self):
        @answering
        async def crash(_: Request) -> Response:
            raise RuntimeError("a secret of the inside")

        @answering
        async def refuse_(_: Request) -> Response:
            raise Refusal("cut_off", "It ends too early.")

        door = Door(Starlette(routes=[Route("/crash", crash), Route("/refuse", refuse_)]), max_bytes=9)
        with logged() as lines:
            response = knock(door, "GET", "/crash")
        assert response.status_code == 500 and "secret" not in response.text
        (failure,) = [line for line in lines() if "stack" in line]
        assert failure["request_id"] == response.headers["x-request-id"]
        assert knock(door, "GET", "/refuse").json()["error"]["code"] == "cut_off"


class TestKinds:
    def test_no_refusal_claims_success(self):
        assert all(400 <= kind.status <= 599 for kind in KINDS.values())
