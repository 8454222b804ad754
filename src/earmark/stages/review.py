"""Stage `review`: labels that look wrong, as a list for people to listen to; nothing is changed by it.

Each song is judged by models that had not heard it: songs that were held out of a training by that training's model
(`earmark.model.held_out`; with ``calibration.folds`` all of training and validation, else validation alone), test songs
by the finished model. Songs whose label somebody has corrected or confirmed (data/corrections.csv) count, but are not
listed again.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from earmark.catalogue.corrections import CORRECTION
from earmark.catalogue.track import read_tracks
from earmark.files import replacing, write_json
from earmark.model.calibration.calibration import load
from earmark.model.evaluation.label_issues import LabelIssues, label_issues
from earmark.model.held_out import HeldOut
from earmark.model.material import Material, load_material
from earmark.params import Params
from earmark.workspace import BLEND, CATALOGUE, LABEL_REVIEW, LABEL_REVIEW_SUMMARY, PREDICTIONS

COLUMNS = (
    "track_id", "path", "title", "artist", "given", "suggested", "p_given", "p_suggested", "score", "group", "side",
    "caution", "content_hash",
)  # fmt: skip
CAUTION = "the tested model's own opinion: correct it only by ear, or the test flatters that model"


def run(params: Params, root: Path) -> None:
    """Write reports/label_review.csv (columns `COLUMNS`, worst first) and reports/label_review.json.

    Raises:
        CatalogueError: There is no catalogue.
    """
    material = load_material(root, params.frontend)
    tracks, probabilities = answered(material, root)
    about = read_tracks(root / CATALOGUE).set_index("track_id")[["title", "artist", "genre_source"]]
    tracks = tracks.join(about, on="track_id")
    given = material.indices(tracks)
    issues = label_issues(given, probabilities)
    reviewed = (tracks["genre_source"] == CORRECTION).to_numpy()
    listed = issues.listed[~reviewed[issues.listed]]

    summary = summarise(material.labels, given, issues, listed, tracks["split"], reviewed)
    with replacing(root / LABEL_REVIEW) as part:
        _list(material.labels, tracks, given, probabilities, issues, listed).to_csv(
            part, index=False, float_format="%.4f", lineterminator="\n"
        )
    write_json(root / LABEL_REVIEW_SUMMARY, summary)
    share = summary["wrong_share"]
    print(
        f"review: {len(listed)} of {len(tracks)} labels look wrong ({LABEL_REVIEW})"
        + ("" if share is None else f"; estimated share of wrong ones {share:.1%}"),
        file=sys.stderr,
    )


def answered(material: Material, root: Path) -> tuple[pd.DataFrame, NDArray[np.float64]]:
    """Songs that a model has answered without having been fitted to them, and its calibrated answers.

    Returns:
        Rows of `Material.tracks`, and probabilities of shape ``(tracks, labels)``.
    """
    held, sure = HeldOut.load(root / BLEND, material), load(root / BLEND)
    raw = held.answers.genres.reshape(len(held.tracks), len(material.labels))
    test = material.part("test")
    told = pd.read_parquet(root / PREDICTIONS)
    told = told[told["model"] == "blend"].set_index("track_id")
    columns = [f"p_{label}" for label in material.labels]
    return pd.concat([held.tracks.drop(columns="part"), test], ignore_index=True), np.concatenate(
        [raw if sure is None else sure.probabilities(raw), told.loc[test["track_id"], columns].to_numpy(np.float64)]
    )


def summarise(
    labels: tuple[str, ...],
    given: NDArray[np.int64],
    issues: LabelIssues,
    listed: NDArray[np.int64],
    sides: pd.Series,
    reviewed: NDArray[np.bool_],
) -> dict[str, Any]:
    """Counts and estimated shares, of all songs and by genre, as `dvc metrics` shows them."""

    def share(value: float) -> float | None:
        return None if np.isnan(value) else round(float(value), 6)

    return {
        "tracks": len(given),
        "listed": len(listed),
        "listed_test": int((sides.to_numpy()[listed] == "test").sum()),
        "reviewed": int(reviewed.sum()),
        "wrong_share": share(issues.wrong_of_all),
        "genres": {
            label: {
                "tracks": int((given == index).sum()),
                "listed": int((given[listed] == index).sum()),
                "wrong_share": share(issues.wrong[index]),
            }
            for index, label in enumerate(labels)
        },
    }


def _list(
    labels: tuple[str, ...],
    tracks: pd.DataFrame,
    given: NDArray[np.int64],
    probabilities: NDArray[np.float64],
    issues: LabelIssues,
    listed: NDArray[np.int64],
) -> pd.DataFrame:
    names = np.array(labels, dtype=object)
    suggested = issues.suggested[listed]
    table = tracks.iloc[listed].assign(
        given=names[given[listed]],
        suggested=names[suggested],
        p_given=probabilities[listed, given[listed]],
        p_suggested=probabilities[listed, suggested],
        score=issues.score[listed],
    )
    table = table.rename(columns={"split": "side"})
    table["caution"] = [CAUTION if side == "test" else "" for side in table["side"]]
    return table[list(COLUMNS)]
