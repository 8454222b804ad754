"""What a hostile client does to a real `bentoml serve`: broken files, bombs, slow lines, floods, killed workers.

`bench/hostile.py` makes each broken file from a number; `make bench-fuzz` sends twenty thousand of them.
"""

import contextlib
import json
import os
import random
import re
import signal
import socket
import struct
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from serving_tools import MAX_SECONDS, tone_wav
from test_service import listening, refused

from earmark.serving.answers import Answer, BatchAnswer
from earmark.serving.decoding import DecoderDied, DecodingTookTooLong
from earmark.serving.errors import KINDS
from earmark.serving.worker import refusal_code

SONG = tone_wav(3.0)
FEW, MANY = range(300), range(300, 4_000)
CLIENTS = 6
BEGINNING_OF_A_LONG_ONE = b"POST /uploads HTTP/1.1\r\nhost: x\r\ncontent-length: 500000\r\n\r\n" + bytes(200_000)
OF_FILES = {"not_audio", "empty", "cut_off", "too_short", "too_long", "too_large", "unreadable", "timed_out"}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def songs(bench, recordings) -> dict[str, bytes]:
    """Whole files, of every format, and two of more channels than most."""
    return recordings | {
        "surround.m4a": bench.many_channels("aac", "mp4", "7.1"),
        "sixteen.wv": bench.many_channels("wavpack", "wv", "hexadecagonal"),
    }


@pytest.fixture(scope="module")
def expected(served) -> dict:
    return said(served.predict(SONG))


@pytest.fixture(autouse=True)
def all_is_well_afterwards(request, served, expected) -> Iterator[None]:
    """The same workers still answer, and say what they said before; nothing is left on disk, and no file open."""
    workers, files = served.workers(), runtime_files(served)
    begun = len(served.log.read_text())
    yield
    assert alike(said(served.predict(SONG)), expected)
    if request.cls is not TestAKilledWorker:
        assert served.workers() == workers
    served.wait_until(lambda: runtime_files(served) <= files, seconds=20)
    assert blamed(served.log.read_text()[begun:]) == []


def said(response: httpx.Response) -> dict:
    """What an answer says of a song."""
    assert response.status_code == 200, response.text
    answer = response.json()
    genres = sorted((each["genre"], each["probability"]) for each in answer["genres"])
    return answer | {"shares": [probability for _, probability in genres]}


def alike(answer: dict, other: dict) -> bool:
    """Whether two answers say the same: each worker computes with the engine that it found fastest."""
    same = ("content_hash", "duration_s", "genre_set", "warnings", "model")
    return all(answer[name] == other[name] for name in same) and answer["shares"] == pytest.approx(
        other["shares"], abs=1e-4
    )


def runtime_files(served) -> set[Path]:
    """What the workers hold on disk, of workers that are there."""
    return set(served.log.parent.glob(".earmark/service/*/*/*"))


def blamed(log: str) -> list[str]:
    """The requests in a log for which the service blames itself, and what it was shaken by."""
    lines = [line for line in log.splitlines() if line.startswith("{")]
    return [line for line in lines if re.search(r'"code": "failed"|"status": 5(?!0[34])|Traceback', line)]


def open_files(served) -> int:
    return sum(len(list(Path(f"/proc/{worker}/fd").iterdir())) for worker in served.workers())


def outcome(response: httpx.Response) -> str:
    """``answered``, or the code of a refusal that says nothing worse than what the file is; checks their shapes."""
    if response.status_code == 200:
        answer = Answer.model_validate_json(response.content, strict=True)
        assert sum(genre.probability for genre in answer.genres) == pytest.approx(1.0, abs=1e-4)
        return "answered"
    code = response.json()["error"]["code"]
    assert code in OF_FILES
    assert response.status_code == KINDS[code].status
    return code


class TestBrokenFiles:
    def send(self, served, bench, songs, numbers) -> dict[str, list[int]]:
        told: dict[str, list[int]] = {}

        def one(number: int) -> None:
            name, content = bench.hostile(number, songs)
            try:
                found = outcome(served.predict(content, name=name))
            except Exception as error:
                found = f"{type(error).__name__}: {error}"
            told.setdefault(found, []).append(number)

        with ThreadPoolExecutor(CLIENTS) as pool:
            list(pool.map(one, numbers))
        return told

    def check(self, told: dict[str, list[int]]) -> None:
        assert told.keys() <= OF_FILES | {"answered"}, {
            found: numbers[:20] for found, numbers in told.items() if found not in OF_FILES | {"answered"}
        }
        assert {"answered", "not_audio", "cut_off", "unreadable"} <= told.keys()  # it is no other test by accident

    def test_whole_ones_are_answered(self, served, songs):
        for suffix, content in songs.items():
            assert outcome(served.predict(content)) == "answered", suffix

    def test_each_is_answered_or_refused_for_what_it_is(self, served, bench, songs):
        self.send(served, bench, songs, range(20))
        before, begun = open_files(served), len(served.log.read_text())
        self.check(self.send(served, bench, songs, FEW))
        assert "died on a file" not in served.log.read_text()[begun:]
        served.wait_until(lambda: open_files(served) <= before + 2 * CLIENTS, seconds=20)

    @pytest.mark.long
    def test_so_are_thousands(self, served, bench, songs):
        self.check(self.send(served, bench, songs, MANY))

    @pytest.mark.parametrize("endpoint", ["predict_batch", "explain", "similar"])
    def test_the_other_endpoints_stand_them_too(self, served, bench, songs, endpoint):
        field = "files" if endpoint == "predict_batch" else "file"
        for number in range(1_000, 1_040):
            name, content = bench.hostile(number, songs)
            response = served.client.post(f"/{endpoint}", files={field: (name, content)})
            assert response.status_code in (200, 400, 413, 415, 422), (number, response.text)


class TestBombs:
    def test_an_archive_under_the_name_of_a_song_is_not_unpacked(self, served, bench):
        for name, content in bench.hostile_archives().items():
            begun = time.monotonic()
            refused(served.predict(content, name=name), 415, "not_audio")
            assert time.monotonic() - begun < 5

    def test_boxes_within_boxes_five_thousand_deep(self, served, bench):
        response = served.predict(bench.nested_boxes(5_000, random.Random(1)), name="song.m4a")
        assert outcome(response) != "answered"

    @pytest.mark.parametrize("name", ["laughs.m4a", "picture.ogg", "empty.mp3", "text.mp3"])
    def test_what_is_no_sound_is_refused(self, served, bench, name):
        content = dict(bench.BOMBS)[name](random.Random(1))
        assert outcome(served.predict(content, name=name)) in ("not_audio", "empty")

    def test_thirty_two_bad_files_get_thirty_two_reasons(self, served, bench, songs):
        contents = [content for _, content in (bench.hostile(number, songs) for number in range(500, 700))]
        bad = [each for each in contents if len(each) < 60_000][:32]
        response = served.client.post("/predict_batch", files=[("files", (f"{n}.mp3", bad[n])) for n in range(32)])
        items = BatchAnswer.model_validate(response.json()).items
        assert [item.index for item in items] == list(range(32))
        for item in items:
            assert (item.answer is None) == (item.error is not None)
            assert item.error is None or item.error.code in OF_FILES
        assert sum(item.error is not None for item in items) > 10


class TestReferences:
    """A file that names another: nobody looks at it."""

    SOUND = "data:audio/wav;base64,UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAIA+AAACABAAZGF0YQAAAAA="

    @pytest.mark.parametrize(
        "form",
        [
            "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{}\n#EXT-X-ENDLIST\n",
            '#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI="{}"\n#EXTINF:10,\nsong.ts\n',
            "ffconcat version 1.0\nfile '{}'\n",
            "[playlist]\nFile1={}\nNumberOfEntries=1\n",
            "RTSPtext {}\n",
            "v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=audio 9 RTP/AVP 0\na=control:{}\n",
            '<MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><Period><BaseURL>{}</BaseURL></Period></MPD>',
            '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM "{}">]><a>&b;</a>',
            "concat:{}|{}",
        ],
    )
    @pytest.mark.parametrize("target", ["{address}/song.mp3", "file:///etc/passwd", SOUND, "concat:/etc/passwd"])
    def test_a_list_is_no_song(self, served, form, target):
        with listening() as (address, visits):
            content = form.replace("{}", target.replace("{address}", address)).encode()
            refused(served.predict(content, name="song.m3u8"), 415, "not_audio")
        assert visits == []

    def test_a_film_that_keeps_its_sound_elsewhere_is_not_followed(self, served, recordings):
        with listening() as (address, visits):
            elsewhere = box(b"url ", bytes(4) + f"{address}/song.mp3".encode() + b"\0")
            film = with_box(
                recordings["m4a"],
                [b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref"],
                bytes(4) + struct.pack(">I", 1) + elsewhere,
            )
            assert elsewhere in film
            outcome(served.predict(film, name="song.m4a"))
        assert visits == []


class TestForms:
    @pytest.mark.parametrize("before", [True, False])
    def test_ten_thousand_tiny_fields(self, served, before):
        fields = [(f"f{number}", (None, "x")) for number in range(10_000)]
        song = [("file", ("a.wav", SONG))]
        response = served.client.post("/predict", files=fields + song if before else song + fields)
        refused(response, 400, "malformed")

    def test_thousands_of_files(self, served):
        response = served.client.post("/predict", files=[(f"f{n}", (f"{n}", b"x")) for n in range(2_000)])
        refused(response, 413, "too_many_files")

    def test_a_text_as_large_as_a_file(self, served):
        response = served.client.post("/predict", files={"note": (None, "x" * 2_000_000), "file": ("a.wav", SONG)})
        refused(response, 400, "malformed")

    @pytest.mark.parametrize("length", [5_000, 100_000])
    def test_an_empty_file_with_a_name_that_never_ends(self, served, length):
        response = served.predict(b"", name="x" * length)
        assert response.status_code in (400, 422)
        refused(response, response.status_code, response.json()["error"]["code"])

    @pytest.mark.parametrize(
        "head",
        [
            b"".join(b"x-%d: y\r\n" % number for number in range(10_000)),
            b"x: " + b"y" * 500_000 + b"\r\n",
            b"x" * 500_000 + b": y\r\n",
            b"\r\n" * 10_000,
            b"content-disposition: form-data; name=file; filename*=utf-8''%ff%fe\r\n",
            b'content-disposition: form-data; name=file; filename="' + b"\\" * 3_000 + b"\r\n",
            b"content-disposition: form-data" + b"; a=b" * 20_000 + b"\r\n",
        ],
    )
    def test_a_bomb_in_the_head_of_a_part(self, served, head):
        body = b"--x\r\n" + head + b"\r\nnothing\r\n--x--\r\n"
        kind = {"content-type": "multipart/form-data; boundary=x"}
        response = served.client.post("/predict", headers=kind, content=body)
        assert response.status_code in (400, 415, 422)
        refused(response, response.status_code, response.json()["error"]["code"])

    @pytest.mark.parametrize(
        "kind",
        ["multipart/form-data; boundary=" + "x" * 20_000, 'multipart/form-data; boundary="\xff"' + "; a=b" * 999],
    )
    def test_a_bomb_in_the_boundary(self, served, kind):
        headers = {"content-type": kind.encode("latin-1")}
        response = served.client.post("/predict", headers=headers, content=b"--x\r\n" * 10_000)
        refused(response, 400, "malformed")

    def test_forms_with_bytes_flipped(self, served):
        whole = served.client.build_request("POST", "/predict", files={"file": ("a.wav", SONG[:2_000])})
        body, kind = whole.read(), whole.headers["content-type"]
        for number in range(200):
            draw = random.Random(number)
            changed = bytearray(body)
            for _ in range(draw.choice((1, 2, 8))):
                changed[draw.randrange(150)] = draw.randrange(256)
            response = served.client.post("/predict", headers={"content-type": kind}, content=bytes(changed))
            assert response.status_code in (400, 413, 415, 422), number


class TestHeads:
    """What comes before a body, as bytes: no client library would send most of it."""

    def ask(self, served, request: bytes) -> tuple[int, bytes]:
        with dialled(served) as connection:
            connection.settimeout(20)
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it may not listen to the end
                connection.sendall(request)
            answer = b""
            with contextlib.suppress(ConnectionResetError):
                while piece := connection.recv(65_536):
                    answer += piece
        return (int(answer[9:12]) if answer else 0), answer

    @pytest.mark.parametrize(
        "head",
        [
            b"GET /model?" + b"a=1&" * 1_000,
            b"GET /predict_long/status?" + b"task_id=1&" * 100,
            b"GET /model?" + b"%ff=%00;" * 500,
        ],
    )
    def test_a_query_of_very_many_fields(self, served, head):
        status, answer = self.ask(served, head + b" HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        assert status in (200, 400), answer

    @pytest.mark.parametrize("origin", [b"http://[", b"http://[::1", b"//[x]:y", b"\xff\xfe", b"null"])
    def test_an_origin_that_is_no_address_may_not_ask(self, served, origin):
        head = b"POST /predict HTTP/1.1\r\nhost: x\r\norigin: " + origin
        status, answer = self.ask(served, head + b"\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        assert status == 403
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"] == "forbidden"

    @pytest.mark.parametrize("host", [b"[", b"\xff", b"a" * 20_000, b"x:99999999"])
    def test_a_host_that_is_none(self, served, host):
        head = b"GET /predict_long/status?task_id=x HTTP/1.1\r\nconnection: close\r\nhost: " + host
        status, _ = self.ask(served, head + b"\r\n\r\n")
        assert status in (400, 404)

    @pytest.mark.parametrize(
        "headers",
        [
            b"".join(b"x-%d: y\r\n" % number for number in range(20_000)),
            b"x: " + b"y" * 2_000_000 + b"\r\n",
            b"cookie: " + b"a=b; " * 10_000 + b"\r\n",
            b"authorization: " + b"\xff" * 30_000 + b"\r\n",
        ],
    )
    def test_bombs_in_the_headers(self, served, headers):
        status, _ = self.ask(served, b"GET /model HTTP/1.1\r\nhost: x\r\n" + headers + b"connection: close\r\n\r\n")
        assert status in (0, 200, 400)

    @pytest.mark.parametrize(
        "path", ["/page/" + "a" * 300, "/page/a%00b", "/page/%2e%2e/x", "/static_content/" + "a" * 999]
    )
    def test_a_file_of_the_page_that_cannot_be(self, served, path):
        response = served.client.get(path)
        assert response.status_code in (400, 404)

    def test_the_pages_files_can_only_be_read(self, served):
        response = served.client.post("/page/index.html")
        refused(response, 405, "method_not_allowed")
        assert response.headers["allow"] == "GET, HEAD"


class TestLongRecordings:
    NONSENSE = ("", "0" * 32, "x", "..%2F..%2Fetc%2Fpasswd", "%00", "*", "a" * 5_000, "0" * 32 + "%0A", "%F0%9F%8E%B5")

    @pytest.mark.parametrize("task_id", NONSENSE)
    @pytest.mark.parametrize(
        ("method", "step"), [("GET", "status"), ("GET", "get"), ("PUT", "cancel"), ("POST", "retry")]
    )
    def test_a_task_that_nobody_began(self, served, method, step, task_id):
        response = served.client.request(method, f"/predict_long/{step}?task_id={task_id}")
        assert response.status_code in (404, 422)
        refused(response, response.status_code, response.json()["error"]["code"])

    def test_two_ids_are_none(self, served):
        refused(served.client.get("/predict_long/status?task_id=a&task_id=b"), 422, "invalid")

    @pytest.mark.parametrize("path", ["/predict_long", "/predict_long/submit"])
    @pytest.mark.parametrize(
        ("body", "status"),
        [
            (b"", 400),
            (b"nonsense", 400),
            (b"[]", 422),
            (b"{}", 422),
            (b'{"upload_id": 1}', 422),
            (b'{"upload_id": "../../etc/passwd"}', 422),
            (b'{"upload_id": "\\ud800"}', 422),
            (b'{"upload_id": "*"}', 422),
            (b'{"upload_id": "' + b"0" * 32 + b'", "more": 1}', 422),
            (b'{"upload_id": "' + b"0" * 32 + b'"}', 404),
            (b"[" * 100_000, 400),
            (b" " * 1_200_000, 413),
        ],
    )
    def test_no_task_begins_without_an_upload(self, served, path, body, status):
        response = served.client.post(path, content=body, headers={"content-type": "application/json"})
        refused(response, status, response.json()["error"]["code"])

    def test_an_upload_that_breaks_off_leaves_no_file(self, served):
        for _ in range(20):
            with dialled(served) as connection:
                connection.sendall(
                    b"POST /uploads HTTP/1.1\r\nhost: x\r\ncontent-length: 500000\r\n\r\n" + bytes(200_000)
                )
        served.wait_until(lambda: not list(served.log.parent.glob(".earmark/service/*/uploads/*")), seconds=20)

    def test_what_cannot_be_decoded_is_not_kept(self, served):
        for content in (b"no song", SONG[:9_000]):
            upload_id = served.client.post("/uploads", content=content).json()["upload_id"]
            task_id = served.client.post("/predict_long/submit", json={"upload_id": upload_id}).json()["task_id"]
            query = {"task_id": task_id}

            def ended(query=query) -> bool:
                return served.client.get("/predict_long/status", params=query).json()["status"] == "failed"

            served.wait_until(ended, seconds=30)
            assert not list(served.log.parent.glob(f".earmark/service/*/*/{upload_id}*"))


class TestListeners:
    @pytest.mark.parametrize(
        "event",
        [
            b'{"event_id": "\\ud800", "kind": "like", "track_id": "t"}',
            b'{"event_id": {"\\udfff": ["\\ud800"]}}',
            b'{"event_id": "nul", "kind": "play", "ms_played": 1, "track_id": "a\\u0000b"}',
            b'{"event_id": "nul", "kind": "tag", "word": "a\\u0000b", "track_id": "a"}',
            b'{"event_id": "nan", "kind": "like", "value": NaN, "track_id": "a"}',
            b'{"event_id": "inf", "kind": "like", "value": 1e999, "track_id": "a"}',
            b'{"event_id": "many", "kind": "play", "ms_played": 99999999999999999999, "track_id": "a"}',
            b'{"event_id": "when", "kind": "like", "track_id": "a", "at": 1e300}',
        ],
    )
    def test_an_event_that_cannot_be_is_refused_alone(self, served, event):
        good = b'{"event_id": "%s", "kind": "like", "track_id": "a"}' % os.urandom(16).hex().encode()
        body = b'{"events": [%s, %s]}' % (event, good)
        headers = {"content-type": "application/json"}
        answer = served.client.post("/feedback", content=body, headers=headers).json()
        assert (answer["accepted"], [each["index"] for each in answer["refused"]]) == (1, [0])


class TestTime:
    def test_forty_uploads_at_a_byte_a_second_hold_nobody_up(self, served):
        body = served.client.build_request("POST", "/predict", files={"file": ("a.wav", bytes(2_900_000))})
        content, kind = body.read(), body.headers["content-type"]
        head = f"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: {kind}\r\ncontent-length: {len(content)}\r\n\r\n"
        with contextlib.ExitStack() as opened:
            connections = [opened.enter_context(dialled(served)) for _ in range(40)]
            for connection in connections:
                connection.sendall(head.encode() + content[:200])
            for second in range(6):
                for connection in connections:
                    connection.sendall(content[200 + second : 201 + second])
                begun = time.monotonic()
                assert served.predict(SONG).status_code == 200
                assert served.client.get("/readyz").status_code == 200
                assert time.monotonic() - begun < 5
                time.sleep(max(0.0, begun + 1.0 - time.monotonic()))

    def test_explaining_does_not_keep_others_from_their_answers(self, served):
        long = tone_wav(MAX_SECONDS - 1)
        with ThreadPoolExecutor(12) as pool:
            explained = [pool.submit(served.client.post, "/explain", files={"file": long}) for _ in range(12)]
            waits = []
            while not all(each.done() for each in explained):
                begun = time.monotonic()
                assert served.predict(SONG).status_code == 200
                waits.append(time.monotonic() - begun)
        assert {each.result().status_code for each in explained} <= {200, 429}
        assert max(waits) < 10

    def test_uploads_that_break_off_anywhere_are_forgotten(self, served):
        whole = served.client.build_request("POST", "/predict", files={"file": ("a.wav", tone_wav(60.0))})
        content, kind = whole.read(), whole.headers["content-type"]
        head = f"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: {kind}\r\ncontent-length: {len(content)}\r\n\r\n"
        request, draw = head.encode() + content, random.Random(7)
        before = open_files(served)
        for _ in range(100):
            with dialled(served) as connection:
                connection.sendall(request[: draw.randrange(1, len(request))])
                if draw.random() < 0.5:  # at once, without a goodbye
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        served.wait_until(lambda: open_files(served) <= before + 4, seconds=30)


class TestKilledDecoders:
    """As FFmpeg's faults, or the kernel that is out of memory, would end them."""

    @pytest.mark.parametrize(("depth", "times"), [(2, 8), (1, 1)])  # decoders; what they come from
    def test_only_the_files_that_they_had_suffer(self, served, depth, times):
        long = tone_wav(MAX_SECONDS - 1)
        with ThreadPoolExecutor(CLIENTS) as pool:
            asked = [pool.submit(served.predict, long) for _ in range(150)]
            for _ in range(times):
                time.sleep(0.3)
                for victim in below(served.workers(), depth):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(victim, signal.SIGKILL)
            told = [outcome(each.result()) for each in asked]
        time.sleep(0.5)  # until those that were waiting for a file are known to be gone
        assert set(told) <= {"answered", "unreadable"}
        assert told.count("answered") > 50

    def test_the_refusal_says_what_may_be_wrong(self):
        assert refusal_code(DecoderDied("It died.")) == "unreadable"
        assert refusal_code(DecodingTookTooLong("It took too long.")) == "timed_out"


class TestAKilledWorker:
    def test_only_what_it_held_is_lost_and_nothing_of_it_stays(self, served, expected):
        told: list[tuple[float, str]] = []
        ending = threading.Event()

        def client() -> None:
            with httpx.Client(base_url=served.client.base_url, timeout=60) as own:
                while not ending.is_set():
                    begun = time.monotonic()
                    try:
                        response = own.post("/predict", files={"file": SONG}, headers={"connection": "close"})
                        told.append((begun, "right" if alike(said(response), expected) else "wrong"))
                    except httpx.TransportError:
                        told.append((begun, "lost"))

        workers = served.workers()
        with dialled(served) as connection, ThreadPoolExecutor(CLIENTS) as pool:
            connection.sendall(BEGINNING_OF_A_LONG_ONE)
            served.wait_until(lambda: bool(parts(served)), seconds=20)
            [left] = parts(served)
            victim = int(left.parents[1].name.partition("-")[0])
            assert victim in workers
            for _ in range(CLIENTS):
                pool.submit(client)
            time.sleep(1.0)
            os.kill(victim, signal.SIGKILL)
            killed = time.monotonic()
            served.wait_until(lambda: not left.parents[1].exists(), seconds=60)  # by the one that takes its place
            served.wait_until(lambda: len(served.workers() - {victim}) == len(workers), seconds=60)
            time.sleep(1.0)
            ending.set()
        assert {found for _, found in told} <= {"right", "lost"}
        lost = [begun for begun, found in told if found == "lost"]
        assert len(lost) <= CLIENTS
        assert all(begun <= killed for begun in lost)


def parts(served) -> list[Path]:
    return list(served.log.parent.glob(".earmark/service/*/uploads/*.part"))


def below(processes: set[int], depth: int) -> set[int]:
    """What these processes have begun: at depth 1 the nurseries of decoders, at 2 the decoders."""
    for _ in range(depth):
        found = set()
        for process in processes:
            for listed in Path(f"/proc/{process}/task").glob("*/children"):
                with contextlib.suppress(OSError):
                    found |= {int(child) for child in listed.read_text().split()}
        processes = found
    return processes


def dialled(served) -> socket.socket:
    url = served.client.base_url
    return socket.create_connection((url.host, url.port))


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content) + 8) + kind + content


def with_box(content: bytes, path: list[bytes], new: bytes) -> bytes:
    """An MP4 file whose box at ``path`` holds something else."""
    whole, at = b"", 0
    while at < len(content):
        size, kind = struct.unpack_from(">I4s", content, at)
        inner = content[at + 8 : at + size]
        if kind == path[0]:
            inner = with_box(inner, path[1:], new) if path[1:] else new
        whole += box(kind, inner)
        at += size
    return whole
