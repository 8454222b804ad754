"""Pretraining: the network's trunk learns to hear from recordings without labels, before it is taught any.

`training.start_from` takes it from there. How it learns stands in `contrast`; several devices are not
used: the more recordings one batch tells apart, the better, and a batch lives on one of them.
"""

import io
import shutil
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from pytorch_lightning import Callback
from pytorch_lightning.callbacks import ModelCheckpoint

from earmark.audio.features import LogMelArray
from earmark.errors import CatalogueError
from earmark.files import replacing
from earmark.model.encoders.network_encoder import is_head
from earmark.model.network.contrast import Contrasting, PairSampler, Passed
from earmark.model.network.examples import Examples
from earmark.model.network.learning import Settings
from earmark.model.network.loading import loader
from earmark.model.network.network import MusicNetwork
from earmark.model.network.training import be_deterministic, quiet_trainer
from earmark.params import Pretraining

__all__ = ["Passed", "pretrain", "save_trunk"]


def pretrain(
    log_mels: Sequence[LogMelArray],
    settings: Settings,
    how: Pretraining,
    *,
    checkpoints: Path | None = None,
    on_epoch: Callable[[Passed], None] | None = None,
) -> MusicNetwork:
    """Fit a network's trunk to recordings without labels.

    Args:
        log_mels: One array ``(frames, mels)`` a recording; copies of one recording would be told from each other.
        settings: Front-end and network; of the section ``training`` the warm-up, weight decay, gradient clip and
            precision. Its augmentation is not used: see `earmark.model.network.contrast.pretext`.
        how: Section ``pretraining`` of params.yaml.
        checkpoints: A folder of this very pretraining's own. One that was killed is carried on from there after its
            last whole epoch, with the same result as if it had run through; the folder is removed at the end. None: no
            checkpoints.
        on_epoch: Told of each epoch as it ends.

    Returns:
        The network in evaluation mode; its heads have learnt nothing.

    Raises:
        CatalogueError: There are fewer than two recordings.
    """
    if len(log_mels) < 2:
        raise CatalogueError(
            f"There are {len(log_mels)} recordings to learn from, and telling them apart takes 2 or more. Import more "
            "music, labelled or not; recordings of the test side are not heard."
        )
    be_deterministic()
    torch.manual_seed(how.seed)
    network = MusicNetwork(settings.network, mels=settings.frontend.mels, classes=1)
    sampler = PairSampler(len(log_mels), batch_size=how.batch_size, seed=how.seed, epoch=lambda: module.current_epoch)
    module = Contrasting(network, settings, how, steps=len(sampler) * how.epochs, on_epoch=on_epoch)
    callbacks: list[Callback] = []
    last = None
    if checkpoints is not None:
        callbacks.append(ModelCheckpoint(checkpoints, filename="last", enable_version_counter=False))
        last = checkpoints / "last.ckpt"
    recordings = Examples.of(log_mels, np.zeros(len(log_mels), np.int64), classes=1)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"pytorch_lightning|lightning|torch")
        quiet_trainer(settings.training, epochs=how.epochs, callbacks=callbacks).fit(
            module,
            loader(recordings, sampler, frames=settings.frames),
            ckpt_path=str(last) if last is not None and last.is_file() else None,
            weights_only=False,
        )
    if checkpoints is not None:
        shutil.rmtree(checkpoints, ignore_errors=True)
    return module.network.cpu().eval()


def save_trunk(network: MusicNetwork, file: Path) -> Path:
    """Write what a network has learnt to hear, without heads, for ``training.start_from``; where it lies then."""
    content = (
        io.BytesIO()
    )  # given a path, torch writes the file's name into it, and equal weights would differ in bytes
    torch.save({k: v.detach().cpu().contiguous() for k, v in network.state_dict().items() if not is_head(k)}, content)
    with replacing(file) as part:
        part.write_bytes(content.getvalue())
    return file
