"""What the door cannot see: connections that send no whole request, and bytes that are no HTTP.

uvicorn waits for the head of a request for ever, so that a few thousand silent connections would take all that a
process can have; and it answers bytes that are no HTTP in a shape of its own. BentoML starts uvicorn itself and has no
setting for either, so its protocol is replaced where uvicorn looks it up.
"""

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http import auto
from uvicorn.protocols.http.h11_impl import H11Protocol

from earmark.serving.answers import ErrorAnswer, ErrorDetail
from earmark.serving.headers import answer_headers, request_id_of

# For the few hundred bytes of a request's first lines.
HEAD_SECONDS = 20.0


class GuardedProtocol(H11Protocol):
    """uvicorn's HTTP/1.1 that waits only so long for the head of a request, and refuses what is none in our shape."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Somebody is there, and should say what they want."""
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Some bytes came in, of a head or of a body."""
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """They are gone."""
        super().connection_lost(exc)
        self._stop()

    def send_400_response(self, msg: str) -> None:
        """Refuse what h11 could not read; ``msg`` would say no more."""
        if self.conn.our_state is not h11.IDLE and self.conn.our_state is not h11.SEND_RESPONSE:
            self.transport.close()  # an answer is on its way already
            return
        request_id = request_id_of([])
        said = "These bytes are no HTTP/1.1 request that can be read, or its head is larger than 64 KiB."
        error = ErrorDetail(code="malformed", message=said, request_id=request_id)
        body = ErrorAnswer(error=error).model_dump_json().encode()
        own = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
        ]
        headers: Any = answer_headers(own, path="", request_id=request_id)
        events = (h11.Response(status_code=400, headers=headers, reason=b"Bad Request"), h11.Data(body))
        for event in (*events, h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _watch(self) -> None:
        waiting = self.cycle is None or self.cycle.response_complete
        if not waiting:
            self._stop()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(HEAD_SECONDS, self._close)

    def _stop(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _close(self) -> None:
        self._deadline = None
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()


def guard_connections() -> None:
    """Let the uvicorn of this process, which begins to serve later, speak with `GuardedProtocol`."""
    auto.AutoHTTPProtocol = GuardedProtocol
