"""Asking a web service, over real HTTP: everything that a service can do wrong, and where a token must not go."""

import logging
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from unittest.mock import Mock

import pytest

from earmark.catalogue.sources.calling import Patience, Service, token
from earmark.errors import CatalogueError
from web_service import Answer, Request, WebService, serving

SECRET = "s3cret-token-that-nobody-sees"
QUICK = Patience(timeout_s=0.8, attempts=4, first_wait_s=0.02, longest_wait_s=3)


def three_pages(request: Request) -> Answer | None:
    if request.path == "/v1/thing":
        return Answer({"name": "a thing"})
    if request.path != "/v1/rows":
        return None
    offset = int(request.query["offset"])
    link = f"http://{request.headers['host']}/v1/rows?offset={offset + 2}" if offset < 4 else None
    return Answer({"items": [offset, offset + 1], "next": link})


@pytest.fixture
def web() -> Iterator[WebService]:
    with serving(three_pages) as service:
        yield service


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def service(web, said) -> Iterator[Service]:
    with Service(
        "The service",
        web.address + "/v1",
        {"Authorization": f"Bearer {SECRET}"},
        remedies={401: "Get a new one at the desk.", 403: "Ask for more rights."},
        patience=QUICK,
        say=said.append,
    ) as service:
        yield service


@pytest.fixture
def waits(monkeypatch) -> list[float]:
    """What would have been waited for, in seconds; nothing is."""
    waited: list[float] = []
    monkeypatch.setattr("earmark.catalogue.sources.calling.time.sleep", waited.append)
    return waited


def rows(service: Service) -> list[object]:
    return [row for page in service.pages("/rows", {"limit": 2, "offset": 0}, rows="items") for row in page["items"]]


class TestPages:
    def test_are_followed_to_the_last(self, service, web):
        assert rows(service) == [0, 1, 2, 3, 4, 5]
        assert [request.query["offset"] for request in web.requests] == ["0", "2", "4"]

    def test_every_request_brings_the_token_and_what_a_link_left_out(self, service, web):
        rows(service)
        assert {request.headers["authorization"] for request in web.requests} == {f"Bearer {SECRET}"}
        assert {request.query["limit"] for request in web.requests} == {"2"}

    def test_a_link_without_a_host_stays_below_the_services_address(self, service, web):
        web.before = [Answer({"items": [9], "next": "/rows?offset=4"})]
        assert rows(service) == [9, 4, 5]
        assert web.paths() == ["/v1/rows", "/v1/rows"]

    @pytest.mark.parametrize(
        "link",
        [
            "http://127.0.0.1:{port}/v1/rows?offset=2",
            "http://localhost:{port}/v1/rows?offset=2",
            "http://127.0.0.1:{own}@127.0.0.1:{port}/v1/rows",
            "http://127.0.0.1:{port}\\@127.0.0.1:{own}/v1/rows",
            "https://127.0.0.1:{own}/v1/rows",
            "ftp://127.0.0.1:{own}/v1/rows",
            "rows?offset=2",
            "@127.0.0.1:{port}/rows",
        ],
    )
    def test_a_link_to_another_place_is_not_followed_with_the_token(self, link, service, web):
        with serving(three_pages) as other:
            ports = {"port": other.address.rpartition(":")[2], "own": web.address.rpartition(":")[2]}
            web.before = [Answer({"items": [0], "next": link.format(**ports)})]
            with pytest.raises(CatalogueError, match="not followed, because the token is for that address alone"):
                rows(service)
            assert other.requests == []
        assert len(web.requests) == 1

    def test_a_link_that_looks_like_another_host_stays_here(self, service, web):
        with serving(three_pages) as other:
            web.before = [Answer({"items": [0], "next": "//" + other.address.removeprefix("http://") + "/v1/rows"})]
            with pytest.raises(CatalogueError, match="404"):
                rows(service)
            assert other.requests == []

    def test_a_redirect_is_not_followed_with_the_token(self, service, web):
        with serving(three_pages) as other:
            web.before = [Answer({}, 302, {"Location": other.address + "/v1/rows?offset=0"})]
            with pytest.raises(CatalogueError, match=r"302.*points elsewhere"):
                rows(service)
            assert other.requests == []

    def test_a_circle_ends(self, service, web):
        here = web.address + "/v1/rows?offset=0"
        web.respond = lambda request: Answer({"items": [1], "next": here})
        with pytest.raises(CatalogueError, match="do not end"):
            rows(service)
        assert len(web.requests) == 2

    def test_empty_pages_without_end_end(self, service, web):
        web.respond = lambda request: Answer({"items": [], "next": f"/rows?offset={int(request.query['offset']) + 2}"})
        with pytest.raises(CatalogueError, match="page after page is empty"):
            rows(service)
        assert len(web.requests) == 3

    @pytest.mark.parametrize(
        "page",
        [{}, {"items": None, "next": None}, {"items": {}}, {"data": []}, {"items": [], "next": 7}, {"items": "abc"}],
    )
    def test_a_page_without_its_list_is_named(self, page, service, web):
        web.before = [Answer({"items": [1], "next": "/rows?offset=2"}), Answer(page)]
        with pytest.raises(CatalogueError, match=r"without a list 'items'"):
            rows(service)
        assert len(web.requests) == 2

    @pytest.mark.parametrize("page", [[], "text", None, 3])
    def test_a_page_that_is_no_object_is_named(self, page, service, web):
        web.before = [Answer(page)]
        with pytest.raises(CatalogueError, match="no object"):
            rows(service)


class TestTooManyRequests:
    def test_is_waited_for_as_many_seconds_as_the_service_says(self, service, web, said, waits):
        web.before = [Answer({}, 429, {"Retry-After": "1"})]
        assert rows(service) == [0, 1, 2, 3, 4, 5]
        assert waits == [1.0]
        assert len(said) == 1 and "too many requests" in said[0] and "again in 1 s" in said[0]

    def test_is_waited_for_until_the_date_that_the_service_says(self, service, web, waits, monkeypatch):
        now = datetime(2026, 1, 1, 12, tzinfo=UTC)
        monkeypatch.setattr("earmark.catalogue.sources.calling.datetime", Mock(now=lambda zone: now.astimezone(zone)))
        web.before = [Answer({}, 429, {"Retry-After": "Thu, 01 Jan 2026 12:00:02 GMT"})]
        assert service.get("/thing") == {"name": "a thing"}
        assert waits == [2.0]

    @pytest.mark.parametrize("value", ["0", "", "soon", "-5", "Thu, 01 Jan 1970 00:00:00 GMT", "²"])
    def test_a_header_that_says_nothing_of_use_does_no_harm(self, value, service, web):
        web.before = [Answer({}, 429, {"Retry-After": value.encode().decode("latin-1")} if value else {})]
        assert service.get("/thing") == {"name": "a thing"}
        assert len(web.requests) == 2

    def test_longer_than_anyone_waits_is_said_at_once(self, service, web, waits):
        web.before = [Answer({}, 429, {"Retry-After": "86400"})]
        with pytest.raises(CatalogueError, match="asks to wait 86400 s, longer than"):
            service.get("/thing")
        assert waits == [] and len(web.requests) == 1

    def test_for_ever_ends(self, service, web):
        web.respond = lambda request: Answer({}, 429, {"Retry-After": "0"})
        with pytest.raises(CatalogueError, match="4 attempts"):
            service.get("/thing")
        assert len(web.requests) == QUICK.attempts


class TestAServiceThatFails:
    @pytest.mark.parametrize("status", [500, 502, 503])
    def test_once_is_asked_again(self, status, service, web):
        web.before = [Answer(b"<html>sorry</html>", status)]
        assert rows(service) == [0, 1, 2, 3, 4, 5]
        assert len(web.requests) == 4

    def test_for_ever_is_given_up_after_longer_and_longer_waits(self, service, web, said, waits):
        web.respond = lambda request: Answer({}, 503)
        with pytest.raises(CatalogueError, match=r"503.*4 attempts.*nothing was changed"):
            rows(service)
        assert waits == pytest.approx([0.02, 0.04, 0.08])
        assert len(web.requests) == QUICK.attempts and len(said) == QUICK.attempts - 1

    @pytest.mark.parametrize(
        "body", [b"<!doctype html><title>Log in</title>", b'{"items": [1, 2', b"", b"\xff\xfe\x00"]
    )
    def test_an_answer_that_is_no_json_is_asked_for_again_and_then_named(self, body, service, web):
        web.before = [Answer(body, headers={"Content-Type": "text/html"})]
        assert service.get("/thing") == {"name": "a thing"}
        web.before = [Answer(body, headers={"Content-Type": "text/html"})] * QUICK.attempts
        with pytest.raises(CatalogueError, match=r"text/html.*no JSON"):
            service.get("/thing")

    def test_an_answer_that_cannot_be_unpacked_is_asked_for_again_and_then_named(self, service, web):
        garbage = Answer(b"no gzip", headers={"Content-Encoding": "gzip"})
        web.before = [garbage]
        assert rows(service) == [0, 1, 2, 3, 4, 5]
        web.before = [garbage] * QUICK.attempts
        with pytest.raises(
            CatalogueError, match=r"cannot be unpacked .*4 attempts came to nothing\. Check the network"
        ):
            service.get("/thing")

    def test_deeply_nested_json_is_no_crash(self, service, web):
        web.before = [Answer(b"[" * 200_000)] * QUICK.attempts
        with pytest.raises(CatalogueError, match="no JSON"):
            service.get("/thing")

    def test_silence_is_asked_again_and_then_named(self, service, web):
        web.before = [lambda: time.sleep(2)]
        assert service.get("/thing") == {"name": "a thing"}
        web.before = [lambda: time.sleep(2)] * QUICK.attempts
        with pytest.raises(CatalogueError, match=r"no answer within 0\.8 s"):
            service.get("/thing")

    def test_nobody_there_is_named(self):
        with serving(three_pages) as web:
            gone = web.address
        with (
            Service("The service", gone, {"Authorization": SECRET}, remedies={}, patience=QUICK, say=print) as service,
            pytest.raises(CatalogueError, match=r"no connection.*Check the network"),
        ):
            service.get("/thing")


class TestARefusal:
    def test_of_the_token_says_how_to_get_a_new_one_and_is_not_repeated(self, service, web):
        web.before = [Answer({"error": {"status": 401, "message": "The access token expired"}}, 401)]
        with pytest.raises(CatalogueError, match=r"401 \(The access token expired\)\. Get a new one at the desk"):
            rows(service)
        assert len(web.requests) == 1

    def test_in_the_middle_of_the_pages_ends_at_once_too(self, service, web):
        web.before = [Answer({"items": [0], "next": "/rows?offset=2"}), Answer({}, 401)]
        with pytest.raises(CatalogueError, match="Get a new one"):
            rows(service)
        assert len(web.requests) == 2

    def test_of_rights_says_what_helps(self, service, web):
        web.before = [Answer({"errors": [{"title": "Forbidden", "detail": "Not yours"}]}, 403)]
        with pytest.raises(CatalogueError, match=r"403 \(Not yours\)\. Ask for more rights"):
            service.get("/thing")

    @pytest.mark.parametrize("body", [{}, [], {"errors": []}, {"error": 3}, {"error": {"message": None}}, b"<html>"])
    def test_without_a_message_that_can_be_read_is_one_all_the_same(self, body, service, web):
        web.before = [Answer(body, 400)]
        with pytest.raises(CatalogueError, match=r"refused .*/v1/thing with 400"):
            service.get("/thing")

    def test_what_is_not_there_may_be_left_out(self, service):
        assert service.get("/nothing", missing={}) == {}
        with pytest.raises(CatalogueError, match="404"):
            service.get("/nothing")


class TestTheToken:
    def test_is_in_no_message_and_no_log(self, service, web, said, caplog):
        caplog.set_level(logging.DEBUG)
        echo = f"Token {SECRET} is bad"
        answers = [
            [Answer({"error": {"message": echo}}, 401)],
            [Answer({"error": echo}, 400)],
            [Answer({"items": [], "next": f"http://elsewhere.example/{SECRET}"})],
            [Answer({}, 500)] * QUICK.attempts,
            [lambda: time.sleep(2)] * QUICK.attempts,
        ]
        texts = []
        for web.before in answers:
            with pytest.raises(CatalogueError) as caught:
                rows(service)
            texts.append(str(caught.value))
        assert len(texts) == len(answers) and len(said) > 3
        assert SECRET not in "".join([*texts, *said, caplog.text])
        assert "Token … is bad" in texts[0]

    def test_is_taken_from_the_environment(self, monkeypatch):
        monkeypatch.setenv("A_TOKEN", f"  {SECRET}\n")
        assert token("A_TOKEN", "Get one.") == SECRET

    @pytest.mark.parametrize("value", ["", "  ", None])
    def test_that_is_missing_is_named_with_what_helps(self, value, monkeypatch):
        monkeypatch.delenv("A_TOKEN", raising=False)
        if value is not None:
            monkeypatch.setenv("A_TOKEN", value)
        with pytest.raises(CatalogueError, match=r"A_TOKEN is not set\. Get one\."):
            token("A_TOKEN", "Get one.")

    @pytest.mark.parametrize("value", [f"Bearer {SECRET}", f"{SECRET}\nX-Other: 1", f"{SECRET}é"])
    def test_that_can_be_none_is_refused_without_showing_it(self, value, monkeypatch):
        monkeypatch.setenv("A_TOKEN", value)
        with pytest.raises(CatalogueError, match="copied with something around it") as caught:
            token("A_TOKEN", "Get one.")
        assert SECRET not in str(caught.value)

    @pytest.mark.parametrize(
        "address",
        ["http://api.example.com", "ftp://x", "api.example.com", "", "http://localhost@evil.example", "https://"],
    )
    def test_is_not_sent_without_encryption(self, address):
        with pytest.raises(CatalogueError, match="no https address"):
            Service("S", address, {"Authorization": SECRET}, remedies={}, patience=QUICK)
