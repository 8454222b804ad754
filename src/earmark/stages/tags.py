"""The stage `tags`: what listeners felt, said and played together in; a vocabulary of tags for the model to learn out.

A tag is taught where its noise ceiling lets anything be learnt; each song counts by how much is known of it.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from earmark.feedback.estimates.categories import SURE
from earmark.files import read_json, replacing
from earmark.params import Params, Tags
from earmark.workspace import CATEGORIES, CATEGORY_NAMES, TAGS, TARGETS, TARGETS_SUMMARY

CATEGORY = "category---"
_LIKING = {"appeal": "appeal---like", "dislike": "appeal---dislike"}  # other targets: "feeling---calmness", "word---…"
COLUMNS = ("track_id", "tag", "share", "weight", "ceiling")


def run(params: Params, root: Path) -> None:
    """Write data/tags.parquet, sorted by track and tag.

    Its columns are ``track_id``, ``tag``, ``share`` and ``weight`` (0 to 1), ``ceiling`` (the tag's noise ceiling; NaN
    for categories, which nobody was asked about).

    Raises:
        FileNotFoundError: A stage before has not run.
    """
    parts = [
        *_told(pd.read_parquet(root / TARGETS), read_json(root / TARGETS_SUMMARY)["targets"], params.tags),
        *_categories(pd.read_parquet(root / CATEGORIES), read_json(root / CATEGORY_NAMES)["categories"], params.tags),
    ]
    rows = [part for part in parts if len(part)]
    table = pd.concat(rows, ignore_index=True) if rows else pd.DataFrame(columns=list(COLUMNS))
    table = table.astype(
        {"track_id": "str", "tag": "str", "share": "float64", "weight": "float64", "ceiling": "float64"}
    )
    with replacing(root / TAGS) as part:
        table.sort_values(["track_id", "tag"], ignore_index=True).to_parquet(part, index=False)
    print(f"tags: {table['tag'].nunique()} to learn, for {table['track_id'].nunique():,} tracks", file=sys.stderr)


def _told(targets: pd.DataFrame, summary: dict[str, dict[str, float | None]], params: Tags) -> Iterator[pd.DataFrame]:
    """What everybody liked, felt and said, each with the part of its estimate that is not the prior."""
    everybody = targets[targets["segment"] == "all"]
    wanted = {"appeal": params.appeal, "dislike": params.appeal, "feeling": params.feelings, "word": params.words}
    for names, rows in everybody.groupby(["target", "name"], sort=True):
        target, name = map(str, names)
        if wanted.get(target):
            told = summary[f"{target}:{name}" if name else target]
            if (told["ceiling"] or 0.0) < params.min_ceiling or len(rows) < params.min_tracks:
                continue
            prior = told["prior_answers"] or 0.0
            weight = np.clip(1 - prior / np.maximum(rows["evidence"], 1e-9), 0.0, 1.0)
            yield pd.DataFrame(
                {
                    "track_id": rows["track_id"],
                    "tag": f"{target}---{name}" if name else _LIKING[target],
                    "share": rows["estimate"],
                    "weight": weight,
                    "ceiling": told["ceiling"],
                }
            )


def _categories(members: pd.DataFrame, listed: list[dict[str, object]], params: Tags) -> Iterator[pd.DataFrame]:
    """Each category as a tag: 1 for its songs, 0 for those of the others, by how sure the song's place is."""
    sure = members[members["status"] == SURE]
    if not params.categories or len(sure) < params.min_tracks:
        return
    names = [str(category["name"]) for category in listed]
    for category in listed:
        name, number = str(category["name"]), category["number"]
        shown = name if names.count(name) == 1 else f"{name} ({number})"
        yield pd.DataFrame(
            {
                "track_id": sure["track_id"],
                "tag": f"{CATEGORY}{shown}",
                "share": (sure["category"] == number).astype("float64"),
                "weight": sure["confidence"],
                "ceiling": np.nan,
            }
        )
