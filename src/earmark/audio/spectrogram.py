"""Waveform to log-mel spectrogram: the network's front-end, set by params.yaml (section ``frontend``)."""

import hashlib
import json

import torch
from torch import Tensor, nn

from earmark.errors import AudioError
from earmark.params import Frontend, to_dict


class LogMel(nn.Module):
    """Log-compressed mel spectrogram of mono waveforms at ``frontend.sample_rate_hz``.

    The power in each mel band (HTK scale, Slaney's area normalisation off) is compressed by ``log10(1 + 10⁴ · power)``:
    silence lies at exactly 0 and quiet parts are not blown up, as ``log(power + ε)`` would do (the compression of Won
    et al., "Evaluation of CNN-based automatic music tagging models", SMC 2020, is a decibel scale; this one is Pons et
    al., "End-to-end learning for music audio tagging at scale", ISMIR 2018).

    Each waveform is first brought to the same root mean square, so that loudness, which mastering decides, is not what
    the network learns.
    """

    rms_level = 0.1
    silence = 1e-5

    def __init__(self, frontend: Frontend) -> None:
        from torchaudio.transforms import MelSpectrogram

        super().__init__()
        self.frontend = frontend
        self.mel = MelSpectrogram(
            sample_rate=frontend.sample_rate_hz,
            n_fft=frontend.n_fft,
            hop_length=frontend.hop,
            n_mels=frontend.mels,
            f_min=frontend.f_min_hz,
            f_max=frontend.f_max_hz,
            power=2.0,
        )

    def forward(self, waveform: Tensor) -> Tensor:
        """Log-mel of ``waveform``.

        Args:
            waveform: Samples in [-1, 1], shape ``(..., time)``; ``time`` at least ``n_fft``.

        Returns:
            Values ≥ 0, shape ``(..., mels, frames)``, ``frames = 1 + time // hop``.

        Raises:
            AudioError: ``waveform`` is shorter than one window.
        """
        if waveform.shape[-1] < self.frontend.n_fft:
            raise AudioError(
                f"The recording has {waveform.shape[-1]} samples; one analysis window needs {self.frontend.n_fft}. "
                "Send a longer excerpt, or check that the file is not cut off."
            )
        level = waveform.square().mean(dim=-1, keepdim=True).sqrt()
        gain = torch.where(level > self.silence, self.rms_level / level.clamp(min=self.silence), torch.ones_like(level))
        return torch.log10(1 + 10_000 * self.mel(waveform * gain))


def frames_of(seconds: float, frontend: Frontend) -> int:
    """How many frames cover ``seconds``."""
    return max(1, round(seconds * frontend.sample_rate_hz / frontend.hop))


def frontend_hash(frontend: Frontend) -> str:
    """A short name for these settings, and for this file's arithmetic: part of a cache entry's key."""
    return hashlib.sha256(json.dumps([_VERSION, to_dict(frontend)], sort_keys=True).encode()).hexdigest()[:16]


_VERSION = 1  # raise it when the arithmetic above changes, so that old cache entries are not taken for new ones
