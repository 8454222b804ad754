"""The program of a decoder: one file after the other, until its service or its age ends it.

A message asks for all of a file, which comes with it as a descriptor, or for blocks. Samples go back as a file in
memory. The next block is decoded while the service works on the last, but sent when it is asked for, and only then is
another begun: whatever the length, two blocks are the most that lie in memory.
"""

import errno
import hashlib
import io
import os
import socket
import traceback
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from earmark.audio.decode import open_recording, pieces_of
from earmark.errors import AudioError
from earmark.serving.decoding.errors import DecoderDied
from earmark.serving.decoding.handing import Received, new_file, seal, write
from earmark.serving.decoding.hearing import Loudness
from earmark.serving.decoding.limits import allow_cpu, confine, resident_mib, silence
from earmark.serving.decoding.wire import Message, Wire

_TOO_MUCH = (errno.EFBIG, errno.ENOSPC, errno.ENOMEM)
_TRACE_CHARACTERS = 4000


@dataclass(frozen=True)
class Life:
    """How much a decoder may have, and how long it lives.

    Attributes:
        memory_mib: What it may take for a file.
        files: After so many, another takes its place.
        grown_mib: After it has grown by so much, too.
    """

    memory_mib: int
    files: int
    grown_mib: int


def live(end: socket.socket, life: Life, nursery: int) -> None:
    """Decode what comes through ``end``, until it is closed or the time has come."""
    silence()
    confine(memory_mib=life.memory_mib, nursery=nursery)
    wire = Wire(end)
    began_mib = resident_mib()
    try:
        wire.send({"ready": os.getpid()})
        for files in range(1, life.files + 1):
            request, (descriptor,) = wire.receive()
            answers = _Answers(wire, request["cpu_seconds"])
            with ExitStack() as used:
                used.callback(os.close, descriptor)
                answer, samples = _answered(answers, descriptor, request, life)
                last = "died" in answer or files == life.files or resident_mib() > began_mib + life.grown_mib
                answers.send(answer | {"over": True, "last": last}, samples)
            if last:
                return
    except (EOFError, OSError):
        return  # nobody listens any more


class _Answers:
    """The way back for one file's answers: the first goes at once, each other when it is asked for."""

    def __init__(self, wire: Wire, cpu_seconds: float) -> None:
        self._wire, self._cpu_seconds, self._sent = wire, cpu_seconds, False
        allow_cpu(cpu_seconds)

    def send(self, message: Message, samples: BinaryIO | None) -> None:
        if self._sent:
            self._wire.receive()
            allow_cpu(self._cpu_seconds)
        self._sent = True
        if samples is None:
            self._wire.send(message)
            return
        with samples:
            seal(samples)
            self._wire.send(message, samples.fileno())


def _answered(answers: _Answers, descriptor: int, request: Message, life: Life) -> tuple[Message, BinaryIO | None]:
    """The last answer about a file, and the samples that go with it."""
    try:
        return _decoded(answers, _File(descriptor, request), request["block"])
    except EOFError:
        raise
    except AudioError as error:
        return {"error": type(error).__name__, "says": str(error)}, None
    except Exception as error:
        if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno in _TOO_MUCH):
            says = (
                f"The audio needs more than the {life.memory_mib} MiB of memory that one file may take. It is damaged, "
                "made to do harm, or very long. Get it again, or send an excerpt."
            )
        else:
            says = "The audio made the decoder fail. It is damaged or made to do harm. Get it again, or convert it."
        trace = "".join(traceback.format_exception(error))[-_TRACE_CHARACTERS:]
        return {"error": DecoderDied.__name__, "says": says, "died": trace}, None


def _decoded(answers: _Answers, file: "_File", block: int | None) -> tuple[Message, BinaryIO]:
    """The samples that remain when all full blocks have been sent; never none."""
    samples, count = new_file(), 0
    for piece in file.pieces():
        while block and count + len(piece) > block:
            write(samples, piece[: block - count])
            answers.send(file.told() | {"samples": block}, samples)
            samples, count, piece = new_file(), 0, piece[block - count :]
        write(samples, piece)
        count += len(piece)
    return file.told() | {"samples": count}, samples


class _File:
    """One file: its samples, and what is told of it beside them."""

    def __init__(self, descriptor: int, request: Message) -> None:
        self._source = io.BufferedReader(Received(descriptor), 1 << 16)
        self._rate_hz, self._max_seconds = request["rate_hz"], request["max_seconds"]
        self._loudness = Loudness() if request["loudness"] else None
        self._told: Message = {}

    def pieces(self) -> Iterator[NDArray[np.float32]]:
        """Samples of shape ``(time,)``, one after the other."""
        listener = self._loudness.add if self._loudness else None
        with open_recording(self._source) as opened:
            self._told = {"codec": opened.codec, "announced_s": opened.announced_s}
            for piece in pieces_of(opened, self._rate_hz, mono=True, max_seconds=self._max_seconds, listener=listener):
                yield piece[0]

    def told(self) -> Message:
        """Codec, announced length, SHA-256 of the file, loudness so far."""
        if "sha256" not in self._told:
            at = self._source.tell()
            self._source.seek(0)
            self._told["sha256"] = hashlib.file_digest(self._source, "sha256").hexdigest()
            self._source.seek(at)
        return self._told | {"lufs": self._loudness.lufs() if self._loudness else None}
