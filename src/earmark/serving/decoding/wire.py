"""Messages between the processes: JSON behind its length, and with it file descriptors, over a Unix socket.

JSON and not pickle: whoever took over a decoder must not be able to run code in the service.
"""

import json
import os
import socket
from typing import Any

Message = dict[str, Any]

_LENGTH_BYTES = 4
_MOST_BYTES = 1 << 16
_MOST_DESCRIPTORS = 4


class Wire:
    """One end of a socket pair."""

    def __init__(self, end: socket.socket) -> None:
        self.socket = end
        self._received = b""
        self._descriptors: list[int] = []

    def send(self, message: Message, *descriptors: int) -> None:
        """Send a message, and what files the receiver shall have open.

        Raises:
            OSError: The other end is gone, or has not listened for long.
        """
        body = json.dumps(message).encode()
        packed = len(body).to_bytes(_LENGTH_BYTES, "big") + body
        sent = socket.send_fds(self.socket, [packed], descriptors)
        if sent < len(packed):
            self.socket.sendall(packed[sent:])

    def receive(self) -> tuple[Message, list[int]]:
        """The next message and the descriptors that came with it, now the caller's; waits for it.

        Raises:
            EOFError: The other end is gone.
        """
        while (found := self.take()) is None:
            pass
        return found

    def take(self) -> tuple[Message, list[int]] | None:
        """As `receive`; of a socket that does not block, None where no whole message has arrived yet.

        Raises:
            EOFError: The other end is gone, or talks nonsense.
        """
        try:
            while True:
                wanted = self._wanted()
                if wanted <= 0:
                    message = json.loads(self._received[_LENGTH_BYTES:])
                    if not isinstance(message, dict):
                        raise EOFError
                    descriptors, self._received, self._descriptors = self._descriptors, b"", []
                    return message, descriptors
                # Never more than this message's rest: what descriptors come belong to it.
                data, descriptors, _, _ = socket.recv_fds(self.socket, wanted, _MOST_DESCRIPTORS)
                self._descriptors += descriptors
                for descriptor in descriptors:
                    os.set_inheritable(descriptor, False)
                if not data:
                    raise EOFError
                self._received += data
        except BlockingIOError:
            return None
        except (OSError, ValueError):
            raise EOFError from None

    def close(self) -> None:
        """Close it, and what came through it for nobody."""
        for descriptor in self._descriptors:
            os.close(descriptor)
        self._descriptors = []
        self.socket.close()

    def _wanted(self) -> int:
        """How many bytes are missing."""
        if len(self._received) < _LENGTH_BYTES:
            return _LENGTH_BYTES - len(self._received)
        length = int.from_bytes(self._received[:_LENGTH_BYTES], "big")
        if length > _MOST_BYTES:
            raise EOFError
        return _LENGTH_BYTES + length - len(self._received)
