"""The simulator's worlds, where the truth is known: how right the estimates are, and which categories are found."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from earmark.feedback.estimates.categories import categorise
from earmark.feedback.estimates.evidence import Doings, pair_up
from earmark.feedback.estimates.factors import directions, factorise
from earmark.feedback.estimates.files import Evidence
from earmark.feedback.estimates.targets import make_targets
from earmark.feedback.event import KINDS, Song
from earmark.feedback.identity import event_ids, song_id
from earmark.feedback.simulation.songs import made_up_tracks
from earmark.feedback.simulation.world import Part, Scene, World, simulate
from earmark.feedback.store import Batch, Store
from earmark.params import Params, load_params

ROOT = Path(__file__).parent.parent
SEEDS = (201, 202, 203, 204, 205)  # of no world that anything was chosen by
SONGS = 350
LEVELS = (1, 5, 10, 20, 40, 80)  # listeners, from which a level of evidence begins
_DAY_US = 86_400_000_000


def world_figures() -> dict[str, float]:
    """Errors, bias, coverage and categories, averaged over the worlds."""
    params = load_params(ROOT / "params.yaml")
    errors: list[pd.DataFrame] = []
    rows: list[dict[str, float]] = []
    for seed in SEEDS:
        world = simulate(made_up_tracks(SONGS), dataclasses.replace(params.listeners, seed=seed))
        told = _evidence(world, params)
        truth = world.songs["appeal"].to_numpy()
        row: dict[str, float] = {}
        for name, corrected in (("corrected", True), ("uncorrected", False)):
            settings = dataclasses.replace(params.targets, correct_exposure=corrected)
            table, _ = make_targets(told, settings, params.feedback.min_listeners)
            appeal = table[table["target"] == "appeal"].set_index("track")
            off = appeal["estimate"].to_numpy() - truth[appeal.index]
            row[f"bias_{name}"] = off.mean()
            if corrected:
                inside = (appeal["low"] <= truth[appeal.index]) & (appeal["high"] >= truth[appeal.index])
                row["true_appeal_coverage"] = inside.mean()
                errors.append(_levels(told.pairs, appeal["estimate"], truth))
                row["bias_raw"] = (_raw(told.pairs).reindex(appeal.index) - truth[appeal.index]).mean()
        row |= _categories(world, told, params) | _even(seed, params)
        rows.append(row)
    figures = {str(name): float(value) for name, value in pd.DataFrame(rows).mean().items()}
    every = pd.concat(errors)
    figures["error_ratio_shrunk_vs_raw"] = _ratio(every)
    for level, songs in every.groupby("level"):
        figures[f"error_ratio_from_{level}_listeners"] = _ratio(songs)
    return figures


def _even(seed: int, params: Params) -> dict[str, float]:
    """Coverage and bias where everybody meets every song alike: what the estimate is worth without selection."""
    world = simulate(made_up_tracks(SONGS), dataclasses.replace(params.listeners, seed=seed, exposure=0.0))
    table, _ = make_targets(_evidence(world, params), params.targets, params.feedback.min_listeners)
    appeal, truth = table[table["target"] == "appeal"].set_index("track"), world.songs["appeal"].to_numpy()
    there = truth[appeal.index]
    inside = (appeal["low"] <= there) & (appeal["high"] >= there)
    return {"true_appeal_coverage_even": inside.mean(), "bias_even": (appeal["estimate"] - there).mean()}


def _raw(pairs: pd.DataFrame) -> pd.Series:
    """The raw share: of the listeners who met a song, those who did not skip it more than they heard it, or said so."""
    liked = pairs["answer"].where(pairs["answer"].notna(), (pairs["heard"] > pairs["skipped"]).astype(float))
    return liked.groupby(pairs["track"]).mean()


def _levels(pairs: pd.DataFrame, estimate: pd.Series, truth: npt.NDArray[Any]) -> pd.DataFrame:
    listeners = pairs.groupby("track").size()
    frame = pd.DataFrame({"estimate": estimate, "raw": _raw(pairs), "listeners": listeners}).dropna()
    level = np.array(LEVELS)[np.searchsorted(LEVELS, frame["listeners"], side="right") - 1]
    return frame.assign(truth=truth[frame.index], level=level)


def _ratio(frame: pd.DataFrame) -> float:
    """Root mean square error of the estimate over that of the raw share."""
    ours, raw = (((frame[name] - frame["truth"]) ** 2).mean() ** 0.5 for name in ("estimate", "raw"))
    return float(ours / raw)


def _categories(world: World, told: Evidence, params: Params) -> dict[str, float]:
    """Adjusted Rand index of the songs that enough have heard; all three methods are told how many there are."""
    from sklearn.cluster import KMeans
    from sklearn.metrics import adjusted_rand_score

    tracks = len(told.track_ids)
    heard = np.bincount(told.pairs["track"], minlength=tracks)
    enough = heard >= params.categories.min_listeners
    true = world.songs["category"].to_numpy()
    count = params.listeners.categories
    nothing = pd.DataFrame({"track": pd.Series(dtype=int), "category": pd.Series(dtype=int)})
    terms = pd.DataFrame({"track": pd.Series(dtype=int), "term": pd.Series(dtype=str), "count": pd.Series(dtype=float)})
    titles = dict(enumerate(told.track_ids))
    scores = {}
    for name, settings in (
        ("categories_ari", dataclasses.replace(params.categories, count=count)),
        ("categories_ari_free", params.categories),
    ):
        found = categorise(told.factors, told.pairs, heard, terms, titles, nothing, -1, settings)
        scores[name] = adjusted_rand_score(true[enough], found.members["category"].to_numpy()[enough])
        if name == "categories_ari_free":
            scores["categories_found"] = float(len(found.categories))
    listeners, row = np.unique(told.pairs["listener"], return_inverse=True)
    raw = np.zeros((tracks, len(listeners)), dtype=np.float32)
    raw[told.pairs["track"], row] = told.pairs["plays"]
    baselines = {"": raw, "_normalised": directions(raw), "_log_normalised": directions(np.log1p(raw))}
    for ending, counts in baselines.items():
        labels = KMeans(count, n_init=10, random_state=0).fit_predict(counts[enough])
        scores[f"categories_ari_kmeans{ending}"] = adjusted_rand_score(true[enough], labels)
    return scores


def _evidence(world: World, params: Params) -> Evidence:
    """What the stage `evidence` would make of the world, without bots and incognito listening."""
    events = world.events[~world.events["incognito"] & ~world.listeners["bot"].to_numpy()[world.events["listener"]]]
    length_ms = world.songs["duration_s"].to_numpy()[events["song"]] * 1000
    played = events["ms_played"].to_numpy(dtype=float)
    ended, started = events["ended"].astype(object), events["started"].astype(object)
    doings = Doings(
        track=events["song"].to_numpy(dtype=np.int64),
        listener=events["listener"].to_numpy(dtype=np.int64) + 1,
        at_us=events["at_us"].to_numpy(dtype=float),
        kind=np.asarray(events["kind"].cat.codes, dtype=np.int8),
        share=np.where(played < 0, np.nan, np.clip(played / length_ms, 0, 1)),
        value=events["value"].to_numpy(dtype=float),
        times=np.ones(len(events)),
        chosen=np.asarray(started.map({"chosen": 1.0, "continued": 0.0}), dtype=np.float64),
        failed=(ended == "failed").to_numpy(),
        open=ended.isna().to_numpy(),
        stopped=(ended == "stopped").to_numpy(),
    )
    now_us = float(events["at_us"].max())
    pairs = pair_up(doings, now_us, params.targets)
    said = pd.DataFrame({"track": [], "listener": [], "kind": [], "word": [], "value": []})
    counts = pd.DataFrame({"track": [], "listens": [], "likes": [], "since_us": []})
    attributes = pd.DataFrame({"listener_id": []})
    ids = world.songs["track_id"].fillna("").tolist()
    return Evidence(ids, pairs, said, counts, attributes, factorise(pairs, params.categories), now_us)


def store_scene(scene: Scene, store: Store, most: int) -> int:
    """Everything that happens in ``scene`` into ``store``, until ``most`` events are there. Returns how many are."""
    columns = (scene.songs[name].tolist() for name in ("title", "artist", "duration_s"))
    songs = [
        Song("simulation", str(n), title, artist, duration_s=length_s)
        for n, (title, artist, length_s) in enumerate(zip(*columns, strict=True))
    ]
    ids = np.array([song_id(song) for song in songs])
    stored = 0
    for part in scene.parts():
        stored += store.add(_batch(part, songs, ids))
        if stored >= most:
            break
    return stored


def _batch(part: Part, songs: list[Song], ids: npt.NDArray[Any]) -> Batch:
    events = part.events
    at_us, listener = events["at_us"].to_numpy(), events["listener"].to_numpy(dtype=np.int64) + 1
    ms, value = events["ms_played"].to_numpy(dtype=np.int64), events["value"].to_numpy(dtype=float)
    kinds = events["kind"].astype(str).tolist()
    codes = np.asarray(events["word"].cat.codes, dtype=np.int64)
    numbers = event_ids(listener, ids[events["song"]], kinds, at_us, ms, value, codes + 1)
    _, chosen = np.unique(numbers, return_index=True)
    assert set(kinds) <= set(KINDS)

    def texts(name: str) -> list[str | None]:
        return [None if text != text else text for text in events[name].astype(object).to_numpy()[chosen]]

    return Batch(
        {
            "day": (at_us // _DAY_US)[chosen].tolist(),
            "event_id": numbers[chosen].tolist(),
            "at_us": at_us[chosen].tolist(),
            "listener_id": listener[chosen].tolist(),
            "song_id": ids[events["song"]][chosen].tolist(),
            "source": ["simulation"] * len(chosen),
            "kind": [kinds[place] for place in chosen],
            "ms_played": [None if each < 0 else each for each in ms[chosen].tolist()],
            "value": [None if each != each else each for each in value[chosen].tolist()],
            "word": texts("word"),
            "times": [1] * len(chosen),
            "started": texts("started"),
            "ended": texts("ended"),
        },
        dict(zip(ids.tolist(), songs, strict=True)),
    )
