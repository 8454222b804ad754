"""High and low tones, as a small catalogue that trees and kernels tell apart at once."""

import hashlib
import wave
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from earmark.audio.decode import decode
from earmark.audio.descriptors import describe
from earmark.catalogue.track import Track, write_tracks
from earmark.params import Params

RATE = 16000
COLLECTION = "tones"
GENRES = ("high", "low")
PITCHES = {"high": 2000.0, "low": 200.0}


def tones(root: Path, parts: Mapping[str, int]) -> list[Track]:
    """So many tones for each part of the split, high and low in turn, each of an artist of its own.

    Writes the recordings, data/catalogue.parquet and data/splits.parquet.
    """
    tracks, splits = [], []
    for split, count in parts.items():
        for number in range(count):
            genre = GENRES[number % 2]
            track = tone(root, f"{split}{number:02}", genre, PITCHES[genre] * (1 + len(tracks) / 200))
            tracks.append(track)
            splits.append({"track_id": track.track_id, "split": split, "group": track.group, "genre": genre})
    write_tracks(tracks, root / "data/catalogue.parquet")
    pd.DataFrame(splits).to_parquet(root / "data/splits.parquet")
    return tracks


def tone(root: Path, name: str, genre: str, pitch_hz: float) -> Track:
    """Write one, and say what the catalogue knows of it."""
    path = root / f"data/collections/{COLLECTION}/audio/{name}.wav"
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = 0.5 * np.sin(2 * np.pi * pitch_hz * np.arange(int(1.1 * RATE)) / RATE)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes((samples * 32767).astype("<i2").tobytes())
    content = hashlib.sha256(path.read_bytes()).hexdigest()
    relative, artist = path.relative_to(root).as_posix(), f"artist of {name}"
    return Track(f"{name}.wav", relative, content, 1.1, RATE, 1, "pcm_s16le", "folder", artist, genre=genre)


def described(root: Path, tracks: Sequence[Track]) -> np.ndarray:
    """Descriptors, shape ``(tracks, descriptors)``."""
    waveforms = [decode(root / track.path, sample_rate_hz=RATE, mono=True).waveform[0] for track in tracks]
    return np.stack([describe(waveform, RATE) for waveform in waveforms])


def genres_of(tracks: Sequence[Track]) -> np.ndarray:
    """Their places in `GENRES`, shape ``(tracks,)``."""
    return np.array([GENRES.index(track.genre or "") for track in tracks])


def learnt(tracks: Sequence[Track], params: Params) -> dict[str, Any]:
    """What every predictor that was trained on ``tracks`` says of itself."""
    return {
        "labels": GENRES,
        "frontend": params.frontend,
        "trained_on": frozenset(track.content_hash for track in tracks),
        "data_hash": "d" * 64,
    }
