"""Fitting the network: pytorch-lightning turns the loop, on one processor, one GPU, several, or several machines.

What is particular to excerpts of music stands in `learning`; where the batches come from, in `loading`;
how several processes are started, in `launching`.
"""

import logging
import os
import shutil
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.callbacks import EMAWeightAveraging, ModelCheckpoint

from earmark.errors import ParamsError
from earmark.model.network.examples import Examples, batches_per_epoch
from earmark.model.network.launching import is_first_process, launch, launched, processes_here
from earmark.model.network.learning import Best, Epoch, Heads, Learning, Settings
from earmark.model.network.loading import training_loader, validation_loader
from earmark.model.network.network import MusicNetwork
from earmark.params import Training

__all__ = ["Epoch", "Settings", "fit", "is_first_process"]

for _name in ("pytorch_lightning", "lightning.pytorch", "lightning_fabric", "lightning.fabric"):
    logging.getLogger(_name).setLevel(logging.WARNING)

Teller = Callable[[Epoch], None]


def fit(
    training: Examples,
    validation: Examples | None,
    settings: Settings,
    *,
    labels: Sequence[str] = (),
    tags: Sequence[str] = (),
    checkpoints: Path | None = None,
    on_epoch: Teller | None = None,
) -> tuple[MusicNetwork, list[Epoch]]:
    """Fit a network.

    Validation tracks draw the learning curve, and choose the epoch where ``training.patience`` says so; nothing else is
    chosen by them. With several devices on one machine, processes are started for them; under torchrun (several
    machines) each process calls this, and each gets the result.

    Args:
        training: What to learn from.
        validation: What to draw the curve on, or None.
        settings: How; ``training.start_from`` as seen from the working folder, or absolute.
        labels: Names of the genres, and
        tags: of the tags: heads are taken over from ``training.start_from`` where they have the same.
        checkpoints: A folder of this very training's own (same data, same settings). A training that was killed is
            carried on from there after its last whole epoch, with the same result as if it had run through; the folder
            is removed at the end. None: no checkpoints.
        on_epoch: Told of each epoch as it ends. With several devices it is sent to another process.

    Returns:
        The network with averaged weights, in evaluation mode, and its epochs.

    Raises:
        ParamsError: There are fewer devices than asked for, torchrun has started other processes than params.yaml says,
            the batch is too small for them, or there is patience and nothing to validate on.
        ModelError: The weights to start from do not fit, or one of several processes came to an end.
    """
    if settings.training.patience and validation is None:
        raise ParamsError(
            f"training.patience is {settings.training.patience}, but there are no validation tracks to stop by. Set it "
            "to 0, or split.validation_share above 0."
        )
    processes = processes_here(settings.training)
    names = tuple(labels), tuple(tags)
    if processes > 1 and not launched():
        return launch(processes, _fit, training, validation, settings, names, processes, checkpoints, on_epoch)
    return _fit(training, validation, settings, names, processes, checkpoints, on_epoch)


def precision_of(precision: str) -> str:
    """``training.precision`` in Lightning's words: what ``auto`` is on this machine."""
    if precision == "auto":
        if torch.cuda.is_available():
            precision = "bf16" if torch.cuda.is_bf16_supported() else "16"
        else:
            precision = "bf16" if torch.cpu._is_avx512_bf16_supported() else "32"
    return {"32": "32-true", "bf16": "bf16-mixed", "16": "16-mixed"}[precision]


def quiet_trainer(
    how: Training, *, epochs: int, callbacks: list[Callback], devices: int = 1, nodes: int = 1
) -> Trainer:
    """Lightning's trainer, without its logs and bars; checkpoints are kept where there is a callback for them."""
    return Trainer(
        max_epochs=epochs,
        accelerator="auto",
        devices=devices,
        num_nodes=nodes,
        strategy="ddp" if devices * nodes > 1 else "auto",
        precision=precision_of(how.precision),  # type: ignore[arg-type]
        callbacks=callbacks,
        gradient_clip_val=how.gradient_clip or None,
        logger=False,
        enable_checkpointing=any(isinstance(each, ModelCheckpoint) for each in callbacks),
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
    )


def be_deterministic() -> None:
    """Let the same seed give the same bits, on one machine."""
    torch.use_deterministic_algorithms(True, warn_only=True)
    # Nothing here reads memory before writing it, and filling it costs a tenth of the time.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # missing in the stub
    if torch.cuda.is_available():
        torch.set_float32_matmul_precision("high")


def _fit(
    training: Examples,
    validation: Examples | None,
    settings: Settings,
    names: tuple[tuple[str, ...], tuple[str, ...]],
    processes: int,
    checkpoints: Path | None,
    on_epoch: Teller | None,
) -> tuple[MusicNetwork, list[Epoch]]:
    how, frames = settings.training, settings.frames
    be_deterministic()
    torch.manual_seed(how.seed)
    sizes = training.genres.shape[1], training.tags.shape[2], training.places.shape[1]
    heads = Heads(*sizes, all_labelled=training.all_labelled)
    network = MusicNetwork(
        settings.network, mels=settings.frontend.mels, classes=heads.classes, tags=heads.tags, places=heads.places
    )
    if how.start_from:
        from earmark.model.encoders.loading import is_none
        from earmark.model.network.starting import start_from

        if not is_none(Path(how.start_from)):
            labels, tags = names
            start_from(network, Path(how.start_from), labels=labels, tags=tags, frontend=settings.frontend)
    steps = batches_per_epoch(len(training), how.excerpts_per_epoch, how.batch_size) * how.epochs
    module = Learning(network, settings, heads, steps=steps, on_epoch=on_epoch)
    callbacks: list[Callback] = [Best(how.patience)] if how.patience else []
    averaging = EMAWeightAveraging(decay=how.averaging) if how.averaging else None
    if averaging is not None:
        callbacks.append(averaging)
    last = None
    if checkpoints is not None:
        callbacks.append(ModelCheckpoint(checkpoints, filename="last", enable_version_counter=False))
        last = checkpoints / "last.ckpt"
    rank, ranks = int(os.environ.get("RANK", "0")), processes * how.nodes
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"pytorch_lightning|lightning|torch")
        trainer = quiet_trainer(how, epochs=how.epochs, callbacks=callbacks, devices=processes, nodes=how.nodes)
        trainer.fit(
            module,
            training_loader(training, how, frames=frames, epoch=lambda: module.current_epoch, rank=rank, ranks=ranks),
            None if validation is None else validation_loader(validation, frames=frames, rank=rank, ranks=ranks),
            ckpt_path=str(last) if last is not None and last.is_file() else None,
            weights_only=False,
        )
        if averaging is not None:
            averaging.on_train_end(trainer, module)  # the trainer leaves it out where the last epoch was done before
    if checkpoints is not None and is_first_process():
        shutil.rmtree(checkpoints, ignore_errors=True)
    network = module.network.cpu()
    best = next((each for each in callbacks if isinstance(each, Best)), None)
    if best is not None and best.weights is not None:
        network.load_state_dict(best.weights)
    return network.eval(), module.history
