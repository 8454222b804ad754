"""One worker of the service: models, decoders, records, and what its endpoints do with a request.

It knows nothing of BentoML: `earmark.serving.service` declares the endpoints and hands on what they were sent.
"""

import asyncio
import contextvars
import gc
import logging
import math
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel
from starlette.datastructures import UploadFile
from starlette.responses import Response

from earmark.errors import AudioError, EarmarkError, ToolError
from earmark.params import Params, load_params
from earmark.serving.answers import Answer, BatchAnswer, BatchItem, ErrorDetail, ExplainAnswer
from earmark.serving.asking import asked
from earmark.serving.errors import Refusal
from earmark.serving.memory import keep_memory
from earmark.workspace import PARAMS

if TYPE_CHECKING:
    from earmark.model.network.engines import Measured
    from earmark.serving.champion import Champion
    from earmark.serving.pipeline import Heard

NO_CHAMPION = (
    "There is no champion to answer. The service takes one up as soon as it is promoted: `earmark demo` or the flow "
    "`training` does that. If there is one, the service's log says why it cannot be loaded."
)

# A slow registry may delay the first champion, but not the service: until then it answers 503.
_FIRST_LOOK_PATIENCE_S = 30.0
_EXPLAIN_STEPS, _EXPLAIN_EXCERPTS = 16, 16
_AT_ONCE = 4  # files of a batch, so that it leaves room for others

logger = logging.getLogger("bentoml.earmark")


class Worker:
    """All that one worker has: models, decoders, records; and what its endpoints do.

    Args:
        root: The project's folder.
        threads: For computing, and as many decoders.
    """

    def __init__(self, root: Path, *, threads: int) -> None:
        import torch

        from earmark.serving.fleet import Fleet
        from earmark.serving.records import Records
        from earmark.serving.shadow import Shadow
        from earmark.serving.taking import Taker

        keep_memory()
        # Requests run beside each other, one core each; every one of them spread over all cores would be a quarrel.
        torch.set_num_threads(1)
        self.root, self.threads = root, threads
        self._fastest: dict[Any, Measured] = {}  # by the shape of the networks
        self.working = 0  # recordings that somebody waits for
        self.params: Params = load_params(root / PARAMS)
        self.records = Records.of(root, keep_days=self.params.service.keep_predictions_days)
        self.records.start()
        self.taker = Taker(root, self.records)
        self.fleet = Fleet(self.params, root, prepare=self._prepared)
        self.fleet.start(patience_s=_FIRST_LOOK_PATIENCE_S)
        self.shadow = Shadow(self.fleet, self.params, root, busy=lambda: self.working > 0)

    async def begin(self) -> None:
        """Start what needs the event loop, before the first request."""
        from concurrent.futures import ThreadPoolExecutor

        from earmark.serving.decoding import Decoders
        from earmark.serving.follower import step_back
        from earmark.serving.long import Tasks, Uploads
        from earmark.serving.pipeline import Pipeline
        from earmark.serving.runtime import runtime_folder

        limits = self.params.service
        self.decoders = Decoders(
            self.threads, max_seconds=limits.max_seconds + 1.0, timeout_s=limits.decode_seconds, loudness=True
        )
        await self.decoders.start()
        self.pipeline = Pipeline(limits, self.decoders, threads=self.threads)
        folder = runtime_folder(self.root)
        self.uploads = Uploads(folder, limits)
        # A long recording keeps its decoder to the end, so that has one of its own; started when there is a task.
        self.patient_decoders = Decoders(1, max_seconds=limits.long_max_seconds + 1.0, timeout_s=limits.decode_seconds)
        self.tasks = Tasks(folder, self.uploads, self.pipeline, self.patient_decoders, limits)
        # What explains takes seconds, and gives way to what answers.
        self.patient = ThreadPoolExecutor(1, "explain", initializer=step_back, initargs=(10,))
        self.taker.start()
        self.shadow.start()
        gc.collect()
        gc.freeze()  # what is loaded stays; looking through it again would hold up requests

    async def end(self) -> None:
        """Stop all threads and processes."""
        self.shadow.stop()
        self.taker.stop()
        self.fleet.stop()
        await self.decoders.close()
        await self.patient_decoders.close()
        self.pipeline.close()
        self.patient.shutdown(wait=False, cancel_futures=True)
        self.records.stop()

    def _prepared(self, champion: "Champion") -> "Champion":
        """With the fastest way to compute that this machine has."""
        from earmark.model.network.engines import fastest

        network = champion.predictor.network
        shape = None if network is None else (network.shape, network.how, network.graph is not None)
        # Somebody waits for a version that takes over; what is fastest for one of its shape is known by then.
        found = fastest(
            champion.predictor, threads=1, compile=self.params.service.compile, known=self._fastest.get(shape)
        )
        if found.engine:
            self._fastest[shape] = found.measured[0]
            tried = ", ".join(
                f"{each.name} by {each.batch}: {each.refused or f'{each.ms:.1f} ms a song'}" for each in found.measured
            )
            logger.info("version %s is computed by %s (%s)", champion.version, found.engine, tried)
        return replace(champion, predictor=found.predictor)

    def champion(self) -> "Champion":
        """Who is in service.

        Raises:
            Refusal: Nobody.
        """
        champion = self.fleet.champion
        if champion is None:
            raise Refusal("no_champion", NO_CHAMPION)  # what exactly is missing is for the log: it may name paths
        return champion

    def chosen(self) -> "Champion":
        """Who answers this request: the champion, or for its share of keys the canary.

        Raises:
            Refusal: Nobody.
        """
        return self.fleet.chosen(asked.get().sticky or uuid.uuid4().hex) or self.champion()

    def tags_of(self, version: str) -> dict[str, str]:
        """The tags of a registered version; empty where nobody knows it now."""
        from earmark.adapters.registry import tags_of

        for here in (self.fleet.champion, self.fleet.canary):
            if here is not None and here.version == version:
                return dict(here.tags)
        try:
            return tags_of(self.params, self.root, version)
        except EarmarkError as error:
            logger.warning("the registry cannot say where version %s comes from: %s", version, error)
            return {}

    async def _answered(
        self, endpoint: str, file: Any, chosen: "Champion | None" = None
    ) -> "tuple[Answer, Heard, Champion]":
        """One upload, answered, counted and written down.

        Raises:
            Refusal: It cannot be answered.
        """
        from earmark.serving import metrics
        from earmark.serving.answering import answer_of, new_prediction_id

        begun = time.perf_counter()
        champion: Champion | None = None
        outcome = "failed"
        metrics.QUEUE.inc()
        self.working += 1
        try:
            if isinstance(file, Refusal):
                raise file
            champion = chosen or self.chosen()
            heard = await self.pipeline.hear(self._checked(file), champion.predictor)
            answer = answer_of(
                heard.told.prediction,
                champion,
                prediction_id=new_prediction_id(),
                facts=heard.facts,
                content_hash=heard.decoded.content_hash,
                duration_s=heard.decoded.duration_s,
            )
            await self._recorded(answer, heard, champion)
            outcome = "answered"
        except Refusal as refusal:
            outcome = refusal.code
            raise
        except AudioError as error:
            outcome = refusal_code(error)
            raise Refusal(outcome, str(error)) from None
        except ToolError as error:
            logger.error("decoders cannot be started: %s", error)
            outcome = "overloaded"
            raise Refusal("overloaded", "Recordings cannot be decoded now. Try again in a second.") from None
        except asyncio.CancelledError:
            outcome = "interrupted"
            raise
        finally:
            metrics.QUEUE.dec()
            self.working -= 1
            role, version = ("none", "none") if champion is None else (champion.role, champion.version)
            metrics.REQUESTS.labels(endpoint, role, version, outcome).inc()
            if champion is not None:
                self.fleet.note(champion, failed=outcome == "failed")
        metrics.REQUEST_SECONDS.labels(endpoint, role, version).observe(time.perf_counter() - begun)
        self.shadow.offer(
            heard.waveform,
            heard.decoded.sample_rate_hz,
            heard.told.prediction,
            champion,
            heard.decoded.content_hash,
            seconds=heard.seconds,
        )
        return answer, heard, champion

    def _checked(self, file: UploadFile) -> Any:
        limits = self.params.service
        if (file.size or 0) > limits.max_bytes:
            raise Refusal(
                "too_large",
                f"The file has {file.size:,} bytes; {limits.max_bytes:,} are accepted "
                "(service.max_bytes in params.yaml). Send an excerpt, or a compressed format.",
            )
        return file.file

    async def _recorded(self, answer: Answer, heard: "Heard", champion: "Champion") -> None:
        """Write the prediction down, and count what it says."""
        from earmark.model.predictor import UNLIKE
        from earmark.serving import metrics
        from earmark.serving.pipeline import timed
        from earmark.serving.records import Predicted

        best, version = answer.genres[0], champion.version
        row = Predicted(
            prediction_id=answer.prediction_id,
            at_us=time.time_ns() // 1000,
            model=champion.name,
            version=version,
            run_id=champion.run_id,
            role=champion.role,
            content_hash=answer.content_hash,
            duration_s=answer.duration_s,
            genre=best.genre,
            probability=best.probability,
            appeal=None if answer.appeal is None else answer.appeal.share,
            unlike=answer.unlike,
            abstains=answer.abstains,
            embedding=heard.told.embedding.astype("float32"),
        )
        with timed("record"):
            if not await self.records.keep(row):
                metrics.UNRECORDED.inc()
        metrics.GENRES.labels(version, best.genre).inc()
        metrics.CONFIDENCE.labels(version).observe(best.probability)
        if answer.abstains:
            metrics.ABSTAINED.labels(version).inc()
        if answer.unlike is not None:
            metrics.UNLIKE.labels(version).observe(answer.unlike)
            metrics.UNFAMILIAR.labels(version).inc(int(answer.unlike < UNLIKE))
        if answer.appeal is not None:
            metrics.APPEAL.labels(version).observe(answer.appeal.share)

    async def predict(self, file: Any) -> BaseModel:
        return (await self._answered("predict", file))[0]

    async def predict_batch(self, files: Any) -> BaseModel:
        if isinstance(files, Refusal):
            raise files
        if len(files) > self.params.service.max_files:
            raise Refusal(
                "too_many_files",
                f"The form has {len(files)} files; {self.params.service.max_files} are accepted (service.max_files in "
                "params.yaml). Send several requests.",
            )
        room = asyncio.Semaphore(_AT_ONCE)

        async def item(index: int, file: UploadFile) -> BatchItem:
            from earmark.serving.logs import request_id

            name = (file.filename or "")[:255]
            try:
                async with room:
                    answer = (await self._answered("predict_batch", file))[0]
                return BatchItem.model_construct(index=index, name=name, answer=answer, error=None)
            except Refusal as refusal:
                code, message = refusal.code, refusal.message
            except Exception:
                logger.exception("a file of a batch failed")
                code, message = "failed", "The service failed on this file; its log says why, under this request's id."
            error = ErrorDetail(code=code, message=message, request_id=request_id.get())
            return BatchItem.model_construct(index=index, name=name, answer=None, error=error)

        return BatchAnswer.model_construct(items=list(await asyncio.gather(*map(item, range(len(files)), files))))

    async def explain(self, file: Any, genre: str | None, rather_than: str | None) -> BaseModel | Response:
        from earmark.serving.answering import explain_answer
        from earmark.serving.picture import picture_of

        if isinstance(file, Refusal):
            raise file
        if (form := asked.get().form) not in ("json", "png"):
            raise Refusal("invalid", f"`format` is {form[:20]!r}; an explanation comes as json or png.")
        champion = self.chosen()
        predictor = champion.predictor
        network = predictor.network
        if network is None:
            raise Refusal(
                "no_network", f"The model is a {predictor.kind}, and only what a network hears can be explained."
            )
        for name in (genre, rather_than):
            if name is not None and name not in predictor.labels:
                raise Refusal(
                    "invalid", f"The model knows no genre {name[:60]!r}; it knows {', '.join(predictor.labels)}."
                )
        answer, heard, _ = await self._answered("explain", file, champion)
        label, log_mel = genre or answer.genres[0].genre, heard.inputs.log_mel
        assert log_mel is not None  # a network hears nothing else
        if label == rather_than:
            raise Refusal("invalid", f"{label!r} cannot be held against itself. Leave `rather_than` out.")

        def explained() -> ExplainAnswer | bytes:
            from earmark.model.reasons.explaining import explain_song

            why = explain_song(
                network,
                log_mel,
                label,
                rather_than=rather_than,
                excerpts=min(_EXPLAIN_EXCERPTS, max(1, math.ceil(answer.duration_s / network.how.excerpt_seconds))),
                steps=_EXPLAIN_STEPS,
            )
            told = explain_answer(why, rather_than, champion)
            return picture_of(told) if form == "png" else told

        context = contextvars.copy_context()
        found = await asyncio.get_running_loop().run_in_executor(self.patient, lambda: context.run(explained))
        return Response(found, media_type="image/png") if isinstance(found, bytes) else found

    async def similar(self, file: Any, prediction_id: str | None, count: int) -> BaseModel:
        from earmark.serving.answering import similar_answer

        if isinstance(file, Refusal):
            raise file
        if prediction_id is None:
            _, heard, champion = await self._answered("similar", file)
            embedding = heard.told.embedding
        else:
            try:
                prediction = await asyncio.to_thread(self.records.prediction, prediction_id)
            except EarmarkError:
                raise Refusal("overloaded", "What was predicted cannot be read now. Send the file instead.") from None
            if prediction is None:
                raise Refusal("unknown_prediction", "No prediction has this id. Send the file instead.")
            here = [found for found in (self.fleet.champion, self.fleet.canary) if found is not None]
            champion = next((found for found in here if found.version == prediction.version), self.champion())
            if champion.version != prediction.version:
                raise Refusal(
                    "outdated",
                    f"That prediction was made by version {prediction.version}; version {champion.version} answers "
                    "now. Send the file again.",
                )
            embedding = prediction.embedding.astype("float64")
        neighbours = champion.neighbours
        if neighbours is None:
            raise Refusal("no_catalogue", "The champion came without its catalogue, so nothing is near to it.")
        return similar_answer(await asyncio.to_thread(neighbours.nearest, embedding, count), champion)

    async def feedback(self, events: Any) -> BaseModel:
        from earmark.serving import metrics
        from earmark.serving.telling import keep

        if isinstance(events, Refusal):
            raise events
        champion = self.fleet.champion
        track_of: Callable[[str], str | None] = lambda content_hash: None  # noqa: E731
        if champion is not None and champion.neighbours is not None:
            track_of = champion.neighbours.track_of
        try:
            answer = await asyncio.to_thread(keep, self.records, events, track_of)
        except EarmarkError as error:
            logger.warning("events of listeners cannot be kept: %s", error)
            raise Refusal("overloaded", "Events cannot be kept now; nothing was. Send them again later.") from None
        for outcome, number in (
            ("accepted", answer.accepted),
            ("known", answer.known),
            ("refused", len(answer.refused)),
        ):
            metrics.FEEDBACK.labels(outcome).inc(number)
        if answer.accepted:
            self.taker.poke()
        return answer

    async def predict_long(self, upload_id: Any, task_id: str) -> BaseModel:
        if isinstance(upload_id, Refusal):
            raise upload_id
        try:
            return await self.tasks.run(task_id, upload_id, self.chosen())
        except AudioError as error:
            raise Refusal(refusal_code(error), str(error)) from None
        except ToolError as error:
            logger.error("decoders cannot be started: %s", error)
            raise Refusal("overloaded", "Recordings cannot be decoded now. Try again in a second.") from None


def refusal_code(error: AudioError) -> str:
    """The code under which the service refuses a recording."""
    from earmark.audio.decode import EmptyAudio, NotAudio, TruncatedAudio
    from earmark.serving.decoding import DecodingTookTooLong
    from earmark.serving.errors import TooLong, TooShort

    codes: dict[type[AudioError], str] = {
        EmptyAudio: "empty",  # before NotAudio, whose child it is
        NotAudio: "not_audio",
        TruncatedAudio: "cut_off",
        TooShort: "too_short",
        TooLong: "too_long",
        DecodingTookTooLong: "timed_out",
    }
    return next((code for kind, code in codes.items() if isinstance(error, kind)), "unreadable")
