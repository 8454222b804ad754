"""Training, validation and test: which side each track stands on, by group, and for good.

What stays together is an artist (or what the source says instead) and all recordings that are the same: groups that
share a duplicate are one, and so are groups of artists with one name (two collections number their artists each in its
own way). A group's side depends on nothing but its own name and the seed: a hash of both, read as a number in [0, 1),
falls into the test share, the validation share, or what is left. So a track that was in test stays in test when the
catalogue grows, shrinks or is reordered. Groups that are joined stand where the most protected of them stands (test
before validation before train): a newcomer which joins two takes no track out of test, but may take some of training
there, which an earlier model has learnt. `Arrangement.joined` names them.

What that costs: the shares hold on average, not exactly, in all and in each genre. Of ``n`` groups, a share ``p`` comes
out at ``n·p ± sqrt(n·p·(1 − p))``: with 40 groups in a genre and 20 % for test, 8 ± 2.5 groups. Ranking the hashes
within each genre would hit 8 exactly, but every newcomer would push others over the edge; here stability goes first.

One repair is made. A genre that would have no group at all on one side gets the group nearest to that side (by its
hash), because without it nothing can be said of the genre. Such a group is the one exception to "for good": it goes
back to its own side as soon as the genre fills that side by itself. `Arrangement.moved` names them.

Official splits are honoured as ``split.official`` says: ``whole`` keeps groups together, so where the official sides of
a group and the hash of its other tracks differ, all of it goes to the most protected of them, for a split that leaks
measures nothing; ``exact`` takes them to the letter, for comparison with published figures, leaks included; ``ignore``
arranges everything anew.
"""

import hashlib
from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import pandas as pd

from earmark.catalogue.tags import ARTIST, artist_keys
from earmark.errors import CatalogueError, ParamsError
from earmark.params import Split

SIDES = ("train", "validation", "test")
OFFICIAL = ("whole", "exact", "ignore")


@dataclass(frozen=True)
class Arrangement:
    """Where everything stands.

    Attributes:
        sides: ``train``, ``validation`` or ``test`` for each track; indexed like the tracks.
        groups: What stays together with each track, duplicates included; indexed like the tracks.
        moved: Groups put on another side than their hash says, to fill a genre; sorted.
        torn: Groups whose official sides differ, or differ from where the group's other tracks would stand; sorted.
        joined: Groups that are several, joined by duplicates or an artist's name, under the name of the first; sorted.
    """

    sides: pd.Series
    groups: pd.Series
    moved: tuple[str, ...]
    torn: tuple[str, ...]
    joined: tuple[str, ...]


def arrange(tracks: pd.DataFrame, split: Split, duplicates: pd.DataFrame | None = None) -> Arrangement:
    """The side of each track.

    Args:
        tracks: One row a track; of its columns ``track_id``, ``group``, ``artist``, ``genre`` and ``split`` (the
            official one, or None) count.
        split: Seed, shares, and what official splits mean.
        duplicates: Columns ``track_id`` and ``duplicate_group``, equal for recordings that are the same, or None.

    Raises:
        CatalogueError: A genre has too few groups to stand on all three sides, or an official side is none.
        ParamsError: The shares leave one side nothing, or ``split.official`` is unknown.
    """
    _check(tracks, split)
    groups = united(tracks, duplicates)
    official = tracks["split"].where(tracks["split"].notna(), None) if split.official != "ignore" else None
    own = pd.DataFrame({"group": groups, "own": tracks["group"]})
    hashed = {name: _side(place(name, split.seed), split) for name in own["own"].unique()}
    given = pd.Series(None, index=tracks.index, dtype=object) if official is None else official
    wanted = own.assign(side=given.where(given.notna(), own["own"].map(hashed)), official=given.notna())
    wanted = wanted.drop_duplicates()
    by_group = wanted.assign(rank=wanted["side"].map(SIDES.index)).groupby("group")
    sides = {str(group): SIDES[rank] for group, rank in by_group["rank"].max().items()}  # the most protected of all
    fixed = by_group["official"].any()
    exact = split.official == "exact"
    there = pd.DataFrame({"genre": tracks["genre"], "side": given})[given.notna() & exact].dropna().drop_duplicates()
    moved = _fill_genres(
        groups,
        tracks["genre"],
        sides,
        split,
        fixed=set(fixed.index[fixed]),
        there=set(there.itertuples(index=False, name=None)),
    )
    each = groups.map(sides)
    if exact:
        each = given.where(given.notna(), each)
    own_groups, places = by_group["own"].nunique(), by_group["side"].nunique()
    return Arrangement(
        sides=each.rename("split").astype(object),
        groups=groups,
        moved=moved,
        torn=tuple(sorted(map(str, fixed.index[fixed & (places > 1)]))),
        joined=tuple(sorted(map(str, own_groups.index[own_groups > 1]))),
    )


def united(tracks: pd.DataFrame, duplicates: pd.DataFrame | None) -> pd.Series:
    """The group of each track, where groups that share a duplicate or an artist's name are one, named by the first of
    them in the alphabet.

    Args:
        tracks: Columns ``track_id``, ``group`` and ``artist``. The names of artists join only groups by artist (see
            `earmark.catalogue.tags.artist_group`), none that a source makes of something else.
        duplicates: As in `arrange`.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    own, names = pd.factorize(tracks["group"].astype("str"), sort=True)
    artists = artist_keys(tracks["artist"]).where(tracks["group"].astype("str").str.startswith(ARTIST))
    ties = [(own, artists)]
    if duplicates is not None:
        at = pd.Index(tracks["track_id"]).get_indexer(duplicates["track_id"])
        ties.append((own[at], duplicates["duplicate_group"].where(at >= 0)))
    ends, size = [], len(names)
    for members, shared in ties:  # a node for each group, and one for each thing that groups may share
        label, things = pd.factorize(shared)  # -1: null
        ends.append(np.stack([members, size + label])[:, label >= 0])
        size += len(things)
    edges = np.concatenate(ends, axis=1)
    graph = coo_array((np.ones(edges.shape[1]), (edges[0], edges[1])), shape=(size, size))
    component = connected_components(graph, directed=False)[1][: len(names)]
    first = pd.Series(names).groupby(component).transform("min").to_numpy(object)
    return pd.Series(first[own], index=tracks.index, name="group")


def _check(tracks: pd.DataFrame, split: Split) -> None:
    test, validation = split.test_share, split.validation_share
    if not (0 < test < 1 and 0 < validation < 1 and test + validation < 1):
        raise ParamsError(
            f"split.test_share is {test} and split.validation_share {validation}; both must be above 0 and "
            "leave something for training. Usual are 0.2 and 0.15."
        )
    if split.official not in OFFICIAL:
        raise ParamsError(f"split.official is {split.official!r}; it must be one of {', '.join(OFFICIAL)}.")
    if unknown := sorted({str(side) for side in tracks["split"].dropna().unique()} - set(SIDES)):
        raise CatalogueError(
            f"The official split of a track is {unknown[0]!r}; it must be one of {', '.join(SIDES)}. "
            "Map the source's names to these, or set split.official to ignore."
        )


def place(group: str, seed: int) -> float:
    """Where a group falls in [0, 1): evenly spread, and the same on every machine for ever."""
    digest = hashlib.sha256(f"{seed}\0{group}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def _bounds(side: str, split: Split) -> tuple[float, float]:
    test, both = split.test_share, split.test_share + split.validation_share
    return {"test": (0.0, test), "validation": (test, both), "train": (both, 1.0)}[side]


def _side(at: float, split: Split) -> str:
    return next(side for side in ("test", "validation", "train") if at < _bounds(side, split)[1])


def _fill_genres(
    groups: pd.Series,
    genres: pd.Series,
    sides: dict[str, str],
    split: Split,
    *,
    fixed: set[str],
    there: set[tuple[str, str]],
) -> tuple[str, ...]:
    """Move as few groups as it takes for every genre to stand on every side; changes ``sides``.

    A group is moved only from where it leaves another of each of its genres behind, so no move undoes an earlier one.
    Groups in ``fixed`` are not moved; ``there`` has (genre, side) of tracks that stand there whatever their group.
    """
    genres_of: dict[str, set[str]] = defaultdict(set)
    groups_of: dict[str, set[str]] = defaultdict(set)
    pairs = pd.DataFrame({"group": groups, "genre": genres}).dropna().drop_duplicates()
    for group, genre in zip(pairs["group"], pairs["genre"], strict=True):
        genres_of[group].add(genre)
        groups_of[genre].add(group)
    moved = set()
    for genre in sorted(groups_of):
        for wanted in ("test", "validation", "train"):
            if (genre, wanted) in there or any(sides[group] == wanted for group in groups_of[genre]):
                continue
            free = [
                group
                for group in groups_of[genre] - fixed
                if all(_others(group, groups_of[mine], sides) for mine in genres_of[group])
            ]
            if not free:
                raise CatalogueError(_too_few(genre, wanted, groups_of[genre], sides))
            low, high = _bounds(wanted, split)
            distance = {group: max(low - place(group, split.seed), place(group, split.seed) - high) for group in free}
            nearest = min(free, key=lambda group: (distance[group], group))
            sides[nearest] = wanted
            moved.add(nearest)
    return tuple(sorted(moved))


def _others(group: str, of_the_genre: set[str], sides: dict[str, str]) -> bool:
    return any(other != group and sides[other] == sides[group] for other in of_the_genre)


def _too_few(genre: str, wanted: str, groups: set[str], sides: dict[str, str]) -> str:
    found = ", ".join(f"{sum(sides[group] == side for group in groups)} in {side}" for side in SIDES)
    return (
        f"The genre {genre!r} has no group for {wanted} ({len(groups)} groups: {found}); it needs one on each side, "
        "and a group (an artist, or a piece with its renderings) stays whole. Bring more artists of this genre, leave "
        "the genre out, or check that the artists in the files' tags are right."
    )
