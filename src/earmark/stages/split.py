"""The stage `split`: the catalogue in; the side of every track, and a count of what stands where, out."""

import sys
from pathlib import Path
from typing import Any

import pandas as pd

from earmark.catalogue.splits import SIDES, Arrangement, arrange
from earmark.catalogue.track import read_tracks
from earmark.files import replacing, write_json
from earmark.params import Params
from earmark.workspace import CATALOGUE, DUPLICATES, SPLIT_SUMMARY, SPLITS


def run(params: Params, root: Path) -> None:
    """Write data/splits.parquet (track_id, split, group, genre) and reports/split.json.

    Raises:
        CatalogueError: There is no catalogue, or a genre has too few groups for three sides.
        ParamsError: The shares leave one side nothing.
    """
    tracks = read_tracks(root / CATALOGUE).sort_values("track_id", ignore_index=True)
    arrangement = arrange(tracks, params.split, pd.read_parquet(root / DUPLICATES))
    splits = tracks[["track_id", "genre"]].assign(group=arrangement.groups, split=arrangement.sides)
    with replacing(root / SPLITS) as part:
        splits[["track_id", "split", "group", "genre"]].to_parquet(part, index=False)
    summary = summarise(splits, arrangement)
    write_json(root / SPLIT_SUMMARY, summary)
    counts = ", ".join(f"{summary['tracks'][side]} tracks for {side}" for side in SIDES)
    print(
        f"split: {counts}; {len(arrangement.moved)} groups moved so that every genre stands on every side",
        file=sys.stderr,
    )


def summarise(splits: pd.DataFrame, arrangement: Arrangement) -> dict[str, Any]:
    """Counts of tracks and of groups on each side, of tracks by genre and side, and of what was moved: numbers only."""

    def tracks_by_side(rows: pd.DataFrame) -> dict[str, int]:
        return {side: int((rows["split"] == side).sum()) for side in SIDES}

    return {
        "tracks": tracks_by_side(splits),
        "groups": {side: int(splits.loc[splits["split"] == side, "group"].nunique()) for side in SIDES},
        "genres": {str(genre): tracks_by_side(rows) for genre, rows in splits.groupby("genre", sort=True)},
        "groups_moved_to_fill_a_genre": len(arrangement.moved),
        "groups_torn_by_official_splits": len(arrangement.torn),
        "groups_joined": len(arrangement.joined),
    }
