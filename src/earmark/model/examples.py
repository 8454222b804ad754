"""What the network is fitted to: recordings' log-mels and labels, and the order in which chance presents them.

Every draw follows from (seed, epoch) alone, so that a training that was killed and carried on sees the same excerpts as
one that ran through.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from earmark.audio.features import LogMelArray
from earmark.model.excerpts import excerpt


@dataclass(frozen=True)
class Examples:
    """Recordings with their labels.

    Attributes:
        log_mels: One array ``(frames, mels)`` a recording, in memory or looked up on disk when it is asked for.
        labels: Index of each recording's genre, shape ``(tracks,)``.
        tags: Share and weight of each tag, shape ``(tracks, 2, tags)``; None where there are no tags.
    """

    log_mels: Sequence[LogMelArray]
    labels: NDArray[np.int64]
    tags: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, chosen: Sequence[int]) -> "Examples":
        """The chosen recordings."""
        tags = None if self.tags is None else self.tags[list(chosen)]
        return Examples(_Chosen(self.log_mels, list(chosen)), self.labels[list(chosen)], tags)


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


class ExcerptDataset(Dataset[tuple[Any, ...]]):
    """Excerpts at given places: a key is (track, place), place in [0, 1] between the first start and the last."""

    def __init__(self, examples: Examples, *, frames: int) -> None:
        self.examples = examples
        self.frames = frames

    def __getitem__(self, key: tuple[int, float]) -> tuple[Any, ...]:
        """The excerpt, shape ``(mels, frames)``, its label, and where there are tags, those, shape ``(2, tags)``."""
        track, place = key
        log_mel = self.examples.log_mels[track]
        start = int(place * (max(0, len(log_mel) - self.frames) + 1))
        chosen = np.asarray(excerpt(log_mel, start, frames=self.frames), dtype=np.float32)
        item: tuple[Tensor, int] = torch.from_numpy(chosen.T), int(self.examples.labels[track])
        return item if self.examples.tags is None else (*item, torch.from_numpy(self.examples.tags[track]))


class ExcerptSampler(Sampler[list[tuple[int, float]]]):
    """Batches of keys for `ExcerptDataset`: every track ``per_epoch`` times an epoch, in random order and places."""

    def __init__(
        self, tracks: int, *, per_epoch: int, batch_size: int, seed: int, epoch: Callable[[], int] = lambda: 0
    ) -> None:
        self.tracks = tracks
        self.per_epoch = per_epoch
        self.batch_size = batch_size
        self.seed = seed
        self.epoch = epoch  # asked at the start of each epoch: the trainer's own count, also after a resume

    def __len__(self) -> int:
        return math.ceil(self.tracks * self.per_epoch / self.batch_size)

    def __iter__(self) -> Iterator[list[tuple[int, float]]]:
        rng = np.random.default_rng([self.seed, self.epoch()])
        order = rng.permutation(np.repeat(np.arange(self.tracks), self.per_epoch))
        places = rng.random(len(order)) * (1 - 1e-9)
        # A last batch of one would leave batch normalisation without a deviation, so it joins the one before.
        for batch in np.array_split(np.arange(len(order)), len(self)):
            yield [(int(order[i]), float(places[i])) for i in batch]
