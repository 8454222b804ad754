"""Which track of a collection is which entry of a library.

1. By ISRC. The lengths may differ by `ISRC_TOLERANCE_S`, as fades and silence do; beyond that one of the two carries a
   wrong code, and the pair is reported as a conflict and not matched.
2. Else by title and artist (as `earmark.catalogue.labels.titles` compares them; one artist in common is enough) and a
   length within ± `TOLERANCE_S`. A library that tells no length is matched by title and artist alone, if one track has
   them.

Among several tracks the nearest in length is taken; where two are within `TELLING_S` of being as near, the one on the
entry's album; else the entry is ambiguous and matched with none. Several entries may be one track: a song is on a
single and on an album.

Time and memory grow with tracks + entries: every look-up is a dictionary's, and among the tracks of one name a
bisection by length.
"""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple

from earmark.catalogue.labels.titles import artist_keys, isrc_key, title_key
from earmark.catalogue.sources.library import Entry

TOLERANCE_S = 2.0
ISRC_TOLERANCE_S = 10.0
TELLING_S = 0.1  # encoders pad by up to about that
_LOOKED_AT = 50  # tracks of one name and length; among more nothing tells them apart

How = Literal["isrc", "title_artist_duration", "title_artist", "none", "ambiguous", "conflict", "refused"]
MATCHED: tuple[How, ...] = ("isrc", "title_artist_duration", "title_artist")


class Known(NamedTuple):
    """What a collection knows of a track, as far as matching needs it."""

    track_id: str
    title: str | None
    artist: str | None
    album: str | None
    isrc: str | None
    duration_s: float


@dataclass(frozen=True, slots=True)
class Match:
    """What became of one entry.

    Attributes:
        how: By what it was matched, or why not.
        row: The track's place among those given to `Matcher`, or None.
        difference_s: Length of the entry less that of the track, where both are known.
        reason: In words; empty for a match that needs none.
    """

    how: How
    row: int | None = None
    difference_s: float | None = None
    reason: str = ""


class Matcher:
    """Tracks, ready to be looked up.

    Args:
        tracks: Of one collection.
    """

    def __init__(self, tracks: Iterable[Known]) -> None:
        self._durations: list[float] = []
        self._albums: list[str | None] = []
        self._isrcs: list[str | None] = []
        by_isrc: dict[str, list[int]] = defaultdict(list)
        by_name: dict[str, list[int]] = defaultdict(list)
        self.nameless: list[str] = []
        for row, track in enumerate(tracks):
            isrc, title = isrc_key(track.isrc), title_key(track.title)
            artists = artist_keys([track.artist]) if track.artist and title else frozenset()
            self._durations.append(track.duration_s)
            self._albums.append(track.album)
            self._isrcs.append(isrc)
            if isrc:
                by_isrc[isrc].append(row)
            for artist in artists:
                by_name[_name(artist, title)].append(row)
            if not isrc and not artists:
                self.nameless.append(track.track_id)
        for rows in (*by_isrc.values(), *by_name.values()):
            if len(rows) > 1:
                rows.sort(key=lambda row: (self._durations[row], row))
        self._by_isrc, self._by_name = dict(by_isrc), dict(by_name)

    def match(self, entry: Entry) -> Match:
        """The track that ``entry`` is, or why there is none."""
        isrc = isrc_key(entry.isrc)
        note = f"its ISRC {entry.isrc!r} is none; " if entry.isrc and not isrc else ""
        if isrc and (rows := self._by_isrc.get(isrc)):
            near = self._near([rows], entry.duration_s, ISRC_TOLERANCE_S)
            if not near:
                difference_s = self._difference([rows], entry)
                return Match(
                    "conflict",
                    None,
                    difference_s,
                    f"a track has its ISRC {isrc}, but lasts {abs(difference_s):.1f} s "
                    f"{'less' if difference_s > 0 else 'more'}; one of the two carries a wrong code",
                )
            return self._chosen("isrc", near, entry, "")
        title, artists = title_key(entry.title), artist_keys(entry.artists)
        named = [rows for artist in artists if title and (rows := self._by_name.get(_name(artist, title)))]
        if not named:
            return Match("none", reason=f"{note}{_nothing(bool(isrc), bool(title and artists))}")
        near = self._near(named, entry.duration_s, TOLERANCE_S)
        if not near:
            difference_s = self._difference(named, entry)
            return Match(
                "none",
                None,
                difference_s,
                f"{note}a track of its title and artist is there, but the nearest lasts {abs(difference_s):.1f} s "
                f"{'less' if difference_s > 0 else 'more'}",
            )
        match = self._chosen("title_artist" if entry.duration_s is None else "title_artist_duration", near, entry, note)
        if match.row is not None and isrc and (other := self._isrcs[match.row]):
            return Match(match.how, match.row, match.difference_s, f"the track's ISRC is {other}: perhaps a reissue")
        return match

    def _near(self, lists: list[list[int]], duration_s: float | None, tolerance_s: float) -> list[int]:
        """Rows within the tolerance that are as near as the nearest, or `TELLING_S` less so; at most a few of many."""
        if duration_s is None:
            return sorted({row for rows in lists for row in rows[:_LOOKED_AT]})
        nearest_s = min(
            abs(self._durations[row] - duration_s) for rows in lists for row in self._around(rows, duration_s)
        )
        reach_s = min(nearest_s + TELLING_S, tolerance_s) + 1e-9
        found: set[int] = set()
        for rows in lists:
            first = bisect_left(rows, duration_s - reach_s, key=self._durations.__getitem__)
            last = bisect_right(rows, duration_s + reach_s, key=self._durations.__getitem__)
            found.update(rows[first : min(last, first + _LOOKED_AT)])
        return sorted(found)

    def _around(self, rows: list[int], duration_s: float) -> list[int]:
        """The last row that is shorter and the first that is not."""
        place = bisect_left(rows, duration_s, key=self._durations.__getitem__)
        return rows[max(place - 1, 0) : place + 1]

    def _difference(self, lists: list[list[int]], entry: Entry) -> float:
        assert entry.duration_s is not None  # without a length every row is near
        around = [row for rows in lists for row in self._around(rows, entry.duration_s)]
        return min((entry.duration_s - self._durations[row] for row in around), key=abs)

    def _chosen(self, how: How, near: list[int], entry: Entry, note: str) -> Match:
        reason = note.rstrip("; ")
        if len(near) > 1:
            album, many = title_key(entry.album), len(near) >= _LOOKED_AT  # then not all were looked at
            same = [row for row in near if album and not many and title_key(self._albums[row]) == album]
            if len(same) != 1:
                by = "length" if entry.duration_s is not None else "name"
                number = f"{len(near)}{' or more' if many else ''}"
                return Match("ambiguous", reason=f"{note}{number} tracks are it alike, by {by} and by album")
            near, reason = same, f"{note}one of {len(near)} tracks, chosen by its album"
        row = near[0]
        difference_s = None if entry.duration_s is None else entry.duration_s - self._durations[row]
        return Match(how, row, difference_s, reason)


def _name(artist: str, title: str) -> str:
    return f"{artist}\n{title}"


def _nothing(isrc: bool, named: bool) -> str:
    looked = " and ".join(word for word, there in (("ISRC", isrc), ("title and artist", named)) if there)
    return f"no track has its {looked}" if looked else "it has neither a valid ISRC nor both title and artist"
