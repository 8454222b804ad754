"""The speed of feature extraction from real mp3s.

Against what people usually write, and against decoding alone; in one run, on the same files, with the same front-end
(params.yaml's). Each pipeline runs in a fresh process whose imports and worker processes are warm, one after the other
in every round; medians over the rounds:

* ``earmark``: `earmark.audio.extraction.extract`, which the stages and scoring use: content verified, log-mels, cache
  written;
* ``librosa``: ``librosa.load(sr=…, mono=True)`` and ``librosa.feature.melspectrogram`` in spawned processes, one a
  core;
* ``torchaudio``: ``soundfile.read``, mean of the channels, torchaudio's ``Resample`` and ``MelSpectrogram``, in a loop;
* ``floor``: decoding alone at the stored rate, one process a core, by soundfile, PyAV and torchcodec: the fastest
  counts.

All but the floor write each log-mel to disk. ``ratio_vs_…`` is earmark's throughput over the other's,
``share_of_floor`` over the floor's. ``growth_1pct_share`` is the whole stage `features` (descriptors and tables too)
again after 1 % was added, over its first run. ``peak_mib_…`` is the memory of that stage with all its processes
(proportional set size), for 400 and for 10,000 clips of five seconds. ``…_x_real_time``: seconds of music a second.

The files are made from real music: Emotify's minutes, decoded, given a second channel that differs (a short delay and
noise), and encoded as mp3, 44.1 kHz, stereo, 128 to 192 kbit/s. The 10,000 are 200 pieces of five seconds, each fifty
times with another number in its ID3 tag: other bytes, so another content hash.

    make bench-features DATA=path/to/emotify

Let nothing else run beside it.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from functools import partial
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from copies import encode
from earmark.catalogue.track import Track, write_tracks
from earmark.files import sha256_of
from earmark.params import load_params
from earmark.workspace import CATALOGUE, PARAMS

ROOT = Path(__file__).parent.parent
CORES = os.cpu_count() or 1
CLIPS, ROUNDS = 400, 3
SHORT_SECONDS, SHORT_PIECES = 5.0, 200
RATE_HZ = 44_100
FLOORS = ("soundfile", "pyav", "torchcodec")
PIPELINES = ("earmark", "librosa", "torchaudio", *(f"floor_{name}" for name in FLOORS))
FRONTEND = load_params(ROOT / PARAMS).frontend


def main() -> None:
    """Make the files, measure, and write bench/results/features.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="the folder that holds Emotify's mp3 files")
    parser.add_argument("--clips", type=int, default=CLIPS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        print(json.dumps(CHILDREN[arguments.child[0]](arguments.data, *arguments.child[1:])))
        return
    from harness import write_result

    with tempfile.TemporaryDirectory(prefix="earmark-features-") as folder:
        scratch = Path(folder)
        added = -(-arguments.clips // 100)
        seconds = _make_clips(arguments.data, scratch / "clips", arguments.clips + added)
        _make_short(scratch / "clips", scratch / "short", 10_000)
        figures = measure(scratch, arguments.clips, added, arguments.rounds, seconds)
        notes = {
            "files": f"{arguments.clips} mp3s of {seconds:.1f} s, 44.1 kHz stereo, made from Emotify (see the bench)",
            "decoder": _decoder(),
            "compared": {name: version(name) for name in ("librosa", "soundfile", "torchcodec")},
            "goals": {"ratio_vs_librosa": 2.4, "share_of_floor": 0.6},
        }
    path = write_result("features", figures, **notes)
    for name, value in figures.items():
        print(f"{name:28s} {value:10.3f}")
    print(f"written: {path.relative_to(ROOT)}")


def measure(scratch: Path, clips: int, added: int, rounds: int, clip_seconds: float) -> dict[str, float]:
    """All figures."""
    times: dict[str, list[float]] = {name: [] for name in (*PIPELINES, "stage", "grown", "unchanged", "peak")}
    for number in range(rounds):
        for name in PIPELINES:
            times[name].append(_child(scratch / "clips", name, str(clips))["seconds"])
        stage = _child(scratch / "clips", "stage", str(clips), str(added))
        for name in ("stage", "grown", "unchanged", "peak"):
            times[name].append(stage[name])
        print(
            f"round {number + 1}: " + ", ".join(f"{name} {values[-1]:.2f}" for name, values in times.items()),
            flush=True,
        )
    median = {name: statistics.median(values) for name, values in times.items()}
    speed = {name: clips * clip_seconds / value for name, value in median.items() if name != "peak"}
    floor = max(speed[f"floor_{name}"] for name in FLOORS)
    figures = {
        "ratio_vs_librosa": speed["earmark"] / speed["librosa"],
        "ratio_vs_torchaudio": speed["earmark"] / speed["torchaudio"],
        "share_of_floor": speed["earmark"] / floor,
        "growth_1pct_share": median["grown"] / median["stage"],
        "unchanged_share": median["unchanged"] / median["stage"],
        "peak_mib_400": _child(scratch / "short", "stage", "400", "0")["peak"],
        "peak_mib_10000": _child(scratch / "short", "stage", "10000", "0")["peak"],
        f"peak_mib_{clips}_long": median["peak"],
    }
    figures |= {f"{name}_x_real_time": speed[name] for name in (*PIPELINES, "stage")}
    return figures


# What is measured: each runs in a process of its own.


def _timed(files: list[Path], work: Callable[[Path], Any], pool: Executor | None) -> dict[str, float]:
    """Seconds for all files, after a few to warm up."""
    todo = pool.map if pool else map
    warm = files[: 2 * CORES]
    list(todo(work, warm))
    began = time.perf_counter()
    for _ in todo(work, files):
        pass
    return {"seconds": time.perf_counter() - began}


def _processes() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(CORES, mp_context=get_context("spawn"))


def run_earmark(folder: Path, clips: str) -> dict[str, float]:
    """Log-mels by earmark, into a cache that is empty."""
    from earmark.audio.extraction import Job, Wanted, extract
    from earmark.catalogue.reading import read_recording

    files = _files(folder, int(clips))
    jobs = [Job(name := sha256_of(file), partial(read_recording, ROOT, str(file), name)) for file in files]
    with (
        tempfile.TemporaryDirectory(dir=folder.parent) as warm,
        tempfile.TemporaryDirectory(dir=folder.parent) as cache,
    ):
        for _ in extract(jobs[: 2 * CORES], Wanted(Path(warm), FRONTEND, descriptors=False)):
            pass
        began = time.perf_counter()
        for _ in extract(jobs, Wanted(Path(cache), FRONTEND, descriptors=False)):
            pass
        return {"seconds": time.perf_counter() - began}


def run_librosa(folder: Path, clips: str) -> dict[str, float]:
    """Log-mels by librosa in a pool of processes."""
    with tempfile.TemporaryDirectory(dir=folder.parent) as out, _processes() as pool:
        return _timed(_files(folder, int(clips)), partial(_by_librosa, Path(out)), pool)


def _by_librosa(out: Path, file: Path) -> None:
    import librosa

    samples, _ = librosa.load(file, sr=FRONTEND.sample_rate_hz, mono=True)
    mel = librosa.feature.melspectrogram(
        y=samples,
        sr=FRONTEND.sample_rate_hz,
        n_fft=FRONTEND.n_fft,
        hop_length=FRONTEND.hop,
        n_mels=FRONTEND.mels,
        fmin=FRONTEND.f_min_hz,
        fmax=FRONTEND.f_max_hz,
        htk=True,
        norm=None,
    )
    np.save(out / f"{file.stem}.npy", librosa.power_to_db(mel))


def run_torchaudio(folder: Path, clips: str) -> dict[str, float]:
    """Log-mels by soundfile and torchaudio in a loop."""
    import soundfile
    import torch
    from torchaudio.transforms import MelSpectrogram, Resample

    resample = Resample(RATE_HZ, FRONTEND.sample_rate_hz)
    mel = MelSpectrogram(
        FRONTEND.sample_rate_hz,
        n_fft=FRONTEND.n_fft,
        hop_length=FRONTEND.hop,
        n_mels=FRONTEND.mels,
        f_min=FRONTEND.f_min_hz,
        f_max=FRONTEND.f_max_hz,
    )
    with tempfile.TemporaryDirectory(dir=folder.parent) as out:

        def work(file: Path) -> None:
            samples, _ = soundfile.read(file, dtype="float32")
            waveform = torch.from_numpy(samples).mean(dim=1)
            np.save(Path(out) / f"{file.stem}.npy", torch.log10(1 + 10_000 * mel(resample(waveform))).numpy())

        return _timed(_files(folder, int(clips)), work, None)


def run_floor(name: str, folder: Path, clips: str) -> dict[str, float]:
    """Decoding alone, in a pool of processes."""
    with _processes() as pool:
        return _timed(_files(folder, int(clips)), _DECODE[name], pool)


def _by_soundfile(file: Path) -> None:
    import soundfile

    soundfile.read(file, dtype="float32")


def _by_pyav(file: Path) -> None:
    import av

    with av.open(str(file)) as container:
        stream = container.streams.audio[0]
        stream.codec_context.thread_count = 1
        for _ in container.decode(stream):
            pass


def _by_torchcodec(file: Path) -> None:
    from torchcodec.decoders import AudioDecoder

    AudioDecoder(file).get_all_samples()


_DECODE = {"soundfile": _by_soundfile, "pyav": _by_pyav, "torchcodec": _by_torchcodec}


def run_stage(folder: Path, clips: str, added: str) -> dict[str, float]:
    """The stage `features` on a project of its own: from nothing, unchanged, and grown; and its peak memory in MiB."""
    import dataclasses

    from earmark.stages import features

    # Warm: the first recording of a process pays for imports and plans.
    params = dataclasses.replace(load_params(ROOT / PARAMS), frontend=FRONTEND)
    files = _files(folder, int(clips) + int(added))
    tracks = [_track(file) for file in files]
    with tempfile.TemporaryDirectory(dir=folder.parent) as warm, tempfile.TemporaryDirectory(dir=folder.parent) as root:

        def run(place: str, number: int) -> float:
            write_tracks(tracks[:number], Path(place) / CATALOGUE)
            began = time.perf_counter()
            features.run(params, Path(place))
            return time.perf_counter() - began

        run(warm, 2 * CORES)
        figures = {"stage": run(root, int(clips)), "unchanged": run(root, int(clips))}
        return figures | {"grown": run(root, len(tracks))}


def _track(file: Path) -> Track:
    return Track(
        track_id=file.name,
        path=str(file),
        content_hash=sha256_of(file),
        duration_s=60.0,
        sample_rate_hz=RATE_HZ,
        channels=2,
        codec="mp3",
        source="bench",
        group=file.stem,
    )


CHILDREN: dict[str, Callable[..., dict[str, float]]] = {
    "earmark": run_earmark,
    "librosa": run_librosa,
    "torchaudio": run_torchaudio,
    "stage": run_stage,
    **{f"floor_{name}": partial(run_floor, name) for name in FLOORS},
}


def _child(folder: Path, *arguments: str) -> dict[str, float]:
    """What one of `CHILDREN` measured in a fresh process, and the peak memory of that and all below it, in MiB."""
    command = [sys.executable, __file__, str(folder), "--child", *arguments]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    peak = 0.0
    while child.poll() is None:
        if arguments[0] == "stage":
            peak = max(peak, sum(_pss_mib(each) for each in _family(child.pid)))
        time.sleep(0.1)
    assert child.stdout is not None
    said = child.stdout.read()
    if child.returncode:
        raise SystemExit(f"{' '.join(arguments)} ended with {child.returncode}. Run it by hand: {' '.join(command)}")
    figures: dict[str, float] = json.loads(said.splitlines()[-1])
    return figures | {"peak": peak}


def _family(process: int) -> Iterator[int]:
    yield process
    try:
        children = Path(f"/proc/{process}/task").glob("*/children")
        below = [int(child) for file in children for child in file.read_text().split()]
    except OSError:
        return
    for child in below:
        yield from _family(child)


def _pss_mib(process: int) -> float:
    """Memory of a process, what it shares divided by those who share it."""
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return next((float(line.split()[1]) / 1024 for line in lines if line.startswith("Pss:")), 0.0)


def _decoder() -> str:
    from earmark.audio.accepted import decoder

    return decoder()


# The files.


def _files(folder: Path, number: int) -> list[Path]:
    files = sorted(folder.iterdir())[:number]
    if len(files) < number:
        raise SystemExit(f"{folder} holds {len(files)} files; {number} are needed.")
    return files


def _make_clips(data: Path, folder: Path, number: int) -> float:
    """Real music as 44.1 kHz stereo mp3; returns the mean length in seconds."""
    folder.mkdir()
    sources = sorted(data.rglob("*.mp3"))
    if not sources:
        raise SystemExit(f"There are no mp3 files below {data}.")
    with ProcessPoolExecutor(CORES, mp_context=get_context("spawn")) as pool:
        todo = [(sources[i % len(sources)], folder / f"{i:05d}.mp3", i) for i in range(number)]
        return statistics.fmean(pool.map(_make_clip, *zip(*todo, strict=True)))


def _make_clip(source: Path, file: Path, seed: int) -> float:
    from earmark.audio.decode import decode

    mono = decode(source, sample_rate_hz=RATE_HZ, mono=True).waveform[0].numpy()
    delayed = np.concatenate([np.zeros(500, np.float32), mono])[: len(mono)]
    stereo = np.stack([0.8 * mono + 0.2 * delayed, 0.8 * mono - 0.2 * delayed])
    stereo += np.random.default_rng(seed).normal(0, 0.003, stereo.shape)
    file.write_bytes(encode(stereo.astype(np.float32), RATE_HZ, "mp3", (128, 160, 192)[seed % 3]))
    return len(mono) / RATE_HZ


def _make_short(clips: Path, folder: Path, number: int) -> None:
    """Pieces of the clips, each many times with another number in its tag."""
    folder.mkdir()
    sources = sorted(clips.iterdir())
    with ProcessPoolExecutor(CORES, mp_context=get_context("spawn")) as pool:
        chosen = [sources[i % len(sources)] for i in range(SHORT_PIECES)]
        for place, content in enumerate(pool.map(_short, chosen, range(SHORT_PIECES))):
            for copy in range(place, number, SHORT_PIECES):
                (folder / f"{copy:05d}.mp3").write_bytes(_id3(copy) + content)


def _short(source: Path, place: int) -> bytes:
    from earmark.audio.decode import decode

    samples, length = decode(source).waveform.numpy(), round(SHORT_SECONDS * RATE_HZ)
    start = place * length % max(1, samples.shape[1] - length)
    return encode(samples[:, start : start + length], RATE_HZ, "mp3", 160)


def _id3(number: int) -> bytes:
    """An ID3v2.3 tag that holds one number as its title."""
    text = b"\0" + str(number).encode()
    frame = b"TIT2" + len(text).to_bytes(4, "big") + b"\0\0" + text
    return b"ID3\x03\0\0" + bytes([0, 0, len(frame) >> 7, len(frame) & 0x7F]) + frame


if __name__ == "__main__":
    main()
