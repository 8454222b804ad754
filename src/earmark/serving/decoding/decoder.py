"""One decoder process, as the service sees it: it is asked, it answers, or it is gone."""

import asyncio
import logging
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from earmark.audio.decode import EmptyAudio, NotAudio, TruncatedAudio, UndecodableAudio
from earmark.errors import AudioError
from earmark.serving.decoding.errors import DecoderDied
from earmark.serving.decoding.handing import mapped
from earmark.serving.decoding.wire import Message, Wire

if TYPE_CHECKING:
    from earmark.serving.decoding.nursery import Nursery

_ERRORS = {
    kind.__name__: kind for kind in (AudioError, NotAudio, EmptyAudio, TruncatedAudio, UndecodableAudio, DecoderDied)
}
_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Heard:
    """One answer: samples of shape ``(time,)``, what is told beside them, and whether it was the last."""

    samples: NDArray[np.float32]
    told: Message
    over: bool


class Decoder:
    """A process that decodes one file at a time.

    Attributes:
        pid: Its process id, once it is `ready`.
        idle: Whether it may be asked for another file: not while one is decoded, and not after it is gone.
    """

    def __init__(self, wire: Wire, nursery: "Nursery", number: int) -> None:
        self._wire, self._nursery, self._number = wire, nursery, number
        self.pid: int | None = None
        self.idle = True

    async def ready(self) -> bool:
        """Wait until it has begun; false where it is gone."""
        try:
            if self.pid is None:
                message, _ = await self._message()
                self.pid = int(message["ready"])
                return True
            return self._wire.take() is None  # unasked, it has nothing to say
        except (EOFError, KeyError, ValueError):
            return False

    async def ask(self, request: Message, *descriptors: int) -> Heard:
        """Ask for a file, or for the next block of it.

        Raises:
            AudioError: What is wrong with the file; `DecoderDied`: It made the process end.
        """
        self.idle = False
        try:
            self._wire.send(request, *descriptors)
            return self._heard(*await self._message())
        except (EOFError, OSError, LookupError, TypeError, ValueError) as error:
            _log.warning("The decoder (process %s) died on a file (%s).", self.pid, type(error).__name__)
            raise DecoderDied(
                "The decoder died on the audio: it is damaged or made to do harm, or the service is short of memory. "
                "Get it again, or convert it."
            ) from None

    def end(self) -> None:
        """End it, whatever it is doing."""
        self.idle = False
        self._nursery.end(self._number)
        self._wire.close()

    def _heard(self, message: Message, descriptors: list[int]) -> Heard:
        try:
            over = bool(message.get("over"))
            self.idle = over and not message["last"]
            if "error" in message:
                if "died" in message:
                    _log.warning("A file made the decoder fail:\n%s", message["died"])
                raise _ERRORS.get(message["error"], AudioError)(message["says"])
            return Heard(mapped(descriptors[0], int(message["samples"])), message, over)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    async def _message(self) -> tuple[Message, list[int]]:
        while (found := self._wire.take()) is None:
            await self._readable()
        return found

    async def _readable(self) -> None:
        loop = asyncio.get_running_loop()
        arrived = asyncio.Event()
        loop.add_reader(self._wire.socket, arrived.set)
        try:
            await arrived.wait()
        finally:
            loop.remove_reader(self._wire.socket)
