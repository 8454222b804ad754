"""Training, validation and test: which side each track stands on, by group, and for good.

A group's side depends on nothing but its own name and the seed: a hash of both, read as a number in [0, 1), falls into
the test share, the validation share, or what is left. So a track that was in test stays in test when the catalogue
grows, shrinks or is reordered; no model is ever judged on what an earlier one learnt from.

What that costs: the shares hold on average, not exactly. Of ``n`` groups, a share ``p`` comes out at
``n·p ± sqrt(n·p·(1 − p))``: with 40 groups in a genre and 20 % for test, 8 ± 2.5 groups. Ranking the hashes within each
genre would hit 8 exactly, but every newcomer would push others over the edge; here stability goes first.

One repair is made. A genre that would have no group at all on one side gets the group nearest to that side (by its
hash), because without it nothing can be said of the genre. Such a group is the one exception to "for good": it goes
back to its own side as soon as the genre fills that side by itself. `Arrangement.moved` names them.

Official splits are honoured. Where one tears a group apart, the whole group goes to the side that needs most protection
(test before validation before train), for a split that leaks measures nothing.
"""

import hashlib
from collections import defaultdict
from dataclasses import dataclass

import pandas as pd

from earmark.errors import CatalogueError, ParamsError
from earmark.params import Split

SIDES = ("train", "validation", "test")


@dataclass(frozen=True)
class Arrangement:
    """Where everything stands.

    Attributes:
        sides: ``train``, ``validation`` or ``test`` for each track; indexed like the tracks.
        moved: Groups put on another side than their hash says, to fill a genre; sorted.
        torn: Groups that an official split would have torn apart; sorted.
    """

    sides: pd.Series
    moved: tuple[str, ...]
    torn: tuple[str, ...]


def assign_splits(tracks: pd.DataFrame, split: Split) -> pd.Series:
    """The side of each track: ``train``, ``validation`` or ``test``; a series indexed like ``tracks``.

    Args:
        tracks: One row a track; of its columns ``group``, ``genre`` and ``split`` (the official one, or None) count.
        split: Seed and shares.

    Raises:
        CatalogueError: A genre has too few groups to stand on all three sides.
        ParamsError: The shares leave one side nothing.
    """
    return arrange(tracks, split).sides


def arrange(tracks: pd.DataFrame, split: Split) -> Arrangement:
    """As `assign_splits`, and what had to be done for it."""
    test, validation = split.test_share, split.validation_share
    if not (0 < test < 1 and 0 < validation < 1 and test + validation < 1):
        raise ParamsError(
            f"split.test_share is {test} and split.validation_share {validation}; both must be above 0 and "
            "leave something for training. Usual are 0.2 and 0.15."
        )
    official: dict[str, set[str]] = defaultdict(set)
    for group, side in zip(tracks["group"], tracks["split"], strict=True):
        if isinstance(side, str):
            if side not in SIDES:
                raise CatalogueError(
                    f"The official split of a track is {side!r}; it must be one of {', '.join(SIDES)}."
                )
            official[group].add(side)
    groups = sorted(set(tracks["group"]))
    sides = {
        group: max(official[group], key=SIDES.index) if group in official else _side(place(group, split.seed), split)
        for group in groups
    }
    moved = _fill_genres(tracks, sides, split, fixed=set(official))
    torn = tuple(sorted(group for group, found in official.items() if len(found) > 1))
    return Arrangement(tracks["group"].map(sides).rename("split").astype(object), moved, torn)


def place(group: str, seed: int) -> float:
    """Where a group falls in [0, 1): evenly spread, and the same on every machine for ever."""
    digest = hashlib.sha256(f"{seed}\0{group}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def _bounds(side: str, split: Split) -> tuple[float, float]:
    test, both = split.test_share, split.test_share + split.validation_share
    return {"test": (0.0, test), "validation": (test, both), "train": (both, 1.0)}[side]


def _side(at: float, split: Split) -> str:
    return next(side for side in ("test", "validation", "train") if at < _bounds(side, split)[1])


def _fill_genres(tracks: pd.DataFrame, sides: dict[str, str], split: Split, *, fixed: set[str]) -> tuple[str, ...]:
    """Move as few groups as it takes for every genre to stand on every side; changes ``sides``.

    A group is moved only from where it leaves another of each of its genres behind, so no move undoes an earlier one.
    """
    genres_of: dict[str, set[str]] = defaultdict(set)
    groups_of: dict[str, set[str]] = defaultdict(set)
    for group, genre in zip(tracks["group"], tracks["genre"], strict=True):
        if isinstance(genre, str):
            genres_of[group].add(genre)
            groups_of[genre].add(group)
    moved = set()
    for genre in sorted(groups_of):
        for wanted in ("test", "validation", "train"):
            if any(sides[group] == wanted for group in groups_of[genre]):
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
