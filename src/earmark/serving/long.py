"""Recordings too long to be answered at once: uploaded to disk, listened to piece by piece as a task of BentoML's.

A ten-hour mix is many songs, so there is no one answer to it: each minute gets its own, and the whole says which genre
takes how much of the time. Memory stays bounded, for the recording streams; each worker keeps its uploads, and how far
its tasks are, in its own folder, where every other worker can look, and which goes when the worker does.
"""

import asyncio
import contextlib
import json
import logging
import re
import shutil
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from earmark.errors import ToolError
from earmark.files import write_json
from earmark.params import Service
from earmark.serving import metrics
from earmark.serving.answering import appeal_answer, model_answer
from earmark.serving.answers import GenreAnswer, LongAnswer, LongPart, MomentTag, TaskProgress, TimeShare, UploadAnswer
from earmark.serving.errors import Refusal

if TYPE_CHECKING:
    from earmark.serving.champion import Champion
    from earmark.serving.decoding import Decoders
    from earmark.serving.pipeline import Pipeline

PIECE_SECONDS = 60.0
_KEPT_S, _KEPT_WHEN_FULL_S = 3_600.0, 60.0  # an upload that no task has asked for, or that stands still
_MOST_UPLOADS, _MOST_TASKS = 8, 8  # waiting, in one worker
_SPARE_BYTES = 1_000_000_000  # that an upload leaves on the disk
_STEP_BYTES = 64 << 20
_GENRES, _TAGS = 5, 8
_ID = re.compile(r"[0-9a-f]{32}")
_UPLOADS, _TASKS = "uploads", "tasks"

logger = logging.getLogger("bentoml.earmark")


class Uploads:
    """Uploads of all workers; each writes into its own folder.

    Args:
        own: This worker's folder.
        limits: What is accepted.
    """

    def __init__(self, own: Path, limits: Service) -> None:
        self.own = own / _UPLOADS
        self.own.mkdir(exist_ok=True)
        self._all = own.parent
        self._limits = limits

    async def receive(self, body: AsyncIterator[bytes]) -> UploadAnswer:
        """Write what comes in to disk.

        Raises:
            Refusal: It is too large, empty, or there is no room.
        """
        if self._tidied() >= _MOST_UPLOADS:
            raise Refusal("overloaded", "Many uploads wait for their tasks already. Try again in a minute.")
        upload_id = uuid.uuid4().hex
        part, size, checked = self.own / f"{upload_id}.part", 0, 0
        loop = asyncio.get_running_loop()
        try:
            with part.open("wb") as file:
                async for chunk in body:
                    size += len(chunk)
                    if size > self._limits.long_max_bytes:
                        raise Refusal(
                            "too_large",
                            f"The upload is larger than the {self._limits.long_max_bytes:,} bytes that are accepted "
                            "(service.long_max_bytes in params.yaml). Send a compressed format, or parts of it.",
                        )
                    if size >= checked:
                        checked = size + _STEP_BYTES
                        if shutil.disk_usage(self.own).free < _SPARE_BYTES:
                            raise Refusal("overloaded", "There is no room for an upload now. Try again later.")
                    await loop.run_in_executor(None, file.write, chunk)
            if not size:
                raise Refusal("empty", "The body is empty (0 bytes). Send the file: curl --data-binary @mix.mp3 …")
            part.replace(self.own / upload_id)
        except OSError as error:
            logger.error("uploads cannot be stored: %s", error)
            raise Refusal("overloaded", "There is no room for an upload now. Try again later.") from None
        finally:
            part.unlink(missing_ok=True)
        return UploadAnswer(upload_id=upload_id, bytes=size)

    def find(self, upload_id: str) -> Path:
        """Where the upload lies, whichever worker has it.

        Raises:
            Refusal: Nowhere.
        """
        found = list(self._all.glob(f"*/{_UPLOADS}/{upload_id}")) if _ID.fullmatch(upload_id) else []
        if not found:
            raise _no_upload()
        return found[0]

    def take(self, upload_id: str, into: Path) -> None:
        """Hand the upload over to a task, as the file ``into``.

        Raises:
            Refusal: There is none.
        """
        try:
            self.find(upload_id).replace(into)
        except FileNotFoundError:
            raise _no_upload() from None

    def _tidied(self) -> int:
        """How many wait, once those are gone that have waited for too long."""
        paths = list(self.own.iterdir())
        kept_s = _KEPT_S if len(paths) < _MOST_UPLOADS else _KEPT_WHEN_FULL_S
        for path in paths:
            with contextlib.suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime > kept_s:
                    path.unlink()
        return len(list(self.own.iterdir()))


def _no_upload() -> Refusal:
    return Refusal("unknown_task", "No upload has this id. Uploads wait an hour for their task; send the file again.")


@dataclass(frozen=True)
class _Said:
    task_id: str
    path: Path

    def write(self, done_s: float, of_s: float | None) -> None:
        write_json(self.path, {"done_s": done_s, "of_s": of_s})


class Tasks:
    """Long recordings, one at a time in each worker, so that they leave room for what wants an answer at once.

    Args:
        own: This worker's folder.
        uploads: Where the recordings are.
        pipeline: What listens to them.
        decoders: One is enough, and best shared with nobody.
        limits: What is accepted.
    """

    def __init__(
        self, own: Path, uploads: Uploads, pipeline: "Pipeline", decoders: "Decoders", limits: Service
    ) -> None:
        self._own = own / _TASKS
        self._own.mkdir(exist_ok=True)
        self._all = own.parent
        self._uploads, self._pipeline, self._decoders, self._limits = uploads, pipeline, decoders, limits
        self._turn = asyncio.Semaphore(1)
        self._waiting = 0

    def progress(self, task_id: str) -> TaskProgress | None:
        """How far the task is; None where nobody is at it."""
        for path in self._found(task_id, ".json"):
            try:
                return TaskProgress(**json.loads(path.read_text(encoding="utf-8")))
            except FileNotFoundError:
                continue
        return None

    def cancel(self, task_id: str) -> bool:
        """Have the task end soon; whether somebody is at it."""
        found = self._found(task_id, ".json")
        for path in found:
            path.with_suffix(".cancelled").touch()
        return bool(found)

    def cancelled(self, task_id: str) -> bool:
        """Whether it was."""
        return bool(self._found(task_id, ".cancelled"))

    async def run(self, task_id: str, upload_id: str, champion: "Champion") -> LongAnswer:
        """Listen to all of an upload.

        Raises:
            Refusal: There is no such upload, it is too long, the task was cancelled, or too many wait.
            AudioError: It cannot be decoded.
            ToolError: Nothing can be decoded now; the upload waits again.
        """
        if self._waiting >= _MOST_TASKS:
            raise Refusal("busy", "Many long recordings wait already. Try again in some minutes.")
        task_id = task_id if _ID.fullmatch(task_id) else uuid.uuid4().hex
        said, held = _Said(task_id, self._own / f"{task_id}.json"), self._own / f"{task_id}.upload"
        self._waiting += 1
        metrics.TASKS.inc()
        said.write(0.0, None)
        try:
            self._uploads.take(upload_id, held)
            async with self._turn:
                return await self._listen(held, said, champion)
        except ToolError:
            held.replace(self._uploads.own / upload_id)
            raise
        finally:
            held.unlink(missing_ok=True)
            self._waiting -= 1
            metrics.TASKS.dec()
            said.path.unlink(missing_ok=True)

    async def _listen(self, path: Path, said: _Said, champion: "Champion") -> LongAnswer:
        import torch

        predictor = champion.predictor
        parts: list[LongPart] = []
        end_s, content_hash = 0.0, ""
        limit_s = self._limits.long_max_seconds
        with path.open("rb") as file:
            stream = self._decoders.stream(
                file,
                sample_rate_hz=predictor.frontend.sample_rate_hz,
                block_seconds=PIECE_SECONDS,
                max_seconds=limit_s + 1.0,
            )
            async with contextlib.aclosing(stream):
                async for block in stream:
                    if self.cancelled(said.task_id):
                        raise Refusal("cancelled", "The task was cancelled.")
                    end_s, content_hash = block.start_s + block.duration_s, block.content_hash
                    if end_s > limit_s:
                        raise Refusal("too_long", f"The recording lasts longer than the {limit_s:g} s accepted.")
                    if block.duration_s >= predictor.minimum_seconds:
                        waveform = torch.from_numpy(block.samples)
                        inputs = await self._pipeline.run(predictor.inputs, waveform)
                        _, told = await self._pipeline.tell(predictor, inputs)
                        parts.append(_part(told.prediction, champion, block.start_s, end_s))
                    said.write(end_s, block.announced_s)
        if not parts:
            raise Refusal("too_short", f"The recording lasts {end_s:.2f} s, which is too short.")
        return LongAnswer(
            parts=parts,
            genres=_shares(parts),
            model=model_answer(champion),
            content_hash=content_hash,
            duration_s=end_s,
        )

    def _found(self, task_id: str, suffix: str) -> list[Path]:
        return list(self._all.glob(f"*/{_TASKS}/{task_id}{suffix}")) if _ID.fullmatch(task_id) else []


def _part(prediction: Any, champion: "Champion", start_s: float, end_s: float) -> LongPart:
    return LongPart(
        start_s=start_s,
        end_s=end_s,
        genres=[GenreAnswer(genre=each.genre, probability=each.probability) for each in prediction.genres[:_GENRES]],
        genre_set=list(prediction.genre_set),
        tags=[MomentTag(tag=each.tag, share=each.share) for each in prediction.tags[:_TAGS]],
        appeal=None if prediction.appeal is None else appeal_answer(prediction.appeal, champion.neighbours),
        unlike=prediction.unlike,
        warnings=list(prediction.warnings),
    )


def _shares(parts: list[LongPart]) -> list[TimeShare]:
    seconds: Counter[str] = Counter()
    for part in parts:
        seconds[part.genres[0].genre] += part.end_s - part.start_s  # type: ignore[assignment]  # seconds, not counts
    whole = sum(seconds.values())
    return [TimeShare(genre=genre, share=each / whole) for genre, each in seconds.most_common()]
