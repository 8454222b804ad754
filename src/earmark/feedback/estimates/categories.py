"""Categories of songs that listening itself reveals: songs are together that the same listeners play.

* Songs are directions in the space of listener factors, clustered by k-means, and then each is put to the centre whose
  direction is nearest (nearly the spherical k-means of Dhillon & Modha 2001, which does so at every step). How many
  clusters, the silhouette decides (Rousseeuw 1987), unless the user does; refitted, as many as before, unless another
  number is clearly better: the silhouette alone would often jump to and fro between two.
* How sure a song's membership is: listeners are drawn anew (Poisson bootstrap: Hanley & MacGibbon 2006), the song's
  factors follow from those drawn, and the share of draws that leave it where it is is its confidence.
* A category is named by the words and genres that set it apart: log odds against all other songs with an informative
  Dirichlet prior (Monroe, Colaresi & Quinn, "Fightin' words", 2008). Those called alike are named further by what sets
  them apart among themselves, a word at a time; where no word does, by their most typical songs.
* Refitted, a category keeps its number where most of its songs stay: old and new are matched one to one so that as many
  songs as possible keep theirs (Kuhn 1955); what shares too few songs is no match. Numbers are never used again.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from earmark.feedback.estimates.factors import Factors, directions, redraws
from earmark.params import Categories

Ints = npt.NDArray[np.int64]

SURE, UNSURE, TOO_FEW, NEVER = "sure", "unsure", "too few listeners", "no listening known"
_SHOWN_WORDS, _SHOWN_SONGS = 3, 5
_SETS_APART = 1.96  # standard errors
_PRIOR = 20.0  # words, drawn from all songs, that every category is thought to have beforehand
_SAMPLED = 4_000  # songs, for the silhouette
_CLEARLY = 0.03  # of the silhouette: what is better by less is no reason for another number of categories
_SAME = 0.3  # share of common songs (Jaccard) from which an old category and a new one are the same


@dataclass(frozen=True)
class Category:
    """One category.

    Attributes:
        number: Stays the same when the categories are found anew.
        name: The words and genres that set it apart, or its most typical song, or both; no other category's, unless
            their most typical songs are called alike too.
        words: As in ``name``, with their z: of the first ones against all other categories, of further ones against
            those that would be called alike without.
        songs: How many belong to it, with confidence.
        typical: Tracks' numbers, the most typical first.
    """

    number: int
    name: str
    words: Mapping[str, float]
    songs: int
    typical: tuple[int, ...]


@dataclass(frozen=True)
class Clustering:
    """What was found.

    Attributes:
        members: One row a track: ``track``, ``category`` (number; −1 where none), ``confidence`` (NaN where nothing is
            known), ``listeners``, ``status``.
        categories: In order of their numbers.
        highest: The highest number ever given.
        silhouette: Of the clusters, −1 to 1; NaN where there are none.
    """

    members: pd.DataFrame
    categories: tuple[Category, ...]
    highest: int
    silhouette: float


def categorise(
    factors: Factors | None,
    pairs: pd.DataFrame,
    listeners: Ints,
    terms: pd.DataFrame,
    titles: Mapping[int, str],
    before: pd.DataFrame,
    highest: int,
    params: Categories,
) -> Clustering:
    """Find the categories.

    Args:
        factors: Of who listens to what; None where there are too few.
        pairs: Of which they were made.
        listeners: How many have heard each track of the catalogue, shape ``(tracks,)``.
        terms: ``track, term, count``: words and genres, and how often they stand at the track.
        titles: Track → what to call a category of which no word tells.
        before: ``track, category`` of the version before; empty where there is none.
        highest: The highest number that was ever given; −1 where none was.
        params: How many, how sure.
    """
    members = pd.DataFrame(
        {
            "track": np.arange(len(listeners)),
            "category": -1,
            "confidence": np.nan,
            "listeners": listeners,
            "status": np.where(listeners > 0, TOO_FEW, NEVER),
        }
    )
    if factors is None:
        return Clustering(members, (), highest, float("nan"))
    enough = np.flatnonzero(listeners[factors.tracks] >= params.min_listeners)
    placed = directions(factors.song_factors)[enough]
    if len(enough) < max(4, params.count + 1):
        return Clustering(members, (), highest, float("nan"))
    known = before.loc[before["category"] >= 0, "category"].nunique()
    centres, labels, silhouette = _clusters(placed, known, params)
    confidence = _confidence(factors, pairs, enough, centres, labels, params)
    tracks = factors.tracks[enough]
    numbers, highest = _numbered(tracks, labels, before, highest)
    members.loc[tracks, "category"] = numbers[labels]
    members.loc[tracks, "confidence"] = confidence
    members.loc[tracks, "status"] = np.where(confidence >= params.min_confidence, SURE, UNSURE)
    nearness = (placed * centres[labels]).sum(axis=1)
    named = _named(tracks, labels, numbers, confidence, nearness, terms, titles, params)
    return Clustering(members, named, highest, silhouette)


def _clusters(
    placed: npt.NDArray[np.float32], known: int, params: Categories
) -> tuple[npt.NDArray[np.float32], Ints, float]:
    """Centres on the sphere, the cluster of each song, and the silhouette. ``known`` is how many there were before."""
    from sklearn.cluster import KMeans

    tried: dict[int, tuple[float, npt.NDArray[np.float32]]] = {}
    most = min(params.max_count, (len(placed) - 1) // 2)
    for count in [params.count] if params.count else range(2, most + 1):
        fitted = KMeans(count, n_init=10, random_state=params.seed).fit(placed)
        if len(np.unique(fitted.labels_)) > 1:
            tried[count] = _silhouette(placed, fitted.labels_, params.seed), directions(fitted.cluster_centers_)
    if not tried:  # all songs lie in one place
        return placed[:1], np.zeros(len(placed), dtype=np.int64), float("nan")
    best = max(tried, key=lambda count: tried[count][0])
    if known in tried and tried[known][0] > tried[best][0] - _CLEARLY:
        best = known
    silhouette, centres = tried[best]
    return centres, np.asarray((placed @ centres.T).argmax(axis=1), dtype=np.int64), silhouette


def _silhouette(placed: npt.NDArray[np.float32], labels: Ints, seed: int) -> float:
    """Of a sample of the songs; 0, which speaks neither for it nor against it, where all of them are in one cluster."""
    from sklearn.metrics import silhouette_score

    sample = np.random.RandomState(seed).permutation(len(placed))[:_SAMPLED]
    if len(np.unique(labels[sample])) < 2:
        return 0.0
    return float(silhouette_score(placed[sample], labels[sample]))


def _confidence(
    factors: Factors,
    pairs: pd.DataFrame,
    songs: Ints,
    centres: npt.NDArray[np.float32],
    labels: Ints,
    params: Categories,
) -> npt.NDArray[np.float64]:
    """In how many of the redraws each song stays in its cluster, shape as ``labels``."""
    stays = np.zeros(len(labels))
    for song_factors in redraws(factors, pairs, params):
        drawn = directions(song_factors[songs])
        stays += ((drawn @ centres.T).argmax(axis=1) == labels) & drawn.any(axis=1)  # without listeners it is nowhere
    return np.asarray(stays / max(params.redraws, 1))


def _numbered(tracks: Ints, labels: Ints, before: pd.DataFrame, highest: int) -> tuple[Ints, int]:
    """The number of each cluster, and the highest that was ever given."""
    from scipy.optimize import linear_sum_assignment

    clusters = int(labels.max()) + 1
    numbers = np.full(clusters, -1, dtype=np.int64)
    old = before[before["category"] >= 0].set_index("track")["category"]
    old_numbers = np.unique(old.to_numpy(dtype=np.int64))
    if len(old_numbers):
        highest = max(highest, int(old_numbers[-1]))
        was = old.reindex(tracks).to_numpy(dtype=np.float64)
        common = np.array([[np.sum((labels == new) & (was == old)) for old in old_numbers] for new in range(clusters)])
        sizes = np.bincount(labels, minlength=clusters)[:, None] + np.array([np.sum(was == n) for n in old_numbers])
        shared = common / np.maximum(sizes - common, 1)
        for new, place in zip(*linear_sum_assignment(-np.where(shared >= _SAME, common, 0)), strict=True):
            if shared[new, place] >= _SAME:
                numbers[new] = old_numbers[place]
    # New ones by size, the largest first.
    fresh = [new for new in np.argsort(-np.bincount(labels, minlength=clusters), kind="stable") if numbers[new] < 0]
    for new in fresh:
        highest += 1
        numbers[new] = highest
    return numbers, max(highest, int(numbers.max()))


def _named(
    tracks: Ints,
    labels: Ints,
    numbers: Ints,
    confidence: npt.NDArray[np.float64],
    nearness: npt.NDArray[np.float32],
    terms: pd.DataFrame,
    titles: Mapping[int, str],
    params: Categories,
) -> tuple[Category, ...]:
    of_track = dict(zip(tracks.tolist(), labels.tolist(), strict=True))
    here = terms[terms["track"].isin(of_track)]
    counts = here.assign(cluster=here["track"].map(of_track)).pivot_table(
        index="term", columns="cluster", values="count", aggfunc="sum", fill_value=0.0
    )
    words = _told_apart({int(cluster): apart(counts, int(cluster)) for cluster in np.unique(labels)}, counts)
    found = []
    for cluster, own_words in words.items():
        own = np.flatnonzero(labels == cluster)
        order = own[np.lexsort((tracks[own], -nearness[own], -np.round(confidence[own], 1)))]
        typical = tuple(int(track) for track in tracks[order[:_SHOWN_SONGS]])
        name = " · ".join(own_words)
        if [others.keys() for others in words.values()].count(own_words.keys()) > 1 or not name:
            name = f"{name}, like “{titles[typical[0]]}”".removeprefix(", ")
        sure = int((confidence[own] >= params.min_confidence).sum())
        found.append(Category(int(numbers[cluster]), name, own_words, sure, typical))
    return tuple(sorted(found, key=lambda category: category.number))


def _told_apart(words: Mapping[int, dict[str, float]], counts: pd.DataFrame) -> dict[int, dict[str, float]]:
    """The words of each cluster; those that have the same ones get a further word each, as long as there is one."""
    alike: dict[frozenset[str], list[int]] = {}
    for cluster, own in words.items():
        alike.setdefault(frozenset(own), []).append(cluster)
    told = dict(words)
    for named, clusters in alike.items():
        if named and len(clusters) > 1:
            among = counts.loc[~counts.index.isin(named), clusters]
            among = among[among.sum(axis=1) > 0]
            for cluster in clusters:
                told[cluster] = words[cluster] | dict(list(apart(among, cluster).items())[:1])
    return told if told == words else _told_apart(told, counts)


def apart(counts: pd.DataFrame, cluster: int) -> dict[str, float]:
    """The terms that set a cluster apart from all others, the clearest first, with the z of their log odds.

    Args:
        counts: How often each term (index) stands in each cluster (columns).
        cluster: Which one.
    """
    if cluster not in counts or len(counts) < 2:  # a word beside which there is none sets nothing apart
        return {}
    own = counts[cluster].to_numpy(dtype=np.float64)
    rest = counts.drop(columns=cluster).sum(axis=1).to_numpy(dtype=np.float64)
    total = own + rest
    prior = total / total.sum() * _PRIOR
    own_rest, rest_rest = own.sum() + _PRIOR - own - prior, rest.sum() + _PRIOR - rest - prior
    odds = np.log((own + prior) / np.maximum(own_rest, 1e-9)) - np.log((rest + prior) / np.maximum(rest_rest, 1e-9))
    z = odds / np.sqrt(1 / (own + prior) + 1 / (rest + prior))
    order = np.lexsort((counts.index.to_numpy(dtype=str), -z))
    chosen: Iterable[int] = [place for place in order if z[place] > _SETS_APART][:_SHOWN_WORDS]
    return {str(counts.index[place]): float(z[place]) for place in chosen}
