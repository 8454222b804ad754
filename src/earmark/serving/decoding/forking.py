"""The program of the nursery: it imports once what a decoder needs, then forks one in a few milliseconds.

It has one thread and no library that starts more, so that a fork is safe. `multiprocessing`'s fork server would do the
same, but each of its processes imports the main module of its parent anew, here BentoML.
"""

import gc
import io
import os
import signal
import socket
import sys
import traceback
import wave
from contextlib import suppress

import numpy as np

from earmark.audio.decode import open_recording, pieces_of
from earmark.serving.decoding.child import Life, live
from earmark.serving.decoding.hearing import Loudness
from earmark.serving.decoding.wire import Message, Wire

_HELD_BYTES = 24 << 20


def main(descriptor: int) -> None:
    """Fork and end decoders as the messages say that come through this socket, until it is closed; then end all."""
    for ending in (signal.SIGINT, signal.SIGTERM):  # which reach the whole group: the service decides what ends when
        signal.signal(ending, signal.SIG_IGN)
    wire = Wire(socket.socket(fileno=descriptor))
    _prepare()
    processes: dict[int, int] = {}  # by the service's number
    try:
        while True:
            message, descriptors = wire.receive()
            if "fork" in message:
                with suppress(OSError):  # too many processes: the service sees that nobody answers, and asks again
                    processes[message["fork"]] = _fork(wire, message, descriptors[0])
                os.close(descriptors[0])
            elif message["end"] in processes:
                _end(processes.pop(message["end"]))
    except EOFError:
        pass
    finally:
        for process in processes.values():
            _end(process)
    os._exit(0)  # nothing is left to be tidied up, and somebody waits for this


def _fork(wire: Wire, message: Message, descriptor: int) -> int:
    nursery = os.getpid()
    process = os.fork()
    if process:
        return process
    try:
        wire.close()
        live(socket.socket(fileno=descriptor), Life(**message["life"]), nursery)
    except BaseException:
        with suppress(OSError):
            traceback.print_exc()
    finally:
        os._exit(0)


def _end(process: int) -> None:
    """End it, and say so where something else had done that before."""
    ended, status = os.waitpid(process, os.WNOHANG)
    if not ended:
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
    elif os.WIFSIGNALED(status):
        with suppress(OSError):
            name = signal.Signals(os.WTERMSIG(status)).name
            print(f"earmark: a decoder (process {process}) was ended by {name}.", file=sys.stderr, flush=True)


def _prepare() -> None:
    """Import and set up what would else be done for each decoder's first file."""
    silence = io.BytesIO()
    with wave.open(silence, "wb") as file:
        file.setparams((2, 2, 44_100, 0, "NONE", ""))
        file.writeframes(bytes(1 << 16))
    with open_recording(silence) as opened:
        list(pieces_of(opened, 16_000, mono=True, max_seconds=None, listener=Loudness().add))
    # glibc takes blocks as large as one that was given back once from what it holds, not from the system: see metering.
    np.empty(_HELD_BYTES, np.uint8)
    gc.collect()
    gc.freeze()  # what is here stays; looking for garbage in it would only copy it to each decoder
