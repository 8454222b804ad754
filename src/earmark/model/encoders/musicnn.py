"""musicnn: a network that was taught fifty Last.fm tags on the Million Song Dataset, as an encoder.

Pons and Serra, "musicnn: pre-trained convolutional neural networks for music audio tagging", ISMIR 2019 (late-breaking
demo); Pons et al., "End-to-end learning for music audio tagging at scale", ISMIR 2018. Its first layer is musically
motivated: filters as high as an octave or more for timbre, and as long as two seconds for rhythm.

Only the weights called ``MSD_musicnn`` are taken. The other ones, ``MTT_*``, were trained on MagnaTagATune: recordings
of the label Magnatune, of which public test sets consist too (Emotify), so that a score would be of songs that the
encoder has heard.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from earmark.model.encoders.encoder import Encoder, fill
from earmark.model.network.excerpts import spread

SAMPLE_RATE_HZ, N_FFT, HOP, MELS = 16_000, 512, 256, 96
FRAMES = 187  # of an excerpt: 3 s
EXCERPTS = 10
TIMBRE, RHYTHM, DEEPER, DENSE, TAGS = 204, 51, 64, 200, 50
POOLED = 2 * TIMBRE + 3 * RHYTHM + 3 * DEEPER
_EPSILON = 1e-3  # of batch normalisation, TensorFlow's default


class Frontend(nn.Module):
    """Waveform to log-mel as in musicnn: ``log10(1 + 10⁴ · power)``, mel scale after Slaney, the level untouched."""

    window: Tensor  # (n_fft,)
    bank: Tensor  # (bins, mels)

    def __init__(self) -> None:
        from torchaudio.functional import melscale_fbanks

        super().__init__()
        bank = melscale_fbanks(
            N_FFT // 2 + 1, 0.0, SAMPLE_RATE_HZ / 2, MELS, SAMPLE_RATE_HZ, norm="slaney", mel_scale="slaney"
        )
        self.register_buffer("window", torch.hann_window(N_FFT), persistent=False)
        self.register_buffer("bank", bank, persistent=False)

    def forward(self, waveform: Tensor) -> Tensor:
        """``(time,)`` → ``(frames, mels)``, ``frames = 1 + time // hop``."""
        spectrum = torch.stft(waveform, N_FFT, HOP, window=self.window, pad_mode="constant", return_complex=True)
        power = torch.view_as_real(spectrum).square().sum(dim=-1)
        return torch.log10(1 + 10_000 * (power.T @ self.bank))


class Layer(nn.Module):
    """A convolution over as many frames as came in, ReLU, and batch normalisation, in this order."""

    def __init__(self, convolution: nn.Conv1d | nn.Conv2d) -> None:
        super().__init__()
        norm = nn.BatchNorm1d if isinstance(convolution, nn.Conv1d) else nn.BatchNorm2d
        self.convolution = convolution
        self.norm = norm(convolution.out_channels, eps=_EPSILON)
        frames = convolution.kernel_size[0]
        around = ((frames - 1) // 2, frames // 2)  # TensorFlow's "same": of an odd number, the rest comes behind
        self._around = around if isinstance(convolution, nn.Conv1d) else (0, 0, *around)

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, inputs, …)`` → ``(batch, outputs, …)``."""
        normalised: Tensor = self.norm(F.relu(self.convolution(F.pad(x, self._around))))
        return normalised


class Musicnn(nn.Module):
    """The network, up to the logits of its tags."""

    def __init__(self) -> None:
        super().__init__()
        self.level = nn.BatchNorm2d(1, eps=_EPSILON)
        # Kernels are (frames, bands): 7 frames by 40 % and 70 % of the bands; 128, 64 and 32 frames of one band.
        self.timbre = nn.ModuleList(
            Layer(nn.Conv2d(1, TIMBRE, (7, bands))) for bands in (int(0.4 * MELS), int(0.7 * MELS))
        )
        self.rhythm = nn.ModuleList(Layer(nn.Conv2d(1, RHYTHM, (frames, 1))) for frames in (128, 64, 32))
        self.deeper = nn.ModuleList(
            Layer(nn.Conv1d(inputs, DEEPER, 7)) for inputs in (2 * TIMBRE + 3 * RHYTHM, DEEPER, DEEPER)
        )
        self.pooled = nn.BatchNorm1d(2 * POOLED, eps=_EPSILON)
        self.dense = nn.Linear(2 * POOLED, DENSE)
        self.penultimate = nn.BatchNorm1d(DENSE, eps=_EPSILON)
        self.tags = nn.Linear(DENSE, TAGS)

    def heard(self, excerpts: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Of log-mels ``(batch, frames, mels)``: mean and maximum over time, each ``(batch, pooled)``, and the
        penultimate layer, ``(batch, dense)``."""
        x = self.level(excerpts.unsqueeze(1))
        moments = [torch.cat([layer(x).amax(dim=3) for layer in (*self.timbre, *self.rhythm)], dim=1)]
        for layer in self.deeper:
            deeper = layer(moments[-1])
            moments.append(deeper if len(moments) == 1 else deeper + moments[-1])
        together = torch.cat(moments, dim=1)  # (batch, pooled, frames)
        mean, most = together.mean(dim=2), together.amax(dim=2)
        both = self.pooled(torch.stack([most, mean], dim=2).flatten(1))  # interleaved, as in the original
        return mean, most, self.penultimate(F.relu(self.dense(both)))

    def forward(self, excerpts: Tensor) -> Tensor:
        """``(batch, frames, mels)`` → logits of the tags ``(batch, tags)``."""
        logits: Tensor = self.tags(self.heard(excerpts)[2])
        return logits


@dataclass(frozen=True, eq=False)
class MusicnnEncoder(Encoder):
    """Ten excerpts of 3 s, spread evenly: means of what is pooled and of the penultimate layer, and its deviation."""

    network: Musicnn

    kind = "musicnn"
    version = 1

    @property
    def sample_rate_hz(self) -> int:
        """16,000."""
        return SAMPLE_RATE_HZ

    @property
    def dims(self) -> int:
        """Mean, maximum, penultimate layer, and its deviation."""
        return 2 * POOLED + 2 * DENSE

    def encode(self, waveform: Tensor) -> NDArray[np.float32]:
        """As `Encoder.encode`; a recording shorter than an excerpt is repeated to fill it."""
        with torch.inference_mode():
            log_mel = _FRONTEND(waveform).numpy()
            excerpts = torch.from_numpy(spread(log_mel, frames=FRAMES, count=EXCERPTS))
            # One after the other: ten at once fall out of the processor's cache and take 2.5 times as long.
            heard = [self.network.heard(excerpt[None]) for excerpt in excerpts]
            mean, most, penultimate = (torch.cat(parts) for parts in zip(*heard, strict=True))
            deviation = penultimate.std(dim=0, correction=min(1, len(penultimate) - 1))
            vector = torch.cat([mean.mean(dim=0), most.mean(dim=0), penultimate.mean(dim=0), deviation])
        return np.asarray(vector.numpy(), dtype=np.float32)

    def _settings(self) -> dict[str, Any]:
        return {}

    def _weights(self) -> Mapping[str, Tensor]:
        return self.network.state_dict()

    @classmethod
    def load(cls, about: dict[str, Any], weights: dict[str, Tensor]) -> Self:
        """As `Encoder.load`."""
        network = Musicnn()
        fill(network, weights, where="musicnn")
        return cls(frozenset(), network)


_FRONTEND = Frontend()

# What TensorFlow called the layers, here in the order in which it numbered them.
_BLOCKS = ("timbre.0", "timbre.1", "rhythm.0", "rhythm.1", "rhythm.2", "deeper.0", "deeper.1", "deeper.2")
_LAYERS = {f"{block}.convolution": f"conv2d_{i}".removesuffix("_0") for i, block in enumerate(_BLOCKS)}
_LAYERS |= {"dense": "dense", "tags": "dense_1"}
_NORMS = {
    name: f"batch_normalization_{i}".removesuffix("_0")
    for i, name in enumerate(("level", *(f"{block}.norm" for block in _BLOCKS), "pooled", "penultimate"))
}
_NORM = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}
VARIABLES = frozenset(
    {f"{name}/{part}" for name in _LAYERS.values() for part in ("kernel", "bias")}
    | {f"{name}/{part}" for name in _NORMS.values() for part in _NORM.values()}
)


def from_variables(variables: Mapping[str, NDArray[np.float32]]) -> MusicnnEncoder:
    """Of the variables of the published checkpoint, by the names that TensorFlow gave them: `VARIABLES`.

    Raises:
        ModelError: One has another shape.
    """
    weights: dict[str, Tensor] = {}
    for layer, name in _LAYERS.items():
        kernel = torch.from_numpy(np.array(variables[f"{name}/kernel"]))
        if layer.startswith("deeper"):
            kernel = kernel[:, :, 0].permute(2, 1, 0)  # (frames, inputs, 1, outputs): as wide as its input
        elif kernel.ndim == 4:
            kernel = kernel.permute(3, 2, 0, 1)  # (frames, bands, inputs, outputs)
        else:
            kernel = kernel.T  # (inputs, outputs)
        weights[f"{layer}.weight"] = kernel.contiguous()
        weights[f"{layer}.bias"] = torch.from_numpy(np.array(variables[f"{name}/bias"]))
    for norm, name in _NORMS.items():
        for ours, theirs in _NORM.items():
            weights[f"{norm}.{ours}"] = torch.from_numpy(np.array(variables[f"{name}/{theirs}"]))
        weights[f"{norm}.num_batches_tracked"] = torch.tensor(0)
    return MusicnnEncoder.load({}, weights)
