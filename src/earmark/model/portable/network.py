"""A network predictor as one module, from the waveform to calibrated answers, in arithmetic that can be exported.

`NetworkPredictor` stays the definition; this says the same with what ONNX knows: a Fourier transform as a product of
matrices, and excerpts of which there are always as many, those that fall together with weight 0.
"""

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from earmark.audio.spectrogram import LogMel, frames_of
from earmark.model.calibration.temperature import FLOOR
from earmark.model.network.network import MusicNetwork
from earmark.model.network.predictor import NetworkPredictor


class PortableNetwork(nn.Module):
    """Waveform to probabilities, shares and embedding, as `Predictor.answers` gives them, to float32's precision.

    Only what is heard is analysed: the cost does not grow with the recording, but for finding its level.
    """

    fourier: Tensor  # (n_fft, 2 · bins): window and transform; real and imaginary part of each bin side by side
    bank: Tensor  # (2 · bins, mels)
    slopes: Tensor | None  # (tags,)
    intercepts: Tensor | None  # (tags,)

    def __init__(self, predictor: NetworkPredictor) -> None:
        super().__init__()
        calibration = predictor.calibration
        self.frontend, self.count = predictor.frontend, predictor.how.excerpts
        self.frames = frames_of(predictor.how.excerpt_seconds, predictor.frontend)
        self.temperature = None if calibration is None else calibration.temperature
        self.networks = nn.ModuleList(_copied(network) for network in predictor.networks)
        log_mel = LogMel(predictor.frontend)
        lines = None if calibration is None else calibration.lines
        self.register_buffer("fourier", _fourier(log_mel.window))
        self.register_buffer("bank", log_mel.bank)
        self.register_buffer("slopes", torch.tensor(lines.slopes) if lines and lines.slopes else None)
        self.register_buffer("intercepts", torch.tensor(lines.intercepts) if lines and lines.slopes else None)

    def forward(self, waveform: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The answers to one recording.

        Args:
            waveform: Mono samples in [-1, 1] at the front-end's rate, float32, shape ``(time,)``; ``time`` at least
                `minimum_samples` of the predictor.

        Returns:
            Probabilities ``(labels,)``, shares of tags ``(tags,)``, and the embedding ``(dims,)``.
        """
        prepared = self._prepared(waveform)
        # A tensor, because ONNX's exporter takes no remainder by a length that is not known yet.
        length = torch.full((1,), 1 + waveform.shape[0] // self.frontend.hop)
        starts, weights = self._starts(length)
        excerpts = self._log_mels(prepared, starts, length)
        logs, shares = [], []
        place = torch.empty(0)
        for number, network in enumerate(self.networks):
            logits, tags, places = network(excerpts)
            logs.append(weights @ logits.log_softmax(dim=1))
            shares.append(weights @ tags.sigmoid())
            if number == 0:
                place = weights @ places
        genres = torch.stack(logs).mean(dim=0).softmax(dim=0)
        if self.temperature is not None:  # as `tempered`
            genres = (genres.clamp(min=FLOOR).log() / self.temperature).softmax(dim=0)
        return genres, self._straightened(torch.stack(shares).mean(dim=0)), place

    def _straightened(self, shares: Tensor) -> Tensor:
        """As `ShareLine.of`, if there are lines."""
        if self.slopes is None or self.intercepts is None:
            return shares
        return (self.intercepts + self.slopes * shares).clamp(0.0, 1.0)

    def _prepared(self, waveform: Tensor) -> Tensor:
        """As `LogMel` prepares it: one level, and half a window reflected on both ends; ``(time + n_fft,)``."""
        level = waveform.double().square().mean().sqrt().float()  # float32 would lose digits over a long recording
        gain = torch.where(level > LogMel.silence, LogMel.rms_level / level.clamp(min=LogMel.silence), 1.0)
        half = self.frontend.n_fft // 2
        return F.pad((waveform * gain)[None], (half, half), mode="reflect")[0]

    def _starts(self, length: Tensor) -> tuple[Tensor, Tensor]:
        """First frames of the excerpts, and how much each counts, both ``(excerpts,)``: as `excerpts.starts`.

        There are always as many; of those that fall together the first counts. Integers throughout: ``round`` goes to
        the nearest, and from the middle to the even one.
        """
        steps = max(self.count - 1, 1)
        along = (torch.arange(self.count) * (length - self.frames)).clamp(min=0)
        whole, rest = along // steps, along % steps
        up = (2 * rest > steps) | ((2 * rest == steps) & (whole % 2 == 1))
        starts = whole + up.long()
        new = torch.cat([torch.ones(1, dtype=torch.bool), starts[1:] > starts[:-1]]).float()
        return starts, new / new.sum()

    def _log_mels(self, prepared: Tensor, starts: Tensor, length: Tensor) -> Tensor:
        """Shape ``(excerpts, mels, frames)``; beyond the end of a short recording it begins anew."""
        frames = (starts[:, None] + torch.arange(self.frames)) % length
        samples = frames[:, :, None] * self.frontend.hop + torch.arange(self.frontend.n_fft)
        windows = prepared.index_select(0, samples.flatten()).view(samples.shape)
        power = (windows @ self.fourier).square() @ self.bank
        return torch.log10(1 + power).half().float().transpose(1, 2)  # half, because that is what the cache keeps


def _fourier(window: Tensor) -> Tensor:
    """``torch.fft.rfft(window · x)`` as a matrix for ``x``, shape ``(n_fft, 2 · bins)``."""
    size = len(window)
    transformed = torch.fft.rfft(torch.diag(window.double()))  # of each unit vector: (n_fft, bins)
    return torch.view_as_real(transformed).reshape(size, -1).float()


def _copied(network: MusicNetwork) -> MusicNetwork:
    """On the processor, for answering; the network given stays where it is."""
    return copy.deepcopy(network).cpu().eval().requires_grad_(False)
