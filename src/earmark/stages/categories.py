"""The stage `categories`: evidence in; categories of songs that listening reveals, and each song's membership, out.

Its own outputs of the time before are read too, so that a category keeps its number: dvc.yaml lets them stay.
"""

import math
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd

from earmark.catalogue.hearing import listened_to
from earmark.catalogue.track import GENRE_TAG
from earmark.feedback.estimates.categories import SURE, Clustering, categorise
from earmark.feedback.estimates.files import Evidence, read_evidence
from earmark.feedback.estimates.words import OWN_WORDS
from earmark.files import read_json, replacing, write_json
from earmark.params import Params
from earmark.workspace import CATEGORIES, CATEGORIES_SUMMARY, CATEGORY_NAMES, EVIDENCE


def run(params: Params, root: Path) -> None:
    """Write data/categories.parquet, data/categories.json and reports/categories.json.

    Raises:
        FeedbackError: There is no evidence.
        CatalogueError: There is no catalogue.
    """
    evidence = read_evidence(root / EVIDENCE)
    if few := 0 < evidence.listeners < params.feedback.min_listeners:
        evidence = evidence.without_listeners()
    tracks = listened_to(root, params.catalogue.collection).set_index("track_id").reindex(evidence.track_ids)
    before, highest = _before(root, evidence.track_ids)
    played = evidence.pairs[evidence.pairs["plays"] > 0]
    heard = np.bincount(played["track"], minlength=len(evidence.track_ids))
    found = categorise(
        evidence.factors,
        evidence.pairs,
        heard,
        _terms(evidence, tracks),
        {number: _title(tracks, number) for number in range(len(tracks))},
        before,
        highest,
        params.categories,
    )
    _write(found, evidence, tracks, root)
    print(f"categories: {len(found.categories)}; {_counted(found)}", file=sys.stderr)
    if few:
        least = params.feedback.min_listeners
        print(f"categories: withheld, with fewer than {least} listeners (feedback.min_listeners)", file=sys.stderr)


def _write(found: Clustering, evidence: Evidence, tracks: pd.DataFrame, root: Path) -> None:
    members = found.members.assign(track_id=[evidence.track_ids[number] for number in found.members["track"]])
    with replacing(root / CATEGORIES) as part:
        members[["track_id", "category", "confidence", "listeners", "status"]].to_parquet(part, index=False)
    listed = []
    for category in found.categories:
        typical = [{"track_id": evidence.track_ids[n], "title": _title(tracks, n)} for n in category.typical]
        listed.append(asdict(category) | {"words": dict(category.words), "typical": typical})
    write_json(root / CATEGORY_NAMES, {"highest": found.highest, "categories": listed})
    status = found.members["status"].value_counts()
    write_json(
        root / CATEGORIES_SUMMARY,
        {
            "categories": len(found.categories),
            "silhouette": None if math.isnan(found.silhouette) else found.silhouette,
            **{f"songs_{str(name).replace(' ', '_')}": int(count) for name, count in sorted(status.items())},
        },
    )


def _before(root: Path, track_ids: list[str]) -> tuple[pd.DataFrame, int]:
    """``track, category`` of the version before, and the highest number ever given."""
    nothing = pd.DataFrame({"track": pd.Series(dtype="int64"), "category": pd.Series(dtype="int64")}), -1
    if not ((root / CATEGORIES).is_file() and (root / CATEGORY_NAMES).is_file()):
        return nothing
    try:
        members = pd.read_parquet(root / CATEGORIES)[["track_id", "category"]]
        highest = int(read_json(root / CATEGORY_NAMES)["highest"])
    except (OSError, ValueError, KeyError, TypeError):  # half a file of a foreign hand: as if there were none
        return nothing
    place = {track_id: number for number, track_id in enumerate(track_ids)}
    members = members[members["track_id"].isin(place)]
    return pd.DataFrame({"track": members["track_id"].map(place), "category": members["category"]}), highest


def _terms(evidence: Evidence, tracks: pd.DataFrame) -> pd.DataFrame:
    """``track, term, count``: listeners' words, once a listener, and the catalogue's genre and genre tags."""
    words = evidence.said[evidence.said["kind"].isin(OWN_WORDS)].rename(columns={"word": "term"})
    words = words.dropna(subset="term").drop_duplicates(["track", "listener", "term"])
    parts = [words.groupby(["track", "term"]).size().rename("count").reset_index()]
    genres = [
        (number, term, 1)
        for number, (genre, tags) in enumerate(zip(tracks["genre"], tracks["tags"], strict=True))
        for term in {
            *([genre] if isinstance(genre, str) else []),
            *(tag.removeprefix(GENRE_TAG) for tag in (tags if tags is not None else ()) if tag.startswith(GENRE_TAG)),
        }
    ]
    parts.append(pd.DataFrame(genres, columns=["track", "term", "count"]))
    return pd.concat([part for part in parts if len(part)] or parts, ignore_index=True)


def _title(tracks: pd.DataFrame, number: int) -> str:
    row = tracks.iloc[number]
    title = row["title"] if isinstance(row["title"], str) else Path(str(tracks.index[number])).name
    return f"{row['artist']}: {title}" if isinstance(row["artist"], str) else title


def _counted(found: Clustering) -> str:
    status = found.members["status"].value_counts()
    return ", ".join(f"{count:,} songs {name}" for name, count in status.items()) + f" ({SURE}: they belong to one)"
