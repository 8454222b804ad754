"""Descriptors: 133 numbers that sum up a whole recording, for models that take a table.

Each curve over time (one value a frame) is summed up by its mean and standard deviation. What they describe:

* ``mfcc_*``: timbre. Mel-frequency cepstral coefficients and their changes (Davis and Mermelstein, 1980).
* ``contrast_*``: peaks against valleys in six octave bands, below them and above (Jiang et al., "Music type
  classification by spectral contrast feature", ICME 2002).
* ``chroma_*``: energy by pitch class, in the order of its strength, so that transposing a piece changes nothing.
* ``interval_*``: how alike the chroma is to itself, 1 … 6 semitones away: harmony, also free of the key.
* ``centroid``, ``bandwidth``, ``rolloff``, ``flatness``, ``zero_crossings``: brightness and noisiness.
* ``rms``: dynamics, relative to the recording's own level.
* ``tempogram_*``: how strongly the onsets repeat at eleven tempi (autocorrelation of the onset strength; Grosche and
  Müller, 2010); ``tempo_bpm``, ``tempo_strength``, ``onset_rate_hz``.

They are computed here, by torch in pieces that fit the cache, from the very waveform that the networks hear; librosa is
what they are checked against. Absolute loudness is left out: the level of a mastering goes with the genre and the year,
and would be learnt in place of the music; the catalogue keeps it, by EBU R 128 (`earmark.audio.loudness`).
"""

import math
from collections.abc import Iterator
from functools import cache
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from earmark.errors import AudioError

DESCRIPTORS_VERSION = 3  # raise it when the arithmetic changes, so that old cache entries are not taken for new ones
WINDOW_SECONDS, HOP_SECONDS = 0.064, 0.016
PITCH_WINDOW_SECONDS, PITCH_HOP_SECONDS = 0.256, 0.064  # long enough to tell semitones apart down to 130 Hz
MFCC, MELS = 20, 64
CONTRAST_EDGES_HZ = (100.0, 200.0, 400.0, 800.0, 1600.0, 3200.0, 6400.0)
TEMPI_BPM = (40, 50, 63, 79, 100, 120, 144, 173, 208, 250, 300)
_BRIGHTNESS = ("centroid_hz", "bandwidth_hz", "rolloff_hz", "flatness")
_EPSILON = 1e-10
_FRAMES_AT_ONCE = 128


def describe(waveform: Tensor, sample_rate_hz: int) -> NDArray[np.float64]:
    """Descriptors of a mono waveform.

    Args:
        waveform: Samples in [-1, 1], shape ``(time,)``, half a second at least.
        sample_rate_hz: Of the waveform.

    Returns:
        Shape ``(descriptors,)``, in the order of `descriptor_names`; finite also for silence.

    Raises:
        AudioError: The waveform is shorter than half a second.
    """
    if waveform.shape[-1] < sample_rate_hz // 2:
        raise AudioError(
            f"The recording lasts {waveform.shape[-1] / sample_rate_hz:.2f} s; descriptors need at least 0.50 s. "
            "Send a longer excerpt, or check that the file is not cut off."
        )
    return np.array(list(_describe(waveform, sample_rate_hz).values()), dtype=np.float64)


@cache
def descriptor_names() -> tuple[str, ...]:
    """The name of each descriptor, in order."""
    return tuple(_describe(torch.zeros(16_000), 16_000))


def _describe(waveform: Tensor, sample_rate_hz: int) -> dict[str, float]:
    with torch.inference_mode():
        level = waveform.square().mean().sqrt().clamp(min=1e-5)
        waveform = waveform / level * 0.1
        n_fft, hop = _window_and_hop(sample_rate_hz, WINDOW_SECONDS, HOP_SECONDS)
        hertz = torch.linspace(0, sample_rate_hz / 2, n_fft // 2 + 1)
        mels, contrasts, brightness = [], [], []
        for spectrum in _spectra(waveform, n_fft, hop):
            mels.append(spectrum.square() @ _mel_bank(sample_rate_hz, n_fft))
            contrasts.append(_contrast(spectrum, hertz))
            brightness.append(_brightness(spectrum, hertz))
        mel = torch.log10(_EPSILON + torch.cat(mels)).T  # (mels, frames)

        values: dict[str, float] = {}
        values |= _timbre(mel)
        for index, curve in enumerate(torch.cat(contrasts, dim=1)):
            values |= _summed_up(f"contrast_{index}", curve)
        values |= _harmony(waveform, sample_rate_hz)
        for name, curve in zip(_BRIGHTNESS, torch.cat(brightness, dim=1), strict=True):
            values |= _summed_up(name, curve)
        values |= _dynamics(waveform, n_fft, hop)
        values |= _rhythm(mel, sample_rate_hz / hop)
        return values


def _window_and_hop(sample_rate_hz: int, window_s: float, hop_s: float) -> tuple[int, int]:
    """In samples; the window a power of two."""
    return 2 ** round(math.log2(window_s * sample_rate_hz)), round(hop_s * sample_rate_hz)


def _spectra(waveform: Tensor, n_fft: int, hop: int, bins: int | None = None) -> Iterator[Tensor]:
    """Magnitudes of the lowest ``bins``, or of all: shape ``(frames, bins)``, in pieces that fit the cache."""
    short = max(0, n_fft // 2 + 1 - len(waveform))
    waveform = torch.nn.functional.pad(waveform, (0, short))  # reflection needs half a window of samples
    padded = torch.nn.functional.pad(waveform[None], (n_fft // 2, n_fft // 2), mode="reflect")[0]
    for windows in torch.split(padded.unfold(0, n_fft, hop), _FRAMES_AT_ONCE):
        spectrum = torch.fft.rfft(windows * _window(n_fft))[:, :bins]
        yield (spectrum.real.square() + spectrum.imag.square()).sqrt()


def _summed_up(name: str, curve: Tensor) -> dict[str, float]:
    """Mean and standard deviation of one curve over time, shape ``(frames,)``."""
    return {f"{name}_mean": float(curve.mean()), f"{name}_std": float(curve.std(correction=0))}


def _timbre(mel: Tensor) -> dict[str, float]:
    mfcc = _cosines(mel.shape[0]) @ mel  # (coefficients, frames)
    change = mfcc.diff(dim=1)
    values: dict[str, float] = {}
    for index in range(MFCC):
        values |= _summed_up(f"mfcc_{index}", mfcc[index])
        values[f"mfcc_change_{index}_std"] = float(change[index].std(correction=0))
    return values


def _contrast(spectrum: Tensor, hertz: Tensor) -> Tensor:
    """Shape ``(bands, frames)``."""
    curves = []
    edges = (0.0, *CONTRAST_EDGES_HZ, math.inf)
    for low, high in pairwise(edges):
        inside = torch.nonzero((hertz >= low) & (hertz < high))
        if len(inside):
            # NumPy's sort is several times as fast as torch's topk for rows as short as these.
            band = np.sort(spectrum[:, int(inside[0]) : int(inside[-1]) + 1].numpy(), axis=1)
        else:  # above half a low sample rate
            band = np.zeros((len(spectrum), 1), dtype=np.float32)
        edge = max(1, band.shape[1] // 5)
        peaks = np.log10(band[:, -edge:] + np.float32(1e-6)).mean(axis=1)
        valleys = np.log10(band[:, :edge] + np.float32(1e-6)).mean(axis=1)
        curves.append(torch.from_numpy(peaks - valleys))
    return torch.stack(curves)


def _harmony(waveform: Tensor, sample_rate_hz: int) -> dict[str, float]:
    n_fft, hop = _window_and_hop(sample_rate_hz, PITCH_WINDOW_SECONDS, PITCH_HOP_SECONDS)
    bank = _chroma_bank(sample_rate_hz, n_fft)
    spectra = _spectra(waveform, n_fft, hop, bins=len(bank))
    chroma = torch.cat([spectrum @ bank for spectrum in spectra]).T  # (12, frames)
    chroma = chroma / (chroma.sum(dim=0, keepdim=True) + _EPSILON)
    whole = chroma.mean(dim=1)
    values = {f"chroma_{rank}": float(share) for rank, share in enumerate(whole.sort(descending=True).values)}
    for semitones in range(1, 7):
        alike = (chroma * chroma.roll(semitones, dims=0)).sum(dim=0)
        values |= _summed_up(f"interval_{semitones}", alike)
    values |= _summed_up("chroma_flux", chroma.diff(dim=1).abs().sum(dim=0))
    values |= _summed_up("chroma_peak", chroma.amax(dim=0))
    return values


def _brightness(spectrum: Tensor, hertz: Tensor) -> Tensor:
    """One curve for each of `_BRIGHTNESS`, shape ``(4, frames)``."""
    whole = spectrum.sum(dim=1, keepdim=True)
    share = spectrum / (whole + _EPSILON)
    centroid = share @ hertz
    bandwidth = ((hertz - centroid[:, None]).square() * share).sum(dim=1).sqrt()
    rolloff = hertz[(spectrum.cumsum(dim=1) < 0.85 * whole).sum(dim=1).clamp(max=len(hertz) - 1)]  # of silence: 0
    power = spectrum.square() + _EPSILON
    flatness = torch.log10(power.log().mean(dim=1).exp() / power.mean(dim=1))
    return torch.stack([centroid, bandwidth, rolloff, flatness])


def _dynamics(waveform: Tensor, n_fft: int, hop: int) -> dict[str, float]:
    """Sums over windows that overlap, as differences of one running sum."""
    n_fft = min(n_fft, len(waveform))
    changes = torch.nn.functional.pad(waveform[1:] * waveform[:-1] < 0, (1, 0)).cumsum(dim=0, dtype=torch.int32)
    power = torch.zeros(len(waveform) + 1, dtype=torch.float64)
    power[1:] = waveform
    torch.cumsum(power.square_(), dim=0, out=power)  # where it lies: fresh memory costs more than the sums
    starts = torch.arange(0, len(waveform) - n_fft + 1, hop)
    crossings = (changes[starts + n_fft - 1] - changes[starts]) / (n_fft - 1)
    mean_square = ((power[starts + n_fft] - power[starts]) / n_fft).clamp(min=0).float()
    rms = torch.log10(mean_square.sqrt() + 1e-5)
    values = _summed_up("zero_crossings", crossings) | _summed_up("rms", rms)
    values["rms_range"] = float(torch.quantile(rms, 0.95) - torch.quantile(rms, 0.05))
    return values


def _rhythm(mel: Tensor, frames_per_s: float) -> dict[str, float]:
    onset = mel.diff(dim=1).clamp(min=0).mean(dim=0)
    values = _summed_up("onset", onset)
    centred = onset - onset.mean()
    peak = (centred[1:-1] > centred[:-2]) & (centred[1:-1] >= centred[2:]) & (centred[1:-1] > centred.std(correction=0))
    values["onset_rate_hz"] = float(peak.sum()) / (len(onset) / frames_per_s)
    size = 2 ** math.ceil(math.log2(2 * len(centred)))
    correlation = torch.fft.irfft(torch.fft.rfft(centred, size).abs().square())[: len(centred)]
    correlation = correlation / (correlation[0] + _EPSILON)
    lags = {bpm: round(60 * frames_per_s / bpm) for bpm in range(40, 301)}
    strength = {bpm: float(correlation[lag]) if lag < len(correlation) else 0.0 for bpm, lag in lags.items()}
    for bpm in TEMPI_BPM:
        values[f"tempogram_{bpm}"] = max(
            strength[near] for near in range(round(bpm / 1.06), round(bpm * 1.06)) if near in strength
        )
    # Of tempi an octave apart the one near 120 is preferred, as listeners do (Ellis, "Beat tracking by dynamic
    # programming", 2007).
    tempo = max(strength, key=lambda bpm: strength[bpm] * math.exp(-0.5 * (math.log2(bpm / 120) / 0.9) ** 2))
    values["tempo_bpm"], values["tempo_strength"] = float(tempo), strength[tempo]
    return values


@cache
def _window(n_fft: int) -> Tensor:
    return torch.hann_window(n_fft)


@cache
def _mel_bank(sample_rate_hz: int, n_fft: int) -> Tensor:
    from torchaudio.functional import melscale_fbanks

    bank: Tensor = melscale_fbanks(n_fft // 2 + 1, 30.0, sample_rate_hz / 2, MELS, sample_rate_hz)
    return bank


@cache
def _cosines(mels: int) -> Tensor:
    from torchaudio.functional import create_dct

    matrix: Tensor = create_dct(MFCC, mels, norm="ortho")
    return matrix.T


@cache
def _chroma_bank(sample_rate_hz: int, n_fft: int) -> Tensor:
    """Which bins belong to which pitch class, shape ``(bins, 12)``, C first: 60 to 4,200 Hz; no bins above."""
    hertz = torch.linspace(0, sample_rate_hz / 2, n_fft // 2 + 1)
    heard = (hertz >= 60) & (hertz <= 4200)
    pitch = 69 + 12 * torch.log2(hertz.clamp(min=1) / 440)
    away = (pitch[None] - torch.arange(12)[:, None] + 6) % 12 - 6
    highest = int(torch.nonzero(heard)[-1]) + 1
    return (torch.exp(-0.5 * (away / 0.35) ** 2) * heard).T[:highest].contiguous()
