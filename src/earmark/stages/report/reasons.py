"""What moved the network: which frequencies and which seconds of a song speak for one genre rather than another."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from earmark.audio.spectrogram import frames_of
from earmark.model.material import Material
from earmark.model.network.predictor import NetworkPredictor
from earmark.model.reasons.attribution import Why, mean_spectrum
from earmark.model.reasons.explaining import explain_song

Explain = Callable[[object, str, str], Why]

_STEPS = 32  # the answer moves smoothly between the mean spectrum and a song; the gap says how well it went
_EXCERPTS = 8  # at most
_BASELINE_SONGS = 64
_MOMENTS = 48


def explaining(network: NetworkPredictor, material: Material) -> Explain:
    """A function from a track's row, a genre and another to what speaks for the one rather than the other.

    Measured against what music sounds like on average: the mean spectrum of some training songs.
    """
    training = material.part("train")
    some = training.iloc[np.unique(np.linspace(0, len(training) - 1, _BASELINE_SONGS).round().astype(int))]
    baseline = mean_spectrum(material.log_mel(row) for row in some.itertuples())
    frames = frames_of(network.how.excerpt_seconds, network.frontend)

    def explain(track: object, genre: str, other: str) -> Why:
        log_mel = material.log_mel(track)
        twice = 2 * -(-len(log_mel) // frames)  # excerpts by which every moment is heard about twice
        return explain_song(
            network,
            log_mel,
            genre,
            rather_than=other,
            excerpts=min(network.how.excerpts, _EXCERPTS, twice),
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
