"""The wrong answers that each model was surest of: what to listen to first, and where to doubt the label."""

import numpy as np
import pandas as pd

from earmark.model.evaluation.tested import Tested

MOST = 50  # of each model


def mistakes(tested: Tested, tracks: pd.DataFrame) -> pd.DataFrame:
    """One row a wrong answer, the surest first, model after model.

    Args:
        tested: The answers.
        tracks: The test songs' rows, in the same order: track_id, content_hash, path, group.

    Returns:
        ``model, track_id, content_hash, path, group, genre, said``; ``confidence`` and ``probability``: of the genre
        that was said, and of the song's own; and ``also``: which other models said the same.
    """
    labels = np.array(tested.labels, dtype=object)
    said = {kind: answers.genres.argmax(axis=1) for kind, answers in tested.answers.items()}
    tables = []
    for kind, answers in tested.answers.items():
        wrong = np.flatnonzero(said[kind] != tested.actual)
        sure = answers.genres.max(axis=1)
        chosen = wrong[np.argsort(-sure[wrong], kind="stable")][:MOST]
        table = tracks[["track_id", "content_hash", "path", "group"]].iloc[chosen].reset_index(drop=True)
        table.insert(0, "model", kind)
        table["genre"] = labels[tested.actual[chosen]]
        table["said"] = labels[said[kind][chosen]]
        table["confidence"] = sure[chosen]
        table["probability"] = answers.genres[chosen, tested.actual[chosen]]
        others = [other for other in said if other != kind]
        table["also"] = [
            " ".join(other for other in others if said[other][place] == said[kind][place]) for place in chosen
        ]
        tables.append(table)
    return pd.concat(tables, ignore_index=True)
