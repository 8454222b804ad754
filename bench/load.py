"""Load on a service, from a process of its own: requests over plain sockets, so that the client costs next to nothing.

    python bench/load.py PLAN.json > OUTCOME.json

The plan: ``port``, ``path``, ``field``, ``files`` (paths, sent in turn), ``seconds``, and either ``clients`` (so many
ask again and again, each as soon as it has its answer: a closed loop) or ``rate`` (so many requests a second, at random
times, or evenly where ``random`` is false, whatever becomes of the others: an open loop; ``seed``). ``bodies``: whether
the answers are kept.

The outcome: for each request when it began and how long it took, in seconds, the status (0: no answer at all), and the
answer if it is kept.
"""

import asyncio
import json
import random
import sys
import time
from pathlib import Path
from typing import Any

_PATIENCE_S = 60.0
_BOUNDARY = b"earmark-bench-boundary"


def request_of(path: str, field: str, name: str, content: bytes) -> bytes:
    """A whole HTTP request with one file in a form."""
    head = f'--{_BOUNDARY.decode()}\r\ncontent-disposition: form-data; name="{field}"; filename="{name}"\r\n'
    body = head.encode() + b"content-type: audio/mpeg\r\n\r\n" + content + b"\r\n--" + _BOUNDARY + b"--\r\n"
    lines = (
        f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: multipart/form-data; "
        f"boundary={_BOUNDARY.decode()}\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return lines.encode() + body


class Connections:
    """Open connections to one port; each is used by one request at a time."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._free: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """Status and body; status 0 where the connection broke."""
        connection = None
        try:
            connection = await self._connection()
            reader, writer = connection
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            status = int(head[9:12])
            fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line)
            body = await reader.readexactly(int(fields.get(b"content-length", b"0")))
            if fields.get(b"connection") == b"close":
                writer.close()
            else:
                self._free.append(connection)
            return status, body
        except (OSError, asyncio.IncompleteReadError, ValueError):
            if connection is not None:
                connection[1].close()
            return 0, b""
        except asyncio.CancelledError:
            if connection is not None:
                connection[1].close()
            raise

    async def _connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        while self._free:
            reader, writer = self._free.pop()
            if not reader.at_eof():
                return reader, writer
            writer.close()  # nobody used it for a while, so the server ended it
        return await asyncio.open_connection("127.0.0.1", self._port)


async def run(plan: dict[str, Any]) -> list[dict[str, Any]]:
    """Every request of ``plan``."""
    requests = [
        request_of(plan["path"], plan["field"], Path(path).name, Path(path).read_bytes()) for path in plan["files"]
    ]
    connections = Connections(plan["port"])
    told: list[dict[str, Any]] = []
    start, number = time.time(), 0

    async def one() -> None:
        nonlocal number
        which = number % len(requests)
        number += 1
        begun = time.time()
        try:
            status, body = await asyncio.wait_for(connections.ask(requests[which]), _PATIENCE_S)
        except TimeoutError:
            status, body = 0, b""
        row = {"at": begun, "took": time.time() - begun, "status": status, "file": which}
        told.append(row | ({"body": body.decode("utf-8", "replace")} if plan.get("bodies") else {}))

    async def client() -> None:
        while time.time() - start < plan["seconds"]:
            await one()

    if "clients" in plan:
        await asyncio.gather(*(client() for _ in range(plan["clients"])))
        return told
    draw = random.Random(plan.get("seed", 1))
    waiting, at = [], start
    while at - start < plan["seconds"]:
        await asyncio.sleep(max(0.0, at - time.time()))
        waiting.append(asyncio.ensure_future(one()))
        at += draw.expovariate(plan["rate"]) if plan.get("random", True) else 1 / plan["rate"]
    await asyncio.gather(*waiting)
    return told


if __name__ == "__main__":
    json.dump(asyncio.run(run(json.loads(Path(sys.argv[1]).read_text()))), sys.stdout)
