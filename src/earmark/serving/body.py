"""The body of one request as it comes in: counted, timed, and ended where it is too large or too slow."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable

from starlette.types import Message, Receive

from earmark.serving.errors import Refusal

# What a multipart form adds to the files that it carries: boundaries, headers, a few small fields.
FORM_BYTES = 65_536
_MEGABYTE = 1_000_000
_DIGITS = 18


def declared_bytes(headers: Iterable[tuple[bytes, bytes]]) -> int | None:
    """The length that a request declares; 0: it has no body; None: it comes in chunks, of which nobody knows how many.

    Raises:
        Refusal: The declarations are no number, contradict each other, or leave open where the body ends. What stands
            in front of the service might take them for something else, and a part of one body for another's request.
    """
    lengths = {value.strip() for name, value in headers if name == b"content-length"}
    codings = [value.strip().lower() for name, value in headers if name == b"transfer-encoding"]
    if (codings and (lengths or codings != [b"chunked"])) or len(lengths) > 1:
        raise Refusal(
            "malformed", "The headers contradict each other on how long the body is. Send one Content-Length."
        )
    if codings:
        return None
    if not lengths:
        return 0
    length = lengths.pop()
    if not length.isdigit():
        raise Refusal("malformed", "Content-Length is no number of bytes.")
    return int(length) if len(length) <= _DIGITS else 10**_DIGITS


class Body:
    """What a request still sends.

    Args:
        receive: Where it comes from.
        declared: Its length in bytes; None: unknown.
        most: Bytes that are accepted, a form's own not counted.
        seconds: In which it has to come in, beyond one for each megabyte that did.
        refuse: Tells the caller at once, however long whatever waits for the body takes to give up.

    Attributes:
        received: Bytes so far.
        complete: It came in to its end.
        gone: The caller is no longer there.
    """

    def __init__(
        self,
        receive: Receive,
        *,
        declared: int | None,
        most: int,
        seconds: float,
        refuse: Callable[[Refusal], Awaitable[None]],
    ) -> None:
        self.received = 0
        self.complete = declared == 0
        self.gone = False
        self.declared = declared
        self._receive = receive
        self._most = most
        self._seconds = seconds
        self._refuse = refuse
        self._begin = time.monotonic()

    @property
    def is_upload(self) -> bool:
        """Whether it may need room on the disk."""
        return self.declared is None or self.declared > FORM_BYTES

    @property
    def broken_off(self) -> bool:
        """Whether the caller left before its end."""
        return self.gone and not self.complete

    def check_declared(self) -> None:
        """Before anything is read.

        Raises:
            Refusal: It is going to be too large.
        """
        if (self.declared or 0) > self._most + FORM_BYTES:
            raise self._too_large()

    async def receive(self) -> Message:
        """The next piece.

        Raises:
            Refusal: It is too large or too slow. The caller has heard it by then.
        """
        if self.complete or self.gone:
            message = await self._receive()
            self.gone = self.gone or message["type"] == "http.disconnect"
            return message
        try:
            async with asyncio.timeout(max(0.0, self._allowed_s() - (time.monotonic() - self._begin))):
                message = await self._receive()
        except TimeoutError:
            raise await self._refused(self._too_slow()) from None
        if message["type"] == "http.disconnect":
            self.gone = True
            return message
        self.received += len(message.get("body", b""))
        if self.received > self._most + FORM_BYTES:
            raise await self._refused(self._too_large())
        self.complete = not message.get("more_body", False)
        return message

    async def drain(self, *, most: int, seconds: float) -> None:
        """Read on for a little while and throw it away: who still sends when the connection closes hears no answer."""
        read = 0
        try:
            async with asyncio.timeout(seconds):
                while not (self.complete or self.gone) and read < most:
                    message = await self._receive()
                    read += len(message.get("body", b""))
                    self.gone = message["type"] == "http.disconnect"
                    self.complete = not self.gone and not message.get("more_body", False)
        except TimeoutError:
            return

    async def _refused(self, refusal: Refusal) -> Refusal:
        await self._refuse(refusal)
        return refusal

    def _allowed_s(self) -> float:
        return self._seconds + self.received / _MEGABYTE  # not by what is declared, which costs nothing

    def _too_large(self) -> Refusal:
        return Refusal(
            "too_large",
            f"The upload is larger than the {self._most:,} bytes that are accepted here "
            "(`service` in params.yaml). Send an excerpt, or a compressed format.",
        )

    def _too_slow(self) -> Refusal:
        return Refusal(
            "slow_upload",
            f"The upload did not come in within {self._allowed_s():.0f} s (service.upload_seconds in params.yaml, and "
            "one for each megabyte). Send it again over a faster line, or a smaller file.",
        )
