"""Many files, heard beside each other and told in order: what lies under `earmark predict`.

Files are decoded by the processes that decode the service's uploads (`earmark.serving.decoding`), so one that kills its
decoder spoils its own answer alone; threads compute. However many files there are, so many waveforms lie in memory as
twice the cores, and few answers wait for one before them.
"""

import asyncio
import stat
from collections import deque
from collections.abc import AsyncGenerator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from earmark.audio.decode import UnreadableFile
from earmark.errors import AudioError, EarmarkError
from earmark.params import Service
from earmark.serving.answering import answer_of
from earmark.serving.answers import Answer
from earmark.serving.listening import check_length
from earmark.workers import cores

if TYPE_CHECKING:
    from earmark.serving.champion import Champion
    from earmark.serving.decoding import Decoded, Decoders

_AHEAD = 4  # answers a core that may wait for one before them


@dataclass(frozen=True)
class Outcome:
    """One file: its answer, or why there is none."""

    file: Path
    answer: Answer | None
    error: EarmarkError | None


def recordings(files: Sequence[Path]) -> Iterator[Path | Outcome]:
    """``files``, and of the folders among them what lies below and is a recording by its name or its first bytes.

    Sorted by name, hidden entries left out; an `Outcome` is a folder, or an entry of one, that cannot be looked at.
    """
    from earmark.catalogue.sources.source import Refusal
    from earmark.catalogue.sources.walking import claims_audio, walk

    for file in files:
        if not file.is_dir():
            yield file
            continue
        empty = True
        for entry in walk(file):
            if isinstance(entry, Refusal):
                if entry.kind == "refused" and not entry.reason.startswith("a folder"):  # that is looked into
                    empty = False
                    yield Outcome(file / entry.path, None, UnreadableFile(f"{entry.reason}."))
            elif claims_audio(entry[1]) or _sniffed(entry[0]):
                empty = False
                yield entry[0]
        if empty:
            yield Outcome(file, None, AudioError("There is no recording in this folder."))


async def hear_all(
    files: Sequence[Path | Outcome], champion: "Champion", limits: Service
) -> AsyncGenerator[Outcome, None]:
    """An outcome for each of ``files``, in their order; those that are outcomes already pass through.

    Whoever leaves early closes it (`contextlib.aclosing`): no process or thread is left then.
    """
    from earmark.serving.decoding import Decoders

    width = max(1, min(cores(), sum(isinstance(file, Path) for file in files)))
    decoders = Decoders(width, max_seconds=limits.max_seconds, timeout_s=limits.decode_seconds)
    places = asyncio.Semaphore(2 * width)
    waiting: deque[asyncio.Task[Outcome]] = deque()
    with _threads(width) as threads:
        try:
            await decoders.start()
            todo = iter(files)
            while True:
                while len(waiting) < _AHEAD * width and (file := next(todo, None)) is not None:
                    waiting.append(asyncio.ensure_future(_outcome(file, champion, limits, decoders, places, threads)))
                if not waiting:
                    return
                yield await waiting[0]
                waiting.popleft()
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
            await decoders.close()


async def _outcome(
    file: Path | Outcome,
    champion: "Champion",
    limits: Service,
    decoders: "Decoders",
    places: asyncio.Semaphore,
    threads: ThreadPoolExecutor,
) -> Outcome:
    if isinstance(file, Outcome):
        return file
    predictor = champion.predictor
    try:
        async with places:
            with _opened(file) as opened:
                decoded = await decoders.decode(opened, sample_rate_hz=predictor.frontend.sample_rate_hz)
            check_length(decoded.duration_s, predictor, limits)
            answer = await asyncio.get_running_loop().run_in_executor(threads, _answer, decoded, champion)
    except EarmarkError as error:
        return Outcome(file, None, error)
    return Outcome(file, answer, None)


def _answer(decoded: "Decoded", champion: "Champion") -> Answer:
    import torch

    from earmark.audio.facts import facts_of

    waveform = torch.from_numpy(decoded.samples)
    return answer_of(
        champion.predictor.predict(waveform),
        champion,
        prediction_id="",  # nothing keeps what is predicted here
        facts=facts_of(waveform, decoded.sample_rate_hz, loudness_lufs=decoded.loudness_lufs),
        content_hash=decoded.content_hash,
        duration_s=decoded.duration_s,
    )


@contextmanager
def _threads(count: int) -> Iterator[ThreadPoolExecutor]:
    """Threads that compute; where there are several, each on a core of its own."""
    import torch

    before = torch.get_num_threads()
    with ThreadPoolExecutor(count, "compute") as threads:
        try:
            if count > 1:
                torch.set_num_threads(1)
            yield threads
        finally:
            torch.set_num_threads(before)
            threads.shutdown(cancel_futures=True)


@contextmanager
def _opened(file: Path) -> Iterator[BinaryIO]:
    try:
        if not stat.S_ISREG(file.stat().st_mode):  # opening a pipe would wait for ever
            raise UnreadableFile("It is no file. Give the path of a recording.")
        opened = file.open("rb")
    except OSError as error:
        raise UnreadableFile(
            f"It cannot be read: {error.strerror or error}. Check that it exists and may be read."
        ) from None
    with opened:
        yield opened


def _sniffed(file: Path) -> bool:
    from earmark.audio.truncation import sniff

    try:
        with _opened(file) as opened:
            return sniff(opened) is not None
    except UnreadableFile:
        return False
