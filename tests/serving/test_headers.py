"""What every answer says to browsers, what none tells, and under which id a request runs."""

import re

import pytest
from door_tools import ask, behind, logged
from hypothesis import given
from hypothesis import strategies as st

from earmark.serving.headers import answer_headers, request_id_of

PAGES = ["/", "/page/main.js"]


def policy(response) -> dict[str, list[str]]:
    """Directive → sources."""
    parts = [part.split() for part in response.headers["content-security-policy"].split(";")]
    return {name: sources for name, *sources in parts}


class TestEveryAnswer:
    @pytest.mark.parametrize("path", ["/", "/model", "/nowhere", "/fail", "/livez"])
    def test_is_not_sniffed_framed_kept_or_told_on(self, path):
        headers = ask(behind(), "GET", path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cross-origin-opener-policy"] == headers["cross-origin-resource-policy"] == "same-origin"
        assert headers["cache-control"] == "no-store"
        assert "microphone=(self)" in headers["permissions-policy"]
        assert "frame-ancestors 'none'" in headers["content-security-policy"]

    @pytest.mark.parametrize("path", PAGES)
    def test_the_page_loads_only_what_is_its_own(self, path):
        found = policy(ask(behind(), "GET", path))
        assert found["default-src"] == found["connect-src"] == found["form-action"] == ["'self'"]
        assert found["img-src"] == ["'self'", "data:", "blob:"] and found["media-src"] == ["'self'", "blob:"]
        assert found["base-uri"] == ["'none'"] and not any("unsafe" in str(sources) for sources in found.values())

    def test_swaggers_page_may_write_styles_but_no_scripts(self):
        found = policy(ask(behind(), "GET", "/api"))
        assert found["style-src"] == ["'self'", "'unsafe-inline'"] and "script-src" not in found

    @pytest.mark.parametrize("path", ["/model", "/pages", "/api/x", "/nowhere"])
    def test_what_is_no_page_may_load_nothing(self, path):
        assert policy(ask(behind(), "GET", path))["default-src"] == ["'none'"]

    @pytest.mark.parametrize("path", ["/model", "/nowhere", "/fail"])
    def test_none_says_which_software_answers(self, path):
        response = ask(behind(), "GET", path)
        assert "server" not in response.headers
        assert not re.search("bento|starlette|uvicorn", str(response.headers), re.IGNORECASE)

    def test_an_answer_that_says_otherwise_is_right(self):
        headers = dict(
            answer_headers([(b"Cache-Control", b"max-age=60"), (b"ETag", b"x")], path="/page/a", request_id="i")
        )
        assert headers[b"cache-control"] == b"max-age=60" and headers[b"etag"] == b"x"
        assert headers[b"x-content-type-options"] == b"nosniff"

    @given(
        given=st.lists(
            st.tuples(
                st.sampled_from([b"Server", b"SERVER", b"X-BentoML-Request-ID", b"x-bentoml-anything", b"X-Request-Id",
                                 b"content-type", b"Set-Cookie", b"X-Powered-By", b"Referrer-Policy"]),
                st.binary(max_size=5),
            )
        ),
        path=st.text(max_size=12),
    )  # fmt: skip
    def test_whatever_comes_from_within_each_of_ours_stands_once_and_nothing_untold(self, given, path):
        found = answer_headers(given, path=path, request_id="abc")
        names = [name for name, _ in found]
        assert names.count(b"x-request-id") == 1 and (b"x-request-id", b"abc") in found
        assert not {b"server", b"x-powered-by", b"x-bentoml-request-id", b"x-bentoml-anything"} & set(names)
        assert names.count(b"content-security-policy") == 1
        assert [v for n, v in given if n == b"Set-Cookie"] == [v for n, v in found if n == b"set-cookie"]
        assert {b"referrer-policy", b"cache-control"} <= set(names)


class TestRequestId:
    @pytest.mark.parametrize("given", ["a", "3f0c9a52", "web-1.2_x", "A" * 64])
    def test_a_callers_own_is_taken_over_in_answer_and_log(self, given):
        with logged() as lines:
            response = ask(behind(), "GET", "/model", headers={"x-request-id": given})
        assert response.headers["x-request-id"] == given
        assert response.json()["heard"] == given  # what the application finds
        assert [line["request_id"] for line in lines()] == [given]

    @pytest.mark.parametrize("given", [b"", b"A" * 65, b"a b", b"a\xff", b"<script>", b'a","x":"', b"a;b"])
    def test_anything_else_is_replaced(self, given):
        found = ask(behind(), "GET", "/model", headers={"x-request-id": given}).headers["x-request-id"]
        assert re.fullmatch("[0-9a-f]{32}", found)

    def test_two_of_them_are_none(self):
        assert request_id_of([(b"x-request-id", b"a"), (b"x-request-id", b"b")]) not in ("a", "b")

    @given(st.binary(max_size=80))
    def test_what_stands_in_the_log_is_always_an_id(self, value):
        assert re.fullmatch(r"[A-Za-z0-9._-]{1,64}", request_id_of([(b"x-request-id", value)]))

    def test_an_error_carries_it(self):
        response = ask(behind(), "GET", "/nowhere", headers={"x-request-id": "mine"})
        assert response.json()["error"]["request_id"] == response.headers["x-request-id"] == "mine"
