"""Uploads that wait for their tasks, and tasks, without a server around them."""

import asyncio
import dataclasses
import errno
import os
import time
from types import SimpleNamespace

import pytest

from earmark.audio.decode import NotAudio
from earmark.errors import ToolError
from earmark.params import load_params
from earmark.serving import long
from earmark.serving.errors import Refusal
from earmark.serving.long import Tasks, Uploads
from scratch import CHECKOUT

LIMITS = dataclasses.replace(load_params(CHECKOUT / "params.yaml").service, long_max_bytes=100)


async def body(*pieces: bytes, then: Exception | None = None):
    for piece in pieces:
        yield piece
    if then:
        raise then


@pytest.fixture
def own(tmp_path):
    folder = tmp_path / "service/1-a"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def uploads(own) -> Uploads:
    return Uploads(own, LIMITS)


def receive(uploads: Uploads, content=b"song") -> str:
    return asyncio.run(uploads.receive(body(content))).upload_id


def aged(uploads: Uploads, upload_id: str, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(uploads.find(upload_id), (then, then))


class TestUploads:
    def test_what_came_in_lies_under_its_id_for_every_worker(self, own, uploads):
        upload_id = asyncio.run(uploads.receive(body(b"so", b"ng"))).upload_id
        (own.parent / "2-b").mkdir()
        assert Uploads(own.parent / "2-b", LIMITS).find(upload_id).read_bytes() == b"song"

    @pytest.mark.parametrize(
        ("came", "code"),
        [
            (body(b"x" * 101), "too_large"),
            (body(), "empty"),
            (body(b"so", then=OSError(errno.ENOSPC, "No space left on device")), "overloaded"),
            (body(b"so", then=Refusal("slow_upload", "Too slow.")), "slow_upload"),
        ],
    )
    def test_what_is_refused_leaves_nothing_behind(self, uploads, came, code):
        with pytest.raises(Refusal) as caught:
            asyncio.run(uploads.receive(came))
        assert caught.value.code == code
        assert list(uploads.own.iterdir()) == []

    @pytest.mark.parametrize("upload_id", ["", "*", "../x", "0" * 31 + "*", "0" * 32 + "\n", "0" * 32])
    def test_no_other_name_leads_to_a_file(self, uploads, upload_id):
        receive(uploads)
        with pytest.raises(Refusal, match="No upload"):
            uploads.find(upload_id)

    def test_only_so_many_wait(self, uploads):
        for _ in range(8):
            receive(uploads)
        with pytest.raises(Refusal, match="Many uploads wait"):
            receive(uploads)

    def test_one_that_nobody_asked_for_gives_way_after_an_hour(self, uploads):
        old, young = receive(uploads), receive(uploads)
        aged(uploads, old, 3_700)
        aged(uploads, young, 3_500)
        receive(uploads)
        with pytest.raises(Refusal):
            uploads.find(old)
        assert uploads.find(young)

    def test_where_all_room_is_taken_after_a_minute(self, uploads):
        ids = [receive(uploads) for _ in range(8)]
        aged(uploads, ids[0], 70)
        aged(uploads, ids[1], 50)
        receive(uploads)
        with pytest.raises(Refusal):
            uploads.find(ids[0])
        assert uploads.find(ids[1])


class TestTasks:
    """With a pipeline that nothing comes out of: what becomes of the upload?"""

    @pytest.fixture
    def run(self, own, uploads):
        def run(upload_id, outcome, between=lambda: None):
            async def stream(*_, **__):
                between()
                raise outcome
                yield

            tasks = Tasks(own, uploads, None, SimpleNamespace(stream=stream), LIMITS)
            predictor = SimpleNamespace(frontend=SimpleNamespace(sample_rate_hz=16_000))
            asyncio.run(tasks.run("a" * 32, upload_id, SimpleNamespace(predictor=predictor)))

        return run

    def test_what_cannot_be_decoded_is_not_kept(self, own, uploads, run):
        upload_id = receive(uploads)
        with pytest.raises(NotAudio):
            run(upload_id, NotAudio("No song."))
        assert [path for path in own.rglob("*") if path.is_file()] == []

    def test_what_could_not_be_tried_waits_for_another_try(self, uploads, run):
        upload_id = receive(uploads)
        with pytest.raises(ToolError):
            run(upload_id, ToolError("No decoder."))
        assert uploads.find(upload_id).read_bytes() == b"song"

    def test_while_it_is_worked_on_it_takes_up_no_room_and_never_grows_too_old(self, uploads, run, monkeypatch):
        upload_id = receive(uploads)
        aged(uploads, upload_id, 3_500)

        def between():
            assert list(uploads.own.iterdir()) == []

        monkeypatch.setattr(long, "_KEPT_S", 0.0)
        with pytest.raises(NotAudio):
            run(upload_id, NotAudio("No song."), between)

    def test_only_one_task_gets_an_upload(self, uploads, run):
        upload_id = receive(uploads)

        def again():
            with pytest.raises(Refusal, match="No upload"):
                uploads.find(upload_id)

        with pytest.raises(NotAudio):
            run(upload_id, NotAudio("No song."), again)
