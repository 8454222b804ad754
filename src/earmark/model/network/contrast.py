"""Two excerpts of one recording, pulled together and away from all others: what a network can learn without labels.

A pair of excerpts of the same recording sounds alike in most that matters, and two recordings rarely do (COLA: Saeed,
Grangier and Zeghidour, "Contrastive learning of general-purpose audio representations", ICASSP 2021). The loss is
NT-Xent, over both excerpts of all recordings of a batch, behind a small projection that is thrown away afterwards
(SimCLR: Chen et al., "A simple framework for contrastive learning of visual representations", ICML 2020).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from pytorch_lightning import LightningModule
from torch import Tensor, nn
from torch.utils.data import Sampler

from earmark.audio.augmentation.augmenting import augment
from earmark.model.network.examples import Batch, Key
from earmark.model.network.learning import Settings, one_cycle
from earmark.model.network.network import MusicNetwork
from earmark.params import Augmentation, Pretraining

_NEAREST, _ROOM = 0.25, 0.5  # of the way through a recording: how far apart its two excerpts are, at least and besides


@dataclass(frozen=True)
class Passed:
    """What one epoch of pretraining came to.

    Attributes:
        epoch: From 1.
        loss: NT-Xent, in nats.
        matched: Share of the excerpts whose nearest in the batch is the other one of their recording.
    """

    epoch: int
    loss: float
    matched: float


def nt_xent(projected: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Cross-entropy of finding each excerpt's partner among all others of the batch, by cosine.

    Args:
        projected: Shape ``(2 · pairs, dims)``; rows ``i`` and ``i + pairs`` are a pair.
        temperature: By which cosines are divided: the lower, the more the hardest of the others count.

    Returns:
        The loss, and for each row whether its partner is the nearest, shape ``(2 · pairs,)``.
    """
    places = F.normalize(projected.float(), dim=1)
    cosines = (places @ places.T / temperature).masked_fill(
        torch.eye(len(places), dtype=torch.bool, device=places.device), -torch.inf
    )
    partner = torch.arange(len(places), device=places.device).roll(len(places) // 2)
    return F.cross_entropy(cosines, partner), cosines.argmax(dim=1) == partner


def pretext(strength: float, *, mels: int, frames: int) -> Augmentation:
    """How excerpts are changed, so that a pair is not known by its level, its filter or its noise.

    Args:
        strength: 1: at most 6 dB in level and in each band, noise on three in ten excerpts, and masks of a fifth of the
            bands and a sixth of the frames; in proportion for others, 0 changes nothing.
        mels: Bands of the spectrogram.
        frames: Of an excerpt.
    """
    return Augmentation(
        frequency_mask=round(strength * mels / 5),
        time_mask=round(strength * frames / 6),
        gain_db=6.0 * strength,
        equaliser_db=6.0 * strength,
        noise_share=min(1.0, 0.3 * strength),
        noise_snr_db=10.0,
    )


class PairSampler(Sampler[list[Key]]):
    """Batches of keys for `earmark.model.network.examples.ExcerptDataset`: two places in each of some recordings.

    An epoch hears every recording once. First come all first excerpts, then in the same order all second ones.

    Args:
        recordings: How many there are; at least 2.
        batch_size: In recordings, at most.
        seed: Of all draws.
        epoch: Asked at the start of each epoch: the trainer's own count, also after a resume.
    """

    def __init__(self, recordings: int, *, batch_size: int, seed: int, epoch: Callable[[], int] = lambda: 0) -> None:
        self.recordings, self.seed, self.epoch = recordings, seed, epoch
        # Of about one size, and never one alone: it would have nothing to be told from.
        self.batches = min(-(-recordings // batch_size), recordings // 2)

    def __len__(self) -> int:
        return self.batches

    def __iter__(self) -> Iterator[list[Key]]:
        rng = np.random.default_rng([self.seed, self.epoch()])
        order = rng.permutation(self.recordings)
        first = rng.random(self.recordings)
        # Apart, round the end: excerpts that overlap are the same sound.
        second = (first + _NEAREST + _ROOM * rng.random(self.recordings)) % 1.0
        for batch in np.array_split(np.arange(self.recordings), self.batches):
            yield [(int(order[i]), float(places[i]) * (1 - 1e-9)) for places in (first, second) for i in batch]


class Contrasting(LightningModule):
    """A network that is being pretrained.

    Args:
        network: It; its heads are left as they are.
        settings: Front-end, network, and of the section ``training`` what holds for any training.
        how: Section ``pretraining`` of params.yaml.
        steps: Of the whole training: the schedule of the learning rate is laid over them.
        on_epoch: Told of each epoch as it ends.
    """

    def __init__(
        self,
        network: MusicNetwork,
        settings: Settings,
        how: Pretraining,
        *,
        steps: int,
        on_epoch: Callable[[Passed], None] | None,
    ) -> None:
        super().__init__()
        self.network = network
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch 2.11's stub
        self.projection = nn.Sequential(
            nn.Linear(network.width, network.width), nn.ReLU(), nn.Linear(network.width, how.projection)
        )
        self.settings, self.how, self.steps, self.on_epoch = settings, how, steps, on_epoch
        self.augmentation = pretext(how.strength, mels=settings.frontend.mels, frames=settings.frames)
        self.chance = torch.Generator()
        self._start_sums()

    def _start_sums(self) -> None:
        self.sums = torch.zeros(3, device=self.device)  # loss, matched, number: no step waits for the one before

    def on_train_epoch_start(self) -> None:
        """All chance of an epoch starts here: after a resume it is the same epoch."""
        if self.chance.device != self.device:
            self.chance = torch.Generator(self.device)
        self.chance.manual_seed(self.how.seed * 100_003 + self.current_epoch)
        self._start_sums()

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Tensor:
        """Changed excerpts as the network takes them, shape ``(2 · pairs, mels, frames)``."""
        excerpts = batch[0].transpose(1, 2).float()
        return augment(excerpts, self.augmentation, self.chance, frontend=self.settings.frontend)

    def training_step(self, batch: Tensor, index: int) -> Tensor:
        """NT-Xent."""
        loss, matched = nt_xent(self.projection(self.network.heard(batch)), self.how.temperature)
        number = loss.new_tensor(len(batch), dtype=torch.float32)
        self.sums += torch.stack([loss.detach() * number, matched.sum().float(), number])
        return loss

    def on_train_epoch_end(self) -> None:
        """Tells what the epoch came to."""
        loss, matched, number = (float(value) for value in self.sums)
        if self.on_epoch is not None:
            self.on_epoch(Passed(self.current_epoch + 1, loss / number, matched / number))

    def configure_optimizers(self) -> Any:
        """As for any training, at a learning rate of its own."""
        how = self.settings.training
        return one_cycle(
            self,
            learning_rate=self.how.learning_rate,
            weight_decay=how.weight_decay,
            warmup_share=how.warmup_share,
            steps=self.steps,
        )
