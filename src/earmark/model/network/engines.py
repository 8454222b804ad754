"""Engines: what computes what a predictor's networks say of excerpts, and which of them is the fastest that is right.

* ``eager``: the networks as they are, by torch. The definition, as in training and evaluation.
* ``fused``: the same without their norms (`earmark.model.network.fused`).
* ``onnx``: ONNX Runtime, where the predictor's folder holds them as ONNX (`earmark.model.portable.excerpts`).
* ``compiled``: ``fused`` by torch.compile, only if asked for: that takes many seconds, and a compiler.

Which one is the fastest depends on the machine, so `fastest` measures it there. What answers otherwise than ``eager``
is refused, however fast it is. Engines may be asked by several threads at once, and let others run while they compute.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from earmark.errors import ModelError
from earmark.model.answers import ExcerptAnswers, Excerpts
from earmark.model.blend import BlendPredictor
from earmark.model.network.fused import fused
from earmark.model.network.predictor import NetworkPredictor, eager
from earmark.model.predictor import Predictor

TOLERANCE = 1e-4
Compute = Callable[[Excerpts], ExcerptAnswers]

_BATCH = 8  # of a processor: what is computed of so few stays in its cache
_GPU_BATCH = 256
_ROUNDS = 3
_HOPELESS = 1.5  # times the quickest: not worth another round
_BUDGET_S = 1.0  # for trying and for measuring each; then it is enough, as somebody waits for the answer


@dataclass(frozen=True, eq=False)
class Engine:
    """One way to compute, of so many excerpts at a time.

    Attributes:
        name: Of the way.
        batch: Excerpts at a time; more of them are computed one batch after the other.
        compute: Of one batch.
    """

    name: str
    batch: int
    compute: Compute

    def __call__(self, excerpts: Excerpts) -> ExcerptAnswers:
        """What the networks say of excerpts ``(n, mels, frames)``, each by itself."""
        if len(excerpts) <= self.batch:
            return self.compute(excerpts)
        batches = (excerpts[first : first + self.batch] for first in range(0, len(excerpts), self.batch))
        return ExcerptAnswers.joined([self.compute(batch) for batch in batches])


@dataclass(frozen=True)
class Measured:
    """How one engine did.

    Attributes:
        name: Of the engine.
        batch: Excerpts at a time; 0 where it could not be had.
        ms: For the excerpts of one song, the quickest of a few rounds; NaN where it was refused.
        difference: From ``eager``, see `difference`; NaN where it could not be had.
        refused: Why, as a sentence; empty where it was not.
    """

    name: str
    batch: int
    ms: float
    difference: float
    refused: str = ""


@dataclass(frozen=True)
class Fastest:
    """A predictor that computes as fast as it can here.

    Attributes:
        predictor: With the engine in place; as it was where it has no networks.
        engine: The name of that engine; empty where it has none.
        measured: All that were tried, the fastest first, those that were refused last.
    """

    predictor: Predictor
    engine: str
    measured: tuple[Measured, ...]


def fastest(predictor: Predictor, *, threads: int = 1, compile: bool = False, known: Measured | None = None) -> Fastest:
    """The predictor, its networks (or those of its part) computed by the fastest engine that answers as they do.

    This takes about a second, or a minute with ``compile``. torch has one number of threads for the whole process: it
    is set to ``threads``.

    Args:
        predictor: As it was loaded.
        threads: That one computation may use; several computations at a time use so many each.
        compile: Whether torch.compile is tried, too.
        known: What was fastest on this machine for another predictor of the same shape. Where it is right for this one,
            it is taken, and no other is tried.
    """
    network = predictor.network
    if network is None:
        return Fastest(predictor, "", ())
    excerpts = made_excerpts(network)
    network = replace(network, engine=None)
    _use_threads(threads)
    truth, cold_ms = _definition(network, excerpts)
    right, refused = _tried(network, excerpts, truth, threads, compile=compile, known=known)
    if known is not None and not right:
        right, refused = _tried(network, excerpts, truth, threads, compile=compile)
    times = _times([engine for engine, _ in right], excerpts)
    measured = [
        Measured(engine.name, engine.batch, ms, apart) for (engine, apart), ms in zip(right, times, strict=True)
    ]
    if all(each.name != "eager" for each in measured):
        measured.append(Measured("eager", len(excerpts), cold_ms, 0.0))
    told = (*sorted(measured, key=lambda each: each.ms), *refused)
    best = right[int(np.argmin(times))][0] if right else None  # none: the networks themselves, as ever
    return Fastest(_placed(predictor, replace(network, engine=best)), best.name if best else "eager", told)


def made_excerpts(network: NetworkPredictor) -> Excerpts:
    """As many as are heard of a song, shape ``(n, mels, frames)``: of a chord that beats, of noise, and of silence."""
    rate, seconds = network.frontend.sample_rate_hz, max(1.0, network.how.excerpt_seconds)
    times = np.arange(round(3 * seconds * rate)) / rate
    chord = sum(np.sin(2 * np.pi * hertz * times) for hertz in (110.0, 277.2, 659.3, 1318.5))
    noise = np.random.default_rng(0).normal(0.0, 0.3, len(times))
    wave = np.where(
        times < seconds, 0.2 * chord * np.exp(-4 * (times % 0.5)), np.where(times < 2 * seconds, noise, 0.0)
    )
    return network.excerpts(network.extractor.log_mel(torch.from_numpy(wave.astype(np.float32))))


def difference(ours: ExcerptAnswers, theirs: ExcerptAnswers) -> float:
    """The largest of any excerpt: of probabilities, of shares, of logits and embeddings as a share of the largest.

    NaN where one of the numbers is none; infinite where there are not as many.
    """
    if ours.shape != theirs.shape or len(ours) != len(theirs):
        return np.inf
    pairs = [(ours.logits, theirs.logits), (ours.tags, theirs.tags), (ours.places, theirs.places)]
    found = [_apart(one, other) / max(1.0, float(np.abs(one).max(initial=0.0))) for one, other in pairs]
    found.append(_apart(_softmax(ours.logits), _softmax(theirs.logits)))
    found.append(_apart(1 / (1 + np.exp(-ours.tags.astype(float))), 1 / (1 + np.exp(-theirs.tags.astype(float)))))
    return float(np.max(found))  # not a number, if one is none


def _tried(
    network: NetworkPredictor,
    excerpts: Excerpts,
    truth: ExcerptAnswers,
    threads: int,
    *,
    compile: bool,
    known: Measured | None = None,
) -> tuple[list[tuple[Engine, float]], list[Measured]]:
    """Engines that are right, each warm by now and with its difference; and those that are refused."""
    right: list[tuple[Engine, float]] = []
    refused = []
    start = time.perf_counter()
    for name, make in _ways(network, threads, compile=compile):
        if known is not None and name != known.name:
            continue
        if right and name != "compiled" and time.perf_counter() - start > _BUDGET_S:
            continue
        try:
            compute = make()
        except Exception as error:  # a library that is missing, a damaged file, no compiler: others can compute
            refused.append(Measured(name, 0, np.nan, np.nan, f"It cannot be had here: {_said(error)}"))
            continue
        for batch in _batches(network, name) if known is None else [known.batch]:
            engine = Engine(name, batch, compute)
            try:
                apart = difference(truth, engine(excerpts))
            except Exception as error:  # what it raises here it would raise in service
                refused.append(Measured(name, batch, np.nan, np.nan, f"It fails: {_said(error)}"))
                break
            if not apart <= TOLERANCE and name != "eager":
                why = f"It differs by {apart:.2g} from the networks; at most {TOLERANCE:g} is allowed."
                refused.append(Measured(name, batch, np.nan, apart, why))
                break
            right.append((engine, apart))
            if time.perf_counter() - start > _BUDGET_S:
                break
    return right, refused


def _times(engines: list[Engine], excerpts: Excerpts) -> list[float]:
    """The quickest of a few rounds, in milliseconds. They take turns, so that what else runs here slows all alike."""
    times = [np.inf] * len(engines)
    start = time.perf_counter()
    for turn in range(_ROUNDS):
        for place, engine in enumerate(engines):
            if turn and times[place] > _HOPELESS * min(times):
                continue
            begun = time.perf_counter()
            engine(excerpts)
            times[place] = min(times[place], (time.perf_counter() - begun) * 1e3)
        if time.perf_counter() - start > _BUDGET_S:
            break
    return times


def _ways(network: NetworkPredictor, threads: int, *, compile: bool) -> Iterator[tuple[str, Callable[[], Compute]]]:
    """Names, and how to get each: the probably fastest first, as what is slower than that is soon given up."""
    if network.graph is not None:
        yield "onnx", partial(by_onnx, network.graph, device=network.device, threads=threads)
    yield "fused", partial(_torch, network, threads, fused)
    yield "eager", partial(_torch, network, threads, lambda one: one)
    if compile:
        yield "compiled", partial(_torch, network, threads, lambda one: torch.compile(fused(one), dynamic=True))


def _batches(network: NetworkPredictor, name: str) -> list[int]:
    whole = network.how.excerpts
    if network.device != "cpu":
        return [max(_GPU_BATCH, whole)]
    if name == "compiled":
        return [whole]
    return [whole, _BATCH] if whole > _BATCH else [whole]


def _torch(network: NetworkPredictor, threads: int, turned: Callable[[nn.Module], Callable[[Tensor], Any]]) -> Compute:
    networks = [turned(one) for one in network.networks]

    def compute(excerpts: Excerpts) -> ExcerptAnswers:
        _use_threads(threads)  # a thread that is new to torch asks for as many as there are cores
        return eager(networks, excerpts, network.device)

    return compute


def _use_threads(threads: int) -> None:
    if torch.get_num_threads() != threads:
        torch.set_num_threads(threads)


def by_onnx(graph: bytes, *, device: str = "cpu", threads: int = 1) -> Compute:
    """ONNX Runtime, on networks as `earmark.model.portable.excerpts` writes them.

    Raises:
        ModelError: They shall compute on a GPU, and this runtime knows none.
    """
    import onnxruntime

    providers: list[Any] = ["CPUExecutionProvider"]
    if device != "cpu":
        if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
            raise ModelError("This ONNX Runtime knows no GPU. `pip install onnxruntime-gpu` brings one that does.")
        number = int(device.partition(":")[2] or 0)
        # Without TF32, whose 10 bits of a number are not enough to answer as the networks do.
        providers.insert(0, ("CUDAExecutionProvider", {"use_tf32": "0", "device_id": str(number)}))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # others need the cores between answers
    options.log_severity_level = 3  # errors
    session = onnxruntime.InferenceSession(graph, options, providers=providers)
    return lambda excerpts: ExcerptAnswers(*session.run(None, {"excerpts": np.ascontiguousarray(excerpts)}))


def _definition(network: NetworkPredictor, excerpts: Excerpts) -> tuple[ExcerptAnswers, float]:
    """What the networks say, on a GPU in whole float32, and how many milliseconds that took."""
    rounded = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    start = time.perf_counter()
    try:
        return network.hear(excerpts), (time.perf_counter() - start) * 1e3
    finally:
        torch.backends.cudnn.allow_tf32 = rounded


def _placed(predictor: Predictor, network: NetworkPredictor) -> Predictor:
    """The predictor with this one in place of its networks."""
    if isinstance(predictor, BlendPredictor):
        parts = {
            name: part if part.network is None else _placed(part, network) for name, part in predictor.parts.items()
        }
        return replace(predictor, parts=parts)
    return network


def _apart(one: NDArray[Any], other: NDArray[Any]) -> float:
    return float(np.abs(one - other).max(initial=0.0))


def _softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    powers: NDArray[np.float64] = np.exp(logits.astype(float) - logits.max(axis=2, keepdims=True))
    return np.asarray(powers / powers.sum(axis=2, keepdims=True))


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".partition("\n")[0]
