"""Stage `explain`: which frequency bands and moments the network heeds for each genre, and whether that is true.

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
from numpy.typing import NDArray

from earmark.errors import ModelError
from earmark.files import replacing, write_json
from earmark.model.material import load_material
from earmark.model.network.predictor import NetworkPredictor
from earmark.model.predictor import load_predictor
from earmark.model.reasons.attribution import band_centres_hz, gain_of, mean_spectrum
from earmark.model.reasons.explaining import PARTS, Heeded, Mean, chosen_baseline, explain_class
from earmark.params import Evaluation, Explanation, Params
from earmark.workspace import ATTRIBUTION, ATTRIBUTION_MOMENTS, ATTRIBUTION_SUMMARY, NETWORK

MEAN_OF = 64  # training songs


def run(params: Params, root: Path) -> None:
    """Write reports/attribution.csv (bands), attribution_moments.csv and attribution.json (both, and the test of them).

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
    tables = {"bands": bands(heeded, network), "moments": moments(heeded)}
    for what, table in tables.items():
        for name, rows in table.groupby("class", sort=False):
            summary["classes"][str(name)][what] = rows.drop(columns="class").to_dict("list")
    spectrum = [float(f"{value:.6g}") for value in baselines[chosen].flatten().tolist()]
    write_json(root / ATTRIBUTION_SUMMARY, {"part": part, "baseline": chosen, "baseline_spectrum": spectrum, **summary})
    for path, table in zip((ATTRIBUTION, ATTRIBUTION_MOMENTS), tables.values(), strict=True):
        with replacing(root / path) as written:
            table.to_csv(written, index=False, float_format="%.6g", lineterminator="\n")
    passed = [one["passes"] for one in summary["classes"].values()]
    print(
        f"explain: {summary['songs']} songs against {chosen}; wiping out what is named costs {summary['gain']:+.3f} "
        f"[{summary['gain_low']:+.3f}, {summary['gain_high']:+.3f}] of the probability more than at random; so it does "
        f"for {sum(passed)} of {len(passed)} genres alone",
        file=sys.stderr,
    )


def summarise(heeded: list[Heeded], how: Evaluation, explanation: Explanation) -> dict[str, Any]:
    """The deletion test, over all songs and by class.

    Returns:
        ``songs``, ``artists``, ``gain`` with its interval, and whether it ``passes``: the whole interval is above 0,
        and that of several artists. By class also ``gap``. Gains are the probability lost by wiping out what is named
        first, beyond that lost at random.
    """

    def tested(gains: NDArray[np.float64], groups: NDArray[np.object_]) -> dict[str, Any]:
        gain = gain_of(gains, groups, how, seed=explanation.seed)
        artists = len(set(groups))  # one says nothing of others
        return {"artists": artists, **_rounded(gain.flat("gain")), "passes": gain.low > 0 and artists > 1}

    every = tested(
        np.concatenate([one.gains for one in heeded], axis=1), np.concatenate([one.groups for one in heeded])
    )
    return {
        "songs": sum(one.songs for one in heeded),
        **every,
        "classes": {
            one.label: {"songs": one.songs, **tested(one.gains, one.groups), **_rounded({"gap": one.gap})}
            for one in heeded
        },
    }


def bands(heeded: list[Heeded], network: NetworkPredictor) -> pd.DataFrame:
    """``class, band_hz, importance, low, high``: what each band adds to the log odds of its class, in nats."""
    hertz = band_centres_hz(network.frontend).round(1)
    return _table({one.label: one.bands for one in heeded}, "band_hz", hertz)


def moments(heeded: list[Heeded]) -> pd.DataFrame:
    """``class, moment, importance, low, high``: what each tenth of a song adds, in nats per second.

    ``moment`` is its middle, as a share of the song.
    """
    middles = ((np.arange(PARTS) + 0.5) / PARTS).round(6)
    return _table({one.label: one.moments for one in heeded}, "moment", middles)


def _table(means: dict[str, Mean], where: str, places: NDArray[np.float64]) -> pd.DataFrame:
    frames = [
        pd.DataFrame({"class": label, where: places, "importance": mean.value, "low": mean.low, "high": mean.high})
        for label, mean in means.items()
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
