"""What is a GPU worth? The same work on the CPU, with all its cores, and on the GPU of one machine, in one run.

Everything is made up from a seed: waveforms of 30 s, mp3s of 10 s, and the log-mels of songs whose genre and tags can
be told, though not always. Settings are params.yaml's. The CPU's turn and the GPU's run one after the other in a fresh
process each, the CPU's with ``CUDA_VISIBLE_DEVICES`` empty; each kind of work is warmed up first. A figure ends in
``_cpu`` or ``_gpu``; ``…_per_s`` is a speed and ``…_ratio`` the GPU's over the CPU's.

* ``spectrograms``: waveforms to log-mels by `Extractor.log_mels`, in batches, copies to and from the GPU included;
  ``spectrogram_difference`` is the largest between the two, of values in half precision, whose step is 0.004 above 4;
* ``extracted``: mp3s to entries of the cache by `earmark.audio.extraction.extract`; ``extract_few_s`` is what the first
  64 take, which where PyAV decodes is above all the start of processes, and in the other included;
* ``training``: excerpts through `earmark.model.network.training.fit`, after its first epoch; ``large_training``: for a
  larger network. ``loader_share``: of an epoch's time, what the data loader alone takes. ``peak_mib``: of the GPU's
  memory. ``accuracy`` and ``tag_error`` (mean absolute, of the shares) are on songs held out.
  ``repeat_difference``: the largest between the weights of two short trainings alike;
* ``predictions``: waveforms to answers, one at a time, by `NetworkPredictor`, its spectrograms made where the network
  is. ``probability_difference`` is the largest between the two, of the same network.

    .venv/bin/python bench/gpu.py

Ends with 2 where there is no GPU. Let nothing else run beside it. BENCH_COMMIT names the commit where git is missing.
"""

import argparse
import dataclasses
import os
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from copies import encode
from earmark.audio.accepted import decoder
from earmark.audio.extraction import Job, Wanted, extract
from earmark.audio.features import Extractor, LogMelArray
from earmark.catalogue.reading import read_recording
from earmark.files import read_json, sha256_of, write_json
from earmark.model.answers import Inputs
from earmark.model.network.examples import Examples
from earmark.model.network.loading import training_loader
from earmark.model.network.network import MusicNetwork
from earmark.model.network.predictor import NetworkPredictor
from earmark.model.network.training import Epoch, Settings, fit
from earmark.model.predictor import load_predictor
from earmark.params import Network, load_params
from earmark.workers import cores
from earmark.workspace import PARAMS
from harness import write_result

ROOT = Path(__file__).parent.parent
SECONDS, WAVEFORMS, BATCH, ROUNDS = 30.0, 200, 50, 3
FILE_SECONDS, FILE_RATE_HZ, FILES, FEW, PIECES = 10.0, 44_100, 2_000, 64, 100
SONGS, HELD_OUT, LARGE_SONGS, SHORT_SONGS = 2_000, 400, 256, 128
GENRES, TAGS, EPOCHS = 8, 20, 4
P = load_params(ROOT / PARAMS)
LARGE = dataclasses.replace(P.network, size="large")
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def main() -> None:
    """Measure, and write bench/results/gpu.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--share", type=float, default=1.0, help="of the sizes: 0.02 to try it out")
    share = parser.parse_args().share
    if DEVICE == "cpu":
        parser.exit(2, "torch sees no GPU here, so there is nothing to compare. Run this on a machine that has one.\n")
    with tempfile.TemporaryDirectory(prefix="earmark-gpu-") as folder:
        make_files(Path(folder) / "files", _sized(FILES, share))
        for name, visible in (("cpu", {"CUDA_VISIBLE_DEVICES": ""}), ("gpu", {})):
            # Not as a file: a process that is spawned reads its parent's main file, and this one imports a lot.
            call = f"import gpu; gpu.measure({name!r}, {folder!r}, {share})"
            subprocess.run(
                [sys.executable, "-c", call], check=True, cwd=Path(__file__).parent, env=os.environ | visible
            )
        figures = compare(Path(folder))
    path = write_result("gpu", figures, device=torch.cuda.get_device_name(), cores_used=cores(), decoder=decoder())
    for name, value in figures.items():
        print(f"{name:30s} {value:12.4f}")
    print(f"written: {path.relative_to(ROOT)}")


def compare(folder: Path) -> dict[str, float]:
    """All figures, from what the two turns left in ``folder``."""
    turns = {name: read_json(folder / f"{name}.json") for name in ("cpu", "gpu")}
    made = {name: np.load(folder / f"{name}.npz") for name in turns}
    figures = {f"{key}_{name}": value for name, turn in turns.items() for key, value in turn.items()}
    for key in turns["cpu"]:
        if key.endswith("_per_s"):
            figures[key.replace("_per_s", "_ratio")] = figures[f"{key}_gpu"] / figures[f"{key}_cpu"]
    for key, array in (("spectrogram_difference", "log_mels"), ("probability_difference", "probabilities")):
        figures[key] = float(np.abs(made["gpu"][array].astype(np.float64) - made["cpu"][array]).max())
    return dict(sorted(figures.items()))


# One turn, in a process of its own.


def measure(name: str, where: str, share: float) -> None:
    """Do all the work, and leave in the folder what came of it."""
    folder = Path(where)
    figures: dict[str, float] = {}

    def note(**new: float) -> None:
        figures.update(new)
        print(f"{name}:", *(f"{key} {value:.4g}" for key, value in new.items()), flush=True)

    waveforms = [waveform(seed) for seed in range(_sized(WAVEFORMS, share))]
    log_mels, seconds = spectrograms(waveforms)
    note(spectrograms_per_s=len(waveforms) / seconds)
    files = sorted((folder / "files").iterdir())
    extraction(files[:FEW], folder)
    note(extract_few_s=extraction(files[:FEW], folder))
    note(extracted_per_s=len(files) / extraction(files, folder))
    training, held_out = songs(_sized(SONGS, share), seed=1), songs(_sized(HELD_OUT, share), seed=2)
    small = train(P.network, training)
    note(**small.figures("training"), loader_share=small.loader_seconds / small.epoch_seconds)
    large = train(LARGE, training[range(_sized(LARGE_SONGS, share))])
    note(**large.figures("large_training"), large_loader_share=large.loader_seconds / large.epoch_seconds)
    predictor = predictor_of(small.network)
    note(**judged(predictor, held_out))
    short = [train(P.network, training[range(_sized(SHORT_SONGS, share))], epochs=2).network for _ in range(2)]
    pairs = zip(*(network.state_dict().values() for network in short), strict=True)
    note(repeat_difference=max(float((one - other).abs().max()) for one, other in pairs))
    if name == "cpu":
        predictor.save(folder / "model")
    probabilities, seconds = predictions(folder / "model", waveforms)
    note(predictions_per_s=len(waveforms) / seconds)
    np.savez(folder / f"{name}.npz", log_mels=np.stack(log_mels), probabilities=probabilities)
    write_json(folder / f"{name}.json", figures)


def spectrograms(waveforms: list[torch.Tensor]) -> tuple[list[LogMelArray], float]:
    """Their log-mels, and the seconds that all took: the median of some rounds."""
    extractor = Extractor(P.frontend, DEVICE)
    batches = [waveforms[start : start + BATCH] for start in range(0, len(waveforms), BATCH)]
    extractor.log_mels(batches[0])
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        log_mels = [log_mel for batch in batches for log_mel in extractor.log_mels(batch)]
        times.append(time.perf_counter() - began)
    return log_mels, statistics.median(times)


def extraction(files: list[Path], folder: Path) -> float:
    """Seconds from files to entries of an empty cache, with the log-mels made on the GPU where there is one."""
    jobs = [Job(name := sha256_of(file), partial(read_recording, ROOT, str(file), name)) for file in files]
    with tempfile.TemporaryDirectory(dir=folder) as cache:
        began = time.perf_counter()
        where = DEVICE if DEVICE == "cuda" else None  # "cpu" in so many words would take the GPU's way
        for _ in extract(jobs, Wanted(Path(cache), P.frontend, descriptors=False), device=where):
            pass
        return time.perf_counter() - began


@dataclasses.dataclass(frozen=True)
class Trained:
    """A network, and what its training took; the epoch is the mean of all but the first."""

    network: MusicNetwork
    excerpts: int  # of an epoch
    epoch_seconds: float
    loader_seconds: float
    peak_mib: float

    def figures(self, name: str) -> dict[str, float]:
        """By name."""
        speed = {f"{name}_per_s": self.excerpts / self.epoch_seconds}
        return speed | ({f"{name}_peak_mib": self.peak_mib} if DEVICE == "cuda" else {})


def train(how: Network, examples: Examples, epochs: int = EPOCHS) -> Trained:
    """Fit such a network, on one device."""
    training = dataclasses.replace(P.training, epochs=epochs, patience=0, devices=1, start_from="")
    settings = Settings(P.frontend, how, training, P.augmentation)
    ends: list[float] = []

    def told(_: Epoch) -> None:
        ends.append(time.perf_counter())

    if DEVICE == "cuda":
        torch.cuda.reset_peak_memory_stats()
    network, _ = fit(examples, None, settings, on_epoch=told)
    peak = torch.cuda.max_memory_allocated() / 2**20 if DEVICE == "cuda" else 0.0
    began = time.perf_counter()
    for _ in training_loader(examples, training, frames=settings.frames, epoch=lambda: 0):
        pass
    loader = time.perf_counter() - began
    excerpts = len(examples) * P.training.excerpts_per_epoch
    return Trained(network, excerpts, (ends[-1] - ends[0]) / (epochs - 1), loader, peak)


def predictor_of(network: MusicNetwork) -> NetworkPredictor:
    """The network, ready to answer."""
    genres, tags = (tuple(f"{kind} {i:02d}" for i in range(n)) for kind, n in (("genre", GENRES), ("tag", TAGS)))
    return NetworkPredictor(genres, P.frontend, frozenset(), "", tags=tags, networks=(network,), how=P.network)


def judged(predictor: NetworkPredictor, held_out: Examples) -> dict[str, float]:
    """How well it answers, always on the CPU."""
    answers = predictor.answers([Inputs(log_mel) for log_mel in held_out.log_mels])
    right = answers.genres.argmax(axis=1) == held_out.labels
    return {"accuracy": float(right.mean()), "tag_error": float(np.abs(answers.shares - held_out.tags[:, 0]).mean())}


def predictions(folder: Path, waveforms: list[torch.Tensor]) -> tuple[NDArray[np.float64], float]:
    """Genre probabilities, shape ``(waveforms, genres)``, and the seconds that all took."""
    predictor = load_predictor(folder, device=DEVICE)
    extractor = Extractor(predictor.frontend, DEVICE)

    def answer(waveform: torch.Tensor) -> NDArray[np.float64]:
        return np.asarray(predictor.answers([Inputs(extractor.log_mel(waveform))]).genres[0])

    for waveform in waveforms[:5]:
        answer(waveform)
    began = time.perf_counter()
    probabilities = [answer(waveform) for waveform in waveforms]
    return np.stack(probabilities), time.perf_counter() - began


# What is made up.


def waveform(seed: int, seconds: float = SECONDS, rate_hz: int = P.frontend.sample_rate_hz) -> torch.Tensor:
    """Three tones, and noise that swells and fades: shape ``(time,)``."""
    random = np.random.default_rng([3, seed])
    at = np.arange(round(seconds * rate_hz), dtype=np.float32) / np.float32(rate_hz)
    swell = np.interp(at, np.arange(seconds + 2), random.random(int(seconds) + 2)).astype(np.float32)
    sound = 0.1 * swell * random.standard_normal(len(at), dtype=np.float32)
    for frequency in random.uniform(80, 2_000, 3).astype(np.float32):
        sound += 0.1 * np.sin(2 * np.float32(np.pi) * frequency * at)
    return torch.from_numpy(sound)


def make_files(folder: Path, number: int) -> None:
    """Pieces as 44.1 kHz stereo mp3, each many times with another byte count of padding: another content hash."""
    folder.mkdir()

    def piece(seed: int) -> bytes:
        mono = waveform(seed, FILE_SECONDS, FILE_RATE_HZ).numpy()
        return encode(np.stack([mono, np.roll(mono, 500)]), FILE_RATE_HZ, "mp3", 160)

    with ThreadPoolExecutor(cores()) as pool:
        for place, content in enumerate(pool.map(piece, range(min(PIECES, number)))):
            for copy in range(place, number, PIECES):
                (folder / f"{copy:05d}.mp3").write_bytes(_padding(copy) + content)


def _padding(number: int) -> bytes:
    """An ID3v2.3 tag that holds nothing, as long as its number says."""
    return b"ID3\x03\0\0" + bytes([0, 0, number >> 7, number & 0x7F]) + bytes(number)


def songs(count: int, seed: int) -> Examples:
    """Log-mels of 30 s; a genre favours some bands, but songs of one genre differ by more than that.

    A tag's share follows from the genre; of some songs it is not known.
    """
    world, random = np.random.default_rng(4), np.random.default_rng([5, seed])
    habits = world.normal(0, 0.2, (GENRES, P.frontend.mels)).astype(np.float32)
    shares = world.random((GENRES, TAGS)).astype(np.float32)
    labels = random.integers(0, GENRES, count)
    bands = 1.5 + habits[labels] + random.normal(0, 0.5, (count, P.frontend.mels)).astype(np.float32)
    frames = 1 + round(SECONDS * P.frontend.sample_rate_hz) // P.frontend.hop

    def log_mel(song: int) -> LogMelArray:
        own = np.random.default_rng([6, seed, song])
        noise = own.standard_normal((frames, P.frontend.mels), dtype=np.float32)
        return np.asarray(np.maximum(0, bands[song] + noise), dtype=np.float16)

    with ThreadPoolExecutor(cores()) as pool:
        log_mels = list(pool.map(log_mel, range(count)))
    known = (random.random((count, TAGS)) < 0.7) * random.random((count, TAGS))
    tags = np.stack([shares[labels], known], axis=1).astype(np.float32)
    return Examples.of(log_mels, labels, classes=GENRES, tags=tags)


def _sized(number: int, share: float) -> int:
    return max(4, round(number * share))


if __name__ == "__main__":
    main()
