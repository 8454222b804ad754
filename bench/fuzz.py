"""Twenty thousand uploads that mean no good, one after the other into one running service: what breaks.

Real songs with bytes flipped, cut and spliced, headers that lie, bombs under audio names (`bench/hostile.py`), some in
broken forms, some to other endpoints than /predict; beside them good songs, whose answers have to stay what they were.
Then a thousand uploads that the client breaks off in the middle; and a worker that is killed under load.

* ``uploads``; ``status_5xx``: answers that blame the service, of these, or none at all (504 says of a file that it took
  too long); the numbers of such uploads are in ``failed``, and `upload` makes each of them again;
* ``malformed_answers``: answers to what could be heard all the same that are not what they are declared to be;
* ``dead_workers``: worker processes that are gone at the end; ``dead_decoders``: decoder processes that hostile files
  took with them (each spoils its own file's answer alone; what is measured is that they may), by the service's log;
* ``leaked_files``: files in the service's temporary and runtime folders at the end that were not there after the first
  thousand uploads;
* ``peak_growth_mib``: the most memory of all processes of the service together, above what it was by then; the course
  of it, after each thousand, is in ``memory_mib_by_thousands``;
* ``wrong_answers``: good songs in between that were answered otherwise than at first;
* ``interrupted``, ``interrupted_5xx``, ``interrupted_then_answered``: good uploads broken off; answers that blame the
  service in its log; good songs answered right afterwards, of 20;
* ``kill_errors``: of ``kill_requests``, under way while a worker is killed (``kill -9``), those that got no answer or a
  5xx; ``kill_late_errors``: of these, such as began after its death; ``kill_recovery_s``: until the last of them ended;
  ``kill_replaced_s``: until another worker was ready; ``kill_wrong_answers``: answers that were not right;
  ``kill_leaked_files``: what the dead worker left behind after that.

    make bench-fuzz DATA=path/to/emotify
"""

import argparse
import asyncio
import json
import os
import random
import re
import signal
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
from pydantic import BaseModel, ValidationError

from copies import changes
from earmark.serving.answers import Answer, BatchAnswer, ExplainAnswer, SimilarAnswer
from harness import write_result
from hostile import hostile, many_channels
from load import Connections, request_of
from served import ROOT, earmark_service, emotify, excerpts, load, project

UPLOADS, INTERRUPTED = 20_000, 1_000
_CLIENTS = 6
_SETTLED = 1_000
_GOOD_EVERY = 100
_PATIENCE_S = 90.0
_BROKEN_FORM_SHARE = 0.08
_ENDPOINTS: dict[str, tuple[float, str, type[BaseModel]]] = {  # path: share of the uploads, field, answer
    "/predict": (0.94, "file", Answer),
    "/predict_batch": (0.02, "files", BatchAnswer),
    "/similar": (0.02, "file", SimilarAnswer),
    "/explain": (0.02, "file", ExplainAnswer),
}
_READY = b"Completed async startup hook"
_DEAD_DECODER = re.compile(r"The decoder \(process \d+\) died|A file made the decoder fail")


def main() -> None:
    """Measure, and write bench/results/fuzz.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="the folder that holds data.csv and emotifymusic/")
    parser.add_argument("--uploads", type=int, default=UPLOADS)
    parser.add_argument("--from", dest="first", type=int, default=0, help="number of the first")
    arguments = parser.parse_args()
    trained = emotify(arguments.data)
    with tempfile.TemporaryDirectory(prefix="earmark-fuzz-") as folder:
        root = project(Path(folder) / "project", trained.predictor, max_bytes=5_000_000, max_seconds=120.0)
        songs = excerpts(trained.material, trained.root, Path(folder) / "songs")
        figures, notes = measure(root, songs, arguments.first, arguments.uploads)
    path = write_result("fuzz", figures, **notes)
    for name, value in figures.items():
        print(f"{name:28s} {value:10.1f}")
    print(f"written: {path.relative_to(ROOT)}")


def in_all_formats(songs: list[Path]) -> dict[str, bytes]:
    """A few seconds of real songs, in every format: suffix → bytes."""
    import numpy as np

    from earmark.audio.decode import decode

    found = {}
    draw = np.random.default_rng(0)
    kinds = {change.name: change for change in changes()}
    wanted = {
        "mp3": "mp3 128k",
        "m4a": "aac 128k",
        "opus": "opus 96k",
        "ogg": "vorbis 96k",
        "wav": "wav 24 bit",
    }
    for (suffix, name), song in zip(wanted.items(), songs, strict=False):
        recording = decode(song, max_seconds=4.0)
        found[suffix] = kinds[name].make(recording.waveform.numpy(), recording.sample_rate_hz, draw)
    whole = songs[-1].read_bytes()
    surround = {
        "surround.m4a": many_channels("aac", "mp4", "7.1"),
        "sixteen.wv": many_channels("wavpack", "wv", "hexadecagonal"),
    }
    return found | {"cut.mp3": whole[: len(whole) // 3]} | _lossless(songs[0]) | surround


def _lossless(song: Path) -> dict[str, bytes]:
    import io

    import av

    from earmark.audio.decode import decode

    recording = decode(song, max_seconds=3.0)
    samples, rate_hz = recording.waveform.numpy(), recording.sample_rate_hz
    found = {}
    for suffix, muxer, encoder in (
        ("flac", "flac", "flac"),
        ("aiff", "aiff", "pcm_s16be"),
        ("wma", "asf", "wmav2"),
        ("webm", "webm", "libopus"),
        ("wv", "wv", "wavpack"),
        ("caf", "caf", "pcm_s16le"),
        ("au", "au", "pcm_s16be"),
        ("aac", "adts", "aac"),
    ):
        file = io.BytesIO()
        with av.open(file, "w", format=muxer) as container:
            rate = 48_000 if encoder == "libopus" else rate_hz
            stream = container.add_stream(encoder, rate=rate, layout="mono")
            stream.codec_context.bit_rate = 96_000  # wmav2 has no usual one
            stream.codec_context.open()
            frame = av.AudioFrame.from_ndarray(samples[:1].copy(), format="fltp", layout="mono")
            frame.sample_rate, frame.pts = rate_hz, 0
            context = stream.codec_context
            into = av.AudioResampler(context.format, context.layout, rate, frame_size=context.frame_size or 4096)
            for part in [*into.resample(frame), *into.resample(None)]:
                container.mux(stream.encode(part))
            container.mux(stream.encode(None))
        found[suffix] = file.getvalue()
    return found


def broken_form(number: int, content: bytes) -> bytes:
    """A whole request whose form is not what it should be."""
    draw = random.Random(number)
    request = bytearray(request_of("/predict", draw.choice(("file", "", "fil\xe9", "file")), "a.mp3", content[:2_000]))
    at = request.index(b"\r\n\r\n") + 4
    for _ in range(draw.choice((1, 2, 8))):
        request[draw.randrange(at, min(len(request), at + 200))] = draw.randrange(256)
    return bytes(request)


def upload(number: int, files: dict[str, bytes]) -> tuple[bytes, type[BaseModel]]:
    """The whole request of that ``number``, and what it is answered with if it can be."""
    draw = random.Random(number + 1)
    name, content = hostile(number, files)
    if draw.random() < _BROKEN_FORM_SHARE:
        return broken_form(number, content), Answer
    [path] = draw.choices(list(_ENDPOINTS), [share for share, _, _ in _ENDPOINTS.values()])
    _, field, answer = _ENDPOINTS[path]
    return request_of(path, field, name, content), answer


class Watch:
    """The processes of a service and its files."""

    def __init__(self, pid: int, folders: list[Path]) -> None:
        self._process, self._folders = psutil.Process(pid), folders

    def workers(self) -> set[int]:
        """Process ids of the workers."""
        return {child.pid for child in self._process.children() if "worker" in " ".join(_command(child))}

    def busiest(self) -> int:
        """The worker with the most connections."""
        return max(self.workers(), key=lambda worker: len(psutil.Process(worker).net_connections()))

    def memory_mib(self) -> float:
        """Of all, what is theirs alone and their part of what they share."""
        total = 0
        for child in self._process.children(recursive=True):
            try:
                total += child.memory_full_info().pss
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
        return total / 2**20

    def files(self) -> set[str]:
        """All that lies in the folders."""
        return {str(path) for folder in self._folders for path in folder.rglob("*") if path.is_file()}


def _command(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []


def measure(root: Path, songs: list[Path], first: int, uploads: int) -> tuple[dict[str, float], dict[str, Any]]:
    """All of it, on one service."""
    temporary = root / "tmp"
    temporary.mkdir()
    files = in_all_formats(songs)
    with earmark_service(root, root / "log", TMPDIR=str(temporary)) as (port, pid):
        watch = Watch(pid, [temporary, root / ".earmark"])
        fuzzed = asyncio.run(_fuzz(port, files, songs, watch, first, uploads))
        fuzzed["dead_decoders"] = len(_DEAD_DECODER.findall((root / "log").read_text(errors="replace")))
        broken_off = asyncio.run(_interrupt(port, songs, root / "log"))
        killed = _kill(port, songs, watch, root / "log")
    figures = {name: value for name, value in fuzzed.items() if not isinstance(value, list | dict)}
    notes = {name: value for name, value in fuzzed.items() if isinstance(value, list | dict)}
    return figures | broken_off | killed, notes


async def _fuzz(
    port: int, files: dict[str, bytes], songs: list[Path], watch: Watch, first: int, uploads: int
) -> dict[str, Any]:
    connections = Connections(port)
    statuses: Counter[int] = Counter()
    failed: list[int] = []
    good = [request_of("/predict", "file", path.name, path.read_bytes()) for path in songs[:5]]
    expected = [_genres((await connections.ask(request))[1]) for request in good]
    if not all(expected):
        raise SystemExit(f"good songs are not answered: {[await connections.ask(request) for request in good]}")
    workers, numbers = watch.workers(), iter(range(first, first + uploads))
    state: dict[str, Any] = {"peak": 0.0, "base": 0.0, "files": set(), "wrong": 0, "done": 0}
    malformed: list[int] = []
    course: list[int] = []

    async def client() -> None:
        for number in numbers:
            request, answer = upload(number, files)
            try:
                status, body = await asyncio.wait_for(connections.ask(request), _PATIENCE_S)
            except TimeoutError:
                status, body = 0, b""
            statuses[status] += 1
            if _blames(status):
                failed.append(number)
            elif status == 200 and not _sound(body, answer):
                malformed.append(number)
            state["done"] += 1
            done = state["done"]
            if done % _GOOD_EVERY == 0:
                which = done // _GOOD_EVERY % len(good)
                _, body = await connections.ask(good[which])
                state["wrong"] += int(not _alike(_genres(body), expected[which]))
                memory = await asyncio.to_thread(watch.memory_mib)
                if done <= _SETTLED:
                    state["base"], state["files"] = max(state["base"], memory), watch.files()
                state["peak"] = max(state["peak"], memory)
            if done % 1_000 == 0:
                course.append(round(memory))
                print(f"{done:6d}  {dict(sorted(statuses.items()))}  {memory:.0f} MiB", flush=True)

    await asyncio.gather(*(client() for _ in range(_CLIENTS)))
    left = watch.files() - state["files"]
    return {
        "uploads": sum(statuses.values()),
        "status_5xx": sum(count for status, count in statuses.items() if _blames(status)),
        "malformed_answers": len(malformed),
        "dead_workers": len(workers - watch.workers()),
        "leaked_files": len([name for name in left if not name.endswith((".db", ".db-wal", ".db-shm"))]),
        "peak_growth_mib": state["peak"] - state["base"],
        "memory_mib": state["base"],
        "wrong_answers": state["wrong"],
        "memory_mib_by_thousands": course,
        "failed": [*failed, *malformed][:50],
        "statuses": {str(status): count for status, count in sorted(statuses.items())},
    }


async def _interrupt(port: int, songs: list[Path], log: Path) -> dict[str, float]:
    """Uploads that end in the middle, and whether all is well afterwards."""
    draw = random.Random(7)
    before = log.stat().st_size
    requests = [request_of("/predict", "file", path.name, path.read_bytes()) for path in songs[:5]]

    async def broken_off() -> None:
        request = draw.choice(requests)
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request[: draw.randrange(1, len(request))])
        await writer.drain()
        await asyncio.sleep(draw.choice((0.0, 0.0, 0.01)))
        writer.transport.abort()

    for _ in range(INTERRUPTED // 10):
        await asyncio.gather(*(broken_off() for _ in range(10)))
    await asyncio.sleep(2.0)
    connections = Connections(port)
    answered = [(await connections.ask(requests[number % 5]))[0] for number in range(20)]
    with log.open("rb") as file:
        file.seek(before)
        blamed = sum(1 for line in file if b'"status": 5' in line)
    return {
        "interrupted": INTERRUPTED,
        "interrupted_5xx": blamed,
        "interrupted_then_answered": answered.count(200),
    }


def _kill(port: int, songs: list[Path], watch: Watch, log: Path) -> dict[str, float]:
    """A worker dies under load."""
    told: list[dict[str, Any]] = []
    songs = songs[:5]
    ready = log.read_bytes().count(_READY)
    expected = load(port, songs, 2.0, clients=1, bodies=True)
    truth = {each["file"]: _genres(each["body"].encode()) for each in expected if each["status"] == 200}
    loading = threading.Thread(target=lambda: told.extend(load(port, songs, 40.0, clients=4, bodies=True)))
    loading.start()
    time.sleep(5.0)
    victim = watch.busiest()
    os.kill(victim, signal.SIGKILL)
    killed_at = time.time()
    while log.read_bytes().count(_READY) == ready and time.time() - killed_at < _PATIENCE_S:
        time.sleep(0.1)
    replaced_s = time.time() - killed_at
    loading.join()
    bad = [each for each in told if _blames(each["status"])]
    good = [each for each in told if each["status"] == 200]
    wrong = [each for each in good if not _alike(_genres(each["body"].encode()), truth[each["file"]])]
    last = max((each["at"] + each["took"] for each in bad), default=killed_at)
    return {
        "kill_requests": len(told),
        "kill_errors": len(bad),
        "kill_late_errors": len([each for each in bad if each["at"] > killed_at]),
        "kill_wrong_answers": len(wrong),
        "kill_recovery_s": max(0.0, last - killed_at),
        "kill_replaced_s": replaced_s,
        "kill_leaked_files": len([name for name in watch.files() if f"/{victim}-" in name]),
    }


def _blames(status: int) -> bool:
    return status == 0 or (status >= 500 and status != 504)


def _sound(body: bytes, kind: type[BaseModel]) -> bool:
    """Whether an answer has all that it should have, and no number in it is none."""
    try:
        return isinstance(kind.model_validate_json(body, strict=True), kind)
    except ValidationError:
        return False


def _genres(body: bytes) -> dict[str, float]:
    try:
        return {each["genre"]: each["probability"] for each in json.loads(body)["genres"]}
    except (ValueError, KeyError):
        return {}


def _alike(one: dict[str, float], other: dict[str, float]) -> bool:
    return one.keys() == other.keys() and all(abs(one[genre] - other[genre]) < 1e-4 for genre in one)


if __name__ == "__main__":
    main()
