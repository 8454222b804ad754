"""Tags as the models see them: for each track and tag, the share of listeners, and how much is known of it."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from earmark.workspace import TAGS

Floats = NDArray[np.float32]
COLUMNS = ("track_id", "tag", "share", "weight", "ceiling")


@dataclass(frozen=True)
class Tags:
    """The vocabulary, and what is known.

    Attributes:
        names: In alphabetical order.
        table: ``track_id, tag, share, weight, ceiling``.
    """

    names: tuple[str, ...] = ()
    table: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=list(COLUMNS)))

    def of(self, track_ids: "pd.Series[str]") -> Floats:
        """Share and weight for each of ``track_ids``, shape ``(tracks, 2, tags)``; weight 0 where nothing is known."""
        found = np.zeros((len(track_ids), 2, len(self.names)), dtype=np.float32)
        place = {track_id: row for row, track_id in enumerate(track_ids)}
        column = {name: number for number, name in enumerate(self.names)}
        rows = self.table[self.table["track_id"].isin(place)]
        at = rows["track_id"].map(place).to_numpy(np.int64), rows["tag"].map(column).to_numpy(np.int64)
        found[at[0], 0, at[1]] = rows["share"]
        found[at[0], 1, at[1]] = rows["weight"]
        return found

    @property
    def ceilings(self) -> dict[str, float]:
        """The noise ceiling of each tag; NaN where there is none, as of categories."""
        firsts = self.table.drop_duplicates("tag")
        return dict(zip(firsts["tag"], firsts["ceiling"].astype(float), strict=True))


def load_tags(root: Path) -> Tags:
    """What the stage `tags` wrote; no tags where it has not run."""
    if not (root / TAGS).is_file():
        return Tags()
    table = pd.read_parquet(root / TAGS)
    return Tags(tuple(sorted(table["tag"].unique())), table)
