"""Everything that is measured about a recording, in one pass over its sound.

Decoding costs most, so it is done once, to the end. The recording streams through in pieces of a second or two: memory
is bounded whatever its length, and Python's price is paid for each piece instead of for each frame of 26 ms. A second
listener (a fingerprint) can take part in the same pass.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from earmark.audio.bandwidth import Spectrum
from earmark.audio.clipping import FlatTops
from earmark.audio.decode import AudioInfo, open_recording
from earmark.audio.identity import SoundHash
from earmark.audio.loudness import KWeighting, integrated_lufs
from earmark.audio.samples import Resampler, Samples, joined, scaled, stored

Listener = Callable[[npt.NDArray[np.float32], int], None]

LISTENER_RATE_HZ = 8_000

_HOPS_A_SECOND = 10
_PIECE_HOPS = 20
_PIECE_SAMPLES = 1 << 20  # of all channels: many channels at a high rate take shorter pieces
_HELD_BYTES = 24 << 20
_SILENT_DBFS, _LOWEST_DBFS = -60.0, -120.0
_HIGHEST = 1e6  # 120 dB over full scale: beyond are no recordings, but numbers whose squares overflow


@dataclass(frozen=True)
class Measures:
    """What a recording's sound measures.

    Attributes:
        audio_hash: SHA-256 of the decoded sound, equal for equal sound (`earmark.audio.identity`).
        loudness_lufs: Integrated loudness by EBU R 128, in LUFS; None where all is below −70 LUFS, or it lasts less
            than 0.4 s.
        peak_dbfs: The highest sample, in dB relative to full scale; above 0 where a lossy decoder overshoots, −120 for
            digital silence.
        clipped_share: Share of the samples that lie in flat tops at full scale (`earmark.audio.clipping`).
        silent_share: Share of the time, in blocks of 100 ms, whose RMS over all channels is below −60 dBFS.
        bandwidth_hz: Above this frequency there is nothing but noise (`earmark.audio.bandwidth`); 0 for silence.
    """

    audio_hash: str
    loudness_lufs: float | None
    peak_dbfs: float
    clipped_share: float
    silent_share: float
    bandwidth_hz: float


@dataclass(frozen=True)
class Probe:
    """What a recording is, and what it measures."""

    info: AudioInfo
    measures: Measures


def measure(source: Path | bytes, *, listener: Listener | None = None) -> Probe:
    """What a recording is and measures, found out by decoding it once, to its end, without keeping it.

    Args:
        source: A path, or the bytes themselves.
        listener: Is given all of the sound, in order and in pieces: the mean of the channels, float32 of shape
            ``(time,)``, and its rate, which is 8,000 Hz. What it was given is worth nothing if this raises.

    Raises:
        AudioError: The same errors as `earmark.audio.decode.decode`.
    """
    # glibc takes blocks as large as one that was given back once from what it holds, not from the system: without this,
    # each piece's arrays are new pages, and measuring takes half as long again.
    np.empty(_HELD_BYTES, np.uint8)
    meter = _Meter(listener)
    with open_recording(source) as opened:
        for frame in joined(opened.frames(), _piece_samples):
            meter.add(frame)
        info = AudioInfo(opened.decoded_s, opened.rate_hz, opened.channels, opened.codec)
    return Probe(info, meter.measures())


class _Meter:
    """All measures of one recording; its rate and channels may change on the way."""

    def __init__(self, listener: Listener | None) -> None:
        self._mono = _Mono(listener) if listener else None
        self._hash = SoundHash()
        self._weighting: KWeighting | None = None
        self._stretch: tuple[int, tuple[str, ...]] = (0, ())
        self._energies: list[npt.NDArray[np.float64]] = []
        self._spectra: dict[int, Spectrum] = {}
        self._upper, self._lower = FlatTops(), FlatTops()
        self._peak = self._silent_s = self._all_s = 0.0
        self._samples = 0  # of all channels

    def add(self, frame: Any) -> None:
        rate_hz = int(frame.sample_rate)
        hop = _hop(rate_hz)
        numbers = stored(frame)
        samples, lowest, highest = _in_range(scaled(numbers, frame.layout.nb_channels))
        stretch = (rate_hz, tuple(channel.name for channel in frame.layout.channels))
        if self._weighting is None or self._stretch != stretch:
            self._weighting, self._stretch = KWeighting(*stretch), stretch
        self._energies.append(self._weighting.energies(samples, hop))
        self._spectra.setdefault(rate_hz, Spectrum(rate_hz, hop)).add(samples)
        self._hash.add(numbers, samples, rate_hz)
        self._upper.add(samples, highest)
        if lowest <= -0.99:
            self._lower.add(-samples, -lowest)
        self._peak = max(self._peak, highest, -lowest)
        self._samples += samples.size
        self._add_silence(samples, rate_hz, hop)
        if self._mono:
            self._mono.add(samples, rate_hz)

    def _add_silence(self, samples: Samples, rate_hz: int, hop: int) -> None:
        time = samples.shape[1]
        whole = time - time % hop
        blocks = samples[:, :whole].reshape(len(samples), -1, hop)
        energies = np.einsum("cht,cht->h", blocks, blocks) / (len(samples) * hop)
        silent = 10 ** (_SILENT_DBFS / 10)
        self._silent_s += float((energies < silent).sum()) * hop / rate_hz
        if whole < time and np.square(samples[:, whole:]).mean() < silent:
            self._silent_s += (time - whole) / rate_hz
        self._all_s += time / rate_hz

    def measures(self) -> Measures:
        if self._mono:
            self._mono.end()
        return Measures(
            audio_hash=self._hash.hexdigest(),
            loudness_lufs=integrated_lufs(self._energies),
            peak_dbfs=20 * math.log10(max(self._peak, 10 ** (_LOWEST_DBFS / 20))),
            clipped_share=(self._upper.samples + self._lower.samples) / self._samples,
            silent_share=min(1.0, self._silent_s / self._all_s),
            bandwidth_hz=max(spectrum.edge_hz() for spectrum in self._spectra.values()),
        )


class _Mono:
    """Hands the mean of the channels to a listener, at its rate."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._from_hz = 0
        self._resampler: Resampler | None = None

    def add(self, samples: Samples, rate_hz: int) -> None:
        if rate_hz != self._from_hz:
            self.end()
            self._from_hz = rate_hz
            self._resampler = Resampler(rate_hz, LISTENER_RATE_HZ) if rate_hz != LISTENER_RATE_HZ else None
        mono = samples.mean(axis=0, keepdims=True)
        for piece in self._resampler.push(mono) if self._resampler else (mono,):
            self._listener(piece[0], LISTENER_RATE_HZ)

    def end(self) -> None:
        if self._resampler:
            for piece in self._resampler.flush():
                self._listener(piece[0], LISTENER_RATE_HZ)


def _hop(rate_hz: int) -> int:
    """100 ms, in samples."""
    return round(rate_hz / _HOPS_A_SECOND)


def _piece_samples(rate_hz: int, channels: int) -> int:
    hop = _hop(rate_hz)
    return hop * max(1, min(_PIECE_HOPS, _PIECE_SAMPLES // (channels * hop)))


def _in_range(samples: Samples) -> tuple[Samples, float, float]:
    """The samples, free of what is no number and of what no recording holds; the lowest and the highest of them."""
    lowest, highest = float(samples.min()), float(samples.max())
    if lowest >= -_HIGHEST and highest <= _HIGHEST:  # false for no number, too
        return samples, lowest, highest
    samples = np.clip(np.nan_to_num(samples, posinf=1.0, neginf=-1.0), -_HIGHEST, _HIGHEST)
    return samples, float(samples.min()), float(samples.max())
