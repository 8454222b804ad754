"""The taxonomy: the genre names of every source and library mapped to the team's own, and the vocabulary of tags.

It is a file that the team edits (data/taxonomy.yaml, in git beside the collections' .dvc files, so it has a version):

    genres:                  # the team's genre: what else it is called
      hip-hop: [hiphop, Hip-Hop/Rap, Rap]
      rock: [Alternative Rock]
    sources:                 # where one source or library means something else by a name
      emotify:
        rock: [pop]
    unmapped: keep           # what no line names: keep it as it is, or refuse
    tags: []                 # the words that may be tags; empty: any

Names are compared without regard to capitals, spaces, hyphens and compatibility forms (NFKC): ``Hip Hop`` is
``hip-hop``. A genre of the team's stands for itself. Without any genre in it the file changes nothing.

Tags ``genre---<name>`` are mapped as the track's label is, for a tag does not say who gave it; others stay as they are.
"""

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

from earmark.catalogue.sources.libraries import library_names
from earmark.catalogue.sources.registry import source_names
from earmark.catalogue.track import GENRE_TAG
from earmark.errors import ParamsError
from earmark.files import read_yaml
from earmark.workspace import SONGBOOK, TAXONOMY

_KEYS = ("genres", "sources", "unmapped", "tags")
_UNMAPPED = ("keep", "refuse")


@dataclass(frozen=True)
class Taxonomy:
    """What the file says, with its names made comparable by `comparable`.

    Attributes:
        genres: Comparable name → the team's genre. Empty: every name stands for itself.
        sources: Source or library → comparable name → the team's genre; goes before ``genres``.
        refuse_unmapped: Whether a track whose genre has no place here is refused.
        tags: Comparable tags of the vocabulary. Empty: any tag will do.
    """

    genres: Mapping[str, str] = field(default_factory=dict)
    sources: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    refuse_unmapped: bool = False
    tags: frozenset[str] = frozenset()

    def genre_of(self, name: str, source: str) -> str | None:
        """The team's genre for what ``source`` calls ``name``; None where the taxonomy does not know it."""
        if not self.genres:
            return name
        key = comparable(name)
        return self.sources.get(source, {}).get(key) or self.genres.get(key)


def comparable(name: str) -> str:
    """``name`` without what does not count: capitals, white space, hyphens and dashes, compatibility forms."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    return "".join(sign for sign in folded if not sign.isspace() and unicodedata.category(sign) != "Pd")


def read_taxonomy(path: Path) -> Taxonomy:
    """The taxonomy at ``path``; without a file, one that changes nothing.

    Raises:
        ParamsError: It is no YAML, has an unknown key or source or an empty name, or gives one name to two genres.
    """
    if not path.exists():
        return Taxonomy()
    content = read_yaml(path)
    if content is None:
        return Taxonomy()
    if not isinstance(content, dict):
        raise _wrong(f"it should be a mapping with the keys {', '.join(_KEYS)}, but is {content!r}.")
    if unknown := [str(key) for key in content if key not in _KEYS]:
        raise _wrong(f"unknown key {', '.join(unknown)}. Known here: {', '.join(_KEYS)}.")

    genres = _genres(content.get("genres") or {}, where="genres")
    sources = {}
    known = [*source_names(), *library_names(), SONGBOOK]
    for source, overrides in _mapping(content.get("sources") or {}, where="sources").items():
        where = f"sources: {source}"
        if source not in known:
            near = " or ".join(get_close_matches(source, known)) or "one of them"
            raise _wrong(
                f"{where}: no source or library is called that; known are {', '.join(known)}. Perhaps {near} is meant; "
                "or install the package that adds it."
            )
        if strangers := [name for name in _mapping(overrides or {}, where=where) if name not in genres.values()]:
            raise _wrong(
                f"{where}: {strangers[0]!r} is none of your genres. Add it under `genres` "
                f"(`{strangers[0]}: []` will do), or correct its spelling."
            )
        sources[source] = _aliases(overrides or {}, where=where)

    unmapped = content.get("unmapped", "keep")
    if unmapped not in _UNMAPPED:
        raise _wrong(f"unmapped is {unmapped!r}; it must be keep or refuse.")
    if unmapped == "refuse" and not genres:
        raise _wrong("unmapped is refuse, but `genres` names none, so every track would be refused. Name your genres.")
    tags = _names(content.get("tags") or [], where="tags")
    return Taxonomy(genres, sources, unmapped == "refuse", frozenset(map(comparable, tags)))


def apply_taxonomy(taxonomy: Taxonomy, tracks: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The tracks under the team's names, and what became of every source's names.

    Args:
        taxonomy: As read.
        tracks: Columns ``source``, ``genre_source``, ``genre`` and ``tags`` count.

    Returns:
        The tracks, with the team's ``genre`` and ``tags`` and three new columns: ``source_genre`` (as the source has
        it), ``refused_genre`` (the same, where the taxonomy neither knows nor keeps it; else null) and ``unknown_tags``
        (those outside the vocabulary, with commas between them; null where there are none). And the names: one row for
        each, columns ``source`` (the library that gave the genre, else the source), ``kind`` (``genre`` for a label, or
        ``tag``), ``name, tracks, mapped_to`` (null: not mapped), sorted.
    """
    giver = tracks["genre_source"].fillna(tracks["source"]).rename("giver")
    tags, counts = _own_tags(taxonomy, giver, tracks["tags"])
    labels = tracks.groupby([giver, "genre"]).size()
    pairs: list[tuple[str, str]] = list(labels.index)
    counts.update({(source, "genre", name): count for (source, name), count in zip(pairs, labels, strict=True)})
    names = pd.DataFrame(
        [(*key, count, taxonomy.genre_of(key[2], key[0])) for key, count in sorted(counts.items())],
        columns=["source", "kind", "name", "tracks", "mapped_to"],
    ).astype({"source": "str", "kind": "str", "name": "str", "tracks": "int64", "mapped_to": "str"})
    own = names[names["kind"] == "genre"].assign(
        team=names["mapped_to"].fillna(names["name"]), unknown=names["mapped_to"].isna()
    )
    labelled = pd.DataFrame({"source": giver, "name": tracks["genre"]})
    told = labelled.merge(own, how="left", on=["source", "name"]).set_index(tracks.index)
    return tracks.assign(
        genre=told["team"],
        tags=tags,
        source_genre=told["name"],
        refused_genre=told["name"].where(told["unknown"].eq(True) & taxonomy.refuse_unmapped),
        unknown_tags=_unknown_tags(taxonomy, tags),
    ), names


def _own_tags(
    taxonomy: Taxonomy, givers: pd.Series, tags: pd.Series
) -> tuple[pd.Series, Counter[tuple[str, str, str]]]:
    """Each track's tags, genres under the team's names; and how many tracks have each (giver, ``tag``, name)."""

    @cache  # a catalogue has few tags, each many times
    def own(giver: str, tag: str) -> str:
        name = tag.removeprefix(GENRE_TAG)
        return tag if name == tag else GENRE_TAG + (taxonomy.genre_of(name, giver) or name)

    rows: list[Any] = []
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for giver, row in zip(givers, tags, strict=True):
        genres = {tag.removeprefix(GENRE_TAG) for tag in ([] if row is None else row) if tag.startswith(GENRE_TAG)}
        if genres:
            counts[giver].update(genres)
            if taxonomy.genres:
                row = list(dict.fromkeys(own(giver, tag) for tag in row))
        rows.append(row)
    named = {(giver, "tag", tag): count for giver, found in counts.items() for tag, count in found.items()}
    return pd.Series(rows, index=tags.index, dtype=object), Counter(named)


def _unknown_tags(taxonomy: Taxonomy, tags: pd.Series) -> pd.Series:
    if not taxonomy.tags:
        return pd.Series(None, index=tags.index, dtype="str")
    known: dict[str, bool] = {}  # a catalogue has few tags, each many times

    def strange(tag: str) -> bool:
        if tag not in known:
            known[tag] = comparable(tag) in taxonomy.tags
        return not known[tag]

    unknown = [", ".join(tag for tag in ([] if row is None else row) if strange(tag)) or None for row in tags]
    return pd.Series(unknown, index=tags.index, dtype="str")


def _genres(content: Any, *, where: str) -> dict[str, str]:
    """Comparable name → genre; each genre of the team's stands for itself."""
    own: dict[str, str] = {}
    for genre in _names(list(_mapping(content, where=where)), where=where):
        if (twin := own.setdefault(comparable(genre), genre)) != genre:
            raise _wrong(f"{where}: {twin!r} and {genre!r} are one name (capitals, spaces and hyphens do not count).")
    aliases = _aliases(content, where=where)
    for name, genre in aliases.items():
        if own.get(name, genre) != genre:
            raise _wrong(
                f"{where}: {own[name]!r} is one of your genres and stands below {genre!r} too, so it would be mapped "
                "to two (a chain or a circle). Keep one of the two lines."
            )
    return own | aliases


def _aliases(content: Any, *, where: str) -> dict[str, str]:
    """Comparable name → genre, from genre → list of names."""
    found: dict[str, str] = {}
    for genre, names in _mapping(content, where=where).items():
        for name in _names([] if names is None else names, where=f"{where}: {genre}"):
            if (other := found.setdefault(comparable(name), genre)) != genre:
                raise _wrong(f"{where}: {name!r} stands below {other!r} and below {genre!r}; a name has one genre.")
    return found


def _mapping(content: Any, *, where: str) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise _wrong(f"{where} should be a mapping, such as `rock: [Alternative Rock]`, but is {content!r}.")
    _names(list(content), where=where)
    return content


def _names(content: Any, *, where: str) -> list[str]:
    if not isinstance(content, list):
        raise _wrong(f"{where} should be a list of names, but is {content!r}.")
    for name in content:
        if not isinstance(name, str):  # YAML reads 80s as a word, but 1980 as a number and `no` as false
            raise _wrong(f"{where}: {name!r} is no text but {type(name).__name__}; put it in quotes.")
        if not comparable(name):
            raise _wrong(f"{where}: {name!r} is an empty name.")
    return content


def _wrong(what: str) -> ParamsError:
    return ParamsError(f"{TAXONOMY}: {what}")
