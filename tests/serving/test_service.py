"""The service as people meet it: a real `bentoml serve`, real HTTP, real files."""

import contextlib
import http.server
import io
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import av
import httpx
import numpy as np
import pytest
from serving_tools import LABELS, MAX_BYTES, MAX_SECONDS, tone_wav, untrained

from earmark.audio.decode import decode
from earmark.serving.service import MAX_CONCURRENCY

FORMATS = ("mp3", "m4a", "ogg", "opus", "flac", "wav", "aiff", "wma", "webm")
SONG = tone_wav(3.0)

BEGINNING_OF_AN_UPLOAD = (
    b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n"
    b"Content-Type: multipart/form-data; boundary=x\r\n\r\n"
    b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.mp3"\r\n\r\nnothing more'
)

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def the_worker_lives_on(served) -> Iterator[None]:
    """Whatever a test sends: afterwards the same worker still answers."""
    before = served.workers()
    yield
    assert served.predict(SONG).status_code == 200
    assert served.workers() == before


def refused(response: httpx.Response, status: int, code: str) -> str:
    """Check the one shape of every error, and hand back its message."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    content = response.json()
    assert set(content) == {"error"}
    assert set(content["error"]) == {"code", "message", "request_id"}
    assert content["error"]["code"] == code
    assert content["error"]["request_id"] == response.headers["x-request-id"]
    for leak in ("Traceback", "/tmp", "site-packages", 'File "'):
        assert leak not in content["error"]["message"]
    return content["error"]["message"]


class TestAnswers:
    @pytest.mark.parametrize("suffix", FORMATS)
    def test_every_format_is_answered(self, served, recordings, suffix):
        answer = served.predict(recordings[suffix]).json()
        assert answer["model"] == {
            "name": "earmark",
            "version": "7",
            "run_id": "run-of-the-test",
            "kind": "network",
            "data_hash": "none",
            "role": "champion",
        }
        assert answer["duration_s"] == pytest.approx(4.0, abs=0.15)
        assert answer["heard_seconds"] == pytest.approx(2 * 1.024)

    def test_the_answer_is_what_the_predictor_says_about_the_same_file(self, served, recordings):
        predictor = untrained()
        waveform = decode(recordings["mp3"], sample_rate_hz=predictor.frontend.sample_rate_hz, mono=True).waveform
        expected = predictor.predict(waveform.mean(dim=0))
        answer = served.predict(recordings["mp3"]).json()
        assert [genre["genre"] for genre in answer["genres"]] == [each.genre for each in expected.genres]
        assert [genre["probability"] for genre in answer["genres"]] == pytest.approx(
            [each.probability for each in expected.genres], abs=1e-5
        )
        assert [tag["tag"] for tag in answer["tags"]] == [each.tag for each in expected.tags]
        assert [tag["share"] for tag in answer["tags"]] == pytest.approx(
            [each.share for each in expected.tags], abs=1e-5
        )

    def test_probabilities_add_up_to_one_the_most_probable_first(self, served):
        genres = served.predict(SONG).json()["genres"]
        probabilities = [genre["probability"] for genre in genres]
        assert {genre["genre"] for genre in genres} == set(LABELS)
        assert sum(probabilities) == pytest.approx(1.0, abs=1e-6)
        assert probabilities == sorted(probabilities, reverse=True)

    @pytest.mark.parametrize("kind", ["application/octet-stream", "text/plain", "image/png", "audio/wav"])
    def test_the_bytes_decide_and_not_the_name_or_the_declared_type(self, served, kind):
        assert served.predict(SONG, name="cover.png", kind=kind).status_code == 200

    @pytest.mark.parametrize("name", ["../../etc/passwd", "sång 'n\" 歌.mp3", "x" * 500])
    def test_a_strange_name_does_no_harm(self, served, name):
        assert served.predict(SONG, name=name).status_code == 200

    def test_further_fields_do_not_matter(self, served):
        response = served.client.post(
            "/predict", files={"file": ("a", SONG), "cover": ("b", b"\xff\xfe")}, data={"note": "é"}
        )
        assert response.status_code == 200

    def test_many_requests_at_once_get_each_its_own_answer(self, served):
        lengths_s = [2.0 + 0.25 * i for i in range(16)]
        songs = [tone_wav(seconds) for seconds in lengths_s]
        with ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(served.predict, songs))
        assert [answer.status_code for answer in answers] == [200] * 16
        assert [answer.json()["duration_s"] for answer in answers] == pytest.approx(lengths_s, abs=0.01)


class TestRefusals:
    def test_text_under_the_name_of_a_song(self, served):
        refused(served.predict(b"This is no music. " * 100), 415, "not_audio")

    def test_an_empty_file(self, served):
        refused(served.predict(b""), 422, "empty")

    @pytest.mark.parametrize("suffix", ["mp3", "m4a", "ogg", "flac", "wav", "aiff"])
    def test_a_file_that_was_cut_in_half(self, served, recordings, suffix):
        whole = recordings[suffix]
        refused(served.predict(whole[: len(whole) // 2]), 422, "cut_off")

    def test_a_recording_that_is_too_short(self, served):
        assert "0.20 s" in refused(served.predict(tone_wav(0.2)), 422, "too_short")

    def test_a_recording_that_is_too_long(self, served):
        assert f"{MAX_SECONDS:g} s" in refused(served.predict(tone_wav(MAX_SECONDS + 1.5)), 413, "too_long")

    def test_an_hour_of_silence_in_a_small_file_costs_no_more_than_the_limit(self, served):
        hour = silence("flac", seconds=3_600.0)
        assert len(hour) < MAX_BYTES
        refused(served.predict(hour), 413, "too_long")
        refused(served.predict(hour[: len(hour) // 2]), 413, "too_long")  # who reads it to its end says: cut off

    @pytest.mark.parametrize("declared", [True, False])
    def test_an_upload_that_is_too_large_whether_it_says_so_or_not(self, served, declared):
        content = bytes(MAX_BYTES + 200_000)
        request = served.client.build_request("POST", "/predict", files={"file": ("big.wav", content)})
        body = request.read()
        headers = {"content-type": request.headers["content-type"]}
        response = served.client.post(
            "/predict", headers=headers, content=body if declared else iter([body[:1_000_000], body[1_000_000:]])
        )
        assert f"{MAX_BYTES:,}" in refused(response, 413, "too_large")

    def test_a_file_just_over_the_limit(self, served):
        refused(served.predict(bytes(MAX_BYTES + 1)), 413, "too_large")

    def test_a_misnamed_field_is_named(self, served):
        response = served.client.post("/predict", files={"song": ("a.mp3", b"\xff\xfb\x90\x00" * 100)})
        assert "`song`" in refused(response, 422, "missing_file")

    def test_a_form_without_fields(self, served):
        response = served.client.post(
            "/predict", headers={"content-type": "multipart/form-data; boundary=x"}, content=b"--x--\r\n"
        )
        refused(response, 422, "missing_file")

    def test_two_files(self, served):
        refused(
            served.client.post("/predict", files=[("file", ("a", SONG)), ("file", ("b", SONG))]), 422, "several_files"
        )

    @pytest.mark.parametrize(
        ("kind", "body"),
        [
            (None, b""),
            ("application/json", b'{"file": "http://127.0.0.1/a.mp3"}'),
            ("application/octet-stream", SONG),
            ("application/x-www-form-urlencoded", b"file=a"),
            ("multipart/form-data", b"no boundary"),
            ("multipart/form-data; boundary=x", b"not the boundary"),
            ("multipart/form-data; boundary=x; charset=nonsense", b"--x\r\n\r\n\xff\xfe"),
            (
                "multipart/form-data; boundary=x",
                b'--x\r\ncontent-disposition: form-data; nome="file"\r\n\r\na\r\n--x--\r\n',
            ),
        ],
    )
    def test_a_body_that_is_no_form(self, served, kind, body):
        response = served.client.post("/predict", headers={"content-type": kind} if kind else {}, content=body)
        assert response.status_code in (400, 422)
        refused(response, response.status_code, response.json()["error"]["code"])

    def test_a_pickle_is_not_even_read(self, served):
        response = served.client.post(
            "/predict",
            headers={"content-type": "application/vnd.bentoml+pickle"},
            content=b"cos\nsystem\n(S'true'\ntR.",
        )
        refused(response, 415, "unsupported")

    @pytest.mark.parametrize("as_form", ["multipart", "urlencoded", "json"])
    def test_an_address_is_refused_and_never_fetched(self, served, as_form):
        with listening() as (address, visits):
            if as_form == "multipart":
                response = served.client.post("/predict", files={"file": (None, f"{address}/song.mp3")})
                refused(response, 422, "not_a_file")
            elif as_form == "urlencoded":
                refused(served.client.post("/predict", data={"file": f"{address}/song.mp3"}), 400, "malformed")
            else:
                response = served.client.post("/predict", json=f"{address}/song.mp3")
                refused(response, 400, "malformed")
            time.sleep(0.2)
        assert visits == []

    def test_a_playlist_that_points_elsewhere_is_not_followed(self, served):
        with listening() as (address, visits):
            playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{address}/song.mp3\n#EXT-X-ENDLIST\n"
            refused(served.predict(playlist.encode(), name="song.m3u8"), 415, "not_audio")
        assert visits == []

    def test_an_unknown_route(self, served):
        assert "/predcit" in refused(served.client.post("/predcit"), 404, "not_found")

    def test_a_wrong_method(self, served):
        response = served.client.get("/predict")
        refused(response, 405, "method_not_allowed")
        assert response.headers["allow"] == "POST"

    def test_more_than_it_can_do_is_refused_at_once_and_the_rest_is_answered(self, served):
        song = tone_wav(MAX_SECONDS - 1)
        with ThreadPoolExecutor(4 * MAX_CONCURRENCY) as pool:
            responses = list(pool.map(lambda _: served.predict(song), range(4 * MAX_CONCURRENCY)))
        statuses = {response.status_code for response in responses}
        assert statuses == {200, 429}
        for response in responses:
            if response.status_code == 429:
                refused(response, 429, "busy")
                assert int(response.headers["retry-after"]) >= 1
        assert served.predict(SONG).status_code == 200

    def test_who_sends_slowly_takes_nobodys_place(self, served):
        url = served.client.base_url
        with contextlib.ExitStack() as uploads:
            for _ in range(2 * MAX_CONCURRENCY):
                connection = uploads.enter_context(socket.create_connection((url.host, url.port)))
                connection.sendall(BEGINNING_OF_AN_UPLOAD)
            time.sleep(0.5)
            assert served.predict(SONG).status_code == 200

    def test_an_upload_that_breaks_off_in_the_middle(self, served):
        url, before = served.client.base_url, len(served.log.read_text())
        for _ in range(20):
            with socket.create_connection((url.host, url.port)) as connection:
                connection.sendall(BEGINNING_OF_AN_UPLOAD.replace(b"/predict", b"/similar"))  # as no test before
        ended = '"path": "/similar", "status": 499, "code": "interrupted"'
        served.wait_until(lambda: served.log.read_text()[before:].count(ended) == 20, seconds=10)
        assert "Traceback" not in served.log.read_text()[before:]
        assert '"status": 5' not in served.log.read_text()[before:]


class TestHealthAndPage:
    @pytest.mark.parametrize("path", ["/livez", "/readyz", "/healthz", "/metrics"])
    def test_it_is_well(self, served, path):
        assert served.client.get(path).status_code == 200

    @pytest.mark.parametrize("path", ["/", "/api"])
    def test_a_page_names_no_other_host(self, served, path):
        page = served.client.get(path)
        assert page.status_code == 200
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert "http" not in page.text.replace("http-equiv", "")

    def test_openapi_tells_the_endpoint_its_file_its_answer_and_its_errors(self, served):
        spec = served.client.get("/docs.json").json()
        predict = spec["paths"]["/predict"]["post"]
        form = predict["requestBody"]["content"]["multipart/form-data"]["schema"]
        assert form["properties"]["file"]["format"] == "binary"
        assert form["required"] == ["file"]
        assert set(predict["responses"]) == {
            *("200", "400", "401", "403", "408", "413", "415", "422", "429", "500", "503", "504"),
        }
        assert set(spec["components"]["schemas"]["Answer"]["required"]) == {
            *("prediction_id", "genres", "genre_set", "coverage", "abstains", "tags", "appeal", "moments", "facts"),
            *("unlike", "warnings", "model", "content_hash", "duration_s", "heard_seconds"),
        }

    def test_every_reference_in_openapi_leads_somewhere(self, served):
        spec = served.client.get("/docs.json").json()
        for reference in references(spec):
            name = reference.removeprefix("#/components/schemas/")
            assert name in spec["components"]["schemas"], reference

    def test_what_openapi_shows_as_the_answer_has_the_keys_of_a_real_one(self, served):
        spec = served.client.get("/docs.json").json()
        example = spec["paths"]["/predict"]["post"]["responses"]["200"]["content"]["application/json"]["example"]
        answer = served.predict(SONG).json()
        assert example.keys() == answer.keys()
        assert example["model"].keys() == answer["model"].keys()
        for part in ("genres", "tags"):
            assert example[part][0].keys() == answer[part][0].keys()


def silence(format_: str, *, seconds: float, rate_hz: int = 16_000) -> bytes:
    """Digital silence, encoded piece by piece."""
    file = io.BytesIO()
    with av.open(file, "w", format=format_) as container:
        stream = container.add_stream(format_, rate=rate_hz, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, rate_hz), np.int16), format="s16", layout="mono")
        frame.sample_rate = rate_hz
        for second in range(int(seconds)):
            frame.pts = second * rate_hz
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


def references(part: object) -> Iterator[str]:
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"]
        for value in part.values():
            yield from references(value)
    elif isinstance(part, list):
        for value in part:
            yield from references(value)


@contextlib.contextmanager
def listening() -> Iterator[tuple[str, list[str]]]:
    """A web server that notes who comes by."""
    visits: list[str] = []

    class Note(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            visits.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Note) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", visits
        server.shutdown()
