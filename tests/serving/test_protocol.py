"""Connections to a real uvicorn: those that say nothing, those that speak no HTTP, and those that break off."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest
import uvicorn
from door_tools import behind, logged

from earmark.adapters.supervisor import free_port
from earmark.serving import protocol

HEAD_SECONDS = 0.5
UPLOAD_SECONDS = 0.8


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """Where a server listens that was set up as BentoML sets it up."""
    before, protocol.HEAD_SECONDS = protocol.HEAD_SECONDS, HEAD_SECONDS
    protocol.guard_connections()
    number = free_port(3000)
    door = behind(max_bytes=2_000_000, upload_seconds=UPLOAD_SECONDS)
    server = uvicorn.Server(uvicorn.Config(door, port=number, log_config=None, server_header=False))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield number
    server.should_exit = True
    thread.join(30)
    protocol.HEAD_SECONDS = before


@pytest.fixture
def connect(port: int) -> Iterator[Callable[[], socket.socket]]:
    opened = []

    def go() -> socket.socket:
        opened.append(socket.create_connection(("127.0.0.1", port), timeout=10))
        return opened[-1]

    yield go
    for connection in opened:
        connection.close()


def read(connection: socket.socket) -> bytes:
    """All that comes until the other side closes."""
    found = b""
    while True:
        try:
            piece = connection.recv(65_536)
        except ConnectionResetError:
            return found
        if not piece:
            return found
        found += piece


def error_of(answer: bytes) -> tuple[int, dict]:
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)["error"]


class TestHeads:
    @pytest.mark.parametrize("first", [b"", b"POST /predict HT", b"GET /livez HTTP/1.1\r\nHost: x\r\nA: "])
    def test_a_connection_that_does_not_say_what_it_wants_is_closed(self, connect, first):
        connection = connect()
        connection.sendall(first)
        began = time.monotonic()
        assert read(connection) == b""
        assert HEAD_SECONDS * 0.8 < time.monotonic() - began < 5

    def test_letters_every_now_and_then_do_not_help(self, connect):
        connection = connect()
        began = time.monotonic()
        with pytest.raises(OSError):
            for _ in range(200):
                connection.sendall(b"a")
                time.sleep(0.05)
        assert time.monotonic() - began < 5

    def test_nor_do_they_after_a_good_request(self, connect):
        connection = connect()
        connection.sendall(b"GET /model HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"200 OK" in connection.recv(65_536)
        began = time.monotonic()
        with pytest.raises(OSError):
            for _ in range(200):
                connection.sendall(b"a")
                time.sleep(0.05)
        assert time.monotonic() - began < 5

    def test_who_asks_again_and_again_over_one_connection_is_served_for_longer_than_that(self, connect):
        connection = connect()
        for _ in range(8):
            connection.sendall(b"GET /model HTTP/1.1\r\nHost: x\r\n\r\n")
            answer = b""
            while not answer.endswith(b"}"):
                answer += connection.recv(65_536)
            assert answer.startswith(b"HTTP/1.1 200 OK")
            time.sleep(HEAD_SECONDS / 4)

    @pytest.mark.parametrize(
        "head",
        [
            b"this is no http\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00",  # a TLS handshake
            b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
            b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 5\r\n\r\nabc",
            b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: many\r\n\r\n",
            b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Long: " + b"a" * 100_000 + b"\r\n\r\n",
        ],
        ids=["words", "tls", "hosts", "lengths", "length", "path", "header"],
    )
    def test_what_is_no_http_is_refused_in_the_shape_of_all_errors(self, connect, head):
        connection = connect()
        connection.sendall(head)
        answer = read(connection)
        status, error = error_of(answer)
        assert status in (400, 501) and set(error) == {"code", "message", "request_id"}
        assert error["code"] == "malformed"
        assert f"x-request-id: {error['request_id']}".encode() in answer and b"nosniff" in answer


class TestBodies:
    def test_a_slow_one_is_told_so_and_cut_off(self, connect):
        connection = connect()
        connection.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nab")
        began = time.monotonic()
        status, error = error_of(read(connection))
        assert (status, error["code"]) == (408, "slow_upload")
        assert UPLOAD_SECONDS * 0.8 < time.monotonic() - began < 5

    def test_one_that_is_too_large_hears_it_and_is_cut_off(self, connect):
        connection = connect()
        connection.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 900000000\r\n\r\n" + bytes(200_000))
        status, error = error_of(read(connection))
        assert (status, error["code"]) == (413, "too_large")

    def test_one_that_waits_to_be_asked_is_only_asked_where_it_is_wanted(self, connect):
        head = b"POST /predict HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nConnection: close\r\nContent-Length: "
        wanted, unwanted = connect(), connect()
        wanted.sendall(head + b"5\r\n\r\n")
        assert wanted.recv(1_000).startswith(b"HTTP/1.1 100 ")
        wanted.sendall(b"12345")
        assert read(wanted).startswith(b"HTTP/1.1 200 ")
        unwanted.sendall(head + b"1000000000\r\n\r\n")
        assert read(unwanted).startswith(b"HTTP/1.1 413 ")

    def test_who_hangs_up_in_the_middle_is_no_error(self, connect, port):
        with logged() as lines:
            connection = connect()
            connection.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nab")
            time.sleep(0.1)
            connection.close()
            until = time.monotonic() + 10
            while not lines() and time.monotonic() < until:
                time.sleep(0.02)
        assert [(line["level"], line["code"]) for line in lines()] == [("info", "interrupted")]

    def test_two_ways_of_saying_where_it_ends_are_refused(self, connect):
        connection = connect()
        connection.sendall(
            b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"0\r\n\r\nGET /model HTTP/1.1\r\nHost: x\r\n\r\n"
        )
        answer = read(connection)
        assert error_of(answer)[1]["code"] == "malformed"
        assert answer.count(b"HTTP/1.1 ") == 1  # what follows is nobody's request
