"""Where decoder processes come from, as the service sees it: a process that forks them, and ends them when told to."""

import itertools
import os
import socket
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict

from earmark.serving.decoding.child import Life
from earmark.serving.decoding.decoder import Decoder
from earmark.serving.decoding.wire import Wire

_END_PATIENCE_S = 10.0
_PROGRAM = "import sys; sys.path[:] = {path!r}; from earmark.serving.decoding.forking import main; main({descriptor})"
# Files are decoded beside each other: threads within one would be in the way, and do not survive a fork.
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


class Nursery:
    """A process of its own, which is ready for orders at once and carries them out when it has begun.

    It ends, and every decoder with it, when this object's process ends, even by kill -9.
    """

    def __init__(self, life: Life) -> None:
        self._life = asdict(life)
        self._numbers = itertools.count(1)
        ours, theirs = socket.socketpair()
        with theirs:
            program = _PROGRAM.format(path=sys.path, descriptor=theirs.fileno())
            self._process = subprocess.Popen(
                [sys.executable, "-c", program],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env=os.environ | _ONE_THREAD,
                pass_fds=[theirs.fileno()],
            )
        ours.setblocking(False)
        self._wire = Wire(ours)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def fork(self) -> Decoder:
        """A new decoder, about to begin.

        Raises:
            OSError: The nursery is gone.
        """
        number = next(self._numbers)
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with theirs:
            try:
                self._wire.send({"fork": number, "life": self._life}, theirs.fileno())
            except OSError:
                ours.close()
                raise
        return Decoder(Wire(ours), self, number)

    def end(self, number: int) -> None:
        """End a decoder, whatever it is doing, or did before it ended by itself."""
        with suppress(OSError):  # where the nursery is gone, all its decoders are
            self._wire.send({"end": number})

    def close(self) -> None:
        """End all decoders and the nursery; waits until they are gone."""
        self._wire.close()
        try:
            self._process.wait(_END_PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
