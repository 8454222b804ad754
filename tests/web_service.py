"""A web service on this machine for tests: it answers real HTTP as a script says, and remembers what it was sent."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass
class Request:
    """What came in."""

    path: str
    query: dict[str, str]
    headers: dict[str, str]


@dataclass
class Answer:
    """What goes out: ``body`` as JSON unless it is bytes already."""

    body: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class WebService:
    """A running service. ``before`` holds answers that are given first, one a request; then `respond` decides."""

    respond: Callable[[Request], Answer | None]
    before: list[Answer | Callable[[], None]] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    address: str = ""

    def paths(self) -> list[str]:
        return [request.path for request in self.requests]

    def answer(self, request: Request) -> Answer:
        self.requests.append(request)
        if self.before:
            first = self.before.pop(0)
            if isinstance(first, Answer):
                return first
            first()
        return self.respond(request) or Answer({"error": {"status": 404, "message": "Not found."}}, 404)


@contextmanager
def serving(respond: Callable[[Request], Answer | None]) -> Iterator[WebService]:
    """A service that answers by ``respond`` until the block ends."""
    service = WebService(respond)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = {key: values[0] for key, values in parse_qs(parts.query).items()}
            headers = {key.lower(): value for key, value in self.headers.items()}
            answer = service.answer(Request(parts.path, query, headers))
            body = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
            self.send_response(answer.status)
            for key, value in {"Content-Type": "application/json", **answer.headers}.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def handle(self) -> None:
            try:
                super().handle()
            except ConnectionError:
                self.close_connection = True  # the other side waited no longer

        def log_message(self, format: str, *arguments: Any) -> None:
            """Nothing on the console."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        service.address = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield service
        finally:
            server.shutdown()
            thread.join()
