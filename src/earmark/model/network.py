"""The network: a residual convolutional trunk on log-mel excerpts, and a head for each thing to learn: genre, tags.

The trunk follows the "short-chunk CNN with residual connections" that Won et al. found best among spectrogram models
of its size ("Evaluation of CNN-based automatic music tagging models", SMC 2020): small kernels, pooling by two, an
excerpt of a few seconds, and many excerpts heard per song.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from earmark.params import Network


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


class GenreNetwork(nn.Module):
    """Log-mel excerpts to genre logits.

    Args:
        size: Section ``network`` of params.yaml.
        mels: Bands of the spectrogram.
        classes: How many genres.
        tags: How many tags.
    """

    def __init__(self, size: Network, *, mels: int, classes: int, tags: int = 0) -> None:
        super().__init__()
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
        self.dropout = nn.Dropout(size.dropout)
        self.genre = nn.Linear(2 * inputs, classes)
        self.tags = nn.Linear(2 * inputs, tags) if tags else None

    def embedding(self, excerpts: Tensor) -> Tensor:
        """``(batch, mels, frames)`` → ``(batch, 2 · width)``: mean and maximum over time of the trunk's last layer."""
        x = self.level(excerpts).unsqueeze(1)
        x = self.trunk(self.stem(x)).mean(dim=2)
        return torch.cat([x.mean(dim=2), x.amax(dim=2)], dim=1)

    def forward(self, excerpts: Tensor) -> Tensor:
        """Genre logits, ``(batch, classes)``, of excerpts ``(batch, mels, frames)``."""
        return self.heads(excerpts)[0]

    def heads(self, excerpts: Tensor) -> tuple[Tensor, Tensor]:
        """Genre logits, ``(batch, classes)``, and tag logits, ``(batch, tags)``."""
        heard = self.dropout(self.embedding(excerpts))
        tags = heard.new_zeros((len(heard), 0)) if self.tags is None else self.tags(heard)
        return self.genre(heard), tags
