"""Stage `explain`: which frequency bands the network heeds for each genre, and whether that is true.

Attributions (integrated gradients) are told for songs of the validation part; where the split has left none, for songs
of training. They are true where wiping out what they name hurts the answer more than wiping out as much at random. What
stands for "nothing is there", silence or the mean spectrum, is chosen by the same test on training songs, so that it is
not chosen by songs that are reported on.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from earmark.errors import ModelError
from earmark.files import replacing, write_json
from earmark.model.material import load_material
from earmark.model.network.predictor import NetworkPredictor
from earmark.model.predictor import load_predictor
from earmark.model.reasons.attribution import band_centres_hz, gain_of, mean_spectrum
from earmark.model.reasons.explaining import Heeded, chosen_baseline, explain_class
from earmark.params import Evaluation, Explanation, Params
from earmark.workspace import ATTRIBUTION, ATTRIBUTION_SUMMARY, NETWORK

MEAN_OF = 64  # training songs


def run(params: Params, root: Path) -> None:
    """Write reports/attribution.json and attribution.csv.

    Raises:
        ModelError: The network is missing.
    """
    network = load_predictor(root / NETWORK)
    if not isinstance(network, NetworkPredictor):
        raise ModelError(f"{NETWORK} holds a {network.kind}, not a network. `dvc repro train` makes one.")
    material = load_material(root, params.frontend)
    how, training = params.explanation, material.part("train")
    part = "train" if material.part("validation").empty else "validation"
    some = training.iloc[np.unique(np.linspace(0, len(training) - 1, MEAN_OF).round().astype(int))]
    baselines = {
        "silence": torch.zeros(network.frontend.mels, 1),
        "mean spectrum": mean_spectrum(material.log_mel(track) for track in some.itertuples()),
    }
    by_class = {
        label: [material.log_mel(track) for track in _some(training, label, how).itertuples()]
        for label in material.labels
    }
    chosen = chosen_baseline(network, by_class, baselines, how)
    heeded = []
    for label in material.labels:
        tracks = _some(material.part(part), label, how)
        if len(tracks):
            log_mels = [material.log_mel(track) for track in tracks.itertuples()]
            groups = tracks["group"].to_numpy(object)
            heeded.append(
                explain_class(network, log_mels, groups, label, how, params.evaluation, baseline=baselines[chosen])
            )
    summary = summarise(heeded, params.evaluation, how)
    bands = table(heeded, network)
    for name, rows in bands.groupby("class", sort=False):
        summary["classes"][str(name)]["bands"] = rows.drop(columns="class").to_dict("list")
    spectrum = [float(f"{value:.6g}") for value in baselines[chosen].flatten().tolist()]
    write_json(root / ATTRIBUTION_SUMMARY, {"part": part, "baseline": chosen, "baseline_spectrum": spectrum, **summary})
    with replacing(root / ATTRIBUTION) as path:
        bands.to_csv(path, index=False, float_format="%.6g", lineterminator="\n")
    print(
        f"explain: {summary['songs']} songs against {chosen}; wiping out what is named costs {summary['gain']:+.3f} "
        f"[{summary['gain_low']:+.3f}, {summary['gain_high']:+.3f}] of the probability more than at random",
        file=sys.stderr,
    )


def summarise(heeded: list[Heeded], how: Evaluation, explanation: Explanation) -> dict[str, Any]:
    """``gain`` with its interval over all songs, and by class with ``songs`` and ``gap``: the deletion test."""
    gains = np.concatenate([one.gains for one in heeded], axis=1)
    groups = np.concatenate([one.groups for one in heeded])
    return {
        "songs": sum(one.songs for one in heeded),
        **_rounded(gain_of(gains, groups, how, seed=explanation.seed).flat("gain")),
        "classes": {
            one.label: {
                "songs": one.songs,
                **_rounded(gain_of(one.gains, one.groups, how, seed=explanation.seed).flat("gain")),
                **_rounded({"gap": one.gap}),
            }
            for one in heeded
        },
    }


def table(heeded: list[Heeded], network: NetworkPredictor) -> pd.DataFrame:
    """``class, band_hz, importance, low, high``: what each band adds to the log odds of its class, in nats."""
    hertz = band_centres_hz(network.frontend)
    frames = [
        pd.DataFrame(
            {
                "class": one.label,
                "band_hz": hertz.round(1),
                "importance": one.bands,
                "low": one.bands_low,
                "high": one.bands_high,
            }
        )
        for one in heeded
    ]
    found = pd.concat(frames, ignore_index=True)
    for name in ("importance", "low", "high"):
        found[name] = [float(f"{value:.6g}") for value in found[name]]
    return found


def _some(tracks: pd.DataFrame, label: str, how: Explanation) -> pd.DataFrame:
    """``songs_per_class`` of a label's songs, drawn at random; as many artists among them as can be."""
    own = tracks[tracks["genre"] == label]
    own = own.iloc[np.random.default_rng(how.seed).permutation(len(own))]
    turn = own.groupby("group").cumcount()  # first one song of every artist, then a second one
    return own.iloc[np.argsort(turn.to_numpy(), kind="stable")[: how.songs_per_class]].sort_values("track_id")


def _rounded(values: dict[str, float]) -> dict[str, float]:
    return {name: float(f"{value:.6g}") for name, value in values.items()}
