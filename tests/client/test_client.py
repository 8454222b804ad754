"""The client, against a service that the test plays itself: what it sends, understands, repeats and gives up."""

import asyncio
import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any, ClassVar

import httpx
import pytest

from earmark.client import (
    AsyncClient,
    Busy,
    Cancelled,
    Client,
    ClientError,
    Event,
    Failed,
    Progress,
    Refused,
    Retries,
    TimedOut,
    Unreachable,
)
from earmark.serving.answers import EXAMPLE, LongAnswer

AT_ONCE = Retries(most=3, first_s=0.0)
EXPLAINED = {
    "genre": "reel",
    "rather_than": None,
    "bands": [{"hz": 440.0, "nats": 0.5}],
    "moments": [{"start_s": 0.0, "end_s": 1.0, "nats_per_s": 0.1, "heard": 1.0}],
    "difference": 0.6,
    "gap": 0.01,
    "model": EXAMPLE["model"],
}
LONG = {"parts": [], "genres": [], "model": EXAMPLE["model"], "content_hash": "0f", "duration_s": 60.0}
SIMILAR = {"songs": [], "of": 0, "model": EXAMPLE["model"]}


def refusal(status: int, code: str, **headers: str) -> httpx.Response:
    content = {"error": {"code": code, "message": "So it is.", "request_id": "r1"}}
    return httpx.Response(status, json=content, headers={"x-request-id": "r1", **headers})


class Played:
    """A service that gives ``answers`` one after another, and remembers what it was asked."""

    def __init__(self, *answers: httpx.Response | Exception | dict[str, Any]) -> None:
        self.answers = list(answers)
        self.asked: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.asked.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(200, json=answer) if isinstance(answer, dict) else answer

    async def later(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        return self(request)

    def client(self, retries: Retries = AT_ONCE, **how: Any) -> Client:
        return Client("http://service", retries=retries, transport=httpx.MockTransport(self), **how)

    def bodies(self) -> list[Any]:
        return [json.loads(request.content) for request in self.asked]


@pytest.fixture
def song(tmp_path):
    path = tmp_path / "a song 歌.mp3"
    path.write_bytes(b"the bytes of a song")
    return path


class TestAsking:
    def test_a_recording_goes_as_the_field_file_and_comes_back_typed(self, song):
        service = Played(EXAMPLE)
        with service.client(key="secret") as earmark:
            answer = earmark.predict(song)
        assert (answer.genres[0].genre, answer.appeal.share, answer.facts.key.tonic) == ("reel", 0.55, "D")
        (request,) = service.asked
        assert (request.method, request.url.path) == ("POST", "/predict")
        assert request.headers["authorization"] == "Bearer secret"
        assert b'name="file"' in request.content and b"the bytes of a song" in request.content

    def test_without_a_key_none_is_sent(self):
        service = Played(EXAMPLE)
        service.client().predict(b"bytes")
        assert "authorization" not in service.asked[0].headers

    def test_a_service_may_lie_below_a_path(self):
        service = Played(EXAMPLE)
        Client("http://host/earmark", transport=httpx.MockTransport(service)).predict(b"bytes")
        assert service.asked[0].url.path == "/earmark/predict"

    def test_a_field_that_this_client_does_not_know_is_no_hindrance(self):
        assert Played({**EXAMPLE, "new": 1}).client().predict(b"bytes").genre_set == ["reel", "hornpipe"]

    def test_another_service_is_told_from_earmark(self):
        with pytest.raises(ClientError, match="Is it earmark's service"):
            Played({"hello": "world"}).client().predict(b"bytes")

    def test_a_batch_is_sent_in_parts_and_numbered_as_a_whole(self):
        def part(count: int) -> dict[str, Any]:
            error = {"code": "empty", "message": "It is empty.", "request_id": "r"}
            items = [{"index": i, "name": "x", "answer": None, "error": error} for i in range(count)]
            return {"items": items}

        service = Played(part(8), part(3))
        answer = service.client().predict_batch([b"bytes"] * 11)
        assert [item.index for item in answer.items] == list(range(11))
        assert [request.content.count(b'name="files"') for request in service.asked] == [8, 3]

    def test_an_explanation_is_of_one_genre_against_another(self, song):
        service = Played(EXPLAINED, httpx.Response(200, content=b"\x89PNG"))
        client = service.client()
        assert client.explain(song, "reel", rather_than="jig").bands[0].hz == 440.0
        assert client.explain_png(song) == b"\x89PNG"
        numbers, picture = service.asked
        assert b'name="rather_than"\r\n\r\njig' in numbers.content
        assert dict(picture.url.params) == {"format": "png"} and b"genre" not in picture.content

    def test_similar_songs_are_of_a_recording_or_of_an_answer(self, song):
        service = Played(SIMILAR, SIMILAR)
        client = service.client()
        client.similar(song, count=3)
        client.similar(prediction_id="p1")
        by_song, by_answer = service.asked
        assert b'name="count"\r\n\r\n3' in by_song.content and b"the bytes of a song" in by_song.content
        assert by_answer.headers["content-type"].startswith("multipart/form-data")
        assert b'name="prediction_id"\r\n\r\np1' in by_answer.content
        with pytest.raises(ValueError, match="either"):
            client.similar()

    def test_a_prediction_id_cannot_lead_elsewhere(self):
        service = Played(refusal(404, "unknown_prediction"))
        with pytest.raises(Refused):
            service.client().lineage("../model")
        assert service.asked[0].url.raw_path == b"/lineage/..%2Fmodel"

    def test_a_file_that_is_not_there_is_pythons_own_error(self, tmp_path):
        service = Played()
        with pytest.raises(FileNotFoundError):
            service.client().predict(tmp_path / "missing.mp3")
        assert service.asked == []


class TestErrors:
    @pytest.mark.parametrize(
        ("status", "code", "kind"),
        [(415, "not_audio", Refused), (401, "unauthorized", Refused), (500, "failed", Failed), (429, "busy", Busy)],
    )
    def test_each_has_its_kind_code_message_and_request(self, status, code, kind):
        with pytest.raises(kind, match="So it is") as raised:
            Played(refusal(status, code)).client(Retries(most=0)).predict(b"bytes")
        error = raised.value
        assert (error.code, error.message, error.request_id, error.status) == (code, "So it is.", "r1", status)

    def test_what_stands_between_may_answer_in_html(self):
        answer = httpx.Response(413, html="<h1>Request Entity Too Large</h1> nginx")
        with pytest.raises(Refused, match="Too Large") as raised:
            Played(answer).client().predict(b"bytes")
        assert (raised.value.code, raised.value.status) == ("unknown", 413)

    def test_a_slow_answer_is_not_asked_for_twice(self):
        service = Played(httpx.ReadTimeout("too slow"))
        with pytest.raises(TimedOut):
            service.client().predict(b"bytes")
        assert len(service.asked) == 1

    def test_an_address_without_a_scheme_is_said_to_be_none(self):
        with pytest.raises(ClientError, match="http://"):
            Client("localhost:3000").predict(b"bytes")

    def test_nobody_there(self):
        with pytest.raises(Unreachable, match="cannot be reached"):
            Client("http://127.0.0.1:9", retries=AT_ONCE).model()


class TestRepeating:
    @pytest.mark.parametrize(
        "trouble",
        [
            refusal(429, "busy"),
            refusal(503, "overloaded"),
            refusal(502, "x"),
            httpx.ConnectError("no"),
            httpx.ReadError("gone"),
        ],
    )
    def test_what_may_pass_is_asked_again_with_the_file_from_its_beginning(self, trouble, song):
        service = Played(trouble, trouble, EXAMPLE)
        assert service.client().predict(song).abstains is False
        assert [b"the bytes of a song" in request.content for request in service.asked] == [True] * 3

    @pytest.mark.parametrize("status", [400, 404, 413, 415, 422, 500, 504])
    def test_what_will_not_pass_is_asked_once(self, status):
        service = Played(refusal(status, "x"))
        with pytest.raises(ClientError):
            service.client().predict(b"bytes")
        assert len(service.asked) == 1

    def test_it_ends(self):
        service = Played(*[refusal(503, "overloaded")] * 9)
        with pytest.raises(Busy):
            service.client().predict(b"bytes")
        assert len(service.asked) == 1 + AT_ONCE.most

    def test_waits_double_and_are_drawn(self):
        error = Busy("busy", "", status=429)
        long, short = Retries(first_s=1.0, draw=lambda: 1.0), Retries(first_s=1.0, draw=lambda: 0.0)
        assert [long.wait_s(error, attempt=n, harmless=True) for n in range(5)] == [1.0, 2.0, 4.0, 8.0, None]
        assert [short.wait_s(error, attempt=n, harmless=True) for n in range(3)] == [0.5, 1.0, 2.0]

    def test_the_service_says_how_long(self):
        in_20_s = format_datetime(datetime.now(UTC) + timedelta(seconds=20), usegmt=True)
        for header, at_least in (("7", 7.0), (in_20_s, 18.0), ("soon", 0.0)):
            with pytest.raises(Busy) as raised:
                Played(refusal(503, "x", **{"retry-after": header})).client(Retries(most=0)).model()
            wait_s = Retries(first_s=0.5).wait_s(raised.value, attempt=0, harmless=True)
            assert at_least <= wait_s <= at_least + 2.5

    def test_a_service_that_asks_for_an_hour_is_not_waited_for(self):
        error = Busy("busy", "", status=503, retry_after_s=3600.0)
        assert Retries().wait_s(error, attempt=0, harmless=True) is None

    def test_a_task_is_not_submitted_twice_when_the_connection_broke(self):
        broke, unsent = Unreachable("unreachable", ""), Unreachable("unreachable", "", unsent=True)
        assert Retries().wait_s(broke, attempt=0, harmless=False) is None
        assert Retries().wait_s(unsent, attempt=0, harmless=False) is not None


class TestFeedback:
    def test_an_event_keeps_its_id_when_it_is_sent_again(self):
        service = Played(httpx.ReadError("gone"), {"accepted": 0, "known": 1, "refused": []})
        answer = service.client().like("p1")
        first, second = service.bodies()
        assert first == second and len(first["events"][0]["event_id"]) == 32
        assert answer.known == 1

    def test_thumbs_go_up_down_and_back(self):
        done = {"accepted": 1, "known": 0, "refused": []}
        service = Played(done, done, done)
        client = service.client()
        client.like("p1", listener="anna")
        client.dislike("p1")
        client.take_back("p1")
        up, down, back = (body["events"][0] for body in service.bodies())
        assert (up["kind"], up["value"], up["listener"]) == ("like", 1.0, "anna")
        assert (down["kind"], down["value"]) == ("like", 0.0)
        assert (back["kind"], back["value"]) == ("like", None)
        assert "track_id" not in back

    def test_many_events_go_in_parts_and_refusals_keep_their_place(self):
        refused = {"index": 3, "event_id": "e", "reason": "no such song"}
        service = Played(
            {"accepted": 500, "known": 0, "refused": []}, {"accepted": 1, "known": 2, "refused": [refused]}
        )
        events = [Event(kind="play", track_id="t", ms_played=30_000, at=datetime(2024, 1, 1, tzinfo=UTC))] * 504
        answer = service.client().feedback(events)
        assert (answer.accepted, answer.known, answer.refused[0].index) == (501, 2, 503)
        assert service.bodies()[0]["events"][0]["at"] == "2024-01-01T00:00:00Z"

    def test_what_is_no_event_is_refused_before_anything_is_sent(self):
        service = Played()
        with pytest.raises(ValueError, match="kind"):
            service.client().feedback([{"kind": "shout", "track_id": "t"}])
        assert service.asked == []


def state(status: str, done_s: float | None = None) -> dict[str, Any]:
    return {"task_id": "t1", "status": status, "progress": None if done_s is None else {"done_s": done_s, "of_s": 60.0}}


class TestLongRecordings:
    UPLOADED: ClassVar = {"upload_id": "u1", "bytes": 3_000_000}
    SUBMITTED: ClassVar = {"task_id": "t1", "status": "in_progress"}

    def test_one_is_sent_up_in_pieces_followed_and_fetched(self, tmp_path):
        path = tmp_path / "set.mp3"
        path.write_bytes(bytes(3_000_000))
        told = []
        service = Played(self.UPLOADED, self.SUBMITTED, state("in_progress", 20.0), state("completed", 60.0), LONG)
        answer = service.client().predict_long(path, progress=told.append, poll_s=0.0)
        assert answer.duration_s == 60.0
        upload = service.asked[0]
        assert (upload.headers["content-length"], len(upload.content)) == ("3000000", 3_000_000)
        assert [each.done for each in told if each.doing == "sending"] == [1 << 20, 2 << 20, 3_000_000]
        assert [(each.done, each.of) for each in told if each.doing == "hearing"] == [(20.0, 60.0), (60.0, 60.0)]
        assert json.loads(service.asked[1].content) == {"upload_id": "u1"}
        assert [request.url.path for request in service.asked[2:]] == ["/predict_long/status"] * 2 + [
            "/predict_long/get"
        ]

    def test_one_that_fails_says_why(self):
        service = Played(self.UPLOADED, self.SUBMITTED, state("failed"), refusal(415, "not_audio"))
        with pytest.raises(Refused, match="So it is") as raised:
            service.client().predict_long(b"bytes")
        assert raised.value.code == "not_audio"

    def test_one_that_somebody_cancelled(self):
        with pytest.raises(Cancelled):
            Played(self.UPLOADED, self.SUBMITTED, state("canceled")).client().predict_long(b"bytes")

    def test_ctrl_c_cancels_the_task(self):
        def stop(progress: Progress) -> None:
            if progress.doing == "hearing":
                raise KeyboardInterrupt

        service = Played(self.UPLOADED, self.SUBMITTED, state("in_progress", 1.0), {"task_id": "t1"})
        client = service.client()
        with pytest.raises(KeyboardInterrupt):
            client.predict_long(b"", progress=stop)
        assert (service.asked[-1].method, service.asked[-1].url.path) == ("PUT", "/predict_long/cancel")


class TestAsyncClient:
    def test_it_says_and_understands_the_same(self, song):
        service = Played(refusal(503, "overloaded"), EXAMPLE, TestLongRecordings.UPLOADED, *[
            TestLongRecordings.SUBMITTED, state("completed", 60.0), LONG,
        ])  # fmt: skip

        async def talk() -> None:
            transport = httpx.MockTransport(service.later)
            async with AsyncClient("http://service", retries=AT_ONCE, transport=transport) as earmark:
                assert (await earmark.predict(song)).genres[0].genre == "reel"
                assert await earmark.predict_long(song) == LongAnswer.model_validate(LONG)

        asyncio.run(talk())
        assert [b"the bytes of a song" in request.content for request in service.asked[:3]] == [True] * 3

    def test_it_has_every_method_of_the_other(self):
        def methods(kind: type) -> set[str]:
            return {name for name in vars(kind) if not name.startswith("_")}

        assert methods(Client) - {"close"} == methods(AsyncClient) - {"aclose"}

    def test_a_cancelled_coroutine_cancels_its_task(self):
        service = Played(TestLongRecordings.UPLOADED, TestLongRecordings.SUBMITTED, state("in_progress"), {})

        async def talk() -> None:
            transport = httpx.MockTransport(service.later)
            async with AsyncClient("http://service", retries=AT_ONCE, transport=transport) as earmark:
                task = asyncio.create_task(earmark.predict_long(b"bytes", poll_s=30.0))
                while len(service.asked) < 3 and not task.done():
                    await asyncio.sleep(0.01)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task

        asyncio.run(talk())
        assert service.asked[-1].url.path == "/predict_long/cancel"


@pytest.mark.parametrize("module", ["earmark.client", "earmark.serving.answers"])
def test_nothing_heavy_is_imported_for_it(module):
    heavy = ("bentoml", "torch", "mlflow", "numpy", "pandas", "av", "starlette")
    code = f"import sys, {module}; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
