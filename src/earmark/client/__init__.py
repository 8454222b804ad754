"""earmark's service for Python programs: typed answers, errors as exceptions, requests repeated where that is safe.

    from earmark.client import Client

    with Client("http://127.0.0.1:3000") as earmark:
        answer = earmark.predict("song.mp3")
        print(answer.genres[0].genre, answer.appeal)

`AsyncClient` is the same for asyncio. Both read the shapes of `earmark.serving.answers` and need nothing of earmark but
those: neither torch nor BentoML is imported.
"""

from earmark.client.asynchronous import AsyncClient
from earmark.client.errors import Busy, Cancelled, ClientError, Failed, Refused, TimedOut, Unreachable
from earmark.client.retries import Retries
from earmark.client.shapes import Event, Progress
from earmark.client.synchronous import Client

__all__ = [
    "AsyncClient",
    "Busy",
    "Cancelled",
    "Client",
    "ClientError",
    "Event",
    "Failed",
    "Progress",
    "Refused",
    "Retries",
    "TimedOut",
    "Unreachable",
]
