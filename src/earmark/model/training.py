"""Fitting the network: pytorch-lightning turns the loop; here stands what is particular to excerpts of music.

AdamW with warm-up and cosine decay in one cycle (Smith and Topin, "Super-convergence", 2018), label smoothing, mixup,
SpecAugment, and an exponential average of the weights, which is what is kept.
"""

import logging
import math
import shutil
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import EMAWeightAveraging, ModelCheckpoint
from torch import Tensor
from torch.utils.data import DataLoader

from earmark.audio.augment import augment, mixup
from earmark.audio.spectrogram import frames_of
from earmark.model.examples import Examples, ExcerptDataset, ExcerptSampler
from earmark.model.network import GenreNetwork
from earmark.params import Augmentation, Frontend, Network, Training

logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)


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


def fit(
    training: Examples,
    validation: Examples | None,
    settings: Settings,
    *,
    classes: int,
    tags: int = 0,
    checkpoints: Path | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
) -> tuple[GenreNetwork, list[Epoch]]:
    """Fit a network.

    The number of epochs is fixed: validation tracks only draw the learning curve; no choice is made by them.

    Args:
        training: What to learn from.
        validation: What to draw the curve on, or None.
        settings: How.
        classes: How many genres.
        tags: How many tags the examples have.
        checkpoints: A folder of this very training's own (same data, same settings). A training that was killed is
            carried on from there after its last whole epoch, with the same result as if it had run through; the folder
            is removed at the end. None: no checkpoints.
        on_epoch: Told of each epoch as it ends.

    Returns:
        The network with averaged weights, in evaluation mode, and its epochs.
    """
    torch.use_deterministic_algorithms(True, warn_only=True)
    # Nothing here reads memory before writing it, and filling it costs a tenth of the time.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # missing in the stub
    torch.manual_seed(settings.training.seed)
    steps = _batches_per_epoch(training, settings.training) * settings.training.epochs
    module = _Fit(settings, classes=classes, tags=tags, steps=steps, on_epoch=on_epoch)
    callbacks: list[Callback] = []
    if settings.training.averaging:
        callbacks.append(EMAWeightAveraging(decay=settings.training.averaging))
    last = None
    if checkpoints is not None:
        callbacks.append(ModelCheckpoint(checkpoints, filename="last", enable_version_counter=False))
        last = checkpoints / "last.ckpt"
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"pytorch_lightning|lightning|torch")
        trainer = Trainer(
            max_epochs=settings.training.epochs,
            accelerator="auto",
            devices=1,
            callbacks=callbacks,
            gradient_clip_val=5.0,
            logger=False,
            enable_checkpointing=checkpoints is not None,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
        )
        trainer.fit(
            module,
            _training_loader(training, settings, module),
            None if validation is None else _validation_loader(validation, settings),
            ckpt_path=str(last) if last is not None and last.is_file() else None,
            weights_only=False,
        )
    if checkpoints is not None:
        shutil.rmtree(checkpoints, ignore_errors=True)
    return module.network.cpu().eval(), module.history


class _Fit(LightningModule):
    def __init__(
        self, settings: Settings, *, classes: int, tags: int, steps: int, on_epoch: Callable[[Epoch], None] | None
    ) -> None:
        super().__init__()
        self.network = GenreNetwork(settings.network, mels=settings.frontend.mels, classes=classes, tags=tags)
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch 2.11's stub
        self.settings = settings
        self.classes = classes
        self.steps = steps
        self.on_epoch = on_epoch
        self.history: list[Epoch] = []
        self.chance = torch.Generator()
        self._start_sums()

    def _start_sums(self) -> None:
        self.sums = {"training": np.zeros(3), "validation": np.zeros(3)}  # loss, right answers, number

    def on_train_epoch_start(self) -> None:
        # All chance of an epoch (dropout, augmentation) starts here, so that an epoch after a resume is the same epoch.
        seed = self.settings.training.seed * 100_003 + self.current_epoch
        torch.manual_seed(seed)
        self.chance.manual_seed(seed)
        self._start_sums()

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        # Augmented here, where chance is: on a GPU its masks would lie on the wrong side.
        if not self.trainer.training:
            return batch
        excerpts, *rest = batch
        return augment(excerpts, self.settings.augmentation, self.chance), *rest

    def training_step(self, batch: tuple[Tensor, ...], index: int) -> Tensor:
        excerpts, labels, *tags = batch
        targets = F.one_hot(labels, self.classes).float()
        if tags:
            # Mixed is what is known: a share counts in the mixture by its weight.
            share, weight = tags[0].unbind(dim=1)
            targets = torch.cat([targets, share * weight, weight], dim=1)
        excerpts, targets = mixup(excerpts, targets, self.settings.augmentation.mixup_alpha, self.chance)
        logits, tag_logits = self.network.heads(excerpts)
        targets, rest = targets[:, : self.classes], targets[:, self.classes :]
        loss = F.cross_entropy(logits, targets, label_smoothing=self.settings.training.label_smoothing)
        self._add("training", loss, logits.argmax(dim=1) == targets.argmax(dim=1))
        if tags:
            loss = torch.lerp(loss, _tag_loss(tag_logits, *rest.chunk(2, dim=1)), self.settings.training.tag_share)
        return loss

    def validation_step(self, batch: tuple[Tensor, ...], index: int) -> None:
        excerpts, labels, *_ = batch
        logits = self.network(excerpts)
        self._add("validation", F.cross_entropy(logits, labels), logits.argmax(dim=1) == labels)

    def on_train_epoch_end(self) -> None:
        means = {part: sums / sums[2] if sums[2] else np.full(3, np.nan) for part, sums in self.sums.items()}
        epoch = Epoch(
            epoch=self.current_epoch + 1,
            training_loss=float(means["training"][0]),
            training_accuracy=float(means["training"][1]),
            validation_loss=float(means["validation"][0]),
            validation_accuracy=float(means["validation"][1]),
            learning_rate=float(self.trainer.optimizers[0].param_groups[0]["lr"]),
        )
        self.history.append(epoch)
        if self.on_epoch is not None:
            self.on_epoch(epoch)

    def configure_optimizers(self) -> Any:
        how = self.settings.training
        # Norms and biases are left out of the decay: shrinking them regularises nothing.
        decayed = [p for p in self.network.parameters() if p.ndim > 1]
        kept = [p for p in self.network.parameters() if p.ndim <= 1]
        optimizer = torch.optim.AdamW(
            [{"params": decayed, "weight_decay": how.weight_decay}, {"params": kept, "weight_decay": 0.0}],
            lr=how.learning_rate,
        )
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, how.learning_rate, total_steps=self.steps, pct_start=how.warmup_share
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["history"] = self.history

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.history = list(checkpoint["history"])

    def _add(self, part: str, loss: Tensor, right: Tensor) -> None:
        number = len(right)
        self.sums[part] += (float(loss.detach()) * number, int(right.sum()), number)


def _tag_loss(logits: Tensor, weighted: Tensor, weight: Tensor) -> Tensor:
    """Binary cross-entropy with shares as targets, averaged over what is known; all of shape ``(batch, tags)``."""
    share = weighted / weight.clamp(min=1e-6)
    losses = F.binary_cross_entropy_with_logits(logits, share.clamp(0, 1), weight=weight, reduction="sum")
    return losses / weight.sum().clamp(min=1e-6)


def _batches_per_epoch(training: Examples, how: Training) -> int:
    return math.ceil(len(training) * how.excerpts_per_epoch / how.batch_size)


def _training_loader(training: Examples, settings: Settings, module: _Fit) -> DataLoader[Any]:
    how = settings.training
    sampler = ExcerptSampler(
        len(training),
        per_epoch=how.excerpts_per_epoch,
        batch_size=how.batch_size,
        seed=how.seed,
        epoch=lambda: module.current_epoch,
    )
    dataset = ExcerptDataset(training, frames=settings.frames)
    # A generator of its own: else the loader draws from dropout's, and after a resume at another moment.
    return DataLoader(dataset, batch_sampler=sampler, generator=torch.Generator())


def _validation_loader(validation: Examples, settings: Settings) -> DataLoader[Any]:
    """One excerpt from the middle of each track: enough for a curve."""
    keys = [(track, 0.5) for track in range(len(validation))]
    batches = [keys[start : start + 32] for start in range(0, len(keys), 32)]
    dataset = ExcerptDataset(validation, frames=settings.frames)
    return DataLoader(dataset, batch_sampler=batches, generator=torch.Generator())
