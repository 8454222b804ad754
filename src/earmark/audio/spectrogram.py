"""Waveform to log-mel spectrogram: the network's front-end, set by params.yaml (section ``frontend``)."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from earmark.errors import AudioError
from earmark.params import Frontend, to_dict

_COMPRESSION = 10_000.0
# A processor is fastest where a piece stays in its cache, a GPU where it is large.
_VALUES_AT_ONCE = defaultdict(lambda: 1 << 26, cpu=1 << 17)


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
    window: Tensor  # (n_fft,)
    bank: Tensor  # (2 · bins, mels)

    def __init__(self, frontend: Frontend) -> None:
        from torchaudio.functional import melscale_fbanks

        super().__init__()
        self.frontend = frontend
        bank = melscale_fbanks(
            n_freqs=frontend.n_fft // 2 + 1,
            f_min=frontend.f_min_hz,
            f_max=frontend.f_max_hz,
            n_mels=frontend.mels,
            sample_rate=frontend.sample_rate_hz,
        )
        self.register_buffer("window", torch.hann_window(frontend.n_fft))
        # Each bin twice: real and imaginary part are squared where they lie, and the bank adds them up.
        self.register_buffer("bank", _COMPRESSION * bank.repeat_interleave(2, dim=0))

    def forward(self, waveform: Tensor) -> Tensor:
        """Log-mel of ``waveform``.

        Args:
            waveform: Samples in [-1, 1], shape ``(..., time)``; ``time`` at least ``n_fft``.

        Returns:
            Values ≥ 0, shape ``(..., mels, frames)``, ``frames = 1 + time // hop``.

        Raises:
            AudioError: ``waveform`` is shorter than one window.
        """
        prepared = self._prepared(waveform.reshape(-1, waveform.shape[-1]))
        return self._log_mel(prepared).transpose(1, 2).reshape(*waveform.shape[:-1], self.frontend.mels, -1)

    def batch(self, waveforms: Sequence[Tensor]) -> list[Tensor]:
        """Log-mels of mono waveforms ``(time,)`` of different lengths, computed together: each ``(frames, mels)``.

        Each is what `forward` says of it alone.
        """
        frames = [1 + len(waveform) // self.frontend.hop for waveform in waveforms]
        prepared = [self._prepared(waveform[None])[0] for waveform in waveforms]
        together = self._log_mel(nn.utils.rnn.pad_sequence(prepared, batch_first=True))
        return [log_mel[:count] for log_mel, count in zip(together, frames, strict=True)]

    def _prepared(self, waveforms: Tensor) -> Tensor:
        """One level for all, and half a window reflected on both ends: ``(n, time)`` to ``(n, time + n_fft)``."""
        if waveforms.shape[-1] < self.frontend.n_fft:
            raise AudioError(
                f"The recording has {waveforms.shape[-1]} samples; one analysis window needs {self.frontend.n_fft}. "
                "Send a longer excerpt, or check that the file is not cut off."
            )
        level = waveforms.square().mean(dim=-1, keepdim=True).sqrt()
        gain = torch.where(level > self.silence, self.rms_level / level.clamp(min=self.silence), torch.ones_like(level))
        return nn.functional.pad(waveforms * gain, (self.frontend.n_fft // 2, self.frontend.n_fft // 2), mode="reflect")

    def _log_mel(self, prepared: Tensor) -> Tensor:
        """Shape ``(n, time + n_fft)`` to ``(n, frames, mels)``."""
        windows = prepared.unfold(-1, self.frontend.n_fft, self.frontend.hop)
        one = torch.ones((), device=prepared.device)
        log_mels = []
        frames = max(1, _VALUES_AT_ONCE[prepared.device.type] // (len(prepared) * self.frontend.n_fft))
        for piece in torch.split(windows, frames, dim=1):
            squares = torch.view_as_real(torch.fft.rfft(piece * self.window)).flatten(-2).square_()
            mels = torch.addmm(one, squares.flatten(0, 1), self.bank)  # 1 + 10⁴ · power
            log_mels.append(mels.log10_().view(*piece.shape[:2], -1))
        return torch.cat(log_mels, dim=1)


def frames_of(seconds: float, frontend: Frontend) -> int:
    """How many frames cover ``seconds``."""
    return max(1, round(seconds * frontend.sample_rate_hz / frontend.hop))


def frontend_hash(frontend: Frontend) -> str:
    """A short name for these settings, and for this file's arithmetic: part of a cache entry's key."""
    return hashlib.sha256(json.dumps([_VERSION, to_dict(frontend)], sort_keys=True).encode()).hexdigest()[:16]


_VERSION = 1  # raise it when the arithmetic above changes, so that old cache entries are not taken for new ones
