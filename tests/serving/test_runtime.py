"""Temporary files: a folder for each worker that is gone with it, also after kill -9; and uploads that have no name."""

import asyncio
import multiprocessing
import os
import signal
import stat
import sys
import tempfile
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from earmark.errors import EarmarkError
from earmark.serving.door import Door
from earmark.serving.runtime import SERVICE, rates_file, runtime_folder, sweep

SPAWN = multiprocessing.get_context("spawn")


def work(root: str, at_work: "multiprocessing.synchronize.Event", end: "multiprocessing.synchronize.Event") -> None:
    (runtime_folder(Path(root)) / "upload").write_bytes(b"a song")
    at_work.set()
    end.wait(600)
    sys.exit(0)


class Worker:
    """Another process that has a folder with a file in it."""

    def __init__(self, root: Path) -> None:
        at_work, self.end = SPAWN.Event(), SPAWN.Event()
        self.process = SPAWN.Process(target=work, args=(str(root), at_work, self.end))
        self.process.start()
        assert at_work.wait(60)

    def kill(self) -> None:
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.join(60)


def uploads(root: Path) -> list[Path]:
    return sorted((root / SERVICE).glob("*/upload"))


class TestRuntimeFolder:
    def test_is_one_a_process_and_nobody_else_may_enter(self, tmp_path):
        folder = runtime_folder(tmp_path)
        assert folder == runtime_folder(tmp_path) and folder.parent == tmp_path / SERVICE
        assert folder.name.startswith(f"{os.getpid()}-")
        assert stat.S_IMODE(folder.stat().st_mode) == stat.S_IMODE(folder.parent.stat().st_mode) == 0o700

    def test_two_workers_have_two_and_neither_takes_the_others(self, tmp_path):
        workers = [Worker(tmp_path), Worker(tmp_path)]
        try:
            assert sweep(tmp_path) == []
            assert len(uploads(tmp_path)) == 2
        finally:
            for worker in workers:
                worker.kill()

    def test_what_kill_9_left_goes_when_the_next_worker_starts(self, tmp_path):
        killed, alive = Worker(tmp_path), Worker(tmp_path)
        killed.kill()
        assert len(uploads(tmp_path)) == 2
        try:
            mine = runtime_folder(tmp_path)
            assert {folder.name for folder in mine.parent.iterdir() if folder.is_dir()} == {
                mine.name,
                *(path.parent.name for path in uploads(tmp_path)),
            }
            assert len(uploads(tmp_path)) == 1
        finally:
            alive.kill()

    def test_a_process_id_that_came_again_keeps_nothing_alive(self, tmp_path):
        left = tmp_path / SERVICE / f"{os.getpid()}-1b"
        left.mkdir(parents=True)
        (left / "alive").touch()
        (left / "upload").write_bytes(b"a song")
        assert sweep(tmp_path) == [left.name]
        assert not left.exists()

    def test_a_process_that_ends_takes_its_folder_along(self, tmp_path):
        worker = Worker(tmp_path)
        worker.end.set()
        worker.process.join(60)
        assert uploads(tmp_path) == []

    def test_what_is_no_workers_folder_stays(self, tmp_path):
        shared = tmp_path / SERVICE / "shared"
        shared.mkdir(parents=True)
        runtime_folder(tmp_path)
        rates_file(tmp_path).write_bytes(b"")
        sweep(tmp_path)
        assert shared.is_dir() and rates_file(tmp_path).exists()

    def test_a_place_that_cannot_be_written_is_named(self, tmp_path):
        (tmp_path / ".earmark").write_text("a file where a folder should be")
        with pytest.raises(EarmarkError, match="cannot be written"):
            runtime_folder(tmp_path)


class TestUploads:
    @pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
    def test_a_form_that_is_too_large_for_memory_lies_in_a_file_without_a_name(self, tmp_path, monkeypatch):
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

        async def look(request: Request) -> Response:
            form = await request.form()
            number = form["file"].file.fileno()  # on the disk: it has one
            return JSONResponse(
                [Path(f"/proc/self/fd/{number}").readlink().name, [entry.name for entry in tmp_path.iterdir()]]
            )

        async def go() -> httpx.Response:
            door = Door(Starlette(routes=[Route("/", look, methods=["POST"])]), max_bytes=5_000_000)
            async with httpx.AsyncClient(transport=httpx.ASGITransport(door), base_url="http://door") as asking:
                return await asking.post("/", files={"file": ("song.wav", bytes(3_000_000))})

        name, entries = asyncio.run(go()).json()
        assert name.endswith("(deleted)") and entries == []
