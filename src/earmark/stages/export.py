"""Stage `export`: the network as ONNX and as a program of torch.export, compared with it on real songs.

And as the ONNX file that the service computes with, which travels in the folder of every model that holds this network.
"""

import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
from torch import Tensor

from earmark.audio.accepted import waveform_of
from earmark.catalogue.reading import read_recording
from earmark.files import write_json
from earmark.model.material import load_material
from earmark.model.network.predictor import GRAPH
from earmark.model.portable.agreement import TOLERANCE, compared, demand
from earmark.model.portable.excerpts import export_excerpts
from earmark.model.portable.files import export_all, exportable
from earmark.model.predictor import load_predictor
from earmark.params import Params
from earmark.workspace import NETWORK, PORTABLE, PORTABLE_SUMMARY

_SONGS = 20  # decoded anew, a second or so each; `make bench-portable` compares hundreds


def run(params: Params, root: Path) -> None:
    """Write models/portable and reports/portable.json: the largest differences, over up to 20 test songs.

    Raises:
        ModelError: There is no network, or what was exported answers otherwise.
    """
    predictor = load_predictor(root / NETWORK)
    export_all(predictor, root / PORTABLE)
    export_excerpts(exportable(predictor), root / PORTABLE / GRAPH)
    songs = _some(load_material(root, params.frontend).part("test"))
    found = compared(predictor, root / PORTABLE, _waveforms(songs, root, predictor.frontend.sample_rate_hz))
    for name, difference in found.items():
        print(f"{name:8s} differs by {difference.largest:.1e} at most, on {len(songs)} songs", file=sys.stderr)
    demand(found)
    told = {name: asdict(difference) for name, difference in found.items()}
    write_json(root / PORTABLE_SUMMARY, {**told, "tolerance": TOLERANCE, "songs": len(songs)})


def _some(tracks: pd.DataFrame) -> pd.DataFrame:
    """Evenly spread over the tracks, in their order."""
    chosen = np.linspace(0, len(tracks) - 1, min(_SONGS, len(tracks))).round().astype(int)
    return tracks.iloc[chosen]


def _waveforms(tracks: pd.DataFrame, root: Path, sample_rate_hz: int) -> Iterator[Tensor]:
    for path, name in zip(tracks["path"], tracks["content_hash"], strict=True):
        yield waveform_of(read_recording(root, path, name), sample_rate_hz)
