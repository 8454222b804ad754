"""One recording on its way through a worker: decoded by another process, heard, computed with others, told.

Each step runs where it belongs. Decoding is a process's (a hostile file may kill it), spectrograms, descriptors and
networks are computed by threads, which leave Python's lock alone, one a core; the event loop only hands on.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from earmark.params import Service
from earmark.serving import metrics
from earmark.serving.batching import Batcher
from earmark.serving.listening import check_length

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from earmark.audio.facts import Facts
    from earmark.model.answers import Inputs
    from earmark.model.network.predictor import NetworkPredictor
    from earmark.model.predictor import Predictor, Told
    from earmark.serving.decoding import Decoded, Decoders

T = TypeVar("T")

_EXCERPTS_ON_CPU = 16  # a song's; larger batches gain nothing on a processor
_EXCERPTS_ON_GPU = 1024
_KEPT = 4  # versions: champion, canary, shadow, and the one that is just leaving


@dataclass(frozen=True)
class Heard:
    """A recording that was listened to.

    Attributes:
        decoded: Its samples, length and hash.
        waveform: Shape ``(time,)``, at the front-end's rate.
        inputs: What was made of it.
        told: What the predictor says.
        facts: What was measured.
        seconds: From the waveform to what is told.
    """

    decoded: "Decoded"
    waveform: "Tensor"
    inputs: "Inputs"
    told: "Told"
    facts: "Facts"
    seconds: float


class Pipeline:
    """The machinery of one worker.

    Args:
        limits: What is accepted.
        decoders: Started already.
        threads: For computing; one a core that this worker may use.
    """

    def __init__(self, limits: Service, decoders: "Decoders", *, threads: int) -> None:
        self.limits = limits
        self.decoders = decoders
        self.threads = threads
        self._executor = ThreadPoolExecutor(threads, "compute")
        self._batchers: dict[int, tuple[NetworkPredictor, Batcher]] = {}

    def close(self) -> None:
        """Let the threads end."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    async def run(self, work: Callable[..., T], *arguments: Any) -> T:
        """``work(*arguments)`` in one of the threads for computing."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, work, *arguments)

    async def decode(self, file: Any, predictor: "Predictor") -> "Decoded":
        """The samples of an upload, as long as they have to be.

        Raises:
            AudioError: It cannot be decoded, or is too short or too long.
        """
        from earmark.serving.decoding import DecoderDied

        with timed("decode"):
            try:
                decoded = await self._decoded(file, predictor)
            except DecoderDied:  # of this file, or of what somebody did to it before: the next one shows
                decoded = await self._decoded(file, predictor)
        check_length(decoded.duration_s, predictor, self.limits)
        return decoded

    async def _decoded(self, file: Any, predictor: "Predictor") -> "Decoded":
        return await self.decoders.decode(
            file, sample_rate_hz=predictor.frontend.sample_rate_hz, max_seconds=self.limits.max_seconds + 1.0
        )

    async def hear(self, file: Any, predictor: "Predictor") -> Heard:
        """All that ``predictor`` says of an upload, and what is measured.

        Raises:
            AudioError: It cannot be decoded, or is too short or too long.
        """
        import torch

        decoded = await self.decode(file, predictor)
        waveform = torch.from_numpy(decoded.samples)
        begun = time.perf_counter()
        with timed("hear"):
            inputs, excerpts, facts = await self.run(_heard, predictor, waveform, decoded.loudness_lufs)
        inputs, told = await self._told(predictor, inputs, excerpts)
        return Heard(decoded, waveform, inputs, told, facts, time.perf_counter() - begun)

    async def tell(self, predictor: "Predictor", inputs: "Inputs") -> tuple["Inputs", "Told"]:
        """What ``predictor`` says of a recording, its networks together with what others ask just now."""
        return await self._told(predictor, inputs, await self.run(_excerpts, predictor, inputs))

    async def _told(
        self, predictor: "Predictor", inputs: "Inputs", excerpts: "NDArray[np.float32] | None"
    ) -> tuple["Inputs", "Told"]:
        from earmark.model.answers import ExcerptAnswers

        if (network := predictor.network) is not None and excerpts is not None:
            with timed("compute"):
                rows = await self._batcher(network)(excerpts)
                inputs = replace(inputs, told=ExcerptAnswers.unpack(rows, network.shape))
        with timed("tell"):
            return inputs, await self.run(predictor.tell, inputs)

    def _batcher(self, network: "NetworkPredictor") -> Batcher:
        if (found := self._batchers.get(id(network))) is not None:
            return found[1]

        def compute(excerpts: "NDArray[np.float32]") -> "NDArray[np.float32]":
            return network.hear(excerpts).packed()

        on_gpu = network.device != "cpu"
        batcher = Batcher(
            compute,
            self._executor,
            most=_EXCERPTS_ON_GPU if on_gpu else _EXCERPTS_ON_CPU,
            lanes=1 if on_gpu else self.threads,
            observe=metrics.BATCH_EXCERPTS.observe,
        )
        while len(self._batchers) >= _KEPT:
            self._batchers.pop(next(iter(self._batchers)))
        self._batchers[id(network)] = (network, batcher)  # kept with it, so that the id stays its own
        return batcher


@contextmanager
def timed(step: str) -> Iterator[None]:
    """Count how long a step takes."""
    begun = time.perf_counter()
    try:
        yield
    finally:
        metrics.STEP_SECONDS.labels(step).observe(time.perf_counter() - begun)


def _heard(
    predictor: "Predictor", waveform: "Tensor", loudness_lufs: float | None
) -> "tuple[Inputs, NDArray[np.float32] | None, Facts]":
    from earmark.audio.facts import facts_of

    inputs = predictor.inputs(waveform)
    facts = facts_of(waveform, predictor.frontend.sample_rate_hz, loudness_lufs=loudness_lufs)
    return inputs, _excerpts(predictor, inputs), facts


def _excerpts(predictor: "Predictor", inputs: "Inputs") -> "NDArray[np.float32] | None":
    """For the network, if there is one."""
    if predictor.network is None or inputs.log_mel is None:
        return None
    return predictor.network.excerpts(inputs.log_mel)
