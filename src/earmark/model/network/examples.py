"""What the network is fitted to: recordings' log-mels and labels, and the order in which chance presents them.

Every draw follows from (seed, epoch) alone, so that a training that was killed and carried on sees the same excerpts as
one that ran through.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from earmark.audio.features import LogMelArray
from earmark.errors import ParamsError
from earmark.model.network.excerpts import excerpt
from earmark.model.network.resampling import drawn

Batch = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]
UNLABELLED = -1  # the label of a recording without a genre
Key = tuple[int, float]  # which track, and where in it: from 0, the first start of an excerpt, to 1, the last


@dataclass(frozen=True)
class Examples:
    """Recordings with what is known of them.

    Attributes:
        log_mels: One array ``(frames, mels)`` a recording, in memory or looked up on disk when it is asked for.
        labels: Index of each recording's genre, or `UNLABELLED`, shape ``(tracks,)``.
        genres: What to learn of the genre, shape ``(tracks, classes)``; rows sum to 1, and most have a single 1. Where
            the genre is not known all are 0.
        tags: Share and weight of each tag, shape ``(tracks, 2, tags)``.
        places: Where listeners put each recording, shape ``(tracks, dims)``; NaN where that is not known.
    """

    log_mels: Sequence[LogMelArray]
    labels: NDArray[np.int64]
    genres: NDArray[np.float32] = field(kw_only=True)
    tags: NDArray[np.float32] = field(kw_only=True)
    places: NDArray[np.float32] = field(kw_only=True)

    @classmethod
    def of(
        cls,
        log_mels: Sequence[LogMelArray],
        labels: NDArray[np.int64],
        *,
        classes: int,
        tags: NDArray[np.float32] | None = None,
        places: NDArray[np.float32] | None = None,
    ) -> "Examples":
        """Of what there is: without tags, or without places, there are none of them to learn."""
        genres = np.eye(classes, dtype=np.float32)[labels]
        genres[labels == UNLABELLED] = 0.0
        return cls(
            log_mels,
            labels,
            genres=genres,
            tags=np.zeros((len(labels), 2, 0), np.float32) if tags is None else tags,
            places=np.zeros((len(labels), 0), np.float32) if places is None else places,
        )

    @property
    def all_labelled(self) -> bool:
        """Whether every recording has a genre."""
        return not bool((self.labels == UNLABELLED).any())

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, chosen: Sequence[int]) -> "Examples":
        """The chosen recordings."""
        rows = list(chosen)
        return Examples(
            _Chosen(self.log_mels, rows),
            self.labels[rows],
            genres=self.genres[rows],
            tags=self.tags[rows],
            places=self.places[rows],
        )


class _Chosen(Sequence[LogMelArray]):
    """Some of a sequence, looked up when asked for."""

    def __init__(self, log_mels: Sequence[LogMelArray], chosen: list[int]) -> None:
        self._log_mels, self._chosen = log_mels, chosen

    def __len__(self) -> int:
        return len(self._chosen)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return _Chosen(self._log_mels, self._chosen[index])
        return self._log_mels[self._chosen[index]]


class ExcerptDataset(Dataset[Batch]):
    """Excerpts at given places, a batch at a time."""

    def __init__(self, examples: Examples, *, frames: int) -> None:
        self.examples = examples
        self.frames = frames

    def __getitem__(self, key: Key) -> Batch:
        """A batch of one."""
        return self.__getitems__([key])

    def __getitems__(self, keys: Sequence[Key]) -> Batch:
        """What a loader asks for: excerpts, what is known of them, and their labels.

        Returns:
            Excerpts as they are kept, half precision, shape ``(batch, frames, mels)``; ``genres``, ``tags`` and
            ``places`` as in `Examples`, and labels, shape ``(batch,)``.
        """
        log_mels = [self.examples.log_mels[track] for track, _ in keys]
        shape = (len(keys), self.frames, log_mels[0].shape[1])
        # Where the GPU takes them from: memory that torch hands out again, so nothing is copied twice or mapped anew.
        excerpts = torch.empty(shape, dtype=torch.float16, pin_memory=torch.cuda.is_available())
        rows = excerpts.numpy()
        for row, log_mel, (_, place) in zip(rows, log_mels, keys, strict=True):
            start = int(place * (max(0, len(log_mel) - self.frames) + 1))
            row[:] = excerpt(log_mel, start, frames=self.frames)
        tracks = [track for track, _ in keys]
        known = (self.examples.genres, self.examples.tags, self.examples.places, self.examples.labels)
        genres, tags, places, labels = (torch.from_numpy(each[tracks]) for each in known)
        return excerpts, genres, tags, places, labels


class ExcerptSampler(Sampler[list[Key]]):
    """Batches of keys for `ExcerptDataset`, in random order and places.

    Args:
        labels: Index of each track's genre, or `UNLABELLED`.
        per_epoch: How often each track is drawn, on average.
        batch_size: Of all processes together.
        seed: Of all draws.
        balance: Of the genres, see `earmark.model.network.resampling`.
        epoch: Asked at the start of each epoch: the trainer's own count, also after a resume.
        rank: Which of the processes that train together this is.
        ranks: How many there are; each gets its share of every batch.

    Raises:
        ParamsError: A batch has not enough for each process to get two excerpts.
    """

    def __init__(
        self,
        labels: NDArray[np.int64],
        *,
        per_epoch: int,
        batch_size: int,
        seed: int,
        balance: float = 0.0,
        epoch: Callable[[], int] = lambda: 0,
        rank: int = 0,
        ranks: int = 1,
    ) -> None:
        self.labels = labels
        self.per_epoch = per_epoch
        self.seed = seed
        self.balance = balance
        self.epoch = epoch
        self.rank, self.ranks = rank, ranks
        self.batches = batches_per_epoch(len(labels), per_epoch, batch_size)
        smallest = len(labels) * per_epoch // self.batches
        if ranks > 1 and smallest < 2 * ranks:
            raise ParamsError(
                f"A batch of {smallest} excerpts cannot be shared by {ranks} processes: each needs at least 2. Raise "
                "training.batch_size, or lower training.devices or training.nodes."
            )

    def __len__(self) -> int:
        return self.batches

    def __iter__(self) -> Iterator[list[Key]]:
        rng = np.random.default_rng([self.seed, self.epoch()])
        order = drawn(self.labels, per_epoch=self.per_epoch, balance=self.balance, rng=rng)
        places = rng.random(len(order)) * (1 - 1e-9)
        # A last batch of one would leave batch normalisation without a deviation, so all are of about one size.
        for batch in np.array_split(np.arange(len(order)), self.batches):
            yield [(int(order[i]), float(places[i])) for i in batch[self.rank :: self.ranks]]


def batches_per_epoch(tracks: int, per_epoch: int, batch_size: int) -> int:
    """How many batches an epoch has."""
    return math.ceil(tracks * per_epoch / batch_size)
