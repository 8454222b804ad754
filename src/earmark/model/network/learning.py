"""What pytorch-lightning's trainer asks for: one step of training, one of validation, and how weights are changed."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor, nn

from earmark.audio.augmentation.augmenting import augment
from earmark.audio.augmentation.mixing import mixup
from earmark.audio.spectrogram import frames_of
from earmark.model.network.examples import UNLABELLED, Batch
from earmark.model.network.losses import genre_loss, place_loss, tag_loss
from earmark.model.network.network import MusicNetwork
from earmark.model.network.penalty import lp_penalty
from earmark.params import Augmentation, Frontend, Network, Training


@dataclass(frozen=True)
class Epoch:
    """What one epoch came to. Losses are the genre's cross-entropies; NaN where there is nothing to validate on."""

    epoch: int
    training_loss: float
    training_accuracy: float
    validation_loss: float
    validation_accuracy: float
    learning_rate: float


@dataclass(frozen=True)
class Settings:
    """The sections of params.yaml that decide how the network turns out."""

    frontend: Frontend
    network: Network
    training: Training
    augmentation: Augmentation

    @property
    def frames(self) -> int:
        """Length of an excerpt, in frames."""
        return frames_of(self.network.excerpt_seconds, self.frontend)


@dataclass(frozen=True)
class Heads:
    """How many genres, tags, and dimensions of an embedding there are to learn; and whether every genre is known."""

    classes: int
    tags: int
    places: int
    all_labelled: bool = True


class Learning(LightningModule):
    """A network that is being fitted.

    Args:
        network: It.
        settings: How.
        heads: What it learns.
        steps: Of the whole training: the schedule of the learning rate is laid over them.
        on_epoch: Told of each epoch as it ends, in the first process alone.
    """

    def __init__(
        self,
        network: MusicNetwork,
        settings: Settings,
        heads: Heads,
        *,
        steps: int,
        on_epoch: Callable[[Epoch], None] | None,
    ) -> None:
        super().__init__()
        self.network = network
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch 2.11's stub
        if settings.training.compile:
            self.network.compile()
        self.settings = settings
        self.heads = heads
        self.steps = steps
        self.on_epoch = on_epoch
        self.history: list[Epoch] = []
        self.chance = torch.Generator()
        self._start_sums()

    def _start_sums(self) -> None:
        # Loss, right answers, number: on the device, so that no step waits for the numbers of the one before.
        self.sums = {part: torch.zeros(3, device=self.device) for part in ("training", "validation")}

    def on_train_epoch_start(self) -> None:
        """All chance of an epoch (dropout, augmentation) starts here: after a resume it is the same epoch."""
        seed = (self.settings.training.seed * 100_003 + self.current_epoch) * 1_009 + self.global_rank
        torch.manual_seed(seed)
        if self.chance.device != self.device:
            self.chance = torch.Generator(self.device)
        self.chance.manual_seed(seed)
        self._start_sums()

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Excerpts as the network takes them, ``(batch, mels, frames)``; augmented for training, where they are."""
        kept, genres, tags, places, labels = batch
        excerpts = kept.transpose(1, 2).float()
        if self.trainer.training:
            settings = self.settings
            alike = labels if self.heads.all_labelled else _alone(labels)
            excerpts = augment(excerpts, settings.augmentation, self.chance, alike, settings.frontend)
        return excerpts, genres, tags, places, labels

    def training_step(self, batch: Batch, index: int) -> Tensor:
        """The loss of all heads."""
        excerpts, genres, tags, places, _ = batch
        how = self.settings.training
        # Mixed is what is known: a share, and a place, counts in the mixture by its weight.
        share, weight = tags.unbind(dim=1)
        placed = (~places.isnan().any(dim=1, keepdim=True)).float()
        known = [genres, share * weight, weight, places.nan_to_num(), placed]
        excerpts, mixed = mixup(excerpts, torch.cat(known, dim=1), self.settings.augmentation.mixup_alpha, self.chance)
        genres, shares, weight, places, placed = mixed.split_with_sizes([part.shape[1] for part in known], dim=1)
        logits, tag_logits, embeddings = self.network(excerpts)
        right = logits.argmax(dim=1) == genres.argmax(dim=1)
        if self.heads.all_labelled:
            loss = F.cross_entropy(logits, genres, label_smoothing=how.label_smoothing)
            self._add("training", loss, right)
        else:
            loss = genre_loss(logits.float(), genres, how.label_smoothing)
            self._add("training", loss, right, genres.sum(dim=1))
        if self.heads.tags:
            loss = torch.lerp(loss, tag_loss(tag_logits.float(), shares, weight), how.tag_share)
        if self.heads.places:
            loss = torch.lerp(loss, place_loss(embeddings.float(), places, placed), how.embedding_share)
        if how.penalty:
            loss = loss + how.penalty * lp_penalty(self.network.named_parameters(), how.penalty_p)
        return loss

    def validation_step(self, batch: Batch, index: int) -> None:
        """Only counts."""
        excerpts, _, _, _, labels = batch
        logits, _, _ = self.network(excerpts)
        self._add("validation", F.cross_entropy(logits, labels), logits.argmax(dim=1) == labels)

    def means(self, part: str) -> tuple[float, float]:
        """Loss and accuracy of the epoch so far, over all processes; NaN where there is nothing."""
        sums = self.trainer.strategy.reduce(self.sums[part].clone(), reduce_op="sum")
        loss, right, number = (float(value) for value in sums)
        return (loss / number, right / number) if number else (np.nan, np.nan)

    def on_train_epoch_end(self) -> None:
        """Keeps what the epoch came to."""
        training, validation = self.means("training"), self.means("validation")
        rate = float(self.trainer.optimizers[0].param_groups[0]["lr"])
        epoch = Epoch(self.current_epoch + 1, *training, *validation, rate)
        self.history.append(epoch)
        if self.on_epoch is not None and self.global_rank == 0:
            self.on_epoch(epoch)

    def configure_optimizers(self) -> Any:
        """As `one_cycle` says."""
        how = self.settings.training
        return one_cycle(
            self.network,
            learning_rate=how.learning_rate,
            weight_decay=how.weight_decay,
            warmup_share=how.warmup_share,
            steps=self.steps,
        )

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """With the history."""
        checkpoint["history"] = self.history

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """With the history."""
        self.history = list(checkpoint["history"])

    def _add(self, part: str, loss: Tensor, right: Tensor, weight: Tensor | None = None) -> None:
        """``weight``, shape ``(batch,)``: how much each excerpt counts; 1 where it is None."""
        number = right.new_tensor(len(right), dtype=torch.float32) if weight is None else weight.sum()
        counted = right.sum().float() if weight is None else (right * weight).sum()
        self.sums[part] += torch.stack([loss.detach().float() * number, counted, number])


def _alone(labels: Tensor) -> Tensor:
    """The same labels, but one of its own for each excerpt without a genre: nobody knows which of them are alike."""
    own = -1 - torch.arange(len(labels), device=labels.device)
    return torch.where(labels == UNLABELLED, own, labels)


def one_cycle(
    network: nn.Module, *, learning_rate: float, weight_decay: float, warmup_share: float, steps: int
) -> dict[str, Any]:
    """AdamW; warm-up and cosine decay in one cycle (Smith and Topin, "Super-convergence", 2018), as Lightning asks it.

    Args:
        network: Whose weights are fitted.
        learning_rate: The highest.
        weight_decay: Decoupled.
        warmup_share: Of the steps, less than 1. A warm-up of one step is none: the rate is highest in the first.
        steps: Of the whole training.
    """
    if warmup_share * steps == 1:  # OneCycleLR would divide by the time from the first step to the highest rate
        warmup_share *= 1 - 1e-9
    # Norms and biases are left out of the decay: shrinking them regularises nothing.
    decayed = [p for p in network.parameters() if p.ndim > 1]
    kept = [p for p in network.parameters() if p.ndim <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": weight_decay}, {"params": kept, "weight_decay": 0.0}], lr=learning_rate
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=steps, pct_start=warmup_share)
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


class Best(Callback):
    """Keeps the weights of the epoch with the lowest validation loss, and stops when none was lower for a while.

    It has to stand before the averaging of weights among the callbacks, so that it sees averaged ones.

    Args:
        patience: Epochs without a lower loss after which the training stops.
    """

    def __init__(self, patience: int) -> None:
        self.patience = patience
        self.loss, self.since = np.inf, 0
        self.weights: dict[str, Tensor] | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """A training that was killed when it was about to stop goes no further."""
        trainer.should_stop = self.since >= self.patience

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Looks at the loss."""
        assert isinstance(pl_module, Learning)
        loss, _ = pl_module.means("validation")
        self.since += 1
        if loss < self.loss:
            self.loss, self.since = loss, 0
            self.weights = {
                name: value.detach().cpu().clone() for name, value in pl_module.network.state_dict().items()
            }
        if self.since >= self.patience:
            trainer.should_stop = True

    def state_dict(self) -> dict[str, Any]:
        """For checkpoints."""
        return {"loss": self.loss, "since": self.since, "weights": self.weights}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """From a checkpoint."""
        self.loss, self.since, self.weights = (state_dict[name] for name in ("loss", "since", "weights"))
