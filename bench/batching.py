"""Excerpts of concurrent requests, computed together by earmark's batcher and by BentoML's own dispatcher.

So many clients ask a network again and again, each about 16 excerpts, as one song has; what is computed, and how, is
the same, only who puts requests together differs. The two take turns in so many rounds; medians are compared.

* ``songs_per_s_batcher``, ``songs_per_s_dispatcher``: by `earmark.serving.batching.Batcher`, and by BentoML's
  `CorkDispatcher`, which holds requests back by what it has learnt of their wait and computation, and counts requests
  where it waits and excerpts where it takes;
* ``ratio``: of the two; ``p50_ms_…``, ``p99_ms_…``: of a request.

    make bench-batching DATA=path/to/emotify

Let nothing else run beside it.
"""

import argparse
import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earmark.model.network.engines import fastest, made_excerpts
from earmark.serving.batching import Batcher
from harness import write_result
from served import ROOT, emotify

Floats = NDArray[np.float32]
Ask = Callable[[Floats], Awaitable[Any]]


def main() -> None:
    """Measure, and write bench/results/batching.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="the folder that holds data.csv and emotifymusic/")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clients", type=int, default=8)
    arguments = parser.parse_args()
    network = fastest(emotify(arguments.data).predictor, threads=1).predictor.network
    assert network is not None
    excerpts = made_excerpts(network)

    def compute(batch: Floats) -> Floats:
        return network.hear(batch).packed()

    took: dict[str, list[float]] = {"batcher": [], "dispatcher": []}
    rates: dict[str, list[float]] = {name: [] for name in took}
    with ThreadPoolExecutor(1) as executor:
        for _ in range(arguments.rounds):
            for name, make in (("batcher", _batcher), ("dispatcher", _dispatcher)):
                times = asyncio.run(_load(lambda make=make: make(compute, executor), excerpts, arguments))  # type: ignore[misc]
                rates[name].append(len(times) / arguments.seconds)
                took[name] += times
    middle = {name: statistics.median(each) for name, each in rates.items()}
    figures = {"ratio": middle["batcher"] / middle["dispatcher"], "clients": arguments.clients}
    for name, each in took.items():
        p50, p99 = 1000 * np.quantile(each, [0.5, 0.99])
        figures |= {f"songs_per_s_{name}": middle[name], f"p50_ms_{name}": float(p50), f"p99_ms_{name}": float(p99)}
    path = write_result("batching", figures)
    for name, value in figures.items():
        print(f"{name:26s} {value:10.2f}")
    print(f"written: {path.relative_to(ROOT)}")


async def _load(make: Callable[[], Ask], excerpts: Floats, arguments: Any) -> list[float]:
    """Seconds of each request; the first second is left out."""
    ask, told = make(), []
    begun = time.perf_counter()

    async def client() -> None:
        while (now := time.perf_counter()) - begun < arguments.seconds + 1.0:
            await ask(excerpts)
            if now - begun >= 1.0:
                told.append(time.perf_counter() - now)

    await asyncio.gather(*(client() for _ in range(arguments.clients)))
    return told


def _batcher(compute: Callable[[Floats], Floats], executor: ThreadPoolExecutor) -> Ask:
    return Batcher(compute, executor, most=16)


def _dispatcher(compute: Callable[[Floats], Floats], executor: ThreadPoolExecutor) -> Ask:
    from bentoml._internal.marshal.dispatcher import CorkDispatcher

    def fallback() -> None:
        raise RuntimeError("cancelled")

    async def together(batch: tuple[Floats, ...]) -> list[Floats]:
        whole = batch[0] if len(batch) == 1 else np.concatenate(batch)
        told = await asyncio.get_running_loop().run_in_executor(executor, compute, whole)
        return np.split(told, np.cumsum([len(each) for each in batch])[:-1])

    dispatcher: Any = CorkDispatcher(
        max_latency_in_ms=60_000, max_batch_size=16, fallback=fallback, get_batch_size=len, batch_dim=(0, 0)
    )
    ask: Ask = dispatcher(together)
    return ask


if __name__ == "__main__":
    main()
