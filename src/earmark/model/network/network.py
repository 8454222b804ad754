"""The network: a residual convolutional trunk on log-mel excerpts, and a head for each thing to learn.

The trunk follows the "short-chunk CNN with residual connections" that Won et al. found best among spectrogram models
of its size ("Evaluation of CNN-based automatic music tagging models", SMC 2020): small kernels, pooling by two, an
excerpt of a few seconds, and many excerpts heard per song. Over time it is pooled by mean and maximum, or by attentive
statistics (Okabe et al., "Attentive statistics pooling for deep speaker embedding", Interspeech 2018).
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from earmark.params import Network


@dataclass(frozen=True)
class Size:
    """Channels of the stem and of the first block, and how many residual blocks; each further block doubles them."""

    channels: int
    blocks: int


SIZES = {
    "tiny": Size(channels=4, blocks=2),  # to see that everything runs
    "small": Size(channels=16, blocks=4),  # learns a few hundred songs on two cores in minutes
    "large": Size(channels=64, blocks=5),  # for a GPU
}


class Residual(nn.Module):
    """Two 3 × 3 convolutions beside a shortcut, after pooling by ``pool`` (1: none)."""

    def __init__(self, inputs: int, outputs: int, *, pool: int) -> None:
        super().__init__()
        self.pool = nn.MaxPool2d(pool) if pool > 1 else nn.Identity()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.shortcut: nn.Module = nn.Identity()
        if inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, inputs, bands, frames)`` → ``(batch, outputs, bands / pool, frames / pool)``."""
        x = self.pool(x)
        return F.relu(self.body(x) + self.shortcut(x))


class MeanMax(nn.Module):
    """Mean and maximum over time: ``(batch, width, frames)`` → ``(batch, 2 · width)``."""

    def forward(self, x: Tensor) -> Tensor:
        """As above."""
        return torch.cat([x.mean(dim=2), x.amax(dim=2)], dim=1)


class Attention(nn.Module):
    """Mean and deviation over time, each moment by the weight it is given: as `MeanMax` in shapes."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weigh = nn.Sequential(nn.Conv1d(width, width // 2, 1), nn.Tanh(), nn.Conv1d(width // 2, width, 1))

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, width, frames)`` → ``(batch, 2 · width)``."""
        weights = self.weigh(x).softmax(dim=2)
        mean = (weights * x).sum(dim=2)
        variance = (weights * x.square()).sum(dim=2) - mean.square()
        return torch.cat([mean, variance.clamp(min=1e-5).sqrt()], dim=1)


class MusicNetwork(nn.Module):
    """Log-mel excerpts to genre logits, logits of tags, and an embedding.

    Args:
        how: Section ``network`` of params.yaml.
        mels: Bands of the spectrogram.
        classes: How many genres.
        tags: How many tags: whatever is told as a share of listeners.
        places: Dimensions of an embedding that is trained; 0: what the trunk hears is the embedding.
    """

    def __init__(self, how: Network, *, mels: int, classes: int, tags: int = 0, places: int = 0) -> None:
        super().__init__()
        size = SIZES[how.size]
        # Widths double with each halving of the resolution, up to eight times the first: c, 2c, 4c, 8c, 8c …
        widths = [size.channels * min(2**block, 8) for block in range(size.blocks)]
        self.level = nn.BatchNorm1d(mels)
        self.stem = nn.Sequential(
            nn.Conv2d(1, size.channels, 5, stride=2, padding=2, bias=False), nn.BatchNorm2d(size.channels), nn.ReLU()
        )
        blocks = []
        inputs = size.channels
        for index, outputs in enumerate(widths):
            blocks.append(Residual(inputs, outputs, pool=1 if index == 0 else 2))
            inputs = outputs
        self.trunk = nn.Sequential(*blocks)
        self.pooling = Attention(inputs) if how.pooling == "attention" else MeanMax()
        self.dropout = nn.Dropout(how.dropout)
        self.width = 2 * inputs
        self.genre = nn.Linear(self.width, classes)
        self.tags = nn.Linear(self.width, tags) if tags else None
        self.place = nn.Linear(self.width, places) if places else None

    def heard(self, excerpts: Tensor) -> Tensor:
        """``(batch, mels, frames)`` → ``(batch, width)``: the trunk's last layer, pooled over bands and time."""
        x = self.level(excerpts).unsqueeze(1)
        pooled: Tensor = self.pooling(self.trunk(self.stem(x)).mean(dim=2))
        return pooled

    def forward(self, excerpts: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Of excerpts ``(batch, mels, frames)``: genre logits ``(batch, classes)``, tag logits ``(batch, tags)`` and
        embeddings ``(batch, dims)``: what is heard itself, where none is trained."""
        heard = self.heard(excerpts)
        dropped = self.dropout(heard)
        tags = heard.new_zeros((heard.shape[0], 0)) if self.tags is None else self.tags(dropped)
        return self.genre(dropped), tags, heard if self.place is None else self.place(dropped)
