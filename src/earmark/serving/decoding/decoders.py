"""The decoders of one service process: so many files at once, first come, first served, each with its time.

Each file is decoded by one of a few processes that wait for it. A process that dies, takes too long, or whose caller
has gone is ended and replaced; the file that it had is the only one that suffers.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any, BinaryIO

from earmark.errors import ToolError
from earmark.serving.decoding.child import Life
from earmark.serving.decoding.decoded import Block, Decoded
from earmark.serving.decoding.decoder import Decoder, Heard
from earmark.serving.decoding.errors import DecodingTookTooLong
from earmark.serving.decoding.handing import content_of, descriptor_of, filled
from earmark.serving.decoding.nursery import Nursery
from earmark.serving.decoding.wire import Message

_BEYOND_S = 1.0  # that whoever asked can tell a recording that is too long from one that just fits
_CPU_BEYOND_S = 10.0  # of the time on the clock, which ends a file first
_START_PATIENCE_S = 60.0
_STARTS = 3
_COPIED_AT_ONCE_BYTES = 1 << 20  # more is copied in a thread, so that the loop goes on


class Decoders:
    """A pool of decoder processes for one event loop.

    Args:
        count: How many files are decoded at once; others wait. A stream holds its place to its end: give long
            recordings decoders of their own.
        memory_mib: What a process may take for one file, samples included (at 16 kHz, 3.7 MiB a minute).
        max_seconds: Where decoding stops, where a call does not say otherwise; a second later, to be exact.
        timeout_s: For a file, or a block of a stream, once it is its turn.
        loudness: Whether to measure loudness, too: 7 ms for 30 s of 44.1 kHz stereo (decoding an mp3: 12 to 22 ms).
        files_a_process: After so many, a process is replaced by a new one, or where it has grown much.
    """

    def __init__(
        self,
        count: int,
        *,
        memory_mib: int = 512,
        max_seconds: float,
        timeout_s: float,
        loudness: bool = True,
        files_a_process: int = 2_000,
    ) -> None:
        self._count = count
        self._life = Life(memory_mib, files_a_process, grown_mib=memory_mib // 4)
        self._max_seconds, self._timeout_s, self._loudness = max_seconds, timeout_s, loudness
        self._places = asyncio.Semaphore(count)
        self._nursery: Nursery | None = None
        self._spare: list[Decoder] = []
        self._busy: set[Decoder] = set()
        self._closed = False

    async def start(self) -> None:
        """Start the processes and wait until they are ready, so that the first file need not.

        Raises:
            ToolError: They do not start.
        """
        async with AsyncExitStack() as places:
            for _ in range(self._count):
                await places.enter_async_context(self._place())

    async def close(self) -> None:
        """End all processes; what is being decoded is lost. No process is left when this returns."""
        self._closed = True
        while self._spare:
            self._spare.pop().end()
        nursery, self._nursery = self._nursery, None
        if nursery:
            await asyncio.to_thread(nursery.close)

    @property
    def pids(self) -> list[int]:
        """Process ids of the decoders that have begun."""
        return sorted(decoder.pid for decoder in (*self._spare, *self._busy) if decoder.pid is not None)

    async def decode(self, file: BinaryIO | bytes, *, sample_rate_hz: int, max_seconds: float | None = None) -> Decoded:
        """All of a file, up to a second more than ``max_seconds``.

        A caller that is cancelled meanwhile leaves its place to the next.

        Args:
            file: The bytes, or an open file (read from its start, whatever its position, which stays). It must not be
                written to until this returns.
            sample_rate_hz: Of the samples.
            max_seconds: Whether what comes back is too long, is for the caller to say. None takes the pool's.

        Raises:
            AudioError: What is wrong with the file, as `earmark.audio.decode.decode` says; `DecoderDied`,
                `DecodingTookTooLong`: it made the decoder end, or kept it too long.
            ToolError: Decoders cannot be started, or were closed.
        """
        async with self._place() as decoder:
            heard = await self._first(decoder, file, sample_rate_hz, max_seconds, None)
            return Decoded(**_fields(heard, sample_rate_hz))

    async def stream(
        self, file: BinaryIO | bytes, *, sample_rate_hz: int, block_seconds: float, max_seconds: float | None = None
    ) -> AsyncGenerator[Block, None]:
        """The same samples in blocks, each as long as asked for, but the last.

        While a block is at work, the decoder prepares the next one and no more: whatever the length, memory is bounded.
        Whoever leaves the loop early closes the iterator (`contextlib.aclosing`), which gives the place back at once.

        Args:
            file: As in `decode`, until the last block.
            sample_rate_hz: Of the samples.
            block_seconds: Length of a block.
            max_seconds: As in `decode`.

        Raises:
            AudioError: As `decode`; what only the end can tell, as a file that is cut off, comes after the blocks.
            ToolError: As `decode`.
        """
        block = max(1, round(block_seconds * sample_rate_hz))
        start = 0
        async with self._place() as decoder:
            heard = await self._first(decoder, file, sample_rate_hz, max_seconds, block)
            while True:
                yield Block(
                    **_fields(heard, sample_rate_hz),
                    start_s=start / sample_rate_hz,
                    announced_s=heard.told["announced_s"],
                )
                if heard.over:
                    return
                start += len(heard.samples)
                heard = await self._in_time(decoder, {"next": True})

    async def _first(
        self, decoder: Decoder, file: BinaryIO | bytes, rate_hz: int, max_seconds: float | None, block: int | None
    ) -> Heard:
        request = {
            "rate_hz": rate_hz,
            "max_seconds": (self._max_seconds if max_seconds is None else max_seconds) + _BEYOND_S,
            "block": block,
            "loudness": self._loudness,
            "cpu_seconds": self._timeout_s + _CPU_BEYOND_S,
        }
        async with _descriptor(file) as descriptor:
            return await self._in_time(decoder, request, descriptor)

    async def _in_time(self, decoder: Decoder, request: Message, *descriptors: int) -> Heard:
        try:
            async with asyncio.timeout(self._timeout_s):
                return await decoder.ask(request, *descriptors)
        except TimeoutError:
            raise DecodingTookTooLong(
                f"The audio was not decoded within {self._timeout_s:g} s. It is very long or made to do harm, or the "
                "service has too much to do. Send an excerpt, or try again later."
            ) from None

    @asynccontextmanager
    async def _place(self) -> AsyncIterator[Decoder]:
        """A decoder that is ready, for one file, when it is the caller's turn."""
        async with self._places:
            decoder = await self._ready()
            try:
                yield decoder
            finally:
                self._busy.discard(decoder)
                if decoder.idle and not self._closed:
                    self._spare.append(decoder)
                else:
                    self._replace(decoder)

    async def _ready(self) -> Decoder:
        for _ in range(self._count + _STARTS):  # all that are here may have died while they waited
            if self._closed:
                raise ToolError("The decoders were closed. Start the service again.")
            decoder = self._spare.pop() if self._spare else self._fork()
            try:
                async with asyncio.timeout(_START_PATIENCE_S):
                    ready = await decoder.ready()
            except TimeoutError:
                ready = False
            except BaseException:
                self._replace(decoder)
                raise
            if ready and not self._closed:
                self._busy.add(decoder)
                return decoder
            decoder.end()
        raise ToolError("No decoder process comes to life; the service's log says why. Mend that and start it again.")

    def _replace(self, decoder: Decoder) -> None:
        if not self._closed:
            with suppress(OSError):  # whoever comes next tries again, and learns why it cannot be done
                self._spare.append(self._fork())
        decoder.end()

    def _fork(self) -> Decoder:
        if self._nursery:
            try:
                return self._nursery.fork()
            except OSError:  # it is gone, and its decoders with it
                self._nursery.close()
        self._nursery = Nursery(self._life)
        return self._nursery.fork()


@asynccontextmanager
async def _descriptor(file: BinaryIO | bytes) -> AsyncIterator[int]:
    """A descriptor of a file, on disk or in memory; open as long as the block lasts."""
    content = content_of(file)
    if content is None:
        assert not isinstance(file, bytes)
        yield descriptor_of(file)
        return
    with (
        filled(content) if len(content) <= _COPIED_AT_ONCE_BYTES else await asyncio.to_thread(filled, content) as memory
    ):
        yield memory.fileno()


def _fields(heard: Heard, rate_hz: int) -> dict[str, Any]:
    """The fields of `Decoded`."""
    return {
        "samples": heard.samples,
        "sample_rate_hz": rate_hz,
        "codec": heard.told["codec"],
        "duration_s": len(heard.samples) / rate_hz,
        "content_hash": heard.told["sha256"],
        "loudness_lufs": heard.told["lufs"],
    }
