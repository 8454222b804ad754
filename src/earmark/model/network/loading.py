"""Batches on their way to the network: made ahead in a thread, so that the network never waits for them.

A batch is cut out of arrays in memory or mapped from disk, which takes a fraction of a millisecond; the copying lets go
of Python's lock. So one thread keeps up with a GPU (bench/training.py measures it), where processes would have to be
started and every batch sent between them.
"""

import math
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import torch
from torch.utils.data import DataLoader

from earmark.errors import ParamsError
from earmark.model.network.examples import Batch, Examples, ExcerptDataset, ExcerptSampler
from earmark.params import Training

_AHEAD = 4  # batches


class AheadLoader(DataLoader[Batch]):
    """A loader whose batches are made by a thread, a few ahead of whoever takes them."""

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]  # an iterator is all that is needed
        """As of any loader; an error in the thread is raised here, and leaving the loop early ends the thread."""
        made: queue.Queue[Any] = queue.Queue(_AHEAD)
        over = threading.Event()

        def put(item: Any) -> None:
            while not over.is_set():
                with suppress(queue.Full):
                    made.put(item, timeout=0.1)
                    return

        def make() -> None:
            try:
                for batch in super(AheadLoader, self).__iter__():
                    put(batch)
                    if over.is_set():
                        return
                put(None)
            except BaseException as error:  # whatever it is, the one who takes batches has to hear of it
                put(error)

        maker = threading.Thread(target=make, name="batches", daemon=True)
        maker.start()
        try:
            while (item := made.get()) is not None:
                if isinstance(item, BaseException):
                    raise item
                yield item
        finally:
            over.set()
            maker.join()


def training_loader(
    examples: Examples, how: Training, *, frames: int, epoch: Callable[[], int], rank: int = 0, ranks: int = 1
) -> AheadLoader:
    """Excerpts at random; see `ExcerptSampler`."""
    sampler = ExcerptSampler(
        examples.labels,
        per_epoch=how.excerpts_per_epoch,
        batch_size=how.batch_size,
        seed=how.seed,
        balance=how.balance,
        epoch=epoch,
        rank=rank,
        ranks=ranks,
    )
    return loader(examples, sampler, frames=frames)


def validation_loader(examples: Examples, *, frames: int, rank: int = 0, ranks: int = 1) -> AheadLoader:
    """One excerpt from the middle of each track: enough for a curve.

    Raises:
        ParamsError: There are fewer tracks than processes.
    """
    keys = [(track, 0.5) for track in range(rank, len(examples), ranks)]
    if len(examples) < ranks:
        raise ParamsError(
            f"{len(examples)} validation track(s) cannot be shared by {ranks} processes. Raise split.validation_share, "
            "or lower training.devices or training.nodes."
        )
    # As many batches in every process: at each of them they wait for each other.
    batches = math.ceil(len(examples) / ranks / 32)
    return loader(examples, [keys[first::batches] for first in range(batches)], frames=frames)


def loader(examples: Examples, batches: Any, *, frames: int) -> AheadLoader:
    """Excerpts at given places: ``batches`` gives the keys of each batch, as `ExcerptDataset` takes them."""
    return AheadLoader(
        ExcerptDataset(examples, frames=frames),
        batch_sampler=batches,
        collate_fn=_as_it_is,
        # A generator of its own: else the loader draws from dropout's, and after a resume at another moment.
        generator=torch.Generator(),
        pin_memory=torch.cuda.is_available(),
    )


def _as_it_is(batch: Any) -> Any:
    return batch
