"""Which recordings of a collection a model may hear, labelled or not: nothing that is tested.

A recording without a label still sounds, and listeners may have told of it. It must not tell what the test is to find
out: whatever is a copy of a tested recording, or by its artist, or of its group, stays unheard.
"""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from earmark.catalogue.tags import artist_keys
from earmark.catalogue.track import read_tracks
from earmark.workspace import CATALOGUE, COLLECTIONS, DUPLICATES, QUARANTINE, TRACKS

_ABOUT_LABELS = ("genre_", "label_")  # rules of expectations.yaml whose names begin so refuse labels, not music


def to_hear(
    tracks: pd.DataFrame, splits: pd.DataFrame, duplicates: pd.DataFrame, quarantine: pd.DataFrame
) -> pd.DataFrame:
    """The recordings that pretraining may hear, one of each set of copies, sorted by content hash.

    All of the collection, but what is on the test side: no recording that is tested, no copy of one, and nothing by its
    artist, labelled or not. What was refused for its sound or its licence is left out; a missing or withdrawn label is
    no reason.

    Args:
        tracks: The collection, columns as in `earmark.catalogue.track.SCHEMA`.
        splits: As the stage `split` writes them.
        duplicates: As the stage `duplicates` writes them.
        quarantine: As the stage `validate` writes it.
    """
    heard = tracks[_fit(tracks, duplicates, quarantine) & ~_tested(tracks, splits, duplicates)]
    copies = _found(heard, duplicates, "duplicate_group").fillna(heard["content_hash"])
    heard = heard.assign(copies=copies).sort_values(["content_hash", "path"]).drop_duplicates("copies")
    return heard[["track_id", "content_hash", "path"]].reset_index(drop=True)


def unlabelled(
    tracks: pd.DataFrame, splits: pd.DataFrame, duplicates: pd.DataFrame, quarantine: pd.DataFrame
) -> pd.DataFrame:
    """The recordings that were refused for their label alone and may be heard, sorted by track_id.

    On the test side stands what `to_hear` says. Copies are all there, as labelled ones are.

    Args:
        tracks: The collection, columns as in `earmark.catalogue.track.SCHEMA`.
        splits: As the stage `split` writes them.
        duplicates: As the stage `duplicates` writes them.
        quarantine: As the stage `validate` writes it.

    Returns:
        Columns ``track_id, content_hash, path``.
    """
    refused = refused_for_label(tracks, splits["track_id"], duplicates, quarantine)
    if refused.any():
        refused &= ~_tested(tracks, splits, duplicates)
    found = tracks.loc[refused, ["track_id", "content_hash", "path"]]
    return found.sort_values("track_id").drop_duplicates("track_id").reset_index(drop=True)


def refused_for_label(
    tracks: pd.DataFrame, accepted: Iterable[str], duplicates: pd.DataFrame, quarantine: pd.DataFrame
) -> pd.Series:
    """Whether each track was refused for its label alone; ``accepted``: the track_ids of the catalogue."""
    refused = tracks["track_id"].isin(quarantine["track_id"]) & ~tracks["track_id"].isin(list(accepted))
    return refused & _fit(tracks, duplicates, quarantine)


def listened_to(root: Path, collection: str) -> pd.DataFrame:
    """Tracks whose listeners count, sorted by track_id: the catalogue's, and those refused for their label alone.

    The latter have no genre here. Columns as in `earmark.catalogue.track.SCHEMA`.

    Raises:
        CatalogueError: There is no catalogue, or no such collection.
    """
    catalogue = read_tracks(root / CATALOGUE)
    if (root / QUARANTINE).is_file():
        quarantine = pd.read_csv(root / QUARANTINE, dtype=str)
        tracks = read_tracks(root / COLLECTIONS / collection / TRACKS)
        more = tracks[
            refused_for_label(tracks, catalogue["track_id"], pd.read_parquet(root / DUPLICATES), quarantine)
        ].drop_duplicates("track_id")
        if len(more):
            catalogue = pd.concat([catalogue, more.assign(genre=pd.Series(None, index=more.index, dtype="str"))])
    return catalogue.sort_values("track_id", ignore_index=True)


def akin(tracks: pd.DataFrame, duplicates: pd.DataFrame, track_ids: Iterable[str]) -> pd.Series:
    """Whether each track is one of ``track_ids``, a copy of one, of its group or by its artist; and so on from these.

    Args:
        tracks: The collection, columns as in `earmark.catalogue.track.SCHEMA`.
        duplicates: As the stage `duplicates` writes them.
        track_ids: Of some of them.

    Returns:
        Booleans, indexed like ``tracks``.
    """
    shared = (
        tracks["group"],
        _found(tracks, duplicates, "duplicate_group"),
        artist_keys(tracks["artist"]),
        tracks["content_hash"],
    )
    found = tracks["track_id"].isin(list(track_ids))
    known = -1
    while known < (known := int(found.sum())):  # a copy of a copy, an artist of either: until no more come in
        for names in shared:
            found |= names.isin(names[found].dropna())
    return found


def _tested(tracks: pd.DataFrame, splits: pd.DataFrame, duplicates: pd.DataFrame) -> pd.Series:
    return akin(tracks, duplicates, splits.loc[splits["split"] == "test", "track_id"])


def _fit(tracks: pd.DataFrame, duplicates: pd.DataFrame, quarantine: pd.DataFrame) -> pd.Series:
    """Whether nothing is wrong with each track, but perhaps its label."""
    about_sound = quarantine[~quarantine["rule"].str.startswith(_ABOUT_LABELS)]
    return ~tracks["track_id"].isin(about_sound["track_id"]) & _found(tracks, duplicates, "unreadable").isna()


def _found(tracks: pd.DataFrame, duplicates: pd.DataFrame, column: str) -> pd.Series:
    """What the stage `duplicates` found about each track; null where it found nothing."""
    known = duplicates.drop_duplicates("track_id").set_index("track_id")[column]
    return tracks["track_id"].map(known).astype("str")
