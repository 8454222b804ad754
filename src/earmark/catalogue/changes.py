"""What came, went and changed between two versions of a catalogue.

A comparison is four tables of `earmark.catalogue.track.SCHEMA`: tracks that only the new version has, tracks that only
the old one had, and, row by row beside each other, the tracks that both have but not alike. A track is known by its
track_id; one that took another track_id with the same content has moved. So the way back is the same comparison with
the tables swapped, and old − went − before + came + after is the new version.

Everything is done in Arrow, column by column; nothing loops over what stayed as it was.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from earmark.catalogue.track import SCHEMA
from earmark.errors import CatalogueError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

AUDIO = "content_hash"
PLACE = "path"
# They follow from the audio (and from how it is measured), so other audio alone explains them.
MEASURED = (
    "duration_s", "sample_rate_hz", "channels", "codec", "audio_hash", "loudness_lufs", "peak_dbfs", "clipped_share",
    "silent_share", "bandwidth_hz",
)  # fmt: skip


@dataclass(frozen=True)
class Edit:
    """One track that is not what it was.

    Attributes:
        was: Its old track_id.
        track_id: Its new one: another where it has moved.
        fields: Each column that differs, track_id left out: name → (old, new).
    """

    was: str
    track_id: str
    fields: dict[str, tuple[Any, Any]]

    @property
    def moved(self) -> bool:
        """Whether it has another track_id."""
        return self.was != self.track_id


@dataclass(frozen=True)
class Changes:
    """The difference between two versions.

    Attributes:
        came: Tracks that only the new version has.
        went: Tracks that only the old version had.
        before: Tracks that both have but not alike, as they were.
        after: The same tracks, in the same order, as they are.
        differs: For each column that differs anywhere: in which rows of ``before`` and ``after`` it does.
    """

    came: pa.Table
    went: pa.Table
    before: pa.Table
    after: pa.Table
    differs: "dict[str, NDArray[np.bool_]]"

    @property
    def moved(self) -> int:
        """How many tracks have the same audio under another track_id."""
        return int(self.differs["track_id"].sum()) if "track_id" in self.differs else 0

    @property
    def changed(self) -> int:
        """How many tracks differ under the same track_id."""
        return len(self.after) - self.moved

    def __bool__(self) -> bool:
        return bool(len(self.came) or len(self.went) or len(self.after))

    def edits(self, *, moved: bool) -> Iterator[Edit]:
        """Those that have moved, or else those that have not, one by one."""
        import numpy as np

        elsewhere = self.differs.get("track_id", np.zeros(len(self.after), bool))
        for row in np.flatnonzero(elsewhere == moved):
            names = [name for name, where in self.differs.items() if where[row] and name != "track_id"]
            fields = {name: (self.before[name][row].as_py(), self.after[name][row].as_py()) for name in names}
            yield Edit(self.before["track_id"][row].as_py(), self.after["track_id"][row].as_py(), fields)


def compare(old: pa.Table, new: pa.Table) -> Changes:
    """The difference from ``old`` to ``new``, tables as `earmark.catalogue.track.read_table` gives them.

    A list of tags that is missing and one that is empty are the same; so are a number that is missing and NaN.

    Raises:
        CatalogueError: A track_id appears twice in one of them.
    """
    import numpy as np

    old, new = _plain(old), _plain(new)
    in_old = pc.index_in(new["track_id"], value_set=old["track_id"])
    in_new = pc.index_in(old["track_id"], value_set=new["track_id"])
    came, went = _where(pc.is_null(in_old)), _where(pc.is_null(in_new))
    moved_old, moved_new = _moves(old, went, new, came)

    old_rows = np.concatenate([pc.drop_null(in_old).to_numpy(), moved_old])
    new_rows = np.concatenate([_where(pc.is_valid(in_old)), moved_new])
    differs = {}
    for name in SCHEMA.names:
        where = _differs(old[name].take(old_rows), new[name].take(new_rows))
        if where.any():
            differs[name] = where
    touched = np.zeros(len(new_rows), bool)
    for where in differs.values():
        touched |= where
    return Changes(
        came=new.take(np.setdiff1d(came, moved_new, assume_unique=True)),
        went=old.take(np.setdiff1d(went, moved_old, assume_unique=True)),
        before=old.take(old_rows[touched]),
        after=new.take(new_rows[touched]),
        differs={name: where[touched] for name, where in differs.items()},
    )


def _plain(table: pa.Table) -> pa.Table:
    """Each column in one piece.

    Raises:
        CatalogueError: A track_id appears twice.
    """
    ids = pc.value_counts(table["track_id"])
    twice = ids.filter(pc.greater(ids.field("counts"), 1))
    if len(twice):
        raise CatalogueError(
            f"The track_id {twice[0]['values'].as_py()!r} appears {twice[0]['counts'].as_py()} times in one catalogue, "
            "so its tracks cannot be told apart. earmark writes each once: import the collection again."
        )
    return table.combine_chunks()


def _where(mask: pa.ChunkedArray) -> "NDArray[np.int64]":
    import numpy as np

    return np.flatnonzero(mask.to_numpy())


def _moves(
    old: pa.Table, went: "NDArray[np.int64]", new: pa.Table, came: "NDArray[np.int64]"
) -> "tuple[NDArray[np.int64], NDArray[np.int64]]":
    """Rows of ``went`` and of ``came`` that hold the same audio; several copies pair up in the order of their names."""
    import pandas as pd

    def copies(table: pa.Table, rows: "NDArray[np.int64]") -> pd.DataFrame:
        frame: pd.DataFrame = table.select(["content_hash", "track_id"]).take(rows).to_pandas().assign(row=rows)
        frame.sort_values(["content_hash", "track_id"], inplace=True)
        frame["copy"] = frame.groupby("content_hash").cumcount()
        return frame

    pairs = copies(old, went).merge(copies(new, came), on=["content_hash", "copy"], suffixes=("_old", "_new"))
    pairs = pairs.sort_values("track_id_new")
    return pairs["row_old"].to_numpy("int64"), pairs["row_new"].to_numpy("int64")


def _differs(old: pa.ChunkedArray, new: pa.ChunkedArray) -> "NDArray[np.bool_]":
    """Where two columns of the same length differ."""
    if pa.types.is_list(old.type):
        return _lists_differ(old.combine_chunks(), new.combine_chunks())
    no_old = pc.is_null(old, nan_is_null=True).to_numpy()
    no_new = pc.is_null(new, nan_is_null=True).to_numpy()
    unequal = pc.fill_null(pc.not_equal(old, new), False).to_numpy()
    found: NDArray[np.bool_] = (no_old != no_new) | (unequal & ~no_old)
    return found


def _lists_differ(old: pa.ListArray, new: pa.ListArray) -> "NDArray[np.bool_]":
    import numpy as np

    lengths = [pc.fill_null(pc.list_value_length(each), 0).to_numpy(zero_copy_only=False) for each in (old, new)]
    found: NDArray[np.bool_] = lengths[0] != lengths[1]
    alike = np.flatnonzero(~found)  # as long as each other: now word by word
    words = [pc.list_flatten(each.take(alike)) for each in (old, new)]
    of_row = np.repeat(alike, lengths[0][alike])
    found[of_row[_differs(pa.chunked_array([words[0]]), pa.chunked_array([words[1]]))]] = True
    return found
