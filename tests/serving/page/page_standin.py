"""A stand-in for the service: the real page, as the service serves it, with canned answers and failures to order.

It shows what a model may say that a test's own model never would (it abstains, hears something unlike anything, has
learnt no tags), and fails in every way there is, at once. The answers keep to the shapes of `earmark.serving.answers`.
"""

import asyncio
import io
import math
import threading
import time
import wave
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import uvicorn
from starlette.applications import Starlette
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

import earmark.serving
from earmark.adapters.supervisor import free_port
from earmark.serving.answers import Answer, ExplainAnswer, Lineage, ModelCard, SimilarAnswer
from earmark.serving.errors import KINDS
from earmark.serving.headers import answer_headers

PAGE = next(iter(earmark.serving.__path__)) + "/page"
PREFIX = "/behind/a/prefix"
FEELINGS = (
    "tenderness", "calmness", "nostalgia", "sadness", "amazement", "joyful_activation", "solemnity", "power", "tension",
)  # fmt: skip
MODEL = {
    "name": "earmark",
    "version": "7",
    "run_id": "6c4f0b5f0f0e4c6c8f7f0d5d5b6a7e21",
    "kind": "blend",
    "data_hash": "9a4e",
}


@dataclass(frozen=True)
class Scripted:
    """One answer that an endpoint is to give instead of its own."""

    status: int
    body: dict[str, Any]
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class StandIn:
    """The stand-in and its switches.

    Attributes:
        url: Where the page is, with a slash at the end.
        delay_s: How long each prediction takes.
        key: What `authorization` has to bring, if anything.
        asked: Every request that was answered: path and form fields or JSON.
    """

    url: str = ""
    delay_s: float = 0.0
    key: str | None = None
    examples: bool = True
    second_licence: str = "CC BY 4.0"  # the second example's; the first one's is that
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0
    _next: dict[str, list[Scripted]] = field(default_factory=lambda: defaultdict(list))

    def refuse(self, path: str, code: str, *, times: int = 1, retry_after: str | None = None, status: int = 0) -> None:
        """Let the next requests for ``path`` fail with ``code``."""
        found = status or (KINDS[code].status if code in KINDS else 500)
        error = {"code": code, "message": f"The service's own words on {code}.", "request_id": f"request-{code}"}
        headers = {"retry-after": retry_after} if retry_after else {}
        self._next[path] += [Scripted(int(found), {"error": error}, headers)] * times

    def reset(self) -> None:
        """As new."""
        self.delay_s, self.key, self.examples, self.at_once, self.most_at_once = 0.0, None, True, 0, 0
        self.second_licence = "CC BY 4.0"
        self.asked.clear()
        self._next.clear()

    def requests(self, path: str) -> list[dict[str, Any]]:
        """The fields of every answered request for ``path``."""
        return [fields for asked, fields in self.asked if asked == path]

    def scripted(self, request: Request) -> Response | None:
        """What was switched on for this request, if anything."""
        if self.key and request.headers.get("authorization") != f"Bearer {self.key}":
            error = {"code": "unauthorized", "message": "An API key is needed.", "request_id": "request-key"}
            return JSONResponse({"error": error}, 401)
        waiting = self._next[request.url.path.strip("/").split("/")[-1]]
        if not waiting:
            return None
        told = waiting.pop(0)
        return JSONResponse(told.body, told.status, told.headers)


def song(seconds: float = 60.0, *, rate_hz: int = 8_000, seed: int = 1) -> bytes:
    """A wav file that looks like music: chords that change, a beat, quiet verses and loud choruses."""
    random = np.random.default_rng(seed)
    time_s = np.arange(int(seconds * rate_hz)) / rate_hz
    roots = random.choice([110.0, 130.8, 146.8, 164.8, 196.0], int(seconds / 2) + 1)[(time_s / 2).astype(int)]
    phase = 2 * np.pi * np.cumsum(roots) / rate_hz
    chord = sum(np.sin(phase * ratio) / (1 + at) for at, ratio in enumerate((1.0, 1.25, 1.5, 2.0, 3.0)))
    beat = np.exp(-8 * (time_s * 1.87 % 1.0))
    loud = np.interp(
        time_s / seconds,
        [0, 0.06, 0.22, 0.25, 0.45, 0.48, 0.62, 0.66, 0.92, 1],
        [0.1, 0.3, 0.35, 0.8, 0.85, 0.35, 0.3, 0.95, 0.9, 0.02],
    )
    swell = 0.75 + 0.25 * np.sin(2 * np.pi * time_s / 3.7)
    sound = loud * swell * (0.25 * chord * (0.35 + 0.65 * beat) + 0.12 * beat * random.normal(size=len(time_s)))
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate_hz)
        out.writeframes((np.clip(sound, -1, 1) * 30_000).astype("<i2").tobytes())
    return file.getvalue()


def answer(name: str, duration_s: float) -> dict[str, Any]:
    """An answer; words in the file's name choose among kinds of answers: abstain, unlike, bare, canary."""
    moments = [
        _moment(at, start, duration_s) for at, start in enumerate(np.linspace(0, max(0.0, duration_s - 4.096), 16))
    ]
    told: dict[str, Any] = {
        "prediction_id": f"prediction-of-{name}",
        "genres": [
            {"genre": "rock", "probability": 0.52},
            {"genre": "pop", "probability": 0.33},
            {"genre": "electronic", "probability": 0.11},
            {"genre": "classical", "probability": 0.04},
        ],
        "genre_set": ["rock", "pop"],
        "coverage": 0.9,
        "abstains": False,
        "tags": _tags(),
        "appeal": {
            "share": 0.55,
            "low": 0.41,
            "high": 0.68,
            "rank": 0.72,
            "rank_low": 0.31,
            "rank_high": 0.95,
            "of": 400,
        },
        "moments": moments,
        "facts": {
            "tempo": {"bpm": 112.4, "confidence": 0.83},
            "key": {"tonic": "E♭", "mode": "minor", "confidence": 0.47},
            "loudness": {"lufs": -16.2, "confidence": 0.98},
        },
        "unlike": 0.36,
        "warnings": [],
        "model": MODEL | {"role": "canary" if "canary" in name else "champion"},
        "content_hash": "0f343b0931126a20f133d67c2b018a3b5e3a1f3e3f0a4ff1b9a6d2e6d0a1c3d7",
        "duration_s": duration_s,
        "heard_seconds": min(duration_s, 60.0),
    }
    if "abstain" in name:
        told |= {"abstains": True, "warnings": ["The model is too unsure to say what this is: 34% for its best guess."]}
    if "unlike" in name:
        guess = "This recording is unlike anything that the model was trained on; its answer is a guess."
        told |= {"unlike": 0.001, "warnings": [guess]}
    if "bare" in name:
        told |= {"tags": [], "appeal": None, "moments": [], "genre_set": [], "coverage": None, "unlike": None}
        told["facts"] = {"tempo": None, "key": None, "loudness": None}
        told["model"] |= {"kind": "forest"}
    return Answer.model_validate(told).model_dump()


def _moment(at: int, start_s: float, duration_s: float) -> dict[str, Any]:
    rock = 0.5 + 0.38 * math.sin(at / 2.3 - 0.6)
    rest = 1 - rock
    genres = [("rock", rock), ("pop", 0.7 * rest), ("electronic", 0.22 * rest), ("classical", 0.08 * rest)]
    tags = [(f"feeling---{feeling}", 0.3 + 0.2 * math.sin(at / 3 + place)) for place, feeling in enumerate(FEELINGS)]
    return {
        "start_s": float(start_s),
        "end_s": min(float(start_s) + 4.096, duration_s),
        "genres": [{"genre": name, "probability": share} for name, share in sorted(genres, key=lambda one: -one[1])],
        "tags": [{"tag": name, "share": share} for name, share in sorted(tags, key=lambda one: -one[1])],
    }


def _tags() -> list[dict[str, Any]]:
    shares = [0.46, 0.41, 0.37, 0.28, 0.24, 0.19, 0.15, 0.12, 0.08]
    feelings = [
        {"tag": f"feeling---{name}", "share": share, "low": max(0.0, share - 0.19), "high": min(1.0, share + 0.21)}
        for name, share in zip(FEELINGS, shares, strict=True)
    ]
    words = [("word---road trip", 0.31), ("word---rainy evening", 0.22), ("category---sea · sing along", 0.37)]
    return feelings + [{"tag": tag, "share": share, "low": share / 2, "high": share + 0.25} for tag, share in words]


def explanation(fields: dict[str, Any], duration_s: float) -> dict[str, Any]:
    """Reasons of 64 bands and 48 moments."""
    hz = np.geomspace(40, 7_600, 64)
    bands = 0.09 * np.sin(np.linspace(-1, 7, 64)) * np.linspace(1.2, 0.4, 64) + 0.012
    edges = np.linspace(0, duration_s, 49)
    adds = 0.06 * np.sin(np.linspace(0, 11, 48)) + 0.02
    told = {
        "genre": fields.get("genre", "rock"),
        "rather_than": fields.get("rather_than"),
        "bands": [{"hz": float(centre), "nats": float(nats)} for centre, nats in zip(hz, bands, strict=True)],
        "moments": [
            {"start_s": float(edges[at]), "end_s": float(edges[at + 1]), "nats_per_s": float(adds[at]), "heard": 1.0}
            for at in range(48)
        ],
        "difference": float(bands.sum()) + 0.02,
        "gap": 0.02,
        "model": MODEL | {"role": "champion"},
    }
    return ExplainAnswer.model_validate(told).model_dump()


def similar() -> dict[str, Any]:
    """Ten songs; of some too few listeners are known."""
    known = [
        ("Harbour Lights", "Jackalopes", "rock", 0.94, 64, (0.61, 0.49, 0.72)),
        ("Paper Boats", "Brad Senne", "pop", 0.91, 41, (0.55, 0.40, 0.69)),
        ("Night Bus", "Norine Braun", "rock", 0.88, None, None),
        ("Cold Water", "Drop Trio", "electronic", 0.85, 22, (0.36, 0.19, 0.57)),
        ("A Longer Road", "Shane Jackman", "rock", 0.83, 37, (0.49, 0.34, 0.64)),
        *((f"Another {at}", "Arthur Yoria", "pop", 0.8 - at / 100, 20 + at, (0.4, 0.2, 0.6)) for at in range(4)),
        (None, None, None, 0.7, None, None),
    ]
    songs = [
        {
            "track_id": f"track-{at}",
            "title": title,
            "artist": artist,
            "genre": genre,
            "similarity": likeness,
            "listeners": listeners,
            "liked": None if liked is None else dict(zip(("share", "low", "high"), liked, strict=True)),
            "tags": [{"tag": "feeling---tenderness", "share": 0.5}, {"tag": "word---rainy evening", "share": 0.3}]
            if title
            else [],
        }
        for at, (title, artist, genre, likeness, listeners, liked) in enumerate(known)
    ]
    return SimilarAnswer.model_validate({"songs": songs, "of": 400, "model": MODEL | {"role": "champion"}}).model_dump()


def card() -> dict[str, Any]:
    """What GET /model tells."""
    gain = {"name": "gain", "passed": True, "found": "+0.04 [+0.01, +0.07]", "needed": "> 0", "why": "it is better"}
    known = {
        "genres": ["classical", "electronic", "pop", "rock"],
        "tags": [],
        "accuracy": {"value": 0.78, "low": 0.70, "high": 0.85},
        "trained_on": {"collection": "emotify", "recordings": 304},
        "gates": [gain],
        "verdict": "It is better than version 6.",
        "in_service_since": "2025-11-21T08:00:00.000+00:00",
        "git_commit": "ee87691c",
        "catalogue_songs": 400,
        "coverage": 0.9,
        "engine": "onnx",
        "canary": None,
        "shadow": None,
    }
    return ModelCard.model_validate(MODEL | known).model_dump()


def way_back(prediction_id: str) -> dict[str, Any]:
    """What GET /lineage tells; the run was started by hand."""
    told = {
        "prediction": {
            "prediction_id": prediction_id,
            "at": "2025-11-26T12:30:00.000+00:00",
            "content_hash": "0f343b09",
            "duration_s": 60.0,
            "genre": "rock",
            "probability": 0.52,
            "role": "champion",
        },
        "model": {
            "name": "earmark",
            "version": "7",
            "run_id": MODEL["run_id"],
            "kind": "blend",
            "accuracy": None,
            "promoted_at": "2025-11-21T08:00:00.000+00:00",
            "promoted_because": "It is better than version 6.",
        },
        "code": {"git_commit": "ee87691c0ffee0000000000000000000deadbeef", "git_dirty": False},
        "data": {"collection": "emotify", "collection_md5": "9a4e51c2", "catalogue_md5": "77b0", "splits_md5": None},
        "flow_run": None,
        "again": ["git checkout ee87691c0ffee0000000000000000000deadbeef", "dvc checkout", "dvc repro"],
    }
    return Lineage.model_validate(told).model_dump()


def application(standin: StandIn) -> Starlette:
    """All endpoints that the page asks for."""

    async def predict(request: Request) -> Response:
        standin.at_once += 1
        standin.most_at_once = max(standin.most_at_once, standin.at_once)
        try:
            async with request.form() as form:
                file = form["file"]
                content, name = await file.read(), str(file.filename)
            if told := standin.scripted(request):
                return told
            await asyncio.sleep(standin.delay_s)
            if not content.startswith((b"RIFF", b"\x1aE\xdf\xa3", b"OggS")):
                error = {"code": "not_audio", "message": KINDS["not_audio"].example, "request_id": "request-not_audio"}
                return JSONResponse({"error": error}, 415)
            standin.asked.append(("predict", {"name": name, "bytes": len(content)}))
            return JSONResponse(answer(name, duration_of(content)))
        finally:
            standin.at_once -= 1

    async def explain(request: Request) -> Response:
        async with request.form() as form:
            content = await form["file"].read()
            fields = {key: value for key, value in form.items() if key != "file"}
        if told := standin.scripted(request):
            return told
        await asyncio.sleep(standin.delay_s)
        standin.asked.append(("explain", fields))
        return JSONResponse(explanation(fields, duration_of(content)))

    async def similar_songs(request: Request) -> Response:
        async with request.form() as form:
            fields = {key: value if isinstance(value, str) else "a file" for key, value in form.items()}
        if told := standin.scripted(request):
            return told
        standin.asked.append(("similar", fields))
        return JSONResponse(similar())

    async def feedback(request: Request) -> Response:
        body = await request.json()
        if told := standin.scripted(request):
            return told
        standin.asked.append(("feedback", body))
        return JSONResponse({"accepted": len(body["events"]), "known": 0, "refused": []})

    def model(request: Request) -> Response:
        if told := standin.scripted(request):
            return told
        return JSONResponse(card())

    def lineage(request: Request) -> Response:
        return standin.scripted(request) or JSONResponse(way_back(request.path_params["id"]))

    def examples(request: Request) -> Response:
        if told := standin.scripted(request):
            return told
        known = [
            ("slow-harbour", "Slow Harbour", "The Stand-Ins", "rock", "CC BY 4.0"),
            ("canary-song", "Yellow Bird", "The Stand-Ins", "pop", standin.second_licence),
        ]
        listed = [
            dict(zip(("name", "title", "artist", "genre", "licence"), each, strict=True), seconds=30.0)
            for each in known
        ]
        return JSONResponse(listed if standin.examples else [])

    def example(request: Request) -> Response:
        return standin.scripted(request) or Response(song(30.0), media_type="audio/ogg")

    def page(_: Request) -> Response:
        return FileResponse(f"{PAGE}/index.html")

    routes = [
        Route("/", page),
        Route("/predict", predict, methods=["POST"]),
        Route("/explain", explain, methods=["POST"]),
        Route("/similar", similar_songs, methods=["POST"]),
        Route("/feedback", feedback, methods=["POST"]),
        Route("/model", model),
        Route("/lineage/{id}", lineage),
        Route("/examples", examples),
        Route("/examples/{name}", example),
        Mount("/page", StaticFiles(directory=PAGE)),
    ]
    # Also behind a prefix, as a proxy may have it.
    app = Starlette(routes=[Mount(PREFIX, routes=list(routes)), *routes])

    async def with_headers(request: Request, follow: Any) -> Response:
        response = await follow(request)
        path = request.url.path.removeprefix(PREFIX)
        for name, value in answer_headers([], path=path, request_id="request-of-the-test"):
            response.headers[name.decode()] = value.decode()
        return response

    app.add_middleware(BaseHTTPMiddleware, dispatch=with_headers)
    return app


def duration_of(content: bytes) -> float:
    """Of a wav file; of anything else a guess, which is enough here."""
    try:
        with wave.open(io.BytesIO(content)) as file:
            return file.getnframes() / file.getframerate()
    except wave.Error:
        return 3.0


@contextmanager
def running() -> Iterator[StandIn]:
    """The stand-in, listening on a free port in a thread."""
    port = free_port(3400)
    standin = StandIn(url=f"http://127.0.0.1:{port}/")
    server = uvicorn.Server(uvicorn.Config(application(standin), host="127.0.0.1", port=port, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    end = time.monotonic() + 30
    while not server.started:
        assert time.monotonic() < end, "the stand-in does not start"
        time.sleep(0.02)
    yield standin
    server.should_exit = True
    thread.join(10)
