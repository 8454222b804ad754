"""The endpoints beside /predict, on a real `bentoml serve` with real files."""

import hashlib
import io
import itertools
import uuid

import httpx
import numpy as np
import pytest
from serving_tools import EXAMPLE_SOUND, LABELS, MAX_BYTES, MAX_SECONDS, TAGS_OF_VERSION, tone_wav, untrained
from test_service import refused

from earmark.audio.decode import decode
from earmark.model.reasons.explaining import explain_song
from earmark.serving.answers import (
    Answer,
    BatchAnswer,
    ExplainAnswer,
    Lineage,
    LongAnswer,
    ModelCard,
    SimilarAnswer,
    TaskStatus,
)

SONG = tone_wav(3.0)

pytestmark = pytest.mark.slow


def post(served, path, **how) -> httpx.Response:
    return served.client.post(path, **how)


class TestPredict:
    def test_the_answer_is_what_it_is_declared_to_be(self, served):
        Answer.model_validate(served.predict(SONG).json())

    def test_the_hash_is_of_the_files_own_bytes(self, served):
        assert served.predict(SONG).json()["content_hash"] == hashlib.sha256(SONG).hexdigest()

    def test_moments_are_what_the_network_hears_in_each_excerpt(self, served):
        moments = served.predict(SONG).json()["moments"]
        assert [moment["start_s"] for moment in moments] == pytest.approx([0.0, 3.0 - 1.024], abs=0.02)
        for moment in moments:
            assert sum(each["probability"] for each in moment["genres"]) == pytest.approx(1.0, abs=1e-5)

    def test_the_appeal_of_a_model_that_was_taught_none_is_null(self, served):
        assert served.predict(SONG).json()["appeal"] is None

    def test_loudness_is_measured(self, served):
        quiet, loud = (served.predict(tone(scale)).json()["facts"]["loudness"]["lufs"] for scale in (0.05, 0.5))
        assert loud - quiet == pytest.approx(20.0, abs=0.1)


class TestBatch:
    def test_each_file_gets_its_own_answer_in_order(self, served):
        songs = [tone_wav(seconds) for seconds in (2.0, 3.0, 4.0)]
        response = post(served, "/predict_batch", files=[("files", (f"{n}.wav", song)) for n, song in enumerate(songs)])
        items = BatchAnswer.model_validate(response.json()).items
        assert [(item.index, item.name) for item in items] == [(0, "0.wav"), (1, "1.wav"), (2, "2.wav")]
        assert [item.answer.duration_s for item in items] == pytest.approx([2.0, 3.0, 4.0], abs=0.01)
        assert len({item.answer.prediction_id for item in items}) == 3

    def test_a_bad_file_spoils_no_other(self, served):
        files = [("files", ("a.wav", SONG)), ("files", ("b.mp3", b"no music")), ("files", ("c.wav", SONG))]
        items = post(served, "/predict_batch", files=files).json()["items"]
        assert [item["answer"] is None for item in items] == [False, True, False]
        assert items[1]["error"]["code"] == "not_audio"
        assert items[0]["error"] is None

    def test_too_many_files_are_refused(self, served):
        response = post(served, "/predict_batch", files=[("files", (str(n), b"x")) for n in range(33)])
        refused(response, 413, "too_many_files")

    def test_without_a_file_it_says_which_field_is_needed(self, served):
        assert "`files`" in refused(post(served, "/predict_batch", files={"file": SONG}), 422, "missing_file")


class TestExplain:
    def test_it_says_what_the_method_says_of_the_same_song(self, served):
        predictor = untrained()
        why = ExplainAnswer.model_validate(
            post(served, "/explain", files={"file": SONG}, data={"genre": "reel"}).json()
        )
        recording = decode(SONG, sample_rate_hz=predictor.frontend.sample_rate_hz, mono=True)
        expected = explain_song(
            predictor, predictor.inputs(recording.waveform[0]).log_mel, "reel", excerpts=3, steps=16
        )
        assert why.genre == "reel"
        assert [band.nats for band in why.bands] == pytest.approx(expected.bands.tolist(), abs=1e-4)
        assert [each.nats_per_s for each in why.moments] == pytest.approx(expected.moments.tolist(), abs=1e-4)
        assert sum(band.nats for band in why.bands) == pytest.approx(why.difference, abs=abs(why.gap) + 0.05)

    def test_moments_cover_the_song_from_its_beginning_to_its_end(self, served):
        moments = post(served, "/explain", files={"file": SONG}).json()["moments"]
        assert moments[0]["start_s"] == 0.0
        assert moments[-1]["end_s"] == pytest.approx(3.0, abs=0.1)
        assert all(one["end_s"] == pytest.approx(two["start_s"]) for one, two in itertools.pairwise(moments))

    def test_the_most_probable_genre_is_explained_unless_another_is_named(self, served):
        best = served.predict(SONG).json()["genres"][0]["genre"]
        assert post(served, "/explain", files={"file": SONG}).json()["genre"] == best

    @pytest.mark.parametrize("how", [{"params": {"format": "png"}}, {"headers": {"accept": "image/png"}}])
    def test_as_a_picture(self, served, how):
        response = post(served, "/explain", files={"file": SONG}, **how)
        assert response.headers["content-type"] == "image/png"
        assert response.content.startswith(b"\x89PNG\r\n")

    def test_an_unknown_genre_is_refused_with_those_that_there_are(self, served):
        message = refused(post(served, "/explain", files={"file": SONG}, data={"genre": "polka"}), 422, "invalid")
        assert all(label in message for label in LABELS)

    @pytest.mark.parametrize("query", ["format=svg", "format=", "format=json&format=png"])
    def test_another_form_of_answer_is_refused(self, served, query):
        refused(post(served, f"/explain?{query}", files={"file": SONG}), 422, "invalid")

    def test_a_genre_against_itself_is_refused(self, served):
        data = {"genre": "reel", "rather_than": "reel"}
        refused(post(served, "/explain", files={"file": SONG}, data=data), 422, "invalid")


class TestSimilar:
    def test_the_nearest_comes_first_with_what_listeners_did(self, served):
        answer = SimilarAnswer.model_validate(post(served, "/similar", files={"file": tone(0.5)}).json())
        similarities = [song.similarity for song in answer.songs]
        assert (answer.of, len(answer.songs)) == (4, 4)
        assert similarities == sorted(similarities, reverse=True)
        assert answer.songs[0].track_id == "tones/1"
        assert (answer.songs[0].listeners, answer.songs[0].liked.share) == (40, 0.6)
        assert answer.songs[0].tags[0].tag == "feeling---calmness"
        assert answer.songs[-1].listeners is None

    def test_by_the_id_of_an_answer_it_is_the_same(self, served):
        prediction_id = served.predict(SONG).json()["prediction_id"]
        by_id = post(served, "/similar", files={"prediction_id": (None, prediction_id)}).json()
        by_file = post(served, "/similar", files={"file": SONG}).json()
        assert by_id == by_file

    def test_so_many_as_asked_for(self, served):
        answer = post(served, "/similar", files={"file": SONG}, data={"count": "2"}).json()
        assert len(answer["songs"]) == 2

    @pytest.mark.parametrize("count", ["0", "101", "-1", "two", "1.5", "٣"])
    def test_a_count_that_is_none_is_refused(self, served, count):
        refused(post(served, "/similar", files={"file": SONG}, data={"count": count}), 422, "invalid")

    def test_an_unknown_id_is_refused(self, served):
        refused(post(served, "/similar", files={"prediction_id": (None, "f" * 32)}), 404, "unknown_prediction")

    @pytest.mark.parametrize("prediction_id", ["", "f" * 32])
    def test_a_file_and_an_id_are_one_too_many(self, served, prediction_id):
        form = {"file": SONG, "prediction_id": (None, prediction_id)}
        refused(post(served, "/similar", files=form), 422, "invalid")


class TestModelAndLineage:
    def test_the_card_says_what_the_registry_knows(self, served):
        card = ModelCard.model_validate(served.client.get("/model").json())
        assert (card.version, card.kind, card.genres) == ("7", "network", list(LABELS))
        assert (card.accuracy.value, card.accuracy.low, card.accuracy.high) == (0.75, 0.65, 0.84)
        assert [(gate.name, gate.passed) for gate in card.gates] == [("gain", True)]
        assert (card.catalogue_songs, card.canary, card.shadow) == (4, None, None)
        assert card.engine in ("fused", "eager", "onnx")

    def test_from_an_answer_the_way_leads_back_to_code_and_data(self, served):
        answer = served.predict(SONG).json()
        lineage = Lineage.model_validate(served.client.get(f"/lineage/{answer['prediction_id']}").json())
        assert lineage.prediction.content_hash == answer["content_hash"]
        assert lineage.prediction.genre == answer["genres"][0]["genre"]
        assert (lineage.model.version, lineage.model.run_id) == ("7", "run-of-the-test")
        assert lineage.code.git_commit == TAGS_OF_VERSION["git.commit"]
        assert lineage.code.git_dirty is False
        assert lineage.data.catalogue_md5 == "a" * 32
        assert any(TAGS_OF_VERSION["git.commit"] in command for command in lineage.again)

    @pytest.mark.parametrize("name", ["f" * 32, "..%2f..%2fetc", "a" * 500, "%00"])
    def test_an_id_that_nobody_gave_is_refused(self, served, name):
        response = served.client.get(f"/lineage/{name}")
        assert response.status_code in (400, 404)
        refused(response, response.status_code, response.json()["error"]["code"])


class TestExamples:
    def test_what_may_be_passed_on_is_listed_and_given(self, served):
        [example] = served.client.get("/examples").json()
        assert example == {
            "name": "jig",
            "title": "A jig",
            "artist": None,
            "genre": "jig",
            "seconds": 3.0,
            "licence": "CC0-1.0",
        }
        sound = served.client.get("/examples/jig")
        assert (sound.content, sound.headers["content-type"]) == (EXAMPLE_SOUND, "audio/ogg")

    def test_another_name_is_refused(self, served):
        refused(served.client.get("/examples/polka"), 404, "not_found")


class TestFeedback:
    def like(self, served, **change):
        event = {"event_id": uuid.uuid4().hex, "kind": "like", "value": 1, "track_id": "tones/1"}
        return {**event, **change}

    def test_an_event_is_kept_and_counts_once(self, served):
        event = self.like(served, track_id=None, prediction_id=served.predict(SONG).json()["prediction_id"])
        event.pop("track_id")
        first, second = (post(served, "/feedback", json={"events": [event]}).json() for _ in range(2))
        assert first == {"accepted": 1, "known": 0, "refused": []}
        assert second == {"accepted": 0, "known": 1, "refused": []}
        told = served.client.get(f"/feedback/{event['event_id']}").json()
        assert told["state"] in ("waiting", "taken")

    def test_a_bad_one_spoils_no_other(self, served):
        events = [self.like(served), self.like(served, kind="adore"), "nonsense"]
        answer = post(served, "/feedback", json={"events": events}).json()
        assert answer["accepted"] == 1
        assert [each["index"] for each in answer["refused"]] == [1, 2]

    @pytest.mark.parametrize(
        ("body", "status", "code"),
        [
            (b"", 400, "malformed"),
            (b"{", 400, "malformed"),
            (b"[" * 100_000, 400, "malformed"),
            (b"[]", 422, "invalid"),
            (b'{"events": []}', 422, "invalid"),
            (b'{"events": {}}', 422, "invalid"),
            (b'{"events": [1], "more": 2}', 422, "invalid"),
            (b'{"events": [' + b"1," * 1_000 + b"1]}", 422, "invalid"),
            (b"\xff\xfe", 400, "malformed"),
        ],
    )
    def test_a_body_that_holds_no_events_is_refused(self, served, body, status, code):
        response = post(served, "/feedback", content=body, headers={"content-type": "application/json"})
        refused(response, status, code)

    def test_an_unknown_event_is_refused(self, served):
        refused(served.client.get("/feedback/nobody-sent-this"), 404, "unknown_event")

    def test_it_is_judged_and_stored_soon(self, served):
        event = self.like(served)
        post(served, "/feedback", json={"events": [event]})

        def taken():
            return served.client.get(f"/feedback/{event['event_id']}").json()["state"] == "taken"

        served.wait_until(taken, seconds=150)


class TestLongRecordings:
    def upload(self, served, content):
        return post(served, "/uploads", content=content).json()["upload_id"]

    def submit(self, served, upload_id):
        response = post(served, "/predict_long/submit", json={"upload_id": upload_id})
        assert response.status_code == 200, response.text
        return response.json()["task_id"]

    def status(self, served, task_id) -> TaskStatus:
        return TaskStatus.model_validate(served.client.get("/predict_long/status", params={"task_id": task_id}).json())

    def wait(self, served, task_id) -> TaskStatus:
        served.wait_until(lambda: self.status(served, task_id).status != "in_progress", seconds=60)
        return self.status(served, task_id)

    def test_a_recording_longer_than_predict_takes_is_answered_piece_by_piece(self, served):
        long = tone_wav(150.0)
        assert len(long) < MAX_BYTES and MAX_SECONDS < 150
        task_id = self.submit(served, self.upload(served, long))
        assert self.wait(served, task_id).status == "completed"
        answer = LongAnswer.model_validate(served.client.get("/predict_long/get", params={"task_id": task_id}).json())
        assert [(part.start_s, part.end_s) for part in answer.parts] == [(0.0, 60.0), (60.0, 120.0), (120.0, 150.0)]
        assert sum(each.share for each in answer.genres) == pytest.approx(1.0)
        assert (answer.duration_s, answer.content_hash) == (150.0, hashlib.sha256(long).hexdigest())

    def test_each_piece_says_what_predict_says_of_it(self, served):
        task_id = self.submit(served, self.upload(served, SONG))
        self.wait(served, task_id)
        [part] = served.client.get("/predict_long/get", params={"task_id": task_id}).json()["parts"]
        whole = served.predict(SONG).json()
        for one, other in zip(part["genres"], whole["genres"], strict=True):
            assert one["genre"] == other["genre"]
            assert one["probability"] == pytest.approx(other["probability"], abs=1e-5)

    def test_what_cannot_be_decoded_fails_with_its_reason(self, served):
        task_id = self.submit(served, self.upload(served, b"no music at all" * 100))
        assert self.wait(served, task_id).status == "failed"
        refused_as = served.client.get("/predict_long/get", params={"task_id": task_id})
        assert (refused_as.status_code, refused_as.json()["error"]["code"]) == (415, "not_audio")

    def test_a_task_for_an_upload_that_is_not_there_is_refused_at_once(self, served):
        response = post(served, "/predict_long/submit", json={"upload_id": "0" * 32})
        refused(response, 404, "unknown_task")

    def test_a_task_that_is_done_can_be_asked_for_again_but_its_upload_is_gone(self, served):
        query = {"task_id": self.submit(served, self.upload(served, SONG))}
        assert self.wait(served, query["task_id"]).status == "completed"
        again = post(served, "/predict_long/retry", params=query).json()
        assert self.wait(served, again["task_id"]).status == "failed"
        gone = served.client.get("/predict_long/get", params={"task_id": again["task_id"]})
        assert "upload" in refused(gone, 404, "unknown_task")

    def test_a_task_that_is_not_done_is_not_done_twice(self, served):
        query = {"task_id": self.submit(served, self.upload(served, silence_flac(3_000.0)))}
        refused(post(served, "/predict_long/retry", params=query), 409, "not_ready")
        refused(served.client.get("/predict_long/get", params=query), 409, "not_ready")
        served.client.put("/predict_long/cancel", params=query)
        self.wait(served, query["task_id"])

    def test_a_cancelled_task_ends(self, served):
        upload_id = self.upload(served, silence_flac(3_000.0))
        task_id = self.submit(served, upload_id)
        served.wait_until(lambda: self.status(served, task_id).progress is not None, seconds=20)
        response = served.client.put("/predict_long/cancel", params={"task_id": task_id})
        assert response.status_code == 200, response.text
        served.wait_until(lambda: self.status(served, task_id).status in ("canceled", "failed"), seconds=30)

    def test_progress_is_told_meanwhile(self, served):
        task_id = self.submit(served, self.upload(served, silence_flac(3_000.0)))
        seen = []

        def ended():
            status = self.status(served, task_id)
            if status.progress is not None:
                seen.append(status.progress.done_s)
            return status.status != "in_progress"

        served.wait_until(ended, seconds=120)
        assert seen == sorted(seen)
        assert seen[-1] > 0

    def test_an_empty_upload_is_refused(self, served):
        refused(post(served, "/uploads", content=b""), 422, "empty")

    @pytest.mark.parametrize("step", ["status", "get"])
    def test_an_unknown_task_is_refused(self, served, step):
        refused(served.client.get(f"/predict_long/{step}", params={"task_id": "0" * 32}), 404, "unknown_task")
        refused(served.client.get(f"/predict_long/{step}"), 422, "invalid")


class TestMetrics:
    def test_what_happened_is_counted(self, served):
        def count(name, **labels):
            text = served.client.get("/metrics").text
            lines = [line for line in text.splitlines() if line.startswith(f"{name}{{")]
            wanted = [f'{label}="{value}"' for label, value in labels.items()]
            return sum(float(line.rpartition(" ")[2]) for line in lines if all(each in line for each in wanted))

        answered = {"endpoint": "predict", "outcome": "answered", "version": "7"}
        before = count("earmark_requests_total", **answered)
        refused_before = count("earmark_requests_total", endpoint="predict", outcome="not_audio")
        served.predict(SONG)
        served.predict(b"no music")
        assert count("earmark_requests_total", **answered) == before + 1
        assert count("earmark_requests_total", endpoint="predict", outcome="not_audio") == refused_before + 1
        for step in ("upload", "decode", "hear", "compute", "tell", "record"):
            assert count("earmark_step_seconds_count", step=step) > 0
        assert count("earmark_unlike_count") == 0  # an uncalibrated model does not know
        assert count("earmark_in_service", version="7", role="champion") == 1

    def test_no_path_that_a_client_made_up_becomes_a_label(self, served):
        for number in range(5):
            served.client.get(f"/made-up-{number}")
            served.client.get(f"/lineage/made-up-{number}")
        assert "made-up" not in served.client.get("/metrics").text


def tone(scale: float) -> bytes:
    """Three seconds of the tone that is the catalogue's first song, at a level."""
    import wave

    samples = (scale * 32_767 * np.sin(np.arange(3 * 16_000) / 3.0)).astype("<i2")
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(16_000)
        out.writeframes(samples.tobytes())
    return file.getvalue()


def silence_flac(seconds: float) -> bytes:
    """So long a silence, in a small file; with a click a second, so that there is something to hear."""
    import av

    file = io.BytesIO()
    with av.open(file, "w", format="flac") as container:
        stream = container.add_stream("flac", rate=16_000, layout="mono")
        second = np.zeros((1, 16_000), np.int16)
        second[0, ::4_000] = 8_000
        for number in range(int(seconds)):
            frame = av.AudioFrame.from_ndarray(second, format="s16", layout="mono")
            frame.sample_rate, frame.pts = 16_000, number * 16_000
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()
