"""The Python client and the real service understand each other."""

import asyncio

import pytest
from serving_tools import LABELS, Server, tone_wav

from earmark.client import AsyncClient, Client, Event, Progress, Refused
from earmark.serving.answers import FeedbackAnswer
from earmark.serving.telling import EventRequest

pytestmark = pytest.mark.slow


@pytest.fixture
def earmark(served: Server):
    with Client(str(served.client.base_url)) as client:
        yield client


@pytest.fixture
def song(write):
    return write("a song 歌.wav", tone_wav(6.0))


class TestClient:
    def test_it_predicts_as_curl_does(self, earmark, served, song):
        answer = earmark.predict(song)
        bare = served.predict(song.read_bytes()).json()
        told = answer.model_dump(mode="json")
        assert told.pop("prediction_id") != bare.pop("prediction_id")
        assert told == bare

    def test_a_batch_has_answers_and_reasons(self, earmark, song):
        first, second, third = earmark.predict_batch([song, b"no music", song.read_bytes()]).items
        assert first.answer.genres == third.answer.genres
        assert (second.answer, second.error.code) == (None, "not_audio")

    def test_a_refusal_is_an_exception(self, earmark):
        with pytest.raises(Refused, match="not audio") as raised:
            earmark.predict(b"no music")
        assert (raised.value.status, raised.value.code) == (415, "not_audio")
        assert len(raised.value.request_id) == 32

    def test_it_explains_in_numbers_and_as_a_picture(self, earmark, song):
        why = earmark.explain(song, "reel", rather_than="jig")
        assert (why.genre, why.rather_than) == ("reel", "jig")
        assert earmark.explain_png(song, "reel").startswith(b"\x89PNG")

    def test_a_field_without_a_file_is_understood(self, earmark):
        with pytest.raises(Refused) as raised:
            earmark.similar(prediction_id="0" * 32)
        assert raised.value.code == "unknown_prediction"

    def test_thumbs_and_events_are_taken_once(self, earmark, song):
        prediction_id = earmark.predict(song).prediction_id
        event = Event(kind="play", prediction_id=prediction_id, ms_played=4_000)
        assert earmark.feedback([event, event]) == FeedbackAnswer(accepted=1, known=1, refused=[])
        assert earmark.like(prediction_id, listener="anna").accepted == 1
        assert earmark.take_back(prediction_id, listener="anna").accepted == 1

    def test_an_answer_leads_back_to_its_model(self, earmark, song):
        answer = earmark.predict(song)
        assert earmark.lineage(answer.prediction_id).model.version == answer.model.version == "7"
        assert earmark.model().genres == list(LABELS)
        assert earmark.is_ready()

    def test_a_long_recording_is_followed_to_its_answer(self, earmark, write):
        told: list[Progress] = []
        answer = earmark.predict_long(write("set.wav", tone_wav(150.0)), progress=told.append, poll_s=0.1)
        assert [part.start_s for part in answer.parts] == [0.0, 60.0, 120.0]
        assert (told[0].doing, told[-1].doing) == ("sending", "hearing")

    def test_many_requests_beside_each_other(self, served, song):
        async def ask() -> list[str]:
            async with AsyncClient(str(served.client.base_url)) as earmark:
                answers = await asyncio.gather(*(earmark.predict(song) for _ in range(12)))
                return [answer.genres[0].genre for answer in answers]

        assert len(set(asyncio.run(ask()))) == 1


class TestShapes:
    """What the client has shapes of its own for, agrees with the service's."""

    def test_every_event_that_it_sends_is_one(self):
        events = [
            Event(kind="like", prediction_id="p", value=None),
            Event(kind="play", track_id="t", ms_played=1),
            Event(kind="tag", isrc="GBAYE0601498", word="study"),
            Event(kind="rating", title="A", artist="B", value=0.5, listener="anna"),
        ]
        for event in events:
            assert EventRequest.model_validate(event.content()).kind == event.kind
        assert set(Event.model_fields) == set(EventRequest.model_fields)
