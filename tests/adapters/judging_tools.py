"""A catalogue made of rows that are fit, to be changed one by one, and the judge by the project's own rules."""

import hashlib
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

from earmark.adapters.expectations import judging
from earmark.catalogue.judged import track_table
from earmark.catalogue.taxonomy import Taxonomy, apply_taxonomy
from earmark.catalogue.track import SCHEMA
from earmark.params import Params, load_params
from earmark.stages.validate import Judge, Judgement
from scratch import CHECKOUT

RULES = CHECKOUT / "expectations.yaml"
LIMITS: dict[str, Any] = {
    "min_duration_s": 3.0,
    "max_duration_s": 600.0,
    "min_sample_rate_hz": 8000,
    "max_silent_share": 0.9,
    "max_clipped_share": 0.1,
    "min_bandwidth_share": 0.75,
    "demand_licence": False,
    "min_tracks_per_genre": 4,
    "min_groups_per_genre": 3,
    "max_refused_share": 0.5,
}


def row(name: str, genre: str | None, **changed: Any) -> dict[str, Any]:
    return (
        dict.fromkeys(SCHEMA.names)
        | dict.fromkeys(("duplicate_group", "unreadable", "source_genre", "refused_genre", "unknown_tags", "withdrawn"))
        | {
            "track_id": name,
            "path": f"data/collections/mine/audio/{name}",
            "content_hash": hashlib.sha256(name.encode()).hexdigest(),
            "duration_s": 12.0,
            "sample_rate_hz": 22050,
            "channels": 1,
            "codec": "flac",
            "source": "folder",
            "group": f"artist:artist of {name}",
            "genre": genre,
            "tags": (),
            "artist": f"Artist of {name}",
            "audio_bytes": 1000,
        }
        | changed
    )


# What `earmark.catalogue.imports.importing` finds out about a recording, as older collections have not.
MEASURED = {
    "loudness_lufs": -14.0,
    "peak_dbfs": -0.3,
    "clipped_share": 0.001,
    "silent_share": 0.02,
    "bandwidth_hz": 11_000.0,
}

FIT = [row(f"{genre}{n}", genre) for genre in ("reel", "jig") for n in range(4)]


@cache
def params(*, official: str = "whole", **limits: Any) -> Params:
    read = load_params(CHECKOUT / "params.yaml")
    split = replace(read.split, official=official)
    return replace(read, split=split, validation=replace(read.validation, **{**LIMITS, **limits}))


@cache
def judge_by(rules: Path, **limits: Any) -> Judge:
    return judging(rules, params(**limits))


def judged(rows: list[dict[str, Any]], folder: Path, *, rules: Path = RULES, **limits: Any) -> Judgement:
    tracks = pd.DataFrame(rows)
    _, names = apply_taxonomy(Taxonomy(), tracks)
    return judge_by(rules, **limits)(track_table(tracks), names, folder / "docs")


def refusals(judgement: Judgement) -> set[tuple[str, str]]:
    return set(zip(judgement.quarantine["track_id"], judgement.quarantine["rule"], strict=True))


def warned(judgement: Judgement) -> set[tuple[str, str]]:
    return set(zip(judgement.warnings["track_id"], judgement.warnings["rule"], strict=True))


def warned_reasons(judgement: Judgement) -> set[tuple[str, str]]:
    return set(zip(judgement.warnings["rule"], judgement.warnings["reason"], strict=True))
