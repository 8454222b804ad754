"""Which pieces are one: the same tune under two titles, two harmonisations of one hymn, the movements of one quartet.

Two pieces are of one family, and share a ``group``, when any of these holds, directly or through a third piece:

- they are parts of one larger work (an opus, a cycle of madrigals);
- a title of one is a title of the other, after removing case, accents, punctuation, articles, "favourite", numbers and
  the name of the dance: "The Acacia -- Reel" and "ACACIA -- HORNPIPE" are one;
- their melodies begin alike: the pitch at each beat of the first part, written as steps from beat to beat (so that
  key, ornaments and note values do not matter), agrees over `BEATS` beats from the first full bar on, where one of
  the two may begin up to `SHIFT` beats later.
"""

import itertools
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence

from earmark.catalogue.songbook.corpus import Piece
from earmark.catalogue.songbook.score import TOLERANCE_QUARTERS, Score

BEATS = 8
SHIFT = 4
LEAST_STEPS = 3  # an opening that stands still is no sign of kinship

Steps = tuple[int, ...]

_NO_NAMES = {
    "a",
    "an",
    "and",
    "another",
    "der",
    "die",
    "das",
    "favorite",
    "favourite",
    "my",
    "no",
    "number",
    "old",
    "the",
}
_DANCES = {"clog", "dance", "fling", "hornpipe", "jig", "reel", "strathspey"}


def normalised_title(title: str) -> str:
    """``"The Acacia's -- Reel (No. 2)"`` → ``"acacia"``; empty where nothing is left."""
    plain = unicodedata.normalize("NFKD", title.replace("ß", "ss")).encode("ascii", "ignore").decode().lower()
    plain = re.sub(r"\([^)]*\)", " ", plain)
    words = re.findall(r"[a-z]+", re.sub(r"'s\b|s'|'", "", plain))
    kept = [word for word in words if word not in _NO_NAMES | _DANCES]
    return "".join(word.removesuffix("s") if len(word) > 3 else word for word in kept)


def opening(score: Score) -> Steps:
    """Steps, in semitones, between the melody's pitches on the first ``BEATS + 1 + SHIFT`` beats from the first bar on.

    A rest on a beat counts as the pitch before it. Shorter where the melody is shorter.
    """
    melody = score.parts[0]
    pitches: list[int] = []
    at = 0
    for beat in range(BEATS + 1 + SHIFT):
        now = score.pickup + beat * score.beat + TOLERANCE_QUARTERS
        while at + 1 < len(melody) and melody[at + 1].onset <= now:
            at += 1
        if now > score.length:
            break
        pitches.append(melody[at].pitch)
    return tuple(later - earlier for earlier, later in itertools.pairwise(pitches))


def begin_alike(first: Steps, second: Steps) -> bool:
    """Whether the opening of one is found in the other, at most `SHIFT` beats later."""
    return _found_in(first[:BEATS], second) or _found_in(second[:BEATS], first)


def groups(pieces: Sequence[Piece], openings: Mapping[str, Steps]) -> dict[str, str]:
    """The group of each piece_id: the piece_id of the family's first member in alphabetical order."""
    family = _Families(piece.piece_id for piece in pieces)
    first_with: dict[str, str] = {}
    for piece in pieces:
        signs = [f"work {piece.work}"] if piece.work else []
        signs += [f"title {name}" for title in piece.names if (name := normalised_title(title))]
        for sign in signs:
            family.join(piece.piece_id, first_with.setdefault(sign, piece.piece_id))
    for at, one in enumerate(pieces):
        for other in pieces[:at]:
            if begin_alike(openings[one.piece_id], openings[other.piece_id]):
                family.join(one.piece_id, other.piece_id)
    return {piece.piece_id: family.of(piece.piece_id) for piece in pieces}


def _found_in(incipit: Steps, melody: Steps) -> bool:
    if len(incipit) < BEATS or sum(step != 0 for step in incipit) < LEAST_STEPS:
        return False
    return any(melody[at : at + BEATS] == incipit for at in range(SHIFT + 1))


class _Families:
    """Disjoint sets; each is named by its least member."""

    def __init__(self, members: Iterable[str]) -> None:
        self._parent = {member: member for member in members}

    def of(self, member: str) -> str:
        while self._parent[member] != member:
            member = self._parent[member]
        return member

    def join(self, one: str, other: str) -> None:
        first, second = sorted((self.of(one), self.of(other)))
        self._parent[second] = first
