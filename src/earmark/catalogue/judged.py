"""The four tables that the rules of expectations.yaml are about: tracks, genres, splits, and the catalogue as a whole.

Each has one row for each thing that a rule can find fault with. A missing value is null, and Great Expectations passes
over it: what an older collection has not measured offends no rule, unless the rule is about being there.
"""

import pandas as pd

from earmark.catalogue.splits import SIDES
from earmark.catalogue.tags import ALONE, ARTIST, artist_keys
from earmark.catalogue.track import SCHEMA

# Above this frequency nothing is missed: a CD ends here, and so do ears. In Hz.
_HIGHEST_HZ = 22_050.0

_LOSSLESS = ("flac", "alac", "ape", "wavpack", "tta", "wmalossless", "pcm_")
_TEXTS = ("genre", "group", "artist", "title", "album", "isrc", "licence", "split")
_BY_ARTIST = (ARTIST, ALONE)  # what `artist_group` gives; a group with another beginning is a source's own


def track_table(tracks: pd.DataFrame) -> pd.DataFrame:
    """One row a track, numbered from 0: what is known of it, and what follows.

    Args:
        tracks: Columns as in `SCHEMA`; ``audio_bytes`` (size of the audio file, 0 where there is none, null where it
            lies at an address outside), ``duplicate_group`` (null: no duplicate is known), ``unreadable`` (why the
            audio could not be read; null: it could), and those of `earmark.catalogue.taxonomy.apply_taxonomy` and
            `earmark.catalogue.corrections.apply_corrections`.

    Returns:
        The same with blanks made null, so that one rule catches both, and three columns more: ``artist_key`` (the
        artist, however the name is written; null where unknown), ``lossless`` (whether the codec is),
        ``bandwidth_share`` (``bandwidth_hz`` over what the sample rate allows, or over 22,050 Hz where it allows more).
    """
    tracks = tracks.reset_index(drop=True)
    text = {name: _without_blanks(tracks[name]) for name in _TEXTS}
    possible_hz = (tracks["sample_rate_hz"] / 2).clip(upper=_HIGHEST_HZ)
    codecs = {codec: str(codec).startswith(_LOSSLESS) for codec in tracks["codec"].unique()}
    return tracks.assign(
        **text,
        # Always given, so these two fall through if they are not: an unknown length is no length, an unknown hash none.
        content_hash=tracks["content_hash"].astype("str").fillna(""),
        duration_s=tracks["duration_s"].astype(float).fillna(0.0),
        artist_key=artist_keys(text["artist"]),
        lossless=tracks["codec"].map(codecs).astype(bool),
        bandwidth_share=(tracks["bandwidth_hz"].astype(float) / possible_hz).clip(upper=1.0),
    )


def joined_tags(tags: pd.Series) -> pd.Series:
    """Each track's tags as one text, with commas between them, which a rule can match; null where there are none."""
    return pd.Series([", ".join([] if row is None else row) or None for row in tags], index=tags.index, dtype="str")


def genre_table(tracks: pd.DataFrame) -> pd.DataFrame:
    """One row a genre, over what `track_table` gives: ``genre, tracks, groups, artists, hours``, sorted by name.

    ``artists`` counts the known ones.
    """
    return tracks.groupby("genre", as_index=False, sort=True).agg(
        tracks=("track_id", "size"),
        groups=("group", "nunique"),
        artists=("artist_key", "nunique"),
        hours=("duration_s", lambda seconds: float(seconds.sum()) / 3600),
    )


def split_table(tracks: pd.DataFrame, sides: pd.Series, *, exact: bool = False) -> pd.DataFrame:
    """One row for each artist, group, duplicate group and genre of the accepted tracks: on how many sides it stands.

    Args:
        tracks: As from `track_table`.
        sides: ``train``, ``validation`` or ``test`` for each of them, indexed alike.
        exact: Official splits were taken to the letter.

    Returns:
        Columns ``artist, group, duplicate_group, genre``: the name, in the one that the row is about, null in the
        others; ``name``: the same, whichever it is; ``artist_sides, group_sides, duplicate_sides, genre_sides``: the
        number of sides, likewise; ``torn_by_source``: as ``artist_sides``, which is null then, for an artist whose
        tracks the source keeps together by something else than the artist (a piece, an album);
        ``torn_by_official_split``: as the first three of them, which are null then, for what has tracks with an
        official side, where ``exact``; ``artist_genres``: in how many genres an artist has tracks;
        ``tracks, train, validation, test``: how many tracks it has, and where.
    """
    apart = ~tracks["group"].fillna("").str.startswith(_BY_ARTIST)
    by_source = set(tracks.loc[apart, "artist_key"].dropna().unique())
    first_names = tracks.drop_duplicates("artist_key").set_index("artist_key")["artist"]
    official = tracks[tracks["split"].notna() & exact]

    tables = []
    for kind, column, counted in (
        ("artist", "artist_key", "artist_sides"),
        ("group", "group", "group_sides"),
        ("duplicate_group", "duplicate_group", "duplicate_sides"),
        ("genre", "genre", "genre_sides"),
    ):
        table = _sides_of(tracks[column], sides)
        key, found = table["name"], table.pop("sides")
        table = table.assign(name=key.map(first_names) if kind == "artist" else key)
        by_official = key.isin(set(official[column].dropna())) & (kind != "genre")
        by_other = key.isin(by_source) & (kind == "artist") & ~by_official
        table = table.assign(
            **{kind: table["name"], counted: found.where(~by_official & ~by_other)},
            torn_by_official_split=found.where(by_official),
            torn_by_source=found.where(by_other),
        )
        if kind == "artist":
            table["artist_genres"] = key.map(tracks.groupby("artist_key")["genre"].nunique())
        tables.append(table)
    names = ["artist", "group", "duplicate_group", "genre", "name"]
    torn = ["torn_by_source", "torn_by_official_split"]
    counts = ["artist_sides", "artist_genres", *torn, "group_sides", "duplicate_sides", "genre_sides"]
    places = pd.concat(tables, ignore_index=True).reindex(columns=[*names, *counts, "tracks", *SIDES])
    return places.astype(dict.fromkeys(names, "str") | dict.fromkeys(counts, float))


def whole_table(tracks: pd.DataFrame, accepted: pd.Series) -> pd.DataFrame:
    """One row: the catalogue as it would be, and what was refused.

    Columns ``tracks_in, tracks, refused, refused_share, genres, groups, artists, hours``.
    """
    left = tracks[accepted]
    refused = len(tracks) - len(left)
    return pd.DataFrame(
        {
            "tracks_in": [len(tracks)],
            "tracks": [len(left)],
            "refused": [refused],
            "refused_share": [refused / len(tracks)],
            "genres": [left["genre"].nunique()],
            "groups": [left["group"].nunique()],
            "artists": [left["artist_key"].nunique()],
            "hours": [float(left["duration_s"].sum()) / 3600],
        }
    )


def samples() -> dict[str, pd.DataFrame]:
    """Each table, small and made up, with all its columns and their types: to try a rule on before anything runs."""
    track = dict.fromkeys(SCHEMA.names, "a") | {
        "duration_s": 30.0,
        "sample_rate_hz": 44_100,
        "channels": 2,
        "tags": "a, b",
        **dict.fromkeys(("loudness_lufs", "peak_dbfs", "clipped_share", "silent_share", "bandwidth_hz"), 0.5),
        "audio_bytes": 1000.0,
        **dict.fromkeys(("duplicate_group", "unreadable", "source_genre", "refused_genre", "unknown_tags"), "a"),
        "withdrawn": "a",
    }
    tracks = track_table(pd.DataFrame([track, track | {"track_id": "b"}]))
    return {
        "tracks": tracks,
        "genres": genre_table(tracks),
        "splits": split_table(tracks, pd.Series(["train", "test"])),
        "catalogue": whole_table(tracks, pd.Series([True, True])),
    }


def _without_blanks(values: pd.Series) -> pd.Series:
    blank = [value for value in values.unique() if isinstance(value, str) and not value.strip()]
    return values.astype("str").mask(values.isin(blank))


def _sides_of(names: pd.Series, sides: pd.Series) -> pd.DataFrame:
    """``name, tracks, train, validation, test, sides`` for each name, sorted; null names apart."""
    counts = pd.crosstab(names, sides).reindex(columns=list(SIDES), fill_value=0)
    return (
        counts.assign(tracks=counts.sum(axis=1), sides=(counts > 0).sum(axis=1))
        .rename_axis(index="name", columns=None)
        .reset_index()
    )
