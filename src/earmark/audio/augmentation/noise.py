"""Noise: white or pink, as it would come out of the front-end, added to the power of some excerpts."""

import functools

import torch
from torch import Generator, Tensor

from earmark.audio.augmentation.chance import normal, uniform
from earmark.params import Frontend

SPREAD_DB = 20.0  # from the least signal-to-noise ratio to the greatest


def noise(power: Tensor, share: float, least_snr_db: float, frontend: Frontend, generator: Generator) -> Tensor:
    """White or pink noise, by a coin's toss, added to a ``share`` of the excerpts; a share of 0 changes nothing.

    Args:
        power: Shape ``(batch, mels, frames)``, in any unit.
        share: Of the excerpts, those that get noise: each by its own draw.
        least_snr_db: The signal's mean power over the noise's, in decibels, is drawn from here to 20 dB more.
        frontend: Of which ``power`` comes.
        generator: Source of chance.
    """
    if not share:
        return power
    drawn = uniform(power, generator, each=3)
    chosen = (drawn[:, 0] < share).nonzero()[:, 0]
    signal, pink = power[chosen], drawn[chosen, 1] < 0.5
    snr_db = least_snr_db + SPREAD_DB * drawn[chosen, 2]
    level = signal.mean(dim=(1, 2)) * 10 ** (-snr_db / 10)
    noisy = signal.addcmul_(level[:, None, None], noise_like(signal, pink, frontend, generator))
    return power.index_copy(0, chosen, noisy)


def noise_like(power: Tensor, pink: Tensor, frontend: Frontend, generator: Generator) -> Tensor:
    """The power of noise alone, shaped like ``power``, of mean 1 over all bands; ``pink`` or white, ``(batch,)``.

    The power of Gaussian noise in a band has nearly a gamma distribution, its shape given by how many bins the band
    covers. It is drawn by the cube of a normal draw (Wilson and Hilferty, PNAS 1931), much faster than by itself.
    """
    means, shapes = (kinds.to(power)[pink.long()][..., None] for kinds in _kinds(frontend))  # (batch, mels, 1)
    cube_root = torch.addcmul(1 - 1 / (9 * shapes), normal(power, generator), 1 / (3 * shapes.sqrt())).clamp_(min=0)
    return cube_root.pow_(3).mul_(means)


@functools.lru_cache(maxsize=8)
def _kinds(frontend: Frontend) -> tuple[Tensor, Tensor]:
    """Of white and of pink noise: each band's mean power and its gamma distribution's shape, both ``(2, mels)``."""
    from torchaudio.functional import melscale_fbanks

    bins = frontend.n_fft // 2 + 1
    bank = melscale_fbanks(bins, frontend.f_min_hz, frontend.f_max_hz, frontend.mels, frontend.sample_rate_hz)
    pink = 1 / torch.arange(bins).clamp(min=1)
    weights = torch.stack([bank.T, bank.T * pink])  # (2, mels, bins)
    means = weights.sum(dim=2)
    # Squared correlations of a bin under a Hann window with itself, its neighbours, and theirs.
    spread = torch.zeros_like(means)
    for apart, squared in ((0, 1.0), (1, 2 * 4 / 9), (2, 2 / 36)):
        spread += squared * (weights[..., : bins - apart] * weights[..., apart:]).sum(dim=2)
    shapes = means**2 / spread.clamp(min=1e-12)
    return means / means.mean(dim=1, keepdim=True), shapes.clamp(min=0.5)
