"""The categories as lines to print."""

import json
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from earmark.errors import FeedbackError
from earmark.feedback.estimates.categories import NEVER, SURE, TOO_FEW, UNSURE
from earmark.feedback.estimates.factors import FEWEST
from earmark.files import read_json
from earmark.workspace import CATEGORIES, CATEGORY_NAMES, EVIDENCE_SUMMARY


def category_lines(root: Path, *, as_json: bool = False) -> Iterator[str]:
    """Each category with its most typical songs; and how many songs belong to none, and why.

    Raises:
        FeedbackError: Nobody has looked for categories yet.
    """
    try:
        listed = read_json(root / CATEGORY_NAMES)["categories"]
        members = pd.read_parquet(root / CATEGORIES)
    except FileNotFoundError:
        raise FeedbackError(
            f"There is no {CATEGORY_NAMES}. `dvc repro categories` finds the categories; it needs a snapshot of "
            "feedback (earmark feedback import, earmark feedback snapshot)."
        ) from None
    own = members[members["status"] == SURE].groupby("category")["confidence"]
    confidence = own.mean()
    if as_json:
        for category in listed:
            yield json.dumps(
                category | {"confidence": float(confidence.get(category["number"], 0))}, ensure_ascii=False
            )
        return
    for category in listed:
        number = category["number"]
        yield (
            f"{number:>3}  {category['name']}   ({category['songs']} songs, mean confidence "
            f"{confidence.get(number, float('nan')):.2f})"
        )
        for song in category["typical"]:
            yield f"       {song['title']}"
    counts = members["status"].value_counts()
    rest = [f"{counts[status]} {status}" for status in (UNSURE, TOO_FEW, NEVER) if status in counts]
    if not listed:
        yield from _none(root)
    elif rest:
        yield f"Songs that belong to none: {', '.join(rest)}."


def _none(root: Path) -> Iterator[str]:
    """That there are no categories, and what has to be there."""
    told = read_json(root / EVIDENCE_SUMMARY) if (root / EVIDENCE_SUMMARY).is_file() else None
    heard = f": {told['listeners']:,} have heard {told['tracks_heard']:,} of its tracks" if told else ""
    yield f"There are no categories: too few listeners have heard too few tracks of the catalogue{heard}."
    yield (
        f"Needed are {FEWEST} listeners and {FEWEST} tracks, as many listeners in all as feedback.min_listeners says, "
        "and some tracks that as many have heard as categories.min_listeners says (both in params.yaml)."
    )
