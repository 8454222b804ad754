"""Shared by all tests: recordings made by code."""

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from made_audio import FORMATS, encode_tone

# A shell that runs this in the background has Ctrl-C ignored, and every program started from here would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def encode() -> Callable[..., bytes]:
    """``encode("mp3", seconds=4.0, tone_hz=440.0, …)``: a tone as a file's bytes."""
    return encode_tone


@pytest.fixture(scope="session")
def recordings() -> dict[str, bytes]:
    """The same four seconds in every format: suffix → a file's bytes."""
    return {suffix: encode_tone(suffix) for suffix in FORMATS}


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, bytes], Path]:
    """Put bytes under a path below the test's folder."""

    def put(name: str, content: bytes) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    return put
