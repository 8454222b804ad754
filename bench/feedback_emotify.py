"""Emotify's answers through the project's own door and estimators: ceilings, and coverage by held-out listeners."""

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from earmark.adapters.feedback_rules import judging_feedback
from earmark.catalogue.labels.matching import Known
from earmark.feedback.door import Importer
from earmark.feedback.estimates.evidence import pair_up
from earmark.feedback.estimates.files import Evidence
from earmark.feedback.estimates.listening import read_listening
from earmark.feedback.estimates.shares import count, coverage, fit_prior
from earmark.feedback.estimates.targets import make_targets
from earmark.feedback.identity import ListenerKey
from earmark.feedback.snapshot import LISTENERS, table_of, write_snapshot
from earmark.feedback.sources.emotify import EMOTIONS, EmotifyAnswers
from earmark.feedback.store import Store
from earmark.feedback.tracks import Tracks
from earmark.params import load_params

ROOT = Path(__file__).parent.parent
HALVINGS = 50
KEY = ListenerKey(b"Emotify's listeners are anonymous")


def emotify_figures(path: Path) -> dict[str, float]:
    """Noise ceilings by target, and the coverage of 90 % intervals, of the data set at ``path``."""
    params = load_params(ROOT / "params.yaml")
    judge = judging_feedback(ROOT / "expectations.yaml", params)
    names = [f"{genre}/{n}.mp3" for genre in ("classical", "electronic", "pop", "rock") for n in range(1, 101)]
    catalogue = pd.DataFrame({"track_id": sorted(names), "duration_s": 60.0})
    known = [Known(track_id, None, None, None, None, 60.0) for track_id in catalogue["track_id"]]
    with tempfile.TemporaryDirectory() as folder:
        with Store(f"sqlite:///{folder}/feedback.db") as store:
            told = Importer(store, KEY, judge, 0, Tracks(known)).run(EmotifyAnswers(path), Path(folder) / "refused.csv")
            write_snapshot(store, Path(folder) / "snapshot")
        snapshot = Path(folder) / "snapshot"
        listening = read_listening(snapshot, catalogue, Tracks(known), params.feedback.bot_days)
        attributes = table_of(snapshot, LISTENERS).to_pandas()
    pairs = pair_up(listening.doings, listening.now_us, params.targets)
    ids = catalogue["track_id"].tolist()
    evidence = Evidence(ids, pairs, listening.said, listening.counts, attributes, None, listening.now_us)
    _, report = make_targets(evidence, params.targets, params.feedback.min_listeners)
    feelings = [report.ceilings[f"feeling:{name}"] for name in EMOTIONS]
    return {
        "emotify_answers": float(told.told),
        **{f"ceiling_{name}": report.ceilings[f"feeling:{name}"] for name in EMOTIONS},
        "ceiling_mean_emotions": float(np.mean(feelings)),
        "ceiling_liked": report.ceilings["appeal"],
        "ceiling_disliked": report.ceilings["dislike"],
        "like_interval_coverage": _coverage(pairs, len(ids)),
    }


def _coverage(pairs: pd.DataFrame, tracks: int) -> float:
    """Mean over many halvings of the listeners: one half predicts, with 90 %, what the other half says."""
    track, yes = pairs["track"].to_numpy(), pairs["answer"].to_numpy()
    found = []
    for seed in range(HALVINGS):
        kept = np.random.default_rng(seed).random(len(pairs)) < 0.5
        known = count(track[kept], yes[kept], tracks)
        others = np.bincount(track[~kept], yes[~kept], tracks).astype(np.int64)
        asked = np.bincount(track[~kept], minlength=tracks)
        found.append(coverage(known, fit_prior(known), others, asked - others, 0.9))
    return float(np.mean(found))
