"""What moved the network: which frequencies and which seconds of a song speak for one genre rather than another."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from earmark.audio.spectrogram import frames_of
from earmark.model.material import Material
from earmark.model.network.network import MusicNetwork
from earmark.model.network.predictor import NetworkPredictor
from earmark.model.reasons.attribution import Why, mean_spectrum, why

Explain = Callable[[object, str, str], Why]

_STEPS = 32  # the answer moves smoothly between the mean spectrum and a song; the gap says how well it went
_EXCERPTS = 8
_BASELINE_SONGS = 64
_MOMENTS = 48


class _Rather(torch.nn.Module):
    """Log odds of one genre against another, ``(batch, 1)``: of several networks the mean, as they are combined."""

    def __init__(self, networks: Sequence[MusicNetwork], genre: int, other: int) -> None:
        super().__init__()
        self.networks, self.genre, self.other = torch.nn.ModuleList(networks), genre, other
        self.eval()

    def forward(self, excerpts: Tensor) -> Tensor:
        """Of excerpts ``(batch, mels, frames)``."""
        logits = torch.stack([network(excerpts)[0] for network in self.networks]).mean(dim=0)
        return (logits[:, self.genre] - logits[:, self.other])[:, None]


def explaining(network: NetworkPredictor, material: Material) -> Explain:
    """A function from a track's row, a genre and another to what speaks for the one rather than the other.

    Measured against what music sounds like on average: the mean spectrum of some training songs.
    """
    training = material.part("train")
    some = training.iloc[np.unique(np.linspace(0, len(training) - 1, _BASELINE_SONGS).round().astype(int))]
    baseline = mean_spectrum(material.log_mel(row) for row in some.itertuples())
    labels = list(network.labels)

    def explain(track: object, genre: str, other: str) -> Why:
        return why(
            _Rather(network.networks, labels.index(genre), labels.index(other)),
            material.log_mel(track),
            0,
            name=genre,
            frontend=network.frontend,
            frames=frames_of(network.how.excerpt_seconds, network.frontend),
            excerpts=min(network.how.excerpts, _EXCERPTS),
            moments=_MOMENTS,
            steps=_STEPS,
            baseline=baseline,
        )

    return explain


def loudest_stretch(found: Why, seconds: float) -> float:
    """Where to begin, in seconds, so that what follows speaks most for the genre."""
    step = found.moment_seconds[1] - found.moment_seconds[0] if len(found.moment_seconds) > 1 else seconds
    wide = max(1, min(len(found.moments), round(seconds / step)))
    sums = np.convolve(found.moments, np.ones(wide), mode="valid")
    return float(max(0.0, found.moment_seconds[int(sums.argmax())] - step / 2))


def as_rows(found: Why, bars: int = 16) -> pd.DataFrame:
    """Bands joined to ``bars`` of them: ``low_hz, high_hz, adds``."""
    pieces = np.array_split(np.arange(len(found.bands)), min(bars, len(found.bands)))
    edges = np.sqrt(found.band_hz[1:] * found.band_hz[:-1])
    ends = np.concatenate([[found.band_hz[0]], edges, [found.band_hz[-1]]])
    return pd.DataFrame(
        [{"low_hz": ends[own[0]], "high_hz": ends[own[-1] + 1], "adds": found.bands[own].sum()} for own in pieces]
    )
